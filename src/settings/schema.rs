//! The JSON Schema of the settings, for editors.
//!
//! It says of `allswell.yaml` what the reader of settings says of its structure.

use serde_json::{Value, json};

use crate::domain::change::word::Wait;
use crate::manifest::schema::{complete_until, described, duration, max_lag, object};
use crate::settings::daemon::{LEDGER_KEYS, LOG_KEYS, LogFormat, LogLevel};
use crate::settings::notices::{
    HEARTBEAT_KEYS, PEER_KEYS, RHYTHM_KEYS, WATCHDOG_KEYS, WEBHOOK_KEYS,
};
use crate::settings::source::{CONNECTIONS_MAX, IGNORED_KEYS, SCRATCH_KEYS, SOURCE_KEYS, STANDBY};
use crate::settings::web::{OPERATOR_KEYS, WEB_KEYS};
use crate::settings::{DRILL_KEYS, ROLLOUT_KEYS, SETTINGS_KEYS, TESTS_KEYS};
use crate::source::Instants;

/// Returns the JSON Schema (2020-12) of the settings.
pub fn schema() -> Value {
    let mut root = object(&SETTINGS_KEYS, &["sources"], key);
    if let Value::Object(root) = &mut root {
        root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        root.insert("title".into(), "allswell settings".into());
    }
    root
}

fn key(key: &str) -> Value {
    match key {
        "checks" => described(
            json!({"type": "array", "items": text(), "minItems": 1}),
            "Files and folders of checks; `checks/` beside the settings by default.",
        ),
        "tests" => described(
            object(&TESTS_KEYS, &[], |_| {
                described(text(), "The file that `allswell test --results FILE` writes.")
            }),
            "What came of the tests of checks: for metrics and pages.",
        ),
        "rollout" => described(
            object(&ROLLOUT_KEYS, &[], |key| {
                if key == "weaker" {
                    return described(
                        json!({"enum": Wait::OF_WEAKER.map(|(word, _)| word)}),
                        "What a change waits for by which a critical check is weaker or gone: ask by default.",
                    );
                }
                described(
                    json!({"enum": Wait::OF_OTHER.map(|(word, _)| word)}),
                    "What a change waits for by which a critical check asks something else: shadow by default.",
                )
            }),
            "What changes of critical checks wait for.",
        ),
        "sources" => described(
            map_of(&object(&SOURCE_KEYS, &["url"], source)),
            "The databases that are watched, by name.",
        ),
        "ledger" => {
            described(object(&LEDGER_KEYS, &[], ledger), "Where the daemon keeps its record.")
        }
        "web" => described(object(&WEB_KEYS, &[], web), "Where the daemon listens, and to whom."),
        "log" => described(object(&LOG_KEYS, &[], log), "The log, on standard error."),
        "grace" => described(duration(), "How long attempts may take to end after SIGTERM: 20s."),
        "labels" => {
            described(map_of(&text()), "On every alert, and on allswell_installation_info.")
        }
        "alertmanagers" => described(
            list_of(&object(&PEER_KEYS, &["url"], peer)),
            "Every Alertmanager of a cluster: each gets every alert.",
        ),
        "webhooks" => described(
            list_of(&object(&WEBHOOK_KEYS, &["url"], peer)),
            "Receivers of alerts in the form of Alertmanager's webhook.",
        ),
        "heartbeat" => described(
            object(&HEARTBEAT_KEYS, &["url"], peer),
            "A service outside that expects a request while allswell is well.",
        ),
        "drill" => described(
            object(&DRILL_KEYS, &[], |_| {
                described(duration(), "How long ago at most: a day to 400 days.")
            }),
            "Tells which receivers were not rung, and which failures not drilled, for longer.",
        ),
        "watchdog" => described(
            object(&WATCHDOG_KEYS, &["token"], watchdog),
            "Proves that alerts come through the Alertmanagers.",
        ),
        _ => described(object(&RHYTHM_KEYS, &[], rhythm), "When alerts are sent."),
    }
}

