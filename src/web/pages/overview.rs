//! The first page: is all well, and if not, what is not proved, the worst and oldest first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Datelike as _, Days, NaiveDate, TimeDelta, Utc};
use tokio::time::{Instant, timeout};

use crate::domain::alerting::alert::cut;
use crate::domain::check::Check;
use crate::domain::check::name::SourceName;
use crate::domain::time::zone::Offset;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::OpenDays;
use crate::web::api::said;
use crate::web::health;
use crate::web::outgoing::Outgoing;
use crate::web::pages::civil::{Civil, ago, lasts};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::group::{Group, since};
use crate::web::pages::mark::Mark;
use crate::web::pages::query::{Keys, in_path};
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;
use crate::web::{Here, Shared};

/// How many checks that are not proved are shown.
const SHOWN: usize = 60;
/// How many of them with a map of their open windows, of how many days and offsets.
const MAPS: usize = 10;
const MAP_DAYS: u64 = 14;
const MAP_OFFSETS: usize = 5;
/// How old what was read for them may be: many readers cost the ledger no more than one.
const MAPS_AGE: Duration = Duration::from_secs(3);
/// How long the page waits for the maps: it is there without them.
const MAPS_WITHIN: Duration = Duration::from_millis(400);

/// How much of a reason and of a finding is shown, in bytes: the page of the check has all of it.
const WHY_MAX: usize = 240;
const FINDING_MAX: usize = 360;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    level: &'static str,
    headline: String,
    explanation: String,
    counts: [(&'static str, usize); 6],
    series: usize,
    checks: usize,
    items: Vec<Item>,
    more: usize,
    no_maps: bool,
}

/// A check that is not proved.
pub(super) struct Item {
    id: String,
    href: String,
    state: &'static str,
    severity: &'static str,
    why: String,
    finding: Option<String>,
    since: Option<String>,
    /// What changed not long before it began.
    changed: Option<String>,
    owner: String,
    source: String,
    place: String,
    open: String,
    told: Option<String>,
    failing: bool,
    runbook: Option<String>,
    help: (String, String),
    map: Option<Map>,
}

/// Where windows of a check are open: offsets against the last days.
struct Map {
    title: String,
    days: Vec<(String, u32)>,
    rows: Vec<(String, Vec<MapCell>)>,
}

/// How open windows of one offset and day are, in a mark and in words; nothing where none is open.
type MapCell = Option<(Mark, String)>;

/// Answers a browser with the page, and a program with the list of paths.
pub(super) async fn overview(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    if !super::is_for_people(&headers) {
        return Ok(health::index().await.into_response());
    }
    Keys::read(&query, &[])?;
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    let (first, count) = survey.most_urgent(|head| !head.is_confirmed(), 0, SHOWN);
    let bad: Vec<Group<'_>> = first.into_iter().map(|head| survey.series_of(head)).collect();
    let mut items: Vec<Item> = bad.iter().map(|group| item(picture, group, &survey.told)).collect();
    let no_maps = !maps(&shared, picture, &bad, &mut items).await;
    let (level, headline, explanation) = verdict(&survey);
    page(&Overview {
        frame: Frame::new(&shared, &survey, &visit, headline.clone()),
        level,
        headline,
        explanation,
        series: survey.counts().iter().map(|(_, count)| count).sum(),
        counts: survey.counts(),
        checks: survey.checks().len(),
        more: count.saturating_sub(items.len()),
        items,
        no_maps,
    })
}

/// Whether all is well, exactly as `/allswell` says it, in words.
fn verdict(survey: &Survey) -> (&'static str, String, String) {
    if let Some(why) = survey.picture.blind() {
        return ("doubt", "Nothing is proved now".to_owned(), format!("{why}."));
    }
    let (critical, unwell) = survey.critical();
    let is_way_broken = survey.is_way_broken;
    let of = |state: &str| survey.checks().iter().filter(|head| head.state() == state).count();
    let noun = |count: usize| if count == 1 { "check" } else { "checks" };
    let words = [
        ("violated", "violated"),
        ("unconfirmed", "without a result"),
        ("new", "never proved"),
        ("waived", "waived"),
        ("paused", "paused"),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .map(|(state, word)| (of(state), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {} {word}", noun(count)))
        .collect();
    let parts = parts.join(", ");
    if critical == 0 {
        let text = "No critical check is declared, so nothing here can be well.".to_owned();
        let level = if of("violated") > 0 { "bad" } else { "doubt" };
        let headline = match parts.is_empty() {
            true => "Nothing critical is watched".to_owned(),
            false => format!("Not well: {parts}"),
        };
        return (level, headline, text);
    }
    let rest = match parts.is_empty() {
        true => String::new(),
        false => format!(" Of what is not critical: {parts}."),
    };
    if survey.is_well() {
        let text = format!("Each of the {critical} critical series is proved.{rest}");
        return ("ok", "All's well".to_owned(), text);
    }
    if unwell == 0 && is_way_broken {
        let text = format!("Each of the {critical} critical series is proved.{rest}");
        return ("bad", "Not well: alerts do not get through".to_owned(), text);
    }
    let level = if of("violated") > 0 { "bad" } else { "doubt" };
    let ways = if is_way_broken { " And alerts do not get through." } else { "" };
    let text = format!("{unwell} of {critical} critical series are not proved.{ways}");
    (level, format!("Not well: {parts}"), text)
}

fn item(picture: &Arc<Snapshot>, group: &Group<'_>, told: &Outgoing) -> Item {
    let check = group.check;
    let worst = group.worst();
    let since = worst.and_then(|series| {
        let at = since(picture, series)?;
        Some(format!("{} ({})", Civil::new(at, &series.home.rules), ago(at, picture.now())))
    });
    let (violated, unconfirmed) = group.open();
    let noun = if check.window.is_some() { "window" } else { "look" };
    let open = match (violated, unconfirmed) {
        (0, 0) => String::new(),
        // A look at the present says the same again and again.
        _ if check.window.is_none() => String::new(),
        (violated, 0) => format!("{} violated", counted(violated, noun)),
        (0, unconfirmed) => format!("{} without a result", counted(unconfirmed, noun)),
        (violated, unconfirmed) => {
            format!("{} violated, {unconfirmed} without a result", counted(violated, noun))
        }
    };
    Item {
        id: check.id.to_string(),
        href: format!("/checks/{}", in_path(check.id.as_str())),
        state: group.state(),
        severity: group.severity().as_str(),
        why: cut(check.why.trim(), WHY_MAX),
        finding: group.finding().map(|finding| cut(&finding, FINDING_MAX)),
        since,
        changed: worst.and_then(|series| changed(picture, series)),
        owner: check.owner.to_string(),
        source: sources(picture, check).join(", "),
        place: group.zones().unwrap_or_default(),
        open,
        told: told_in_words(told, group),
        failing: group.series.iter().any(|series| series.record.failing_since.is_some()),
        runbook: check.runbook.clone(),
        help: help(group),
        map: None,
    }
}

/// What changed in the day before it began: the check itself, or the database that it asks.
fn changed(picture: &Snapshot, series: &SeriesHealth) -> Option<String> {
    const BEFORE: TimeDelta = TimeDelta::days(1);
    let began = since(picture, series)?;
    let is_near = |at: &DateTime<Utc>| *at <= began && began - *at < BEFORE;
    let record = &series.record;
    let of_check = Some(record.meaning_at).filter(|at| *at > record.since && is_near(at));
    let moved = |name| Some((name, picture.sources.get(name)?.moved_at.filter(is_near)?));
    let of_source = series.check.sources().into_iter().find_map(moved);
    let before = |at: DateTime<Utc>| lasts(began - at);
    match (of_source, of_check) {
        (Some((name, at)), _) => {
            Some(format!("{name} became another database {} before", before(at)))
        }
        (None, Some(at)) => Some(format!("this check was changed {} before", before(at))),
        (None, None) => None,
    }
}

fn counted(count: u64, noun: &str) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{many}")
}

/// The sources that a check asks, each with its place where that is known.
pub(super) fn sources(picture: &Snapshot, check: &Check) -> Vec<String> {
    let place = |name: &SourceName| picture.sources.get(name)?.place.as_deref();
    let named = |name: &SourceName| match place(name) {
        Some(place) => format!("{name} ({place})"),
        None => name.to_string(),
    };
    check.sources().into_iter().map(named).collect()
}

/// Who hears of a check that is not well.
pub(super) fn told_in_words(told: &Outgoing, group: &Group<'_>) -> Option<String> {
    let quiet = |series: &&Arc<SeriesHealth>| {
        Some(Civil::new(told.quiet_until(series)?, &series.home.rules).text())
    };
    if let Some(until) = group.series.iter().find_map(quiet) {
        return Some(format!("kept quiet until {until}"));
    }
    let all = || group.series.iter().flat_map(|series| told.delivered(series));
    let mut words: BTreeSet<String> = BTreeSet::new();
    for (_, delivered) in all() {
        let receivers = delivered.receivers.join(", ");
        words.insert(match delivered.delivery.as_str() {
            "notified" => format!("told to {receivers}"),
            "unheard" => format!("goes to {receivers}, which sends nothing"),
            word => word.to_owned(),
        });
    }
    if words.is_empty() && !told.has_receivers() {
        return Some("nobody is told: no Alertmanager and no webhook is set".to_owned());
    }
    (!words.is_empty()).then(|| words.into_iter().take(3).collect::<Vec<_>>().join("; "))
}

/// Where the manual says what is to be done.
pub(super) fn help(group: &Group<'_>) -> (String, String) {
    let last = group.worst().and_then(|series| series.record.last.as_ref());
    let cause = last.and_then(|last| said(last.said).1).filter(|_| group.state() != "violated");
    match cause {
        Some(cause) => (format!("/docs/oncall#{cause}"), format!("what to do about {cause}")),
        None if group.state() == "violated" => {
            ("/docs/oncall#allswellviolated".to_owned(), "what to do".to_owned())
        }
        None => ("/docs/oncall".to_owned(), "what to do".to_owned()),
    }
}

/// Puts maps of open windows beside the first checks; says whether they could be read.
async fn maps(shared: &Shared, picture: &Snapshot, bad: &[Group<'_>], items: &mut [Item]) -> bool {
    let now = picture.now();
    let has_map = |group: &Group<'_>| group.check.window.is_some() && group.open() != (0, 0);
    let first = bad.iter().zip(items).take(MAPS).filter(|(group, _)| has_map(group));
    let (checks, items): (Vec<&str>, Vec<&mut Item>) =
        first.map(|(group, item)| (group.check.id.as_str(), item)).unzip();
    if checks.is_empty() {
        return true;
    }
    let Some(days) = open_days(shared, &checks, now).await else { return false };
    for (item, days) in items.into_iter().zip(days.iter()) {
        item.map = map(days, now.date_naive());
    }
    true
}

/// Where windows of these checks are open: as it was read a moment ago by another reader, or anew.
async fn open_days(
    shared: &Shared,
    checks: &[&str],
    now: DateTime<Utc>,
) -> Option<Arc<Vec<OpenDays>>> {
    // One reads, and all who come meanwhile wait for that.
    let mut known = timeout(MAPS_WITHIN, shared.maps.lock()).await.ok()?;
    if let Some(maps) = known.as_ref()
        && maps.read_at.elapsed() < MAPS_AGE
        && maps.checks == checks
    {
        return Some(Arc::clone(&maps.days));
    }
    let from = now - TimeDelta::days(i64::try_from(MAP_DAYS).unwrap_or(14) + 1);
    let read = timeout(MAPS_WITHIN, shared.door.reader.open_days(checks, from, now)).await;
    let days = Arc::new(read.ok()?.ok()?);
    let checks = checks.iter().map(|check| (*check).to_owned()).collect();
    *known = Some(Maps { checks, read_at: Instant::now(), days: Arc::clone(&days) });
    Some(days)
}

/// Maps of open windows as they were read last.
#[derive(Debug)]
pub(in crate::web) struct Maps {
    checks: Vec<String>,
    read_at: Instant,
    days: Arc<Vec<OpenDays>>,
}

/// Draws the last days, up to the newest that is open in it or yesterday.
fn map(open: &OpenDays, today: NaiveDate) -> Option<Map> {
    let newest = open.keys().map(|(_, date)| *date).max()?.max(today.pred_opt()?);
    let first = newest.checked_sub_days(Days::new(MAP_DAYS - 1))?;
    let dates: Vec<NaiveDate> = first.iter_days().take_while(|date| *date <= newest).collect();
    let mut offsets: Vec<(i32, u64)> = Vec::new();
    for ((offset, _), (violated, unconfirmed)) in open {
        match offsets.iter_mut().find(|(known, _)| known == offset) {
            Some((_, count)) => *count += violated + unconfirmed,
            None => offsets.push((*offset, violated + unconfirmed)),
        }
    }
    offsets.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let left = offsets.len().saturating_sub(MAP_OFFSETS);
    offsets.truncate(MAP_OFFSETS);
    offsets.sort_unstable();
    let rows = offsets.iter().map(|(secs, _)| {
        let offset = Offset::of_secs(*secs).to_string();
        let cells = dates.iter().map(|date| {
            let (violated, unconfirmed) = *open.get(&(*secs, *date))?;
            let (mark, words) = match (violated, unconfirmed) {
                (0, without) => (Mark::UNCONFIRMED, format!("{without} without a result")),
                (wrong, 0) => (Mark::VIOLATED, format!("{wrong} violated")),
                (wrong, without) => {
                    (Mark::VIOLATED, format!("{wrong} violated, {without} without a result"))
                }
            };
            Some((mark, words))
        });
        (offset.clone(), cells.collect())
    });
    let days = dates.iter().map(|date| (date.to_string(), date.day())).collect();
    let more = match left {
        0 => String::new(),
        1 => ", and of 1 more offset".to_owned(),
        left => format!(", and of {left} more offsets"),
    };
    let title =
        format!("Open windows, {} to {}{more}", first.format("%-d %b"), newest.format("%-d %b %Y"));
    Some(Map { title, days, rows: rows.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_shows_open_windows_where_they_are_and_nothing_else() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        let open = OpenDays::from([
            ((-18_000, date("2025-11-02")), (2, 0)),
            ((-14_400, date("2025-11-01")), (0, 1)),
        ]);
        let map = map(&open, date("2025-11-03")).unwrap();
        assert_eq!(map.days.len(), 14);
        assert_eq!(map.days.last().unwrap().0, "2025-11-02");
        let offsets: Vec<&str> = map.rows.iter().map(|(offset, _)| offset.as_str()).collect();
        assert_eq!(offsets, ["-05:00", "-04:00"]);
        let filled: Vec<_> =
            map.rows.iter().flat_map(|(_, cells)| cells.iter().flatten()).collect();
        assert_eq!(filled.len(), 2);
        assert_eq!(filled[0].1, "2 violated");
        assert!(super::map(&OpenDays::new(), date("2025-11-03")).is_none());
    }
}
