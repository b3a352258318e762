//! The user's query inside ours.

use std::fmt::Write as _;

use crate::domain::check::name::ColumnName;
use crate::source::ask::ResultShape;
use crate::source::collect::VALUE_BYTES_MAX;

/// The user's query inside ours, which limits rows, columns and the size of values.
#[derive(Debug)]
pub(super) struct Wrapped {
    pub(super) sql: String,
    /// Where the user's query stands in ours, in characters.
    pub(super) inner: std::ops::Range<usize>,
    pub(super) inner_text: String,
    /// What the user calls the columns, in our order.
    pub(super) columns: Vec<String>,
}

impl Wrapped {
    /// OFFSET 0 keeps the inner query as it is; the sizes are looked at before values are sent.
    pub(super) fn new(inner: &str, wanted: &ResultShape, rows_asked: usize) -> Self {
        let (names, before, after) = match wanted {
            ResultShape::Rows { columns, .. } => (
                columns.iter().map(ColumnName::to_string).collect::<Vec<_>>(),
                "SELECT * FROM (\n".to_owned(),
                "\n) AS r".to_owned(),
            ),
            ResultShape::FirstColumn { name, .. } => (
                vec![name.to_string()],
                "SELECT * FROM (\n".to_owned(),
                format!("\n) AS r ({})", quote(name.as_str())),
            ),
            // What flows is wrapped elsewhere.
            ResultShape::Flow(_) | ResultShape::Plan(_) => {
                (Vec::new(), String::new(), String::new())
            }
            // A scalar subquery: the server refuses a second column or row.
            ResultShape::OneValue => {
                (vec!["v".to_owned()], "SELECT (\n".to_owned(), "\n) AS v".to_owned())
            }
        };
        let quoted: Vec<String> = names.iter().map(|n| format!("q.{}", quote(n))).collect();
        let size = |c: &String| format!("coalesce(pg_catalog.pg_column_size({c}), 0)");
        let mut list = String::new();
        for column in &quoted {
            let size = size(column);
            let _ = write!(list, "CASE WHEN {size} <= {VALUE_BYTES_MAX} THEN {column} END, ");
        }
        let fits: Vec<String> =
            quoted.iter().map(|c| format!("{} <= {VALUE_BYTES_MAX}", size(c))).collect();
        let fits = if fits.is_empty() { "true".to_owned() } else { fits.join(" AND ") };
        let head = format!("SELECT {list}{fits} FROM ({before}");
        let start = head.chars().count();
        let sql = format!("{head}{inner}{after} OFFSET 0) AS q LIMIT {rows_asked}");
        Self {
            sql,
            inner: start..start + inner.chars().count(),
            inner_text: inner.to_owned(),
            columns: names,
        }
    }

    /// The same, where the server is to plan it and not to run it.
    pub(super) fn explained(self) -> Self {
        const EXPLAIN: &str = "EXPLAIN ";
        let inner = self.inner.start + EXPLAIN.len()..self.inner.end + EXPLAIN.len();
        Self { sql: format!("{EXPLAIN}{}", self.sql), inner, ..self }
    }
}

pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
