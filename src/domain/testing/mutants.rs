//! Mutants: a check with one small mistake in it, which its tests have to notice.
//!
//! Changes are made at the tokens of the SQL, so that all else stays as it was written and each has its line; and in the
//! limits of the language. What feeds nothing that is judged is left alone.

mod alive;
mod clauses;
mod lenient;
mod near;
mod rules;
mod sql;

use std::collections::BTreeSet;

use crate::domain::check::evidence::{Evidence, Measure, Minimum};
use crate::domain::check::limit::Limit;
use crate::domain::check::name::ColumnName;
use crate::domain::check::value::Value;
use crate::domain::check::{Body, Check, Expect, Keys};
use crate::domain::reconcile::Reconcile;
use crate::domain::sql::aggregate::Holds;
use crate::domain::sql::words::Words;
use crate::domain::sql::{Binding, Query};
use crate::domain::table::Table;
use crate::domain::testing::mutants::alive::{Nulls, nulls};
use crate::domain::testing::mutants::sql::Change;

/// A check with one mistake.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The check with it.
    pub check: Check,
    /// In which part of the check.
    pub part: &'static str,
    /// The line of the SQL at fault, as it is written; empty where it is none.
    pub line: String,
    /// What was changed: `left join` → `join`.
    pub change: String,
    /// What nothing would notice.
    pub meaning: String,
    /// What has to be true of the columns of a table for it to be noticed, where that is known.
    pub needs: Option<Needs>,
}

/// What has to be true of columns of tables for a mistake to make a difference. Names are in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// It can be NULL.
    Null(String),
    /// It holds texts.
    Text(String),
    /// It can hold the same value twice.
    Repeated(String),
    /// They hold whole numbers.
    Whole {
        /// Which ones.
        columns: Vec<String>,
        /// Whether sums of them are taken: PostgreSQL's sum of `bigint` is no whole number.
        is_summed: bool,
    },
}

impl Mutant {
    /// What it is called in a list of those that are accepted: the part, and what was changed there.
    pub fn name(&self) -> String {
        format!("{}: {}", self.part, self.change)
    }
}

/// All mutants of a check, each once.
pub fn of_check(check: &Check) -> Vec<Mutant> {
    let mut all = Vec::new();
    match &check.body {
        Body::Sql { query, expect } => {
            let judged = check.columns_read();
            let judged: BTreeSet<String> =
                judged.iter().map(|column| column.as_str().to_lowercase()).collect();
            let put = |query| Body::Sql { query, expect: expect.clone() };
            of_query(check, "sql", query, Some(&judged), |c, q| c.body = put(q), &mut all);
            of_expect(check, query, expect, &mut all);
        }
        Body::Reconcile(reconcile) => of_sides(check, reconcile, &mut all),
        Body::Table(table) => of_table(check, table, &mut all),
    }
    of_evidence(check, &mut all);
    let mut seen = BTreeSet::new();
    all.retain(|mutant| seen.insert((mutant.name(), mutant.line.clone())));
    numbered(all)
}

/// The mutants of what proves that something was looked at.
fn of_evidence(check: &Check, all: &mut Vec<Mutant>) {
    let said_by_result = is_null_over_nothing(check);
    if let (Measure::Query(query), false) = (&check.evidence.measure, said_by_result) {
        let put = |check: &mut Check, query| {
            check.evidence = Evidence { measure: Measure::Query(query), ..check.evidence.clone() };
        };
        of_query(check, "evidence", query, None, put, all);
    }
    // The one row of an aggregate is always there.
    let always = matches!(&check.body, Body::Sql { query, .. } if query.over_nothing().is_row())
        && check.evidence.measure == Measure::Rows;
    for (evidence, change) in rules::weaker_evidence(&check.evidence) {
        let of_nothing = matches!(evidence.minimum, Minimum::Waived { .. });
        if always || of_nothing && said_by_result {
            continue;
        }
        let mut weaker = check.clone();
        weaker.evidence = evidence;
        all.push(plain(weaker, "evidence", change, "too little is looked at"));
    }
}

