//! The ledger, held to the same promises on SQLite and on PostgreSQL.

use std::collections::BTreeMap;
use std::time::Duration;

use allswell::clock;
use allswell::domain::check::name::CheckId;
use allswell::domain::check::reason::Cause;
use allswell::domain::check::succession::Succession;
use allswell::domain::record::standing::{Lease, Notice, Standing};
use allswell::domain::record::window_state::{State, VerdictKind, WindowKind};
use allswell::domain::sql::Engine;
use allswell::domain::time::agenda::{Due, Target};
use allswell::domain::time::owed::{Batch, Fate, Owed};
use allswell::domain::time::window::{Span, Window};
use allswell::domain::time::zone::Offset;
use allswell::dsn::Dsn;
use allswell::ledger::{
    Activation, Candidate, Claim, DueBatch, Ended, EventQuery, HistoryQuery, LedgerError, Offer,
    Planned, Revocation, Role, RowKey, RowOrder, Selected, SeriesRecord, StandingChange, Store,
    StoreSettings, Terms, Traits, TxOutcome, Waiver, Work,
};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use crate::lab::{Database, Other};

pub(crate) const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];
const SECOND: TimeDelta = TimeDelta::seconds(1);

pub(crate) fn settings(database: &Database, replica: &str) -> StoreSettings {
    let dsn = Dsn::parse(&database.url(), std::path::Path::new("/")).unwrap();
    StoreSettings {
        password: (dsn.engine() != Engine::Sqlite).then(|| SecretString::from("watch")),
        dsn,
        lease: Duration::from_secs(5),
        retention: Duration::from_secs(400 * 86_400),
        samples_for: Duration::from_secs(14 * 86_400),
        replica: replica.into(),
    }
}

fn id(text: &str) -> CheckId {
    CheckId::parse(text).unwrap()
}

fn traits(meaning: &str) -> Traits {
    Traits {
        meaning: meaning.into(),
        presentation: "p".into(),
        source: "db".into(),
        priority: 1,
        patience: TimeDelta::minutes(10),
        list_source: None,
    }
}

/// What the engine would know of each series.
pub(crate) fn terms() -> Terms {
    Terms {
        after: 1,
        next_due: None,
        next_deadline: clock::now() + TimeDelta::hours(1),
        patience: TimeDelta::hours(1),
        paused_until: None,
        age: TimeDelta::days(35),
        recheck: allswell::domain::check::recheck::Recheck::default(),
        critical: [false; 2],
    }
}

/// A store, and what the engine would know beside it.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) database: Database,
    generation: Option<i64>,
    terms: Terms,
}

impl Bench {
    pub(crate) async fn new(engine: Engine) -> Self {
        let database = Database::new(engine).await;
        let store = Store::open(settings(&database, "one")).await.unwrap();
        Self { store, database, generation: None, terms: terms() }
    }

    pub(crate) async fn activate(
        &mut self,
        digest: &str,
        checks: &[(&str, &str)],
        succession: Succession,
    ) {
        let planned =
            |check: &&(&str, &str)| Planned { check: id(check.0), tz: None, role: Role::Data };
        let activation = Activation {
            expected: self.generation,
            digest: digest.into(),
            text: String::new(),
            tz_release: "2026a".into(),
            loaded_by: "test".into(),
            series: checks.iter().map(|c| planned(&c)).collect(),
            checks: checks.iter().map(|(c, m)| (id(c), traits(m))).collect::<BTreeMap<_, _>>(),
            succession,
        };
        self.generation = self.store.activate(&activation, clock::now()).await.unwrap();
        assert!(self.generation.is_some());
    }

    pub(crate) async fn record(&mut self, check: &str) -> SeriesRecord {
        let all = self.store.series().await.unwrap();
        all.into_iter().find(|record| record.check == id(check)).unwrap()
    }

    /// Gives an order, carries it out, and says on how many rows, and what was told.
    async fn order(&mut self, order: RowOrder, selected: Selected) -> (u64, Vec<StandingChange>) {
        let id = self.store.store_order(&order, &selected, clock::now()).await.unwrap();
        let mut told = Vec::new();
        let terms = |_| Some(terms());
        while let Some(outcome) = self.store.carry_out(400, &work(), &terms).await.unwrap() {
            told.extend(outcome.told);
        }
        let record = self.store.reader().order(id).await.unwrap().unwrap();
        assert!(record.ended_at.is_some() && record.series_left == 0 && record.trouble.is_none());
        (record.rows, told)
    }

    async fn rerun(&mut self, key: RowKey) {
        self.order(RowOrder::Rerun { by: "me".into(), accepted: None }, selected(key)).await;
    }

