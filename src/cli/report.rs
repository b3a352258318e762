//! What a round found, for people and for programs.

mod matrix;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::cli::paint::Paint;
use crate::cli::windows::shown;
use crate::domain::check::Check;
use crate::domain::evidence::Measure;
use crate::domain::name::SourceName;
use crate::domain::parameter::{Bounds, Parameter};
use crate::domain::sql::Query;
use crate::domain::verdict::Verdict;
use crate::domain::window::{Frame, Period, Split, Window};
use crate::domain::zone::ZoneName;
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

/// A check that is not looked at, because its owner lets it wait.
#[derive(Debug, Clone)]
pub(super) struct Paused {
    /// The check.
    pub(super) check: Arc<Check>,
    /// Until when.
    pub(super) until: DateTime<Utc>,
}

/// The longest id that the others are aligned with.
const ID_WIDTH: usize = 40;
/// How many bad windows of one check are told in words.
const TOLD: usize = 5;

/// The table: bad ones first, each with what somebody needs who was just woken.
pub(super) fn text(outcomes: &[Outcome], paused: &[Paused], style: &Style<'_>) -> String {
    let groups = groups(outcomes);
    let names = groups.iter().map(|g| g.check.id.as_str().len());
    let names = names.chain(paused.iter().map(|p| p.check.id.as_str().len()));
    let ids = names.max().unwrap_or(0).min(ID_WIDTH);
    let looks = groups.iter().map(|g| g.looked().len()).max().unwrap_or(0);
    let mut text = String::new();
    for group in &groups {
        line(&mut text, group, ids, looks, style.paint);
        if group.rank() < rank(&Verdict::Confirmed) {
            details(&mut text, group, style);
            if style.with_sql {
                sql(&mut text, group, style.paint);
            }
        }
    }
    for Paused { check, until } in paused {
        let word = style.paint.yellow("paused     ");
        let because = check.pause.as_ref().map_or("", |pause| pause.because.as_str());
        let id = check.id.as_str();
        let _ = writeln!(text, "{word}  {id:<ids$}  until {}: {because}", shown(*until));
    }
    let counts = Counts::of(outcomes);
    let _ = writeln!(
        text,
        "\n{} confirmed, {} violated, {} unconfirmed",
        counts.confirmed, counts.violated, counts.unconfirmed
    );
    text
}

/// The outcomes of one check.
struct Group<'o> {
    check: &'o Check,
    outcomes: Vec<&'o Outcome>,
}

/// Collects outcomes by check, the worst first.
fn groups(outcomes: &[Outcome]) -> Vec<Group<'_>> {
    let mut by_check: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        by_check.entry(outcome.check.id.as_str()).or_default().push(outcome);
    }
    let mut groups: Vec<Group<'_>> = by_check
        .into_values()
        .filter_map(|outcomes| Some(Group { check: &outcomes.first()?.check, outcomes }))
        .collect();
    groups.sort_by_key(|group| (group.rank(), group.check.severity));
    groups
}

impl Group<'_> {
    fn rank(&self) -> u8 {
        let ranks = self.outcomes.iter().map(|o| rank(&o.judgement.verdict));
        ranks.min().unwrap_or(rank(&Verdict::Confirmed))
    }

    fn windows(&self) -> usize {
        self.outcomes.iter().filter(|o| o.window.is_some()).count()
    }

    /// What was looked at, and how much of it was not right.
    fn looked(&self) -> String {
        match self.outcomes.as_slice() {
            [one] => match &one.window {
                Some(_) => format!("{}, {}", place(one), looked(one)),
                None => looked(one),
            },
            many => {
                let bad = many
                    .iter()
                    .filter(|o| o.window.is_some() && rank(&o.judgement.verdict) == self.rank());
                let windows = self.windows();
                let evidence: u64 = many
                    .iter()
                    .filter(|o| o.window.is_some())
                    .filter_map(|o| o.judgement.evidence)
                    .sum();
                if self.rank() == rank(&Verdict::Confirmed) {
                    format!("{windows} windows, looked at {evidence}")
                } else {
                    format!("{} of {windows} windows, looked at {evidence}", bad.count())
                }
            }
        }
    }

    fn took(&self) -> Duration {
        self.outcomes.iter().map(|o| o.took).sum()
    }
}

