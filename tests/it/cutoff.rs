//! Attempts cut off at random moments: nothing runs on, nothing stays open, the next one is right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allswell::domain::check::Check;
use allswell::domain::check::reason::Cause;
use allswell::domain::check::verdict::Verdict;
use allswell::domain::sql::Engine;
use allswell::engine::asking::{Look, Sources};
use allswell::engine::attempt::attempt;
use allswell::engine::progress::Watching;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::lab::{Database, checks, one_check, shown, source_at};
use crate::servers::{MariaDb, Postgres};

const LIMIT: Duration = Duration::from_millis(600);
const CONNECTIONS: usize = 2;

/// What cuts an attempt off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    /// Its own limit.
    Timeout,
    /// Our order to stop.
    Stop,
    /// Somebody at the server ends the session.
    Killed,
    /// The server stops answering, and goes on later.
    Frozen,
    /// The server dies and comes back.
    Restarted,
}

/// The server that is hurt.
enum Server {
    Postgres(Postgres),
    MariaDb(MariaDb),
    None,
}

impl Server {
    fn signal(&self, signal: &str) {
        match self {
            Self::Postgres(server) => server.signal(signal),
            Self::MariaDb(server) => server.signal(signal),
            Self::None => {}
        }
    }

    fn restart(&mut self) {
        match self {
            Self::Postgres(server) => server.restart(),
            Self::MariaDb(server) => server.restart(),
            Self::None => {}
        }
    }
}

/// How many attempts to cut off per engine.
fn trials() -> usize {
    std::env::var("ALLSWELL_CUTS").map_or(30, |n| n.parse().unwrap())
}

fn check(engine: Engine, sql: &str) -> Arc<Check> {
    let rest = "expect:\n  values:\n    n: {min: 1}\nevidence: {sql: select count(*) from t}\ntimeout: 600ms";
    let yaml = one_check(sql, rest).replace("timeout: 2s", "timeout: 600ms");
    Arc::clone(&checks(engine, &yaml)[0])
}

