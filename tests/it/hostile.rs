//! Hostile SQL: each mechanism does its harm when nobody guards, and none when we do.
//!
//! The watcher owns every table and may write, but is no superuser. What a review can see is a fault;
//! what hides in a function, a view or an operator meets the guards of the source. Another session
//! looks at rows, objects, settings and locks before and after.

mod mariadb;
mod postgres;
mod sqlite;

use std::time::{Duration, Instant};

use allswell::domain::check::Check;
use allswell::domain::check::name::SourceName;
use allswell::domain::sql::Engine;
use allswell::engine::asking::{Look, Sources};
use allswell::engine::attempt::attempt;
use allswell::engine::progress::Watching;
use allswell::manifest::{self, Engines, Text, World};
use tokio_util::sync::CancellationToken;

use crate::lab::{Database, Other, one_check, shown};

/// What a mechanism does when nobody guards.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Harm {
    /// Another session sees other rows, objects, privileges, sequences or locks.
    State,
    /// The session itself is not as it was: this query's answer changes.
    Session(&'static str),
    /// It does not end.
    Time,
    /// It brings more than anybody can hold.
    Volume,
    /// The server's words carry data.
    Words,
}

/// One mechanism.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mechanism {
    pub(crate) name: &'static str,
    /// What must exist for it, made by the owner.
    pub(crate) setup: &'static str,
    /// The check's SQL, which is also what the control runs.
    pub(crate) sql: &'static str,
    pub(crate) harm: Harm,
    /// How the verdict begins, in one of these ways; `fault` where the review sees it.
    pub(crate) verdict: &'static str,
}

/// One per line: name, SQL, harm, verdict.
pub(crate) fn seen_in_review(name: &'static str, sql: &'static str, harm: Harm) -> Mechanism {
    Mechanism { name, setup: "", sql, harm, verdict: "fault" }
}

/// What the control has done to whom, if it ended.
async fn control(db: &Database, case: &Mechanism, snapshot: &str) -> Result<(), String> {
    let before = state(&mut db.admin().await, snapshot).await;
    let mut owner = db.owner().await;
    match case.harm {
        Harm::State => {
            drop(owner.run(case.sql).await);
            let after = state(&mut db.admin().await, snapshot).await;
            if before == after { Err("nothing changed".into()) } else { Ok(()) }
        }
        Harm::Session(probe) => {
            let before = owner.texts(probe).await;
            drop(owner.run(case.sql).await);
            let after = owner.texts(probe).await;
            if before == after { Err(format!("still {after:?}")) } else { Ok(()) }
        }
        Harm::Time => {
            let ended =
                tokio::time::timeout(Duration::from_millis(2500), owner.run(case.sql)).await;
            match ended {
                Ok(ended) => Err(format!("it ended: {ended:?}")),
                Err(_) => Ok(()),
            }
        }
        Harm::Volume => {
            let bytes = owner.bytes_until(case.sql, 20 << 20).await;
            if bytes > 16 << 20 { Ok(()) } else { Err(format!("only {bytes} bytes")) }
        }
        Harm::Words => match owner.run(case.sql).await {
            Err(error) if error.to_string().contains("4711") => Ok(()),
            other => Err(format!("{other:?}")),
        },
    }
}

async fn state(admin: &mut Other, snapshot: &str) -> Vec<String> {
    let mut all = Vec::new();
    for sql in snapshot.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        match admin.try_texts(sql).await {
            Ok(texts) => all.extend(texts),
            Err(error) => all.push(error.to_string()),
        }
    }
    all
}

async fn looked(check: &Check, sources: &Sources, stop: &CancellationToken) -> String {
    shown(
        &attempt(check, &Look::Present, sources, &Watching::default(), stop)
            .await
            .judgement
            .verdict,
    )
}

/// Tries every mechanism: the control first, in a database of its own.
pub(crate) async fn hold(
    engine: Engine,
    base: &str,
    snapshot: &str,
    next: &str,
    cases: &[Mechanism],
) {
    assert!(cases.len() >= 60, "{engine}: {} mechanisms", cases.len());
    let engines: Engines = [(SourceName::parse("db").unwrap(), engine)].into();
    let mut wrong = Vec::new();
    for case in cases {
        let prepare = async || {
            let db = Database::new(engine).await;
            db.prepare(base).await;
            if !case.setup.is_empty() {
                db.prepare(case.setup).await;
            }
            db
        };
        let unguarded = prepare().await;
        let snapshot_of = |db: &Database| snapshot.replace("$DB", db.name());
        if let Err(why) = control(&unguarded, case, &snapshot_of(&unguarded)).await {
            wrong.push(format!("{}: the control does no harm: {why}", case.name));
        }
        unguarded.end_sessions().await;

        let db = prepare().await;
        let mut admin = db.admin().await;
        let before = state(&mut admin, &snapshot_of(&db)).await;
        // A column that is judged is computed; what nobody judges, a planner may leave out.
        let rest = "expect:\n  values:\n    n: {not_equals: -99999}\ntimeout: 1s\nmax_rows: 100";
        let text = Text {
            file: "hostile.yaml".into(),
            text: one_check(case.sql, rest).replace("timeout: 2s", "timeout: 1s"),
        };
        let source = crate::lab::source_at(&db.url(), 1);
        let sources = Sources::from([(source.name().clone(), std::sync::Arc::new(source))]);
        let stop = CancellationToken::new();
        let started = Instant::now();
        let said =
            match manifest::parse(&[text], World { stored: true, ..crate::lab::world(&engines) }) {
                Err(faults) => format!("fault: {}", faults[0].message),
                Ok(catalogue) => looked(&catalogue.checks()[0], &sources, &stop).await,
            };
        let took = started.elapsed();
        if !case.verdict.split('|').any(|verdict| said.starts_with(verdict)) {
            wrong.push(format!("{}: {said}", case.name));
        }
        if said.contains("4711") {
            wrong.push(format!("{}: data in the words: {said}", case.name));
        }
        if took > Duration::from_millis(3300) {
            wrong.push(format!("{}: took {took:?}", case.name));
        }
        // The next check, on the same source, finds everything as it should be.
        let next_check = crate::lab::checks(
            engine,
            &one_check(next, "expect:\n  values:\n    v: {equals: good}"),
        );
        let after_it = looked(&next_check[0], &sources, &stop).await;
        if after_it != "confirmed" {
            wrong.push(format!("{}: the next check: {after_it}", case.name));
        }
        let mut after = state(&mut admin, &snapshot_of(&db)).await;
        let deadline = Instant::now() + Duration::from_secs(2);
        while after != before && Instant::now() < deadline {
            tokio::task::yield_now().await;
            after = state(&mut admin, &snapshot_of(&db)).await;
        }
        if after != before {
            wrong.push(format!("{}: something is left:\n  {before:?}\n  {after:?}", case.name));
        }
        drop(sources);
        db.end_sessions().await;
    }
    assert!(wrong.is_empty(), "{engine}:\n{}", wrong.join("\n"));
}
