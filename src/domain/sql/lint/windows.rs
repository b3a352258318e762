//! How a query treats the edges of its window, the days of its zone, and the present.

use crate::domain::check::code::Code;
use crate::domain::sql::Query;
use crate::domain::sql::lint::{Remark, Role};
use crate::domain::sql::parameter::Parameter::{
    self, PastEnd, PastStart, WindowDate, WindowEnd, WindowEndDate, WindowStart,
};
use crate::domain::sql::words::{Tok, Words};

/// Behind `- interval '1 hour'`, or `- 3600`.
fn end_of_interval(words: &Words, minus: usize) -> usize {
    let word = usize::from(words.is_word(minus + 1, &["interval"]));
    let unit =
        usize::from(words.is_word(
            minus + 2 + word,
            &["second", "minute", "hour", "day", "week", "month", "year"],
        ));
    minus + 2 + word + unit
}

/// Everything that is odd about that.
pub(super) fn remarks(words: &Words, role: Role, all: &mut Vec<Remark>) {
    present(words, role, all);
    if role.in_window {
        edges(words, (WindowStart, WindowEnd), all);
        edges(words, (PastStart, PastEnd), all);
        if words.0.iter().any(|token| token.tok == Tok::Param(WindowEndDate)) {
            edges(words, (WindowDate, WindowEndDate), all);
        }
        midnights(words, role, all);
        dates_of_bounds(words, role, all);
        session_dates(words, role, all);
    }
}

const NOW: [&str; 15] = [
    "now",
    "curdate",
    "current_date",
    "current_timestamp",
    "localtimestamp",
    "sysdate",
    "getdate",
    "statement_timestamp",
    "clock_timestamp",
    "utc_timestamp",
    "utc_date",
    "unix_timestamp",
    "curtime",
    "transaction_timestamp",
    "localtime",
];
const TODAY: [&str; 2] = ["current_date", "curdate"];

fn is_now(words: &Words, at: usize) -> bool {
    let bare = words.is_word(at, &["current_date", "current_timestamp", "localtimestamp"]);
    let named = at > 0 && words.tok(at - 1) == Some(&Tok::Dot);
    let of_sqlite = matches!(words.tok(at), Some(Tok::Text(text)) if text.eq_ignore_ascii_case("now") || text.eq_ignore_ascii_case("today"));
    !named
        && (bare
            || words.calls(at, &NOW)
            || of_sqlite && at > 1 && words.tok(at - 1) == Some(&Tok::Open))
}

/// What moves with the present.
fn present(words: &Words, role: Role, all: &mut Vec<Remark>) {
    for (at, token) in words.0.iter().enumerate().filter(|(at, _)| is_now(words, *at)) {
        if role.in_window {
            let message = "the present stands in a query of a window: asked again later, it looks at something else";
            let hint = "write `:window_start` and `:window_end`";
            all.push(Remark::new(Code::NowInWindow, token.place, message, hint));
            return;
        }
        // As `x >= now() - …`, or `x = current_date`; not as `now() - max(x)`.
        // SQLite's present is an argument: `datetime('now', '-1 day')`.
        let first = if matches!(token.tok, Tok::Text(_)) { at.saturating_sub(2) } else { at };
        let before = first.checked_sub(1).and_then(|before| words.tok(before));
        // A row of the future, or one that is valid now, is compared with the present itself.
        let end =
            if words.tok(at + 1) == Some(&Tok::Open) { words.closing(at + 1) + 1 } else { at + 1 };
        let back = words.tok(end) == Some(&Tok::Sign("-"))
            || matches!(words.tok(at + 2), Some(Tok::Text(by)) if by.trim_start().starts_with('-'));
        let opened = matches!(before, Some(Tok::Open)) && first > 1;
        let before = if opened { words.tok(first - 2) } else { before };
        let after = words.tok(end_of_interval(words, end) + usize::from(opened));
        let negated = (0..first).rev().take(6).any(|i| words.is_word(i, &["not"]));
        let moves = !negated
            && match before {
                Some(Tok::Compare(">" | ">=")) => back,
                Some(Tok::Compare("=")) => words.is_word(at, &TODAY),
                _ => back && matches!(after, Some(Tok::Compare("<" | "<="))),
            };
        if moves {
            let message = "the query has a window of its own, that moves with the present: a row that comes by between \
                           two looks, or comes late, is never looked at";
            let hint = "give the check a `window`: then each row is looked at once, and `settle` waits for late ones";
            all.push(Remark::new(Code::MovingWindow, token.place, message, hint));
            return;
        }
    }
}

