//! The judgement over a table: what its statements brought, held against its rules.
//!
//! In the order of the judge of queries: a contradiction that was read is a fact; a result that was cut proves nothing;
//! too little evidence proves nothing; what is left is confirmed.

use crate::domain::check::Check;
use crate::domain::check::evidence::Minimum;
use crate::domain::check::judge::{
    Judgement, SHOWN, count, in_time, no_evidence, nothing_but_null, wrong_type,
};
use crate::domain::check::limit::Limit;
use crate::domain::check::name::ColumnName;
use crate::domain::check::observation::{Moment, Rows};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::check::verdict::{Contradiction, End, Finding, Verdict};
use crate::domain::table::sample::Sample;
use crate::domain::table::seen::{Seen, counted, too_large};
use crate::domain::table::statements::{DAY, FORMS, GROUPS, NEWEST, ROWS, VALUE, item};
use crate::domain::table::{Asks, ColumnRules, Nulls, Rules, Table, listed};

/// How many characters `2026-03-08` has.
const DATE_LENGTH: u64 = 10;

/// A judgement, and which rows show best what is wrong.
#[derive(Debug)]
pub struct Judged {
    /// The judgement, without rows.
    pub judgement: Judgement,
    /// What to select to show them, where something is wrong of which rows can be shown.
    pub sample: Option<Sample>,
}

/// Judges what the statements of a table brought, in their order.
pub fn judge(check: &Check, table: &Table, brought: &[Rows], moment: &Moment) -> Judged {
    let seen = match Seen::new(table, brought) {
        Ok(seen) => seen,
        Err(reason) => return unconfirmed(reason, None),
    };
    let mut judge = Judge {
        check,
        table,
        moment,
        of: seen.rows,
        contradictions: Vec::new(),
        samples: Vec::new(),
        reason: None,
        misfits: 0,
        cut: false,
        cut_by_bytes: false,
    };
    if let Err(reason) = judge.all(&seen) {
        return unconfirmed(reason, Some(seen.rows));
    }
    judge.verdict(&seen)
}

fn unconfirmed(reason: Reason, evidence: Option<u64>) -> Judged {
    let judgement = Judgement { verdict: Verdict::Unconfirmed(reason), evidence };
    Judged { judgement, sample: None }
}

/// A limit that is relative to the moment, and past all dates.
fn beyond(column: &ColumnName) -> Reason {
    let note = format!("the limit of `{column}` is an instant that no calendar has");
    Reason::new(Cause::QueryError, note)
}

struct Judge<'c> {
    check: &'c Check,
    table: &'c Table,
    moment: &'c Moment,
    /// How many rows were looked at.
    of: u64,
    contradictions: Vec<Contradiction>,
    /// What would show each of them, with the number of rows that break it.
    samples: Vec<(u64, Sample)>,
    /// Why a rule says nothing.
    reason: Option<Reason>,
    /// How many limits fit no value of their columns.
    misfits: usize,
    cut: bool,
    /// Whether that was for the size of values, and not for their number.
    cut_by_bytes: bool,
}

