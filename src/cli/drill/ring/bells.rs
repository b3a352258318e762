//! Where a receiver can be rung, and what is in the way.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::complain;
use crate::cli::drill::{Asked, Configured};
use crate::cli::remote::text;
use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::drill::{DRILL_RECEIVER, Kind, RING};
use crate::domain::alerting::routing::Matcher;
use crate::domain::check::nearest::suggestion;

/// An Alertmanager in which a receiver is rung.
pub(super) struct Bell<'a> {
    pub(super) name: &'a str,
    pub(super) configured: &'a Configured,
    pub(super) labels: Labels,
    /// Notifications that it counts as failed before.
    pub(super) failed: Option<u64>,
}

/// The Alertmanagers that route something to a receiver; why nothing may be sent, where that is so.
pub(super) async fn bells<'a>(
    receiver: &str,
    all: &[Labels],
    asked: &'a [Asked],
    word: &str,
    anyway: bool,
) -> Result<Vec<Bell<'a>>, String> {
    let mut bells = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut unrouted = Vec::new();
    for Asked { name, answer } in asked {
        let configured = answer.as_ref().map_err(|why| format!("Alertmanager {name}: {why}"))?;
        let tells = configured.notifying.iter().filter(|(name, _)| *name != DRILL_RECEIVER);
        known.extend(tells.map(|(name, _)| name.as_str()));
        match configured.notifying.get(receiver) {
            None => continue,
            Some(false) => {
                return Err(format!("{receiver} sends nothing: it has no integration in {name}"));
            }
            Some(true) => {}
        }
        if !anyway && let Some(stands) = &configured.stands {
            return Err(format!(
                "Alertmanager {name}: {stands} fires: a ring beside it would be taken for it; mend that first, or say \
                 `--anyway`"
            ));
        }
        match bell(receiver, all, configured, word)? {
            Some((labels, warning)) => {
                if let Some(warning) = warning {
                    complain(&format!("allswell: Alertmanager {name}: {warning}"));
                }
                silenced(name, configured, &labels).await?;
                let failed = failures(configured, receiver).await;
                bells.push(Bell { name, configured, labels, failed });
            }
            None => unrouted.push(name.as_str()),
        }
    }
    if bells.is_empty() && !unrouted.is_empty() {
        return Err(format!(
            "no alert of these checks is routed to {receiver} in {}: it would never ring",
            unrouted.join(", ")
        ));
    }
    if bells.is_empty() {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = suggestion(receiver, &known).unwrap_or_default();
        return Err(format!("no Alertmanager has a receiver `{receiver}`; {hint}"));
    }
    Ok(bells)
}

/// The worst set of labels that rings a receiver and inhibits nothing, and what a person should know of it.
fn bell(
    receiver: &str,
    all: &[Labels],
    configured: &Configured,
    word: &str,
) -> Result<Option<(Labels, Option<String>)>, String> {
    let mut sorted: Vec<&Labels> = all.iter().collect();
    sorted.sort_by_key(|labels| !Kind::of(labels).is_critical());
    let mut inhibits = None;
    for labels in sorted {
        let ring = [(RING.to_owned(), word.to_owned())];
        let marked = Labels::new(labels.all().clone().into_iter().chain(ring));
        let taken = configured.routes.taken(marked.all());
        let Some(route) = taken.iter().find(|taken| taken.receiver == receiver) else { continue };
        let holds = |rule: &Vec<Matcher>| rule.iter().all(|matcher| matcher.holds(marked.all()));
        if configured.inhibitions.iter().any(holds) {
            inhibits = Some(labels.get("alertname").to_owned());
            continue;
        }
        let mut warnings = Vec::new();
        let others: Vec<&str> = taken
            .iter()
            .map(|taken| taken.receiver.as_str())
            .filter(|other| *other != receiver)
            .collect();
        if !others.is_empty() {
            warnings.push(format!("this rings {} too", others.join(", ")));
        }
        if route.is_muted_at_times {
            warnings.push("a time interval mutes this route at times: it may be now".to_owned());
        }
        if !route.keeps_apart(RING) {
            warnings.push(format!(
                "`group_by` of its route has not `{RING}`: the ring comes with real alerts in one notification, or \
                 waits for `group_interval`"
            ));
        }
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        return Ok(Some((marked, warning)));
    }
    match inhibits {
        Some(name) => Err(format!(
            "a ring of {name} would inhibit real alerts: write `{RING}=\"\"` into `source_matchers` of each rule"
        )),
        None => Ok(None),
    }
}

/// Says whether a silence holds a ring back.
async fn silenced(name: &str, configured: &Configured, labels: &Labels) -> Result<(), String> {
    let answer = configured.peer.get("/api/v2/silences", &[]).await;
    let (_, silences) = answer.map_err(|error| error.to_string())?;
    for silence in silences.as_array().into_iter().flatten() {
        if silence["status"]["state"] != "active" {
            continue;
        }
        let fits = |matcher: &Value| {
            let is = |key: &str, usual: bool| matcher[key].as_bool().unwrap_or(usual);
            let operator = match (is("isRegex", false), is("isEqual", true)) {
                (false, true) => "=",
                (false, false) => "!=",
                (true, true) => "=~",
                (true, false) => "!~",
            };
            let matcher = Matcher::new(text(matcher, "name"), operator, text(matcher, "value"));
            matcher.is_some_and(|matcher| matcher.holds(labels.all()))
        };
        if silence["matchers"].as_array().is_some_and(|all| all.iter().all(fits)) {
            let (id, until) = (text(silence, "id"), text(silence, "endsAt"));
            return Err(format!("Alertmanager {name}: silence {id} holds it back until {until}"));
        }
    }
    Ok(())
}

/// How many notifications an Alertmanager counts as failed: of a receiver, where it tells them apart.
pub(super) async fn failures(configured: &Configured, receiver: &str) -> Option<u64> {
    let page = configured.peer.text("/metrics").await.ok()?;
    let lines = page.lines().filter(|line| {
        // A request that fails is tried again for a while before its notification counts as failed.
        line.starts_with("alertmanager_notifications_failed_total{")
            || line.starts_with("alertmanager_notification_requests_failed_total{")
    });
    let theirs = lines.filter(|line| {
        !line.contains("receiver_name=") || line.contains(&format!("receiver_name=\"{receiver}\""))
    });
    let count = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
    Some(theirs.filter_map(count).sum::<f64>() as u64)
}
