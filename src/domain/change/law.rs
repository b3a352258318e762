//! The law: where a change is none, or stronger, whatever the new check confirms, the old one confirms.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use crate::domain::change::{Class, World, differences};
use crate::domain::check::evidence::{Evidence, Measure, Minimum, Scope};
use crate::domain::check::freshness::Freshness;
use crate::domain::check::judge::judge;
use crate::domain::check::limit::rows::RowLimit;
use crate::domain::check::limit::{Limit, LimitParts};
use crate::domain::check::name::{CheckId, ColumnName, Owner, SourceName};
use crate::domain::check::number::Number;
use crate::domain::check::observation::{Completeness, Moment, Observation, Rows};
use crate::domain::check::recheck::Recheck;
use crate::domain::check::value::Value;
use crate::domain::check::verdict::Verdict;
use crate::domain::check::{Alert, Body, CatchUp, Check, Expect, Keys, MaxRows, Samples, Severity};
use crate::domain::reconcile::cell::Epoch;
use crate::domain::sql::{Binding, Engine, Query};
use crate::domain::time::schedule::{Every, Schedule};

const COLUMNS: [&str; 3] = ["a", "b", "c"];
/// What limits are made of.
const NUMBERS: [&str; 8] = ["-1", "0", "0.5", "1", "2", "5", "5.0", "10"];
const TIMES: [&str; 6] =
    ["2026-01-01", "2026-01-02", "2026-01-01T00:00:00Z", "now - 2h", "now - 1h", "window_end - 1h"];
const TEXTS: [&str; 6] = ["x", "y", "true", "1", "5", "2026-01-01"];
const COUNTS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
const NOW: &str = "2026-01-01T01:30:00Z";

fn columns() -> Vec<ColumnName> {
    COLUMNS.iter().map(|name| ColumnName::parse(name).unwrap()).collect()
}

/// A limit of numbers, of instants, or of texts.
fn limit() -> impl Strategy<Value = Limit> {
    let pool = prop_oneof![
        4 => Just(&NUMBERS[..]),
        2 => Just(&TIMES[..]),
        2 => Just(&TEXTS[..]),
    ];
    let parts = pool.prop_flat_map(|pool| {
        let word = || prop::sample::select(pool);
        (
            0..7_u8,
            word(),
            word(),
            prop::sample::subsequence(pool.to_vec(), 1..=3),
            prop::option::of(prop::sample::select(&["0", "0.5", "1", "4"][..])),
            prop::option::of(prop::sample::select(&["0.1", "0.5"][..])),
            any::<bool>(),
        )
    });
    parts.prop_filter_map("no limit", |(form, one, other, some, absolute, ratio, nulls_allowed)| {
        let none = LimitParts { nulls_allowed, ..LimitParts::default() };
        let parts = match form {
            0 => LimitParts { min: Some(one), ..none },
            1 => LimitParts { max: Some(one), ..none },
            2 => LimitParts { min: Some(one), max: Some(other), ..none },
            3 => LimitParts { equals: Some(one), ..none },
            4 => LimitParts {
                equals: Some(one),
                tolerance: absolute,
                tolerance_ratio: ratio,
                ..none
            },
            5 => LimitParts { not_equals: Some(one), ..none },
            _ => LimitParts { one_of: Some(some), ..none },
        };
        Limit::new(&parts).ok()
    })
}

fn rows() -> impl Strategy<Value = Option<RowLimit>> {
    let word = || prop::sample::select(&COUNTS[..]);
    let limit = (0..5_u8, word(), word()).prop_filter_map("no limit", |(form, one, other)| {
        let none = LimitParts::default();
        let parts = match form {
            0 => LimitParts { min: Some(one), ..none },
            1 => LimitParts { max: Some(one), ..none },
            2 => LimitParts { min: Some(one), max: Some(other), ..none },
            3 => LimitParts { equals: Some(one), ..none },
            _ => LimitParts { not_equals: Some(one), ..none },
        };
        RowLimit::new(&parts, 10).ok()
    });
    prop::option::of(limit)
}

fn query(text: &str, engine: Engine) -> Query {
    Query::parse(text, engine, Binding::Nothing).unwrap()
}

