//! Windows: which data a check looks at, as half-open pairs of instants.
//!
//! A calendar period of a zone runs from the first instant of its first date to the first instant
//! of the date after its last: periods tile, whatever clocks do. A period may be split into
//! stretches, each with one offset from UTC.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use crate::domain::check::name::SourceName;
use crate::domain::sql::Query;
use crate::domain::time::period::Period;
use crate::domain::time::zone::{Offset, Rules, YEARS, ZoneName};

/// Which data each attempt of a check looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRule {
    /// How time is cut.
    pub frame: Frame,
    /// Where it is cut.
    pub zones: ZoneChoice,
    /// Whether a list of zones may lose as many as it likes.
    pub may_shrink: bool,
    /// Whether each part with one offset is proved on its own.
    pub split: Split,
    /// How long after its end late data may still arrive.
    pub settle: Duration,
    /// So many periods earlier is the one that queries may hold it against, where they do.
    pub past: Option<NonZeroU32>,
}

/// How time is cut into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// By the local calendar.
    Calendar(Period),
    /// By a grid over UTC that begins with 1970.
    Grid(GridStep),
}

/// The width of a grid over UTC: whole minutes, 1 to 1,440.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridStep(NonZeroU32);

/// In which zones a check's windows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneChoice {
    /// In none: a grid over UTC.
    Nowhere,
    /// In one.
    One(ZoneName),
    /// In each of these, on its own.
    Each(Vec<ZoneName>),
    /// In each that a query names, on its own.
    From(ZonesFrom),
}

/// The query that names the zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonesFrom {
    /// The database that it asks.
    pub source: SourceName,
    /// The query: one column of names.
    pub query: Query,
}

/// Whether a period is proved as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// It is.
    Whole,
    /// Each stretch with one offset from UTC is.
    UtcOffset,
}

/// One period in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
    /// The local date that it begins with.
    pub date: NaiveDate,
    /// The local date that the next one begins with.
    pub end_date: NaiveDate,
}

/// What one attempt looks at: a period, or a stretch of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Its first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
    /// The offset from UTC with which it begins; of the whole of it where it is a stretch.
    pub utc_offset: Offset,
    /// The period that it is, or lies in.
    pub span: Span,
}

impl GridStep {
    /// The most minutes: a day.
    pub const MOST: u32 = 1_440;

    /// Takes a duration of whole minutes, 1 to 1,440.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn new(width: Duration) -> Result<Self, &'static str> {
        const RULE: &str = "a grid over UTC has windows of 1m to 24h, in whole minutes";
        let minutes = u32::try_from(width.as_secs() / 60).map_err(|_| RULE)?;
        let whole = width == Duration::from_secs(u64::from(minutes) * 60) && minutes <= Self::MOST;
        NonZeroU32::new(minutes).filter(|_| whole).map(Self).ok_or(RULE)
    }

    /// Says whether each of its windows is several whole ones of another grid.
    pub fn is_multiple_of(self, other: Self) -> bool {
        self.0.get().is_multiple_of(other.0.get())
    }

    fn secs(self) -> i64 {
        i64::from(self.0.get()) * 60
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calendar(period) => match period.from() {
                None => f.pad(period.word()),
                Some(from) => f.pad(&format!("{} from {from}", period.word())),
            },
            Self::Grid(step) => {
                let width = Duration::from_secs(u64::from(step.0.get()) * 60);
                f.pad(&crate::domain::time::duration::show(width))
            }
        }
    }
}

impl Frame {
    /// The period that is so many periods before another, by the calendar: seven days earlier is the same weekday.
    pub fn earlier(self, rules: &Rules, span: Span, periods: u32) -> Span {
        (0..periods).fold(span, |span, _| self.previous(rules, &span))
    }

    /// The period that an instant lies in.
    pub fn span_at(self, rules: &Rules, at: DateTime<Utc>) -> Span {
        match self {
            Self::Calendar(period) => {
                // Clocks that go back across midnight show a date again: look around.
                let mut span = calendar(period, rules, period.first_date(rules.date_at(at)));
                while span.start > at {
                    span = calendar(period, rules, period.first_date(span.date - Days::new(1)));
                }
                while span.end <= at {
                    span = calendar(period, rules, period.next(span.date));
                }
                span
            }
            Self::Grid(step) => {
                let start = at.timestamp().div_euclid(step.secs()) * step.secs();
                grid(step, rules, start)
            }
        }
    }

