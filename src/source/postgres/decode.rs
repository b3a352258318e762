//! PostgreSQL's binary values, read exactly.
//!
//! The driver's own decoders panic on infinite dates and lose digits (docs/internals/databases.md, "Values that drivers misread"), so
//! the bytes are read here. The formats are those of the server's `*send` functions.

use chrono::{DateTime, Days, NaiveDate};
use sqlx::postgres::{PgRow, PgTypeKind, PgValueRef};
use sqlx::{Column, Row, TypeInfo, ValueRef};

use crate::domain::check::number::Number;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::{NonFinite, Value};
use crate::domain::reconcile::cell::{Cell, Decimal};

/// How the bytes of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    /// `char(n)`, whose closing spaces mean nothing.
    Padded,
    Uuid,
    Date,
    Timestamp,
}

/// A column with its form.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    name: String,
    form: Form,
}

/// Finds the form of each wanted column; the row's last column is ours.
pub(super) fn readings(row: &PgRow, names: &[String]) -> Result<Vec<Reading>, Reason> {
    let columns = row.columns().iter().take(names.len());
    columns.zip(names).map(|(column, name)| reading(column.type_info(), name)).collect()
}

fn reading(info: &sqlx::postgres::PgTypeInfo, name: &str) -> Result<Reading, Reason> {
    let form = match info.name() {
        "BOOL" => Form::Bool,
        "INT2" => Form::Int2,
        "INT4" => Form::Int4,
        "INT8" => Form::Int8,
        "OID" => Form::Oid,
        "FLOAT4" => Form::Float4,
        "FLOAT8" => Form::Float8,
        "NUMERIC" => Form::Numeric,
        "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" | "citext" => Form::Text,
        "CHAR" => Form::Padded,
        "UUID" => Form::Uuid,
        "DATE" => Form::Date,
        "TIMESTAMP" | "TIMESTAMPTZ" => Form::Timestamp,
        other => match info.kind() {
            PgTypeKind::Enum(_) => Form::Text,
            PgTypeKind::Domain(base) => return reading(base, name),
            PgTypeKind::Simple
            | PgTypeKind::Pseudo
            | PgTypeKind::Composite(_)
            | PgTypeKind::Array(_)
            | PgTypeKind::Range(_) => return Err(unsupported(name, other)),
        },
    };
    Ok(Reading { name: name.to_owned(), form })
}

pub(super) fn unsupported(name: &str, kind: &str) -> Reason {
    let kind = kind.to_lowercase();
    let cast = match kind.as_str() {
        "bytea" => format!("encode({name}, 'hex')"),
        "money" => format!("{name}::numeric"),
        "interval" => format!("extract(epoch from {name})"),
        "json" | "jsonb" => format!("{name} ->> 'key'"),
        _ if kind.ends_with("[]") => format!("cardinality({name})"),
        _ if kind.ends_with("range") => format!("lower({name})"),
        _ => format!("{name}::text"),
    };
    Reason::new(
        Cause::UnsupportedType,
        format!("column `{name}` is of type {kind}, which has no exact reading: select `{cast}`"),
    )
}

/// Reads the wanted columns of a row and their size; `None` where a value is too large.
pub(super) fn row(
    row: &PgRow,
    readings: &[Reading],
) -> Result<Option<(Vec<Value>, usize)>, Reason> {
    let raw = |i: usize| {
        row.try_get_raw(i).map_err(|_| Reason::new(Cause::QueryError, "the row has a column less"))
    };
    let fits = raw(readings.len())?;
    if fits.as_bytes().ok().and_then(|b| b.first().copied()) != Some(1) {
        return Ok(None);
    }
    let mut bytes = 0;
    let mut values = Vec::with_capacity(readings.len());
    for (i, reading) in readings.iter().enumerate() {
        let value = raw(i)?;
        bytes += value.as_bytes().map_or(0, <[u8]>::len);
        values.push(read(&value, reading)?);
    }
    Ok(Some((values, bytes)))
}

