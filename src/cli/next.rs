//! `next`: what is due when, and what clock changes do to it.

mod to_alert;

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::cli::args::{NextArgs, Output};
use crate::cli::exit::Exit;
use crate::cli::paint::Paint;
use crate::cli::validate::{Loaded, load, refuse, warn};
use crate::cli::windows::shown;
use crate::cli::{complain, print, report};
use crate::clock;
use crate::domain::check::Check;
use crate::domain::record::series::{Series, Zone};
use crate::domain::time::agenda::{Due, Entry, Event, Omission, Target};
use crate::domain::time::period::Period;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::{Frame, Window};
use crate::domain::time::zone::{Change, ZoneName};
use crate::zones::Zones;

/// More dues than this within a day are told in one line.
const TOLD_PER_DAY: usize = 12;
/// How many odd times of a schedule are told that is told in one line.
const ODD_MAX: usize = 12;

pub(super) fn next(args: &NextArgs) -> Exit {
    let Loaded { catalogue, zones, settings } = match load(&args.at) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, args.output),
    };
    let from = args.from.unwrap_or_else(clock::now);
    let to = args.to.unwrap_or(from + TimeDelta::days(7));
    let checks = catalogue.select(&args.select.selection());
    let named = named(&zones, &args.zone);
    let (checks, named) = match (checks, named) {
        (Ok(checks), Ok(named)) if from < to => (checks, named),
        (Err(message), _) | (_, Err(message)) => {
            complain(&message);
            return Exit::Invalid;
        }
        (Ok(_), Ok(_)) => {
            complain(&format!("nothing lies between {} and {}", shown(from), shown(to)));
            return Exit::Invalid;
        }
    };
    warn(catalogue.warnings_of(&checks));
    if args.to_alert {
        return to_alert::print_table(&checks, &settings, &zones, from, args.output);
    }
    let mut plan = Plan { zones: &zones, named, from, to, text: String::new(), due: 0, series: 0 };
    let mut json = Json::default();
    for check in &checks {
        match args.output {
            Output::Text => plan.text_of(check),
            Output::Json => plan.json_of(check, &mut json),
        }
    }
    if plan.series == 0 {
        complain("none of these checks is in that zone");
        return Exit::Invalid;
    }
    let text = match args.output {
        Output::Text => {
            let (dues, count) = (plan.due, plan.series);
            let (from, to) = (shown(from), shown(to));
            let _ = writeln!(plan.text, "{dues} dues of {count} series, after {from}, up to {to}");
            plan.text
        }
        Output::Json => {
            format!("{}\n", json!({"format": 1, "due": json.due, "events": json.events}))
        }
    };
    print(&text)
}

/// Takes the zones that are asked for.
fn named(zones: &Zones, words: &[String]) -> Result<Vec<ZoneName>, String> {
    let name = |word: &String| match zones.named(word) {
        Ok(named) => Ok(named.name),
        Err(refused) => Err(format!("{}; {}", refused.message, refused.hint)),
    };
    words.iter().map(name).collect()
}

struct Plan<'a> {
    zones: &'a Zones,
    named: Vec<ZoneName>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    text: String,
    due: usize,
    series: usize,
}

#[derive(Default)]
struct Json {
    due: Vec<Value>,
    events: Vec<Value>,
}

/// A line of the plan: an item of the agenda, or a clock change of a zone.
enum Line<'s> {
    Entry(Entry),
    Change(Change, &'s ZoneName),
}

