//! MySQL's binary values, read exactly; zero dates stay apart from NULL.

use chrono::{NaiveDate, NaiveTime};
use sqlx::mysql::{MySql, MySqlRow, MySqlTypeInfo};
use sqlx::{Column, Decode, Row, Type, TypeInfo};

use crate::domain::check::number::Number;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::reconcile::cell::Cell;
use crate::source::collect::VALUE_BYTES_MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Signed,
    Unsigned,
    Float,
    Double,
    Decimal,
    Text,
    Date,
    DateTime,
    Null,
}

/// A column with its place and form.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    position: usize,
    name: String,
    form: Form,
}

/// Finds the form of each wanted column.
pub(super) fn readings(row: &MySqlRow, positions: &[usize]) -> Result<Vec<Reading>, Reason> {
    let columns = row.columns();
    let reading = |position: &usize| {
        let column = &columns[*position];
        let form = form(column.type_info()).ok_or_else(|| unsupported(column))?;
        Ok(Reading { position: *position, name: column.name().to_owned(), form })
    };
    positions.iter().map(reading).collect()
}

fn form(info: &MySqlTypeInfo) -> Option<Form> {
    match info.name() {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "INT" | "MEDIUMINT" | "BIGINT" => Some(Form::Signed),
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "INT UNSIGNED" | "MEDIUMINT UNSIGNED"
        | "BIGINT UNSIGNED" | "YEAR" => Some(Form::Unsigned),
        "FLOAT" => Some(Form::Float),
        "DOUBLE" => Some(Form::Double),
        "DECIMAL" => Some(Form::Decimal),
        "DATE" => Some(Form::Date),
        "DATETIME" | "TIMESTAMP" => Some(Form::DateTime),
        "NULL" => Some(Form::Null),
        "SET" | "ENUM" => Some(Form::Text),
        // Tells text from bytes by the collation, which the type's name does not.
        _ => <str as Type<MySql>>::compatible(info).then_some(Form::Text),
    }
}

fn unsupported(column: &sqlx::mysql::MySqlColumn) -> Reason {
    let (name, kind) = (column.name(), column.type_info().name().to_lowercase());
    let cast = match kind.as_str() {
        "bit" => format!("{name} + 0"),
        "time" => format!("time_to_sec({name})"),
        "json" => format!("json_value({name}, '$.key')"),
        "geometry" => format!("st_astext({name})"),
        _ => format!("hex({name})"),
    };
    Reason::new(
        Cause::UnsupportedType,
        format!("column `{name}` is of type {kind}, which has no exact reading: select `{cast}`"),
    )
}

/// Reads the wanted columns of a row, and how many bytes they took.
pub(super) fn row(row: &MySqlRow, readings: &[Reading]) -> Result<(Vec<Value>, usize), Reason> {
    let mut values = Vec::with_capacity(readings.len());
    let mut size = 0;
    for reading in readings {
        let unreadable = || {
            let name = &reading.name;
            Reason::new(
                Cause::UnsupportedType,
                format!(
                    "column `{name}` has a value that cannot be read exactly: select \
                         `cast({name} as char)`"
                ),
            )
        };
        let raw = row.try_get_raw(reading.position).map_err(|_| unreadable())?;
        // The driver takes zero dates for NULL; only the absence of bytes is.
        let value = match <&[u8] as Decode<'_, MySql>>::decode(raw) {
            Err(_) => Value::Null,
            Ok(bytes) => {
                size += bytes.len();
                decode(bytes, reading.form).ok_or_else(unreadable)?
            }
        };
        values.push(value);
    }
    Ok((values, size))
}

/// Reads the wanted columns of a row as cells; returns how many bytes they took, or nothing where a value is
/// too large.
pub(super) fn cells(
    row: &MySqlRow,
    readings: &[Reading],
    cells: &mut Vec<Cell>,
) -> Result<Option<usize>, Reason> {
    let (values, size) = self::row(row, readings)?;
    let too_large =
        |value: &Value| matches!(value, Value::Text(text) if text.len() > VALUE_BYTES_MAX);
    if values.iter().any(too_large) {
        return Ok(None);
    }
    for (value, reading) in values.into_iter().zip(readings) {
        let is_float = matches!(reading.form, Form::Float | Form::Double);
        cells.push(Cell::new(value, is_float));
    }
    Ok(Some(size))
}