    pub(crate) async fn transact(&mut self, work: Work) -> TxOutcome {
        let terms = self.terms;
        self.store.transact(&work, &|_| Some(terms)).await.unwrap()
    }

    /// Promises a window that ended `ago`, and has until `patience` after now.
    pub(crate) async fn due_batch(
        &mut self,
        check: &str,
        kind: WindowKind,
        ago: TimeDelta,
        patience: TimeDelta,
    ) -> RowKey {
        let record = self.record(check).await;
        let now = clock::now();
        let end = now - ago;
        let start = if kind == WindowKind::Window { end - TimeDelta::hours(1) } else { end };
        let date = start.date_naive();
        let span = Span { start, end, date, end_date: end.date_naive() };
        let target = match kind {
            WindowKind::Window => {
                Target::Window(Window { start, end, utc_offset: Offset::ZERO, span })
            }
            WindowKind::Slot => Target::Slot(end),
        };
        let due = Due { at: end, target, slot: None };
        let deadline = now + patience;
        let owed = Owed { due, deadline_nominal: end + patience, deadline, fate: Fate::Wait };
        let turned = self.transact(promised(&record, vec![owed], now)).await;
        assert!(turned.contended.is_empty(), "{check}");
        let micros =
            |at: DateTime<Utc>| DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap();
        RowKey { series: record.id, kind, start: micros(start), end: micros(end) }
    }

    pub(crate) async fn claim(&mut self, key: RowKey) -> Option<Claim> {
        let turned = self.transact(offered(key)).await;
        turned.claims.into_iter().next()
    }

    /// Claims a row and records what was said.
    pub(crate) async fn say(&mut self, key: RowKey, said: VerdictKind) -> TxOutcome {
        let claim = self.claim(key).await.expect("it can be claimed");
        self.transact(ended(key, claim.entry.row.epoch, said)).await
    }

    /// What may be claimed at the source.
    async fn ready(&mut self) -> Vec<RowKey> {
        let outcome = self.transact(Work { refill: vec!["db".into()], ..work() }).await;
        outcome.candidates[0].1.iter().map(|candidate| candidate.key).collect()
    }

    async fn rows(&self, check: &str) -> Vec<String> {
        let wanted = HistoryQuery::default();
        let page = self.store.reader().windows(check, &wanted, clock::now(), 100).await.unwrap();
        let shown = page.items.iter().map(|item| {
            let recorded = item.entry.row.recorded().map(|r| format!("{:?}", r.said));
            format!("{} open:{}", recorded.unwrap_or("-".into()), item.open.is_some())
        });
        shown.collect()
    }

    pub(crate) async fn owner(&self) -> Other {
        match &self.database {
            Database::Sqlite { path, .. } => Other::sqlite(path).await,
            Database::Postgres { .. } | Database::MariaDb { .. } => self.database.owner().await,
        }
    }
}

fn promised(record: &SeriesRecord, owed: Vec<Owed>, now: DateTime<Utc>) -> Work {
    let batch =
        Batch { owed, events: Vec::new(), missed_slots: None, watermark: now, complete: true };
    let due_batch = DueBatch {
        series: record.id,
        from: record.watermark,
        batch,
        splay: TimeDelta::zero(),
        source: "db".into(),
        priority: 1,
        patience: TimeDelta::hours(1),
    };
    Work { due_batches: vec![due_batch], ..work() }
}

fn work() -> Work {
    let (host_now, tz_release) = (clock::now(), "2026a".into());
    Work { host_now, tz_release, rows_max: i64::MAX, ..Work::default() }
}

fn offered(key: RowKey) -> Work {
    let candidate =
        Candidate { priority: 1, deadline: clock::now(), key, retry: false, recheck: false };
    Work {
        offers: vec![Offer { places: 1, candidates: vec![candidate], followers: Vec::new() }],
        ..work()
    }
}

pub(crate) fn ended(key: RowKey, epoch: u64, said: VerdictKind) -> Work {
    let ended = Ended {
        key,
        epoch,
        generation: 1,
        said,
        evidence: Some(3),
        bad_rows: None,
        note: Some("noted".into()),
        began: clock::now(),
        took: Duration::from_millis(2),
        compared: None,
    };
    Work { ended: vec![ended], ..work() }
}

fn selected(key: RowKey) -> Selected {
    let (from, to) = (DateTime::UNIX_EPOCH, key.end + TimeDelta::days(1));
    Selected { rows: vec![(key.series, from, to)], words: "all".into() }
}