/// Where and when a window is: `2026-03-08 America/New_York -05:00`.
fn place(outcome: &Outcome) -> String {
    let Some(window) = &outcome.window else {
        return if outcome.tz.is_none() { "zones".into() } else { String::new() };
    };
    let rule = outcome.check.window.as_ref();
    let mut place = match rule.map(|rule| rule.frame) {
        Some(Frame::Grid(_)) => shown(window.start),
        Some(Frame::Calendar(Period::Day)) | None => window.span.date.to_string(),
        Some(frame @ Frame::Calendar(_)) => format!("{frame} of {}", window.span.date),
    };
    let written = rule.and_then(|rule| rule.zones.written().first());
    if let Some(zone) = outcome.tz.as_ref().or(written) {
        let _ = write!(place, " {zone}");
    }
    if rule.is_some_and(|rule| rule.split != Split::Whole) {
        let _ = write!(place, " {}", window.utc_offset);
    }
    place
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

fn line(text: &mut String, group: &Group<'_>, ids: usize, looks: usize, paint: Paint) {
    let word = match group.rank() {
        0 => paint.red("violated   "),
        1 => paint.yellow("unconfirmed"),
        _ => paint.green("confirmed  "),
    };
    let check = group.check;
    let took = format!("{} ms", group.took().as_millis());
    let tail = paint.dim(&format!("{} · {} · {took}", check.severity, check.owner));
    let (id, looked) = (check.id.as_str(), group.looked());
    let _ = writeln!(text, "{word}  {id:<ids$}  {looked:<looks$}  {tail}");
}

fn details(text: &mut String, group: &Group<'_>, style: &Style<'_>) {
    let check = group.check;
    let add = |text: &mut String, label: &str, content: &str| {
        let content = content.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines = style.paint.wrapped(&content, 13);
        let _ = writeln!(text, "    {} {lines}", style.paint.dim(&format!("{label:<8}")));
    };
    add(text, "why", &check.why);
    let many = group.outcomes.len() > 1;
    if let (true, Some(rule)) = (many, &check.window) {
        matrix::draw(text, &group.outcomes, rule, style.paint);
    }
    // The newest say most; the list of zones comes before all windows.
    let confirmed = rank(&Verdict::Confirmed);
    let mut bad: Vec<&&Outcome> =
        group.outcomes.iter().filter(|o| rank(&o.judgement.verdict) < confirmed).collect();
    bad.sort_by_key(|o| (o.window.is_some(), std::cmp::Reverse(o.window.map(|w| w.start))));
    for outcome in bad.iter().take(TOLD) {
        let before = if many { format!("{}: ", place(outcome)) } else { String::new() };
        match &outcome.judgement.verdict {
            Verdict::Violated(finding) => {
                for contradiction in &finding.contradictions {
                    add(text, "found", &format!("{before}{contradiction}"));
                }
                for row in &finding.rows {
                    add(text, "row", row);
                }
                if finding.cut {
                    add(text, "", "the result was cut: there may be more");
                }
            }
            Verdict::Unconfirmed(doubt) if many => {
                add(text, "because", &format!("{before}{}: {}", doubt.cause, doubt.note));
            }
            Verdict::Unconfirmed(doubt) => add(text, "because", &doubt.note),
            Verdict::Confirmed => {}
        }
    }
    if bad.len() > TOLD {
        add(text, "", &format!("and {} more; `--output json` has all", bad.len() - TOLD));
    }
    for source in check.sources() {
        let address = style.addresses.get(source).map_or("", String::as_str);
        add(text, "source", &format!("{source}: {address}"));
    }
    if let Some(runbook) = &check.runbook {
        add(text, "runbook", runbook);
    }
    add(text, "file", &format!("{}:{}", check.file, check.line));
}

fn sql(text: &mut String, group: &Group<'_>, paint: Paint) {
    let check = group.check;
    let mut queries = vec![("sql", &check.source, &check.query)];
    if let Measure::Query(query) = &check.evidence.measure {
        queries.push(("evidence", &check.source, query));
    }
    if let Some(keys) = check.expect.keys() {
        queries.push(("keys", &keys.source, &keys.from));
    }
    let confirmed = rank(&Verdict::Confirmed);
    let shown = group.outcomes.iter().find(|o| rank(&o.judgement.verdict) < confirmed);
    for (label, source, query) in queries {
        let bounds = shown.and_then(|outcome| bound(outcome, query));
        let bounds = bounds.unwrap_or_else(|| "no bound values".into());
        let head = paint.dim(&format!("{label} on {source}, {bounds}:"));
        let _ = writeln!(text, "    {head}");
        for line in query.text().lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
}

/// What was bound to a query's parameters.
fn bound(outcome: &Outcome, query: &Query) -> Option<String> {
    let window = outcome.window?;
    let written = outcome.check.window.as_ref().and_then(|rule| rule.zones.written().first());
    let zone = outcome.tz.clone().or(written.cloned()).unwrap_or_else(ZoneName::utc);
    let bounds = Bounds { window, zone };
    let mut named: Vec<Parameter> = query.parameters().collect();
    named.sort();
    named.dedup();
    let values = named.into_iter().map(|p| format!("{p} = {}", bounds.value(p)));
    let values: Vec<String> = values.collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The report by DESIGN §7: a contract with programs.
pub(super) fn json(outcomes: &[Outcome], paused: &[Paused]) -> Value {
    let counts = Counts::of(outcomes);
    json!({
        "format": 1,
        "runs": outcomes.iter().map(run).collect::<Vec<_>>(),
        "summary": {
            "confirmed": counts.confirmed,
            "violated": counts.violated,
            "unconfirmed": counts.unconfirmed,
            "paused": paused.len(),
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
        "tz": outcome.tz.as_ref().map(ZoneName::as_str),
        "slot": outcome.slot.to_rfc3339_opts(SecondsFormat::Millis, true),
        "window": outcome.window.as_ref().map(window),
        "verdict": verdict,
        "cause": cause,
        "evidence": outcome.judgement.evidence,
        "finding": finding,
        "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// A window by DESIGN §7.
pub(super) fn window(window: &Window) -> Value {
    json!({
        "start": shown(window.start),
        "end": shown(window.end),
        "date": window.span.date.to_string(),
        "utc_offset": window.utc_offset.secs(),
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
