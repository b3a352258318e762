//! The statements that ask a table what its rules need.

use std::fmt::Write as _;

use crate::domain::check::limit::Limit;
use crate::domain::check::name::ColumnName;
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::{Binding, Engine, Query, SqlFault};
use crate::domain::table::{Asks, ColumnRules, CutBy, Rules, Statement, TableName};

/// How many items one scan brings: PostgreSQL takes 1,664.
const ITEMS_MAX: usize = 1_600;

/// The name of the number of rows in a scan.
pub(super) const ROWS: &str = "n";
/// The name by which a table is called in which values have to be.
const KNOWN: &str = "known";
/// The name of the length of the longest value by which windows of days are cut.
pub(super) const DAY: &str = "day_length";
/// The names of the first and the last form in which instants are kept as texts.
pub(super) const FORMS: [&str; 2] = ["first_form", "last_form"];
/// The name of the number of values that are there more than once.
pub(super) const GROUPS: &str = "k";
/// The name of a value.
pub(super) const VALUE: &str = "v";
/// The name of the newest value.
pub(super) const NEWEST: &str = "newest";

/// The name of one item of a scan: what it is, and the place of its column or condition in the rules.
pub(super) fn item(kind: &str, at: usize) -> String {
    format!("{kind}_{at}")
}

/// All statements; the ones that bring more than a row come last, so that nothing is missing where one of them is cut.
pub(super) fn all(rules: &Rules, engine: Engine) -> Result<Vec<Statement>, SqlFault> {
    let from = From::new(rules, engine);
    let mut all = from.scans()?;
    if rules.volume.is_some() {
        let sql = from.select(&format!("count(*) AS {ROWS}"), &[], "");
        all.push(from.statement(Asks::Past, &sql, &[ROWS])?);
    }
    for columns in &rules.unique {
        let asks = Asks::Duplicates(columns.clone());
        all.push(from.statement(asks, &from.duplicates(columns), &[GROUPS, ROWS])?);
    }
    for (at, column) in rules.columns.iter().enumerate() {
        if let Some(sql) = from.orphans(column) {
            all.push(from.statement(Asks::Orphans(at), &sql, &[ROWS])?);
        }
    }
    for (at, column) in rules.columns.iter().enumerate() {
        if !column.values.is_empty() {
            let sql = from.values(&column.column);
            all.push(from.statement(Asks::Values(at), &sql, &[VALUE, ROWS])?);
        }
    }
    Ok(all)
}

/// Holds a condition against the rules for SQL.
pub(super) fn condition(text: &str, engine: Engine) -> Result<(), SqlFault> {
    const HEAD: &str = "select ";
    let plain = |fault: SqlFault| {
        if !fault.message.starts_with("a second statement") {
            return fault;
        }
        let message = "a condition is no statement: it has no `;`".to_owned();
        SqlFault { message, hint: Some("write the condition alone".to_owned()), ..fault }
    };
    let shifted = |fault: SqlFault| {
        let column =
            if fault.line == 1 { fault.column.saturating_sub(7).max(1) } else { fault.column };
        plain(SqlFault { column, ..fault })
    };
    let query = Query::parse(&format!("{HEAD}{text}"), engine, Binding::Window).map_err(shifted)?;
    let fault = |message: &str, hint: &str| SqlFault {
        line: 1,
        column: 1,
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    };
    if query.parameters().next().is_some() {
        let hint =
            "name the column that windows cut under `at`, and that of zones under `zone_column`";
        return Err(fault("a condition has no parameters: windows are cut for you", hint));
    }
    // Within parentheses a closing semicolon is in the middle.
    let inside = format!("select (\n{text}\n)");
    Query::parse(&inside, engine, Binding::Nothing)
        .map(drop)
        .map_err(|fault| plain(SqlFault { line: fault.line.saturating_sub(1).max(1), ..fault }))
}