#[tokio::test]
async fn what_is_due_is_promised_once() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let before = bench.record("it").await;
        bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        // Somebody who did not see that promises the same again.
        let turned = bench.transact(promised(&before, Vec::new(), clock::now())).await;
        assert_eq!(turned.contended, [before.id], "{engine:?}");
        assert_eq!(bench.rows("it").await.len(), 1);
        // Nothing is due by the store's clock that the host's is ahead of.
        if engine == Engine::Postgres {
            let record = bench.record("it").await;
            let ahead = clock::now() + TimeDelta::hours(1);
            let turned = bench.transact(promised(&record, Vec::new(), ahead)).await;
            assert_eq!(turned.contended, [before.id]);
        }
    }
}

#[tokio::test]
async fn a_claim_is_given_to_one_and_a_stale_write_is_fenced_off() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let key = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        let first = bench.claim(key).await.unwrap();
        assert!(bench.claim(key).await.is_none(), "{engine:?}: it is claimed");
        // Whoever claimed it stalls until his lease is over.
        let mut owner = bench.owner().await;
        owner.run("update entries set lease_until = 1, lapse_at = 1").await.unwrap();
        owner.close().await;
        bench.transact(work()).await;
        let second = bench.claim(key).await.unwrap();
        assert!(second.entry.row.epoch > first.entry.row.epoch);
        let turned = bench.transact(ended(key, first.entry.row.epoch, VerdictKind::Violated)).await;
        assert_eq!((turned.fenced, turned.recorded), (1, [0, 0, 0]), "{engine:?}");
        let turned =
            bench.transact(ended(key, second.entry.row.epoch, VerdictKind::Confirmed)).await;
        assert_eq!((turned.fenced, turned.recorded), (0, [1, 0, 0]), "{engine:?}");
        // The answer to that was lost, and it is said again.
        let turned =
            bench.transact(ended(key, second.entry.row.epoch, VerdictKind::Confirmed)).await;
        assert_eq!((turned.fenced, turned.recorded), (0, [0, 0, 0]), "{engine:?}");
        assert_eq!(bench.rows("it").await, ["Confirmed open:false"]);
    }
}

#[tokio::test]
async fn a_claim_of_which_nobody_knows_runs_out() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let key = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        // It was made, and the answer that said so was lost: the daemon goes on renewing its own.
        assert!(bench.claim(key).await.is_some());
        let mut owner = bench.owner().await;
        let soon = (clock::now() + TimeDelta::milliseconds(300)).timestamp_micros();
        let sql = format!("update entries set lease_until = {soon}, lapse_at = {soon}");
        owner.run(&sql).await.unwrap();
        owner.close().await;
        let started = clock::now();
        loop {
            bench.transact(Work { renew: Some(Vec::new()), ..work() }).await;
            if bench.claim(key).await.is_some() {
                break;
            }
            assert!(clock::now() - started < TimeDelta::seconds(10), "{engine:?}: it never ends");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // One that is known is renewed.
        let held = Some(vec![(key, 2)]);
        bench.transact(Work { renew: held, ..work() }).await;
        let page =
            bench.store.reader().windows("it", &HistoryQuery::default(), clock::now(), 1).await;
        let state = page.unwrap().items[0].entry.row.state;
        let State::Running { lease_until, .. } = state else { panic!("{engine:?}: {state:?}") };
        assert!(lease_until > clock::now() + TimeDelta::seconds(4), "{engine:?}");
    }
}

#[tokio::test]
async fn two_rows_of_one_series_are_not_attempted_at_once() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let first = bench
            .due_batch("it", WindowKind::Window, TimeDelta::hours(2), TimeDelta::hours(1))
            .await;
        let second = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        assert!(bench.claim(first).await.is_some());
        assert!(bench.claim(second).await.is_none(), "{engine:?}");
    }
}

#[tokio::test]
async fn what_was_never_looked_at_goes_before_what_is_tried_again() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let hour = TimeDelta::hours(1);
        let old = bench.due_batch("it", WindowKind::Window, TimeDelta::hours(9), hour).await;
        bench.say(old, VerdictKind::Violated).await;
        let new = bench.due_batch("it", WindowKind::Window, SECOND, hour).await;
        // The pause of the violated one is over.
        let mut owner = bench.owner().await;
        owner.run("update entries set wake_at = 1 where said is not null").await.unwrap();
        owner.close().await;
        assert_eq!(bench.ready().await, [new], "{engine:?}");
        bench.rerun(old).await;
        assert_eq!(bench.ready().await, [new], "an order holds up nothing that is due, {engine:?}");
        bench.say(new, VerdictKind::Confirmed).await;
        assert_eq!(bench.ready().await, [old], "an operator asked for it, {engine:?}");
    }
}

