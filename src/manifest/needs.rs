//! What a query of a windowed check has to name, so that it looks at its window and no more.

use crate::domain::sql::lint::equals;
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::{Binding, Engine, Query};
use crate::domain::time::period::Period;
use crate::domain::time::window::{Frame, Split, WindowRule, ZoneChoice};
use crate::manifest::document::{Document, Place};
use crate::manifest::part::sql;
use crate::manifest::yaml::Node;

/// What each query of a windowed check has to use, so that it looks at its window and no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs<'w>(pub(super) Option<&'w WindowRule>);

impl Needs<'_> {
    /// What there is to bind.
    pub(super) fn binding(self) -> Binding {
        if self.0.is_some() { Binding::Window } else { Binding::Nothing }
    }

    /// Says whether a query keeps to the period beside its window instead.
    fn is_past(self, query: &Query) -> bool {
        use Parameter::{PastEnd, PastStart};
        let uses = |parameter| query.parameters().any(|p| p == parameter);
        let has_past = self.0.is_some_and(|rule| rule.past.is_some());
        has_past && (uses(PastStart) && uses(PastEnd) || equals(query, PastStart))
    }

    /// Finds what a query leaves out, or names without its being there.
    pub(super) fn broken(self, query: &Query) -> Option<(String, String)> {
        use Parameter::{WindowDate, WindowEnd, WindowEndDate, WindowStart, Zone};
        let rule = self.0?;
        let uses = |parameter| query.parameters().any(|p| p == parameter);
        if rule.zones == ZoneChoice::Nowhere && uses(Zone) {
            let hint = "remove it, or let the window have `zones:`";
            return Some(("the window has no zone for `:zone`".to_owned(), hint.to_owned()));
        }
        if let Some(past) = query.parameters().find(|p| p.is_past()).filter(|_| rule.past.is_none())
        {
            return Some((
                format!("`{past}` is of an earlier period, and the window has none"),
                "write `past: 7` under `window`, for the same period seven periods earlier"
                    .to_owned(),
            ));
        }
        if rule.zones.fans_out() && !uses(Zone) {
            return Some((
                "the check fans out over zones, and this query does not use `:zone`".to_owned(),
                "write `time_zone = :zone`, so that each zone is proved by its own rows".to_owned(),
            ));
        }
        let whole = rule.split == Split::Whole;
        if whole && rule.frame == Frame::Calendar(Period::DAY) && uses(WindowDate) {
            return None;
        }
        // A roll-up has one row for a period, keyed by its first date or by its first instant.
        let of_calendar = matches!(rule.frame, Frame::Calendar(_));
        if uses(WindowEndDate) && !(whole && of_calendar) {
            let message =
                "`:window_end_date` is the first date after a whole period of the calendar";
            let hint = "write `at >= :window_start and at < :window_end`, or a `period` of the calendar without `split`";
            return Some((message.to_owned(), hint.to_owned()));
        }
        let by_dates =
            of_calendar && (equals(query, WindowDate) || uses(WindowDate) && uses(WindowEndDate));
        if whole && (by_dates || equals(query, WindowStart)) {
            return None;
        }
        let missing = [WindowStart, WindowEnd].into_iter().find(|p| !uses(*p))?;
        let hint = if uses(WindowDate) {
            "of a period of several days, a date is its first one: write `month = :window_date` for a roll-up, `day >= \
             :window_date and day < :window_end_date` for dates, or `at >= :window_start and at < :window_end`"
        } else {
            "write `at >= :window_start and at < :window_end`"
        };
        Some((
            format!("this query does not keep to its window: `{missing}` is not used"),
            hint.to_owned(),
        ))
    }
}

/// Reads SQL that has to keep to its check's window.
pub(super) fn windowed_sql(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    engine: Option<Engine>,
    needs: Needs<'_>,
) -> Option<Query> {
    let query = sql(doc, node, place, engine, needs.binding())?;
    kept(doc, node, place, needs.broken(&query), query)
}

/// Reads SQL of one of two sides: it has to keep to its check's window, or to the period beside it.
pub(super) fn sided_sql(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    engine: Option<Engine>,
    needs: Needs<'_>,
) -> Option<Query> {
    let query = sql(doc, node, place, engine, needs.binding())?;
    let broken = needs.broken(&query).filter(|_| !needs.is_past(&query));
    kept(doc, node, place, broken, query)
}

fn kept(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    broken: Option<(String, String)>,
    query: Query,
) -> Option<Query> {
    match broken {
        None => Some(query),
        Some((message, hint)) => {
            doc.fault(node, place, message, Some(hint));
            None
        }
    }
}
