//! How an Alertmanager routes an alert: which of its routes take it, and how long each of them waits.
//!
//! Alertmanager notifies about a new group after `group_wait`, and about a change of a group that there is after
//! `group_interval`. Alertmanager never notifies of an alert that begins and ends in between.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use regex_lite::Regex;

/// What holds where a configuration says nothing (Alertmanager's documentation, `route`).
const WAIT: TimeDelta = TimeDelta::seconds(30);
const INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// What the labels of an alert must satisfy, all of it.
    pub matchers: Vec<Matcher>,
    /// Who is told; as its parent's where nothing is said.
    pub receiver: Option<String>,
    /// Whether a time interval mutes it now and then.
    pub is_muted_at_times: bool,
    /// Whether the routes after this one are looked at too.
    pub goes_on: bool,
    /// By which labels alerts are told together; as its parent's where nothing is said.
    pub group_by: Option<Vec<String>>,
    /// How long a new group waits; as its parent's where nothing is said.
    pub group_wait: Option<TimeDelta>,
    /// How long a group waits that was notified about; as its parent's where nothing is said.
    pub group_interval: Option<TimeDelta>,
    /// The routes below it.
    pub routes: Vec<Route>,
}

/// How long a route waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waits {
    /// Before it notifies about a new group.
    pub group_wait: TimeDelta,
    /// Before it notifies about a change of a group.
    pub group_interval: TimeDelta,
}

/// A route that takes an alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taken {
    /// Who is told.
    pub receiver: String,
    /// Whether no route below the first one takes it.
    pub is_default: bool,
    /// Whether a time interval mutes it now and then.
    pub is_muted_at_times: bool,
    /// By which labels alerts are told together.
    pub group_by: Vec<String>,
    /// How long it waits.
    pub waits: Waits,
}

impl Taken {
    /// Says whether alerts that differ in a label are never told together.
    pub fn keeps_apart(&self, label: &str) -> bool {
        self.group_by.iter().any(|name| name == label || name == "...")
    }
}

impl Route {
    /// How long the routes wait that take an alert with these labels.
    pub fn waits(&self, labels: &BTreeMap<String, String>) -> Vec<Waits> {
        self.taken(labels).into_iter().map(|taken| taken.waits).collect()
    }

    /// The routes that take an alert with these labels.
    pub fn taken(&self, labels: &BTreeMap<String, String>) -> Vec<Taken> {
        let above = Taken {
            receiver: String::new(),
            is_default: true,
            is_muted_at_times: false,
            group_by: Vec::new(),
            waits: Waits { group_wait: WAIT, group_interval: INTERVAL },
        };
        let mut all = Vec::new();
        self.take(labels, &above, &mut all);
        all
    }

    /// Says whether the route, or one below it, takes the alert.
    fn take(&self, labels: &BTreeMap<String, String>, above: &Taken, all: &mut Vec<Taken>) -> bool {
        let value = |name: &str| labels.get(name).map_or("", String::as_str);
        if !self.matchers.iter().all(|matcher| matcher.fits(value(&matcher.name))) {
            return false;
        }
        let here = Taken {
            receiver: self.receiver.clone().unwrap_or_else(|| above.receiver.clone()),
            is_default: above.is_default,
            is_muted_at_times: self.is_muted_at_times,
            group_by: self.group_by.clone().unwrap_or_else(|| above.group_by.clone()),
            waits: Waits {
                group_wait: self.group_wait.unwrap_or(above.waits.group_wait),
                group_interval: self.group_interval.unwrap_or(above.waits.group_interval),
            },
        };
        let below = Taken { is_default: false, ..here.clone() };
        let mut taken = false;
        for route in &self.routes {
            let takes = route.take(labels, &below, all);
            taken |= takes;
            if takes && !route.goes_on {
                break;
            }
        }
        if !taken {
            all.push(here);
        }
        true
    }
}

/// A condition on one label; one that is not there is empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    negates: bool,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Is(String),
    Like(Regex),
}