/// The clock changes of the zones of a series: where its windows are, and where its line is read.
fn changes(series: &Series, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<(Change, &ZoneName)> {
    let both = [&series.home, &series.clock];
    let count = if series.home.name == series.clock.name { 1 } else { 2 };
    let of_zone = |zone: &'_ Zone| zone.rules.changes_within(from, to).to_vec();
    let zones = both.into_iter().take(count);
    zones.flat_map(|zone| of_zone(zone).into_iter().map(|change| (change, &zone.name))).collect()
}

impl Plan<'_> {
    /// The series of a check that are asked for; `None` where only a query names the
    /// zones.
    fn series_of(&mut self, check: &Arc<Check>) -> Option<Vec<Series>> {
        let rules = |name: &ZoneName| self.zones.rules(name);
        let series = match Series::of(check, &rules) {
            Some(series) => series,
            None if self.named.is_empty() => {
                self.series += 1;
                return None;
            }
            None => {
                let series = self.named.iter().map(|zone| Series::in_zone(check, zone, &rules));
                series.flatten().collect()
            }
        };
        let wanted = |s: &Series| self.named.is_empty() || self.named.contains(&s.home.name);
        let series: Vec<Series> = series.into_iter().filter(wanted).collect();
        self.series += series.len();
        Some(series)
    }

    fn entries<'s>(&self, series: &'s Series) -> impl Iterator<Item = Entry> + use<'s> {
        let to = self.to;
        series.agenda_after(self.from).take_while(move |entry| entry.at() <= to)
    }

    /// The number of dues, where there are so many on the first day with any that one line tells them.
    fn crowd(&self, series: &Series) -> Option<usize> {
        let is_due = |entry: &Entry| matches!(entry, Entry::Due(_));
        let first = self.entries(series).find(is_due)?.at();
        let day = first + TimeDelta::days(1);
        let of_day = self.entries(series).take_while(|entry| entry.at() < day).filter(is_due);
        (of_day.count() > TOLD_PER_DAY).then(|| self.entries(series).filter(is_due).count())
    }

    fn text_of(&mut self, check: &Arc<Check>) {
        let Some(all) = self.series_of(check) else {
            let rule = check.window.as_ref().map_or(String::new(), |w| w.frame.to_string());
            let _ = writeln!(
                self.text,
                "{}: each {rule}, in the zones of a query, which is not asked here: name some, like `--zone \
                 America/New_York`\n",
                check.id
            );
            return;
        };
        for series in all {
            let zone = &series.home.name;
            let _ = writeln!(self.text, "{} · {zone} · {}", check.id, manner(&series));
            if let Some(until) = series.paused_until(self.from) {
                let because = check.pause.as_ref().map_or("", |p| p.because.as_str());
                let _ = writeln!(
                    self.text,
                    "  waits until {}, what is due before that too: {because}",
                    shown(until)
                );
            }
            match self.crowd(&series) {
                Some(count) => self.crowd_line(&series, count),
                None => self.lines(&series),
            }
            self.text.push('\n');
        }
    }

    fn crowd_line(&mut self, series: &Series, count: usize) {
        self.due += count;
        let first = self.entries(series).find_map(|entry| match entry {
            Entry::Due(due) => Some(due.at),
            Entry::Event(_) => None,
        });
        let first = first.map_or_else(String::new, shown);
        let _ = writeln!(self.text, "  {count} times, the first at {first}");
        for (change, zone) in changes(series, self.from, self.to) {
            self.change(&change, zone);
        }
        let omitted = |entry| match entry {
            Entry::Due(due) => Some((due.at, note(&due))).filter(|(_, note)| !note.is_empty()),
            Entry::Event(event) => Some((event.at, format!("not due: {}", why(&event)))),
        };
        let odd: Vec<_> = self.entries(series).filter_map(omitted).collect();
        for (at, note) in odd.iter().take(ODD_MAX) {
            let _ = writeln!(self.text, "  {}  {note}", civil(series, *at));
        }
        if odd.len() > ODD_MAX {
            let _ = writeln!(self.text, "  and {} such times more", odd.len() - ODD_MAX);
        }
    }

    fn lines(&mut self, series: &Series) {
        let mut lines: Vec<Line<'_>> = self.entries(series).map(Line::Entry).collect();
        let changes = changes(series, self.from, self.to).into_iter();
        lines.extend(changes.map(|(change, zone)| Line::Change(change, zone)));
        lines.sort_by_key(|line| match line {
            Line::Entry(entry) => (entry.at(), 1),
            Line::Change(change, _) => (change.at, 0),
        });
        let any = !lines.is_empty();
        for line in lines {
            match line {
                Line::Entry(Entry::Due(due)) => self.due_line(series, &due),
                Line::Entry(Entry::Event(event)) => {
                    let _ = writeln!(
                        self.text,
                        "  {}  not due: {}",
                        civil(series, event.at),
                        why(&event)
                    );
                }
                Line::Change(change, zone) => self.change(&change, zone),
            }
        }
        if !any {
            let _ = writeln!(self.text, "  nothing is due");
        }
    }

    fn due_line(&mut self, series: &Series, due: &Due) {
        self.due += 1;
        let _ = write!(self.text, "  {}", civil(series, due.at));
        if let Target::Window(window) = &due.target {
            let _ = write!(self.text, "  {}", described(series, window));
        }
        let note = note(due);
        if !note.is_empty() {
            let _ = write!(self.text, "  ({note})");
        }
        self.text.push('\n');
    }

    fn change(&mut self, change: &Change, zone: &ZoneName) {
        let line = format!("  -- {}: {}", shown(change.at), change_in_words(change, zone));
        let _ = writeln!(self.text, "{}", Paint::of_stdout().yellow(&line));
    }

    fn json_of(&mut self, check: &Arc<Check>, json: &mut Json) {
        let Some(all) = self.series_of(check) else {
            let note = "the zones come from a query; name some with `--zone`";
            json.events.push(json!({
                "check": check.id.as_str(), "tz": null, "at": null, "civil": null, "note": note,
            }));
            return;
        };
        for series in all {
            let crowd = self.crowd(&series);
            for (change, zone) in changes(&series, self.from, self.to) {
                json.events.push(json!({
                    "check": check.id.as_str(),
                    "tz": series.tz().map(ZoneName::as_str),
                    "at": shown(change.at),
                    "civil": change.after.civil(change.at).format("%Y-%m-%dT%H:%M:%S").to_string()
                        + &change.after.to_string(),
                    "note": change_in_words(&change, zone),
                }));
            }
            let mut told = false;
            for entry in self.entries(&series) {
                let tz = series.tz().map(ZoneName::as_str);
                let at = entry.at();
                match entry {
                    Entry::Due(_) if crowd.is_some() && told => {}
                    Entry::Due(due) => {
                        told = true;
                        let mut note = Some(note(&due)).filter(|note| !note.is_empty());
                        if let Some(count) = crowd {
                            note = Some(format!("the first of {count}"));
                        }
                        self.due += 1;
                        json.due.push(json!({
                            "check": check.id.as_str(),
                            "tz": tz,
                            "due": shown(at),
                            "civil": rfc3339(&series, at),
                            "window": match &due.target {
                                Target::Window(window) => {
                                    report::json::window(window, Some(&series.home.name))
                                }
                                Target::Slot(_) => Value::Null,
                            },
                            "note": note,
                        }));
                    }
                    Entry::Event(event) => json.events.push(json!({
                        "check": check.id.as_str(),
                        "tz": tz,
                        "at": shown(at),
                        "civil": rfc3339(&series, at),
                        "note": why(&event),
                    })),
                }
            }
        }
    }
}

