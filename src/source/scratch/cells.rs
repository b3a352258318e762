//! Made-up rows as statements that put them into a table.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::domain::sql::Engine;
use crate::domain::testing::{Cell, Row};
use crate::source::SourceSettings;
use crate::source::bind::{Instants, Stored};
use crate::source::scratch::seen::{SeenColumn, SeenTable, quoted, unknown};
use crate::source::scratch::writer::ScratchError;

/// How many rows go with one statement.
const ROWS_AT_ONCE: usize = 500;

/// What rows are written with.
pub(super) struct Writing<'w> {
    pub(super) engine: Engine,
    pub(super) settings: &'w SourceSettings,
    pub(super) now: DateTime<Utc>,
}

/// A statement for several rows, and one for each of them.
pub(super) struct Insert<'r> {
    pub(super) sql: String,
    pub(super) each: Vec<(String, &'r Row)>,
}

impl Writing<'_> {
    /// Writes the statements for rows of a table.
    pub(super) fn inserts<'r>(
        &self,
        table: &SeenTable,
        rows: &'r [Row],
    ) -> Result<Vec<Insert<'r>>, ScratchError> {
        let mut groups: Vec<(String, Vec<(String, &'r Row)>)> = Vec::new();
        for row in rows {
            let (columns, values) = self
                .row(table, row)
                .map_err(|error| ScratchError { place: Some(row.place.clone()), ..error })?;
            match groups
                .last_mut()
                .filter(|(last, all)| *last == columns && all.len() < ROWS_AT_ONCE)
            {
                Some((_, all)) => all.push((values, row)),
                None => groups.push((columns, vec![(values, row)])),
            }
        }
        let name = table.quoted(self.engine);
        let insert = |(columns, all): (String, Vec<(String, &'r Row)>)| {
            let one = |values: &str| format!("INSERT INTO {name} ({columns}) VALUES {values}");
            let values: Vec<&str> = all.iter().map(|(values, _)| values.as_str()).collect();
            let sql = one(&values.join(", "));
            Insert { sql, each: all.iter().map(|(values, row)| (one(values), *row)).collect() }
        };
        Ok(groups.into_iter().map(insert).collect())
    }

    /// The columns of a row, and its values in parentheses.
    fn row(&self, table: &SeenTable, row: &Row) -> Result<(String, String), ScratchError> {
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for (name, cell) in &row.cells {
            let Some(column) = table.column(name) else {
                let known: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
                let error = unknown("column", name, &known);
                let message = error.message.replace("the schema", &format!("`{table}`"));
                return Err(ScratchError { message, ..error });
            };
            let quoted = quoted(&column.name, self.engine);
            if columns.contains(&quoted) {
                let message = format!("this row says twice what `{}` holds", column.name);
                return Err(ScratchError::new(message, "keep one of them"));
            }
            if let Some((message, hint)) = self.unlike(column, cell) {
                return Err(ScratchError::new(message, hint));
            }
            columns.push(quoted);
            values.push(self.literal(column, cell));
        }
        let is_written =
            |name: &str| row.cells.iter().any(|(written, _)| written.eq_ignore_ascii_case(name));
        let missing =
            table.columns.iter().find(|column| column.is_needed && !is_written(&column.name));
        if let Some(column) = missing {
            let message =
                format!("`{table}` needs `{}`, and this row does not say it", column.name);
            let hint = format!("write `{}:`; it may not be NULL, and has no default", column.name);
            return Err(ScratchError::new(message, hint));
        }
        Ok((columns.join(", "), format!("({})", values.join(", "))))
    }

    /// Why a value is none of its column's type, where SQLite would take it all the same.
    fn unlike(&self, column: &SeenColumn, cell: &Cell) -> Option<(String, &'static str)> {
        const UNTYPED: &str = "SQLite takes anything: where that is meant, declare the column without a type in the schema";
        const UNQUOTED: &str = "write an instant without quotes, like 2025-11-02T05:00:00Z: it is stored as the source \
                                stores instants";
        if self.engine != Engine::Sqlite {
            return None;
        }
        let declared = column.declared.as_str();
        let is_of = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        let wrong = |what: &str, value: &str| {
            format!("`{}` is `{declared}`, and `{value}` is no {what}", column.name)
        };
        let is_instant = is_of(&["timestamp", "datetime"]);
        match cell {
            Cell::Text(text) if is_instant && !self.is_instant(text) => {
                Some((wrong("instant as this source stores them", text), UNQUOTED))
            }
            Cell::Text(text) if declared == "date" && date(text).is_none() => {
                Some((wrong("date", text), "write it like 2025-11-02"))
            }
            Cell::Text(text) if is_of(&["int", "real", "floa", "doub", "dec", "num"]) => {
                let is_number = text.trim().parse::<f64>().is_ok_and(f64::is_finite);
                (!is_number).then(|| (wrong("number", text), UNTYPED))
            }
            Cell::Number(number) if declared == "date" => {
                Some((wrong("date", number), "write it like 2025-11-02"))
            }
            Cell::Number(number)
                if is_instant
                    && matches!(
                        self.settings.instants,
                        Some(Instants::Sql | Instants::Rfc3339)
                    ) =>
            {
                Some((wrong("instant as this source stores them", number), UNQUOTED))
            }
            Cell::Null
            | Cell::Number(_)
            | Cell::Truth(_)
            | Cell::Text(_)
            | Cell::Instant(_)
            | Cell::JustBefore(_)
            | Cell::FromNow(_) => None,
        }
    }

    /// Says whether a text is an instant as the source stores them, or the date of one.
    fn is_instant(&self, text: &str) -> bool {
        let is_civil = |form: &str| NaiveDateTime::parse_from_str(text, form).is_ok();
        let is_form = match self.settings.instants {
            Some(Instants::Sql) => is_civil("%Y-%m-%d %H:%M:%S%.f") || is_civil("%Y-%m-%d %H:%M"),
            Some(Instants::Rfc3339) => text.ends_with('Z') && text.parse::<DateTime<Utc>>().is_ok(),
            Some(Instants::EpochSecs | Instants::EpochMillis) => text.parse::<i64>().is_ok(),
            None => true,
        };
        is_form || date(text).is_some()
    }

    fn literal(&self, column: &SeenColumn, cell: &Cell) -> String {
        match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Number(number) => number.clone(),
            Cell::Truth(truth) => match (self.engine, truth) {
                (Engine::Postgres, true) => "true".to_owned(),
                (Engine::Postgres, false) => "false".to_owned(),
                (Engine::MySql | Engine::Sqlite, true) => "1".to_owned(),
                (Engine::MySql | Engine::Sqlite, false) => "0".to_owned(),
            },
            Cell::Text(text) => literal(text),
            Cell::Instant(at) => self.instant(*at),
            Cell::JustBefore(at) => self.instant(*at - self.step(column)),
            Cell::FromNow(away) => self.instant(self.now + *away),
        }
    }

    /// The least by which two instants in a column differ.
    fn step(&self, column: &SeenColumn) -> TimeDelta {
        match (self.engine, self.settings.instants) {
            (Engine::Sqlite, Some(Instants::EpochSecs)) => TimeDelta::seconds(1),
            (Engine::Sqlite, Some(Instants::EpochMillis)) => TimeDelta::milliseconds(1),
            (Engine::Sqlite, Some(Instants::Sql | Instants::Rfc3339) | None) => {
                TimeDelta::microseconds(1)
            }
            (Engine::Postgres, _) => fraction(&column.declared, 6),
            (Engine::MySql, _) => fraction(&column.declared, 0),
        }
    }

    /// An instant as the source stores it.
    fn instant(&self, at: DateTime<Utc>) -> String {
        let micros = at.timestamp_subsec_micros();
        let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
        let text = |pattern: &str, end: &str| format!("'{}{fraction}{end}'", at.format(pattern));
        match (self.engine, self.settings.instants) {
            (Engine::Postgres, _) => text("%Y-%m-%d %H:%M:%S", "+00"),
            (Engine::MySql, _) | (Engine::Sqlite, Some(Instants::Sql) | None) => {
                text("%Y-%m-%d %H:%M:%S", "")
            }
            (Engine::Sqlite, Some(Instants::Rfc3339)) => text("%Y-%m-%dT%H:%M:%S", "Z"),
            (Engine::Sqlite, Some(form @ (Instants::EpochSecs | Instants::EpochMillis))) => {
                match form.form(at) {
                    Stored::Number(number) => number.to_string(),
                    Stored::Text(text) => literal(&text),
                }
            }
        }
    }
}

/// The least step of a type by the digits that it keeps of a second: `datetime(3)`.
fn fraction(declared: &str, otherwise: u32) -> TimeDelta {
    let digits = declared.split('(').nth(1).and_then(|rest| rest.split(')').next()?.parse().ok());
    let digits: u32 = digits.unwrap_or(otherwise).min(6);
    TimeDelta::microseconds(10_i64.pow(6 - digits))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}
