//! How far the data of a source is complete: `complete_until` and `max_lag`, of a check and of a source alike.

use std::time::Duration;

use crate::domain::check::code::Code;
use crate::domain::check::freshness::Freshness;
use crate::domain::sql::reads::asks_nothing_but_clocks;
use crate::domain::sql::{Binding, Engine};
use crate::domain::time::duration;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::part::{required, sql};

/// The keys of `complete_until`.
pub(super) const COMPLETE_UNTIL_KEYS: [&str; 1] = ["sql"];
/// The longest that data may be behind.
const LAG_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Reads how far data is complete from the first of several maps that says so.
pub(crate) fn freshness(
    doc: &mut Document<'_>,
    maps: [Option<(&Map<'_>, Place<'_>)>; 2],
    engine: Option<Engine>,
) -> Option<Freshness> {
    let find = |key: &str| {
        maps.into_iter().flatten().find_map(|(map, place)| Some((map.get(key)?, place)))
    };
    let complete_until = match find("complete_until") {
        None => Some(None),
        Some((node, place)) => {
            let place = Place::Key(&place, "complete_until");
            doc.map(node, place, &COMPLETE_UNTIL_KEYS)
                .and_then(|map| required(doc, &map, place, "sql"))
                .and_then(|node| {
                    let place = Place::Key(&place, "sql");
                    let query = sql(doc, node, place, engine, Binding::Nothing)?;
                    if asks_nothing_but_clocks(&query) {
                        let message = "`complete_until` reads no table: it says the same however far the data is behind";
                        let hint = "ask what the load or the primary writes: `select max(loaded_until) from loads`";
                        let code = Code::CompleteUntilOfNothing;
                        doc.remark(node, None, place, code, message.into(), hint.into());
                    }
                    Some(query)
                })
                .map(Some)
        }
    };
    let max_lag = match find("max_lag") {
        None => Some(None),
        Some((node, place)) => doc.parsed(node, Place::Key(&place, "max_lag"), max_lag).map(Some),
    };
    Some(Freshness { complete_until: complete_until?, max_lag: max_lag? })
}

fn max_lag(text: &str) -> Result<Duration, String> {
    let lag = duration::parse(text)?;
    if lag > LAG_MAX {
        return Err(format!("data is at most {} behind", duration::show(LAG_MAX)));
    }
    Ok(lag)
}