/// What the watcher still does at the server: active, idle in a transaction, connected.
async fn watchers(db: &Database) -> [usize; 3] {
    let name = db.name();
    let sql = match db.engine() {
        Engine::Postgres => format!(
            "select concat_ws(' ', count(*) filter (where state = 'active'), \
             count(*) filter (where state like 'idle in%'), count(*)) \
             from pg_stat_activity where usename = '{name}' and application_name like 'allswell%'"
        ),
        Engine::MySql => format!(
            "select concat_ws(' ', coalesce(sum(command not in ('Sleep', 'Daemon')), 0), \
             (select count(*) from information_schema.innodb_trx t join information_schema.processlist q \
              on q.id = t.trx_mysql_thread_id where q.user = '{name}' and q.command = 'Sleep'), count(*)) \
             from information_schema.processlist where user = '{name}'"
        ),
        Engine::Sqlite => return [0; 3],
    };
    let text = db.admin().await.texts(&sql).await.remove(0);
    let numbers: Vec<usize> = text.split(' ').map(|n| n.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// Ends the sessions of the watcher, as an administrator would.
async fn kill(db: &Database) {
    let mut admin = db.admin().await;
    let name = db.name();
    match db.engine() {
        Engine::Postgres => {
            let sql = format!(
                "select pg_terminate_backend(pid)::text from pg_stat_activity where usename = '{name}'"
            );
            admin.texts(&sql).await;
        }
        Engine::MySql => {
            let sql = format!(
                "select cast(id as char) from information_schema.processlist where user = '{name}'"
            );
            for id in admin.texts(&sql).await {
                drop(admin.run(&format!("kill {id}")).await);
            }
        }
        Engine::Sqlite => {}
    }
}

fn allowed(cut: Cut, verdict: &Verdict) -> bool {
    match verdict {
        // It was through before it was cut.
        Verdict::Confirmed => cut != Cut::Timeout,
        Verdict::Violated(_) => false,
        Verdict::Unconfirmed(reason) => match cut {
            Cut::Timeout => reason.cause == Cause::Timeout,
            Cut::Stop => matches!(reason.cause, Cause::Interrupted | Cause::Timeout),
            Cut::Killed => {
                matches!(reason.cause, Cause::Connect | Cause::Interrupted | Cause::Timeout)
            }
            Cut::Frozen => matches!(reason.cause, Cause::Timeout | Cause::Connect),
            Cut::Restarted => {
                matches!(reason.cause, Cause::Connect | Cause::Timeout | Cause::Interrupted)
            }
        },
    }
}

/// Nothing runs on, and nothing stays open, once the server can act.
async fn nothing_is_left(db: &Database, cut: Cut, what: &str) {
    let able = Instant::now();
    let bound = Duration::from_secs(if cut == Cut::Frozen { 4 } else { 2 });
    loop {
        let [active, idle_in, all] = watchers(db).await;
        if active == 0 && idle_in == 0 && all <= CONNECTIONS + 1 {
            return;
        }
        assert!(
            able.elapsed() < bound,
            "{what}: {active} active, {idle_in} idle in a transaction, {all} in all"
        );
    }
}

async fn hold(db: &Database, mut server: Server, slow: &str, quick: &str) {
    let engine = db.engine();
    let source = source_at(&db.url(), u16::try_from(CONNECTIONS).unwrap());
    let sources = Arc::new(Sources::from([(source.name().clone(), Arc::new(source))]));
    let cuts: &[Cut] = match server {
        Server::None => &[Cut::Timeout, Cut::Stop],
        Server::Postgres(_) | Server::MariaDb(_) => {
            &[Cut::Timeout, Cut::Stop, Cut::Killed, Cut::Frozen, Cut::Restarted]
        }
    };
    let mut dice = Dice(42);
    let mut counts: BTreeMap<(Cut, String), usize> = BTreeMap::new();
    let mut longest_over = Duration::ZERO;
    for trial in 0..trials() {
        let cut = cuts[trial % cuts.len()];
        // Half of them are cut anywhere in a short attempt, half somewhere in a long query.
        let short = cut != Cut::Timeout && dice.once_in(2);
        let moment = Duration::from_micros(dice.roll() % if short { 3_000 } else { 500_000 });
        let check = check(engine, if short { quick } else { slow });
        let stop = CancellationToken::new();
        let running = {
            let (check, sources, stop) = (Arc::clone(&check), Arc::clone(&sources), stop.clone());
            tokio::spawn(async move {
                attempt(&check, &Look::Present, &sources, &Watching::default(), &stop).await
            })
        };
        let started = Instant::now();
        tokio::time::sleep(moment).await;
        match cut {
            Cut::Timeout => {}
            Cut::Stop => stop.cancel(),
            Cut::Killed => kill(db).await,
            Cut::Frozen => server.signal("STOP"),
            Cut::Restarted => server.signal("KILL"),
        }
        let judgement = tokio::time::timeout(Duration::from_secs(20), running).await;
        let judgement = judgement.expect("an attempt ends").unwrap().judgement;
        let took = started.elapsed();
        match cut {
            Cut::Frozen => server.signal("CONT"),
            Cut::Restarted => server.restart(),
            Cut::Timeout | Cut::Stop | Cut::Killed => {}
        }
        let what = format!("{engine} trial {trial}: {cut:?} after {moment:?}");
        assert!(allowed(cut, &judgement.verdict), "{what}: {}", shown(&judgement.verdict));
        assert!(took < Duration::from_secs(8), "{what}: took {took:?}");
        let outcome = match &judgement.verdict {
            Verdict::Unconfirmed(reason) => reason.cause.to_string(),
            Verdict::Confirmed | Verdict::Violated(_) => "confirmed".into(),
        };
        *counts.entry((cut, outcome)).or_default() += 1;

        nothing_is_left(db, cut, &what).await;
        if matches!(cut, Cut::Timeout | Cut::Stop) && engine != Engine::Sqlite {
            longest_over = longest_over.max(started.elapsed().saturating_sub(LIMIT));
        }
        let (check, stop) = (self::check(engine, quick), CancellationToken::new());
        let next =
            attempt(&check, &Look::Present, &sources, &Watching::default(), &stop).await.judgement;
        assert_eq!(shown(&next.verdict), "confirmed", "{what}: the next attempt");
        assert_eq!(next.evidence, Some(300), "{what}: the next attempt's evidence");
    }
    println!(
        "{engine}: {} attempts cut off; the longest query outlived its limit by {longest_over:?}",
        trials()
    );
    for ((cut, outcome), count) in &counts {
        println!("  {cut:?}: {outcome} {count}");
    }
    assert!(longest_over < Duration::from_secs(1), "{engine}: {longest_over:?}");
}

const TABLE: &str = "create table t (n integer)";
const QUICK: &str = "select n from t where n > 5";

#[tokio::test(flavor = "multi_thread")]
async fn postgres_attempts_may_be_cut_off_anywhere() {
    let server = Postgres::start();
    let db = Database::postgres(&server).await;
    db.prepare(&format!("{TABLE}; insert into t select generate_series(1, 300)")).await;
    let slow = "select count(*) as n from t a, t b, t c, t d";
    hold(&db, Server::Postgres(server), slow, QUICK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_attempts_may_be_cut_off_anywhere() {
    let server = MariaDb::start();
    let db = Database::mariadb(&server).await;
    db.prepare(&format!("{TABLE}; insert into t select seq from seq_1_to_300")).await;
    let slow = "select count(*) as n from t a, t b, t c, t d where a.n + b.n + c.n + d.n > 0";
    hold(&db, Server::MariaDb(server), slow, QUICK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_attempts_may_be_cut_off_anywhere() {
    let db = Database::sqlite();
    let rows = "insert into t with recursive s (n) as (select 1 union all select n + 1 from s where n < 300) select n from s";
    db.prepare(&format!("{TABLE}; {rows}")).await;
    let slow = "select count(*) as n from t a, t b, t c, t d";
    hold(&db, Server::None, slow, QUICK).await;
}