#[tokio::test]
async fn whoever_runs_an_earlier_generation_promises_and_claims_nothing() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let earlier = bench.generation.unwrap();
        let key = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        bench.activate("b", &[("it", "m"), ("more", "m")], Succession::default()).await;
        let now = bench.generation.unwrap();
        let record = bench.record("more").await;
        let due_batch = || promised(&record, Vec::new(), clock::now());
        let stale = Work { generation: earlier, ..due_batch() };
        assert_eq!(bench.transact(stale).await.contended, [record.id], "{engine:?}");
        let stale = bench.transact(Work { generation: earlier, ..offered(key) }).await;
        assert_eq!((stale.claims.len(), stale.active), (0, now), "{engine:?}");
        assert!(bench.transact(Work { generation: now, ..due_batch() }).await.contended.is_empty());
        let ours = bench.transact(Work { generation: now, ..offered(key) }).await;
        assert_eq!(ours.claims.len(), 1, "{engine:?}");
    }
}

#[tokio::test]
async fn a_bad_window_fires_until_it_is_proved_itself() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let bad = bench
            .due_batch("it", WindowKind::Window, TimeDelta::hours(2), TimeDelta::hours(1))
            .await;
        let turned = bench.say(bad, VerdictKind::Violated).await;
        assert!(matches!(turned.told[0].notice, Notice::Firing(_)), "{engine:?}");
        let good = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        assert!(bench.say(good, VerdictKind::Confirmed).await.told.is_empty());
        // A failed attempt takes nothing back either.
        bench.rerun(bad).await;
        let turned = bench.say(bad, VerdictKind::Unconfirmed(Cause::Connect)).await;
        assert!(turned.told.is_empty(), "{engine:?}");
        let record = bench.record("it").await;
        assert!(matches!(record.standings.violated, Standing::Firing { .. }));
        assert_eq!((record.open_violated, record.open_unconfirmed), (1, 0));
        assert!(matches!(record.lease, Lease::Until(until) if until <= clock::now()));
        bench.rerun(bad).await;
        let turned = bench.say(bad, VerdictKind::Confirmed).await;
        assert!(matches!(turned.told[0].notice, Notice::Resolved(_)), "{engine:?}");
        assert_eq!(bench.record("it").await.open_violated, 0);
    }
}

#[tokio::test]
async fn what_nobody_looked_at_is_recorded_when_its_time_is_over() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        bench.due_batch("it", WindowKind::Window, SECOND, -TimeDelta::milliseconds(1)).await;
        let watching = Work { watching_since: clock::now() + TimeDelta::hours(1), ..work() };
        let turned = bench.transact(watching).await;
        assert_eq!(turned.lapsed, 1, "{engine:?}");
        assert_eq!(bench.rows("it").await, ["Unconfirmed(Missed) open:true"]);
        // Where nothing kept us from looking but other work, that is said.
        bench.due_batch("it", WindowKind::Slot, SECOND, -TimeDelta::milliseconds(1)).await;
        let watching = Work { watching_since: clock::now() - TimeDelta::hours(1), ..work() };
        bench.transact(watching).await;
        let rows = bench.rows("it").await;
        assert!(rows.contains(&"Unconfirmed(Shed) open:true".into()), "{engine:?}: {rows:?}");
        assert_eq!(bench.record("it").await.open_unconfirmed, 2);
    }
}

#[tokio::test]
async fn a_later_slot_makes_earlier_ones_good_and_a_later_window_does_not() {
    for engine in ENGINES {
        for (kind, open) in [(WindowKind::Slot, 0), (WindowKind::Window, 1)] {
            let mut bench = Bench::new(engine).await;
            bench.activate("a", &[("it", "m")], Succession::default()).await;
            let early = bench.due_batch("it", kind, TimeDelta::hours(2), TimeDelta::hours(3)).await;
            bench.say(early, VerdictKind::Violated).await;
            let late = bench.due_batch("it", kind, SECOND, TimeDelta::hours(1)).await;
            bench.say(late, VerdictKind::Confirmed).await;
            assert_eq!(bench.record("it").await.open_violated, open, "{engine:?} {kind:?}");
        }
    }
}

