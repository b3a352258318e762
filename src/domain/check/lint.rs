//! What a check as a whole cannot prove, and what its author hardly means.

use std::collections::BTreeSet;

use crate::domain::check::code::Code;
use crate::domain::check::evidence::Measure;
use crate::domain::check::limit::Limit;
use crate::domain::check::name::ColumnName;
use crate::domain::check::value::Value;
use crate::domain::check::{Body, Check, Expect, Keys};
use crate::domain::reconcile::Reconcile;
use crate::domain::sql::lint::{Role, remarks};
use crate::domain::sql::reads::calls_beside;
use crate::domain::sql::words::{Tok, Words};
use crate::domain::sql::{Engine, Query};
use crate::domain::time::window::ZoneChoice;

/// Which part of a check something is told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Its query.
    Body,
    /// Its query for evidence.
    Evidence,
    /// Its query for the keys that are expected.
    KeysFrom,
    /// The left query of a reconciliation.
    Left,
    /// The right one.
    Right,
    /// The left query for rows.
    DetailLeft,
    /// The right one.
    DetailRight,
    /// The limit of a column.
    Limit(ColumnName),
    /// How a column is compared.
    Compare(ColumnName),
    /// All that is expected.
    Expect,
}

/// Something that is told about a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub code: Code,
    /// Of which part.
    pub part: Part,
    /// Where inside of its SQL: line and column, from 1.
    pub inside: Option<(u64, u64)>,
    /// What is odd.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl Finding {
    fn new(code: Code, part: Part, message: impl Into<String>, hint: &str) -> Self {
        Self { code, part, inside: None, message: message.into(), hint: hint.to_owned() }
    }
}

/// Everything that a check gives away by itself, without any database.
pub fn findings(check: &Check) -> Vec<Finding> {
    let mut all = Vec::new();
    for (part, query) in queries(check) {
        let role = Role {
            is_evidence: part == Part::Evidence,
            in_window: check.window.is_some(),
            in_utc: check.window.as_ref().is_none_or(|window| match &window.zones {
                ZoneChoice::Nowhere => true,
                ZoneChoice::One(zone) => *zone == crate::domain::time::zone::ZoneName::utc(),
                ZoneChoice::Each(_) | ZoneChoice::From(_) => false,
            }),
        };
        all.extend(remarks(query, role).into_iter().map(|remark| Finding {
            code: remark.code,
            part: part.clone(),
            inside: Some((remark.line, remark.column)),
            message: remark.message,
            hint: remark.hint,
        }));
    }
    match &check.body {
        Body::Sql { query, expect } => {
            let words = Words::of(query);
            cannot_fail(query, &words, expect, &mut all);
            not_grouped(query, &words, expect, &mut all);
            newest(&words, expect, &mut all);
            tolerances(expect, &mut all);
            if let Some(keys) = expect.keys() {
                keys_from_themselves(check, &words, keys, &mut all);
            }
            catalogue_views(check, &words, expect, &mut all);
        }
        Body::Reconcile(reconcile) => reconciled(check, reconcile, &mut all),
        // Its statements are the program's own.
        Body::Table(_) => {}
    }
    evidence(check, &mut all);
    all
}

fn queries(check: &Check) -> Vec<(Part, &Query)> {
    let mut all = Vec::new();
    match &check.body {
        Body::Sql { query, expect } => {
            all.push((Part::Body, query));
            all.extend(expect.keys().map(|keys| (Part::KeysFrom, &keys.from)));
        }
        Body::Reconcile(reconcile) => {
            all.extend([
                (Part::Left, &reconcile.left.query),
                (Part::Right, &reconcile.right.query),
            ]);
            let detail = reconcile.detail.iter();
            all.extend(
                detail.flat_map(|d| [(Part::DetailLeft, &d.left), (Part::DetailRight, &d.right)]),
            );
        }
        Body::Table(_) => {}
    }
    if let Measure::Query(query) = &check.evidence.measure {
        all.push((Part::Evidence, query));
    }
    all
}