/// What a check is made of.
#[derive(Debug, Clone)]
struct Parts {
    rows: Option<RowLimit>,
    values: BTreeMap<ColumnName, Limit>,
    keys: Option<(usize, bool)>,
    evidence: (u8, u64),
    severity: u8,
}

fn parts() -> impl Strategy<Value = Parts> {
    let values = prop::collection::btree_map(prop::sample::select(columns()), limit(), 0..=3);
    let keys = prop::option::weighted(0.3, (1..=2_usize, any::<bool>()));
    (rows(), values, keys, (0..5_u8, 0..4_u64), 0..3_u8).prop_map(
        |(rows, values, keys, evidence, severity)| Parts { rows, values, keys, evidence, severity },
    )
}

/// A check, and the same with some of its parts from elsewhere.
fn pair() -> impl Strategy<Value = (Parts, Parts, Engine)> {
    let engine = prop::sample::select(&[Engine::Postgres, Engine::MySql, Engine::Sqlite][..]);
    (parts(), parts(), prop::collection::vec(any::<bool>(), 8), engine).prop_map(
        |(old, other, takes, engine)| {
            let mut new = old.clone();
            if takes[0] {
                new.rows = other.rows;
            }
            for (column, takes) in columns().into_iter().zip(&takes[1..4]) {
                if *takes {
                    match other.values.get(&column) {
                        Some(limit) => new.values.insert(column, limit.clone()),
                        None => new.values.remove(&column),
                    };
                }
            }
            if takes[4] && takes[5] {
                new.keys = other.keys;
            }
            if takes[6] && takes[5] {
                new.evidence = other.evidence;
            }
            if takes[7] {
                new.evidence.1 = other.evidence.1;
            }
            (old, new, engine)
        },
    )
}

/// The check that parts make; nothing where the language refuses it.
fn check(parts: &Parts, engine: Engine) -> Option<Arc<Check>> {
    let keys = parts.keys.map(|(count, other)| Keys {
        columns: columns().into_iter().take(count).collect(),
        from: query(if other { "select a, b from k" } else { "select a, b from l" }, engine),
        source: SourceName::parse("db").unwrap(),
    });
    let expect = Expect::new(parts.rows.clone(), parts.values.clone(), keys)?;
    let measure = match parts.evidence.0 {
        0 => Evidence::implied_measure(&expect)?,
        1 => Evidence::implied_measure(&expect).unwrap_or(Measure::Rows),
        2 => Measure::Column(ColumnName::parse("c").unwrap()),
        3 => Measure::Query(query("select count(*) from t", engine)),
        _ => Measure::Query(query("select count(*) from u", engine)),
    };
    let minimum = match NonZeroU64::new(parts.evidence.1) {
        Some(least) => Minimum::AtLeast(least),
        None => Minimum::Waived { because: "none".to_owned() },
    };
    Some(Arc::new(Check {
        was: None,
        id: CheckId::parse("it").unwrap(),
        why: "because".into(),
        owner: Owner::parse("tests").unwrap(),
        severity: Severity::ALL[usize::from(parts.severity)],
        labels: BTreeMap::new(),
        runbook: None,
        source: SourceName::parse("db").unwrap(),
        body: Body::Sql {
            query: query("select max(a) as a, b, c from t group by b, c", engine),
            expect: Box::new(expect),
        },
        evidence: Evidence { measure, minimum, scope: Scope::Window, history: None },
        schedule: Schedule::Every(Every::HOURLY),
        window: None,
        result_by: None,
        catch_up: CatchUp::default(),
        recheck: Recheck::default(),
        alert: Alert::default(),
        pause: None,
        except: None,
        freshness: Freshness::default(),
        timeout: Some(Duration::from_secs(1)),
        max_rows: MaxRows::default(),
        samples: Samples::default(),
        file: "test.yaml".into(),
        line: 1,
    }))
}

