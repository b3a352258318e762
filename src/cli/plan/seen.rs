//! What the daemon sees in shadow: it looks at the last windows with the checks as they are, and as they are to be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::args::{PlanArgs, PlanFormat};
use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::cli::plan::against::{Against, Missing, daemon};
use crate::cli::remote::{number, text};
use crate::domain::check::fault::Fault;
use crate::manifest;

/// How long the daemon is left alone before it is asked again how far it is.
const PAUSE: Duration = Duration::from_millis(200);

/// What was seen of one check.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// What speaks for or against it.
    pub(super) outcome: Outcome,
    /// In words.
    pub(super) words: String,
    /// As the daemon says it.
    pub(super) json: Value,
}

impl Seen {
    /// What is known of a check of which nothing came back.
    pub(super) fn nothing() -> Self {
        let words = "the daemon did not look at it".to_owned();
        let json = json!({"verdict": "unconfirmed", "seen": words});
        Self { outcome: Outcome::Unknown, words, json }
    }
}

/// What speaks for or against a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing speaks against it.
    Sound,
    /// Less is found, or looked at, than before.
    LetsThrough,
    /// Not all of it could be compared.
    Unknown,
}

/// Has the daemon look; ends when it has.
pub(super) fn seen(
    args: &PlanArgs,
    against: &Against,
    paths: &[PathBuf],
    windows: u16,
) -> Result<BTreeMap<String, Seen>, Missing> {
    if *against != Against::Active {
        let message = "the daemon looks with what it runs, and with nothing else".to_owned();
        let fault = Fault::of_file("--shadow", message, "leave `--against` away");
        return Err(Missing::Faults(vec![fault]));
    }
    let paths: Vec<&PathBuf> = paths.iter().collect();
    let texts = manifest::texts(&paths).map_err(Missing::Faults)?;
    let files: Vec<Value> =
        texts.iter().map(|text| json!({"file": text.file, "text": text.text})).collect();
    let daemon = daemon(args).map_err(Missing::Printed)?;
    let order = json!({"files": files, "shadow": windows});
    let mut answer = daemon.post("/api/v1/plan", &order).map_err(Missing::Printed)?;
    if args.output == PlanFormat::Text {
        complain("the daemon looks in shadow, after everything that is due …");
    }
    let path = text(&answer, "href").to_owned();
    while answer.get("done").and_then(Value::as_bool) == Some(false) {
        sleep(PAUSE);
        answer = daemon.get(&path, &[]).map_err(Missing::Printed)?;
    }
    let Some(checks) = answer.get("checks").and_then(Value::as_array) else {
        complain(&format!("allswell: {} answered without what it saw", daemon.name()));
        return Err(Missing::Printed(Exit::Io));
    };
    Ok(checks.iter().map(|seen| (text(seen, "check").to_owned(), one(seen))).collect())
}

fn one(seen: &Value) -> Seen {
    let outcome = match text(seen, "verdict") {
        "confirmed" => Outcome::Sound,
        "violated" => Outcome::LetsThrough,
        _ => Outcome::Unknown,
    };
    let mut words = text(seen, "seen").to_owned();
    if number(seen, "looked") > 0 && outcome == Outcome::Unknown {
        words.push_str(": that compares too little to say anything");
    }
    Seen { outcome, words, json: seen.clone() }
}