#[tokio::test]
async fn a_waiver_closes_what_is_open_until_it_ends() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let bad = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        bench.say(bad, VerdictKind::Violated).await;
        let until = clock::now() + TimeDelta::milliseconds(600);
        let waiver = Waiver { by: "me".into(), because: "known".into(), until: Some(until) };
        let (rows, told) = bench.order(RowOrder::Waive(waiver), selected(bad)).await;
        assert_eq!(rows, 1);
        assert!(matches!(told[0].notice, Notice::Resolved(_)), "{engine:?}");
        assert_eq!(bench.record("it").await.waived, 1);
        let fired = async |bench: &mut Bench| {
            let turned = bench.transact(work()).await;
            turned.told.iter().any(|told| matches!(told.notice, Notice::Firing(_)))
        };
        let started = clock::now();
        while !fired(&mut bench).await {
            assert!(clock::now() - started < TimeDelta::seconds(10), "{engine:?}: it stays waived");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(clock::now() >= until, "{engine:?}: it ended early");
    }
}

#[tokio::test]
async fn an_order_goes_on_where_a_process_that_died_left_it_and_covers_what_was_known_when_it_was_given()
 {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let mut bad = Vec::new();
        for ago in 1..=5 {
            let ago = TimeDelta::seconds(ago);
            let key = bench.due_batch("it", WindowKind::Window, ago, TimeDelta::hours(1)).await;
            bench.say(key, VerdictKind::Violated).await;
            bad.push(key);
        }
        let until = Some(clock::now() + TimeDelta::days(7));
        let waiver = Waiver { by: "me".into(), because: "known".into(), until };
        let all = Selected {
            rows: vec![(bad[0].series, DateTime::UNIX_EPOCH, clock::now() + TimeDelta::hours(1))],
            words: "all".into(),
        };
        let order = RowOrder::Waive(waiver);
        let id = bench.store.store_order(&order, &all, clock::now()).await.unwrap();
        let later =
            bench.due_batch("it", WindowKind::Window, SECOND * 9, TimeDelta::hours(1)).await;
        bench.say(later, VerdictKind::Violated).await;
        let terms = |_| Some(terms());
        assert!(bench.store.carry_out(2, &work(), &terms).await.unwrap().is_some());
        assert_eq!(bench.store.reader().order(id).await.unwrap().unwrap().ended_at, None);
        // The process dies, and another one opens the store.
        let Bench { store, database, generation, terms: known } = bench;
        drop(store);
        let store = Store::open(settings(&database, "two")).await.unwrap();
        let mut bench = Bench { store, database, generation, terms: known };
        while bench.store.carry_out(2, &work(), &terms).await.unwrap().is_some() {}
        let record = bench.store.reader().order(id).await.unwrap().unwrap();
        assert!(record.ended_at.is_some(), "{engine:?}: {record:?}");
        assert_eq!((record.rows, record.series_left), (5, 0), "{engine:?}");
        let series = bench.record("it").await;
        assert_eq!((series.waived, series.open_violated), (5, 1), "{engine:?}");
    }
}

#[tokio::test]
async fn a_role_that_only_reads_is_named_as_none_for_a_ledger() {
    let database = Database::new(Engine::Postgres).await;
    let sql = format!("alter role {} set default_transaction_read_only = on", database.name());
    database.admin().await.run(&sql).await.unwrap();
    let said = Store::open(settings(&database, "one")).await.err().unwrap().to_string();
    assert!(said.contains("another role than the one that watches"), "{said}");
}

#[tokio::test]
async fn no_order_overtakes_another_one_that_a_second_replica_is_at() {
    let mut bench = Bench::new(Engine::Postgres).await;
    bench.activate("a", &[("it", "m")], Succession::default()).await;
    let bad = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
    bench.say(bad, VerdictKind::Violated).await;
    let until = Some(clock::now() + TimeDelta::days(7));
    let waive = RowOrder::Waive(Waiver { by: "me".into(), because: "known".into(), until });
    let revoke = RowOrder::Revoke(Revocation { by: "me".into(), because: "not so".into() });
    for order in [&waive, &revoke] {
        bench.store.store_order(order, &selected(bad), clock::now()).await.unwrap();
    }
    let mut other = bench.owner().await;
    other.run("begin").await.unwrap();
    other.run("select id from orders order by id limit 1 for update").await.unwrap();
    let terms = |_| Some(terms());
    let done = bench.store.carry_out(400, &work(), &terms).await.unwrap();
    assert!(done.is_none(), "the first is under way elsewhere, and the second takes it back");
    other.run("rollback").await.unwrap();
    while bench.store.carry_out(400, &work(), &terms).await.unwrap().is_some() {}
    assert_eq!(bench.record("it").await.waived, 0);
}

