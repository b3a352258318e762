//! A check: why it matters, how it is, where it is wrong, what it asks, and what was seen last.

mod facts;

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query as Asked, State};
use axum::response::Response;
use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};

use crate::domain::sql::bounds::Bounds;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::Frame;
use crate::domain::time::zone::{Offset, ZoneName};
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::{HistoryQuery, LedgerError, Role};
use crate::web::pages::act::ordered_in_words;
use crate::web::pages::attempts::{self, AttemptView};
use crate::web::pages::check::facts::{facts, meaning_at, paused, vouched};
use crate::web::pages::civil::{Civil, ago};
use crate::web::pages::frame::{Frame as Around, Visit, page};
use crate::web::pages::graph::{self, Graph};
use crate::web::pages::group::{Group, since};
use crate::web::pages::listed::{Listed, listed};
use crate::web::pages::mark::{Mark, OF_WINDOWS};
use crate::web::pages::matrix::{self, MatrixView};
use crate::web::pages::overview::{help, sources, told_in_words};
use crate::web::pages::queries::{QueryView, queries};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::pages::words;
use crate::web::problem::{Problem, unreadable};
use crate::web::{Here, Shared};

/// How many open windows, windows of a day, attempts, points of a line and waivers are read at most.
const OPEN: u16 = 50;
const OF_A_DAY: u16 = 200;
const ATTEMPTS: u16 = 20;
const POINTS: u16 = 60;
const WAIVERS: u16 = 10;
/// How many zones are listed.
const ZONES: usize = 1_000;