/// A comparison with a bound: the column's name where it is a plain one, the sign as seen from the column.
struct Edge {
    at: usize,
    column: Option<String>,
    sign: &'static str,
    is_start: bool,
}

fn column_before(words: &Words, end: usize) -> Option<String> {
    let mut at = end;
    // `at::timestamptz >= …`
    while at >= 2 && matches!(words.tok(at - 2), Some(Tok::Sign("::"))) {
        at -= 2;
    }
    match words.tok(at.checked_sub(1)?)? {
        Tok::Word(name) | Tok::Name(name) => Some(name.to_lowercase()),
        _ => None,
    }
}

fn column_after(words: &Words, at: usize) -> Option<String> {
    let mut at = at;
    while words.tok(at + 1) == Some(&Tok::Dot) {
        at += 2;
    }
    match words.tok(at)? {
        Tok::Word(name) | Tok::Name(name) if words.tok(at + 1) != Some(&Tok::Open) => {
            Some(name.to_lowercase())
        }
        _ => None,
    }
}

/// Says whether a column has to equal a parameter.
pub fn equals(query: &Query, parameter: Parameter) -> bool {
    let words = Words::of(query);
    let equal = |at: usize| words.tok(at) == Some(&Tok::Compare("="));
    let is_it = |at: &usize| words.tok(*at) == Some(&Tok::Param(parameter));
    (1..words.0.len()).filter(is_it).any(|at| equal(at - 1) || equal(at + 1))
}

/// The plain columns that a query compares with times, and the tables that they may be of.
#[derive(Debug, Default)]
pub struct Timed {
    /// The names of all tables that the query reads, without those of their schemas.
    pub tables: Vec<String>,
    /// What is compared with a bound, which is an instant.
    pub with_instants: Vec<String>,
    /// What is compared with a date, and with which.
    pub with_dates: Vec<(String, Parameter)>,
}

/// Reads which columns a query compares with the instants and with the dates of its window.
pub fn columns_at_bounds(query: &Query) -> Timed {
    let words = Words::of(query);
    let last = |table: String| table.rsplit('.').next().unwrap_or_default().to_owned();
    let tables = words.tables().into_iter().map(last).collect();
    let mut found = Timed { tables, ..Timed::default() };
    // What a part of the query computes under a column's name is another value: `date(at) as at`.
    let named = |at: usize| match words.tok(at) {
        Some(Tok::Word(name) | Tok::Name(name)) => Some(name.to_lowercase()),
        _ => None,
    };
    let computed: Vec<String> = (2..words.0.len())
        .filter(|at| words.is_word(at - 1, &["as"]) && named(at - 2) != named(*at))
        // `cast(x as date)` gives no name.
        .filter(|at| !words.is_word(*at, &["date", "time", "timestamp", "datetime"]))
        .filter_map(named)
        .collect();
    for (at, token) in words.0.iter().enumerate() {
        let parameter = match token.tok {
            Tok::Param(parameter) if parameter.is_of_time() => parameter,
            _ => continue,
        };
        let compared = |at: usize| {
            matches!(words.tok(at), Some(Tok::Compare(_))) || words.is_word(at, &["between"])
        };
        let before =
            at.checked_sub(1).filter(|i| compared(*i)).and_then(|i| column_before(&words, i));
        let after = compared(at + 1).then(|| column_after(&words, at + 2)).flatten();
        let column = before.or(after).filter(|column| !computed.contains(column));
        match (column, parameter.is_date()) {
            (Some(column), false) => found.with_instants.push(column),
            (Some(column), true) => found.with_dates.push((column, parameter)),
            (None, _) => {}
        }
    }
    found
}

