//! What Prometheus hears of each series: instants rather than ages, written straight from the picture.
//!
//! No value of a row and no text of an error is a label. A series is there as long as its check is. While
//! the engine or the ledger is away, no proof speaks for longer than until then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::domain::check::name::CheckId;
use crate::domain::record::standing::Lease;
use crate::engine::snapshot::{SeriesHealth, Snapshot};

/// The states of a series.
const STATES: [&str; 6] = ["confirmed", "violated", "unconfirmed", "new", "paused", "waived"];

/// A metric of each series: its name, kind and help, and how it is written.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    write: fn(&mut Out<'_>, &Shown<'_>),
}

/// A series, with its labels as they are written.
struct Shown<'a> {
    series: &'a SeriesHealth,
    labels: String,
    state: &'static str,
    /// Until when its proofs speak for it, as far as anybody sees.
    until: DateTime<Utc>,
}

/// The text of one family, while it is written.
struct Out<'a> {
    text: &'a mut String,
    name: &'static str,
    samples: usize,
}

impl Out<'_> {
    // A page has hundreds of thousands of these: they are put together without the machinery of formats.
    fn sample(&mut self, labels: &str, more: &[&str], value: impl std::fmt::Display) {
        let Self { text, name, samples } = self;
        text.push_str(name);
        text.push('{');
        text.push_str(labels);
        if !more.is_empty() {
            text.push(',');
        }
        for part in more {
            text.push_str(part);
        }
        text.push_str("} ");
        let _ = writeln!(text, "{value}");
        *samples += 1;
    }
}

/// How long the text of a series is, about.
const SERIES_BYTES: usize = 1_700;

/// A number of seconds, with milliseconds.
fn seconds(at: DateTime<Utc>) -> String {
    let millis = at.timestamp_millis();
    format!("{}.{:03}", millis.div_euclid(1_000), millis.rem_euclid(1_000))
}

fn maybe(out: &mut Out<'_>, shown: &Shown<'_>, at: Option<DateTime<Utc>>) {
    if let Some(at) = at {
        out.sample(&shown.labels, &[], seconds(at));
    }
}

const FAMILIES: [Family; 14] = [
    Family {
        name: "allswell_check_info",
        kind: "gauge",
        help: "The owner, severity, source and runbook of a check.",
        write: |out, shown| {
            let check = &shown.series.check;
            let more = format!(
                "owner=\"{}\",severity=\"{}\",source=\"{}\",runbook=\"{}\"",
                escaped(check.owner.as_str()),
                check.severity,
                check.source,
                escaped(check.runbook.as_deref().unwrap_or(""))
            );
            out.sample(&shown.labels, &[&more], 1);
        },
    },
    Family {
        name: "allswell_check_confirmed_timestamp_seconds",
        kind: "gauge",
        help: "When a window or look of the series was confirmed last.",
        write: |out, shown| maybe(out, shown, shown.series.record.confirmed_at),
    },
    Family {
        name: "allswell_check_confirmed_until_timestamp_seconds",
        kind: "gauge",
        help: "Until when the last proofs count: the series is healthy while this is ahead of time(); 0 if it was never confirmed.",
        write: |out, shown| out.sample(&shown.labels, &[], seconds(shown.until)),
    },
    Family {
        name: "allswell_check_state",
        kind: "gauge",
        help: "1 for the state that the series is in, 0 for the others.",
        write: |out, shown| {
            for state in STATES {
                let is = u8::from(state == shown.state);
                out.sample(&shown.labels, &["state=\"", state, "\""], is);
            }
        },
    },
    Family {
        name: "allswell_check_windows_open",
        kind: "gauge",
        help: "Open windows and looks, by verdict; waived ones are not counted.",
        write: |out, shown| {
            let record = &shown.series.record;
            out.sample(&shown.labels, &["verdict=\"violated\""], record.open_violated);
            out.sample(&shown.labels, &["verdict=\"unconfirmed\""], record.open_unconfirmed);
        },
    },
    Family {
        name: "allswell_check_windows_waived",
        kind: "gauge",
        help: "Windows and looks that are waived.",
        write: |out, shown| out.sample(&shown.labels, &[], shown.series.record.waived),
    },
    Family {
        name: "allswell_check_evidence_rows",
        kind: "gauge",
        help: "The evidence of the last attempt: how many rows it looked at.",
        write: |out, shown| {
            let last = shown.series.record.last.as_ref();
            if let Some(evidence) = last.and_then(|last| last.evidence) {
                out.sample(&shown.labels, &[], evidence);
            }
        },
    },
    Family {
        name: "allswell_check_violating_rows",
        kind: "gauge",
        help: "On how many rows at least the last attempt found something wrong; absent if it was unconfirmed.",
        write: |out, shown| {
            let last = shown.series.record.last.as_ref();
            if let Some(rows) = last.and_then(|last| last.bad_rows) {
                out.sample(&shown.labels, &[], rows);
            }
        },
    },
    Family {
        name: "allswell_check_last_attempt_timestamp_seconds",
        kind: "gauge",
        help: "When the last attempt ended.",
        write: |out, shown| maybe(out, shown, shown.series.record.last.as_ref().map(|l| l.at)),
    },
    Family {
        name: "allswell_check_last_duration_seconds",
        kind: "gauge",
        help: "Duration of the queries of the last attempt.",
        write: |out, shown| {
            if let Some(last) = &shown.series.record.last {
                out.sample(&shown.labels, &[], last.took.as_secs_f64());
            }
        },
    },
    Family {
        name: "allswell_check_attempts_total",
        kind: "counter",
        help: "Attempts by verdict; counted in the ledger, so that a restart resets nothing.",
        write: |out, shown| {
            let words = ["confirmed", "violated", "unconfirmed"];
            for (word, count) in words.iter().zip(shown.series.record.totals) {
                out.sample(&shown.labels, &["verdict=\"", word, "\""], count);
            }
        },
    },
    Family {
        name: "allswell_check_evidence_thin",
        kind: "gauge",
        help: "1 if the newest window looked at less than a fifth of what is usual.",
        write: |out, shown| {
            out.sample(&shown.labels, &[], u8::from(shown.series.record.thin.is_some()));
        },
    },
    Family {
        name: "allswell_check_next_due_timestamp_seconds",
        kind: "gauge",
        help: "The next due time of the series.",
        write: |out, shown| maybe(out, shown, shown.series.next_due),
    },
    Family {
        name: "allswell_check_deadline_timestamp_seconds",
        kind: "gauge",
        help: "The deadline of the next result.",
        write: |out, shown| maybe(out, shown, Some(shown.series.next_deadline)),
    },
];

