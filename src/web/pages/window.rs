//! A window: what was expected and seen, each attempt, what happened, who was told, and what an operator can do.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::sql::bounds::Bounds;
use crate::domain::time::zone::ZoneName;
use crate::engine::snapshot::Snapshot;
use crate::ledger::{History, HistoryQuery, Role};
use crate::web::filter::short;
use crate::web::history::overridden;
use crate::web::pages::act::ordered_in_words;
use crate::web::pages::attempts::{self, AttemptView};
use crate::web::pages::civil::{Civil, lasts};
use crate::web::pages::events::{EventView, views as event_views};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::group::Group;
use crate::web::pages::listed::{begins, mark};
use crate::web::pages::mark::Mark;
use crate::web::pages::matrix::place;
use crate::web::pages::matrix::window_path;
use crate::web::pages::queries::{QueryView, list_query, queries};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::pages::words;
use crate::web::problem::{Problem, unreadable};
use crate::web::{Here, Shared};

/// How many attempts and events are read at most.
const ATTEMPTS: u16 = 50;
const EVENTS: u16 = 50;

#[derive(Template)]
#[template(path = "window.html")]
struct WindowPage {
    frame: Frame,
    check: String,
    why: String,
    mark: Mark,
    title: String,
    start: String,
    end: Option<String>,
    lasts: String,
    zone: Option<String>,
    times: Vec<(&'static str, Civil)>,
    facts: Vec<(&'static str, String)>,
    expected: Vec<String>,
    /// What was found, in one line, and the sample rows below it.
    finding: Option<String>,
    samples: String,
    waiver: Option<String>,
    attempts: Vec<AttemptView>,
    events: Vec<EventView>,
    told: Vec<String>,
    queries: Vec<QueryView>,
    can_act: bool,
    login: Option<String>,
    can_waive: bool,
    is_waived: bool,
    name: Option<String>,
    path: String,
    ordered: Option<String>,
    commands: String,
    others: Vec<(String, String)>,
}

pub(super) async fn window(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Path((id, place_of)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let keys = Keys::read(&query, &["order"])?;
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    let group = survey.found(&id)?;
    let (tz, start) = place(&place_of)?;
    let all = read(&shared, picture, &id, tz.as_deref(), start).await?;
    let (history, others) = all.split_first().ok_or_else(|| absent(&shared, &group, &tz, start))?;
    let entry = &history.entry;
    let reader = &shared.door.reader;
    let attempts = reader.attempts_of_window(entry.key(), ATTEMPTS).await;
    let attempts = attempts.map_err(|trouble| unreadable(&trouble))?;
    let events = reader.events_of_window(&id, tz.as_deref(), start, EVENTS).await;
    let events = events.map_err(|trouble| unreadable(&trouble))?;
    let (finding, samples) = finding(history);
    let end = entry.row.end;
    let series = group.series.iter().find(|series| series.record.id == entry.series);
    let civil_of = |at| civil(&group, history, at);
    let title = begins(&group, history).text();
    let is_windowed = end > start;
    let is_list = series.is_some_and(|series| series.record.role == Role::List);
    let is_proved = mark(history, picture.now()) == Mark::CONFIRMED;
    page(&WindowPage {
        frame: Frame::new(&shared, &survey, &visit, format!("{id}, {title}")),
        check: id.clone(),
        why: group.check.why.trim().to_owned(),
        mark: mark(history, picture.now()),
        title,
        start: begins(&group, history).to_string(),
        end: is_windowed.then(|| civil_of(end).to_string()),
        lasts: if is_windowed { lasts(end - start) } else { String::new() },
        zone: tz.clone(),
        times: times(&group, history),
        facts: facts(history),
        expected: match is_list {
            true => vec!["the list of its zones comes, and is whole".to_owned()],
            false => words::expected(group.check),
        },
        finding: finding.or_else(|| is_proved.then(|| "as expected".to_owned())),
        samples,
        waiver: waiver(&group, history, picture.now()),
        attempts: attempts.iter().map(|attempt| attempts::view(&group, attempt, false)).collect(),
        events: event_views(picture, &events, civil_of),
        told: told(&survey, entry.series, civil_of),
        queries: match is_list {
            true => list_query(&group),
            false => queries(picture, &group, bounds(&group, history).as_ref()),
        },
        can_act: visit.can_act(),
        login: visit.login(&shared),
        can_waive: is_windowed && history.open.is_some(),
        is_waived: mark(history, picture.now()) == Mark::WAIVED,
        name: visit.name().map(str::to_owned),
        path: window_path(&id, tz.as_deref(), start),
        ordered: ordered_in_words(&shared, picture, keys.get("order")).await?,
        commands: commands(&group, history),
        others: others.iter().map(|other| described(&group, other)).collect(),
    })
}

/// The rows that begin then: one, but where the rules of a zone changed.
async fn read(
    shared: &Shared,
    picture: &Arc<Snapshot>,
    check: &str,
    tz: Option<&str>,
    start: DateTime<Utc>,
) -> Result<Vec<History>, Problem> {
    let wanted = HistoryQuery {
        tz: Some(tz.unwrap_or("").to_owned()),
        from: Some(start),
        to: Some(start + TimeDelta::microseconds(1)),
        ..HistoryQuery::default()
    };
    let page = shared.door.reader.windows(check, &wanted, picture.now(), 10).await;
    let mut all = page.map_err(|trouble| unreadable(&trouble))?.items;
    // What took the place of another one is what counts.
    all.sort_by_key(|history| overridden(history.entry.row.overridden) == Some("replaced"));
    Ok(all)
}

fn absent(
    shared: &Shared,
    group: &Group<'_>,
    tz: &Option<String>,
    start: DateTime<Utc>,
) -> Problem {
    let id = &group.check.id;
    if let Some(tz) = tz
        && !group.series.iter().any(|series| series.record.tz.as_ref() == Some(tz))
    {
        let detail = format!("`{}` is no zone of `{id}`", short(tz));
        return Problem::new(StatusCode::NOT_FOUND, detail);
    }
    let kept = crate::domain::time::duration::show(shared.door.reader.retention());
    let detail = format!(
        "no window of `{id}` that begins at {} is recorded: it is not due yet, is no window of the check, or is \
         older than the record is kept ({kept})",
        crate::web::instants::instant(start)
    );
    Problem::new(StatusCode::NOT_FOUND, detail)
}

/// The first line of what was found, and what follows.
fn finding(history: &History) -> (Option<String>, String) {
    let Some(note) = history.entry.note.as_deref() else { return (None, String::new()) };
    let mut lines = note.lines();
    let first = lines.next().unwrap_or_default();
    let cause = history.entry.row.recorded().and_then(|r| crate::web::api::said(r.said).1);
    let first = cause.map_or_else(|| first.to_owned(), |cause| format!("{cause}: {first}"));
    (Some(first), lines.collect::<Vec<_>>().join("\n"))
}

/// A time in the zone of a window's series.
fn civil(group: &Group<'_>, history: &History, at: DateTime<Utc>) -> Civil {
    let series = group.series.iter().find(|series| series.record.id == history.entry.series);
    series.map_or_else(|| Civil::utc(at), |series| Civil::new(at, &series.home.rules))
}

fn waiver(group: &Group<'_>, history: &History, now: DateTime<Utc>) -> Option<String> {
    let waiver = history.waiver.as_ref()?;
    let until =
        waiver.until.map(|until| format!(", until {}", civil(group, history, until).text()));
    let until = until.unwrap_or_default();
    let (by, because) = (&waiver.by, &waiver.because);
    // What was taken back, ran out, or was proved since counts no longer.
    Some(match mark(history, now) == Mark::WAIVED {
        true => format!("{by} vouches for it{until}: {because}"),
        false => format!("It was waived by {by}{until}: {because}. That counts no longer."),
    })
}

fn times(group: &Group<'_>, history: &History) -> Vec<(&'static str, Civil)> {
    let row = &history.entry.row;
    let mut times = vec![("Due", row.due), ("Deadline", row.deadline)];
    times.extend(row.recorded().map(|recorded| ("Recorded", recorded.at)));
    times.extend(history.entry.reproof_by.map(|by| ("To be proved again by", by)));
    times.into_iter().map(|(name, at)| (name, civil(group, history, at))).collect()
}

fn facts(history: &History) -> Vec<(&'static str, String)> {
    let entry = &history.entry;
    let mut facts = Vec::new();
    facts.extend(entry.evidence.map(|evidence| ("Evidence", format!("looked at {evidence}"))));
    facts.push(("Attempts", entry.attempts.to_string()));
    facts.push(("Generation", entry.generation.to_string()));
    facts
}

/// Who was told of its series, when, and what becomes of it now.
fn told(survey: &Survey, series: i64, civil: impl Fn(DateTime<Utc>) -> Civil) -> Vec<String> {
    let picture = &survey.picture;
    let mut lines: BTreeMap<DateTime<Utc>, Vec<String>> = BTreeMap::new();
    for row in picture.alerts.iter().filter(|row| row.series == series) {
        let id = (row.labels.fingerprint(), row.starts_at);
        let name = row.labels.get("alertname");
        for ((receiver, _), acknowledged) in
            picture.notified.iter().filter(|((_, of), _)| *of == id)
        {
            let begun = acknowledged.begun_at.map(|at| (at, "took"));
            let ended = acknowledged.ended_at.map(|at| (at, "took the end of"));
            for (at, verb) in begun.into_iter().chain(ended) {
                let line = format!("{}: {receiver} {verb} {name}", civil(at).text());
                lines.entry(at).or_default().push(line);
            }
        }
    }
    let mut lines: Vec<String> = lines.into_values().flatten().collect();
    if let Some(series) = picture.series.iter().find(|known| known.record.id == series) {
        lines.extend(survey.told.delivered(series).map(|(name, delivered)| {
            let receivers = delivered.receivers.join(", ");
            format!(
                "Now: {name} is {} by {} ({receivers})",
                delivered.delivery.as_str(),
                delivered.alertmanager
            )
        }));
    }
    lines
}

/// What was bound for the window.
fn bounds(group: &Group<'_>, history: &History) -> Option<Bounds> {
    let row = &history.entry.row;
    let rule = group.check.window.as_ref()?;
    let series = group.series.iter().find(|series| series.record.id == history.entry.series)?;
    let span = rule.frame.span_at(&series.home.rules, row.start);
    let fits = |window: &crate::domain::time::window::Window| window.start == row.start;
    let window = span.windows(&series.home.rules, rule.split).into_iter().find(fits)?;
    let has_zone = history.tz.is_some() || !rule.zones.written().is_empty();
    let zone = if has_zone { series.home.name.clone() } else { ZoneName::utc() };
    Some(Bounds { window, zone, past: rule.past_of(&series.home.rules, &window) })
}

/// The same that forms do, to type.
fn commands(group: &Group<'_>, history: &History) -> String {
    let id = &group.check.id;
    let zone = history.tz.as_deref().map(|tz| format!(" --zone {tz}")).unwrap_or_default();
    let row = &history.entry.row;
    let instant = crate::web::instants::instant;
    let end = if row.end > row.start { row.end } else { row.start + TimeDelta::seconds(1) };
    let range = format!("--from {} --to {}", instant(row.start), instant(end));
    let mut text =
        format!("allswell history {id}{zone} {range}\nallswell rerun {id}{zone} {range}");
    if row.end > row.start {
        text.push_str(&format!(
            "\nallswell waive {id}{zone} {range} --until DATE --because WHY --by NAME"
        ));
    }
    text
}

fn described(group: &Group<'_>, history: &History) -> (String, String) {
    let entry = &history.entry;
    let end = Civil::with_offset(entry.row.end, entry.utc_offset).text();
    let word = overridden(entry.row.overridden).unwrap_or("standing");
    (format!("to {end}: {word}"), group.check.id.to_string())
}