/// The item of a column in a select list, without its name.
fn item(words: &Words, column: &ColumnName) -> Option<std::ops::Range<usize>> {
    let items = words.items()?;
    let named = |item: &std::ops::Range<usize>| {
        let (name, tokens) = words.named(item);
        name.is_some_and(|name| name.eq_ignore_ascii_case(column.as_str())).then_some(tokens)
    };
    items.iter().find_map(named).filter(|tokens| !tokens.is_empty())
}

/// What a column is at least, whatever the data, where its words say so; or the one value that it always has.
enum Always {
    AtLeast(u64),
    Is(Value),
}

fn always(words: &Words, tokens: &std::ops::Range<usize>) -> Option<Always> {
    let first = tokens.start;
    // Parentheses around all of it change nothing.
    if words.tok(first) == Some(&Tok::Open)
        && words.closing(first) + 1 == tokens.end
        && tokens.len() > 2
    {
        return always(words, &(first + 1..tokens.end - 1));
    }
    if words.calls(first, &["count"]) && words.closing(first + 1) + 1 == tokens.end {
        let rows = words.tok(first + 2) == Some(&Tok::Sign("*"))
            || matches!(words.tok(first + 2), Some(Tok::Number(_)));
        return Some(Always::AtLeast(u64::from(rows && words.is_grouped())));
    }
    if tokens.len() > 1 {
        return None;
    }
    let value = match words.tok(first)? {
        Tok::Number(number) => Value::Number(crate::domain::check::number::Number::parse(number)?),
        Tok::Text(text) | Tok::DoubleQuoted(text) => Value::Text(text.clone()),
        Tok::Word(word) if word == "true" || word == "false" => Value::Bool(word == "true"),
        Tok::Word(_)
        | Tok::Name(_)
        | Tok::Param(_)
        | Tok::Compare(_)
        | Tok::Sign(_)
        | Tok::Open
        | Tok::Close
        | Tok::Comma
        | Tok::Dot
        | Tok::Other => return None,
    };
    Some(Always::Is(value))
}

/// An expectation that holds whatever the data is none; a check of nothing else proves nothing.
fn cannot_fail(query: &Query, words: &Words, expect: &Expect, all: &mut Vec<Finding>) {
    if expect.keys().is_some() {
        return;
    }
    let rows = expect.rows().is_none_or(|limit| query.over_nothing().is_row() && limit.holds(1));
    let holds = |(column, limit): (&ColumnName, &Limit)| match item(words, column)
        .and_then(|tokens| always(words, &tokens))
    {
        None => false,
        Some(Always::AtLeast(least)) => limit.holds_from(least),
        Some(Always::Is(value)) => limit.holds(&value),
    };
    if rows && expect.values().iter().all(holds) {
        let constant = |column| {
            let always = item(words, column).and_then(|tokens| always(words, &tokens));
            matches!(always, Some(Always::Is(_)))
        };
        let hint = if !expect.values().is_empty() && expect.values().keys().all(constant) {
            "what is judged is written in the query itself: select something of the data"
        } else if words.is_grouped() {
            "a group has at least one row: name who must appear under `keys`, or count without `group by`"
        } else {
            "an aggregate brings one row whatever there is: limit what it holds, under `values`"
        };
        let message = "no expectation of this check can fail, whatever the data";
        all.push(Finding::new(Code::CannotFail, Part::Expect, message, hint));
    }
}

