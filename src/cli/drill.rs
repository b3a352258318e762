//! `drill`: what each Alertmanager would do with everything that can be sent, and whether it comes back.

mod faults;
mod ring;
mod rounds;
mod routes;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::alertmanager::config;
use crate::cli::args::{DrillArgs, From};
use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::cli::remote::Daemon;
use crate::cli::validate::{Loaded, load, refuse};
use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::drill::{self, DRILL_RECEIVER};
use crate::domain::alerting::routing::{Matcher, Route};
use crate::http::Peer;
use crate::notify::alert_path::{OF_OTHERS, OWN};
use crate::settings::PeerEntry;

/// An Alertmanager, and what it says of its configuration.
struct Asked {
    name: String,
    answer: Result<Configured, String>,
}

/// A configuration that could be read.
struct Configured {
    version: String,
    routes: Route,
    notifying: BTreeMap<String, bool>,
    /// What makes an alert one that inhibits others, for each rule.
    inhibitions: Vec<Vec<Matcher>>,
    /// Whether the receiver of drills only brings them back.
    brings_back: bool,
    /// A critical alert of allswell that fires there.
    stands: Option<String>,
    peer: Peer,
}

pub(super) fn drill(args: &DrillArgs) -> Exit {
    if let Some(word) = &args.heard {
        return ring::heard(word, args);
    }
    let from = From { config: args.config.clone(), paths: Vec::new() };
    let loaded = match load(&from) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, args.remote.output),
    };
    if args.faults {
        return faults::faults(loaded, args);
    }
    if loaded.settings.notices.alertmanagers.is_empty() {
        complain(
            "allswell: the settings name no Alertmanager: nothing is routed or sent. Name one under `alertmanagers`",
        );
        return Exit::Invalid;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            complain(&format!("allswell: cannot start: {error}"));
            return Exit::Io;
        }
    };
    let entries = &loaded.settings.notices.alertmanagers;
    let asked: Vec<Asked> = runtime.block_on(async {
        let mut asked = Vec::new();
        for entry in entries {
            asked.push(Asked { name: entry.name.clone(), answer: ask(entry).await });
        }
        asked
    });
    let all = everything(&loaded);
    if args.routes {
        return routes::show(&all, &asked, args.remote.output);
    }
    if let Some(receiver) = &args.ring {
        return ring::ring(receiver, &all, &asked, args, &runtime);
    }
    if loaded.settings.notices.watchdog.is_none() {
        complain("allswell: the settings have no `watchdog`: what goes out cannot come back");
        return Exit::Invalid;
    }
    rounds::run(&all, &asked, args, &runtime)
}

/// Every set of labels that can be sent.
fn everything(loaded: &Loaded) -> Vec<Labels> {
    let checks = loaded.catalogue.checks().iter().map(|check| &**check);
    let own: Vec<(&str, &str)> = OWN.into_iter().chain(OF_OTHERS).collect();
    drill::all(checks, &own, &loaded.settings.notices.labels)
}

async fn ask(entry: &PeerEntry) -> Result<Configured, String> {
    let (address, auth) = entry.open()?;
    let peer = Peer::new(&address, auth, &entry.tls, Some(entry.timeout));
    let peer = peer.map_err(|error| error.to_string())?;
    let (status, said) =
        peer.get("/api/v2/status", &[]).await.map_err(|error| error.to_string())?;
    if status != 200 {
        return Err(format!("it answers with status {status}"));
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let written = text(&said["config"]["original"]);
    let read = written.as_deref().and_then(|text| {
        Some((config::routes(text)?, config::receivers(text)?, config::inhibitions(text)?))
    });
    let (routes, notifying, inhibitions) =
        read.ok_or("its configuration cannot be read: who is told is not known")?;
    let version = text(&said["versionInfo"]["version"]).unwrap_or_default();
    let query = [("filter", "alertname=~\"Allswell.+\"".to_owned())];
    let standing = peer.get("/api/v2/alerts", &query).await.map_err(|error| error.to_string())?;
    let stands = rounds::critical(&standing.1);
    let brings_back =
        written.as_deref().is_some_and(|text| config::is_one_webhook(text, DRILL_RECEIVER));
    Ok(Configured { version, routes, notifying, inhibitions, brings_back, stands, peer })
}