impl Matcher {
    /// Makes one of its parts; nothing where the operator or the expression is none.
    pub fn new(name: &str, operator: &str, value: &str) -> Option<Self> {
        let (negates, like) = match operator {
            "=" => (false, false),
            "!=" => (true, false),
            "=~" => (false, true),
            "!~" => (true, true),
            _ => return None,
        };
        let value = if like {
            Value::Like(Regex::new(&format!("^(?:{value})$")).ok()?)
        } else {
            Value::Is(value.to_owned())
        };
        Some(Self { name: name.to_owned(), negates, value })
    }

    /// Reads one as it is written, `team=~"blue|green"`; nothing where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.find(['=', '!'])?;
        let (name, rest) = text.split_at(at);
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|op| rest.starts_with(op))?;
        Self::new(&unquoted(name), operator, &unquoted(&rest[operator.len()..]))
    }

    /// Says whether labels satisfy it.
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        self.fits(labels.get(&self.name).map_or("", String::as_str))
    }

    fn fits(&self, value: &str) -> bool {
        let fits = match &self.value {
            Value::Is(wanted) => wanted == value,
            Value::Like(wanted) => wanted.is_match(value),
        };
        fits != self.negates
    }
}

/// A word without the quotes that may stand around it.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inside.map_or_else(|| text.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Reads a duration as Alertmanager writes it, `1h30m`; nothing where it is none.
pub fn duration(text: &str) -> Option<TimeDelta> {
    let mut rest = text.trim();
    let mut sum = TimeDelta::zero();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit_ms: i64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            // `0` is one without a unit.
            "" if number == "0" => 0,
            _ => return None,
        };
        let ms = number.parse::<i64>().ok()?.checked_mul(unit_ms)?;
        sum = sum.checked_add(&TimeDelta::try_milliseconds(ms)?)?;
        rest = after;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(matchers: &[&str], interval: Option<&str>, routes: Vec<Route>) -> Route {
        Route {
            receiver: None,
            is_muted_at_times: false,
            group_by: None,
            matchers: matchers.iter().map(|text| Matcher::parse(text).unwrap()).collect(),
            goes_on: false,
            group_wait: None,
            group_interval: interval.and_then(duration),
            routes,
        }
    }

    #[test]
    fn an_alert_goes_where_alertmanager_sends_it() {
        let secs = TimeDelta::seconds;
        let root = route(
            &[],
            Some("1m"),
            vec![
                route(
                    &["team=~blue|green"],
                    Some("2m"),
                    vec![route(&["tz!=\"\""], Some("3m"), vec![])],
                ),
                Route {
                    goes_on: true,
                    ..route(&["alertname=~\"Allswell.+\""], Some("30s"), vec![])
                },
                route(&["severity = critical"], None, vec![]),
            ],
        );
        for (labels, intervals) in [
            (vec![("alertname", "Other")], vec![60]),
            (vec![("alertname", "AllswellViolated")], vec![30]),
            (vec![("alertname", "AllswellViolated"), ("severity", "critical")], vec![30, 60]),
            (vec![("alertname", "AllswellViolated"), ("team", "blue")], vec![120]),
            (vec![("team", "green"), ("tz", "UTC")], vec![180]),
            (vec![("team", "bluegreen")], vec![60]),
        ] {
            let labels = labels.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let seen: Vec<TimeDelta> =
                root.waits(&labels).iter().map(|w| w.group_interval).collect();
            assert_eq!(seen, intervals.into_iter().map(secs).collect::<Vec<_>>(), "{labels:?}");
        }
        assert_eq!(route(&[], None, vec![]).waits(&BTreeMap::new())[0].group_interval, secs(300));
    }

    #[test]
    fn durations_are_read_as_alertmanager_writes_them() {
        for (text, secs) in [("30s", 30), ("1h30m", 5_400), ("1d", 86_400), ("0", 0), ("5m", 300)] {
            assert_eq!(duration(text), Some(TimeDelta::seconds(secs)), "{text}");
        }
        for text in ["", "s", "1", "1x", "-1s", "99999999999999999y"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
