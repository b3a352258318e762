//! What an attempt looks at, and the questions that it asks its sources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::check::evidence::{Measure, Scope};
use crate::domain::check::freshness::{Freshness, Needed};
use crate::domain::check::name::SourceName;
use crate::domain::check::observation::{Moment, Observation, Rows};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::{Check, Expect, Keys};
use crate::domain::record::series::Series;
use crate::domain::sql::Query;
use crate::domain::sql::bounds::Bounds;
use crate::domain::time::duration::delta;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::{Span, Window};
use crate::source::Source;
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};

/// How far behind the data may be, where a check looks at the present and does not say.
const LAG: Duration = Duration::from_secs(3_600);

/// The sources that checks may ask, by name.
pub type Sources = BTreeMap<SourceName, Arc<Source>>;

/// What an attempt looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The present.
    Present,
    /// A window.
    Window {
        /// What is bound.
        bounds: Bounds,
        /// What is bound where the whole period is asked.
        period: Box<Bounds>,
        /// What is bound where an earlier window is asked beside it.
        past: Option<Box<Bounds>>,
        /// By the database's clock it is not asked before this instant, where that is given.
        not_before: Option<DateTime<Utc>>,
    },
}

impl Look {
    /// Looks at a window of a series.
    pub fn at(series: &Series, window: Window) -> Self {
        let bounds = |window| series.bounds(window);
        let period = Box::new(bounds(window.whole(&series.home.rules)));
        let past = past(series, &window).map(bounds).map(Box::new);
        Self::Window { bounds: bounds(window), period, past, not_before: None }
    }

    /// Looks at a window of a series that is over and settled, also by the clock of the database.
    pub fn when_over(series: &Series, window: Window) -> Self {
        let settled = series.window().map(|rule| window.span.end + delta(rule.settle));
        match Self::at(series, window) {
            Self::Window { bounds, period, past, .. } => {
                Self::Window { bounds, period, past, not_before: settled }
            }
            Self::Present => Self::Present,
        }
    }

    /// The window, where it looks at one.
    pub fn window(&self) -> Option<&Window> {
        match self {
            Self::Present => None,
            Self::Window { bounds, .. } => Some(&bounds.window),
        }
    }

    /// The period that its queries may hold its window against.
    pub fn period_beside(&self) -> Option<Span> {
        match self {
            Self::Present => None,
            Self::Window { bounds, .. } => bounds.past,
        }
    }

    /// Up to when the data has to be complete for a look like this at a check.
    pub(super) fn needs(&self, check: &Check, now: DateTime<Utc>) -> Needed {
        match (self, &check.window) {
            (Self::Window { bounds, .. }, rule) => {
                let end = bounds.window.span.end;
                let settle = rule.as_ref().map_or(TimeDelta::zero(), |rule| delta(rule.settle));
                Needed::Window { end, settled: end + settle }
            }
            (Self::Present, _) => {
                let otherwise = match check.schedule {
                    Schedule::Every(every) => every.period().to_std().unwrap_or(LAG).min(LAG),
                    Schedule::WindowEnd | Schedule::Cron(_) => LAG,
                };
                Needed::Present { now, max_lag: check.result_by.unwrap_or(otherwise) }
            }
        }
    }

    /// What is bound where an earlier window is asked.
    pub(super) fn past(&self) -> Option<&Bounds> {
        match self {
            Self::Present => None,
            Self::Window { past, .. } => past.as_deref(),
        }
    }

    pub(super) fn bounds(&self, scope: Scope) -> Option<Bounds> {
        match (self, scope) {
            (Self::Present, _) => None,
            (Self::Window { bounds, .. }, Scope::Window) => Some(bounds.clone()),
            (Self::Window { period, .. }, Scope::Period) => Some((**period).clone()),
        }
    }
}

/// The window that a check over a table is held against beside its own.
pub fn past(series: &Series, window: &Window) -> Option<Window> {
    let (frame, rules) = (series.window()?.frame, &series.home.rules);
    let span = frame.earlier(rules, window.span, series.check.table()?.past()?);
    let earlier = Window { start: span.start, end: span.end, span, ..*window };
    Some(earlier.whole(rules))
}

/// The questions of one attempt, and how long they have taken.
pub(super) struct Asking<'a> {
    pub(super) check: &'a Check,
    pub(super) sources: &'a Sources,
    pub(super) stop: &'a CancellationToken,
    /// When what is asked about is over and settled.
    pub(super) not_before: Option<DateTime<Utc>>,
    /// Up to when the data has to be complete, where that matters.
    pub(super) needed: Option<Needed>,
    /// When it began.
    pub(super) now: DateTime<Utc>,
    pub(super) took: Duration,
    pub(super) blamed: Option<SourceName>,
}

