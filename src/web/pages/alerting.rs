//! The ways out: whether alerts get through, what is silenced and kept quiet, and the heartbeat.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::web::Here;
use crate::web::health::heartbeat;
use crate::web::pages::civil::Civil;
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;
use crate::web::quiet;

#[derive(Template)]
#[template(path = "alerting.html")]
struct Alerting {
    frame: Frame,
    ways: Vec<Way>,
    quiet: Vec<QuietView>,
    heartbeat: Option<(bool, String)>,
}

/// A receiver of alerts.
struct Way {
    name: String,
    kind: &'static str,
    is_broken: bool,
    state: String,
    facts: Vec<(&'static str, String)>,
}

/// A check that is kept quiet.
struct QuietView {
    check: String,
    words: String,
}

pub(super) async fn alerting(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    let mut ways: Vec<Way> = survey.ways.iter().map(alertmanager).collect();
    ways.extend(survey.webhooks.iter().map(webhook));
    let heartbeat = heartbeat(&shared);
    page(&Alerting {
        frame: Frame::new(&shared, &survey, &visit, "Alerting"),
        ways,
        quiet: quiet::all(&shared, picture).iter().map(quiet_view).collect(),
        heartbeat: (!heartbeat.is_null()).then(|| match heartbeat["why"].as_str() {
            Some(why) => (true, format!("not earned: {why}")),
            None => (false, format!("earned at {}", when(&heartbeat["earned_at"]))),
        }),
    })
}

/// An instant, as pages show those of no series.
fn when(value: &Value) -> String {
    let at = value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    at.map_or_else(|| text(value).to_owned(), |at| Civil::utc(at).text())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("no time yet")
}

fn alertmanager(way: &Value) -> Way {
    let since = way["broken_since"].as_str();
    let state = match (since, way["proved_at"].as_str(), way["expects_proof"] == true) {
        (Some(_), ..) => format!("alerts do not get through since {}", when(&way["broken_since"])),
        (None, Some(_), true) => {
            format!("proved at {}: an alert went out and came back", when(&way["proved_at"]))
        }
        (None, None, true) => "no proof has come back yet".to_owned(),
        (None, _, false) => "no proof is asked for: `watchdog` is not set".to_owned(),
    };
    let mut facts = Vec::new();
    facts.extend(way["why"].as_str().map(|why| ("Why", why.to_owned())));
    facts.push(("Reached", when(&way["reached_at"])));
    facts.extend(way["version"].as_str().map(|version| ("Version", version.to_owned())));
    let counts = way["alerts"].as_object().into_iter().flatten();
    let counts =
        counts.filter(|(_, count)| **count != 0).map(|(kind, count)| format!("{count} {kind}"));
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        facts.push(("Alerts", counts.join(", ")));
    }
    let refused = way["refused"].as_u64().unwrap_or(0);
    if refused > 0 {
        facts.push(("Refused", format!("{refused} alerts")));
    }
    facts.extend(way["hold_too_short"].as_str().map(|why| ("Waits", why.to_owned())));
    Way {
        name: text(&way["alertmanager"]).to_owned(),
        kind: "Alertmanager",
        is_broken: since.is_some() || refused > 0,
        state,
        facts,
    }
}

fn webhook(way: &Value) -> Way {
    let is_broken = way["broken"] == true;
    let state = match way["failing_since"].as_str() {
        Some(_) => format!("fails since {}", when(&way["failing_since"])),
        None => "notices get through, as far as they were tried".to_owned(),
    };
    Way {
        name: text(&way["webhook"]).to_owned(),
        kind: "Webhook",
        is_broken,
        state,
        facts: way["why"].as_str().map(|why| ("Why", why.to_owned())).into_iter().collect(),
    }
}

fn quiet_view(quiet: &Value) -> QuietView {
    let not = quiet["places"].as_array().into_iter().flatten().filter_map(|place| {
        Some(format!("{}: {}", text(&place["alertmanager"]), place["why_not"].as_str()?))
    });
    let not: Vec<String> = not.collect();
    let not = if not.is_empty() { String::new() } else { format!(" Not in {}.", not.join("; ")) };
    QuietView {
        check: text(&quiet["check"]).to_owned(),
        words: format!(
            "until {}, by {}: {}.{not}",
            when(&quiet["until"]),
            text(&quiet["by"]),
            text(&quiet["because"])
        ),
    }
}
