//! The judgement: from a check and what was observed to a verdict.
//!
//! The order is the point. A contradiction that was read is a fact, whatever else is missing. A
//! result that was cut proves nothing. Too little evidence proves nothing. What is left is proved.

mod keys;

use std::collections::BTreeSet;

use chrono::DateTime;

use crate::domain::check::evidence::{Measure, Minimum};
use crate::domain::check::judge::keys::missing_keys;
use crate::domain::check::limit::Limit;
use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::check::observation::{Completeness, Observation, Rows};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::check::verdict::{Contradiction, Finding, Verdict};
use crate::domain::check::{Body, Check, Expect, MASKED};
use crate::domain::reconcile::cell::{Cell, Epoch, Kind};
use crate::domain::sql::Engine;
use crate::domain::sql::aggregate::Holds;

/// How many values of a kind are shown.
pub(in crate::domain) const SHOWN: usize = 5;

/// A verdict, and how much was looked at for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The evidence, where it could be counted.
    pub evidence: Option<u64>,
}

/// Judges what was observed.
pub fn judge(check: &Check, expect: &Expect, seen: &Observation) -> Judgement {
    let evidence = evidence(check, seen);
    let mut bad_rows = BTreeSet::new();
    let mut contradictions = Vec::new();
    contradictions.extend(wrong_number_of_rows(expect, &seen.body, &mut bad_rows));
    let values = broken_values(check, expect, seen, &evidence, &mut bad_rows);
    contradictions.extend(values.contradictions);
    if let (Some(keys), Some(expected)) = (expect.keys(), &seen.expected_keys) {
        contradictions.extend(missing_keys(check, keys, expected, seen));
    }
    let verdict = if contradictions.is_empty() {
        match reason(check, expect, seen, &evidence).or(values.reason) {
            Some(reason) => Verdict::Unconfirmed(reason),
            None => Verdict::Confirmed,
        }
    } else {
        let rows = shown_rows(check, &seen.body, &bad_rows, &contradictions);
        Verdict::Violated(Finding { contradictions, cut: seen.body.is_cut(), rows })
    };
    Judgement { verdict, evidence: evidence.ok() }
}

fn evidence(check: &Check, seen: &Observation) -> Result<u64, Reason> {
    match &check.evidence.measure {
        Measure::Rows => Ok(seen.body.count()),
        Measure::ExpectedKeys => Ok(seen.expected_keys.as_ref().map_or(0, Rows::count)),
        Measure::Column(column) => summed(column, &seen.body),
        Measure::Query(_) => seen.evidence.as_ref().map_or(Ok(0), count),
    }
}

/// Reads the answer of the evidence query.
///
/// # Errors
/// Where it is no count.
pub fn count(value: &Value) -> Result<u64, Reason> {
    let (counted, seen) = match value {
        Value::Number(number) => (number.as_count(), "negative or a fraction"),
        other @ (Value::Null
        | Value::NonFinite(_)
        | Value::Text(_)
        | Value::Bool(_)
        | Value::Date(_)
        | Value::Instant(_)
        | Value::NoDate(_)) => (None, other.kind()),
    };
    counted.ok_or_else(|| {
        let rule = "evidence is one non-negative whole number, and the answer is";
        Reason::new(Cause::QueryError, format!("{rule} {seen}"))
    })
}

fn summed(column: &ColumnName, body: &Rows) -> Result<u64, Reason> {
    let at = body.position(column);
    let not_a_count = |what: &str| {
        Reason::new(
            Cause::QueryError,
            format!("evidence column `{column}` is {what} on a row, and evidence is a count"),
        )
    };
    let mut sum = Number::from(0_u64);
    for row in body.rows() {
        match &row[at] {
            Value::Number(n) if n.is_negative() => return Err(not_a_count("negative")),
            Value::Number(n) => sum = sum.plus(n),
            other @ (Value::Null
            | Value::NonFinite(_)
            | Value::Text(_)
            | Value::Bool(_)
            | Value::Date(_)
            | Value::Instant(_)
            | Value::NoDate(_)) => return Err(not_a_count(other.kind())),
        }
    }
    sum.as_count().ok_or_else(|| not_a_count("a fraction or too large, summed up,"))
}

