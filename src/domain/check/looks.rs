//! When a check looks, in words.

use std::fmt::Write as _;

use crate::domain::check::Check;
use crate::domain::time::duration;
use crate::domain::time::period::Period;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::{Frame, ZoneChoice};

/// When a check looks: "each local day in 12 zones, 2h after its end". How many zones a query lists is not always known.
pub fn looks(check: &Check, listed: Option<usize>) -> String {
    let mut text = String::new();
    let mut after = String::new();
    if let Some(rule) = &check.window {
        let noun = match rule.frame {
            Frame::Calendar(Period::DAY) => "each local day".to_owned(),
            Frame::Calendar(period) => format!("each local {}", Frame::Calendar(period)),
            Frame::Grid(step) => format!("each {} of UTC", Frame::Grid(step)),
        };
        let place = match (&rule.zones, listed) {
            (ZoneChoice::Nowhere, _) => String::new(),
            (ZoneChoice::One(zone), _) => format!(" in {zone}"),
            (ZoneChoice::Each(zones), _) => format!(" in {} zones", zones.len()),
            (ZoneChoice::From(from), Some(zones)) => {
                format!(" in {zones} zones, as source {} lists them", from.source)
            }
            (ZoneChoice::From(from), None) => {
                format!(" in the zones that source {} lists", from.source)
            }
        };
        let _ = write!(text, "{noun}{place}");
        if !rule.settle.is_zero() {
            after = format!(", {} after its end", duration::show(rule.settle));
        }
    }
    let comma = if text.is_empty() { "" } else { ", looked at " };
    let when = match &check.schedule {
        Schedule::WindowEnd => after,
        Schedule::Every(every) => {
            let period = every.period().to_std().unwrap_or_default();
            format!("{comma}every {}", duration::show(period))
        }
        Schedule::Cron(cron) => {
            let zone = cron
                .zone
                .as_ref()
                .map_or_else(|| "the zone of each series".to_owned(), ToString::to_string);
            format!("{comma}by the crontab line `{}` in {zone}", cron.line)
        }
    };
    text + &when
}