/// A day's rows stand at its midnight: an edge that takes in too much, or too little, is in two windows or in none.
fn edges(words: &Words, (first, last): (Parameter, Parameter), all: &mut Vec<Remark>) {
    let hint = format!("write `at >= {first} and at < {last}`: each row is in one window");
    let is_param = |at: usize| matches!(words.tok(at), Some(Tok::Param(_)));
    let computed = |at: usize| matches!(words.tok(at), Some(Tok::Sign("+" | "-")));
    let mut found: Vec<Edge> = Vec::new();
    for (at, token) in words.0.iter().enumerate() {
        let Tok::Param(parameter) = token.tok else { continue };
        if parameter != first && parameter != last {
            continue;
        }
        let is_start = parameter == first;
        // `:window_start::timestamptz` is the bound itself.
        let mut next = at + 1;
        while matches!(words.tok(next), Some(Tok::Sign("::"))) {
            next += 2;
        }
        // Bounds that are compared with each other have no column.
        let compares = |at: usize| matches!(words.tok(at), Some(Tok::Compare(_)));
        let with_another =
            at > 1 && compares(at - 1) && is_param(at - 2) || compares(next) && is_param(next + 1);
        if computed(next) || with_another {
            continue;
        }
        if let Some(Tok::Compare(sign)) = at.checked_sub(1).and_then(|i| words.tok(i)) {
            found.push(Edge { at: at - 1, column: column_before(words, at - 1), sign, is_start });
        } else if let Some(Tok::Compare(sign)) = words.tok(next) {
            let sign = match *sign {
                "<" => ">",
                "<=" => ">=",
                ">" => "<",
                ">=" => "<=",
                other => other,
            };
            found.push(Edge { at: next, column: column_after(words, next + 1), sign, is_start });
        } else if is_start
            && at > 0
            && words.is_word(at - 1, &["between"])
            && words.is_word(next, &["and"])
        {
            let mut end = next + 2;
            while matches!(words.tok(end), Some(Tok::Sign("::"))) {
                end += 2;
            }
            if words.tok(next + 1) == Some(&Tok::Param(last)) && !computed(end) {
                let message = "`between` takes in both ends: a row at the end of the window is in the next one too";
                all.push(Remark::new(Code::WindowEdge, token.place, message, hint.as_str()));
            }
        }
    }
    for edge in &found {
        // Periods that overlap the window are bounded by two columns, each on its own side.
        let other = found.iter().any(|other| {
            other.is_start != edge.is_start
                && (other.column == edge.column || other.column.is_none() || edge.column.is_none())
        });
        let message = match (edge.is_start, edge.sign) {
            (true, ">") if other => "a row at the first instant of the window is in no window",
            (false, "<=") if other => "a row at the end of the window is in the next one too",
            _ => continue,
        };
        all.push(Remark::new(Code::WindowEdge, words.0[edge.at].place, message, hint.as_str()));
    }
}

/// Functions that make a date, or a part of one, of an instant.
const DATES: [&str; 14] = [
    "date",
    "date_trunc",
    "to_char",
    "to_date",
    "strftime",
    "date_format",
    "dayofmonth",
    "extract",
    "date_part",
    "year",
    "month",
    "day",
    "to_days",
    "dayofyear",
];
/// Those that dates themselves are taken apart by: on both sides of a comparison they say nothing.
const OF_DATES_TOO: [&str; 5] = ["date_trunc", "extract", "date_part", "year", "month"];

/// A date that is made an instant is its midnight in UTC.
fn midnights(words: &Words, role: Role, all: &mut Vec<Remark>) {
    const INSTANTS: [&str; 7] = [
        "timestamp",
        "datetime",
        "unixepoch",
        "unix_timestamp",
        "julianday",
        "to_timestamp",
        "to_seconds",
    ];
    const TYPES: [&str; 3] = ["timestamp", "timestamptz", "datetime"];
    if role.in_utc || converts(words) {
        return;
    }
    let compares = |at: Option<usize>| {
        matches!(at.and_then(|at| words.tok(at)), Some(Tok::Compare(_)))
            || at.is_some_and(|at| words.is_word(at, &["between", "and"]))
    };
    for (at, token) in words.0.iter().enumerate() {
        let parameter = match token.tok {
            Tok::Param(parameter) if parameter.is_date() => parameter,
            _ => continue,
        };
        let cast = words.tok(at + 1) == Some(&Tok::Sign("::")) && words.is_word(at + 2, &TYPES)
            || words.is_word(at + 1, &["as"]) && words.is_word(at + 2, &TYPES);
        // `unixepoch(:window_date, '+1 day')`
        let call = at.checked_sub(2).filter(|call| words.calls(*call, &INSTANTS));
        let made = call.is_some_and(|call| {
            compares(call.checked_sub(1)) || compares(Some(words.closing(call + 1) + 1))
        });
        if cast || made {
            let message = format!(
                "`{parameter}` becomes midnight in UTC here: days elsewhere begin at another time"
            );
            let hint = "write `at >= :window_start and at < :window_end`";
            all.push(Remark::new(Code::SessionDate, token.place, message, hint));
            return;
        }
    }
}