fn wrong_number_of_rows(
    expect: &Expect,
    body: &Rows,
    bad_rows: &mut BTreeSet<usize>,
) -> Option<Contradiction> {
    let limit = expect.rows()?;
    let (seen, wrong) = match body.completeness() {
        Completeness::Whole => (body.count(), !limit.holds(body.count())),
        // One row more was seen than was kept.
        Completeness::RowsCut => (body.count() + 1, limit.is_past(body.count() + 1)),
        Completeness::BytesCut => (body.count(), limit.is_past(body.count())),
    };
    if !wrong {
        return None;
    }
    bad_rows.extend(0..body.rows().len());
    Some(Contradiction::Rows { expected: limit.to_string(), seen })
}

/// What the limits on values say.
#[derive(Default)]
struct Judged {
    contradictions: Vec<Contradiction>,
    /// Why a limit says nothing.
    reason: Option<Reason>,
}

fn broken_values(
    check: &Check,
    expect: &Expect,
    Observation { body, moment, .. }: &Observation,
    evidence: &Result<u64, Reason>,
    bad_rows: &mut BTreeSet<usize>,
) -> Judged {
    // Rows that break a limit come first among those shown, whatever the number of rows says.
    let mut broken_rows = BTreeSet::new();
    let mut judged = Judged::default();
    // Whether some limit met something other than NULL.
    let mut met = expect.values().is_empty() || body.rows().is_empty();
    for (column, limit) in expect.values() {
        let at = body.position(column);
        let Some(limit) = limit.at(moment) else {
            let note = format!(
                "the limit of `{column}` is relative to the end of a window, and there is none"
            );
            judged.reason.get_or_insert(Reason::new(Cause::QueryError, note));
            continue;
        };
        let limit = limit.as_ref();
        let read: Vec<Value> =
            body.rows().iter().map(|row| in_time(&row[at], limit, moment.epoch)).collect();
        let broken: Vec<usize> = (0..read.len()).filter(|row| !limit.holds(&read[*row])).collect();
        if broken.is_empty() {
            met |= read.iter().any(|value| *value != Value::Null);
            continue;
        }
        met = true;
        let values = || read.iter();
        let engine = match &check.body {
            Body::Sql { query, .. } => query.engine(),
            Body::Reconcile(reconcile) => reconcile.left.query.engine(),
            Body::Table(table) => table.engine(),
        };
        let reason = wrong_type(engine, column, limit, values())
            .or_else(|| aggregate_of_nothing(check, column, values(), evidence));
        if let Some(reason) = reason {
            judged.reason.get_or_insert(reason);
            continue;
        }
        judged.contradictions.push(Contradiction::Values {
            column: column.clone(),
            expected: limit.to_string(),
            rows: u64::try_from(broken.len()).unwrap_or(u64::MAX),
            of: body.count(),
            seen: match check.masks(column) {
                true => Vec::new(),
                false => {
                    broken.iter().take(SHOWN).map(|row| shown_value(limit, &read[*row])).collect()
                }
            },
        });
        broken_rows.extend(broken);
    }
    if !broken_rows.is_empty() {
        *bad_rows = broken_rows;
    }
    if !met && !matches!(check.evidence.minimum, Minimum::Waived { .. }) {
        judged.reason.get_or_insert_with(nothing_but_null);
    }
    judged
}

/// A number as the instant that it is where a source keeps instants as numbers, held against a limit of time.
pub(in crate::domain) fn in_time(value: &Value, limit: &Limit, epoch: Option<Epoch>) -> Value {
    if epoch.is_none() || !matches!(value, Value::Number(_)) || !limit.is_of_time() {
        return value.clone();
    }
    let read = Cell::new(value.clone(), false).read_as(Kind::Instant, epoch);
    match read {
        Some(Cell::Instant(micros)) => {
            DateTime::from_timestamp_micros(micros).map_or_else(|| value.clone(), Value::Instant)
        }
        Some(_) | None => value.clone(),
    }
}

/// Limits that met no value but NULL were held against nothing.
pub(in crate::domain) fn nothing_but_null() -> Reason {
    let note = "every value that is judged is NULL, so that no limit was held against anything: is the column filled at \
                all? Where that may be, say why: `evidence: {min: 0, because: …}`";
    Reason::new(Cause::NoEvidence, note)
}