/// Says whether over nothing the result is NULL, and NULL proves nothing: then evidence says nothing beside it.
fn is_null_over_nothing(check: &Check) -> bool {
    let Body::Sql { query, expect } = &check.body else { return false };
    let is_null = |(column, limit): (&ColumnName, &Limit)| {
        query.over_nothing().column(column.as_str()) == Some(Holds::Null)
            && !limit.holds(&Value::Null)
    };
    !expect.values().is_empty() && expect.values().iter().any(is_null)
}

/// Tells those apart that are called alike, by their number.
fn numbered(mut all: Vec<Mutant>) -> Vec<Mutant> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for mutant in &mut all {
        let plain = mutant.change.clone();
        let mut number = 1;
        while !names.insert(mutant.name()) {
            number += 1;
            mutant.change = format!("{plain} ({number})");
        }
    }
    all
}

fn plain(check: Check, part: &'static str, change: String, meaning: &str) -> Mutant {
    let (line, meaning) = (String::new(), meaning.to_owned());
    Mutant { check, part, line, change, meaning, needs: None }
}

/// The mutants of one query of a check.
fn of_query(
    check: &Check,
    part: &'static str,
    query: &Query,
    judged: Option<&BTreeSet<String>>,
    put: impl Fn(&mut Check, Query),
    all: &mut Vec<Mutant>,
) {
    for Change { text, line, change, meaning, needs } in sql::changes(query, judged) {
        let Ok(changed) = Query::parse(&text, query.engine(), binding(check)) else { continue };
        let mut mutant = check.clone();
        put(&mut mutant, changed);
        all.push(Mutant { check: mutant, part, line, change, meaning, needs });
    }
}

fn binding(check: &Check) -> Binding {
    if check.window.is_some() { Binding::Window } else { Binding::Nothing }
}

/// A check that expects something else.
fn expecting(
    check: &Check,
    query: &Query,
    expect: Expect,
    change: String,
    meaning: &str,
) -> Mutant {
    let mut mutant = check.clone();
    mutant.body = Body::Sql { query: query.clone(), expect: Box::new(expect) };
    plain(mutant, "expect", change, meaning)
}

/// The mutants of the limits of columns.
fn of_values(check: &Check, query: &Query, expect: &Expect, all: &mut Vec<Mutant>) {
    let words = Words::of(query);
    let with = |values| Expect::new(expect.rows().cloned(), values, expect.keys().cloned());
    for (column, limit) in expect.values() {
        for (wider, change) in limit.wider() {
            let (meaning, nulls) = match change.as_str() {
                "→ `nulls: allowed`" => ("NULL is as good", nulls(&words, column.as_str())),
                "`nulls: allowed` → none" => ("NULL is not allowed", Nulls::Perhaps),
                _ => ("a value just beyond its limit is as good", Nulls::Perhaps),
            };
            // NULL over nothing is no evidence, whatever the limit says.
            let over_nothing = query.over_nothing().column(column.as_str()) == Some(Holds::Null)
                && check.evidence.measure == Measure::Rows;
            let needs = match nulls {
                Nulls::Perhaps if over_nothing && meaning == "NULL is as good" => continue,
                Nulls::Never => continue,
                Nulls::As(column) => Some(Needs::Null(column)),
                Nulls::Perhaps => None,
            };
            let mut values = expect.values().clone();
            values.insert(column.clone(), wider);
            let change = format!("{column}: {change}");
            let mutant =
                with(values).map(|expect| expecting(check, query, expect, change, meaning));
            all.extend(mutant.map(|mutant| Mutant { needs, ..mutant }));
        }
        let mut others = expect.values().clone();
        others.remove(column);
        let (change, meaning) = (format!("{column} → no limit"), "the column may hold anything");
        all.extend(with(others).map(|expect| expecting(check, query, expect, change, meaning)));
    }
}