impl Asking<'_> {
    pub(super) async fn observe(
        &mut self,
        query: &Query,
        expect: &Expect,
        look: &Look,
    ) -> Result<Observation, Reason> {
        self.keeps_to_its_window(look).await?;
        let check = self.check;
        let keys = expect.keys().map(|keys| (keys, keys_question(check, keys, look)));
        let mut expected_keys = None;
        // The body comes last: where it is cut, nothing else is missing.
        let mut questions: Vec<Question> = self.evidence_question(look).into_iter().collect();
        match keys {
            Some((keys, question)) if keys.source == check.source => questions.push(question),
            Some((keys, question)) => {
                let replies = self.ask(&keys.source, vec![question]).await;
                expected_keys = replies?.pop().map(rows).transpose()?;
            }
            None => {}
        }
        questions.push(Question {
            part: Part::Body,
            query: query.clone(),
            bounds: look.bounds(Scope::Window),
            wanted: ResultShape::Rows {
                columns: check.columns_read(),
                rows_max: check.max_rows.get(),
            },
        });
        let mut replies = self.ask(&check.source, questions).await?;
        let moment = self.moment(look, expect.keys().map(|keys| &keys.source));
        let body = replies.pop().map(rows).transpose()?.ok_or_else(no_reply)?;
        let mut evidence = None;
        for reply in replies {
            match reply {
                Reply::Rows(rows) => expected_keys = Some(rows),
                Reply::Value(value) => evidence = Some(value),
                Reply::Flowed | Reply::Planned => {}
            }
        }
        Ok(Observation { body, expected_keys, evidence, moment })
    }

    /// When it is looked at, and how instants are written there.
    pub(super) fn moment(&self, look: &Look, keys: Option<&SourceName>) -> Moment {
        let epoch = |name: &SourceName| self.sources.get(name).and_then(|source| source.epoch());
        Moment {
            now: self.now,
            window_end: look.window().map(|window| window.end),
            epoch: epoch(&self.check.source),
            keys_epoch: keys.and_then(epoch),
        }
    }

    /// The question of the evidence query, where the check has one.
    pub(super) fn evidence_question(&self, look: &Look) -> Option<Question> {
        let evidence = &self.check.evidence;
        let Measure::Query(query) = &evidence.measure else { return None };
        Some(Question {
            part: Part::Evidence,
            query: query.clone(),
            bounds: look.bounds(evidence.scope),
            wanted: ResultShape::OneValue,
        })
    }

    /// A source by its name.
    pub(super) fn source(&self, name: &SourceName) -> Result<Arc<Source>, Reason> {
        self.sources.get(name).cloned().ok_or_else(|| {
            Reason::new(Cause::Connect, format!("the settings have no source `{name}`"))
        })
    }

    /// Questions to a source, with what they have in common.
    pub(super) fn ask_of(&self, source: &Source, mut questions: Vec<Question>) -> Ask {
        let check = self.check;
        let Freshness { complete_until, max_lag } = &check.freshness;
        let own = complete_until.as_ref().filter(|_| *source.name() == check.source);
        if let (Some(query), Some(_)) = (own, self.needed) {
            questions.insert(0, Question::complete_until(query));
        }
        let needed = match self.needed {
            Some(Needed::Present { now, max_lag: otherwise }) => {
                let max_lag = max_lag.or(source.freshness().max_lag).unwrap_or(otherwise);
                Some(Needed::Present { now, max_lag })
            }
            other => other,
        };
        Ask {
            check: check.id.clone(),
            timeout: check.timeout.unwrap_or_else(|| source.timeout()),
            not_before: self.not_before,
            needed,
            epoch: source.epoch(),
            questions,
        }
    }

    /// Asks a source several questions in one snapshot.
    pub(super) async fn ask(
        &mut self,
        name: &SourceName,
        questions: Vec<Question>,
    ) -> Result<Vec<Reply>, Reason> {
        let source = self.source(name)?;
        let ask = self.ask_of(&source, questions);
        let slot = source.slot(self.stop).await?;
        let started = Instant::now();
        let replies = source.observe(&slot, &ask, self.stop).await;
        self.took += started.elapsed();
        if replies.is_err() {
            self.blamed = Some(name.clone());
        }
        replies
    }
}

fn keys_question(check: &Check, keys: &Keys, look: &Look) -> Question {
    Question {
        part: Part::Keys,
        query: keys.from.clone(),
        bounds: look.bounds(Scope::Window),
        wanted: ResultShape::Rows { columns: keys.columns.clone(), rows_max: check.max_rows.get() },
    }
}

/// Takes the rows of a reply.
pub(super) fn rows(reply: Reply) -> Result<Rows, Reason> {
    match reply {
        Reply::Rows(rows) => Ok(rows),
        Reply::Value(_) | Reply::Flowed | Reply::Planned => Err(no_reply()),
    }
}

/// The source answers each question in its kind; this is said where it does not.
pub(super) fn no_reply() -> Reason {
    Reason::new(Cause::QueryError, "the source left a question without its answer")
}