/// Reads the wanted columns of a row as cells; returns their size, or nothing where a value is too large.
pub(super) fn cells(
    row: &PgRow,
    readings: &[Reading],
    cells: &mut Vec<Cell>,
) -> Result<Option<usize>, Reason> {
    let missing = || Reason::new(Cause::QueryError, "the row has a column less");
    // Where no value can be too large, the size was not asked for.
    if row.len() > readings.len() {
        let fits = row.try_get_raw(readings.len()).map_err(|_| missing())?;
        if fits.as_bytes().ok().and_then(|b| b.first().copied()) != Some(1) {
            return Ok(None);
        }
    }
    let mut size = 0;
    for (i, reading) in readings.iter().enumerate() {
        let value = row.try_get_raw(i).map_err(|_| missing())?;
        let bytes = if value.is_null() { None } else { value.as_bytes().ok() };
        size += bytes.map_or(0, <[u8]>::len);
        let cell = match bytes {
            None => Cell::Null,
            Some(bytes) => match short(bytes, reading.form) {
                Some(cell) => cell,
                None => Cell::new(read(&value, reading)?, reading.is_float()),
            },
        };
        cells.push(cell);
    }
    Ok(Some(size))
}

/// How the bytes of columns of these types are read, where they are types of the server's own.
pub(super) fn forms(columns: &[(String, &str)]) -> Option<Vec<Reading>> {
    let form = |kind: &str| match kind {
        "bool" => Some(Form::Bool),
        "int2" => Some(Form::Int2),
        "int4" => Some(Form::Int4),
        "int8" => Some(Form::Int8),
        "float4" => Some(Form::Float4),
        "float8" => Some(Form::Float8),
        "numeric" => Some(Form::Numeric),
        "text" | "varchar" => Some(Form::Text),
        "bpchar" => Some(Form::Padded),
        "uuid" => Some(Form::Uuid),
        "date" => Some(Form::Date),
        "timestamp" | "timestamptz" => Some(Form::Timestamp),
        _ => None,
    };
    let reading =
        |(name, kind): &(String, &str)| Some(Reading { name: name.clone(), form: form(kind)? });
    columns.iter().map(reading).collect()
}

/// Reads a row of a binary copy as cells; returns its size, or nothing where a value is too large. One field
/// more is ours: whether all values fit.
pub(super) fn copied(
    mut row: &[u8],
    readings: &[Reading],
    cells: &mut Vec<Cell>,
) -> Result<Option<usize>, Reason> {
    let broken = || Reason::new(Cause::Connect, "the server sent a row that cannot be read");
    let size = row.len();
    let before = cells.len();
    let fields = row.split_off(..2).ok_or_else(broken)?;
    let fields = usize::from(u16::from_be_bytes([fields[0], fields[1]]));
    let asked = match fields.checked_sub(readings.len()) {
        Some(0) => false,
        Some(1) => true,
        Some(_) | None => return Err(broken()),
    };
    let mut field = || -> Result<Option<&[u8]>, Reason> {
        let length = row.split_off(..4).ok_or_else(broken)?;
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        match usize::try_from(length) {
            Ok(length) => row.split_off(..length).map(Some).ok_or_else(broken),
            Err(_) => Ok(None),
        }
    };
    for reading in readings {
        let cell = match field()? {
            None => Cell::Null,
            Some(bytes) => match short(bytes, reading.form) {
                Some(cell) => cell,
                None => {
                    let value = decode(bytes, reading.form).ok_or_else(|| unreadable(reading))?;
                    Cell::new(value, reading.is_float())
                }
            },
        };
        cells.push(cell);
    }
    let fits = !asked || field()?.and_then(|bytes| bytes.first().copied()) == Some(1);
    if !fits {
        cells.truncate(before);
    }
    Ok(fits.then_some(size))
}

/// Reads what needs no memory of its own.
fn short(bytes: &[u8], form: Form) -> Option<Cell> {
    const EPOCH_2000_MICROS: i64 = 946_684_800_000_000;
    match form {
        Form::Int2 => Some(Cell::integer(i16::from_be_bytes(bytes.try_into().ok()?).into())),
        Form::Int4 => Some(Cell::integer(i32::from_be_bytes(bytes.try_into().ok()?).into())),
        Form::Int8 => Some(Cell::integer(i64::from_be_bytes(bytes.try_into().ok()?))),
        Form::Numeric => short_numeric(bytes).map(Cell::Decimal),
        Form::Timestamp => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            let finite = micros != i64::MAX && micros != i64::MIN;
            finite.then(|| micros.checked_add(EPOCH_2000_MICROS)).flatten().map(Cell::Instant)
        }
        Form::Text => Some(Cell::Text(std::str::from_utf8(bytes).ok()?.into())),
        Form::Bool
        | Form::Oid
        | Form::Float4
        | Form::Float8
        | Form::Padded
        | Form::Uuid
        | Form::Date => None,
    }
}

