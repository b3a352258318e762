//! What an attempt asks a source, and what comes back.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::check::freshness::Needed;
use crate::domain::check::name::{CheckId, ColumnName};
use crate::domain::check::observation::Rows;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::reconcile::cell::Epoch;
use crate::domain::sql::bounds::Bounds;
use crate::domain::sql::{Binding, Engine, Query};
use crate::source::flow::Flow;

/// All questions of one attempt to one source; they are answered in one snapshot.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Whose attempt it is: the server's administrator sees it.
    pub check: CheckId,
    /// How long each statement may run.
    pub timeout: Duration,
    /// By the database's own clock it is not asked before this instant, where it has a clock: what it
    /// is asked about is not over.
    pub not_before: Option<DateTime<Utc>>,
    /// Up to when the data has to be complete, where that matters.
    pub needed: Option<Needed>,
    /// How the database stores instants as numbers, where it does.
    pub epoch: Option<Epoch>,
    /// The questions.
    pub questions: Vec<Question>,
}

impl Ask {
    /// The smallest question that there is.
    pub(super) fn probe(engine: Engine) -> Self {
        const TIMEOUT: Duration = Duration::from_secs(5);
        let query =
            Query::parse("select 1", engine, Binding::Nothing).expect("the smallest query reads");
        let question =
            Question { part: Part::Body, query, bounds: None, wanted: ResultShape::OneValue };
        let check = CheckId::parse("probe").expect("a short word is an id");
        Self::about(check, TIMEOUT, question)
    }

    /// One question that is about no window.
    pub fn about(check: CheckId, timeout: Duration, question: Question) -> Self {
        Self {
            check,
            timeout,
            not_before: None,
            needed: None,
            epoch: None,
            questions: vec![question],
        }
    }

    /// The same, where it is asked first how far the data is complete.
    pub(super) fn after(&self, complete_until: &Query) -> Self {
        let mut ask = self.clone();
        ask.questions.insert(0, Question::complete_until(complete_until));
        ask
    }

    /// The same within the limit that an administrator gave the role: it is not made longer.
    pub(super) fn within(&self, limit: Option<Duration>) -> Cow<'_, Self> {
        match limit.filter(|limit| *limit < self.timeout) {
            Some(timeout) => Cow::Owned(Self { timeout, ..self.clone() }),
            None => Cow::Borrowed(self),
        }
    }

    /// What has to be complete, where no query says whether it is: then the server itself has to.
    pub(super) fn unsaid(&self) -> Option<Needed> {
        let said = self.questions.iter().any(|question| question.part == Part::CompleteUntil);
        self.needed.filter(|_| !said)
    }

    /// Holds an answer about how far the data is complete against what is needed; passes over others.
    ///
    /// # Errors
    /// Where it is not complete so far, or says to be complete days after what the database's clock shows.
    pub(super) fn admits(
        &self,
        question: &Question,
        reply: &Reply,
        clock: Option<DateTime<Utc>>,
    ) -> Result<(), Reason> {
        match (question.part, self.needed, reply) {
            (Part::CompleteUntil, Some(needed), Reply::Value(value)) => {
                needed.holds(value, self.epoch, clock)
            }
            _ => Ok(()),
        }
    }

    /// Leaves out the replies to questions that a source has added.
    pub(super) fn answers(&self, mut replies: Vec<Reply>) -> Vec<Reply> {
        let mut questions = self.questions.iter();
        replies.retain(|_| questions.next().is_none_or(|q| q.part != Part::CompleteUntil));
        replies
    }

    /// Whether rows flow, so that the transaction may wait for what takes them.
    pub(super) fn flows(&self) -> bool {
        self.questions.iter().any(|question| matches!(question.wanted, ResultShape::Flow(_)))
    }

    /// Holds the database's clock against what is asked.
    pub(super) fn is_over(&self, theirs: Option<DateTime<Utc>>) -> Result<(), Reason> {
        match (self.not_before, theirs) {
            (Some(from), Some(theirs)) if theirs < from => {
                let shown = theirs.format("%Y-%m-%dT%H:%M:%SZ");
                let note =
                    format!("by the database's clock it is {shown}, and the window is not over");
                Err(Reason::new(Cause::Clock, note))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// Which part of a check a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The check's own query.
    Body,
    /// `evidence`
    Evidence,
    /// `keys.from`
    Keys,
    /// `zones_from`
    Zones,
    /// `complete_until`
    CompleteUntil,
    /// A statement for the rules of a table.
    Table,
    /// `left` or `right`
    Side,
    /// `left` or `right` under `detail`
    Detail,
}

/// One query, and what is wanted of its result.
#[derive(Debug, Clone)]
pub struct Question {
    /// Which part of the check it is.
    pub part: Part,
    /// The query.
    pub query: Query,
    /// What its parameters stand for.
    pub bounds: Option<Bounds>,
    /// What is wanted.
    pub wanted: ResultShape,
}

impl Question {
    /// Asks how far the data is complete.
    pub fn complete_until(query: &Query) -> Self {
        Self {
            part: Part::CompleteUntil,
            query: query.clone(),
            bounds: None,
            wanted: ResultShape::OneValue,
        }
    }

    /// Says of which query of a check a reason is, where that is not clear.
    pub(super) fn blame(&self, reason: Reason) -> Reason {
        let part = match self.part {
            Part::Body | Part::Side | Part::Table => return reason,
            Part::Detail => "detail",
            Part::Evidence => "evidence",
            Part::Keys => "keys.from",
            Part::Zones => "zones_from",
            Part::CompleteUntil => "complete_until",
        };
        Reason { note: format!("in `{part}`: {}", reason.note), ..reason }
    }
}

/// What is wanted of a result.
#[derive(Debug, Clone)]
pub enum ResultShape {
    /// Some columns of at most so many rows.
    Rows {
        /// Which columns; no other leaves the database.
        columns: Vec<ColumnName>,
        /// How many rows.
        rows_max: u32,
    },
    /// The first column of at most so many rows, whatever it is called.
    FirstColumn {
        /// What it is called here.
        name: ColumnName,
        /// How many rows.
        rows_max: u32,
    },
    /// The one value of the one row.
    OneValue,
    /// All rows, on their way to the comparison.
    Flow(Arc<Flow>),
    /// Whether the server would answer a question in this shape: it is planned, and not run.
    Plan(Box<Self>),
}

impl ResultShape {
    /// The shape of the answer, also where the question is only planned.
    pub(super) fn itself(&self) -> &Self {
        match self {
            Self::Plan(wanted) => wanted,
            Self::Rows { .. } | Self::FirstColumn { .. } | Self::OneValue | Self::Flow(_) => self,
        }
    }
}

/// The answer to one question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// To [`ResultShape::Rows`] and [`ResultShape::FirstColumn`].
    Rows(Rows),
    /// To [`ResultShape::OneValue`].
    Value(Value),
    /// To [`ResultShape::Flow`]: what there was has flowed.
    Flowed,
    /// To [`ResultShape::Plan`]: it would.
    Planned,
}