/// Engines that take any row's value for a column that is not grouped.
fn not_grouped(query: &Query, words: &Words, expect: &Expect, all: &mut Vec<Finding>) {
    let Some(by) = words.find_outside(0, "group").filter(|_| words.is_grouped()) else { return };
    if query.engine() == Engine::Postgres {
        return;
    }
    let grouped: Vec<&Tok> = words.0[by + 2..].iter().map(|at| &at.tok).collect();
    // Grouped by a primary key, everything else follows from it.
    let by_key = grouped.iter().any(
        |tok| matches!(tok, Tok::Word(word) | Tok::Name(word) if word.eq_ignore_ascii_case("id")),
    );
    let by_place = grouped.iter().any(|tok| matches!(tok, Tok::Number(_)));
    for column in expect.values().keys().filter(|_| !by_key && !by_place) {
        let Some(tokens) = item(words, column) else { continue };
        let last = &words.0[tokens.end - 1].tok;
        let is_column = tokens
            .clone()
            .all(|i| matches!(words.tok(i), Some(Tok::Word(_) | Tok::Name(_) | Tok::Dot)));
        let name = |tok: &Tok| match tok {
            Tok::Word(name) | Tok::Name(name) => Some(name.to_lowercase()),
            Tok::Text(_)
            | Tok::DoubleQuoted(_)
            | Tok::Number(_)
            | Tok::Param(_)
            | Tok::Compare(_)
            | Tok::Sign(_)
            | Tok::Open
            | Tok::Close
            | Tok::Comma
            | Tok::Dot
            | Tok::Other => None,
        };
        let by_alias = grouped
            .iter()
            .any(|tok| name(tok).is_some_and(|n| n == column.as_str().to_lowercase()));
        let by_name = grouped.iter().any(|tok| name(tok) == name(last));
        if is_column && name(last).is_some() && !by_name && !by_alias {
            let place = words.0[tokens.start].place;
            let message = format!(
                "`{column}` is neither grouped nor aggregated: the server takes that of any row"
            );
            let hint = "aggregate it (`min`, `max`, `sum`), or add it to `group by`";
            let finding = Finding::new(Code::NotGrouped, Part::Body, message, hint);
            all.push(Finding { inside: Some((place.line, place.column)), ..finding });
        }
    }
}

/// One row of the future makes data look fresh for ever.
fn newest(words: &Words, expect: &Expect, all: &mut Vec<Finding>) {
    for (column, limit) in expect.values() {
        let newest = item(words, column).is_some_and(|tokens| words.calls(tokens.start, &["max"]));
        if newest && limit.is_only_from_an_instant() {
            let message = format!("one row of the future satisfies `{column}` for ever");
            let hint = "limit it from above too, or limit the age: `now() - max(…)` in seconds, with `min` and `max`";
            all.push(Finding::new(Code::NoUpperLimit, Part::Limit(column.clone()), message, hint));
        }
    }
}

fn tolerances(expect: &Expect, all: &mut Vec<Finding>) {
    for (column, _) in expect.values().iter().filter(|(_, limit)| limit.tolerates_itself()) {
        let message = "the tolerance is as large as what it tolerates";
        let hint = "write a smaller one";
        all.push(Finding::new(Code::WideTolerance, Part::Limit(column.clone()), message, hint));
    }
}

/// Keys that are read from where they have to appear always appear.
fn keys_from_themselves(check: &Check, words: &Words, keys: &Keys, all: &mut Vec<Finding>) {
    let from = Words::of(&keys.from);
    let tables = from.tables();
    // Those of another window are another set: `at >= :window_start - interval '7 days'`.
    let moved = (0..from.0.len()).any(|i| match from.tok(i) {
        Some(Tok::Param(parameter)) => {
            parameter.is_past() || matches!(from.tok(i + 1), Some(Tok::Sign("+" | "-")))
        }
        Some(_) | None => false,
    });
    let windowed = keys.from.parameters().next().is_some() || check.window.is_none();
    if keys.source == check.source
        && !tables.is_empty()
        && tables.is_subset(&words.tables())
        && !moved
        && windowed
    {
        let message = "the expected keys are read from where they have to appear: a key that is missing is expected nowhere";
        let hint = "read them from another table, or from an earlier window (`past`)";
        all.push(Finding::new(Code::KeysFromThemselves, Part::KeysFrom, message, hint));
    }
}

/// Views of the catalogue that show a role only what is its own, and say nothing about the rest.
const HIDING: [&str; 8] = [
    "pg_stat_activity",
    "pg_stat_statements",
    "pg_stats",
    "pg_settings",
    "pg_policies",
    "pg_locks",
    "processlist",
    "pg_stat_replication",
];