/// A limit that no value of the column can be held against: the check is at fault, and not the data.
pub(in crate::domain) fn wrong_type<'a>(
    engine: Engine,
    column: &ColumnName,
    limit: &Limit,
    values: impl Iterator<Item = &'a Value>,
) -> Option<Reason> {
    let mut typed = values.filter(|value| is_typed(value)).peekable();
    let kind = typed.peek()?.kind();
    // There a column has no type of its own: a value of another one is a value that is wrong.
    if engine == Engine::Sqlite && limit.is_ordered() {
        return None;
    }
    if typed.any(|value| limit.understands(value)) {
        return None;
    }
    let note = format!(
        "`{column}` is {kind}, and the limit, {limit}, is none: write the limit in the type of the column, or select \
         what it is to be held against"
    );
    Some(Reason::new(Cause::QueryError, note))
}

/// The NULL of an aggregate that may have had nothing to look at: evidence that was counted elsewhere says that it
/// had something.
fn aggregate_of_nothing<'a>(
    check: &Check,
    column: &ColumnName,
    values: impl Iterator<Item = &'a Value>,
    evidence: &Result<u64, Reason>,
) -> Option<Reason> {
    let Body::Sql { query, .. } = &check.body else { return None };
    let counted = match check.evidence.measure {
        Measure::Rows | Measure::ExpectedKeys => false,
        Measure::Column(_) | Measure::Query(_) => evidence.as_ref().is_ok_and(|count| *count > 0),
    };
    let waived = matches!(check.evidence.minimum, Minimum::Waived { .. });
    // Each part of a union brings such a row.
    let mut values = values.peekable();
    let is_null = query.over_nothing().column(column.as_str()) == Some(Holds::Null)
        && values.peek().is_some()
        && values.all(|value| *value == Value::Null);
    if counted || waived || !is_null {
        return None;
    }
    let note = format!(
        "`{column}` is NULL, as an aggregate over nothing is; `evidence: {{sql: select count(*) from …}}` counts what \
         there was, and `nulls: allowed` takes NULL for good"
    );
    Some(Reason::new(Cause::NoEvidence, note))
}

fn is_typed(value: &Value) -> bool {
    match value {
        Value::Number(_) | Value::Text(_) | Value::Bool(_) | Value::Date(_) | Value::Instant(_) => {
            true
        }
        // These say themselves that they are nothing of the kind.
        Value::Null | Value::NonFinite(_) | Value::NoDate(_) => false,
    }
}

/// Shows a value, with its kind where that is what is wrong with it.
fn shown_value(limit: &Limit, value: &Value) -> String {
    if is_typed(value) && !limit.understands(value) {
        return format!("{value} ({})", value.kind());
    }
    value.to_string()
}

fn reason(
    check: &Check,
    expect: &Expect,
    seen: &Observation,
    evidence: &Result<u64, Reason>,
) -> Option<Reason> {
    let keys_cut = seen.expected_keys.as_ref().map(Rows::completeness);
    let cut =
        [Some(seen.body.completeness()), keys_cut].into_iter().flatten().find_map(|c| match c {
            Completeness::Whole => None,
            Completeness::RowsCut => Some(format!(
                "more than {} rows: narrow the query, aggregate in SQL, or raise `max_rows`",
                check.max_rows.get()
            )),
            Completeness::BytesCut => Some(
                "a value past 1 MiB, or more than 16 MiB in all: select less, or aggregate in SQL"
                    .into(),
            ),
        });
    if let Some(note) = cut {
        return Some(Reason::new(Cause::OverLimit, note));
    }
    if let Some(reason) = seen.body.reason() {
        return Some(reason.clone());
    }
    let waived = matches!(check.evidence.minimum, Minimum::Waived { .. });
    if seen.expected_keys.as_ref().is_some_and(|keys| keys.count() == 0) && !waived {
        let note = "0 keys were expected, and an empty list proves nothing: look at `keys.from`, \
                    or say that none is normal: `evidence: {min: 0, because: …}`";
        return Some(Reason::new(Cause::NoEvidence, note));
    }
    // Written evidence says that there was something; `values` needs a row of its own to hold on.
    let judged = !expect.values().is_empty() && !expect.allows_zero_rows();
    if judged && seen.body.count() == 0 && !waived {
        let note = "0 rows came, and limits on no row prove nothing; if none is normal, say so: \
                    `evidence: {min: 0, because: …}`";
        return Some(Reason::new(Cause::NoEvidence, note));
    }
    match evidence {
        Err(reason) => Some(reason.clone()),
        Ok(evidence) if check.evidence.minimum.is_met_by(*evidence) => None,
        Ok(evidence) => Some(no_evidence(check, *evidence)),
    }
}