impl Judge<'_> {
    fn all(&mut self, seen: &Seen<'_>) -> Result<(), Reason> {
        let rules = self.table.rules();
        if let Some(limit) = rules.rows.as_ref().filter(|limit| !limit.holds(seen.rows)) {
            let expected = limit.to_string();
            self.contradictions.push(Contradiction::Rows { expected, seen: seen.rows });
        }
        self.volume(rules, seen)?;
        for (at, column) in rules.columns.iter().enumerate() {
            self.column(at, column, seen)?;
        }
        for columns in &rules.unique {
            let rows = seen.of(|asks| matches!(asks, Asks::Duplicates(of) if of == columns));
            self.unique(columns, rows)?;
        }
        for (at, condition) in rules.never.iter().enumerate() {
            let rows = seen.count(&item("never", at))?;
            if rows > 0 {
                let condition = condition.clone();
                self.contradictions.push(Contradiction::Never { condition, rows, of: self.of });
                self.samples.push((rows, Sample::Never(at)));
            }
        }
        if let Some(newest) = &rules.newest {
            let (value, broken) = (seen.value(NEWEST), self.contradictions.len());
            for limit in &newest.limits {
                // What is not there at all is told once.
                if broken == self.contradictions.len() {
                    self.end((&newest.column, End::Newest), limit, &[value], None);
                }
            }
            let [first, last] = FORMS.map(|form| seen.value(form));
            if first != last && broken == self.contradictions.len() {
                let note = format!(
                    "`{}` keeps instants in several forms, so that the last of them in order is not the newest",
                    newest.column
                );
                self.misfit(Reason::new(Cause::UnsupportedType, note));
            }
        }
        if let Some(length) = seen.scan.get(DAY).filter(|length| ***length != Value::Null)
            && count(length)? > DATE_LENGTH
        {
            let note = "the column under `on` holds more than dates, and what is not midnight is in no window: name a \
                        column of instants under `at`";
            return Err(Reason::new(Cause::QueryError, note));
        }
        Ok(())
    }

    fn volume(&mut self, rules: &Rules, seen: &Seen<'_>) -> Result<(), Reason> {
        let Some(volume) = &rules.volume else { return Ok(()) };
        let past = counted(seen.of(|asks| *asks == Asks::Past), ROWS)?;
        if past == 0 {
            let windows = if volume.past == 1 { "window" } else { "windows" };
            let note = format!(
                "{} {windows} earlier there was no row, so that nothing says how many rows are usual",
                volume.past
            );
            self.reason.get_or_insert(Reason::new(Cause::NoEvidence, note));
        } else if !volume.holds(seen.rows, past) {
            let expected = volume.to_string();
            self.contradictions.push(Contradiction::Volume { expected, seen: seen.rows, past });
        }
        Ok(())
    }

    fn column(&mut self, at: usize, rules: &ColumnRules, seen: &Seen<'_>) -> Result<(), Reason> {
        let filled = seen.count(&item("filled", at))?;
        let (first, misfits) = (self.contradictions.len(), self.misfits);
        if let Some(limit) = &rules.range {
            let values = [seen.value(&item("lowest", at)), seen.value(&item("highest", at))];
            let lowest = (&rules.column, End::Lowest);
            self.end(lowest, limit, &values, Some([Sample::Lowest(at), Sample::Highest(at)]));
            // Of dates that no calendar has, the extremes say nothing.
            let none = seen.scan.get(item("no_date", at).as_str()).map_or(Ok(0), |n| count(n))?;
            if none > 0 {
                let (column, of) = (rules.column.clone(), self.of);
                let (expected, seen) = (format!("{limit}, and a date of the calendar"), Vec::new());
                let told = Contradiction::Values { column, expected, rows: none, of, seen };
                self.contradictions.push(told);
            }
        }
        if !rules.values.is_empty() {
            let rows = seen.of(|asks| *asks == Asks::Values(at));
            self.values(rules, rows.ok_or_else(too_large)?)?;
        }
        if let Some(limit) = &rules.length {
            let ends = [item("shortest", at), item("longest", at)];
            let asked = |end: &String| seen.scan.get(end.as_str()).copied();
            // Where one end is asked for, it stands for both.
            let [low, high] = ends.each_ref().map(asked);
            let values = [low.or(high), high.or(low)].map(|end| end.unwrap_or(&Value::Null));
            let shortest = (&rules.column, End::Shortest);
            let broken = self.contradictions.len();
            self.end(shortest, limit, &values, Some([Sample::Shortest(at), Sample::Longest(at)]));
            let cut = seen.scan.get(item("nul", at).as_str()).map_or(Ok(0), |n| count(n))?;
            if cut > 0 && broken == self.contradictions.len() {
                let column = &rules.column;
                let note = format!(
                    "`{column}` has texts with a NUL character, and SQLite counts up to that"
                );
                self.misfit(Reason::new(Cause::UnsupportedType, note));
            }
        }
        if let Some(pattern) = &rules.pattern {
            let unlike = filled.saturating_sub(seen.count(&item("like", at))?);
            let expected = format!("like {}", pattern.as_str());
            self.broken(&rules.column, expected, unlike, Sample::Unlike(at));
        }
        if let Some(reference) = &rules.within {
            let orphans = counted(seen.of(|asks| *asks == Asks::Orphans(at)), ROWS)?;
            self.broken(&rules.column, format!("one of {reference}"), orphans, Sample::Orphans(at));
        }
        // A limit that fits no value of its column says nothing of NULL either.
        if rules.nulls != Nulls::AsLimits || misfits == self.misfits {
            let before = self.contradictions.len();
            self.nulls(at, rules, filled);
            // What is not there at all is told before what is there and wrong.
            if self.contradictions.len() > before {
                self.contradictions[first..].rotate_right(1);
            }
        }
        Ok(())
    }

    fn nulls(&mut self, at: usize, rules: &ColumnRules, filled: u64) {
        let nulls = self.of.saturating_sub(filled);
        let (expected, broken, sample) = match rules.nulls {
            Nulls::Allowed => return,
            Nulls::Never | Nulls::AsLimits => ("no NULL".to_owned(), nulls, Sample::Null(at)),
            Nulls::Always => ("nothing but NULL".to_owned(), filled, Sample::Filled(at)),
            Nulls::AtMost(share) if share.is_kept_by(nulls, self.of) => return,
            Nulls::AtMost(share) => {
                (format!("NULL on at most {share} of the rows"), nulls, Sample::Null(at))
            }
        };
        self.broken(&rules.column, expected, broken, sample);
    }

    /// Notes that a limit says nothing of the values of its column.
    fn misfit(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
        self.misfits += 1;
    }

    /// Notes on how many rows a column breaks a rule, where that is on any.
    fn broken(&mut self, column: &ColumnName, expected: String, rows: u64, sample: Sample) {
        if rows == 0 {
            return;
        }
        let (column, of) = (column.clone(), self.of);
        let seen = Vec::new();
        self.contradictions.push(Contradiction::Values { column, expected, rows, of, seen });
        self.samples.push((rows, sample));
    }

    /// Holds the lowest and the highest of something against a limit: the rows between them are within it exactly where
    /// both are.
    fn end(
        &mut self,
        (column, low): (&ColumnName, End),
        limit: &Limit,
        values: &[&Value],
        samples: Option<[Sample; 2]>,
    ) {
        let Some(limit) = limit.at(self.moment) else { return self.misfit(beyond(column)) };
        let limit = limit.as_ref();
        let read: Vec<Value> =
            values.iter().map(|value| in_time(value, limit, self.moment.epoch)).collect();
        // Nothing but NULL has no extremes; how many NULL there may be is a rule of its own.
        let is_needed = matches!(self.check.evidence.minimum, Minimum::AtLeast(_));
        if (low != End::Newest || (self.of == 0 && is_needed))
            && read.iter().all(|value| *value == Value::Null)
        {
            return;
        }
        let ends = [low, low.other()];
        // What is too large is shown by the largest.
        let mut order: Vec<usize> = (0..read.len()).collect();
        if limit.is_upper() {
            order.reverse();
        }
        let Some(at) = order.into_iter().find(|at| !limit.holds(&read[*at])) else {
            if let Some(reason) = self.unordered(column, low, limit, &read) {
                self.misfit(reason);
            }
            return;
        };
        if let Some(reason) = wrong_type(self.table.engine(), column, limit, read.iter()) {
            self.misfit(reason);
            return;
        }
        let masked = self.check.masks(column);
        self.contradictions.push(Contradiction::End {
            column: column.clone(),
            end: ends[at.min(1)],
            expected: match low {
                End::Shortest | End::Longest => format!("a length of {limit}"),
                End::Lowest | End::Highest | End::Newest => limit.to_string(),
            },
            seen: (!masked).then(|| read[at].to_string()),
        });
        if let Some([first, second]) = samples {
            self.samples.push((1, if at == 0 { first } else { second }));
        }
    }

    /// Why the order of a column's values is not that of its limit: texts are ordered by their letters, so that between two
    /// that are dates may be one that is none.
    fn unordered(
        &self,
        column: &ColumnName,
        low: End,
        limit: &Limit,
        read: &[Value],
    ) -> Option<Reason> {
        let texts = read.iter().any(|value| matches!(value, Value::Text(_)));
        if low != End::Lowest || !texts || !limit.is_of_time() {
            return None;
        }
        let note = format!(
            "`{column}` holds its dates as texts, and the order of texts is not that of dates: judge it under `sql` and \
             `values`"
        );
        Some(Reason::new(Cause::UnsupportedType, note))
    }

    /// Holds each value of a column against its limits.
    fn values(&mut self, rules: &ColumnRules, rows: &Rows) -> Result<(), Reason> {
        let (Some(value_at), Some(count_at)) = (rows.find(VALUE), rows.find(ROWS)) else {
            return Ok(());
        };
        let is_past = rows.count() > u64::from(self.table.rules().values_max);
        self.cut |= rows.is_cut() || is_past;
        self.cut_by_bytes |= rows.is_cut() && !is_past;
        for limit in &rules.values {
            let Some(limit) = limit.at(self.moment) else {
                self.misfit(beyond(&rules.column));
                continue;
            };
            let limit = limit.as_ref();
            let read = rows.rows().iter().map(|row| {
                let value = in_time(&row[value_at], limit, self.moment.epoch);
                Ok((value, count(&row[count_at])?))
            });
            let read = read.collect::<Result<Vec<(Value, u64)>, Reason>>()?;
            let mut broken: Vec<&(Value, u64)> =
                read.iter().filter(|(value, _)| !limit.holds(value)).collect();
            if broken.is_empty() {
                continue;
            }
            let values = read.iter().map(|(value, _)| value);
            if let Some(reason) = wrong_type(self.table.engine(), &rules.column, limit, values) {
                self.misfit(reason);
                continue;
            }
            broken
                .sort_by_cached_key(|(value, rows)| (std::cmp::Reverse(*rows), value.to_string()));
            let shown = |(value, rows): &&(Value, u64)| match rows {
                1 => value.to_string(),
                rows => format!("{value} ({rows} times)"),
            };
            let seen = match self.check.masks(&rules.column) {
                true => Vec::new(),
                false => broken.iter().take(SHOWN).map(shown).collect(),
            };
            self.contradictions.push(Contradiction::Values {
                column: rules.column.clone(),
                expected: limit.to_string(),
                rows: broken.iter().map(|(_, rows)| *rows).sum(),
                of: self.of,
                seen,
            });
        }
        Ok(())
    }

    fn unique(&mut self, columns: &[ColumnName], rows: Option<&Rows>) -> Result<(), Reason> {
        let keys = counted(rows, GROUPS)?;
        if keys > 0 {
            let rows = counted(rows, ROWS)?;
            self.contradictions.push(Contradiction::Repeated {
                columns: listed(columns),
                keys,
                rows,
            });
            self.samples.push((rows, Sample::Repeated(columns.to_vec())));
        }
        Ok(())
    }

    fn verdict(mut self, seen: &Seen<'_>) -> Judged {
        let evidence = Some(seen.rows);
        if self.contradictions.is_empty() {
            let verdict = match self.unproved(seen) {
                Some(reason) => Verdict::Unconfirmed(reason),
                None => Verdict::Confirmed,
            };
            return Judged { judgement: Judgement { verdict, evidence }, sample: None };
        }
        let finding =
            Finding { contradictions: self.contradictions, cut: self.cut, rows: Vec::new() };
        let judgement = Judgement { verdict: Verdict::Violated(finding), evidence };
        // The first of those that the most rows break.
        self.samples.reverse();
        let worst = self.samples.into_iter().max_by_key(|(rows, _)| *rows);
        Judged { judgement, sample: worst.map(|(_, sample)| sample) }
    }

    /// Why nothing is proved, though nothing is wrong.
    fn unproved(&mut self, seen: &Seen<'_>) -> Option<Reason> {
        if self.cut_by_bytes {
            let note = "the values of a column that is held against a set have more than 16 MiB: judge it under `sql`";
            return Some(Reason::new(Cause::OverLimit, note));
        }
        if self.cut {
            let note = format!(
                "a column that is held against a set has more than {} values: raise `max_rows`, or judge it under `sql`",
                self.check.max_rows.get()
            );
            return Some(Reason::new(Cause::OverLimit, note));
        }
        let evidence = &self.check.evidence;
        if !evidence.minimum.is_met_by(seen.rows) {
            return Some(no_evidence(self.check, seen.rows));
        }
        let waived = matches!(evidence.minimum, Minimum::Waived { .. });
        let is_met = || self.table.rules().met(|kind, at| seen.value(&item(kind, at)));
        self.reason.take().or_else(|| (!waived && !is_met()).then(nothing_but_null))
    }
}