/// Writes what is known of each series, and says how many samples that is.
pub(super) fn write(text: &mut String, picture: &Snapshot) -> usize {
    let blind = picture.blind().is_some();
    let show = |series| shown(picture, series, blind);
    let all: Vec<Shown<'_>> =
        picture.series.iter().filter(|s| !s.is_over()).map(|s| show(s)).collect();
    text.reserve(all.len() * SERIES_BYTES);
    let mut samples = 0;
    for Family { name, kind, help, write } in FAMILIES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let mut out = Out { text: &mut *text, name, samples };
        for shown in &all {
            write(&mut out, shown);
        }
        samples = out.samples;
    }
    samples + by_offset(text, picture) + tests(text, picture)
}

/// Whether tests show that checks are able to fail.
fn tests(text: &mut String, picture: &Snapshot) -> usize {
    const TESTED: &str = "allswell_check_tested";
    const SCORE: &str = "allswell_check_mutation_score";
    let all = picture.series.iter().filter(|series| !series.is_over());
    let checks: BTreeSet<&CheckId> = all.map(|series| &series.check.id).collect();
    let _ = writeln!(
        text,
        "# HELP {TESTED} 1 if tests of the check as it runs passed, and show it confirmed and violated.\n\
         # TYPE {TESTED} gauge"
    );
    for check in &checks {
        let tested = u8::from(picture.tested(check).is_some_and(|tested| tested.tested));
        let _ = writeln!(text, "{TESTED}{{check=\"{check}\"}} {tested}");
    }
    let _ = writeln!(
        text,
        "# HELP {SCORE} Which part of the mistakes that were put into the check its tests notice, from 0 to 1.\n\
         # TYPE {SCORE} gauge"
    );
    let scores = checks.iter().filter_map(|check| Some((check, picture.tested(check)?.score()?)));
    let mut samples = checks.len();
    for (check, score) in scores {
        let _ = writeln!(text, "{SCORE}{{check=\"{check}\"}} {score}");
        samples += 1;
    }
    samples
}

fn shown<'a>(picture: &Snapshot, series: &'a SeriesHealth, blind: bool) -> Shown<'a> {
    let record = &series.record;
    let labels = match &record.tz {
        Some(tz) => format!("check=\"{}\",tz=\"{}\"", series.check.id, escaped(tz)),
        None => format!("check=\"{}\",tz=\"\"", series.check.id),
    };
    let until = match record.lease {
        Lease::Never => DateTime::UNIX_EPOCH,
        Lease::Until(until) if blind || !picture.is_healthy(series) => until.min(picture.as_of),
        Lease::Until(until) => until,
    };
    Shown { series, labels, state: picture.state(series), until }
}

/// Where on the map of offsets windows are open.
fn by_offset(text: &mut String, picture: &Snapshot) -> usize {
    const NAME: &str = "allswell_offset_windows_open";
    let mut open: BTreeMap<(&str, i32), (u64, u64)> = BTreeMap::new();
    for series in picture.series.iter().filter(|series| !series.is_over()) {
        for (offset, violated, unconfirmed) in &series.record.by_offset {
            let count = open.entry((series.check.id.as_str(), *offset)).or_default();
            count.0 += violated;
            count.1 += unconfirmed;
        }
    }
    let help = "Windows that are open, by the offset from UTC with which they begin.";
    let _ = writeln!(text, "# HELP {NAME} {help}\n# TYPE {NAME} gauge");
    let samples = open.len() * 2;
    for ((check, offset), (violated, unconfirmed)) in open {
        let offset = in_hours(offset);
        for (word, count) in [("violated", violated), ("unconfirmed", unconfirmed)] {
            let _ = writeln!(
                text,
                "{NAME}{{check=\"{check}\",utc_offset=\"{offset}\",verdict=\"{word}\"}} {count}"
            );
        }
    }
    samples
}

/// An offset as people write it: `-05:00`.
fn in_hours(secs: i32) -> String {
    let sign = if secs < 0 { '-' } else { '+' };
    let (hours, minutes) = (secs.abs() / 3_600, secs.abs() % 3_600 / 60);
    format!("{sign}{hours:02}:{minutes:02}")
}

/// A label's value as the text form has it.
pub(super) fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_values_are_written_as_people_and_prometheus_read_them() {
        assert_eq!(in_hours(-18_000), "-05:00");
        assert_eq!(in_hours(20_700), "+05:45");
        assert_eq!(in_hours(0), "+00:00");
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
