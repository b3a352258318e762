//! What is known of a check beside its windows: what was declared, who vouches, who took it out.

use chrono::{DateTime, Utc};

use crate::domain::check::looks::looks;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::OfCheck;
use crate::web::pages::civil::Civil;
use crate::web::pages::group::Group;
use crate::web::pages::words;

/// What is declared of the check.
pub(super) fn facts(
    picture: &Snapshot,
    group: &Group<'_>,
    worst: &SeriesHealth,
    generation: Option<String>,
) -> Vec<(&'static str, String)> {
    let check = group.check;
    let zones = group.series.iter().filter(|series| series.record.tz.is_some()).count();
    let mut facts = vec![
        ("Looks", looks(check, Some(zones))),
        ("Owner", check.owner.to_string()),
        ("Declared", format!("{}:{}", check.file, check.line)),
    ];
    let since = Civil::utc(meaning_at(worst)).text();
    facts.push((
        "Unchanged since",
        match generation {
            Some(generation) => format!("generation {generation}, {since}"),
            None => since,
        },
    ));
    let proved = group
        .series
        .iter()
        .filter_map(|s| Some((s.record.confirmed_at?, s)))
        .max_by_key(|(at, _)| *at);
    facts.push((
        "Last proved",
        match proved {
            Some((at, series)) => {
                let zone = series.record.tz.as_deref().map(|tz| format!(", in {tz}"));
                let at = Civil::new(at, &series.home.rules).text();
                format!("{at}{}", zone.unwrap_or_default())
            }
            None => "never".to_owned(),
        },
    ));
    facts.extend(words::tested(picture, &check.id).map(|said| ("Tested", said)));
    if !check.labels.is_empty() {
        let labels = check.labels.iter().map(|(name, value)| format!("{}={value}", name.as_str()));
        facts.push(("Labels", labels.collect::<Vec<_>>().join(", ")));
    }
    let changed = group.series.iter().find_map(|series| series.record.changed.clone());
    facts.extend(changed.map(|note| ("Changed", note)));
    let thin = group.series.iter().find_map(|series| series.record.thin.clone());
    facts.extend(thin.map(|note| ("Thin", note)));
    facts
}

/// Until when it is paused, and why.
pub(super) fn paused(group: &Group<'_>) -> Option<String> {
    let series = group.series.iter().find(|series| series.paused_until.is_some())?;
    let until = Civil::new(series.paused_until?, &series.home.rules).text();
    let because = group.check.pause.as_ref().map(|pause| pause.because.as_str()).unwrap_or("");
    Some(format!("Paused until {until}: {because}"))
}

/// Who vouches for windows of a check.
pub(super) fn vouched(group: &Group<'_>, given: &OfCheck) -> String {
    let OfCheck { waiver, covers, series, in_series } = given;
    let series = group.series.iter().find(|known| known.record.id == *series);
    let until = match (waiver.until, series) {
        (None, _) => "without an end".to_owned(),
        (Some(at), Some(series)) => format!("until {}", Civil::new(at, &series.home.rules).text()),
        (Some(at), None) => format!("until {}", Civil::utc(at).text()),
    };
    let zone = match series.and_then(|series| series.record.tz.as_deref()) {
        Some(tz) if *in_series == 1 => format!(" of {tz}"),
        Some(_) => format!(" of {in_series} zones"),
        None => String::new(),
    };
    let windows = if *covers == 1 { "window" } else { "windows" };
    format!("{covers} {windows}{zone}, {until}, by {}: {}", waiver.by, waiver.because)
}

/// When what is proved of it changed last.
pub(super) fn meaning_at(series: &SeriesHealth) -> DateTime<Utc> {
    series.record.meaning_at.max(series.record.since)
}