#[tokio::test]
async fn a_proof_ends_a_waiver_and_a_later_violation_is_open() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let bad = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        bench.say(bad, VerdictKind::Violated).await;
        let until = Some(clock::now() + TimeDelta::days(7));
        let waiver = Waiver { by: "me".into(), because: "known".into(), until };
        bench.order(RowOrder::Waive(waiver.clone()), selected(bad)).await;
        for (said, waived, open) in [
            (VerdictKind::Violated, 1, 0),
            (VerdictKind::Confirmed, 0, 0),
            (VerdictKind::Violated, 0, 1),
        ] {
            bench.rerun(bad).await;
            bench.say(bad, said).await;
            let record = bench.record("it").await;
            assert_eq!(
                (record.waived, record.open_violated),
                (waived, open),
                "{engine:?} {said:?}"
            );
        }
        let record = bench.record("it").await;
        assert!(matches!(record.standings.violated, Standing::Firing { .. }), "{engine:?}");
        let Lease::Until(lease) = record.lease else { panic!("it was proved once") };
        assert!(lease <= clock::now(), "{engine:?}: its lease of health is cut");
        // A waiver that is revoked covers nothing any more.
        bench.order(RowOrder::Waive(waiver), selected(bad)).await;
        let revocation = Revocation { by: "me".into(), because: "no".into() };
        for rows in [1, 0] {
            let order = RowOrder::Revoke(revocation.clone());
            assert_eq!(bench.order(order, selected(bad)).await.0, rows, "{engine:?}");
        }
        let record = bench.record("it").await;
        assert_eq!((record.waived, record.open_violated), (0, 1), "{engine:?}");
    }
}

#[tokio::test]
async fn a_renamed_check_goes_on_and_a_removed_one_takes_its_alarm_along() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("old", "m"), ("gone", "m")], Succession::default()).await;
        for check in ["old", "gone"] {
            let key = bench.due_batch(check, WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
            bench.say(key, VerdictKind::Violated).await;
        }
        let before = bench.record("old").await;
        let succession = Succession {
            renamed: vec![(id("old"), id("new"))],
            gone: vec![(id("gone"), Some("nobody needs it".into()))],
            reshaped: Vec::new(),
        };
        bench.activate("b", &[("new", "m")], succession).await;
        let after = bench.record("new").await;
        assert_eq!((after.id, after.standings), (before.id, before.standings), "{engine:?}");
        let gone = bench.record("gone").await;
        assert!(gone.retired_at.is_some());
        assert_eq!(
            (gone.standings.violated, gone.open_violated),
            (Standing::Calm, 0),
            "{engine:?}"
        );
    }
}

#[tokio::test]
async fn a_check_that_comes_back_gets_its_open_windows_back() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m"), ("other", "m")], Succession::default()).await;
        let early = TimeDelta::hours(5);
        let bad = bench.due_batch("it", WindowKind::Window, early, TimeDelta::hours(1)).await;
        bench.say(bad, VerdictKind::Violated).await;
        let waived =
            bench.due_batch("it", WindowKind::Window, SECOND * 2, TimeDelta::hours(1)).await;
        bench.say(waived, VerdictKind::Violated).await;
        let good = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        bench.say(good, VerdictKind::Confirmed).await;
        // Somebody vouches for one of them: that holds on.
        let until = Some(clock::now() + TimeDelta::days(1));
        let waiver = Waiver { by: "me".into(), because: "known".into(), until };
        let one =
            Selected { rows: vec![(waived.series, waived.start, waived.end)], ..selected(waived) };
        bench.order(RowOrder::Waive(waiver), one).await;
        let gone = vec![(id("it"), Some("a mistake".into()))];
        bench.activate("b", &[("other", "m")], Succession { gone, ..Succession::default() }).await;
        assert_eq!(bench.record("it").await.open_violated, 0, "{engine:?}");
        bench.activate("c", &[("it", "m"), ("other", "m")], Succession::default()).await;
        let turned = bench.transact(work()).await;
        let fires = |told: &StandingChange| matches!(told.notice, Notice::Firing(_));
        assert!(turned.told.iter().any(fires), "{engine:?}: it is told again");
        let record = bench.record("it").await;
        assert_eq!((record.open_violated, record.waived), (1, 1), "{engine:?}");
        // It ends by its own proof, as if nothing had been.
        bench.say(bad, VerdictKind::Confirmed).await;
        assert_eq!(bench.record("it").await.open_violated, 0, "{engine:?}");
    }
}

