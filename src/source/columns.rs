//! Finding judged columns in a result, for engines whose column names have no case.

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::{Cause, Reason};

/// Returns the position of the one column of this name.
///
/// Two of one name are an error and not a choice: an engine that silently takes the first would
/// prove something else than what was meant.
pub(super) fn position(names: &[&str], column: &ColumnName) -> Result<usize, Reason> {
    let same = |name: &str| name.to_lowercase() == column.as_str().to_lowercase();
    let mut found = names.iter().enumerate().filter(|(_, name)| same(name));
    match (found.next(), found.next()) {
        (Some((i, _)), None) => Ok(i),
        (Some(_), Some(_)) => Err(Reason::new(
            Cause::QueryError,
            format!("the query brings two columns called `{column}`: give one another name"),
        )),
        (None, _) => Err(Reason::new(
            Cause::QueryError,
            format!("the query brings no column `{column}`, it brings {}", names.join(", ")),
        )),
    }
}
