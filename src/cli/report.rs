//! What a round found, for people and for programs.

mod matrix;
pub(super) mod cases;
pub(super) mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use crate::cli::paint::Paint;
use crate::cli::windows::shown;
use crate::domain::check::evidence::Measure;
use crate::domain::check::name::SourceName;
use crate::domain::check::verdict::{Contradiction, Verdict};
use crate::domain::check::{Body, Check, Expect};
use crate::domain::reconcile::Reconcile;
use crate::domain::sql::Query;
use crate::domain::sql::bounds::Bounds;
use crate::domain::sql::parameter::Parameter;
use crate::domain::time::period::Period;
use crate::domain::time::window::{Frame, Split};
use crate::domain::time::zone::ZoneName;
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

/// A check, or a part of it, that is not looked at because its owner says so.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    /// The check.
    pub(super) check: Arc<Check>,
    /// What its owner says.
    pub(super) why: Why,
}

/// What an owner says of what is not looked at.
#[derive(Debug, Clone)]
pub(super) enum Why {
    /// It waits, in a zone where it fans out.
    Paused(DateTime<Utc>, Option<ZoneName>),
    /// These dates are taken out, in a zone.
    Excepted(Vec<NaiveDate>, ZoneName),
    /// Nobody says anything: clocks leave these dates out.
    NoSuchDate(Vec<NaiveDate>, ZoneName),
}

impl Aside {
    fn line(&self, ids: usize, paint: Paint) -> String {
        let id = self.check.id.as_str();
        let (word, what) = self.words();
        format!("{}  {id:<ids$}  {what}", paint.yellow(&format!("{word:<11}")))
    }

    /// How it is called, and what its owner says.
    fn words(&self) -> (&'static str, String) {
        let (word, what, because) = match &self.why {
            Why::Paused(until, zone) => {
                let because = self.check.pause.as_ref().map(|pause| &pause.because);
                let zone = zone.as_ref().map_or(String::new(), |zone| format!(" in {zone}"));
                ("paused", format!("until {}{zone}", shown(*until)), because)
            }
            Why::Excepted(dates, zone) => {
                let because = self.check.except.as_ref().map(|except| &except.because);
                let dates: Vec<String> = dates.iter().take(TOLD).map(ToString::to_string).collect();
                ("excepted", format!("{} in {zone}", dates.join(", ")), because)
            }
            Why::NoSuchDate(dates, zone) => {
                let dates: Vec<String> = dates.iter().take(TOLD).map(ToString::to_string).collect();
                (
                    "no such day",
                    format!("{} in {zone}: clocks leave it out", dates.join(", ")),
                    None,
                )
            }
        };
        let because = because.map_or(String::new(), |because| format!(": {because}"));
        (word, format!("{what}{because}"))
    }

    fn json(&self) -> Value {
        let texts = |dates: &[NaiveDate]| dates.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (why, zone, until, dates) = match &self.why {
            Why::Paused(until, zone) => ("paused", zone.as_ref(), Some(shown(*until)), Vec::new()),
            Why::Excepted(dates, zone) => ("excepted", Some(zone), None, texts(dates)),
            Why::NoSuchDate(dates, zone) => ("no_such_date", Some(zone), None, texts(dates)),
        };
        json!({
            "check": self.check.id.as_str(),
            "why": why,
            "zone": zone.map(ZoneName::as_str),
            "until": until,
            "dates": dates,
        })
    }
}

/// The longest id that the others are aligned with.
const ID_WIDTH: usize = 40;
/// How many bad windows of one check are told in words.
const TOLD: usize = 5;