#[tokio::test]
async fn a_new_meaning_is_proved_again_and_fences_off_the_old_one() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let key = bench.due_batch("it", WindowKind::Window, SECOND, TimeDelta::hours(1)).await;
        bench.say(key, VerdictKind::Confirmed).await;
        let running =
            bench.due_batch("it", WindowKind::Window, TimeDelta::zero(), TimeDelta::hours(1)).await;
        let old = bench.claim(running).await.unwrap();
        let before = bench.record("it").await.lease;
        bench.activate("b", &[("it", "another")], Succession::default()).await;
        let turned =
            bench.transact(ended(running, old.entry.row.epoch, VerdictKind::Confirmed)).await;
        assert_eq!(turned.fenced, 1, "{engine:?}: what was asked before says nothing now");
        let capped = bench.record("it").await.lease;
        assert!(capped < before, "{engine:?}: {capped:?} {before:?}");
        assert!(bench.claim(key).await.is_some(), "{engine:?}: the last proof is looked at again");
        // The same catalogue again changes nothing.
        let rows = bench.rows("it").await;
        bench.activate("c", &[("it", "another")], Succession::default()).await;
        assert_eq!(bench.rows("it").await, rows);
    }
}

#[tokio::test]
async fn of_two_who_activate_at_once_one_does() {
    // The first of all, of which there is no row to lock, again and again; then another one.
    for round in 0..8 {
        let mut bench = Bench::new(Engine::Postgres).await;
        if round > 5 {
            bench.activate("a", &[("it", "m")], Succession::default()).await;
        }
        at_once(&bench).await;
    }
}

async fn at_once(bench: &Bench) {
    let mut others = Vec::new();
    for name in ["two", "three", "four"] {
        others.push(Store::open(settings(&bench.database, name)).await.unwrap());
    }
    let expected = bench.generation;
    let tries = others.iter_mut().zip(["x", "y", "z"]).map(|(store, digest)| async move {
        let activation = Activation {
            expected,
            digest: digest.into(),
            text: String::new(),
            tz_release: "2026a".into(),
            loaded_by: "test".into(),
            series: Vec::new(),
            checks: BTreeMap::new(),
            succession: Succession::default(),
        };
        store.activate(&activation, clock::now()).await.unwrap().is_some()
    });
    let done = futures_util::future::join_all(tries).await;
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
}

#[tokio::test]
async fn confirmed_slots_become_ranges_and_what_is_open_or_waived_stays() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let days = |days: i64| TimeDelta::days(days);
        let confirmed = VerdictKind::Confirmed;
        for (kind, ago, said) in [
            (WindowKind::Window, days(500), confirmed),
            (WindowKind::Window, days(499), VerdictKind::Violated),
            (WindowKind::Slot, days(20), confirmed),
            (WindowKind::Slot, days(19), confirmed),
            (WindowKind::Slot, days(18), confirmed),
            (WindowKind::Slot, days(17), VerdictKind::Violated),
            (WindowKind::Slot, days(16), confirmed),
            (WindowKind::Slot, days(1), confirmed),
        ] {
            let key = bench.due_batch("it", kind, ago, days(600)).await;
            bench.say(key, said).await;
        }
        let series = bench.record("it").await.id;
        let tidied = bench.store.tidy(series, DateTime::UNIX_EPOCH, clock::now()).await.unwrap();
        assert!(tidied.rows > 0 && tidied.next.is_none(), "{engine:?}");
        let mut rows = bench.rows("it").await;
        rows.sort();
        let confirmed = rows.iter().filter(|row| row.starts_with("Confirmed")).count();
        // One range of three, the slot after the violated one, yesterday's.
        assert_eq!((rows.len(), confirmed), (5, 3), "{engine:?}: {rows:?}");
        assert!(rows.contains(&"Violated open:true".into()), "{engine:?}: {rows:?}");
        assert_eq!(
            bench.store.tidy(series, DateTime::UNIX_EPOCH, clock::now()).await.unwrap().rows,
            0,
            "{engine:?}"
        );
    }
}

#[tokio::test]
async fn pages_of_history_show_each_row_once() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        for minutes in (1..=10).rev() {
            bench
                .due_batch("it", WindowKind::Slot, TimeDelta::minutes(minutes), TimeDelta::hours(1))
                .await;
        }
        let reader = bench.store.reader();
        let (mut seen, mut wanted) = (Vec::new(), HistoryQuery::default());
        loop {
            let page = reader.windows("it", &wanted, clock::now(), 3).await.unwrap();
            seen.extend(page.items.iter().map(|item| item.entry.row.start));
            match page.next {
                Some(next) => wanted.page = Some(next),
                None => break,
            }
        }
        assert_eq!(seen.len(), 10, "{engine:?}");
        assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{engine:?}: latest first");
        let (mut ids, mut page) = (Vec::new(), None);
        loop {
            let events =
                reader.events(&EventQuery { page, ..EventQuery::default() }, 2).await.unwrap();
            ids.extend(events.items.iter().map(|event| event.id));
            match events.next {
                Some(next) => page = Some(next),
                None => break,
            }
        }
        assert!(ids.windows(2).all(|pair| pair[0] > pair[1]));
    }
}

