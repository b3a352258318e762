//! `rules` and `alertmanager-config`: what Prometheus and Alertmanager need to know of allswell.

use std::time::Duration;

use crate::cli::args::{AlertmanagerArgs, From, Output, RulesArgs};
use crate::cli::exit::Exit;
use crate::cli::validate::{config, refuse};
use crate::cli::{complain, print};
use crate::domain::time::duration;
use crate::settings::Settings;

const RULES: &str = include_str!("../../deploy/prometheus/allswell-rules.yml");
const ALERTMANAGER: &str = include_str!("../../deploy/alertmanager/allswell.yml");

/// Prints the rules; with the labels of the installation, where there are settings, so that what Prometheus
/// tells and what allswell tells are one fault.
pub(super) fn rules(args: &RulesArgs) -> Exit {
    let rules = args.job.as_ref().map_or_else(|| RULES.to_owned(), |job| of_job(job));
    let path = config(&From { config: args.from.config.clone(), paths: Vec::new() });
    if args.from.config.is_none() && !path.exists() {
        return print(&rules);
    }
    let settings = match Settings::read(&path) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults, Output::Text),
    };
    let labels = settings.notices.labels.iter();
    // Prometheus takes what stands in double braces for a template.
    let text = |value: &str| serde_json::json!(value.replace("{{", "{{ \"{{\" }}"));
    let labels: Vec<String> =
        labels.map(|(name, value)| format!("{name}: {}", text(value))).collect();
    print(&labelled(&rules, &labels.join(", ")))
}

/// The rules about the metrics of one job.
fn of_job(job: &str) -> String {
    const PREFIX: &str = "allswell_";
    let matcher = format!("job={}", serde_json::json!(job));
    let mut text = String::new();
    let mut in_expr = false;
    for line in RULES.lines() {
        let indent = line.len() - line.trim_start().len();
        in_expr = line.starts_with("    expr:") || in_expr && indent > 4;
        let mut rest = line;
        while let Some(at) = rest.find(PREFIX).filter(|_| in_expr) {
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            let end = rest[at..].find(|c| !is_name(c)).map_or(rest.len(), |length| at + length);
            text.push_str(&rest[..end]);
            rest = &rest[end..];
            match rest.strip_prefix('{') {
                Some(more) => {
                    text.push_str(&format!("{{{matcher}, "));
                    rest = more;
                }
                None => text.push_str(&format!("{{{matcher}}}")),
            }
        }
        text.push_str(rest);
        text.push('\n');
    }
    text
}

/// The route and the receiver of drills, before the others.
fn with_drill() -> String {
    const ROUTE: &str = "  routes:\n  # What `allswell drill --loop` sends comes back to it, and to no other receiver.\n  \
        - matchers: [drill!=\"\"]\n    receiver: allswell-drill\n    group_by: ['...']\n    group_wait: 0s\n    \
        group_interval: 1s\n    repeat_interval: 4h\n";
    const RECEIVER: &str = "- name: allswell-drill\n  webhook_configs:\n  - url: @URL@/webhooks/alertmanager\n    \
        send_resolved: true\n    http_config:\n      \
        authorization: {credentials_file: /etc/alertmanager/allswell-watchdog-token}\n";
    let watchdog = "- name: allswell-watchdog\n";
    let text = ALERTMANAGER.replacen("  routes:\n", ROUTE, 1);
    text.replacen(watchdog, &format!("{RECEIVER}{watchdog}"), 1)
}

fn labelled(rules: &str, labels: &str) -> String {
    if labels.is_empty() {
        return rules.to_owned();
    }
    let mut text = String::new();
    let mut has_labels = false;
    for line in rules.lines() {
        match line.strip_prefix("    labels: {") {
            Some(rest) => {
                has_labels = true;
                text.push_str(&format!("    labels: {{{labels}, {rest}\n"));
                continue;
            }
            None if line == "    annotations:" && !has_labels => {
                text.push_str(&format!("    labels: {{{labels}}}\n"));
            }
            None => {}
        }
        has_labels &= line != "    annotations:";
        text.push_str(line);
        text.push('\n');
    }
    text
}

pub(super) fn alertmanager(args: AlertmanagerArgs) -> Exit {
    let from = From { config: args.from.config, paths: Vec::new() };
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
    if settings.web.public_url.is_none() {
        complain(
            "warning: `web` has no `public_url`: put the address there by which Alertmanager reaches allswell",
        );
    }
    if settings.notices.watchdog.is_none() {
        complain(
            "warning: the settings have no `watchdog`: nothing proves that alerts get through",
        );
    }
    let nowhere = settings.web.public_url.is_none();
    let url = settings.web.public_url.clone();
    let url = url.unwrap_or_else(|| format!("http://{}", settings.web.listen));
    let labels: Vec<&str> = settings.notices.labels.keys().map(String::as_str).collect();
    let labels = labels.join(", ");
    let more = if labels.is_empty() { String::new() } else { format!(", {labels}") };
    // Of several replicas one that does not look mutes nothing: Prometheus says when none does.
    let own = if settings.ledger.is_shared() {
        ""
    } else {
        "AllswellLedgerDown|AllswellStuck|AllswellIdle|"
    };
    let blind = format!("{own}AllswellAbsent|AllswellNotReady|AllswellEngineStuck");
    // Long enough to gather what belongs together, and below `hold`.
    let hold = settings.notices.rhythm.hold;
    let hold = hold.to_std().unwrap_or_default();
    let wait = (hold * 2 / 3).clamp(Duration::from_secs(1), Duration::from_secs(30));
    let wait = Duration::from_secs(wait.as_secs());
    if hold <= wait {
        complain(
            "warning: `hold` of `notices` is too short for any route: alerts that end soon are never notified",
        );
    }
    let template = if args.drill { with_drill() } else { ALERTMANAGER.to_owned() };
    let text = template
        .replace("@HOLD@", &duration::show(hold))
        .replace("@WAIT@", &duration::show(wait))
        .replace("@BLIND@", &blind)
        .replace("@LABELS@", &labels)
        .replace("@MORE@", &more)
        .replace("@EVERY@", &duration::show(every))
        .replace("@REPEAT@", &repeat)
        .replace("@URL@", &url);
    let told = if nowhere {
        "# `web` has no `public_url`: below has to stand the address by which Alertmanager reaches allswell.\n"
    } else {
        ""
    };
    print(&format!("{told}{text}"))
}
