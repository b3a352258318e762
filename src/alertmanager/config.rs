//! The configuration that an Alertmanager shows of itself: its routes, and which receivers notify.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::alerting::routing::{Matcher, Route, duration};

/// Where what proves the way comes back (`allswell alertmanager-config`).
const COMES_BACK: &str = "/webhooks/alertmanager";

/// What matters of a configuration; what else stands there is Alertmanager's.
#[derive(Deserialize)]
struct Config {
    route: RawRoute,
}

/// The receivers of a configuration.
#[derive(Deserialize)]
struct Receivers {
    receivers: Vec<Receiver>,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
    /// Its integrations, each under `KIND_configs`.
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
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
    receiver: Option<String>,
    #[serde(default, rename = "mute_time_intervals")]
    mute: Vec<String>,
    #[serde(default, rename = "active_time_intervals")]
    active: Vec<String>,
    #[serde(default)]
    group_by: Vec<String>,
    group_wait: Option<String>,
    group_interval: Option<String>,
    #[serde(default)]
    routes: Vec<RawRoute>,
}

/// Reads the routes of a configuration; nothing where they cannot be read.
pub fn routes(config: &str) -> Option<Route> {
    let config: Config = serde_yaml::from_str(config).ok()?;
    config.route.read()
}

/// The inhibitions of a configuration.
#[derive(Deserialize)]
struct Inhibitions {
    #[serde(default, rename = "inhibit_rules")]
    rules: Vec<Inhibition>,
}

#[derive(Deserialize)]
struct Inhibition {
    #[serde(default, rename = "source_match")]
    equal: BTreeMap<String, String>,
    #[serde(default, rename = "source_match_re")]
    like: BTreeMap<String, String>,
    #[serde(default, rename = "source_matchers")]
    matchers: Vec<String>,
}

/// Reads which alerts inhibit others: what the labels of one satisfy, for each rule. Nothing where that cannot be read.
pub fn inhibitions(config: &str) -> Option<Vec<Vec<Matcher>>> {
    let Inhibitions { rules } = serde_yaml::from_str(config).ok()?;
    rules.iter().map(|rule| matchers(&rule.equal, &rule.like, &rule.matchers)).collect()
}

/// Conditions in the three ways in which they are written.
fn matchers(
    equal: &BTreeMap<String, String>,
    like: &BTreeMap<String, String>,
    written: &[String],
) -> Option<Vec<Matcher>> {
    let equal = equal.iter().map(|(name, value)| Matcher::new(name, "=", value));
    let like = like.iter().map(|(name, value)| Matcher::new(name, "=~", value));
    let written = written.iter().map(|text| Matcher::parse(text));
    equal.chain(like).chain(written).collect()
}

/// Reads the receivers of a configuration, and whether each notifies: by an integration other than the webhook that comes
/// back to allswell. Nothing where they cannot be read.
pub fn receivers(config: &str) -> Option<BTreeMap<String, bool>> {
    let Receivers { receivers } = serde_yaml::from_str(config).ok()?;
    let tells = |receiver: Receiver| (receiver.name.clone(), receiver.tells());
    Some(receivers.into_iter().map(tells).collect())
}

/// Says whether a receiver has one integration, a webhook, and no other: one beside it would notify too.
pub fn is_one_webhook(config: &str, name: &str) -> bool {
    let Ok(Receivers { receivers }) = serde_yaml::from_str(config) else { return false };
    let mut named = receivers.iter().filter(|receiver| receiver.name == name);
    named.next().is_some_and(|receiver| {
        let kinds = receiver.more.iter().filter(|(kind, _)| kind.ends_with("_configs"));
        let all: Vec<(&str, usize)> = kinds
            .map(|(kind, all)| (kind.as_str(), all.as_array().map_or(0, Vec::len)))
            .filter(|(_, count)| *count > 0)
            .collect();
        all == [("webhook_configs", 1)]
    })
}

impl Receiver {
    fn tells(&self) -> bool {
        let comes_back = |integration: &Value| {
            let url = integration["url"].as_str();
            url.is_some_and(|url| url.trim_end_matches('/').ends_with(COMES_BACK))
        };
        let kinds = self.more.iter().filter(|(kind, _)| kind.ends_with("_configs"));
        let mut all = kinds.filter_map(|(_, all)| all.as_array()).flatten();
        all.any(|integration| !comes_back(integration))
    }
}

impl RawRoute {
    fn read(self) -> Option<Route> {
        Some(Route {
            receiver: self.receiver,
            is_muted_at_times: !(self.mute.is_empty() && self.active.is_empty()),
            matchers: matchers(&self.equal, &self.like, &self.matchers)?,
            goes_on: self.goes_on,
            group_by: (!self.group_by.is_empty()).then_some(self.group_by),
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
