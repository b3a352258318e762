//! The configuration that an Alertmanager shows of itself: its routes.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;

use crate::domain::alerting::routing::{Matcher, Route, duration};

/// What matters of a configuration; what else stands there is Alertmanager's.
#[derive(Deserialize)]
struct Config {
    route: RawRoute,
}

#[derive(Deserialize)]
struct RawRoute {
    #[serde(default, rename = "match")]
    equal: BTreeMap<String, String>,
    #[serde(default, rename = "match_re")]
    like: BTreeMap<String, String>,
    #[serde(default)]
    matchers: Vec<String>,
    #[serde(default, rename = "continue")]
    goes_on: bool,
    group_wait: Option<String>,
    group_interval: Option<String>,
    #[serde(default)]
    routes: Vec<RawRoute>,
}

/// Reads the routes of a configuration; nothing where they cannot be read.
pub(super) fn routes(config: &str) -> Option<Route> {
    let config: Config = serde_yaml::from_str(config).ok()?;
    config.route.read()
}

impl RawRoute {
    fn read(self) -> Option<Route> {
        let equal = self.equal.iter().map(|(name, value)| Matcher::new(name, "=", value));
        let like = self.like.iter().map(|(name, value)| Matcher::new(name, "=~", value));
        let written = self.matchers.iter().map(|text| Matcher::parse(text));
        Some(Route {
            matchers: equal.chain(like).chain(written).collect::<Option<_>>()?,
            goes_on: self.goes_on,
            group_wait: read(self.group_wait)?,
            group_interval: read(self.group_interval)?,
            routes: self.routes.into_iter().map(Self::read).collect::<Option<_>>()?,
        })
    }
}

/// A duration, where one is written; nothing where it cannot be read.
#[expect(clippy::option_option, reason = "what is not written is no fault")]
fn read(text: Option<String>) -> Option<Option<TimeDelta>> {
    match text {
        Some(text) => duration(&text).map(Some),
        None => Some(None),
    }
}