fn value() -> impl Strategy<Value = Value> {
    let at: DateTime<Utc> = NOW.parse().unwrap();
    let numbers: Vec<Value> =
        ["-1", "0", "0.5", "1", "2", "4", "5", "5.5", "6", "9", "10", "1767225600"]
            .iter()
            .map(|text| Value::Number(Number::parse(text).unwrap()))
            .collect();
    let times = [-200, -120, -90, -60, -30, 0, 1_440].map(|m| at + TimeDelta::minutes(m));
    let times: Vec<Value> = times
        .iter()
        .map(|at| Value::Instant(*at))
        .chain(times.iter().map(|at| Value::Date(at.date_naive())))
        .collect();
    let texts: Vec<Value> =
        ["x", "y", "z", "true", "1", "5", "5.0", "2026-01-01", "2026-01-01 00:30:00"]
            .iter()
            .map(|text| Value::Text((*text).to_owned()))
            .collect();
    prop_oneof![
        5 => prop::sample::select(numbers),
        2 => prop::sample::select(times),
        2 => prop::sample::select(texts),
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
    ]
}

fn observation() -> impl Strategy<Value = Observation> {
    let completeness =
        prop_oneof![9 => Just(Completeness::Whole), 1 => Just(Completeness::RowsCut)];
    let row = || (value(), value(), value()).prop_map(|(a, b, c)| vec![a, b, c]);
    let alike = (row(), 1..4_usize).prop_map(|(row, count)| vec![row; count]);
    let body = prop_oneof![2 => alike, 1 => prop::collection::vec(row(), 0..4)];
    let keys = prop_oneof![
        1 => prop::collection::vec(prop::collection::vec(value(), 2), 0..3).prop_map(Some),
        3 => Just(None),
    ];
    let counted = (0..4_u64).prop_map(|count| Value::Number(Number::from(count)));
    let epoch = prop_oneof![3 => Just(None), 1 => Just(Some(Epoch::Seconds))];
    (body, completeness, keys, counted, epoch, any::<bool>()).prop_map(
        |(body, completeness, keys, evidence, epoch, has_window)| {
            let now: DateTime<Utc> = NOW.parse().unwrap();
            let two = columns().into_iter().take(2).collect();
            // Mostly those that are there.
            let there = || body.iter().take(2).map(|row| row[..2].to_vec()).collect();
            let keys = keys.unwrap_or_else(there);
            Observation {
                body: Rows::new(columns(), body, completeness),
                expected_keys: Some(Rows::new(two, keys, Completeness::Whole)),
                evidence: Some(evidence),
                moment: Moment {
                    now,
                    window_end: has_window.then_some(now),
                    epoch,
                    keys_epoch: None,
                },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, max_local_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn what_a_stronger_check_confirms_the_weaker_one_confirms_too(
        (old, new, engine) in pair(),
        seen in observation(),
    ) {
        let (Some(old), Some(new)) = (check(&old, engine), check(&new, engine)) else {
            return Ok(());
        };
        let world = World { rules: &|_| None, now: NOW.parse().unwrap() };
        let differences = differences(&old, &new, &world);
        let is_stronger = differences
            .iter()
            .all(|one| matches!(one.class, Class::Stronger | Class::Routing | Class::Exposes));
        if !is_stronger {
            return Ok(());
        }
        let confirms = |check: &Check| {
            let mut seen = seen.clone();
            if check.expect().unwrap().keys().is_none() {
                seen.expected_keys = None;
            }
            judge(check, check.expect().unwrap(), &seen).verdict == Verdict::Confirmed
        };
        if confirms(&new) {
            prop_assert!(confirms(&old), "{differences:#?}");
        }
    }
}

#[test]
fn the_law_is_tried_on_many_pairs_that_it_is_about() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let world = World { rules: &|_| None, now: NOW.parse().unwrap() };
    let (mut stronger, mut telling) = (0, 0);
    for _ in 0..3_000 {
        let (old, new, engine) = pair().new_tree(&mut runner).unwrap().current();
        let seen = observation().new_tree(&mut runner).unwrap().current();
        let (Some(old), Some(new)) = (check(&old, engine), check(&new, engine)) else { continue };
        let found = differences(&old, &new, &world);
        let is_stronger = !found.is_empty() && found.iter().all(|d| d.class == Class::Stronger);
        stronger += usize::from(is_stronger);
        let mut seen = seen;
        if new.expect().unwrap().keys().is_none() {
            seen.expected_keys = None;
        }
        let verdict = judge(&new, new.expect().unwrap(), &seen).verdict;
        telling += usize::from(is_stronger && verdict == Verdict::Confirmed);
    }
    assert!(stronger > 150 && telling > 12, "{stronger} {telling}");
}