    /// The period that begins with a local date, or the first on a grid that does.
    pub fn span_of(self, rules: &Rules, date: NaiveDate) -> Span {
        match self {
            Self::Calendar(period) => calendar(period, rules, period.first_date(date)),
            Self::Grid(_) => {
                let span = self.span_at(rules, rules.day_start(date));
                if span.start < rules.day_start(date) { self.next(rules, &span) } else { span }
            }
        }
    }

    /// The period after one.
    pub fn next(self, rules: &Rules, span: &Span) -> Span {
        match self {
            Self::Calendar(period) => calendar(period, rules, period.next(span.date)),
            Self::Grid(step) => grid(step, rules, span.end.timestamp()),
        }
    }

    /// The period before one.
    pub fn previous(self, rules: &Rules, span: &Span) -> Span {
        match self {
            Self::Calendar(period) => {
                calendar(period, rules, period.first_date(span.date - Days::new(1)))
            }
            Self::Grid(step) => grid(step, rules, span.start.timestamp() - step.secs()),
        }
    }

    /// The last period of any length that has ended by an instant; none before there are rules.
    pub fn last_closed(self, rules: &Rules, by: DateTime<Utc>) -> Option<Span> {
        let mut span = self.span_at(rules, by);
        while span.end > by || span.is_empty() {
            if !has_rules(span.date) {
                return None;
            }
            span = self.previous(rules, &span);
        }
        Some(span)
    }
}

/// Says whether a date lies in the years that have rules, and its neighbours too.
pub fn has_rules(date: NaiveDate) -> bool {
    let (first, last) = YEARS;
    let inner = NaiveDate::from_ymd_opt(first, 1, 2).zip(NaiveDate::from_ymd_opt(last, 12, 30));
    inner.is_some_and(|(first, last)| (first..=last).contains(&date))
}

fn calendar(period: Period, rules: &Rules, first: NaiveDate) -> Span {
    let next = period.next(first);
    let (start, end) = (period.start(rules, first), period.start(rules, next));
    Span { start, end, date: first, end_date: next }
}

fn grid(step: GridStep, rules: &Rules, start: i64) -> Span {
    let at = |secs| DateTime::from_timestamp(secs, 0).unwrap_or(DateTime::UNIX_EPOCH);
    let start_at = at(start);
    let end = at(start + step.secs());
    Span { start: start_at, end, date: rules.date_at(start_at), end_date: rules.date_at(end) }
}

impl WindowRule {
    /// Where the window begins that an instant lies in.
    pub fn window_start(&self, rules: &Rules, at: DateTime<Utc>) -> DateTime<Utc> {
        let span = self.frame.span_at(rules, at);
        let mut windows = span.windows(rules, self.split).into_iter();
        windows.find(|window| window.start <= at && at < window.end).map_or(span.start, |w| w.start)
    }

    /// The period that queries may hold a window against, where they do: the same one, so many periods earlier.
    pub fn past_of(&self, rules: &Rules, window: &Window) -> Option<Span> {
        Some(self.frame.earlier(rules, window.span, self.past?.get()))
    }
}

impl Span {
    /// Says whether clocks leave it out.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// The windows in it: itself, or its stretches.
    pub fn windows(&self, rules: &Rules, split: Split) -> Vec<Window> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut cuts = vec![self.start];
        if split == Split::UtcOffset {
            let inside = self.start + TimeDelta::seconds(1);
            cuts.extend(rules.changes_within(inside, self.end).iter().map(|change| change.at));
        }
        let ends = cuts.iter().skip(1).copied().chain([self.end]);
        let window = |(start, end): (DateTime<Utc>, DateTime<Utc>)| Window {
            start,
            end,
            utc_offset: rules.offset_at(start),
            span: *self,
        };
        cuts.iter().copied().zip(ends).map(window).collect()
    }
}

impl Window {
    /// How long it is.
    pub fn length(&self) -> TimeDelta {
        self.end - self.start
    }

    /// The whole of its period, as a window.
    pub fn whole(&self, rules: &Rules) -> Self {
        let Span { start, end, .. } = self.span;
        Self { start, end, utc_offset: rules.offset_at(start), span: self.span }
    }

    /// Says whether it is only a part of its period.
    pub fn is_part(&self) -> bool {
        (self.start, self.end) != (self.span.start, self.span.end)
    }
}
