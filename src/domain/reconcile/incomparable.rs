//! Why two sides cannot be compared, with what to write instead.

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::Terms;
use crate::domain::reconcile::cell::Cell;
use crate::domain::reconcile::merge::Which;

pub(super) fn floats(column: &ColumnName) -> Reason {
    let note = format!(
        "column `{column}` is a float, and a float's digits are not exact: cast it to a decimal, or to whole \
         cents, or write how far apart it may be, like `{column}: {{tolerance: 0.001}}` (0 tolerates nothing)"
    );
    Reason::new(Cause::UnsupportedType, note)
}

pub(super) fn float_key(column: &str) -> Reason {
    let note = format!("key column `{column}` is a float, and no float is a key: cast it");
    Reason::new(Cause::UnsupportedType, note)
}

/// Where columns have no type, a float may stand on any row of one that is compared exactly.
pub(super) fn stray_float<'r>(
    terms: &Terms,
    rows: impl Iterator<Item = &'r [Cell]>,
) -> Result<(), Reason> {
    let key = std::iter::repeat_n(true, terms.key.len());
    let exact = key.chain(terms.compare.iter().map(|(_, tolerance)| tolerance.is_exact()));
    let exact: Vec<bool> = exact.collect();
    for row in rows {
        let is_stray = |(cell, exact): (&Cell, &bool)| *exact && matches!(cell, Cell::Float(_));
        let Some(column) = row.iter().zip(&exact).position(is_stray) else { continue };
        let compared = column.checked_sub(terms.key.len()).and_then(|at| terms.compare.get(at));
        return Err(match compared {
            Some((name, _)) => floats(name),
            None => float_key(terms.key.get(column).map_or("", ColumnName::as_str)),
        });
    }
    Ok(())
}

pub(super) fn unordered(terms: &Terms, side: Which) -> Reason {
    let key = terms.key.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
    Reason::new(
        Cause::Unordered,
        format!(
            "the rows of the {} side do not come in the order of {key}, numbers by value and texts by \
             their bytes: are they of one type on both sides? cast the key there, as in \
             `cast(id as integer)`",
            side.word()
        ),
    )
}
