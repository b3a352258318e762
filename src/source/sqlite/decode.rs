//! SQLite's values, read by what they are: a column has no type that would bind them.

use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row, TypeInfo, ValueRef};

use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::{NonFinite, Value};
use crate::domain::reconcile::cell::Cell;
use crate::source::collect::VALUE_BYTES_MAX;

/// Reads the wanted columns of a row, and how many bytes they took.
pub(super) fn row(row: &SqliteRow, names: &[String]) -> Result<(Vec<Value>, usize), Reason> {
    let mut values = Vec::with_capacity(names.len());
    let mut bytes = 0;
    for (i, name) in names.iter().enumerate() {
        let value = read(row, i).ok_or_else(|| unreadable(name))?;
        if let Value::Text(text) = &value {
            bytes += text.len();
        }
        values.push(value);
    }
    Ok((values, bytes))
}

/// Reads the columns of a row as cells; returns how many bytes they took, or nothing where a value is too
/// large.
pub(super) fn cells(
    row: &SqliteRow,
    names: &[ColumnName],
    cells: &mut Vec<Cell>,
) -> Result<Option<usize>, Reason> {
    let (mut bytes, before) = (0, cells.len());
    for (i, name) in names.iter().enumerate() {
        let is_float =
            row.try_get_raw(i).is_ok_and(|raw| !raw.is_null() && raw.type_info().name() == "REAL");
        let value = read(row, i).ok_or_else(|| unreadable(name.as_str()))?;
        if let Value::Text(text) = &value {
            if text.len() > VALUE_BYTES_MAX {
                cells.truncate(before);
                return Ok(None);
            }
            bytes += text.len();
        }
        cells.push(Cell::new(value, is_float));
    }
    Ok(Some(bytes))
}

fn unreadable(name: &str) -> Reason {
    Reason::new(
        Cause::UnsupportedType,
        format!(
            "column `{name}` has a blob or a text that is not UTF-8, which has no exact reading: select \
             `hex({name})`"
        ),
    )
}

fn read(row: &SqliteRow, i: usize) -> Option<Value> {
    let raw = row.try_get_raw(i).ok()?;
    if raw.is_null() {
        return Some(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    match kind.as_str() {
        "INTEGER" => {
            let integer = <i64 as Decode<'_, Sqlite>>::decode(raw).ok()?;
            Some(Value::Number(Number::from(integer)))
        }
        "REAL" => {
            let float = <f64 as Decode<'_, Sqlite>>::decode(raw).ok()?;
            Some(match Number::from_f64(float) {
                Some(number) => Value::Number(number),
                None if float.is_nan() => Value::NonFinite(NonFinite::NaN),
                None if float > 0.0 => Value::NonFinite(NonFinite::Infinity),
                None => Value::NonFinite(NonFinite::NegativeInfinity),
            })
        }
        "TEXT" => <String as Decode<'_, Sqlite>>::decode(raw).ok().map(Value::Text),
        _ => None,
    }
}