/// The table: bad ones first, each with what an engineer needs who was just woken.
pub(super) fn text(outcomes: &[Outcome], asides: &[Aside], style: &Style<'_>) -> String {
    let groups = groups(outcomes);
    let names = groups.iter().map(|g| g.check.id.as_str().len());
    let names = names.chain(asides.iter().map(|aside| aside.check.id.as_str().len()));
    let ids = names.max().unwrap_or(0).min(ID_WIDTH);
    let looks = groups.iter().map(|g| g.looked().len()).max().unwrap_or(0);
    let mut text = String::new();
    for group in &groups {
        line(&mut text, group, ids, looks, style.paint);
        if group.rank() < CONFIRMED {
            details(&mut text, group, style);
            if style.with_sql {
                sql(&mut text, group, style.paint);
            }
        }
    }
    for aside in asides {
        let _ = writeln!(text, "{}", aside.line(ids, style.paint));
    }
    let _ = writeln!(text, "\n{}", summary(outcomes, &groups));
    text
}

/// How many checks and windows are how.
fn summary(outcomes: &[Outcome], groups: &[Group<'_>]) -> String {
    let mut text = String::new();
    let of_rank = |wanted| groups.iter().filter(|group| group.rank() == wanted).count();
    let (violated, unconfirmed, confirmed) = (of_rank(0), of_rank(1), of_rank(2));
    let _ = write!(text, "{confirmed} confirmed, {violated} violated, {unconfirmed} unconfirmed");
    let windows = outcomes.iter().filter(|outcome| outcome.window.is_some());
    let of_rank = |wanted| windows.clone().filter(|o| rank(&o.judgement.verdict) == wanted).count();
    if windows.clone().count() > 0 {
        let (all, bad, unknown) = (windows.clone().count(), of_rank(0), of_rank(1));
        let noun = if all == 1 { "window" } else { "windows" };
        let _ = write!(text, "; of {all} {noun} {bad} violated, {unknown} unconfirmed");
    }
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
        ranks.min().unwrap_or(CONFIRMED)
    }

    /// What is not confirmed, the list of zones first, then the newest windows.
    fn bad(&self) -> Vec<&Outcome> {
        let bad = self.outcomes.iter().filter(|o| rank(&o.judgement.verdict) < CONFIRMED);
        let mut bad: Vec<&Outcome> = bad.copied().collect();
        bad.sort_by_key(|o| (o.window.is_some(), std::cmp::Reverse(o.window.map(|w| w.start))));
        bad
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
                let windows = self.windows();
                let bad = many
                    .iter()
                    .filter(|o| o.window.is_some() && rank(&o.judgement.verdict) == self.rank());
                let seen = many.iter().filter(|o| o.window.is_some());
                let evidence: u64 = seen.filter_map(|o| o.judgement.evidence).sum();
                match bad.count() {
                    bad if bad > 0 && self.rank() < CONFIRMED => {
                        format!("{bad} of {windows} windows, looked at {evidence}")
                    }
                    _ if self.rank() < CONFIRMED => format!("the zones, {windows} windows"),
                    _ => format!("{windows} windows, looked at {evidence}"),
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
        return String::new();
    };
    let rule = outcome.check.window.as_ref();
    let mut place = match rule.map(|rule| rule.frame) {
        Some(Frame::Grid(_)) => shown(window.start),
        Some(Frame::Calendar(Period::Day(_))) | None => window.span.date.to_string(),
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

const CONFIRMED: u8 = 2;

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Violated(_) => 0,
        Verdict::Unconfirmed(_) => 1,
        Verdict::Confirmed => CONFIRMED,
    }
}

fn looked(outcome: &Outcome) -> String {
    match (&outcome.judgement.verdict, outcome.judgement.evidence) {
        (Verdict::Unconfirmed(reason), None) => reason.cause.to_string(),
        (Verdict::Unconfirmed(reason), Some(n)) => format!("{}, looked at {n}", reason.cause),
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
    let in_all = if group.outcomes.len() > 1 { " in all" } else { "" };
    let took = format!("{} ms{in_all}", group.took().as_millis());
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
    for (label, line) in told(&group.bad(), many) {
        add(text, label, &line);
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

/// What is wrong in words: the first of it whole, and the same cause for many windows once.
fn told(bad: &[&Outcome], many: bool) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut causes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut findings, mut left) = (0, 0);
    for outcome in bad {
        let before = match place(outcome) {
            place if many && !place.is_empty() => format!("{place}: "),
            _ => String::new(),
        };
        match &outcome.judgement.verdict {
            Verdict::Violated(_) if findings == TOLD => left += 1,
            Verdict::Violated(finding) => {
                findings += 1;
                let found = finding.contradictions.iter();
                for contradiction in found {
                    match contradiction {
                        // Each key has a line of its own.
                        Contradiction::Differs(told) => {
                            lines.push(("found", format!("{before}{}", told.head())));
                            lines.extend(told.first.iter().map(|first| ("", first.clone())));
                        }
                        other @ (Contradiction::Rows { .. }
                        | Contradiction::Values { .. }
                        | Contradiction::End { .. }
                        | Contradiction::Repeated { .. }
                        | Contradiction::Never { .. }
                        | Contradiction::Volume { .. }
                        | Contradiction::MissingKeys { .. }
                        | Contradiction::Zones { .. }
                        | Contradiction::ZonesGone { .. }
                        | Contradiction::NamelessKeys { .. }) => {
                            lines.push(("found", format!("{before}{other}")));
                        }
                    }
                }
                lines.extend(finding.rows.iter().map(|row| ("row", row.clone())));
                if finding.cut {
                    lines.push(("", "the result was cut: there may be more".into()));
                }
            }
            Verdict::Unconfirmed(reason) if !many => lines.push(("because", reason.note.clone())),
            Verdict::Unconfirmed(reason) => {
                *causes.entry((reason.cause.as_str(), reason.note.as_str())).or_default() += 1;
            }
            Verdict::Confirmed => {}
        }
    }
    if left > 0 {
        lines.push(("", format!("and {left} more; `--output json` has all")));
    }
    let rest = causes.len().saturating_sub(TOLD);
    lines.extend(causes.into_iter().take(TOLD).map(|((cause, note), count)| {
        let times = if count == 1 { String::new() } else { format!("{count} times ") };
        ("because", format!("{times}{cause}: {note}"))
    }));
    if rest > 0 {
        lines.push(("", format!("and {rest} causes more; `--output json` has all")));
    }
    lines
}

fn sql(text: &mut String, group: &Group<'_>, paint: Paint) {
    let check = group.check;
    let mut queries = match &check.body {
        Body::Sql { query, .. } => vec![("sql".to_owned(), &check.source, query)],
        Body::Table(table) => {
            let asked = table.statements().iter();
            asked.map(|s| (s.asks.title(table.rules()), &check.source, &s.query)).collect()
        }
        Body::Reconcile(reconcile) => {
            let Reconcile { left, right, detail, .. } = &**reconcile;
            let mut queries = vec![
                ("left".to_owned(), &left.source, &left.query),
                ("right".to_owned(), &right.source, &right.query),
            ];
            if let Some(detail) = detail {
                queries.push(("detail, left".to_owned(), &left.source, &detail.left));
                queries.push(("detail, right".to_owned(), &right.source, &detail.right));
            }
            queries
        }
    };
    if let Measure::Query(query) = &check.evidence.measure {
        queries.push(("evidence".to_owned(), &check.source, query));
    }
    if let Some(keys) = check.expect().and_then(Expect::keys) {
        queries.push(("keys".to_owned(), &keys.source, &keys.from));
    }
    // Of the first that is told.
    let bad = group.bad();
    let shown = bad.iter().find(|outcome| outcome.window.is_some());
    for (label, source, query) in queries {
        let is_past = check.table().is_some_and(|table| table.asks_past(query));
        let bounds = shown.filter(|_| !is_past).and_then(|outcome| bound(outcome, query));
        let bounds = bounds.unwrap_or_else(|| "no bound values".into());
        let _ = writeln!(text, "    {}", paint.dim(&format!("{label} on {source}, {bounds}:")));
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
    let bounds = Bounds { window, zone, past: outcome.past };
    let named: BTreeSet<Parameter> = query.parameters().collect();
    let values = named.into_iter().map(|p| format!("{p} = {}", bounds.value(p)));
    let values: Vec<String> = values.collect();
    (!values.is_empty()).then(|| values.join(", "))
}
