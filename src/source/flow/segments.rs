//! One segment after the other: how large they are, where they go on, and what is bound there.

use std::time::Duration;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::cell::Cell;
use crate::source::flow::{After, BATCHES, Flow, RowBatch, Segment, no_order};
use crate::source::watch::interrupted;

/// How many rows the first segment asks for: few, because it is not known how wide they are.
const SEGMENT: u64 = 2_048;
/// How long a segment is to take.
const SEGMENT_TAKES: Duration = Duration::from_secs(2);
/// The longest that a server is left alone that has become slow.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How large segments are.
#[derive(Debug)]
struct SegmentSize {
    /// How many rows the next one asks for.
    limit: u64,
    /// How long a row took at best, in nanoseconds.
    best_ns: u64,
}

impl SegmentSize {
    fn new() -> Self {
        Self { limit: SEGMENT, best_ns: u64::MAX }
    }

    /// Chooses the size of the next segment, and how long the server is left alone before it.
    fn after(&mut self, segment: &Segment, took: Duration) -> Duration {
        // Each segment sorts everything anew: few large ones are less to do than many small ones.
        let sorts = segment.first_after * 4 > took && segment.first_after > SEGMENT_TAKES / 10;
        self.limit = if sorts {
            self.limit.saturating_mul(8)
        } else if took < SEGMENT_TAKES / 2 {
            // No more than there is room for, so that the statement never waits for the comparison.
            let batches = u64::try_from(BATCHES / 2 - 1).unwrap_or(1);
            let room = segment.rows / segment.batches.max(1) * batches;
            (self.limit * 4).min(room).max(SEGMENT / 8)
        } else if took > SEGMENT_TAKES * 2 {
            (self.limit / 2).max(SEGMENT / 8)
        } else {
            self.limit
        };
        let row_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / segment.rows.max(1);
        self.best_ns = self.best_ns.min(row_ns);
        // A server that has become four times slower has other things to do.
        let slow = !sorts && row_ns > self.best_ns.saturating_mul(4);
        if slow { took.min(PAUSE_MAX) } else { Duration::ZERO }
    }
}

/// How far a flow is: one segment after the other.
pub(in crate::source) struct Segments<'f> {
    flow: &'f Flow,
    stop: &'f CancellationToken,
    size: SegmentSize,
    after: Option<After>,
    limit: u64,
    began: Instant,
}

impl<'f> Segments<'f> {
    pub(in crate::source) fn new(flow: &'f Flow, stop: &'f CancellationToken) -> Self {
        let (size, began) = (SegmentSize::new(), Instant::now());
        Self { flow, stop, size, after: None, limit: 0, began }
    }

    /// Waits until there is room for a segment; returns how many rows it asks for.
    pub(in crate::source) async fn begin(&mut self) -> Result<u64, Reason> {
        self.limit = u64::from(self.flow.rows_max) + 1;
        if self.flow.ordered {
            // Rows of the last key come again, and are passed over.
            let again = self.after.as_ref().map_or(0, |after| after.rows);
            self.limit = self.size.limit.saturating_add(again);
            self.flow.room(self.limit, self.stop).await?;
        }
        self.began = Instant::now();
        Ok(self.limit)
    }

    /// Where the segment goes on, unless it is the first.
    pub(in crate::source) fn after(&self) -> Option<&After> {
        self.after.as_ref()
    }

    /// Takes note of what a segment brought; where it was the last, says whether the source has sent all
    /// that it would.
    pub(in crate::source) async fn end(
        &mut self,
        segment: Segment,
    ) -> Result<Option<bool>, Reason> {
        if segment.enough {
            return Ok(Some(false));
        }
        if segment.rows < self.limit || !self.flow.ordered {
            return Ok(Some(self.flow.send(RowBatch::End).await.is_ok()));
        }
        let pause = self.size.after(&segment, self.began.elapsed());
        self.after = segment.last;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(interrupted()),
            () = sleep(pause) => Ok(None),
        }
    }
}

/// A value of the key after which a segment goes on, as it is bound.
pub(in crate::source) enum KeyValue {
    Bool(bool),
    Integer(i64),
    Decimal(BigDecimal),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    Text(String),
}

impl KeyValue {
    /// Takes a value of a key column.
    pub(in crate::source) fn of(column: &ColumnName, cell: &Cell) -> Result<Self, Reason> {
        match cell {
            Cell::Bool(value) => Ok(Self::Bool(*value)),
            Cell::Decimal(number) => Ok(match number.integer() {
                Some(integer) => Self::Integer(integer),
                None => Self::Decimal(number.number().into()),
            }),
            Cell::Wide(number) => Ok(Self::Decimal(Number::clone(number).into())),
            Cell::Date(date) => Ok(Self::Date(*date)),
            Cell::Instant(micros) => {
                let at = DateTime::from_timestamp_micros(*micros);
                at.map(Self::Instant).ok_or_else(|| no_order(column))
            }
            Cell::Text(text) => Ok(Self::Text(text.to_string())),
            Cell::Float(_) => Err(Reason::new(
                Cause::UnsupportedType,
                format!("key column `{column}` is a float, and no float is a key: cast it"),
            )),
            Cell::Null | Cell::NonFinite(_) | Cell::NoDate(_) => Err(no_order(column)),
        }
    }
}

/// Binds a value of a key as the server's own type.
macro_rules! bind_key {
    ($query:expr, $column:expr, $cell:expr) => {
        match $crate::source::flow::segments::KeyValue::of($column, $cell)? {
            $crate::source::flow::segments::KeyValue::Bool(value) => $query.bind(value),
            $crate::source::flow::segments::KeyValue::Integer(value) => $query.bind(value),
            $crate::source::flow::segments::KeyValue::Decimal(value) => $query.bind(value),
            $crate::source::flow::segments::KeyValue::Date(value) => $query.bind(value),
            $crate::source::flow::segments::KeyValue::Instant(value) => $query.bind(value),
            $crate::source::flow::segments::KeyValue::Text(value) => $query.bind(value),
        }
    };
}
pub(in crate::source) use bind_key;

/// Writes the condition by which a segment goes on with a key: `expressions` are those of the key, in its
/// order, and `place` writes a value of the last key.
pub(in crate::source) fn keyset(
    expressions: &[String],
    mut place: impl FnMut(usize) -> String,
) -> String {
    let mut text = String::new();
    let last = expressions.len().saturating_sub(1);
    for (number, expression) in expressions.iter().enumerate() {
        if number == 0 {
            text.push_str(&format!("{expression} >= {} AND (", place(0)));
        }
        let more = if number < last { ">" } else { ">=" };
        text.push_str(&format!("{expression} {more} {}", place(number)));
        if number < last {
            text.push_str(&format!(" OR ({expression} = {} AND (", place(number)));
        }
    }
    text.push_str(&"))".repeat(last));
    text.push(')');
    text
}