fn source(key: &str) -> Value {
    match key {
        "url" => described(
            json!({"type": "string", "pattern": "^((postgres|postgresql|mysql|mariadb|sqlite):|\\$\\{)"}),
            "postgres://user@host/database, mysql://user@host/database, sqlite:file.db, or a reference to one.",
        ),
        "password" => secret(),
        "connections" => described(
            json!({"type": "integer", "minimum": 1, "maximum": CONNECTIONS_MAX}),
            "How many attempts run at once: 2 by default.",
        ),
        "timeout" => described(duration(), "The limit of one statement: 30s by default."),
        "complete_until" => complete_until(),
        "max_lag" => max_lag(),
        "standby" => described(
            json!({"enum": STANDBY.map(|(word, _)| word)}),
            "`direct` where a PostgreSQL standby streams from the primary itself.",
        ),
        "search_path" => described(
            json!({"type": "array", "items": text(), "minItems": 1}),
            "PostgreSQL: the schemas in which names without one are looked for.",
        ),
        "instants" => described(
            json!({"enum": Instants::WORDS.map(|(word, _)| word)}),
            "How an SQLite file stores instants.",
        ),
        "scratch" => {
            described(
                object(&SCRATCH_KEYS, &["url"], |key| {
                    if key == "url" { source("url") } else { secret() }
                }),
                "An empty database of the same engine, in which `allswell test` makes tables.",
            )
        }
        "ignore_tables" => described(
            list_of(&object(&IGNORED_KEYS, &IGNORED_KEYS, |key| match key {
                "tables" => {
                    described(text(), "A name with `*` for any characters, also with its schema.")
                }
                _ => described(text(), "Why."),
            })),
            "Tables that need no check.",
        ),
        _ => described(json!({"type": "boolean"}), "Whether a superuser is accepted."),
    }
}

fn ledger(key: &str) -> Value {
    match key {
        "url" => described(
            json!({"type": "string", "pattern": "^(postgres|postgresql|sqlite):"}),
            "sqlite:FILE for one daemon, postgres://… for several replicas.",
        ),
        "password" => secret(),
        "samples_for" => described(
            duration(),
            "How long values of the data stay that findings were kept with: 14d by default.",
        ),
        "retention" => described(duration(), "How long recorded windows stay: 400d by default."),
        _ => described(duration(), "How long a claim holds without being renewed: 30s by default."),
    }
}

fn web(key: &str) -> Value {
    match key {
        "listen" => described(text(), "The address to listen on: 127.0.0.1:9847 by default."),
        "public_url" => described(url(), "How people and Alertmanager reach the daemon."),
        "config_file" => {
            described(text(), "A file in the form of Prometheus' web.config: TLS, users, headers.")
        }
        "lifecycle" => described(json!({"type": "boolean"}), "Whether POST /-/reload works."),
        "pages" => described(
            json!({"type": "boolean"}),
            "Whether there are pages for people: true by default.",
        ),
        "badges" => described(
            json!({"type": "boolean"}),
            "Whether everybody sees badges, where viewers need a token otherwise.",
        ),
        "operators" => described(
            json!({"type": "array", "minItems": 1, "items": object(&OPERATOR_KEYS, &["name"], |key| match key {
                "name" => text(),
                _ => secret(),
            })}),
            "Operators by name; without a token only the proxy says who is one.",
        ),
        "proxy_user_header" => {
            described(text(), "The header in which a proxy that authenticates says who asks.")
        }
        "proxy_from" => described(
            json!({"type": "array", "minItems": 1, "items": {"type": "string"}}),
            "From which addresses or ranges that proxy connects.",
        ),
        _ => secret(),
    }
}

fn log(key: &str) -> Value {
    match key {
        "format" => {
            described(json!({"enum": LogFormat::WORDS.map(|(word, _)| word)}), "Text by default.")
        }
        _ => described(json!({"enum": LogLevel::WORDS.map(|(word, _)| word)}), "Info by default."),
    }
}

fn peer(key: &str) -> Value {
    match key {
        "url" => described(
            json!({"type": "string", "pattern": "^(https?://|\\$\\{)"}),
            "An address, or a reference to one where it is a secret.",
        ),
        "token" | "password" => secret(),
        "every" => described(duration(), "How often: 1m by default."),
        "timeout" => described(duration(), "How long an answer may take: 10s by default."),
        "user" => described(text(), "The user, beside `password`."),
        "ca_file" => {
            described(text(), "The certificate of the authority that signed the receiver's (PEM).")
        }
        "identity_file" => described(text(), "A client certificate and its key (PEM)."),
        _ => described(text(), "What it is called in status and metrics."),
    }
}

fn watchdog(key: &str) -> Value {
    match key {
        "token" => secret(),
        "every" => described(duration(), "How often a new token goes out: 30s by default."),
        _ => described(duration(), "How old the newest that came back may be: 5m by default."),
    }
}

fn rhythm(key: &str) -> Value {
    match key {
        "resend" => described(duration(), "How often what fires is sent again: 1m by default."),
        "hold" => described(duration(), "How long each alert fires at least: 45s by default."),
        _ => described(duration(), "How long alerts stay where every replica dies: 1h by default."),
    }
}

fn secret() -> Value {
    described(
        json!({"type": "string", "pattern": "^\\$\\{(env|file):[^}]+\\}$"}),
        "A reference: ${env:NAME} or ${file:PATH}.",
    )
}

fn url() -> Value {
    json!({"type": "string", "pattern": "^https?://"})
}

fn text() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "\\S"})
}

fn map_of(value: &Value) -> Value {
    json!({"type": "object", "additionalProperties": value})
}

fn list_of(item: &Value) -> Value {
    json!({"type": "array", "items": item})
}