/// What clocks do, in words.
fn change_in_words(change: &Change, zone: &ZoneName) -> String {
    let verb = if change.is_gap() { "forward" } else { "back" };
    format!("clocks go {verb} in {zone}: {change}, {} to {}", change.before, change.after)
}

/// When a series looks, in words.
fn manner(series: &Series) -> String {
    let window = series.window().map(|rule| match rule.frame {
        Frame::Calendar(period) => format!("each {}", Frame::Calendar(period)),
        Frame::Grid(step) => format!("each {} of UTC", Frame::Grid(step)),
    });
    let schedule = match &series.check.schedule {
        Schedule::Every(every) => {
            let period = every.period().to_std().unwrap_or_default();
            Some(format!("every {}", crate::domain::time::duration::show(period)))
        }
        Schedule::Cron(cron) => Some(format!("`{}` in {}", cron.line, series.clock.name)),
        Schedule::WindowEnd => None,
    };
    [window, schedule].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Says which data is looked at, and how long that is where it is not what one would think.
fn described(series: &Series, window: &Window) -> String {
    let frame = series.window().map(|rule| rule.frame);
    let mut text = match frame {
        Some(Frame::Grid(_)) => format!("window from {}", shown(window.start)),
        Some(Frame::Calendar(Period::Day(_))) | None => format!("window {}", window.span.date),
        Some(frame) => format!("window {frame} of {}", window.span.date),
    };
    if window.is_part() {
        let _ = write!(text, " at {}", window.utc_offset);
    }
    let day = frame == Some(Frame::Calendar(Period::DAY));
    if day && window.length() != TimeDelta::days(1) {
        let minutes = window.length().num_minutes();
        let _ = write!(text, ", {} h", minutes / 60);
        if minutes % 60 != 0 {
            let _ = write!(text, " {} min", minutes % 60);
        }
    }
    text
}

/// What a clock change did to a due.
fn note(due: &Due) -> String {
    due.slot.map(|slot| slot.to_string()).unwrap_or_default()
}

/// Why something is not due.
fn why(event: &Event) -> String {
    match event.what {
        Omission::Civil(happening) => happening.to_string(),
        Omission::NoSuchDate(date) => format!("{date}: clocks leave out this date"),
        Omission::Excepted(date) => format!("{date} is taken out by its owner"),
    }
}

/// An instant as the series' clocks show it, and in UTC.
fn civil(series: &Series, at: DateTime<Utc>) -> String {
    let rules = &series.clock.rules;
    let offset = rules.offset_at(at);
    let utc = at.format("%Y-%m-%dT%H:%MZ");
    format!("{} {offset}  {utc}", offset.civil(at).format("%a %Y-%m-%d %H:%M"))
}

fn rfc3339(series: &Series, at: DateTime<Utc>) -> String {
    let offset = chrono::FixedOffset::east_opt(series.clock.rules.offset_at(at).secs());
    let offset = offset.unwrap_or_else(|| chrono::Offset::fix(&Utc));
    at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Secs, false)
}