#[derive(Template)]
#[template(path = "check.html")]
struct CheckPage {
    frame: Around,
    id: String,
    state: &'static str,
    severity: &'static str,
    why: String,
    finding: Option<String>,
    since: Option<String>,
    place: String,
    told: Option<String>,
    facts: Vec<(&'static str, String)>,
    /// Each that it asks, with its place where that is known.
    sources: Vec<String>,
    runbook: Option<String>,
    waived: u64,
    /// Who vouches for those, why, and until when.
    waivers: Vec<String>,
    paused: Option<String>,
    open: Vec<Listed>,
    day: Option<(String, Vec<Listed>)>,
    matrix: Option<MatrixView>,
    legend: [Mark; 8],
    graphs: Vec<Graph>,
    graph_zone: String,
    expected: Vec<String>,
    queries: Vec<QueryView>,
    attempts: Vec<AttemptView>,
    zones: Vec<ZoneView>,
    unread: Option<String>,
    can_act: bool,
    /// Where one logs in to act, for who may not.
    login: Option<String>,
    name: Option<String>,
    ordered: Option<String>,
    is_windowed: bool,
    /// Which order of quiet makes sense: `quiet` or `tell`; none where no one is told anyway.
    quiet: Option<&'static str>,
    help: (String, String),
}

struct ZoneView {
    zone: String,
    state: &'static str,
    since: Option<String>,
    last: Option<String>,
    next: Option<String>,
}

/// What the ledger says beside the picture.
#[derive(Default)]
struct Read {
    open: Vec<Listed>,
    day: Option<(String, Vec<Listed>)>,
    matrix: Option<MatrixView>,
    graphs: Vec<Graph>,
    attempts: Vec<AttemptView>,
    waivers: Vec<String>,
    /// The generation under which it came to mean what it means.
    generation: Option<String>,
}

pub(super) async fn check(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    Asked(query): Asked<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let keys = Keys::read(&query, &["month", "day", "order"])?;
    let survey = Survey::of(&shared).await?;
    let (picture, told) = (&survey.picture, &survey.told);
    let group = survey.found(&id)?;
    // Of the series that have windows, where there are some: that of the list looks at the list.
    let data = group.series.iter().copied().find(|series| series.record.role == Role::Data);
    let worst = group.worst().filter(|series| series.record.role == Role::Data).or(data);
    let worst = worst.or(group.series.first().copied());
    let Some(worst) = worst else { return Err(Problem::bad("the check has no series")) };
    let (check, now) = (group.check, picture.now());
    let newest = group.series.iter().filter_map(|s| s.record.watermark).max().unwrap_or(now);
    // The month of the window that ended last; looks at the present stand in it by their days in UTC.
    let last = last_window(worst, now);
    let date = last.as_ref().map_or(newest.min(now).date_naive(), |last| last.window.span.date);
    let month = matrix::month(&keys, date)?;
    let day = keys.get("day").map(day_and_offset).transpose()?;
    let read = read(&shared, picture, &group, worst, (month, day, &keys)).await;
    let (read, unread) = match read {
        Ok(read) => (read, None),
        Err(trouble) => (Read::default(), Some(unreadable(&trouble).detail)),
    };
    let ordered = match unread {
        None => ordered_in_words(&shared, picture, keys.get("order")).await?,
        Some(_) => None,
    };
    page(&CheckPage {
        frame: Around::new(&shared, &survey, &visit, check.id.as_str()),
        id: check.id.to_string(),
        state: group.state(),
        severity: group.severity().as_str(),
        why: check.why.trim().to_owned(),
        finding: (group.state() != "confirmed").then(|| group.finding()).flatten(),
        since: group.worst().and_then(|series| {
            let at = since(picture, series)?;
            Some(format!("{} ({})", Civil::new(at, &series.home.rules), ago(at, now)))
        }),
        place: group.zones().unwrap_or_default(),
        told: told_in_words(told, &group),
        facts: facts(picture, &group, worst, read.generation),
        sources: sources(picture, check),
        runbook: check.runbook.clone(),
        waived: group.series.iter().map(|series| series.record.waived).sum(),
        waivers: read.waivers,
        paused: paused(&group),
        open: read.open,
        day: read.day,
        matrix: read.matrix,
        legend: OF_WINDOWS,
        graphs: read.graphs,
        graph_zone: worst.record.tz.clone().unwrap_or_default(),
        expected: words::expected(check),
        queries: queries(picture, &group, last.as_ref()),
        attempts: read.attempts,
        zones: zones(picture, &group),
        unread,
        can_act: visit.can_act(),
        login: visit.login(&shared),
        name: visit.name().map(str::to_owned),
        ordered,
        is_windowed: check.window.is_some(),
        quiet: told.has_receivers().then(|| match told.quiet_until(worst) {
            Some(_) => "tell",
            None => "quiet",
        }),
        help: help(&group),
    })
}

/// Reads a local date and an offset, as cells of the matrix write them.
fn day_and_offset(text: &str) -> Result<(NaiveDate, Offset), Problem> {
    let rule = || Problem::bad("`day` is written like `2025-11-02 -04:00`");
    let (date, offset) = text.split_once(' ').ok_or_else(rule)?;
    let date: NaiveDate = date.parse().map_err(|_| rule())?;
    // Beyond these years instants cannot be computed with.
    if !(1970..2200).contains(&date.year()) {
        return Err(rule());
    }
    let parsed = DateTime::parse_from_rfc3339(&format!("2000-01-01T00:00:00{offset}"));
    let secs = parsed.map_err(|_| rule())?.offset().local_minus_utc();
    Ok((date, Offset::of_secs(secs)))
}

async fn read(
    shared: &Shared,
    picture: &Arc<Snapshot>,
    group: &Group<'_>,
    worst: &SeriesHealth,
    (month, day, keys): (NaiveDate, Option<(NaiveDate, Offset)>, &Keys),
) -> Result<Read, LedgerError> {
    let (reader, check, now) = (&shared.door.reader, group.check.id.as_str(), picture.now());
    let open = reader.open_windows(check, now, OPEN).await?;
    let day = match day {
        None => None,
        Some((date, offset)) => {
            let from = offset.instant(date.and_time(chrono::NaiveTime::MIN));
            let wanted = HistoryQuery {
                from: Some(from),
                to: Some(from + TimeDelta::days(1)),
                utc_offset: Some(offset.secs()),
                ..HistoryQuery::default()
            };
            let page = reader.windows(check, &wanted, now, OF_A_DAY).await?;
            let all = page.items.iter().map(|history| listed(group, history, now));
            Some((format!("{date} at {offset}"), all.collect()))
        }
    };
    let from = recent(group, now, 60);
    let of_check = reader.attempts_of_check(check, from, ATTEMPTS).await?;
    let alone = recent_of(worst, now, i32::from(POINTS));
    let of_series = reader.attempts_of_series(worst.record.id, alone, POINTS).await?;
    let waivers = reader.waivers_of(check, now, WAIVERS).await?;
    Ok(Read {
        waivers: waivers.iter().map(|given| vouched(group, given)).collect(),
        open: open.iter().map(|history| listed(group, history, now)).collect(),
        day,
        matrix: Some(matrix::draw(shared, picture, group, month, keys).await?),
        graphs: graph::both(&of_series),
        attempts: of_check.iter().map(|attempt| attempts::view(group, attempt, true)).collect(),
        generation: reader.generation_at(meaning_at(worst)).await?,
    })
}

/// From when on about so many windows of the check together begin.
fn recent(group: &Group<'_>, now: DateTime<Utc>, count: i32) -> DateTime<Utc> {
    let zones = i32::try_from(group.series.len()).unwrap_or(i32::MAX).max(1);
    let data = group.series.iter().filter(|series| series.record.role == Role::Data);
    data.map(|series| recent_of(series, now, (count / zones).max(3))).max().unwrap_or(now)
}

/// From when on about so many windows of a series begin.
fn recent_of(series: &SeriesHealth, now: DateTime<Utc>, count: i32) -> DateTime<Utc> {
    let check = &series.check;
    let pace = match (&check.window, &check.schedule) {
        (Some(rule), _) => match rule.frame {
            Frame::Calendar(period) => TimeDelta::days(period.days()),
            Frame::Grid(_) => {
                let span = rule.frame.span_at(&series.home.rules, now);
                span.end - span.start
            }
        },
        (None, Schedule::Every(every)) => every.period(),
        (None, Schedule::Cron(_) | Schedule::WindowEnd) => TimeDelta::hours(6),
    };
    let newest = series.record.last.as_ref().map_or(now, |last| last.at.min(now));
    newest - pace * (count + 1)
}

/// The window that ended last, with what is bound for it.
fn last_window(series: &SeriesHealth, now: DateTime<Utc>) -> Option<Bounds> {
    let rule = series.check.window.as_ref()?;
    let span = rule.frame.last_closed(&series.home.rules, now)?;
    let window = *span.windows(&series.home.rules, rule.split).last()?;
    let zone = if rule.zones.written().is_empty() && series.record.tz.is_none() {
        ZoneName::utc()
    } else {
        series.home.name.clone()
    };
    Some(Bounds { window, zone, past: rule.past_of(&series.home.rules, &window) })
}

fn zones(picture: &Snapshot, group: &Group<'_>) -> Vec<ZoneView> {
    let mut all: Vec<ZoneView> = Vec::new();
    for state in ["violated", "unconfirmed", "new", "waived", "paused", "confirmed"] {
        for series in group.in_state(state).take(ZONES.saturating_sub(all.len())) {
            let at = |at| Civil::new(at, &series.home.rules).to_string();
            all.push(ZoneView {
                zone: match (&series.record.tz, series.record.role) {
                    (Some(tz), _) => tz.clone(),
                    (None, Role::List) => "the list of its zones".to_owned(),
                    (None, Role::Data) => "-".to_owned(),
                },
                state,
                since: since(picture, series).map(at),
                last: series.record.last.as_ref().map(|last| at(last.at)),
                next: series.next_due.map(at),
            });
        }
    }
    all
}
