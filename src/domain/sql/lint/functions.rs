//! Rows that a function of the database brings: what it swallows is not seen from outside.

use crate::domain::check::code::Code;
use crate::domain::sql::lint::Remark;
use crate::domain::sql::reads::first_call_beside;
use crate::domain::sql::words::{Tok, Words};

/// How the names of functions begin that come with PostgreSQL, or are its well-known extensions', and bring or look up
/// something.
const BUILT_IN: [&str; 19] = [
    "pg_",
    "json",
    "regexp_",
    "string_",
    "generate_",
    "has_",
    "txid_",
    "dblink",
    "inet_",
    "to_",
    "date_",
    "make_",
    "xml",
    "col_",
    "obj_",
    "array_",
    "row_",
    "current_",
    "clock_",
];
/// Functions that come with it, and are called without a table.
const ALSO_BUILT_IN: [&str; 14] = [
    "age",
    "bool_and",
    "bool_or",
    "concat",
    "concat_ws",
    "every",
    "format",
    "left",
    "right",
    "substring",
    "timeofday",
    "transaction_timestamp",
    "statement_timestamp",
    "values",
];

/// Tells of a query without a table, whose rows a function of the database's own brings.
pub(super) fn remarks(words: &Words, all: &mut Vec<Remark>) {
    if !words.tables().is_empty() {
        return;
    }
    let is_built_in = |name: &str| {
        let name = name.to_lowercase();
        BUILT_IN.iter().any(|begin| name.starts_with(begin))
            || ALSO_BUILT_IN.contains(&name.as_str())
    };
    let Some(at) = first_call_beside(words, is_built_in) else { return };
    let Some(Tok::Word(name) | Tok::Name(name)) = words.tok(at) else { return };
    let message = format!(
        "all that it judges comes from the function `{name}`: errors that it swallows, or row security that it switches, \
         are not seen"
    );
    let hint =
        "read the tables themselves, or say why it may be trusted: `accept: {from_function: …}`";
    all.push(Remark::new(Code::FromFunction, words.0[at].place, message, hint));
}
