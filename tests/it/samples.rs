//! Values of the data live in the ledger for a while and no longer, can be masked, and are forgotten on order.

use std::fs;
use std::path::Path;
use std::time::Duration;

use allswell::clock;
use allswell::domain::check::succession::Succession;
use allswell::domain::record::window_state::{VerdictKind, WindowKind};
use allswell::domain::sql::Engine;
use allswell::ledger::{Store, StoreSettings};
use chrono::TimeDelta;

use crate::alerting::{Alertmanager, Receiver};
use crate::lab::{Database, ENGINES, Other, look, one_check, shown};
use crate::ledger::{Bench, ended, settings, terms};
use crate::notices::SOON;
use crate::verbs::{allswell, text};
use crate::watchman::Site;

/// A value that is somebody's.
const VALUE: &str = "ana@example.org";

/// Everything that the ledger keeps in words.
const WORDS: &str = "select coalesce(note, '') from entries union all select coalesce(note, '') from attempts \
    union all select coalesce(last_note, '') || newest_violated from series union all select coalesce(note, '') from events";

#[tokio::test]
async fn values_are_cut_when_their_time_is_over_and_what_was_found_stays() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut bench = Bench::new(engine).await;
        bench.activate("d", &[("it", "m")], Succession::default()).await;
        let hour = TimeDelta::hours(1);
        let key = bench.due_batch("it", WindowKind::Window, hour, hour).await;
        let claim = bench.claim(key).await.unwrap();
        let mut work = ended(key, claim.entry.row.epoch, VerdictKind::Violated);
        let note = format!("mail: expected matching, broken on 1 of 1 row\nmail is {VALUE}\nid=1");
        work.ended[0].note = Some(note);
        bench.transact(work).await;
        let kept = |words: &[String]| words.iter().filter(|text| text.contains(VALUE)).count();
        let terms = |_| Some(terms());
        let young = bench.store.cut_samples(&terms, clock::now()).await.unwrap();
        assert_eq!((young.notes, young.more), (0, false), "{engine:?}");
        let mut owner = bench.owner().await;
        assert_eq!(kept(&owner.texts(WORDS).await), 3, "{engine:?}");
        let Bench { store, database, .. } = bench;
        drop(store);
        let for_no_time =
            StoreSettings { samples_for: Duration::ZERO, ..settings(&database, "two") };
        let mut store = Store::open(for_no_time).await.unwrap();
        let cut = store.cut_samples(&terms, clock::now()).await.unwrap();
        assert_eq!((cut.notes, cut.outcome.series.len()), (1, 1), "{engine:?}");
        let words = owner.texts(WORDS).await;
        assert_eq!(kept(&words), 0, "{engine:?}: {words:?}");
        let found = words.iter().filter(|text| text.contains("broken on 1 of 1 row")).count();
        assert!(found >= 3, "{engine:?}: {words:?}");
        assert_eq!(store.cut_samples(&terms, clock::now()).await.unwrap().notes, 0);
    }
}

/// Says whether a file, or what stands beside it, holds a text.
fn holds(path: &Path, text: &str) -> bool {
    let beside = ["", "-wal"].map(|end| format!("{}{end}", path.display()));
    beside.iter().any(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn what_is_forgotten_is_in_no_byte_of_the_ledger_in_no_log_and_in_no_alert_any_more() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let checks = "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: because\n    source: db\n    \
        schedule: {every: 366d}\n    sql: select id, mail from people\n    samples: {columns: [id, mail]}\n    \
        expect: {rows: {max: 0}}\n    evidence: {sql: select count(*) from people}\n";
    let site = Site::new(
        &format!(
            "sources: {{db: {{url: \"sqlite:data.db\", instants: sql}}}}\nalertmanagers: [{{url: \"{}\"}}]\n\
             notices: {{resend: 1s, hold: 2s}}\n",
            alertmanager.url()
        ),
        checks,
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    fs::write(site.path().join("data.db"), "").unwrap();
    runtime.block_on(async {
        let mut data = Other::sqlite(&site.path().join("data.db")).await;
        let people = format!("create table people as select 1 as id, '{VALUE}' as mail");
        data.run(&people).await.unwrap();
        data.close().await;
    });
    let daemon = site.start();
    sink.until("firing", "AllswellViolated", 0, SOON);
    let told = sink.alerts()[0].3["annotations"]["description"].as_str().unwrap().to_owned();
    assert!(told.contains(VALUE), "{told}");
    assert!(!daemon.log().contains(VALUE), "{}", daemon.log());
    let ledger = site.path().join("allswell.db");
    assert!(holds(&ledger, VALUE));
    let output =
        allswell(&site, &daemon, &["forget", "it", "--because", "asked for", "--by", "ana"]);
    assert_eq!(
        text(&output),
        "the values of 1 finding are forgotten; that it was violated is not. What it finds from now on is kept again, \
         unless it has a `mask`\n"
    );
    assert!(!holds(&ledger, VALUE));
    let status = text(&allswell(&site, &daemon, &["status"]));
    assert!(
        status.contains("rows: expected at most 0, saw 1") && !status.contains(VALUE),
        "{status}"
    );
    daemon.until(SOON, |_| {
        let alerts = alertmanager.get("/api/v2/alerts").unwrap_or_default();
        if alerts.contains("AllswellViolated") && !alerts.contains(VALUE) {
            Ok(())
        } else {
            Err(alerts)
        }
    });
    let output = allswell(&site, &daemon, &["forget", "it", "--because", "again", "--by", "ana"]);
    assert_eq!(text(&output), "no values are kept of it\n");
    let output = allswell(&site, &daemon, &["forget", "its", "--because", "again", "--by", "ana"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output).contains("no check is called `its`"), "{}", text(&output));
    assert!(daemon.stop().success());
}

#[tokio::test]
async fn a_column_that_is_masked_is_shown_nowhere_on_any_engine() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let mut owner = db.owner().await;
        owner
            .run(&format!("create table people (id integer, mail varchar(40)); insert into people values (1, '{VALUE}')"))
            .await
            .unwrap();
        let values = "expect: {values: {mail: {equals: none}, id: {min: 1}}}\nmask: [mail]\n";
        let keys = "expect: {keys: {columns: [mail], from: {sql: select mail from people}}}\nmask: [mail]\n";
        for (sql, rest, wanted) in [
            (
                "select id, mail from people",
                values,
                "violated: mail: expected none, broken on 1 of 1 row",
            ),
            (
                "select '' as mail from people",
                keys,
                "violated: keys: 1 of 1 expected did not appear: ***",
            ),
        ] {
            let outcomes = look(db.source(), &one_check(sql, rest)).await;
            let verdict = &outcomes[0].judgement.verdict;
            let all = format!("{} {verdict:?}", shown(verdict));
            assert!(
                shown(verdict).starts_with(wanted) && !all.contains(VALUE),
                "{engine:?}: {all}"
            );
        }
        let other = if engine == Engine::Sqlite { "'x' || mail" } else { "concat('x', mail)" };
        let yaml = format!(
            "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: because\n    mask: [mail]\n    reconcile:\n      \
             left: {{source: db, sql: \"select id, mail from people\"}}\n      \
             right: {{source: db, sql: \"select id, {other} as mail from people\"}}\n      key: [id]\n      \
             compare: {{mail: {{tolerance: 0}}}}\n      confirm_after: 0s\n"
        );
        let outcomes = look(db.source(), &yaml).await;
        let verdict = format!("{:?}", outcomes[0].judgement.verdict);
        assert!(verdict.contains("***") && !verdict.contains(VALUE), "{engine:?}: {verdict}");
    }
}
