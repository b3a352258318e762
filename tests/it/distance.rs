//! A ledger some milliseconds away is a normal ledger: what is behind is caught up, and no order stops the engine.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Database, Other};
use crate::proxy::{Proxy, Way};
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

/// How long each message to the ledger and back is held.
const AWAY: Duration = Duration::from_micros(2_500);

/// How many series there are, and how many days they are behind: `tests/distance 100 4` for more.
fn size() -> (usize, i64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u16>().ok());
    let series = number("ALLSWELL_DISTANCE_SERIES").unwrap_or(25);
    (usize::from(series), i64::from(number("ALLSWELL_DISTANCE_DAYS").unwrap_or(1)))
}

struct Far {
    site: Site,
    database: Database,
    way: Proxy,
    series: usize,
}

impl Far {
    fn new(series: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let database = runtime.block_on(Database::postgres(Postgres::shared()));
        let port = Postgres::shared().port;
        let way = Proxy::before(port, AWAY);
        let url = database.url().replace(&port.to_string(), &way.port.to_string());
        let settings = format!(
            "sources: {{db: {{url: \"sqlite:data.db\", instants: sql, connections: 32}}}}\n\
             ledger: {{url: \"{url}\", password: \"${{file:watch}}\"}}\n"
        );
        let check = |number| {
            format!(
                "  - id: far-{number}\n    why: because\n    window: {{period: 15m}}\n    sql: |\n      \
                 select 1 + 0 as n where :window_start < :window_end\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
            )
        };
        let checks: String = (0..series).map(check).collect();
        let checks = format!("version: 1\nowner: far\ndefaults: {{source: db}}\nchecks:\n{checks}");
        let site = Site::new(&settings, &checks);
        fs::write(site.path().join("data.db"), "").unwrap();
        Self { site, database, way, series }
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { self.database.owner().await.texts(sql).await })
    }

    /// A daemon whose record ends so many days ago.
    fn behind(&self, days: i64) -> Watchman {
        let daemon = self.site.start();
        daemon.until_confirmed(self.series, Duration::from_secs(60));
        assert!(daemon.stop().success());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut ledger: Other = self.database.owner().await;
            ledger.run("delete from entries").await.unwrap();
            ledger.run("delete from attempts").await.unwrap();
            let back = format!("update series set watermark = watermark - {days} * 86400000000");
            ledger.run(&back).await.unwrap();
        });
        self.site.start()
    }

    fn recorded(&self) -> usize {
        let count = "select count(*)::text from entries where said = 'confirmed'";
        self.ask(count)[0].parse().unwrap()
    }
}

/// It is ready at each look, as long as something is not so yet.
fn ready_until(daemon: &Watchman, within: Duration, mut done: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    // A daemon that was just started is not ready at once.
    daemon.until(Duration::from_secs(20), |daemon| match daemon.get("/-/ready") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    while let Err(last) = done() {
        assert!(started.elapsed() < within, "last seen: {last}: {}", daemon.log());
        let (status, why) = daemon.get("/-/ready");
        assert_eq!(status, 200, "{why} after {:?}: {}", started.elapsed(), daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("done after {:?}", started.elapsed());
}

#[test]
fn a_record_that_is_days_behind_is_caught_up_and_an_order_over_all_of_it_stops_nothing() {
    let (series, days) = size();
    let far = Far::new(series);
    let daemon = far.behind(days);
    let windows = series * usize::try_from(days * 96).unwrap();
    ready_until(&daemon, Duration::from_secs(300), || {
        let recorded = far.recorded();
        if recorded >= windows { Ok(()) } else { Err(format!("{recorded} of {windows}")) }
    });
    assert_eq!(daemon.json("/api/v1/status")["ledger"]["up"], Value::Bool(true));
    let orders = || {
        let all = daemon.json("/api/v1/events?limit=1000");
        // While the ledger is away nobody knows.
        let all = all["events"].as_array().cloned().unwrap_or_default();
        let orders = all.iter().filter(|event| event["kind"] == "rerun");
        orders.map(|event| event["becomes"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let whole = |said: &str| {
        let rows = said.strip_suffix(" rows asked for").and_then(|rows| rows.parse().ok());
        // What is under way is not counted: 64 at most are.
        assert!(rows >= Some(windows - 64), "{said}");
    };
    std::thread::scope(|scope| {
        let order = scope.spawn(|| daemon.post("/api/v1/rerun", "{\"owner\": \"far\"}"));
        ready_until(&daemon, Duration::from_secs(300), || {
            if orders().len() == 1 { Ok(()) } else { Err("it is under way".to_owned()) }
        });
        let (status, said) = order.join().unwrap();
        assert_eq!(status, 202, "{said}");
    });
    whole(&orders()[0]);
    // A ledger that goes away in the middle of one is waited for.
    let (status, said) = daemon.post("/api/v1/rerun", "{\"owner\": \"far\"}");
    assert_eq!(status, 202, "{said}");
    for _ in 0..3 {
        far.way.set(Way::Cut);
        std::thread::sleep(Duration::from_millis(300));
        far.way.set(Way::Open);
        std::thread::sleep(Duration::from_millis(500));
    }
    daemon.until(Duration::from_secs(300), |_| match orders().len() {
        2 => Ok(()),
        other => Err(other),
    });
    orders().iter().for_each(|said| whole(said));
    let twice = "select count(*)::text from (select 1 from entries group by series, kind, start_at \
                 having count(*) > 1) d";
    assert_eq!(far.ask(twice), ["0"]);
    assert!(daemon.stop().success());
}
