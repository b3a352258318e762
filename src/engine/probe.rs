//! Whether a query keeps to its window: asked once for a window far before all data, and for one far after.
//!
//! What brings rows for both looks at more than its window: a condition behind an `or`, bounds that are compared with each
//! other. A period that has no end is in the window far ahead, and in no other: that is as it should be.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::check::evidence::{Measure, Minimum};
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::check::{Body, Check};
use crate::domain::sql::bounds::Bounds;
use crate::domain::sql::words::Words;
use crate::domain::sql::{Engine, Query};
use crate::domain::time::window::{Span, Window};
use crate::engine::asking::{Asking, Look};
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};

/// How long the question may take, where the check gives no less.
const LIMIT: Duration = Duration::from_secs(5);

/// Instants far before and far after all data: 7 January 1980 and 2 January 2090. A TIMESTAMP of MySQL ends in 2038.
const FAR: [i64; 2] = [316_051_200, 3_786_998_400];
const FAR_MYSQL: [i64; 2] = [316_051_200, 2_130_364_800];

/// Whether it was asked for windows far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probed {
    /// For both, or there is nothing to ask.
    Whole,
    /// Not for both: the query is slow, or could not be run.
    Partly,
}

/// A query that shows whether it keeps to its window: what it is to the check, whom it asks, and what it brings.
struct Shown<'c> {
    part: Part,
    source: &'c SourceName,
    query: &'c Query,
    wanted: ResultShape,
}

impl Asking<'_> {
    /// Says why a query of the check does not keep to its window, where that was seen, and else whether all was asked
    /// that there is to ask.
    pub(super) async fn keeps_to_its_window(&mut self, look: &Look) -> Result<Probed, Reason> {
        let Look::Window { bounds, .. } = look else { return Ok(Probed::Whole) };
        let mut all = Probed::Whole;
        for shown in shown(self.check) {
            match self.probe(&shown, bounds).await {
                Ok(Probed::Whole) => {}
                Ok(Probed::Partly) => all = Probed::Partly,
                Err(reason) => {
                    self.blamed = Some(shown.source.clone());
                    return Err(reason);
                }
            }
        }
        Ok(all)
    }

    async fn probe(&self, shown: &Shown<'_>, bounds: &Bounds) -> Result<Probed, Reason> {
        let source = self.source(shown.source)?;
        let key = key(shown.query);
        let mut probed = Probed::Whole;
        let known = match source.noted(key) {
            Some(known) => known,
            None => {
                let mut brought = Vec::new();
                let far = if source.engine() == Engine::MySql { FAR_MYSQL } else { FAR };
                for at in far {
                    let question = Question {
                        part: shown.part,
                        query: shown.query.clone(),
                        bounds: Some(shifted(bounds, at)),
                        wanted: shown.wanted.clone(),
                    };
                    match self.brings(shown.source, question).await {
                        Ok(rows) => brought.push(rows),
                        // The query was not run: it is asked again the next time.
                        Err(reason) if was_not_run(reason.cause) => return Ok(Probed::Partly),
                        // One that is slow is not made to run twice more with each attempt.
                        Err(_) => {
                            probed = Probed::Partly;
                            break;
                        }
                    }
                }
                let known = (brought == [true, true]).then(|| strays(shown));
                source.note(key, known.clone());
                known
            }
        };
        known.map_or(Ok(probed), Err)
    }

    async fn brings(&self, name: &SourceName, question: Question) -> Result<bool, Reason> {
        let source = self.source(name)?;
        let timeout = self.check.timeout.unwrap_or_else(|| source.timeout()).min(LIMIT);
        let check = self.check.id.clone();
        let ask = Ask::about(check, timeout, question);
        let slot = source.slot(self.stop).await?;
        let replies = source.observe(&slot, &ask, self.stop).await?;
        Ok(replies.iter().any(|reply| match reply {
            Reply::Rows(rows) => rows.count() > 0,
            Reply::Value(Value::Number(number)) => number.as_count() != Some(0),
            Reply::Value(_) | Reply::Flowed | Reply::Planned => false,
        }))
    }
}

fn was_not_run(cause: Cause) -> bool {
    matches!(cause, Cause::Connect | Cause::Auth | Cause::Interrupted)
}

/// What shows how much a check looked at: the evidence that is written, the rows of its query or of both sides; and the
/// keys that it expects.
fn shown<'c>(check: &'c Check) -> Vec<Shown<'c>> {
    let mut all = Vec::new();
    if matches!(check.evidence.minimum, Minimum::Waived { .. }) {
        return all;
    }
    let rows = |columns| ResultShape::Rows { columns, rows_max: 1 };
    let mut add = |part, source: &'c SourceName, query: &'c Query, wanted| {
        all.push(Shown { part, source, query, wanted });
    };
    match (&check.evidence.measure, &check.body) {
        (Measure::Query(query), _) => {
            add(Part::Evidence, &check.source, query, ResultShape::OneValue);
        }
        (Measure::Rows, Body::Sql { query, .. }) if !query.over_nothing().is_row() => {
            add(Part::Body, &check.source, query, rows(check.columns_read()));
        }
        (Measure::Rows | Measure::ExpectedKeys | Measure::Column(_), _) => {}
    }
    match &check.body {
        Body::Sql { expect, .. } => {
            if let Some(keys) = expect.keys() {
                add(Part::Keys, &keys.source, &keys.from, rows(keys.columns.clone()));
            }
        }
        Body::Reconcile(reconcile) => {
            for side in reconcile.sides() {
                if !side.query.over_nothing().is_row() {
                    let columns = reconcile.terms.columns().cloned().collect();
                    add(Part::Side, &side.source, &side.query, rows(columns));
                }
            }
        }
        Body::Table(_) => {}
    }
    all.retain(|shown| {
        let words = Words::of(shown.query);
        let reads = !words.tables().is_empty() && !words.makes_rows();
        reads && shown.query.parameters().next().is_some()
    });
    all
}

fn key(query: &Query) -> u64 {
    let mut hasher = DefaultHasher::new();
    query.text().hash(&mut hasher);
    hasher.finish()
}

/// Bounds of the same length elsewhere in time.
fn shifted(bounds: &Bounds, at: i64) -> Bounds {
    let start = DateTime::<Utc>::from_timestamp(at, 0).unwrap_or_default();
    let end = start + bounds.window.length();
    let date: NaiveDate = start.date_naive();
    let length = bounds.window.span.end_date - bounds.window.span.date;
    let span = Span { start, end, date, end_date: date + length };
    let window = Window { start, end, span, ..bounds.window };
    // What is held beside it lies as far before it, and as far from any data.
    let past = bounds.past.map(|past| {
        let (before, length) = (bounds.window.start - past.start, past.end - past.start);
        let start = start - before;
        let date = start.date_naive();
        Span { start, end: start + length, date, end_date: date + (past.end_date - past.date) }
    });
    Bounds { window, past, ..bounds.clone() }
}

fn strays(shown: &Shown<'_>) -> Reason {
    let which = match shown.part {
        Part::Evidence => "the evidence query".to_owned(),
        Part::Keys => "the query under `keys.from`".to_owned(),
        Part::Side => format!("the query of `{}`", shown.source),
        Part::Body | Part::Zones | Part::CompleteUntil | Part::Table | Part::Detail => {
            "the query".to_owned()
        }
    };
    let note = format!(
        "{which} does not keep to its window: it brings rows for a window of 1980 and for one far in the future. Is a \
         condition behind an `or` without parentheses, or are the bounds compared with each other?"
    );
    Reason::new(Cause::QueryError, note)
}
