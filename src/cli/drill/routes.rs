//! `drill --routes`: who would be told of what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::args::Output;
use crate::cli::drill::Asked;
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::drill::{
    Destination, Destinations, Kind, destinations, rings_all_night,
};

/// Shows where everything goes. Nobody is told of anything by that.
pub(super) fn show(all: &[Labels], asked: &[Asked], output: Output) -> Exit {
    let places: Vec<(&Asked, Destinations)> = asked
        .iter()
        .map(|asked| {
            let of =
                |answer: &super::Configured| destinations(all, &answer.routes, &answer.notifying);
            (asked, asked.answer.as_ref().map(of).unwrap_or_default())
        })
        .collect();
    let unheard = unheard(&places);
    let is_known = asked.iter().all(|asked| asked.answer.is_ok());
    let exit = match (unheard.is_empty(), is_known) {
        (false, _) => Exit::Violated,
        (true, false) => Exit::Unconfirmed,
        (true, true) => Exit::Confirmed,
    };
    let text = match output {
        Output::Json => format!("{:#}\n", json_of(&places, &unheard)),
        Output::Text => text_of(&places, &unheard),
    };
    exit.after(print(&text))
}

/// Critical kinds that reach no one, whichever Alertmanager that could be asked takes them.
fn unheard(places: &[(&Asked, Destinations)]) -> BTreeSet<Kind> {
    let mut heard: BTreeMap<&Kind, bool> = BTreeMap::new();
    for (destination, kind) in places.iter().flat_map(|(_, all)| all.keys()) {
        *heard.entry(kind).or_default() |= destination.is_heard;
    }
    let unheard = heard.into_iter().filter(|(kind, heard)| kind.is_critical() && !heard);
    unheard.map(|(kind, _)| kind.clone()).collect()
}

pub(super) fn named(kind: &Kind) -> String {
    let words = [kind.alertname.as_str(), kind.severity.as_str(), kind.owner.as_str()];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn to(destination: &Destination) -> String {
    let receivers = destination.receivers.join(", ");
    let mut text = if destination.is_heard { receivers } else { format!("NOBODY ({receivers})") };
    if destination.is_default {
        text.push_str(", by the default route");
    }
    if destination.is_muted_at_times {
        text.push_str(", muted at times");
    }
    text
}

fn text_of(places: &[(&Asked, Destinations)], unheard: &BTreeSet<Kind>) -> String {
    let mut out = String::new();
    for (asked, all) in places {
        let Asked { name, answer } = asked;
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                let _ = writeln!(out, "Alertmanager {name}: {why}\n");
                continue;
            }
        };
        let _ = writeln!(out, "Alertmanager {name}, release {}", answer.version);
        let mut before = None;
        for ((destination, kind), checks) in all {
            if before != Some(destination) {
                let _ = writeln!(out, "  {}", to(destination));
                before = Some(destination);
            }
            let count = match checks.len() {
                0 => String::new(),
                1 => "  1 check".to_owned(),
                count => format!("  {count} checks"),
            };
            let _ = writeln!(out, "    {}{count}", named(kind));
        }
        if let Some(receiver) = rings_all_night(&answer.routes, &answer.notifying) {
            let _ = writeln!(
                out,
                "  AllswellWatchdog, which is sent all the time, goes to {receiver}: `allswell alertmanager-config` \
                 prints its route"
            );
        }
        out.push('\n');
    }
    for (kind, first, second) in apart(places) {
        let _ = writeln!(out, "They disagree on {}: {first}, and {second}", named(&kind));
    }
    match unheard.len() {
        0 => {}
        1 => out.push_str("1 kind of critical alert reaches nobody\n"),
        count => {
            let _ = writeln!(out, "{count} kinds of critical alerts reach nobody");
        }
    }
    out
}

/// Kinds on which two Alertmanagers disagree, with what each does.
fn apart(places: &[(&Asked, Destinations)]) -> Vec<(Kind, String, String)> {
    let mut seen: BTreeMap<&Kind, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    for (asked, all) in places.iter().filter(|(asked, _)| asked.answer.is_ok()) {
        for (destination, kind) in all.keys() {
            let by = seen.entry(kind).or_default();
            by.entry(&asked.name).or_default().insert(to(destination));
        }
    }
    let mut all = Vec::new();
    for (kind, by) in seen {
        let mut by = by.into_iter();
        let Some((first, wanted)) = by.next() else { continue };
        let Some((second, other)) = by.find(|(_, other)| *other != wanted) else { continue };
        let words = |name: &str, to: BTreeSet<String>| {
            format!("{} in {name}", to.into_iter().collect::<Vec<_>>().join(" and "))
        };
        all.push((kind.clone(), words(first, wanted), words(second, other)));
    }
    all
}

fn json_of(places: &[(&Asked, Destinations)], unheard: &BTreeSet<Kind>) -> Value {
    let kind = |kind: &Kind| json!({"alertname": kind.alertname, "severity": kind.severity, "owner": kind.owner});
    let place = |(asked, all): &(&Asked, Destinations)| {
        let one = |((destination, of), checks): (&(Destination, Kind), &BTreeSet<String>)| {
            let mut value = kind(of);
            value["receivers"] = json!(destination.receivers);
            value["heard"] = json!(destination.is_heard);
            value["default_route"] = json!(destination.is_default);
            value["muted_at_times"] = json!(destination.is_muted_at_times);
            value["checks"] = json!(checks);
            value
        };
        json!({
            "alertmanager": asked.name,
            "why_not": asked.answer.as_ref().err(),
            "alerts": all.iter().map(one).collect::<Vec<_>>(),
        })
    };
    json!({
        "format": 1,
        "alertmanagers": places.iter().map(place).collect::<Vec<_>>(),
        "unheard": unheard.iter().map(kind).collect::<Vec<_>>(),
    })
}
