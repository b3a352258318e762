//! The tiling probe: what is looked at in a window is the sum of what is looked at in its parts, on the watched databases
//! themselves. A closed bound counts a row twice, `between` too, and a day that is compared by its date comes whole in
//! each part.

use std::sync::Arc;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::evidence::{Measure, Scope};
use crate::domain::check::verdict::Verdict;
use crate::domain::check::{Body, Check};
use crate::domain::record::series::Series;
use crate::domain::sql::parameter::Parameter;
use crate::domain::table::CutBy;
use crate::domain::testing::{Free, Suite};
use crate::domain::time::duration::delta;
use crate::domain::time::window::{Window, ZoneChoice};
use crate::domain::time::zone::ZoneName;
use crate::engine::asking::{Look, Sources};
use crate::engine::attempt::attempt;
use crate::engine::progress::Watching;
use crate::engine::testing::tested::{Outcome, Tested, Which};
use crate::engine::zone_list::list;
use crate::zones::Zones;

/// At how many places a window is cut.
const CUTS: i32 = 3;

/// Takes the last settled window of a check apart; nothing is written, and no more is asked than a few looks at it.
pub async fn tiling(
    check: &Arc<Check>,
    suite: &Suite,
    sources: &Sources,
    zones: &Zones,
    stop: &CancellationToken,
) -> Tested {
    let began = Instant::now();
    let which = Which::Free(Free::Tiling);
    if let Some(because) = suite.because(&check.id, Free::Tiling) {
        return Tested::new(check, which, Outcome::Waived(because.to_owned()));
    }
    let result = tiled(check, sources, zones, stop).await;
    Tested { took: began.elapsed(), ..Tested::new(check, which, result) }
}

async fn tiled(
    check: &Arc<Check>,
    sources: &Sources,
    zones: &Zones,
    stop: &CancellationToken,
) -> Outcome {
    if let Some(why) = does_not_add_up(check) {
        let hint = format!(
            "say that it is meant: `accept: [{{of: {}, test: tiling, because: …}}]`",
            check.id
        );
        return Outcome::NotRun(format!("{why}\n{hint}"));
    }
    let Some((series, window)) = settled(check, sources, zones, stop).await else {
        return Outcome::NotRun("it has no window that is over and settled".to_owned());
    };
    let look = async |window| {
        let look = Look::at(&series, window);
        attempt(check, &look, sources, &Watching::default(), stop).await.judgement
    };
    let whole = look(window).await;
    let place = format!("{} {}", window.span.date, series.home.name);
    let Some(counted) = whole.evidence.filter(|counted| *counted > 0) else {
        let why = match whole.verdict {
            Verdict::Unconfirmed(reason) => format!("{}: {}", reason.cause, reason.note),
            Verdict::Confirmed | Verdict::Violated(_) => "nothing is there".to_owned(),
        };
        return Outcome::NotRun(format!("{place}: {why}"));
    };
    let mut wrong = Vec::new();
    for cut in cuts(&window) {
        let parts = [Window { end: cut, ..window }, Window { start: cut, ..window }];
        let [before, after] = [look(parts[0]).await.evidence, look(parts[1]).await.evidence];
        let (Some(before), Some(after)) = (before, after) else {
            return Outcome::NotRun(format!("{place}: a part of it could not be looked at"));
        };
        if before + after != counted {
            wrong.push(format!(
                "{place}: looked at {counted} in the whole window, and at {before} before {cut} and {after} from then on: \
                 does a row at a bound count in both, or is a date compared that all parts have?"
            ));
        }
    }
    if wrong.is_empty() { Outcome::Passed } else { Outcome::Failed(wrong) }
}

/// Why the evidence of the parts of a window need not add up, where that is so.
fn does_not_add_up(check: &Check) -> Option<&'static str> {
    if check.evidence.scope == Scope::Period {
        return Some("its evidence is that of the whole period");
    }
    match (&check.evidence.measure, &check.body) {
        (Measure::Query(query), _) => {
            let bounds = [Parameter::WindowStart, Parameter::WindowEnd];
            let by_date = !query.parameters().any(|parameter| bounds.contains(&parameter));
            let counts_different = query.text().to_lowercase().contains("distinct");
            by_date
                .then_some(
                    "its evidence is known by the date of its window, which its parts have too",
                )
                .or(counts_different.then_some("its evidence counts what is different"))
        }
        (_, Body::Table(table)) => {
            matches!(table.rules().cut_by, Some(CutBy::Date(_) | CutBy::Dates(_)))
                .then_some("its rows are known by the date of its window, which its parts have too")
        }
        (_, Body::Sql { .. } | Body::Reconcile(_)) => Some(
            "its evidence is counted on the rows of its result, which need not be those of the data",
        ),
    }
}

/// Where a window is cut: at whole hours where it has some, because rows often lie there.
fn cuts(window: &Window) -> Vec<DateTime<Utc>> {
    let step = window.length() / (CUTS + 1);
    let hour = TimeDelta::hours(1);
    let cut = |number: i32| {
        let at = window.start + step * number;
        at.duration_trunc(hour).ok().filter(|at| step >= hour && *at > window.start).unwrap_or(at)
    };
    (1..=CUTS).map(cut).collect()
}

/// The last window of a check that is over and settled, in the first of its zones.
async fn settled(
    check: &Arc<Check>,
    sources: &Sources,
    zones: &Zones,
    stop: &CancellationToken,
) -> Option<(Series, Window)> {
    let rule = check.window.as_ref()?;
    let listed = match &rule.zones {
        ZoneChoice::From(from) => list(check, from, zones, sources, stop).await.zones,
        ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::Each(_) => Vec::new(),
    };
    let zone = rule.zones.written().first().or(listed.first()).cloned();
    let zone = zone.unwrap_or_else(ZoneName::utc);
    let series = Series::in_zone(check, &zone, &|name: &ZoneName| zones.rules(name))?;
    let by = clock::now() - delta(rule.settle);
    let span = rule.frame.last_closed(&series.home.rules, by)?;
    let window = span.windows(&series.home.rules, rule.split).into_iter().next()?;
    Some((series, window))
}