/// What is said where so little was looked at.
pub fn no_evidence(check: &Check, evidence: u64) -> Reason {
    let needed = match &check.evidence.minimum {
        Minimum::AtLeast(min) => min.get(),
        Minimum::Waived { .. } => 0,
    };
    let what = match &check.evidence.measure {
        Measure::Rows => "rows came".to_owned(),
        Measure::ExpectedKeys => "keys were expected".to_owned(),
        Measure::Column(column) => format!("was the sum of `{column}`"),
        Measure::Query(_) => "was the answer of the evidence query".to_owned(),
    };
    let hint = if needed > 1 {
        "if so little is normal, lower `min` under `evidence`"
    } else {
        "if none is normal, say so: `evidence: {min: 0, because: …}`"
    };
    let note = format!("{evidence} {what}, at least {needed} needed; {hint}");
    Reason::new(Cause::NoEvidence, note)
}

/// Shows the first bad rows in the columns that the check names.
fn shown_rows(
    check: &Check,
    body: &Rows,
    bad: &BTreeSet<usize>,
    contradictions: &[Contradiction],
) -> Vec<String> {
    let columns = check.columns_shown();
    // One column says no more than the only finding, which is about it.
    let is_said = match contradictions {
        [Contradiction::Values { column, .. }] => {
            columns == [column.clone()] && check.samples.rows <= SHOWN
        }
        _ => false,
    };
    if columns.is_empty() || is_said {
        return Vec::new();
    }
    let show = |row: &usize| {
        let values = &body.rows()[*row];
        let pairs = columns.iter().map(|c| match check.masks(c) {
            true => format!("{c}={MASKED}"),
            false => format!("{c}={}", values[body.position(c)]),
        });
        pairs.collect::<Vec<_>>().join(" ")
    };
    bad.iter().take(check.samples.rows).map(show).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU64;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::check::evidence::{Evidence, Scope};
    use crate::domain::check::limit::LimitParts;
    use crate::domain::check::limit::rows::RowLimit;
    use crate::domain::check::name::{CheckId, Owner, SourceName};
    use crate::domain::check::observation::Moment;
    use crate::domain::check::recheck::Recheck;
    use crate::domain::check::value::NonFinite;
    use crate::domain::check::{Alert, CatchUp, MaxRows, Samples, Severity};
    use crate::domain::sql::{Binding, Query};
    use crate::domain::time::schedule::{Every, Schedule};

    fn column(name: &str) -> ColumnName {
        ColumnName::parse(name).unwrap()
    }

    fn query() -> Query {
        Query::parse("select n from t", Engine::Postgres, Binding::Nothing).unwrap()
    }

    /// A check of a column `n` that is at least 1, or of fewer rows than that, with its evidence.
    fn check(rows_max: Option<&str>, n_min: Option<&str>, evidence: Evidence) -> Check {
        let rows = rows_max.map(|max| {
            RowLimit::new(&LimitParts { max: Some(max), ..Default::default() }, 10).unwrap()
        });
        let values = n_min.map(|min| {
            let parts = LimitParts { min: Some(min), ..Default::default() };
            (column("n"), Limit::new(&parts).unwrap())
        });
        Check {
            was: None,
            id: CheckId::parse("it").unwrap(),
            why: "because".into(),
            owner: Owner::parse("tests").unwrap(),
            severity: Severity::Info,
            labels: BTreeMap::new(),
            runbook: None,
            source: SourceName::parse("db").unwrap(),
            body: Body::Sql {
                query: query(),
                expect: Box::new(Expect::new(rows, values.into_iter().collect(), None).unwrap()),
            },
            evidence,
            schedule: Schedule::Every(Every::HOURLY),
            window: None,
            result_by: None,
            catch_up: CatchUp::default(),
            recheck: Recheck::default(),
            alert: Alert::default(),
            pause: None,
            except: None,
            freshness: crate::domain::check::freshness::Freshness::default(),
            timeout: Some(Duration::from_secs(1)),
            max_rows: MaxRows::new(10).unwrap(),
            samples: Samples::default(),
            file: "test.yaml".into(),
            line: 1,
        }
    }

    fn rows(values: &[Value], completeness: Completeness) -> Rows {
        let rows = values.iter().map(|v| vec![v.clone()]).collect();
        Rows::new(vec![column("n")], rows, completeness)
    }

    const MOMENT: Moment =
        Moment { now: DateTime::UNIX_EPOCH, window_end: None, epoch: None, keys_epoch: None };

    fn number(n: i64) -> Value {
        Value::Number(Number::from(n))
    }

    fn at_least(min: u64, measure: Measure) -> Evidence {
        let minimum = Minimum::AtLeast(NonZeroU64::new(min).unwrap());
        Evidence { measure, minimum, scope: Scope::Window, history: None }
    }

    fn word(judgement: &Judgement) -> &'static str {
        match &judgement.verdict {
            Verdict::Confirmed => "confirmed",
            Verdict::Violated(_) => "violated",
            Verdict::Unconfirmed(reason) => reason.cause.as_str(),
        }
    }

    #[test]
    fn a_contradiction_beats_a_cut_and_a_cut_beats_evidence() {
        use Completeness::{BytesCut, RowsCut, Whole};
        let judged = |values: &[Value], completeness, min| {
            let check = check(None, Some("1"), at_least(min, Measure::Rows));
            let body = rows(values, completeness);
            word(&judge(
                &check,
                check.expect().unwrap(),
                &Observation { body, expected_keys: None, evidence: None, moment: MOMENT },
            ))
        };
        for (values, completeness, min, wanted) in [
            (vec![number(1), number(2)], Whole, 2, "confirmed"),
            (vec![number(1), number(2)], Whole, 3, "no_evidence"),
            (vec![], Whole, 1, "no_evidence"),
            (vec![number(1), number(0)], Whole, 9, "violated"),
            (vec![number(1), number(0)], RowsCut, 1, "violated"),
            (vec![number(1), number(2)], RowsCut, 1, "over_limit"),
            (vec![number(1), number(2)], BytesCut, 9, "over_limit"),
            (vec![], BytesCut, 1, "over_limit"),
            (vec![Value::Null], Whole, 1, "violated"),
            (vec![Value::NonFinite(NonFinite::Infinity)], Whole, 1, "violated"),
            // A column of another type is a slip of the check; a value of another type is one of the data.
            (vec![Value::Text("5".into())], Whole, 1, "query_error"),
            (vec![Value::Text("5".into()), Value::Null], Whole, 1, "query_error"),
            (vec![number(1), Value::Text("5".into())], Whole, 1, "violated"),
        ] {
            assert_eq!(
                judged(&values, completeness, min),
                wanted,
                "{values:?} {completeness:?} {min}"
            );
        }
    }

    #[test]
    fn evidence_that_is_no_count_proves_nothing() {
        for (value, wanted) in [
            (number(3), "confirmed"),
            (number(0), "no_evidence"),
            (number(-1), "query_error"),
            (Value::Null, "query_error"),
            (Value::Text("3".into()), "query_error"),
            (Value::Number(Number::parse("0.5").unwrap()), "query_error"),
        ] {
            let check = check(Some("5"), None, at_least(1, Measure::Column(column("n"))));
            let body = rows(std::slice::from_ref(&value), Completeness::Whole);
            let judged = judge(
                &check,
                check.expect().unwrap(),
                &Observation { body, expected_keys: None, evidence: None, moment: MOMENT },
            );
            assert_eq!(word(&judged), wanted, "{value:?}");
        }
    }

    proptest! {
        /// Whatever is seen: confirmed means looked at, whole, and every value within its limit.
        #[test]
        fn only_what_was_looked_at_and_is_right_is_confirmed(
            values in proptest::collection::vec(-2_i64..4, 0..6),
            cut in any::<bool>(),
            evidence in 0_u64..4,
            min in 1_u64..4,
        ) {
            let measure = Measure::Query(query());
            let check = check(Some("3"), Some("1"), at_least(min, measure));
            let completeness = if cut { Completeness::RowsCut } else { Completeness::Whole };
            let seen: Vec<Value> = values.iter().map(|n| number(*n)).collect();
            let body = rows(&seen, completeness);
            let judged = judge(&check, check.expect().unwrap(), &Observation { body, expected_keys: None, evidence: Some(Value::Number(Number::from(evidence))), moment: MOMENT });
            let wrong = values.iter().any(|n| *n < 1) || values.len() + usize::from(cut) > 3;
            let wanted = if wrong {
                "violated"
            } else if cut {
                "over_limit"
            } else if evidence < min {
                "no_evidence"
            } else {
                "confirmed"
            };
            prop_assert_eq!(word(&judged), wanted);
        }
    }
}
