//! Collecting rows up to the caps on rows and bytes.

use crate::domain::check::name::ColumnName;
use crate::domain::check::observation::{Completeness, Rows};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::source::ask::{Ask, Reply, ResultShape};

/// How many bytes of one result are kept, roughly.
const BYTES_MAX: usize = 16 << 20;
/// The longest single value that is fetched at all, where the server can be told.
pub(super) const VALUE_BYTES_MAX: usize = 1 << 20;

/// Rows as they come.
#[derive(Debug)]
pub(super) struct Collector {
    columns: Option<Vec<ColumnName>>,
    rows_max: usize,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    completeness: Completeness,
}

/// Whether more rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    More,
    /// No; but the server was told how many rows to send, so it has stopped by itself.
    Enough,
    /// No, and the server may have gigabytes on their way.
    TooMuch,
}

/// A reply, and whether the server has sent all that it would.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) reply: Reply,
    pub(super) drained: bool,
}

/// Returns the replies, if the one that was cut off was the last.
pub(super) fn whole(replies: Vec<Reply>, ask: &Ask) -> Result<Vec<Reply>, Reason> {
    if replies.len() == ask.questions.len() {
        return Ok(replies);
    }
    Err(Reason::new(
        Cause::OverLimit,
        "a list that is read beside others, of expected keys or of the values of a column, has more than 16 MiB: let it \
         have fewer or shorter entries",
    ))
}

impl Collector {
    pub(super) fn new(wanted: &ResultShape) -> Self {
        let (columns, rows_max) = match wanted {
            ResultShape::Rows { columns, rows_max } => (Some(columns.clone()), *rows_max),
            ResultShape::FirstColumn { name, rows_max } => (Some(vec![name.clone()]), *rows_max),
            // What flows is not collected.
            ResultShape::OneValue | ResultShape::Flow(_) | ResultShape::Plan(_) => (None, 1),
        };
        Self {
            columns,
            rows_max: usize::try_from(rows_max).unwrap_or(usize::MAX),
            rows: Vec::new(),
            bytes: 0,
            completeness: Completeness::Whole,
        }
    }

    /// How many rows to ask the server for: one more than is kept, to see that there is more.
    pub(super) fn rows_asked(&self) -> usize {
        self.rows_max.saturating_add(1)
    }

    /// Keeps a row that took so many bytes on the way.
    pub(super) fn push(&mut self, row: Vec<Value>, bytes: usize) -> Demand {
        if self.rows.len() >= self.rows_max {
            self.completeness = Completeness::RowsCut;
            return Demand::Enough;
        }
        self.bytes += bytes + size_of::<Value>() * row.len();
        if self.bytes > BYTES_MAX {
            return self.too_large();
        }
        self.rows.push(row);
        Demand::More
    }

    /// Notes that a value was too large to be fetched.
    pub(super) fn too_large(&mut self) -> Demand {
        self.completeness = Completeness::BytesCut;
        Demand::TooMuch
    }

    /// Returns what was collected before the rest was left where it is.
    pub(super) fn finish_cut_off(self) -> Result<Fetched, Reason> {
        let fetched = self.finish()?;
        Ok(Fetched { drained: false, ..fetched })
    }

    /// Returns what was collected.
    pub(super) fn finish(mut self) -> Result<Fetched, Reason> {
        let drained = self.completeness != Completeness::BytesCut;
        if let Some(columns) = self.columns {
            let reply = Reply::Rows(Rows::new(columns, self.rows, self.completeness));
            return Ok(Fetched { reply, drained });
        }
        let one = "the query must bring one row with one value";
        let reason = |seen: &str| Reason::new(Cause::QueryError, format!("{one}, and {seen}"));
        if self.completeness != Completeness::Whole {
            return Err(reason("it brings more"));
        }
        match self.rows.pop().as_mut().map(|row| (row.pop(), row.is_empty())) {
            Some((Some(value), true)) => Ok(Fetched { reply: Reply::Value(value), drained }),
            Some(_) => Err(reason("it brings several columns")),
            None => Err(reason("it brings no row")),
        }
    }
}