#[tokio::test]
async fn a_store_of_a_later_release_is_refused_unless_it_says_otherwise() {
    for engine in ENGINES {
        for (oldest, opens) in [(allswell::ledger::VERSION, true), (99, false)] {
            let bench = Bench::new(engine).await;
            let mut owner = bench.owner().await;
            owner.run("update meta set value = '99' where key = 'version'").await.unwrap();
            let sql = format!("update meta set value = '{oldest}' where key = 'oldest'");
            owner.run(&sql).await.unwrap();
            owner.close().await;
            let Bench { store, database, .. } = bench;
            drop(store);
            let again = Store::open(settings(&database, "two")).await;
            assert_eq!(again.is_ok(), opens, "{engine:?}");
            if let Err(trouble) = again {
                assert!(matches!(trouble, LedgerError::Version { version: 99, .. }), "{trouble}");
            } else {
                // What a later release wrote is not written back.
                let mut owner = match &database {
                    Database::Sqlite { path, .. } => Other::sqlite(path).await,
                    Database::Postgres { .. } | Database::MariaDb { .. } => database.owner().await,
                };
                let version = owner.texts("select value from meta where key = 'version'").await;
                assert_eq!(version, ["99"], "{engine:?}");
            }
        }
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_make_the_store_once() {
    // They collide in several places of the server's catalogue, each only now and then.
    for _ in 0..12 {
        let database = Database::new(Engine::Postgres).await;
        let names = ["a", "b", "c", "d", "e", "f"];
        let opened = names.map(|name| Store::open(settings(&database, name)));
        for store in futures_util::future::join_all(opened).await {
            store.unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_has_one_owner_and_is_free_when_he_is_gone() {
    let database = Database::sqlite();
    let first = Store::open(settings(&database, "one")).await.unwrap();
    let second = Store::open(settings(&database, "two")).await;
    assert!(matches!(second, Err(LedgerError::Taken(_))));
    drop(first);
    Store::open(settings(&database, "two")).await.unwrap();
}

#[tokio::test]
async fn a_file_of_an_earlier_version_is_copied_before_it_is_migrated() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = Database::sqlite();
    let Database::Sqlite { path, .. } = &database else { unreachable!() };
    drop(Store::open(settings(&database, "one")).await.unwrap());
    let copy = format!("{}.version-3", path.display());
    assert!(!std::path::Path::new(&copy).exists());
    let mut owner = Other::sqlite(path).await;
    owner.run("update meta set value = '3' where key = 'version'").await.unwrap();
    for column in [
        "failing_since",
        "unconfirmed_cause",
        "newest_waived",
        "changed_note",
        "accepts_zones",
        "zones_accepted_at",
        "open_critical",
        "meaning_at",
        "thin_at",
        "thin_note",
        "closed_note",
        "changed_start",
    ] {
        owner.run(&format!("alter table series drop column {column}")).await.unwrap();
    }
    owner.run("alter table entries drop column critical").await.unwrap();
    for column in ["adopted_at", "adopted_from", "adopted_words"] {
        owner.run(&format!("alter table alerts drop column {column}")).await.unwrap();
    }
    owner.close().await;
    drop(Store::open(settings(&database, "one")).await.unwrap());
    let version = "select value from meta where key = 'version'";
    let mut before = Other::sqlite(std::path::Path::new(&copy)).await;
    assert_eq!(before.texts(version).await, ["3"]);
    let mut after = Other::sqlite(path).await;
    assert_eq!(after.texts(version).await, [allswell::ledger::VERSION.to_string()]);
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = Database::sqlite();
    let Database::Sqlite { path, .. } = &database else { unreachable!() };
    let path = path.with_file_name("new.db");
    let settings = StoreSettings { dsn: Dsn::Sqlite(path.clone()), ..settings(&database, "one") };
    let _store = Store::open(settings).await.unwrap();
    for more in ["", "-wal", "-shm"] {
        let file = format!("{}{more}", path.display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_not_begun_with() {
    let database = Database::sqlite();
    let Database::Sqlite { path, .. } = &database else { unreachable!() };
    drop(Store::open(settings(&database, "one")).await.unwrap());
    let mut owner = Other::sqlite(path).await;
    owner.run("pragma wal_checkpoint(truncate)").await.unwrap();
    owner.close().await;
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    std::fs::write(path, bytes).unwrap();
    assert!(Store::open(settings(&database, "two")).await.is_err());
}
