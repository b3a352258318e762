//! Which windows `run` looks at.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use crate::domain::record::series::Series;
use crate::domain::time::duration::delta;
use crate::domain::time::window::{Frame, Span, Window, WindowRule};
use crate::manifest;

/// The most windows of one series: days of all years that have rules would be fewer.
const WINDOWS_MAX: usize = 50_000;

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HistoryFilter {
    /// The last window that had ended and settled by an instant.
    LastBy(DateTime<Utc>),
    /// Every window that lies in some local dates: from the first to the day before the second.
    Dates(NaiveDate, NaiveDate),
}

/// The windows of one series that are looked at, and those that are not.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) windows: Vec<Window>,
    /// Those that have not ended and settled, and when they will have.
    pub(super) unsettled: Vec<(Window, DateTime<Utc>)>,
    /// Dates that clocks leave out.
    pub(super) left_out: Vec<NaiveDate>,
    /// Dates that the owner takes out.
    pub(super) excepted: Vec<NaiveDate>,
}

/// Reads `2026-03-08`, or `2026-03-01..2026-04-01` without its last date.
pub(super) fn dates(text: &str) -> Result<(NaiveDate, NaiveDate), String> {
    let Some((from, to)) = text.split_once("..") else {
        let date = manifest::date(text)?;
        return Ok((date, date.succ_opt().unwrap_or(date)));
    };
    let (from, to) = (manifest::date(from)?, manifest::date(to)?);
    if from >= to {
        return Err(format!("the range is empty: it ends before {to}, and begins on {from}"));
    }
    Ok((from, to))
}

/// Chooses the windows of a series.
pub(super) fn choose(
    series: &Series,
    rule: &WindowRule,
    wanted: HistoryFilter,
    now: DateTime<Utc>,
) -> Result<Chosen, String> {
    let rules = &series.home.rules;
    let settle = delta(rule.settle);
    let mut chosen = Chosen::default();
    let mut take = |span: Span| {
        let settled = span.end + settle;
        if span.is_empty() {
            chosen.left_out.push(span.date);
        } else if series.excepts(span.date) {
            chosen.excepted.push(span.date);
        } else if settled > now {
            let windows = span.windows(rules, rule.split).into_iter();
            chosen.unsettled.extend(windows.map(|window| (window, settled)));
        } else {
            chosen.windows.extend(span.windows(rules, rule.split));
        }
        if chosen.windows.len() + chosen.unsettled.len() > WINDOWS_MAX {
            return Err(format!(
                "`{}` has more than {WINDOWS_MAX} windows there: ask for fewer days",
                series.check.id
            ));
        }
        Ok(())
    };
    match wanted {
        HistoryFilter::LastBy(at) => {
            let last = rule.frame.last_closed(rules, at - settle);
            last.map_or(Ok(()), take)?;
        }
        HistoryFilter::Dates(from, to) => {
            let end = rules.day_start(to);
            let mut span = rule.frame.span_of(rules, from);
            // By their dates, so that one which clocks leave out is not passed over.
            let lies_in = |span: &Span| match rule.frame {
                Frame::Calendar(_) => span.date < to,
                Frame::Grid(_) => span.start < end,
            };
            while lies_in(&span) {
                take(span)?;
                span = rule.frame.next(rules, &span);
            }
        }
    }
    Ok(chosen)
}

/// An instant for people.
pub(super) fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