/// A condition in parentheses; on lines of its own where it may end with a comment.
pub(super) fn enclosed(condition: &str) -> String {
    let may_comment = condition.contains("--") || condition.contains('#');
    if may_comment { format!("(\n{condition}\n)") } else { format!("({condition})") }
}

/// The rows of a table that an attempt looks at.
pub(super) struct From<'r> {
    rules: &'r Rules,
    engine: Engine,
}

impl<'r> From<'r> {
    pub(super) fn new(rules: &'r Rules, engine: Engine) -> Self {
        Self { rules, engine }
    }

    fn quoted(&self, name: &str) -> String {
        match self.engine {
            Engine::MySql => format!("`{}`", name.replace('`', "``")),
            Engine::Postgres | Engine::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    fn table(&self, name: &TableName) -> String {
        name.parts().iter().map(|part| self.quoted(part)).collect::<Vec<_>>().join(".")
    }

    /// A column with its table: SQLite takes a quoted name alone, where there is no such column, for a text.
    pub(super) fn column(&self, column: &ColumnName) -> String {
        let table = self.rules.table.parts().last().map_or("", String::as_str);
        format!("{}.{}", self.quoted(table), self.quoted(column.as_str()))
    }

    /// A column under its own name.
    pub(super) fn named(&self, column: &ColumnName) -> String {
        format!("{} AS {}", self.column(column), self.quoted(column.as_str()))
    }

    /// What is selected of the rows that satisfy more conditions.
    pub(super) fn select(&self, what: &str, more: &[String], rest: &str) -> String {
        let Rules { table, condition, cut_by, zone_column, .. } = self.rules;
        let mut conditions = Vec::new();
        match cut_by {
            Some(CutBy::Instant(column)) => {
                let (start, end) = (Parameter::WindowStart, Parameter::WindowEnd);
                conditions.push(format!("{} >= {start}", self.column(column)));
                conditions.push(format!("{} < {end}", self.column(column)));
            }
            Some(CutBy::Date(column)) => {
                let (column, date) = (self.column(column), Parameter::WindowDate);
                match self.engine {
                    Engine::Postgres | Engine::MySql => {
                        conditions.push(format!("{column} = {date}"));
                    }
                    // A text that goes on behind its date is to be seen, and not to be passed over.
                    Engine::Sqlite => {
                        conditions.push(format!("{column} >= {date}"));
                        conditions.push(format!("{column} < date({date}, '+1 day')"));
                    }
                }
            }
            Some(CutBy::Dates(column)) => {
                let (first, next) = (Parameter::WindowDate, Parameter::WindowEndDate);
                conditions.push(format!("{} >= {first}", self.column(column)));
                conditions.push(format!("{} < {next}", self.column(column)));
            }
            None => {}
        }
        conditions.extend(
            zone_column
                .iter()
                .map(|column| format!("{} = {}", self.column(column), Parameter::Zone)),
        );
        conditions.extend(condition.iter().map(|condition| enclosed(condition)));
        conditions.extend_from_slice(more);
        let mut sql = format!("SELECT {what}\nFROM {}", self.table(table));
        if !conditions.is_empty() {
            let _ = write!(sql, "\nWHERE {}", conditions.join("\n  AND "));
        }
        if !rest.is_empty() {
            let _ = write!(sql, "\n{rest}");
        }
        sql
    }

    pub(super) fn statement(
        &self,
        asks: Asks,
        sql: &str,
        columns: &[&str],
    ) -> Result<Statement, SqlFault> {
        let binding = match (&self.rules.cut_by, &self.rules.zone_column) {
            (None, None) => Binding::Nothing,
            (Some(_), _) | (_, Some(_)) => Binding::Window,
        };
        let query = Query::parse(sql, self.engine, binding)?;
        let name =
            |name: &&str| ColumnName::parse(name).expect("the names of our own are short words");
        Ok(Statement { asks, query, columns: columns.iter().map(name).collect() })
    }

    /// The scan of all columns; several where PostgreSQL could not take all of it in one.
    fn scans(&self) -> Result<Vec<Statement>, SqlFault> {
        let mut items = vec![(ROWS.to_owned(), "count(*)".to_owned())];
        for (at, rules) in self.rules.columns.iter().enumerate() {
            self.column_items(at, rules, &mut items);
        }
        for (at, condition) in self.rules.never.iter().enumerate() {
            items.push((
                item("never", at),
                format!("count(CASE WHEN {} THEN 1 END)", enclosed(condition)),
            ));
        }
        if let Some(newest) = &self.rules.newest {
            let column = self.column(&newest.column);
            items.push((NEWEST.to_owned(), format!("max({column})")));
            if self.engine == Engine::Sqlite {
                let form = format!(
                    "CASE typeof({column}) WHEN 'text' THEN substr({column}, 11, 1) || CASE \
                     WHEN upper(substr({column}, -1)) = 'Z' THEN 'Z' \
                     WHEN length({column}) > 19 AND substr({column}, -6, 1) IN ('+', '-') THEN substr({column}, -6) ELSE '' END \
                     WHEN 'null' THEN NULL ELSE 'number' END"
                );
                let ends = FORMS.into_iter().zip(["min", "max"]);
                items.extend(ends.map(|(name, end)| (name.to_owned(), format!("{end}({form})"))));
            }
        }
        if let Some(CutBy::Date(column) | CutBy::Dates(column)) = &self.rules.cut_by {
            items.push((DAY.to_owned(), format!("max({})", self.length(column))));
        }
        for (at, columns) in self.rules.unique.iter().enumerate() {
            let filled: Vec<String> = columns.iter().map(|column| self.filled(column)).collect();
            let count = format!("count(CASE WHEN {} THEN 1 END)", filled.join(" AND "));
            items.push((item("keyed", at), count));
        }
        let scan = |items: &[(String, String)]| {
            let list: Vec<String> =
                items.iter().map(|(name, sql)| format!("{sql} AS {name}")).collect();
            let names: Vec<&str> = items.iter().map(|(name, _)| name.as_str()).collect();
            self.statement(Asks::Scan, &self.select(&list.join(",\n       "), &[], ""), &names)
        };
        items.chunks(ITEMS_MAX).map(scan).collect()
    }

    fn column_items(&self, at: usize, rules: &ColumnRules, items: &mut Vec<(String, String)>) {
        let column = self.column(&rules.column);
        items.push((item("filled", at), format!("count({column})")));
        if rules.range.is_some() {
            items.push((item("lowest", at), format!("min({column})")));
            items.push((item("highest", at), format!("max({column})")));
        }
        if rules.range.as_ref().is_some_and(Limit::is_of_time) && self.engine == Engine::MySql {
            items.push((item("no_date", at), no_date(&column)));
        }
        if let Some(limit) = &rules.length {
            let length = self.length(&rules.column);
            // A length is a number like any other: no end of it is beyond the one that a limit bounds.
            if !limit.is_upper() {
                items.push((item("shortest", at), format!("min({length})")));
            }
            if !limit.is_lower() {
                items.push((item("longest", at), format!("max({length})")));
            }
            // SQLite counts the characters of a text up to its first NUL.
            if self.engine == Engine::Sqlite {
                let has_nul = format!("instr(CAST({column} AS BLOB), x'00') > 0");
                items.push((item("nul", at), format!("count(CASE WHEN {has_nul} THEN 1 END)")));
            }
        }
        if let Some(pattern) = &rules.pattern {
            let is_like = pattern.condition(&column, self.engine);
            items.push((item("like", at), format!("count(CASE WHEN {is_like} THEN 1 END)")));
        }
    }

    /// The number of characters of a column's text.
    pub(super) fn length(&self, column: &ColumnName) -> String {
        let column = self.column(column);
        match self.engine {
            Engine::Postgres => format!("length(({column})::text)"),
            Engine::MySql => format!("char_length({column})"),
            Engine::Sqlite => format!("length(CAST({column} AS TEXT))"),
        }
    }

    /// That a column is filled.
    pub(super) fn filled(&self, column: &ColumnName) -> String {
        match self.engine {
            // A row of which one part is NULL is neither NULL nor NOT NULL there.
            Engine::Postgres => format!("{} IS DISTINCT FROM NULL", self.column(column)),
            Engine::MySql | Engine::Sqlite => format!("{} IS NOT NULL", self.column(column)),
        }
    }

    /// Each value and how often it is there. Texts that a collation takes for one stay two.
    fn values(&self, column: &ColumnName) -> String {
        let name = self.column(column);
        let apart = match self.engine {
            Engine::Postgres => format!("{name}, ({name})::text COLLATE \"C\""),
            Engine::MySql => format!("{name}, CAST({name} AS BINARY)"),
            Engine::Sqlite => format!("{name} COLLATE BINARY"),
        };
        let what = format!("{name} AS {VALUE}, count(*) AS {ROWS}");
        // One more than may be there: cut by the reader, the statements behind it would not be run.
        let rest = format!("GROUP BY {apart}\nLIMIT {}", u64::from(self.rules.values_max) + 1);
        self.select(&what, &[self.filled(column)], &rest)
    }

    /// The groups of rows with the same values in some columns, where none of them is NULL.
    pub(super) fn repeated(&self, columns: &[ColumnName], what: &str) -> String {
        let filled: Vec<String> = columns.iter().map(|column| self.filled(column)).collect();
        let keys: Vec<String> = columns.iter().map(|column| self.column(column)).collect();
        let rest = format!("GROUP BY {}\nHAVING count(*) > 1", keys.join(", "));
        self.select(what, &filled, &rest)
    }

    fn duplicates(&self, columns: &[ColumnName]) -> String {
        let inner = self.repeated(columns, &format!("count(*) AS {ROWS}"));
        format!(
            "SELECT count(*) AS {GROUPS}, coalesce(sum({ROWS}), 0) AS {ROWS}\nFROM (\n{inner}\n) AS repeated"
        )
    }

    /// That a column is filled, and its value is not where it has to be.
    pub(super) fn orphan(&self, rules: &ColumnRules) -> Option<Vec<String>> {
        let reference = rules.within.as_ref()?;
        // Another name than that of the table, which it would hide.
        let own = self.rules.table.parts().last().map_or("", String::as_str);
        let alias = if own.eq_ignore_ascii_case(KNOWN) { "known_values" } else { KNOWN };
        let missing = format!(
            "NOT EXISTS (SELECT 1 FROM {} AS {alias} WHERE {alias}.{} = {})",
            self.table(&reference.table),
            self.quoted(reference.column.as_str()),
            self.column(&rules.column),
        );
        Some(vec![self.filled(&rules.column), missing])
    }

    fn orphans(&self, rules: &ColumnRules) -> Option<String> {
        Some(self.select(&format!("count(*) AS {ROWS}"), &self.orphan(rules)?, ""))
    }
}

/// How many dates MySQL keeps that no calendar has, as `2026-02-31` or `2026-05-00`: they lie between others.
fn no_date(column: &str) -> String {
    let leap = format!(
        "(year({column}) % 4 = 0 AND (year({column}) % 100 <> 0 OR year({column}) % 400 = 0))"
    );
    let last = format!(
        "CASE WHEN month({column}) IN (4, 6, 9, 11) THEN 30 WHEN month({column}) = 2 THEN 28 + {leap} ELSE 31 END"
    );
    let day = format!("dayofmonth({column})");
    // What is no date at all is not read as one: that would be a warning of the server.
    let is_date = format!("CAST({column} AS CHAR) LIKE '____-__-__%'");
    let is_none = format!("month({column}) = 0 OR {day} = 0 OR {day} > {last}");
    format!("count(CASE WHEN {is_date} THEN CASE WHEN {is_none} THEN 1 END END)")
}
