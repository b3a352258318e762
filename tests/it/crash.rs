//! Daemons are killed and frozen in the middle of attempts: every window is recorded once all the
//! same, and every write by one that stalled is fenced off.
//!
//! A short plan runs with the other tests; `tests/crash` runs a long one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::lab::{Database, Other};
use crate::servers::Postgres;
use crate::watchman::{SECOND, Site, Watchman, assert_each_second, rows};

/// How long a claim holds: the shortest that a frozen daemon has to outlast.
const LEASE: Duration = Duration::from_secs(2);

/// What is done to daemons.
struct Plan {
    /// How many ledgers there are, each with daemons of its own.
    sites: usize,
    replicas: usize,
    kills: usize,
    freezes: usize,
    /// How many rows there are at least before it ends.
    rows: i64,
    snapshots: usize,
}

impl Plan {
    /// The plan of the script, where it runs; else a short one.
    fn of(replicas: usize) -> Self {
        match std::env::var("ALLSWELL_CRASH") {
            Ok(hits) => {
                let hits = hits.parse::<usize>().unwrap().div_ceil(4);
                Self { sites: 4, replicas, kills: hits, freezes: hits, rows: 12_500, snapshots: 60 }
            }
            Err(_) => Self { sites: 1, replicas, kills: 10, freezes: 8, rows: 200, snapshots: 20 },
        }
    }
}

/// Zones over which the grid fans out: the number of series is what matters.
const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "America/St_Johns",
];

fn checks(snapshots: usize) -> String {
    // Each attempt computes for some milliseconds, and a few for longer, so that there is something to
    // hit.
    let work = |number: usize| {
        let steps = if number % 20 == 7 { 400_000 } else { 10_000 };
        format!(
            "with recursive c(i) as (select 1 union all select i + 1 from c where i < {steps}) "
        )
    };
    let mut yaml = "version: 1\nowner: tests\ndefaults: {source: data, schedule: {every: 1s}, \
                    result_by: 20s}\nchecks:\n"
        .to_owned();
    for number in 0..snapshots {
        // Some of them are wrong for a few seconds of each half minute.
        let least = if number % 5 == 0 {
            "case when cast(strftime('%s', 'now') as integer) % 30 < 4 then 0 else 1 end"
        } else {
            "1"
        };
        let _ = write!(
            yaml,
            "  - id: snapshot-{number}\n    why: because\n    sql: |\n      {}select {least} + 0 as n, \
             (select count(*) from c) as work\n    expect: {{values: {{n: {{min: 1}}}}}}\n",
            work(number)
        );
    }
    for number in 0..3 {
        let _ = write!(
            yaml,
            "  - id: grid-{number}\n    why: because\n    schedule: {{every: 1s}}\n    window: {{period: 1m, \
             zones: [{}]}}\n    sql: |\n      {}select count(*) as n from c where \
             :window_start < :window_end and :zone <> ''\n    expect: {{values: {{n: {{min: 1}}}}}}\n",
            ZONES.join(", "),
            work(0)
        );
    }
    yaml
}

/// The store, as somebody else sees it.
struct Store(Database, tokio::runtime::Runtime);

impl Store {
    async fn other(&self) -> Other {
        match &self.0 {
            Database::Sqlite { path, .. } => Other::sqlite(path).await,
            Database::Postgres { .. } | Database::MariaDb { .. } => self.0.owner().await,
        }
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        self.1.block_on(async {
            let mut other = self.other().await;
            let texts = other.try_texts(sql).await.unwrap_or_default();
            other.close().await;
            texts
        })
    }

