//! `rules` and `alertmanager-config`: what Prometheus and Alertmanager need to know of allswell.

use std::time::Duration;

use crate::cli::args::{ConfigArgs, From, Output};
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::cli::validate::{config, refuse};
use crate::domain::duration;
use crate::settings::Settings;

const RULES: &str = include_str!("../../deploy/prometheus/allswell-rules.yml");
const ALERTMANAGER: &str = include_str!("../../deploy/alertmanager/allswell.yml");

pub(super) fn rules() -> Exit {
    print(RULES)
}

pub(super) fn alertmanager(args: ConfigArgs) -> Exit {
    let from = From { config: args.config, paths: Vec::new() };
    let settings = match Settings::read(&config(&from)) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults, Output::Text),
    };
    let every = settings.notices.watchdog.as_ref().map_or(Duration::from_secs(30), |w| w.every);
    // Below the interval, by as much as matters and not more.
    let repeat = if every > Duration::from_secs(2) {
        duration::show(every - Duration::from_secs(1))
    } else {
        format!("{}ms", every.as_millis() / 2)
    };
    let url = settings.web.public_url.clone();
    let url = url.unwrap_or_else(|| format!("http://{}", settings.web.listen));
    let labels: Vec<&str> = settings.notices.labels.keys().map(String::as_str).collect();
    let labels = labels.join(", ");
    let more = if labels.is_empty() { String::new() } else { format!(", {labels}") };
    let text = ALERTMANAGER
        .replace("@LABELS@", &labels)
        .replace("@MORE@", &more)
        .replace("@EVERY@", &duration::show(every))
        .replace("@REPEAT@", &repeat)
        .replace("@URL@", &url);
    print(&text)
}
