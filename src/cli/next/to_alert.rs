//! `next --to-alert`: how long it takes from wrong data to an alert, at most.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::cli::args::Output;
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::domain::check::Check;
use crate::domain::record::series::Series;
use crate::domain::time::agenda::{Due, Entry, Target};
use crate::domain::time::duration::delta;
use crate::domain::time::zone::ZoneName;
use crate::settings::Settings;
use crate::zones::Zones;

/// How many dues of a series are looked at.
const DUES_MAX: usize = 1_000;
/// How far ahead: a year has both clock changes, and each month.
const AHEAD: TimeDelta = TimeDelta::days(400);

/// How long an alert takes at most, in two cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Longest {
    /// The data is wrong, and the source answers.
    wrong: TimeDelta,
    /// Nothing can be proved: the deadline passes.
    unproved: TimeDelta,
}

/// The longest of a series: from the moment when a row is written until an attempt that sees it has ended.
fn longest(series: &Series, from: DateTime<Utc>, attempt: TimeDelta) -> Option<Longest> {
    let to = from + AHEAD;
    let due = |entry| match entry {
        Entry::Due(due) => Some(due),
        Entry::Event(_) => None,
    };
    let entries = series.agenda_after(from).take_while(|entry| entry.at() <= to);
    let dues: Vec<Due> = entries.filter_map(due).take(DUES_MAX).collect();
    // Bad windows that are needed before an alert begins come one after another.
    let after = usize::try_from(series.check.alert.after.get()).unwrap_or(usize::MAX);
    let mut longest: Option<Longest> = None;
    for (index, due) in dues.iter().enumerate() {
        let since = match &due.target {
            Target::Window(window) => window.span.start,
            // What was written just after the look before.
            Target::Slot(_) if index > 0 => dues[index - 1].at,
            Target::Slot(_) => continue,
        };
        let Some(last) = dues.get(index + after - 1) else { break };
        let until = last.at - since;
        let all = longest.get_or_insert_default();
        all.wrong = all.wrong.max(until + attempt);
        all.unproved = all.unproved.max(until + series.patience(last));
    }
    longest
}

/// How long an attempt takes at most before it says that something is wrong.
fn attempt(check: &Check, settings: &Settings) -> TimeDelta {
    let source = settings.sources.iter().find(|source| source.name == check.source);
    let timeout = check.timeout.or(source.map(|source| source.timeout)).unwrap_or_default();
    let again = check.reconcile().map_or(TimeDelta::zero(), |reconcile| {
        if reconcile.confirm_after.is_zero() {
            TimeDelta::zero()
        } else {
            delta(reconcile.confirm_after) + delta(timeout)
        }
    });
    delta(timeout) + again
}

/// Says it of each check; of one with several zones, the longest of them.
pub(super) fn print_table(
    checks: &[Arc<Check>],
    settings: &Settings,
    zones: &Zones,
    from: DateTime<Utc>,
    output: Output,
) -> Exit {
    let rules = |name: &_| zones.rules(name);
    let rows = checks.iter().map(|check| {
        // A query names the zones: a day is as long anywhere, but for the hours of a clock change.
        let in_utc = || Some(vec![Series::in_zone(check, &ZoneName::utc(), &rules)?]);
        let all = Series::of(check, &rules).or_else(in_utc).into_iter().flatten();
        let longest = all.filter_map(|series| longest(&series, from, attempt(check, settings)));
        let longest = longest.reduce(|a, b| Longest {
            wrong: a.wrong.max(b.wrong),
            unproved: a.unproved.max(b.unproved),
        });
        (check, longest)
    });
    let rows: Vec<(&Arc<Check>, Option<Longest>)> = rows.collect();
    match output {
        Output::Json => {
            let seconds = |longest: Option<Longest>, of: fn(Longest) -> TimeDelta| {
                longest.map(|longest| of(longest).num_seconds())
            };
            let rows = rows.iter().map(|(check, longest)| {
                json!({
                    "check": check.id.as_str(),
                    "wrong_data_secs": seconds(*longest, |l| l.wrong),
                    "no_proof_secs": seconds(*longest, |l| l.unproved),
                })
            });
            print(&format!("{}\n", json!({"format": 1, "to_alert": rows.collect::<Vec<_>>()})))
        }
        Output::Text => {
            let width =
                rows.iter().map(|(check, _)| check.id.as_str().len()).max().unwrap_or(0).max(5);
            let mut text =
                format!("{:<width$}  {:>12}  {:>12}\n", "CHECK", "WRONG DATA", "NO PROOF");
            for (check, longest) in &rows {
                let shown = |of: fn(Longest) -> TimeDelta| {
                    longest.map_or("-".to_owned(), |l| in_words(of(l)))
                };
                let (wrong, unproved) = (shown(|l| l.wrong), shown(|l| l.unproved));
                let _ =
                    writeln!(text, "{:<width$}  {wrong:>12}  {unproved:>12}", check.id.as_str());
            }
            text.push_str(
                "\nAt most this long after a row was written, or changed, allswell sends an alert: because the data is \
                 wrong,\nor because the proof did not come. Alertmanager adds `group_wait`, or `group_interval` where the \
                 group was\nnotified about before. What changes in a window after its proof is not seen by that window.\n",
            );
            print(&text)
        }
    }
}

/// A duration for people: its two largest units.
fn in_words(time: TimeDelta) -> String {
    let secs = time.num_seconds();
    let parts =
        [(secs / 86_400, "d"), (secs / 3_600 % 24, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).take(2);
    let words: Vec<String> = parts.map(|(count, unit)| format!("{count}{unit}")).collect();
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}
