//! What a round found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::cli::paint::Paint;
use crate::domain::check::Check;
use crate::domain::evidence::Measure;
use crate::domain::name::SourceName;
use crate::domain::verdict::Verdict;
use crate::engine::round::Outcome;

/// Where each source is, by its name.
pub(super) type Addresses = BTreeMap<SourceName, String>;

/// How the table is written.
#[derive(Debug)]
pub(super) struct Style<'a> {
    /// Whether to colour.
    pub(super) paint: Paint,
    /// Whether to show the SQL of what is not confirmed.
    pub(super) with_sql: bool,
    /// Where the sources are.
    pub(super) addresses: &'a Addresses,
}

/// The longest id that the others are aligned with.
const ID_WIDTH: usize = 40;

/// The table: bad ones first, each with what somebody needs who was just woken.
pub(super) fn text(outcomes: &[Outcome], style: &Style<'_>) -> String {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by_key(|o| (rank(&o.judgement.verdict), o.check.severity, o.check.id.clone()));
    let widest = |width: &dyn Fn(&Outcome) -> usize| sorted.iter().map(|o| width(o)).max();
    let ids = widest(&|o| o.check.id.as_str().len()).unwrap_or(0).min(ID_WIDTH);
    let looks = widest(&|o| looked(o).len()).unwrap_or(0);
    let mut text = String::new();
    for outcome in &sorted {
        line(&mut text, outcome, ids, looks, style.paint);
        if !matches!(outcome.judgement.verdict, Verdict::Confirmed) {
            details(&mut text, outcome, style);
            if style.with_sql {
                sql(&mut text, &outcome.check, style.paint);
            }
        }
    }
    let counts = Counts::of(outcomes);
    let _ = writeln!(
        text,
        "\n{} confirmed, {} violated, {} unconfirmed",
        counts.confirmed, counts.violated, counts.unconfirmed
    );
    text
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Violated(_) => 0,
        Verdict::Unconfirmed(_) => 1,
        Verdict::Confirmed => 2,
    }
}

fn looked(outcome: &Outcome) -> String {
    match (&outcome.judgement.verdict, outcome.judgement.evidence) {
        (Verdict::Unconfirmed(doubt), None) => doubt.cause.to_string(),
        (Verdict::Unconfirmed(doubt), Some(n)) => format!("{}, looked at {n}", doubt.cause),
        (Verdict::Confirmed | Verdict::Violated(_), Some(n)) => format!("looked at {n}"),
        (Verdict::Confirmed | Verdict::Violated(_), None) => String::new(),
    }
}

fn line(text: &mut String, outcome: &Outcome, ids: usize, looks: usize, paint: Paint) {
    let word = match &outcome.judgement.verdict {
        Verdict::Confirmed => paint.green("confirmed  "),
        Verdict::Violated(_) => paint.red("violated   "),
        Verdict::Unconfirmed(_) => paint.yellow("unconfirmed"),
    };
    let check = &outcome.check;
    let took = format!("{} ms", outcome.took.as_millis());
    let tail = paint.dim(&format!("{} · {} · {took}", check.severity, check.owner));
    let _ =
        writeln!(text, "{word}  {:<ids$}  {:<looks$}  {tail}", check.id.as_str(), looked(outcome));
}

fn details(text: &mut String, outcome: &Outcome, style: &Style<'_>) {
    let check = &outcome.check;
    let mut add = |label: &str, content: &str| {
        let content = content.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines = style.paint.wrapped(&content, 13);
        let _ = writeln!(text, "    {} {lines}", style.paint.dim(&format!("{label:<8}")));
    };
    add("why", &check.why);
    match &outcome.judgement.verdict {
        Verdict::Violated(finding) => {
            for contradiction in &finding.contradictions {
                add("found", &contradiction.to_string());
            }
            for row in &finding.rows {
                add("row", row);
            }
            if finding.cut {
                add("", "the result was cut: there may be more");
            }
        }
        Verdict::Unconfirmed(doubt) => add("because", &doubt.note),
        Verdict::Confirmed => {}
    }
    for source in check.sources() {
        let address = style.addresses.get(source).map_or("", String::as_str);
        add("source", &format!("{source}: {address}"));
    }
    if let Some(runbook) = &check.runbook {
        add("runbook", runbook);
    }
    add("file", &format!("{}:{}", check.file, check.line));
}

fn sql(text: &mut String, check: &Check, paint: Paint) {
    let mut queries = vec![("sql", &check.source, check.query.text())];
    if let Measure::Query(query) = &check.evidence.measure {
        queries.push(("evidence", &check.source, query.text()));
    }
    if let Some(keys) = check.expect.keys() {
        queries.push(("keys", &keys.source, keys.from.text()));
    }
    for (label, source, query) in queries {
        let head = paint.dim(&format!("{label} on {source}, no bound values:"));
        let _ = writeln!(text, "    {head}");
        for line in query.lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
}

/// The report by DESIGN §7: a contract with programs.
pub(super) fn json(outcomes: &[Outcome]) -> Value {
    let counts = Counts::of(outcomes);
    json!({
        "format": 1,
        "runs": outcomes.iter().map(run).collect::<Vec<_>>(),
        "summary": {
            "confirmed": counts.confirmed,
            "violated": counts.violated,
            "unconfirmed": counts.unconfirmed,
            "paused": 0,
        },
    })
}

fn run(outcome: &Outcome) -> Value {
    let (verdict, cause, finding) = match &outcome.judgement.verdict {
        Verdict::Confirmed => ("confirmed", None, None),
        Verdict::Violated(finding) => ("violated", None, Some(finding.to_string())),
        Verdict::Unconfirmed(doubt) => {
            ("unconfirmed", Some(doubt.cause.as_str()), Some(doubt.note.clone()))
        }
    };
    json!({
        "check": outcome.check.id.as_str(),
        "tz": null,
        "slot": outcome.slot.to_rfc3339_opts(SecondsFormat::Millis, true),
        "window": null,
        "verdict": verdict,
        "cause": cause,
        "evidence": outcome.judgement.evidence,
        "finding": finding,
        "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    })
}

struct Counts {
    confirmed: usize,
    violated: usize,
    unconfirmed: usize,
}

impl Counts {
    fn of(outcomes: &[Outcome]) -> Self {
        let ranked =
            |wanted| outcomes.iter().filter(|o| rank(&o.judgement.verdict) == wanted).count();
        Self { violated: ranked(0), unconfirmed: ranked(1), confirmed: ranked(2) }
    }
}