/// Says whether a column is sorted by a collation.
pub(super) fn is_text(info: &MySqlTypeInfo) -> bool {
    form(info) == Some(Form::Text)
}

fn decode(bytes: &[u8], form: Form) -> Option<Value> {
    match form {
        Form::Signed => Some(Value::Number(Number::from(signed(bytes)?))),
        Form::Unsigned => Some(Value::Number(Number::from(unsigned(bytes)?))),
        Form::Float => {
            Number::from_f32(f32::from_le_bytes(bytes.try_into().ok()?)).map(Value::Number)
        }
        Form::Double => {
            Number::from_f64(f64::from_le_bytes(bytes.try_into().ok()?)).map(Value::Number)
        }
        Form::Decimal => Number::from_digits(std::str::from_utf8(bytes).ok()?).map(Value::Number),
        Form::Text => Some(Value::Text(std::str::from_utf8(bytes).ok()?.to_owned())),
        Form::Date => date_time(bytes, false),
        Form::DateTime => date_time(bytes, true),
        Form::Null => Some(Value::Null),
    }
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut wide = [0_u8; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(wide))
}

fn signed(bytes: &[u8]) -> Option<i64> {
    let fill = if bytes.last()? & 0x80 == 0 { 0x00 } else { 0xff };
    let mut wide = [fill; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

/// Length, then year, month, day, then time, then microseconds; each part only where it is not 0.
fn date_time(bytes: &[u8], with_time: bool) -> Option<Value> {
    let (length, rest) = bytes.split_first()?;
    if rest.len() != usize::from(*length) {
        return None;
    }
    let byte = |i: usize| u32::from(rest.get(i).copied().unwrap_or(0));
    let year = byte(0) | byte(1) << 8;
    let (month, day) = (byte(2), byte(3));
    let micros = byte(7) | byte(8) << 8 | byte(9) << 16 | byte(10) << 24;
    let Some(date) =
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).filter(|_| year > 0)
    else {
        let date = format!("{year:04}-{month:02}-{day:02}");
        let clock = format!(" {:02}:{:02}:{:02}.{micros:06}", byte(4), byte(5), byte(6));
        let has_time = with_time && rest.len() > 4;
        return Some(Value::NoDate(if has_time { date + &clock } else { date }));
    };
    if !with_time {
        return Some(Value::Date(date));
    }
    let time = NaiveTime::from_hms_micro_opt(byte(4), byte(5), byte(6), micros)?;
    Some(Value::Instant(date.and_time(time).and_utc()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_dates_are_neither_null_nor_a_date() {
        assert_eq!(date_time(&[0], false), Some(Value::NoDate("0000-00-00".into())));
        let no_day = [4, 0xea, 0x07, 2, 0];
        assert_eq!(date_time(&no_day, true), Some(Value::NoDate("2026-02-00".into())));
        let leap = [4, 0xe8, 0x07, 2, 29];
        assert_eq!(
            date_time(&leap, false),
            Some(Value::Date(NaiveDate::from_ymd_opt(2024, 2, 29).unwrap()))
        );
    }

    #[test]
    fn integers_keep_their_sign_at_every_width() {
        assert_eq!(signed(&[0xff]), Some(-1));
        assert_eq!(signed(&i16::MIN.to_le_bytes()), Some(-32768));
        assert_eq!(unsigned(&u64::MAX.to_le_bytes()), Some(u64::MAX));
        assert_eq!(signed(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            for form in [Form::Signed, Form::Unsigned, Form::Float, Form::Double, Form::Decimal,
                Form::Text, Form::Date, Form::DateTime, Form::Null] {
                drop(decode(&bytes, form));
            }
        }
    }
}