fn catalogue_views(check: &Check, words: &Words, expect: &Expect, all: &mut Vec<Finding>) {
    let mut tables = words.tables();
    if let Measure::Query(query) = &check.evidence.measure {
        tables.extend(Words::of(query).tables());
    }
    let hides = |table: &&String| {
        let last = table.rsplit('.').next().unwrap_or(table);
        table.starts_with("information_schema.") || HIDING.contains(&last)
    };
    if let Some(view) = tables.iter().find(hides).filter(|_| expect.allows_zero_rows()) {
        let message = format!(
            "`{view}` shows a role what it may see, and no error for the rest: no rows may be hidden rows"
        );
        let hint = "read a table of the catalogue that hides nothing (`pg_class`, `pg_attribute`), or expect what must be there";
        all.push(Finding::new(Code::CatalogueView, Part::Body, message, hint));
    }
}

fn reconciled(check: &Check, reconcile: &Reconcile, all: &mut Vec<Finding>) {
    let sides = [Words::of(&reconcile.left.query), Words::of(&reconcile.right.query)];
    let same = |a: &Words, b: &Words| a.normal() == b.normal();
    if reconcile.left.source == reconcile.right.source && same(&sides[0], &sides[1]) {
        let message = "both sides are the same query of the same source: they cannot differ";
        all.push(Finding::new(
            Code::ComparedWithItself,
            Part::Right,
            message,
            "ask another table, or another source",
        ));
    }
    let names = |words: &Words| -> BTreeSet<String> {
        let items = words.items().unwrap_or_default();
        items.iter().filter_map(|item| words.named(item).0.map(str::to_lowercase)).collect()
    };
    let counted = match &check.evidence.measure {
        Measure::Column(column) => Some(column),
        Measure::Rows | Measure::ExpectedKeys | Measure::Query(_) => None,
    };
    let known = reconcile.terms.columns().chain(counted);
    let known: BTreeSet<String> = known.map(|c| c.as_str().to_lowercase()).collect();
    let both: Vec<String> = names(&sides[0]).intersection(&names(&sides[1])).cloned().collect();
    let idle: Vec<&String> = both.iter().filter(|name| !known.contains(*name)).collect();
    if let [first, ..] = idle.as_slice() {
        let message = format!("both sides bring `{first}`, and nothing compares it");
        let hint = format!(
            "add it under `compare`: `{first}: {{tolerance: 0}}`, or leave it out of the queries"
        );
        all.push(Finding::new(Code::NotCompared, Part::Left, message, &hint));
    }
    for (column, _) in reconcile.terms.compare.iter().filter(|(_, tolerance)| tolerance.is_half()) {
        let message = "the tolerance is as large as what it tolerates";
        let finding = Finding::new(
            Code::WideTolerance,
            Part::Compare(column.clone()),
            message,
            "write a smaller one",
        );
        all.push(finding);
    }
}

fn evidence(check: &Check, all: &mut Vec<Finding>) {
    let Measure::Query(query) = &check.evidence.measure else { return };
    let words = Words::of(query);
    let tables = words.tables();
    if tables.is_empty() && !calls_beside(&words, &[]) {
        let message = "this evidence reads nothing: it is the same whatever there is to look at";
        let hint = "count what the check looks at: `select count(*) from …`";
        all.push(Finding::new(Code::EvidenceOfNothing, Part::Evidence, message, hint));
        return;
    }
    let body: BTreeSet<String> = match &check.body {
        Body::Sql { query, .. } => Words::of(query).tables(),
        Body::Reconcile(reconcile) => Words::of(&reconcile.left.query).tables(),
        Body::Table(_) => BTreeSet::new(),
    };
    let last = |table: &String| table.rsplit('.').next().unwrap_or(table).to_owned();
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
        (tables.iter().map(last).collect(), body.iter().map(last).collect());
    if !ours.is_empty() && !theirs.is_empty() && ours.is_disjoint(&theirs) {
        let message = "this evidence counts another table than the check looks at";
        let hint = "count the rows that are judged, with the same conditions but the one that finds the wrong ones";
        all.push(Finding::new(Code::EvidenceElsewhere, Part::Evidence, message, hint));
    }
}
