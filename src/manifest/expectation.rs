//! What healthy means, and what proves that something was looked at.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use crate::domain::check::evidence::{Evidence, Measure, Minimum, Scope};
use crate::domain::check::limit::Limit;
use crate::domain::check::name::{ColumnName, SourceName};
use crate::domain::check::number::Number;
use crate::domain::check::share::Share;
use crate::domain::check::value::Value;
use crate::domain::check::{Expect, Keys, MaxRows, Samples};
use crate::domain::sql::aggregate::Holds;
use crate::domain::sql::{Binding, Engine, Query};
use crate::domain::time::window::Split;
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::limits::{row_limit, values};
use crate::manifest::needs::Needs;
use crate::manifest::needs::windowed_sql;
use crate::manifest::part::{FROM_KEYS, required, source, sql};
use crate::manifest::yaml::Node;

pub(super) const KEYS_KEYS: [&str; 2] = ["columns", "from"];
pub(super) const EVIDENCE_KEYS: [&str; 6] = ["column", "sql", "min", "because", "per", "history"];
pub(super) const SAMPLES_KEYS: [&str; 2] = ["rows", "columns"];

/// The parts of a check that say how it is judged.
#[derive(Debug)]
pub(super) struct Expectation {
    pub(super) expect: Expect,
    pub(super) evidence: Evidence,
    pub(super) samples: Samples,
}

pub(super) const EXPECT_KEYS: [&str; 3] = ["rows", "values", "keys"];

impl Expectation {
    /// The source, beside the check's own, to which parameters are bound.
    pub(super) fn bound_elsewhere(&self) -> Option<&SourceName> {
        let keys = self.expect.keys().filter(|keys| keys.from.parameters().next().is_some());
        keys.map(|keys| &keys.source)
    }

    /// Says whether an aggregate over nothing would be taken for a proof: it brings one row, and
    /// what that holds satisfies every limit.
    pub(super) fn is_met_by_nothing(&self, query: &Query) -> bool {
        let holds = |column: &ColumnName, limit: &Limit| {
            let value = match query.over_nothing().column(column.as_str()) {
                None => return false,
                // What is there over nothing may be what is wanted.
                Some(Holds::Unknown) => return true,
                Some(Holds::Null) => Value::Null,
                Some(Holds::Number) => Value::Number(Number::from(0_u64)),
            };
            limit.holds(&value)
        };
        let counts_rows = self.evidence.measure == Measure::Rows;
        let needed = matches!(self.evidence.minimum, Minimum::AtLeast(_));
        let limits = self.expect.values();
        let is_met = limits.iter().all(|(column, limit)| holds(column, limit));
        counts_rows && needed && !limits.is_empty() && is_met
    }
}

/// What is known of a check before its expectations are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    /// The source that it asks.
    pub(super) target: Option<&'c (SourceName, Engine)>,
    /// What its queries have to use; nothing where its window is at fault.
    pub(super) needs: Option<Needs<'c>>,
    /// How many rows it reads.
    pub(super) max_rows: MaxRows,
    /// What it may name.
    pub(super) world: &'c World<'c>,
}

impl Context<'_> {
    /// The dialect of its queries, where they can be judged.
    pub(super) fn engine(&self) -> Option<Engine> {
        self.target.map(|(_, engine)| *engine).filter(|_| self.needs.is_some())
    }
}