/// The date of a bound is that of UTC: the day of Berlin begins on the evening before.
fn dates_of_bounds(words: &Words, role: Role, all: &mut Vec<Remark>) {
    if role.in_utc || converts(words) {
        return;
    }
    for (at, token) in words.0.iter().enumerate() {
        let parameter = match token.tok {
            Tok::Param(parameter) if parameter.is_of_time() && !parameter.is_date() => parameter,
            _ => continue,
        };
        let cast = words.tok(at + 1) == Some(&Tok::Sign("::")) && words.is_word(at + 2, &["date"])
            || words.is_word(at + 1, &["as"]) && words.is_word(at + 2, &["date"]);
        let open = (0..at).rev().find(|i| words.0[*i].depth < token.depth);
        let call = open.and_then(|open| open.checked_sub(1));
        // `strftime('%s', …)` and hours are the same by all clocks.
        let is_finer = |i: usize| match words.tok(i) {
            Some(Tok::Text(text)) => matches!(text.as_str(), "%s" | "hour" | "minute" | "second"),
            Some(Tok::Word(word)) => matches!(word.as_str(), "epoch" | "minute" | "second"),
            _ => false,
        };
        let made = call.is_some_and(|call| words.calls(call, &DATES) && !is_finer(call + 2));
        if cast || made {
            let message = format!(
                "the date of `{parameter}` is one of UTC, and days elsewhere begin on the one before or end on the next"
            );
            let of = if parameter.is_past() { ":past_date" } else { ":window_date" };
            let hint = format!("write `{of}`");
            all.push(Remark::new(Code::SessionDate, token.place, message, &hint));
            return;
        }
    }
}

/// Says whether the query converts instants to other clocks by itself.
fn converts(words: &Words) -> bool {
    (0..words.0.len()).any(|i| {
        words.is_word(i, &["at"])
            && words.is_word(i + 1, &["time"])
            && words.is_word(i + 2, &["zone"])
            || words.calls(i, &["convert_tz", "timezone"])
    })
}

/// An instant that is made a date is made one of the session's zone, which is UTC here: days elsewhere begin at another time.
fn session_dates(words: &Words, role: Role, all: &mut Vec<Remark>) {
    if role.in_utc {
        return;
    }
    let all_words = 0..words.0.len();
    let by_date = all_words
        .clone()
        .any(|i| matches!(words.tok(i), Some(Tok::Param(parameter)) if parameter.is_of_time()));
    if converts(words) || !by_date {
        return;
    }
    for at in all_words {
        let cast = matches!(words.tok(at), Some(Tok::Sign("::")))
            && words.is_word(at + 1, &["date"])
            || words.is_word(at, &["as"])
                && words.is_word(at + 1, &["date"])
                && words.tok(at + 2) == Some(&Tok::Close);
        let cuts = words.calls(at, &["substr", "substring", "left", "mid"])
            && words.tok(words.closing(at + 1) - 1) == Some(&Tok::Number("10".to_owned()));
        let called = (cuts || words.calls(at, &DATES))
            && !words.is_word(at + 2, &["epoch"])
            && (at + 2..words.closing(at + 1))
                .all(|i| !matches!(words.tok(i), Some(Tok::Param(_))));
        let of_parameter = at > 0 && matches!(words.tok(at - 1), Some(Tok::Param(_)));
        // What is made of the parameter itself is a date of the calendar already.
        let param = |i: usize| matches!(words.tok(i), Some(Tok::Param(_)));
        let made_of_param = |i: usize| {
            words.tok(i + 1) == Some(&Tok::Open)
                && !words.is_word(i, &OF_DATES_TOO)
                && (i + 2..words.closing(i + 1)).any(param)
        };
        let compares = |i: usize| {
            matches!(words.tok(i), Some(Tok::Compare(_))) && (param(i + 1) || made_of_param(i + 1))
                || words.is_word(i, &["between"]) && param(i + 1)
                || words.is_word(i, &["in"]) && param(i + 2)
        };
        let before = at > 1 && matches!(words.tok(at - 1), Some(Tok::Compare(_))) && param(at - 2);
        let beside = called && (compares(words.closing(at + 1) + 1) || before);
        let end = at + 2 + usize::from(words.is_word(at, &["as"]));
        let cast = cast && !of_parameter && compares(end);
        // The beginning of a text is its date: `at like :window_date || '%'`.
        let begins = words.is_word(at, &["like", "glob"])
            && (param(at + 1) || words.calls(at + 1, &["concat"]) && param(at + 3));
        if cast || beside || begins {
            let message = "this makes a date of an instant by the session's zone, which is UTC: its days are not those of \
                           the window";
            let hint = "write `at >= :window_start and at < :window_end`, or convert: `(at at time zone :zone)::date`";
            all.push(Remark::new(Code::SessionDate, words.0[at].place, message, hint));
            return;
        }
    }
}
