//! Why two sides cannot be compared, with what to write instead.

use crate::domain::name::ColumnName;
use crate::domain::reconcile::Terms;
use crate::domain::reconcile::merge::Which;
use crate::domain::verdict::{Cause, Doubt};

pub(super) fn floats(column: &ColumnName) -> Doubt {
    let note = format!(
        "column `{column}` is a float, and a float's digits are not exact: cast it to a decimal, or to whole \
         cents, or write how far apart it may be, like `{column}: {{tolerance: 0.001}}` (0 tolerates nothing)"
    );
    Doubt::new(Cause::UnsupportedType, note)
}

pub(super) fn unordered(terms: &Terms, side: Which) -> Doubt {
    let key = terms.key.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
    Doubt::new(
        Cause::Unordered,
        format!(
            "the rows of the {} side do not come in the order of {key}, numbers by value and texts by \
             their bytes: are they of one type on both sides? cast the key there, as in \
             `cast(id as integer)`",
            side.word()
        ),
    )
}
