//! What a query reads: tables, or what a function may look up.

use crate::domain::sql::Query;
use crate::domain::sql::words::{Tok, Words};

/// Functions that read nothing by themselves.
const PURE: [&str; 49] = [
    "count",
    "sum",
    "total",
    "min",
    "max",
    "avg",
    "coalesce",
    "ifnull",
    "nvl",
    "nullif",
    "abs",
    "greatest",
    "least",
    "round",
    "cast",
    "convert",
    "length",
    "char_length",
    "octet_length",
    "now",
    "mod",
    "power",
    "pow",
    "sqrt",
    "sign",
    "floor",
    "ceil",
    "ceiling",
    "if",
    "iif",
    "exists",
    "version",
    "sqlite_version",
    "ascii",
    "upper",
    "lower",
    "md5",
    "random",
    "rand",
    "pi",
    "array",
    "cardinality",
    "array_length",
    "pg_backend_pid",
    "connection_id",
    "extract",
    "date_part",
    "year",
    "unnest",
];

/// Says whether a query asks nothing that could be behind: no table, and no function but clocks.
pub fn asks_nothing_but_clocks(query: &Query) -> bool {
    const CLOCKS: [&str; 17] = [
        "now",
        "clock_timestamp",
        "statement_timestamp",
        "transaction_timestamp",
        "timeofday",
        "current_timestamp",
        "localtimestamp",
        "sysdate",
        "utc_timestamp",
        "curdate",
        "from_unixtime",
        "unix_timestamp",
        "to_timestamp",
        "datetime",
        "strftime",
        "julianday",
        "unixepoch",
    ];
    let words = Words::of(query);
    words.tables().is_empty() && !calls_beside(&words, &CLOCKS)
}

/// Says whether a function is called that may read something: none that computes, and none of some others.
pub(crate) fn calls_beside(words: &Words, others: &[&str]) -> bool {
    let is_other = |name: &str| others.iter().any(|other| other.eq_ignore_ascii_case(name));
    first_call_beside(words, is_other).is_some()
}

/// Where the first function is called that may read something: none that computes, and none of some others.
pub(super) fn first_call_beside(words: &Words, is_other: impl Fn(&str) -> bool) -> Option<usize> {
    let called = |i: &usize| {
        words.tok(i + 1) == Some(&Tok::Open)
            && matches!(words.tok(*i), Some(Tok::Word(name) | Tok::Name(name)) if !is_other(name))
            && !words.is_word(*i, &PURE)
            && !words.is_word(
                *i,
                &[
                    "in", "as", "from", "and", "or", "not", "where", "values", "over", "filter",
                    "any", "all", "union", "select", "on", "using", "by",
                ],
            )
    };
    (0..words.0.len()).find(called)
}
