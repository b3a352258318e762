//! Changes of what teams share beside checks: where is asked, how long, and who is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::change::{Class, Difference};
use crate::domain::time::duration;

/// What differs between two settings, by the place of each; the worst first.
pub fn settings(was: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<Difference> {
    let none = String::new();
    let mut keys: Vec<&String> = was.keys().chain(now.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut all: Vec<Difference> = keys
        .into_iter()
        .filter_map(|key| {
            let (old, new) = (was.get(key).unwrap_or(&none), now.get(key).unwrap_or(&none));
            if old == new || is_of_one_side(key, was, now) {
                return None;
            }
            let (class, why) = effect(key, old, new);
            Some(Difference {
                class,
                part: key.clone(),
                was: old.clone(),
                now: new.clone(),
                why: why.to_owned(),
                because: None,
            })
        })
        .collect();
    all.sort_by_key(|one| one.class);
    all
}

/// Says whether it is a detail of a source that is new, or gone: its address says so.
fn is_of_one_side(
    key: &str,
    was: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> bool {
    let url = source_of(key).map(|name| format!("sources.{name}.url"));
    url.is_some_and(|url| url != key && was.contains_key(&url) != now.contains_key(&url))
}

/// Of which source a setting is.
pub fn source_of(part: &str) -> Option<&str> {
    part.strip_prefix("sources.")?.rsplit_once('.').map(|(name, _)| name)
}

/// What another value does, and why.
fn effect(key: &str, was: &str, now: &str) -> (Class, &'static str) {
    let (room, last) = (key.split('.').next(), key.rsplit('.').next());
    let grows = || length(now) > length(was);
    match (room, last) {
        (Some("sources"), Some("timeout")) => match grows() {
            true => (Class::Weaker, "a query may run for longer"),
            false => {
                (Class::Other, "what takes longer ends unconfirmed: only looking at the data tells")
            }
        },
        (Some("sources"), Some("max_lag")) => match (was.is_empty(), now.is_empty()) {
            (true, false) => (Class::Stronger, "older data proves nothing any more"),
            (false, false) if !grows() => (Class::Stronger, "older data proves nothing any more"),
            _ => (Class::Weaker, "older data proves something"),
        },
        (Some("sources"), Some("allow_superuser")) => match now.is_empty() {
            true => (Class::Stronger, "a role that can write watches no more"),
            false => (Class::Weaker, "a role that could write may watch"),
        },
        (Some("sources"), Some("connections")) => {
            (Class::Routing, "how many queries run at once, and how long others wait")
        }
        (Some("sources"), Some("complete_until")) if now.is_empty() => {
            (Class::Weaker, "data counts as complete that may not be")
        }
        (Some("sources"), Some("url")) if was.is_empty() => (Class::New, "it was not there"),
        (Some("sources"), Some("url")) if now.is_empty() => {
            (Class::Gone, "it is not there any more")
        }
        (Some("sources"), _) => {
            (Class::Other, "other data is asked, or it is read otherwise: only looking tells")
        }
        (Some("rollout"), _) => match (was, now) {
            (_, "accept") | ("ask", _) => {
                (Class::Weaker, "changes of critical checks wait for less")
            }
            _ => (Class::Stronger, "changes of critical checks wait for more"),
        },
        (Some("heartbeat" | "watchdog"), _) if now.is_empty() => {
            (Class::Weaker, "nothing says any more that alerts get through")
        }
        (Some("heartbeat" | "watchdog"), _) if was.is_empty() => {
            (Class::Stronger, "it says that alerts get through")
        }
        (Some("heartbeat" | "watchdog"), Some("every" | "within")) => match grows() {
            true => (Class::Weaker, "it is seen later that alerts do not get through"),
            false => (Class::Stronger, "it is seen earlier that alerts do not get through"),
        },
        (Some("notices"), _) => (Class::Routing, "alerts are told in another rhythm"),
        _ => (Class::Routing, "others are told, or under other labels"),
    }
}

fn length(text: &str) -> Duration {
    duration::parse(text).unwrap_or_default()
}