/// The mutants of what healthy means.
fn of_expect(check: &Check, query: &Query, expect: &Expect, all: &mut Vec<Mutant>) {
    of_values(check, query, expect, all);
    let mut with = |expect: Option<Expect>, change: String, meaning: &str| {
        all.extend(expect.map(|expect| expecting(check, query, expect, change, meaning)));
    };
    let (rows, values, keys) = (expect.rows(), expect.values(), expect.keys());
    for (wider, change) in rows.iter().flat_map(|limit| limit.wider()) {
        let wider = Expect::new(Some(wider), values.clone(), keys.cloned());
        with(wider, format!("rows: {change}"), "a row too few or too many is as good");
    }
    if let Some(keys) = keys {
        let meaning = "keys that have to appear need not";
        with(Expect::new(rows.cloned(), values.clone(), None), "keys → none".to_owned(), meaning);
        for (at, column) in keys.columns.iter().enumerate().filter(|_| keys.columns.len() > 1) {
            let mut fewer = keys.clone();
            fewer.columns.remove(at);
            let meaning = "a key is known by fewer columns";
            let expect = Expect::new(rows.cloned(), values.clone(), Some(fewer));
            with(expect, format!("keys without {column}"), meaning);
        }
        let judged: BTreeSet<String> =
            keys.columns.iter().map(|column| column.as_str().to_lowercase()).collect();
        let put = |check: &mut Check, from| {
            let keys = Keys { from, ..keys.clone() };
            if let Some(expect) = Expect::new(rows.cloned(), values.clone(), Some(keys)) {
                check.body = Body::Sql { query: query.clone(), expect: Box::new(expect) };
            }
        };
        of_query(check, "keys", &keys.from, Some(&judged), put, all);
    }
}

/// The mutants of two sides that have to be the same.
fn of_sides(check: &Check, reconcile: &Reconcile, all: &mut Vec<Mutant>) {
    let read: BTreeSet<String> =
        reconcile.terms.columns().map(|column| column.as_str().to_lowercase()).collect();
    let put = |change: &dyn Fn(&mut Reconcile, Query), check: &mut Check, query| {
        let mut changed = reconcile.clone();
        change(&mut changed, query);
        check.body = Body::Reconcile(Box::new(changed));
    };
    let left = |check: &mut Check, query| put(&|r, q| r.left.query = q, check, query);
    of_query(check, "left", &reconcile.left.query, Some(&read), left, all);
    let right = |check: &mut Check, query| put(&|r, q| r.right.query = q, check, query);
    of_query(check, "right", &reconcile.right.query, Some(&read), right, all);
    for (terms, change) in rules::wider_terms(&reconcile.terms) {
        let mut mutant = check.clone();
        mutant.body = Body::Reconcile(Box::new(Reconcile { terms, ..reconcile.clone() }));
        all.push(plain(mutant, "compare", change, "a difference is as good"));
    }
}

/// The mutants of rules for a table.
fn of_table(check: &Check, table: &Table, all: &mut Vec<Mutant>) {
    for (rules, change) in rules::wider_rules(table.rules(), table.engine(), binding(check)) {
        let Ok(table) = Table::new(rules, table.engine()) else { continue };
        let mut mutant = check.clone();
        mutant.body = Body::Table(Box::new(table));
        let column =
            |change: &str| change.split_once(": → `nulls:").map(|(name, _)| name.to_lowercase());
        let unique = change.strip_prefix("unique ").and_then(|rest| rest.strip_suffix(" → gone"));
        let needs = column(&change)
            .map(Needs::Null)
            .or_else(|| unique.map(|name| Needs::Repeated(name.to_lowercase())));
        let meaning = if change.ends_with("`nulls: never`") {
            "NULL is not allowed any more"
        } else if matches!(needs, Some(Needs::Null(_))) {
            "NULL is as good"
        } else if change.ends_with("gone") || change.ends_with("any") {
            "the rule is not there"
        } else {
            "a value just beyond the rule is as good"
        };
        all.push(Mutant { needs, ..plain(mutant, "table", change, meaning) });
    }
}