/// A numeric of few digits: they are a whole number of base 10,000, times a power of it.
fn short_numeric(bytes: &[u8]) -> Option<Decimal> {
    const GROUPS_MAX: usize = 9;
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let groups = usize::from(word(0)?);
    let weight = i32::from(word(2)?.cast_signed());
    let negative = match word(4)? {
        0 => false,
        0x4000 => true,
        _ => return None,
    };
    if groups > GROUPS_MAX || bytes.len() != 8 + 2 * groups {
        return None;
    }
    // Most numbers are short: their digits are put together in a word of the machine's.
    let mut digits = 0_i64;
    for group in 0..groups.min(4) {
        digits = digits * 10_000 + i64::from(word(8 + 2 * group)?);
    }
    let mut digits = i128::from(digits);
    for group in 4..groups {
        digits = digits * 10_000 + i128::from(word(8 + 2 * group)?);
    }
    let exponent = 4 * (weight + 1 - i32::try_from(groups).ok()?);
    let digits = if negative { -digits } else { digits };
    if groups == 0 || exponent == 0 {
        return Some(Decimal::new(digits, 0));
    }
    if exponent < 0 {
        return Some(Decimal::new(digits, u8::try_from(-exponent).ok()?));
    }
    let power = 10_i128.checked_pow(u32::try_from(exponent).ok()?)?;
    Some(Decimal::new(digits.checked_mul(power)?, 0))
}

impl Reading {
    fn is_float(&self) -> bool {
        matches!(self.form, Form::Float4 | Form::Float8)
    }
}

fn read(value: &PgValueRef<'_>, reading: &Reading) -> Result<Value, Reason> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let bytes = value.as_bytes().unwrap_or_default();
    decode(bytes, reading.form).ok_or_else(|| unreadable(reading))
}

fn unreadable(reading: &Reading) -> Reason {
    let name = &reading.name;
    Reason::new(
        Cause::UnsupportedType,
        format!("column `{name}` has a value that cannot be read exactly: select `{name}::text`"),
    )
}

fn decode(bytes: &[u8], form: Form) -> Option<Value> {
    let number = |n: Option<Number>| n.map(Value::Number);
    match form {
        Form::Bool => Some(Value::Bool(*bytes.first()? != 0)),
        Form::Int2 => number(Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?)).into())),
        Form::Int4 => number(Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?)).into())),
        Form::Int8 => number(Some(i64::from_be_bytes(bytes.try_into().ok()?).into())),
        Form::Oid => number(Some(u64::from(u32::from_be_bytes(bytes.try_into().ok()?)).into())),
        Form::Float4 => {
            let float = f32::from_be_bytes(bytes.try_into().ok()?);
            Some(
                Number::from_f32(float).map_or_else(|| non_finite(f64::from(float)), Value::Number),
            )
        }
        Form::Float8 => {
            let float = f64::from_be_bytes(bytes.try_into().ok()?);
            Some(Number::from_f64(float).map_or_else(|| non_finite(float), Value::Number))
        }
        Form::Numeric => numeric(bytes),
        Form::Text => Some(Value::Text(std::str::from_utf8(bytes).ok()?.to_owned())),
        Form::Padded => {
            Some(Value::Text(std::str::from_utf8(bytes).ok()?.trim_end_matches(' ').to_owned()))
        }
        Form::Uuid => uuid(bytes),
        Form::Date => date(i32::from_be_bytes(bytes.try_into().ok()?)),
        Form::Timestamp => timestamp(i64::from_be_bytes(bytes.try_into().ok()?)),
    }
}

fn non_finite(float: f64) -> Value {
    Value::NonFinite(if float.is_nan() {
        NonFinite::NaN
    } else if float > 0.0 {
        NonFinite::Infinity
    } else {
        NonFinite::NegativeInfinity
    })
}