    fn number(&self, sql: &str) -> i64 {
        self.texts(sql).first().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn running(&self, replica: &str) -> i64 {
        self.number(&format!(
            "select cast(count(*) as text) from entries where state = 'running' and owner = '{replica}'"
        ))
    }
}

fn play(database: Database, plan: &Plan, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = database.url();
    let password = match &database {
        Database::Sqlite { .. } => "",
        Database::Postgres { .. } | Database::MariaDb { .. } => ", password: \"${file:watch}\"",
    };
    let store = Store(database, runtime);
    let settings = format!(
        "sources: {{data: {{url: \"sqlite:data.db\", instants: sql, connections: 4}}}}\n\
         ledger: {{url: \"{url}\"{password}, lease: {}s}}\ngrace: 5s\n",
        LEASE.as_secs()
    );
    let site = Site::new(&settings, &checks(plan.snapshots));
    store.1.block_on(async {
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(site.path().join("data.db"));
        use sqlx::ConnectOptions as _;
        drop(options.create_if_missing(true).connect().await.unwrap());
    });
    let mut daemons: Vec<Watchman> = (0..plan.replicas).map(|_| site.start()).collect();
    let mut dice = Dice(seed);
    let (mut kills, mut freezes) = (0, 0);
    while kills < plan.kills || freezes < plan.freezes {
        let place = dice.below(daemons.len());
        let kill = kills < plan.kills && (freezes >= plan.freezes || dice.below(2) == 0);
        wait_until_running(&store, &daemons[place]);
        if kill {
            daemons[place].signal("KILL");
            daemons[place].process.wait(Duration::from_secs(5)).unwrap();
            kills += usize::from(store.running(&daemons[place].replica) > 0);
            std::thread::sleep(Duration::from_millis(u64::try_from(dice.below(300)).unwrap()));
            daemons[place] = site.start();
        } else {
            daemons[place].signal("STOP");
            // A statement of the ledger that was under way may be open: it is not looked at for long.
            let hit = store.running(&daemons[place].replica) > 0;
            let longer = Duration::from_millis(u64::try_from(dice.below(1_500)).unwrap());
            std::thread::sleep(LEASE + Duration::from_millis(200) + longer);
            daemons[place].signal("CONT");
            freezes += usize::from(hit);
        }
    }
    let count = "select cast(count(*) as text) from entries";
    let started = Instant::now();
    while store.number(count) < plan.rows {
        assert!(started.elapsed() < Duration::from_secs(3_600), "rows: {}", store.number(count));
        std::thread::sleep(Duration::from_secs(1));
    }
    come_to_rest(&store, &mut daemons);
    for daemon in daemons {
        assert!(daemon.stop().success());
    }
    println!("{}", verify(&store, plan, kills, freezes));
}

fn wait_until_running(store: &Store, daemon: &Watchman) {
    let started = Instant::now();
    while store.running(&daemon.replica) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "idle: {}", daemon.log());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until what became due while daemons were dead is recorded, and the last claims ran out.
fn come_to_rest(store: &Store, daemons: &mut [Watchman]) {
    let late = "select cast(count(*) as text) from entries where state <> 'recorded' and due < \
                (select max(due) from entries) - 8000000";
    for daemon in daemons.iter_mut() {
        daemon.until(Duration::from_secs(120), |_| match store.number(late) {
            0 => Ok(()),
            late => Err(late),
        });
    }
}

/// Each row is recorded, by one attempt, and no claim was given twice.
fn once(store: &Store) {
    let unrecorded = store.texts(
        "select cast(count(*) as text) from entries where state <> 'recorded' \
         and due < (select max(due) from entries) - 30000000",
    );
    assert_eq!(unrecorded, ["0"], "something is not recorded");
    // Of each row exactly one attempt was the first to be recorded; an epoch is given once.
    let twice = store.number(
        "select cast(count(*) as text) from (select series, kind, start_at, end_at, epoch \
         from attempts group by series, kind, start_at, end_at, epoch having count(*) > 1) as t",
    );
    assert_eq!(twice, 0, "an epoch was used twice");
    let backwards = store.number(
        "select cast(count(*) as text) from attempts a join attempts b on a.series = b.series and \
         a.kind = b.kind and a.start_at = b.start_at and a.end_at = b.end_at and a.epoch < b.epoch \
         where a.began_at > b.began_at + 50000 and a.outcome <> 'fenced'",
    );
    assert_eq!(backwards, 0, "a later claim was made earlier");
    let beyond = store.number(
        "select cast(count(*) as text) from attempts a join entries e on a.series = e.series and \
         a.kind = e.kind and a.start_at = e.start_at and a.end_at = e.end_at where a.epoch > e.epoch",
    );
    assert_eq!(beyond, 0, "an attempt has a claim that nobody gave");
    let unproved = store.number(
        "select cast(count(*) as text) from entries e where e.said in ('confirmed', 'violated') \
         and not exists (select 1 from attempts a where a.series = e.series and a.kind = e.kind \
         and a.start_at = e.start_at and a.end_at = e.end_at and a.outcome = 'recorded' \
         and a.said = e.said)",
    );
    assert_eq!(unproved, 0, "a fact without an attempt that brought it");
    let facts_twice = store.number(
        "select cast(count(*) as text) from (select series, kind, start_at, end_at from attempts \
         where outcome = 'recorded' and said = 'confirmed' group by series, kind, start_at, end_at \
         having count(*) > 1) as t",
    );
    assert_eq!(facts_twice, 0, "a confirmed row was recorded twice");
}

/// Holds the rows against what an enumerator of its own expects; returns how many there are, and how
/// many were expected.
fn covered(store: &Store, plan: &Plan) -> (usize, i64) {
    let rows = store.1.block_on(async {
        let mut other = store.other().await;
        let rows = rows(&mut other).await;
        other.close().await;
        rows
    });
    let watermarks: BTreeMap<(String, String), i64> = store
        .texts("select check_id || '|' || tz || '|' || watermark from series")
        .iter()
        .map(|row| {
            let parts: Vec<&str> = row.split('|').collect();
            ((parts[0].to_owned(), parts[1].to_owned()), parts[2].parse().unwrap())
        })
        .collect();
    assert_eq!(rows.len(), plan.snapshots + 3 * ZONES.len());
    let mut expected = 0;
    for (key, rows) in &rows {
        let (check, tz) = key;
        let (first, last) = (rows[0].0, rows[rows.len() - 1].1);
        if check.starts_with("snapshot") {
            // The first is a look at the moment of loading; then each whole second.
            assert_each_second(check, rows);
            let end = watermarks[key].div_euclid(SECOND) * SECOND;
            assert_eq!(last, end, "{check}: the end");
            expected += (end - first).div_euclid(SECOND) + 1;
        } else {
            // Minutes, end to end.
            for pair in rows.windows(2) {
                assert_eq!(pair[0].1, pair[1].0, "{check} {tz}: a window is lost or doubled");
            }
            assert!(rows.iter().all(|(start, end, _)| end - start == 60 * SECOND));
            expected += (last - first) / (60 * SECOND);
        }
    }
    (rows.values().map(Vec::len).sum(), expected)
}

/// Holds the record as a whole against what it promises.
fn verify(store: &Store, plan: &Plan, kills: usize, freezes: usize) -> String {
    let (rows, expected) = covered(store, plan);
    once(store);
    standings(store);
    let count = |sql: &str| store.number(&format!("select cast(count(*) as text) from {sql}"));
    format!(
        "{rows} rows for {expected} expected, {kills} kills and {freezes} freezes in attempts, \
         {} claims taken over, {} stale writes fenced off, {} missed ranges",
        count("events where kind = 'claim'"),
        count("attempts where outcome = 'fenced'"),
        count("entries where cause = 'missed'"),
    )
}

/// What stands is what a replay of the rows says; and what was told begins and ends in turn.
fn standings(store: &Store) {
    let firing = store.texts(
        "select check_id || '|' || tz || '|' || (case when violated_since is null then 0 else 1 end) \
         || '|' || (case when unconfirmed_since is null then 0 else 1 end) || '|' || id \
         from series order by id",
    );
    for row in firing {
        let parts: Vec<&str> = row.split('|').collect();
        let rows = store.texts(&format!(
            "select case when said = 'unconfirmed' and deadline > (select max(changed_at) from series) \
             then 'not yet' else said end || '|' || kind from entries where series = {} \
             and state = 'recorded' order by start_at, end_at",
            parts[4]
        ));
        // A slot is closed by a later confirmed one, one without a result by any later result; a window by its own proof
        // alone. A hole is open
        // from its deadline on, which may lie after the end.
        let (mut violated, mut unconfirmed) = (false, false);
        for row in &rows {
            match row.as_str() {
                "confirmed|slot" => (violated, unconfirmed) = (false, false),
                "violated|slot" => (violated, unconfirmed) = (true, false),
                "violated|window" => violated = true,
                "unconfirmed|slot" | "unconfirmed|window" => unconfirmed = true,
                _ => {}
            }
        }
        let told = (parts[2] == "1", parts[3] == "1");
        assert_eq!(told, (violated, unconfirmed), "{row}");
        let events = store.texts(&format!(
            "select becomes || ' ' || was from events where kind = 'standing' and check_id = '{}' \
             and tz {} order by id",
            parts[0],
            if parts[1].is_empty() { "is null".to_owned() } else { format!("= '{}'", parts[1]) }
        ));
        for alarm in ["violated", "unconfirmed"] {
            let of_it: Vec<bool> = events
                .iter()
                .filter(|event| event.contains(&format!("firing {alarm}")))
                .map(|event| event.starts_with("firing"))
                .collect();
            let in_turn = of_it.iter().enumerate().all(|(i, fires)| *fires == (i % 2 == 0));
            assert!(in_turn, "{row}: {alarm}: {of_it:?}");
        }
    }
}

/// Plays at every site of a plan at once.
fn play_all(plan: &Plan, database: impl Fn() -> Database) {
    std::thread::scope(|scope| {
        for seed in 1..=plan.sites {
            let database = database();
            scope.spawn(move || play(database, plan, u64::try_from(seed).unwrap() * 7));
        }
    });
}

#[test]
fn every_window_is_recorded_once_in_a_file_whatever_is_killed_or_frozen() {
    play_all(&Plan::of(1), Database::sqlite);
}

#[test]
fn every_window_is_recorded_once_on_a_server_whichever_of_three_is_killed_or_frozen() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    play_all(&Plan::of(3), || runtime.block_on(Database::postgres(Postgres::shared())));
}
