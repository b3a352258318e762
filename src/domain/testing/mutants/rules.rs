//! Mistakes in what is no SQL of its author: evidence, terms of a comparison, rules for a table.

use crate::domain::check::evidence::{Evidence, Minimum};
use crate::domain::check::number::Number;
use crate::domain::reconcile::{Terms, Tolerance};
use crate::domain::sql::{Binding, Engine, Query};
use crate::domain::table::{ColumnRules, Nulls, Rules};
use crate::domain::testing::mutants::sql::changes;

/// Evidence of which less suffices.
pub(super) fn weaker_evidence(evidence: &Evidence) -> Vec<(Evidence, String)> {
    let Minimum::AtLeast(least) = &evidence.minimum else { return Vec::new() };
    let waived = Minimum::Waived { because: "a mutant".to_owned() };
    let (minimum, change) = match std::num::NonZeroU64::new(least.get() - 1) {
        Some(fewer) => (Minimum::AtLeast(fewer), format!("`min: {least}` → `min: {fewer}`")),
        None => (waived, "`min: 1` → `min: 0`".to_owned()),
    };
    vec![(Evidence { minimum, ..evidence.clone() }, change)]
}

/// Terms by which more is the same.
pub(super) fn wider_terms(terms: &Terms) -> Vec<(Terms, String)> {
    let mut all = Vec::new();
    for (at, (column, tolerance)) in terms.compare.iter().enumerate() {
        let wider = if tolerance.is_exact() {
            Tolerance { absolute: Some(Number::from(1_u64)), ratio: tolerance.ratio.clone() }
        } else {
            let ten = |number: &Number| {
                number
                    .digits()
                    .map(|(digits, scale)| Number::scaled(digits.saturating_mul(10), scale))
            };
            Tolerance {
                absolute: tolerance.absolute.as_ref().and_then(ten),
                ratio: tolerance.ratio.as_ref().and_then(ten),
            }
        };
        let mut changed = terms.clone();
        changed.compare[at].1 = wider;
        all.push((changed, format!("{column}: tolerance → wider")));
        if terms.compare.len() > 1 {
            let mut fewer = terms.clone();
            fewer.compare.remove(at);
            all.push((fewer, format!("{column} → not compared")));
        }
    }
    all
}

/// Rules for a table of which one is wider, or gone.
pub(super) fn wider_rules(rules: &Rules, engine: Engine, binding: Binding) -> Vec<(Rules, String)> {
    let mut all: Vec<(Rules, String)> = Vec::new();
    for (at, column) in rules.columns.iter().enumerate() {
        for (wider, change) in wider_column(column) {
            let mut rules = rules.clone();
            rules.columns[at] = wider;
            all.push((rules, format!("{}: {change}", column.column)));
        }
    }
    for (at, columns) in rules.unique.iter().enumerate() {
        let mut fewer = rules.clone();
        fewer.unique.remove(at);
        let names: Vec<&str> = columns.iter().map(|column| column.as_str()).collect();
        all.push((fewer, format!("unique {} → gone", names.join(", "))));
    }
    for (at, condition) in rules.never.iter().enumerate() {
        let mut fewer = rules.clone();
        fewer.never.remove(at);
        all.push((fewer, format!("never `{condition}` → gone")));
        for (condition, change) in wrong_conditions(condition, engine, binding) {
            let mut rules = rules.clone();
            rules.never[at] = condition;
            all.push((rules, format!("never: {change}")));
        }
    }
    if let Some(condition) = &rules.condition {
        all.push((Rules { condition: None, ..rules.clone() }, "where → gone".to_owned()));
        for (condition, change) in wrong_conditions(condition, engine, binding) {
            all.push((
                Rules { condition: Some(condition), ..rules.clone() },
                format!("where: {change}"),
            ));
        }
    }
    for (wider, change) in rules.rows.iter().flat_map(|limit| limit.wider()) {
        all.push((Rules { rows: Some(wider), ..rules.clone() }, format!("rows: {change}")));
    }
    if rules.volume.is_some() {
        all.push((
            Rules { volume: None, ..rules.clone() },
            "rows beside the past → gone".to_owned(),
        ));
    }
    if rules.newest.is_some() {
        all.push((Rules { newest: None, ..rules.clone() }, "newest → gone".to_owned()));
    }
    if rules.zone_column.is_some() {
        all.push((Rules { zone_column: None, ..rules.clone() }, "zone_column → gone".to_owned()));
    }
    all
}

fn wider_column(column: &ColumnRules) -> Vec<(ColumnRules, String)> {
    let mut all = Vec::new();
    if column.nulls == Nulls::Allowed {
        let narrower = ColumnRules { nulls: Nulls::Never, ..column.clone() };
        all.push((narrower, "→ `nulls: never`".to_owned()));
    } else {
        let wider = ColumnRules { nulls: Nulls::Allowed, ..column.clone() };
        let change = match column.nulls {
            Nulls::Always => "`nulls: only` → any",
            Nulls::Never | Nulls::AsLimits | Nulls::AtMost(_) | Nulls::Allowed => {
                "→ `nulls: allowed`"
            }
        };
        all.push((wider, change.to_owned()));
    }
    if let Some(range) = &column.range {
        all.push((ColumnRules { range: None, ..column.clone() }, "range → gone".to_owned()));
        for (wider, change) in
            range.wider().into_iter().filter(|(_, change)| !change.contains("nulls"))
        {
            all.push((ColumnRules { range: Some(wider), ..column.clone() }, change));
        }
    }
    if !column.values.is_empty() {
        all.push((ColumnRules { values: Vec::new(), ..column.clone() }, "values → any".to_owned()));
    }
    if column.pattern.is_some() {
        all.push((ColumnRules { pattern: None, ..column.clone() }, "pattern → gone".to_owned()));
    }
    if column.within.is_some() {
        all.push((ColumnRules { within: None, ..column.clone() }, "in → gone".to_owned()));
    }
    if let Some(length) = &column.length {
        all.push((ColumnRules { length: None, ..column.clone() }, "length → gone".to_owned()));
        for (wider, change) in
            length.wider().into_iter().filter(|(_, change)| !change.contains("nulls"))
        {
            all.push((
                ColumnRules { length: Some(wider), ..column.clone() },
                format!("length {change}"),
            ));
        }
    }
    all
}

/// Conditions with a mistake in them.
fn wrong_conditions(condition: &str, engine: Engine, binding: Binding) -> Vec<(String, String)> {
    const BEFORE: &str = "select 1 from t where (\n";
    let text = format!("{BEFORE}{condition}\n)");
    let Ok(query) = Query::parse(&text, engine, binding) else { return Vec::new() };
    let inside = |text: &str| {
        let text = text.strip_prefix(BEFORE)?.trim_end().strip_suffix(')')?;
        Some(text.trim().to_owned())
    };
    let whole =
        format!("`{}` → nothing", condition.split_whitespace().collect::<Vec<_>>().join(" "));
    changes(&query, None)
        .into_iter()
        .filter(|change| change.change != whole && !change.change.starts_with("`( "))
        .filter_map(|change| Some((inside(&change.text)?, change.change)))
        .collect()
}