/// `numeric_send`: digits of base 10,000 after their number, the weight of the first, sign, scale.
fn numeric(bytes: &[u8]) -> Option<Value> {
    const NEGATIVE: u16 = 0x4000;
    let mut words = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let count = usize::from(words.next()?);
    let weight = i64::from(words.next()?.cast_signed());
    let sign = words.next()?;
    let scale = usize::from(words.next()?);
    match sign {
        0 | NEGATIVE => {}
        0xC000 => return Some(Value::NonFinite(NonFinite::NaN)),
        0xD000 => return Some(Value::NonFinite(NonFinite::Infinity)),
        0xF000 => return Some(Value::NonFinite(NonFinite::NegativeInfinity)),
        _ => return None,
    }
    let digits: Vec<u16> = words.take(count).collect();
    if digits.len() != count {
        return None;
    }
    let digit = |position: i64| {
        usize::try_from(weight - position).ok().and_then(|i| digits.get(i)).copied().unwrap_or(0)
    };
    let mut text = String::from(if sign == NEGATIVE { "-0" } else { "0" });
    for position in (0..=weight.max(0)).rev() {
        text.push_str(&format!("{:04}", digit(position)));
    }
    if scale > 0 {
        let mut fraction = String::new();
        for group in 1..=scale.div_ceil(4) {
            fraction.push_str(&format!("{:04}", digit(-i64::try_from(group).ok()?)));
        }
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Number::from_digits(&text).map(Value::Number)
}

fn uuid(bytes: &[u8]) -> Option<Value> {
    if bytes.len() != 16 {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(Value::Text(text))
}

/// Days since 2000-01-01; the ends of the range are the infinities.
fn date(days: i32) -> Option<Value> {
    match days {
        i32::MAX => return Some(Value::NonFinite(NonFinite::Infinity)),
        i32::MIN => return Some(Value::NonFinite(NonFinite::NegativeInfinity)),
        _ => {}
    }
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1)?;
    let distance = Days::new(u64::from(days.unsigned_abs()));
    let date =
        if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) };
    date.map(Value::Date)
}

/// Microseconds since 2000-01-01; the ends of the range are the infinities.
fn timestamp(micros: i64) -> Option<Value> {
    const EPOCH_2000_MICROS: i64 = 946_684_800_000_000;
    match micros {
        i64::MAX => return Some(Value::NonFinite(NonFinite::Infinity)),
        i64::MIN => return Some(Value::NonFinite(NonFinite::NegativeInfinity)),
        _ => {}
    }
    DateTime::from_timestamp_micros(micros.checked_add(EPOCH_2000_MICROS)?).map(Value::Instant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_the_calendar_are_infinite_and_not_a_panic() {
        assert_eq!(date(i32::MAX), Some(Value::NonFinite(NonFinite::Infinity)));
        assert_eq!(timestamp(i64::MIN), Some(Value::NonFinite(NonFinite::NegativeInfinity)));
        assert_eq!(date(i32::MAX - 1), None);
        assert_eq!(date(0), Some(Value::Date(NaiveDate::from_ymd_opt(2000, 1, 1).unwrap())));
    }

    proptest! {
        /// The fast way reads what the exact one reads.
        #[test]
        fn short_numbers_are_the_same_numbers(
            groups in proptest::collection::vec(0_u16..10_000, 0..12),
            weight in -6_i16..8,
            negative in any::<bool>(),
        ) {
            let mut bytes = Vec::new();
            let count = u16::try_from(groups.len()).unwrap();
            let scale = 4 * u16::try_from((i32::from(count) - i32::from(weight) - 1).max(0)).unwrap();
            let sign = if negative { 0x4000 } else { 0 };
            let head = [count, weight.cast_unsigned(), sign, scale];
            for word in head.iter().chain(&groups) {
                bytes.extend(word.to_be_bytes());
            }
            let exact = match numeric(&bytes) { Some(Value::Number(n)) => n, other => panic!("{other:?}") };
            if let Some(short) = short_numeric(&bytes) {
                prop_assert_eq!(short.number(), exact);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for form in [Form::Bool, Form::Int2, Form::Int4, Form::Int8, Form::Oid, Form::Float4,
                Form::Float8, Form::Numeric, Form::Text, Form::Uuid, Form::Date, Form::Timestamp] {
                drop(decode(&bytes, form));
                drop(short(&bytes, form));
            }
        }
    }
}
