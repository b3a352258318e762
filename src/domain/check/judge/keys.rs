//! Which of the expected keys did not appear: matched by value, whatever types bring them.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::check::judge::SHOWN;
use crate::domain::check::name::ColumnName;
use crate::domain::check::observation::{Observation, Rows};
use crate::domain::check::value::Value;
use crate::domain::check::verdict::Contradiction;
use crate::domain::check::{Check, Keys, MASKED};
use crate::domain::reconcile::cell::{Cell, Epoch, Kind};

/// Compares who was expected with who came.
///
/// In a result that was cut, a missing key may stand past the cut: that is no contradiction.
pub(super) fn missing_keys(
    check: &Check,
    keys: &Keys,
    expected: &Rows,
    seen: &Observation,
) -> Vec<Contradiction> {
    let Observation { body, moment, .. } = seen;
    let mut contradictions = Vec::new();
    let kinds: Vec<Option<Kind>> =
        keys.columns.iter().map(|c| kind_of(c, body, expected)).collect();
    let came: BTreeSet<Vec<Cell>> =
        identities(keys, body, &kinds, moment.epoch).flatten().collect();
    let mut nameless = 0_u64;
    let mut missing: BTreeMap<Vec<Cell>, String> = BTreeMap::new();
    let identities = identities(keys, expected, &kinds, moment.keys_epoch);
    for (identity, row) in identities.zip(expected.rows()) {
        match identity {
            None => nameless += 1,
            Some(identity) if !came.contains(&identity) => {
                let shown = keys.columns.iter().map(|c| match check.masks(c) {
                    true => MASKED.to_owned(),
                    false => row[expected.position(c)].to_string(),
                });
                missing.insert(identity, shown.collect::<Vec<_>>().join("/"));
            }
            Some(_) => {}
        }
    }
    if !missing.is_empty() && !body.is_cut() {
        contradictions.push(Contradiction::MissingKeys {
            missing: u64::try_from(missing.len()).unwrap_or(u64::MAX),
            of: expected.count(),
            first: missing.into_values().take(SHOWN).collect(),
        });
    }
    if nameless > 0 {
        contradictions.push(Contradiction::NamelessKeys { rows: nameless });
    }
    contradictions
}

/// What the keys of a column are compared as, by the types that bring them; nothing where no rule says it.
fn kind_of(column: &ColumnName, body: &Rows, expected: &Rows) -> Option<Kind> {
    let of = |rows: &Rows| {
        let at = rows.position(column);
        let mut kinds =
            rows.rows().iter().filter_map(|row| Cell::new(row[at].clone(), false).kind());
        let first = kinds.next()?;
        kinds.all(|kind| kind == first).then_some(first)
    };
    Kind::of_both(of(body)?, of(expected)?)
}

/// What identifies each row; nothing where a part of it is NULL, or not finite.
fn identities<'a>(
    keys: &'a Keys,
    rows: &'a Rows,
    kinds: &'a [Option<Kind>],
    epoch: Option<Epoch>,
) -> impl Iterator<Item = Option<Vec<Cell>>> + use<'a> {
    let at: Vec<usize> = keys.columns.iter().map(|c| rows.position(c)).collect();
    let part = move |value: &Value, kind: Option<Kind>| {
        if matches!(value, Value::Null | Value::NonFinite(_)) {
            return None;
        }
        let cell = Cell::new(value.clone(), false);
        Some(kind.and_then(|kind| cell.read_as(kind, epoch)).unwrap_or(cell))
    };
    rows.rows()
        .iter()
        .map(move |row| at.iter().zip(kinds).map(|(i, kind)| part(&row[*i], *kind)).collect())
}