/// Reads `expect`, `evidence` and `samples`.
pub(super) fn read(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Expectation> {
    let samples = match map.get("samples") {
        Some(node) => samples(doc, node, Place::Key(&place, "samples")),
        None => Some(Samples::default()),
    };
    let expect_node = required(doc, map, place, "expect");
    let expect = expect_node.and_then(|n| expect(doc, n, Place::Key(&place, "expect"), context));
    let evidence_place = Place::Key(&place, "evidence");
    let written = match map.get("evidence") {
        Some(node) => Some(written_evidence(doc, node, evidence_place, context)?),
        None => None,
    };
    let expect = expect?;
    let at = map.get("evidence").or(expect_node)?;
    let evidence = evidence(doc, at, evidence_place, &expect, written)?;
    Some(Expectation { expect, evidence, samples: samples? })
}

/// Reads the evidence of a check that counts the rows that came, where it says nothing else.
pub(super) fn evidence_of_rows(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Evidence> {
    let Some(node) = map.get("evidence") else {
        let (measure, minimum, scope) = (Measure::Rows, Minimum::ONE, Scope::Window);
        return Some(Evidence { measure, minimum, scope, history: None });
    };
    let written = written_evidence(doc, node, Place::Key(&place, "evidence"), context)?;
    let Written { measure, minimum, scope, history } = written;
    Some(Evidence { measure: measure.unwrap_or(Measure::Rows), minimum, scope, history })
}

fn expect(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Expect> {
    let map = doc.map(node, place, &EXPECT_KEYS)?;
    let rows =
        map.get("rows").map(|n| row_limit(doc, n, Place::Key(&place, "rows"), context.max_rows));
    let values = match map.get("values") {
        Some(n) => values(doc, n, Place::Key(&place, "values")),
        None => Some(BTreeMap::new()),
    };
    let keys = map.get("keys").map(|n| keys(doc, n, Place::Key(&place, "keys"), context));
    // A part that is there and faulty has its fault already.
    let rows = rows.map_or(Some(None), |r| r.map(Some))?;
    let keys = keys.map_or(Some(None), |k| k.map(Some))?;
    Expect::new(rows, values?, keys)
}

fn keys(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Keys> {
    let map = doc.map(node, place, &KEYS_KEYS)?;
    let columns_node = required(doc, &map, place, "columns");
    let columns = columns_node.and_then(|n| columns(doc, n, Place::Key(&place, "columns")));
    let from_place = Place::Key(&place, "from");
    let from = required(doc, &map, place, "from")
        .and_then(|n| doc.map(n, from_place, &FROM_KEYS))
        .and_then(|from| {
            let target = match from.get("source") {
                Some(n) => source(doc, n, Place::Key(&from_place, "source"), context.world),
                None => context.target.cloned(),
            };
            let engine = target.as_ref().map(|(_, engine)| *engine);
            let engine = engine.filter(|_| context.needs.is_some());
            // Who must appear may depend on the window, and often does not.
            let binding = context.needs.map_or(Binding::Nothing, Needs::binding);
            let query = required(doc, &from, from_place, "sql")
                .and_then(|n| sql(doc, n, Place::Key(&from_place, "sql"), engine, binding));
            Some((query?, target?.0))
        });
    let (from, source) = from?;
    Some(Keys { columns: columns?, from, source })
}

pub(super) fn columns(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
) -> Option<Vec<ColumnName>> {
    let mut columns: Vec<ColumnName> = Vec::new();
    let mut sound = true;
    for (i, item) in doc.list(node, place)?.iter().enumerate() {
        let here = Place::Item(&place, i);
        match doc.parsed(item, here, ColumnName::parse) {
            Some(column) if columns.contains(&column) => {
                doc.fault(item, here, format!("`{column}` is listed twice"), None);
                sound = false;
            }
            Some(column) => columns.push(column),
            None => sound = false,
        }
    }
    sound.then_some(columns)
}

/// Evidence as it was written: a measure or none, a minimum or none.
#[derive(Debug)]
struct Written {
    measure: Option<Measure>,
    minimum: Minimum,
    scope: Scope,
    history: Option<Share>,
}

fn written_evidence(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Written> {
    let map = doc.map(node, place, &EVIDENCE_KEYS)?;
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let measure = match (at("column"), at("sql")) {
        (Some(_), Some((n, p))) => {
            let hint = "keep `column` or `sql`".to_owned();
            doc.fault(n, p, "evidence is counted in one way", Some(hint));
            return None;
        }
        (Some((n, p)), None) => Some(Measure::Column(doc.parsed(n, p, ColumnName::parse)?)),
        (None, Some((n, p))) => {
            let needs = context.needs.unwrap_or(Needs(None));
            Some(Measure::Query(windowed_sql(doc, n, p, context.engine(), needs)?))
        }
        (None, None) => None,
    };
    let scope = match at("per") {
        Some((n, p)) => {
            doc.word(n, p, &[("window", Scope::Period)])?;
            let split = context.needs.and_then(|n| n.0).is_some_and(|w| w.split != Split::Whole);
            if !split || at("sql").is_none() {
                let message = "`per: window` is for an evidence query where the window is split";
                doc.fault(n, p, message, Some("remove it".into()));
                return None;
            }
            Scope::Period
        }
        None => Scope::Window,
    };
    let because = match at("because") {
        Some((n, p)) => Some((n, p, doc.text(n, p)?.trim().to_owned())),
        None => None,
    };
    let minimum = match at("min") {
        Some((n, p)) => Some((n, p, doc.whole_number(n, p)?)),
        None => None,
    };
    let minimum = match (minimum.map(|(n, p, min)| (n, p, NonZeroU64::new(min))), because) {
        (Some((_, _, None)), Some((_, _, because))) => Minimum::Waived { because },
        (Some((n, p, None)), None) => {
            let hint = "write `because:` beside it, for the next reader".to_owned();
            doc.fault(n, p, "a proof without evidence needs a reason", Some(hint));
            return None;
        }
        (Some((_, _, Some(_))) | None, Some((n, p, _))) => {
            let hint = "remove it, or write `min: 0`".to_owned();
            doc.fault(n, p, "`because` is the reason for `min: 0`", Some(hint));
            return None;
        }
        (Some((_, _, Some(min))), None) => Minimum::AtLeast(min),
        (None, None) => Minimum::ONE,
    };
    let history = match at("history") {
        Some((n, p)) => {
            let share = doc.parsed(n, p, Share::parse)?;
            if context.needs.is_some_and(|needs| needs.0.is_none()) {
                let message = "`history` holds a window against earlier ones";
                let hint = "give the check a `window`, or remove it".to_owned();
                doc.fault(n, p, message, Some(hint));
                return None;
            }
            Some(share)
        }
        None => None,
    };
    Some(Written { measure, minimum, scope, history })
}

/// Holds the evidence that was written, or what it is by default, against what is expected.
fn evidence(
    doc: &mut Document<'_>,
    at: &Node,
    place: Place<'_>,
    expect: &Expect,
    written: Option<Written>,
) -> Option<Evidence> {
    const HINT: &str = "write `evidence: {sql: select count(*) from …}` to count what was looked \
                        at, or `evidence: {min: 0, because: …}`";
    let Some(written) = written else {
        let implied = Evidence::implied(expect);
        if implied.is_none() {
            let message = "zero rows satisfy `rows`, and zero rows prove nothing by themselves";
            doc.fault(at, place, message, Some(HINT.into()));
        }
        return implied;
    };
    let waived = matches!(written.minimum, Minimum::Waived { .. });
    let counts_rows = match &written.measure {
        Some(Measure::Rows | Measure::Column(_)) => true,
        Some(Measure::ExpectedKeys | Measure::Query(_)) => false,
        None => Evidence::implied_measure(expect).is_none(),
    };
    if expect.allows_zero_rows() && counts_rows && !waived {
        let message = "this counts the rows that came, and `rows` is satisfied when none come";
        doc.fault(at, place, message, Some(HINT.into()));
        return None;
    }
    let measure = written.measure.or_else(|| Evidence::implied_measure(expect));
    let Written { minimum, scope, history, .. } = written;
    Some(Evidence { measure: measure.unwrap_or(Measure::Rows), minimum, scope, history })
}

pub(super) fn samples(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Samples> {
    let map = doc.map(node, place, &SAMPLES_KEYS)?;
    let rows = match map.get("rows") {
        Some(n) => {
            let here = Place::Key(&place, "rows");
            let rows = doc.whole_number(n, here)?;
            let within = usize::try_from(rows).ok().filter(|r| (1..=Samples::MOST).contains(r));
            if within.is_none() {
                doc.fault(n, here, format!("samples show 1 to {} rows", Samples::MOST), None);
            }
            within?
        }
        None => Samples::default().rows,
    };
    let node = required(doc, &map, place, "columns")?;
    let columns = columns(doc, node, Place::Key(&place, "columns"))?;
    Some(Samples { rows, columns, mask: Vec::new() })
}
