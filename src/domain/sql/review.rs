//! What a review of SQL refuses: what writes, what locks, what only one server obeys, and what hides.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, TokenizerError, Whitespace, Word};

use crate::domain::check::nearest::nearest;
use crate::domain::sql::effects;
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::{Binding, Engine, SqlFault, index};

/// Databases end a text there, go on behind it, or never end at all.
pub(super) fn refuse_nul(text: &str) -> Result<(), SqlFault> {
    let Some(at) = text.find('\0') else { return Ok(()) };
    let before = &text[..at];
    let line = u64::try_from(before.matches('\n').count()).unwrap_or(0) + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
    let at = Location::new(line, u64::try_from(column).unwrap_or(0) + 1);
    Err(fault(at, "the character 0 stands in the SQL, and no database reads past it", "remove it"))
}

/// Whatever is not closed ends past the text, which is no place to point at.
pub(super) fn not_sql(text: &str, engine: Engine, error: &TokenizerError) -> SqlFault {
    let past = index(error.location.line) > text.lines().count();
    fault(
        if past { Location::new(1, 1) } else { error.location },
        format!("this is not {engine} SQL: {}", error.message),
        "look for a quote, a comment or a dollar quote that is not closed",
    )
}

pub(super) fn fault(at: Location, message: impl Into<String>, hint: &str) -> SqlFault {
    SqlFault {
        line: at.line,
        column: at.column,
        message: message.into(),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// Comments that a server executes, or takes orders from, are no comments.
pub(super) fn refuse_live_comments(
    text: &str,
    tokens: &[TokenWithSpan],
    engine: Engine,
) -> Result<(), SqlFault> {
    let start = Location::new(1, 1);
    if engine == Engine::Postgres && (text.contains("U&\"") || text.contains("u&\"")) {
        return Err(fault(
            start,
            "a name in `U&\"…\"` cannot be read in a review",
            "write the name as it is",
        ));
    }
    if engine != Engine::MySql {
        return Ok(());
    }
    for opening in ["/*!", "/*M!"] {
        if text.contains(opening) {
            return Err(fault(
                start,
                format!("`{opening} … */` is executed by the server, it is not a comment"),
                "write its content as plain SQL, or remove it",
            ));
        }
    }
    let hint = tokens.iter().find(|t| match &t.token {
        Token::Whitespace(Whitespace::MultiLineComment(comment)) => comment.starts_with('+'),
        _ => false,
    });
    match hint {
        Some(t) => Err(fault(
            t.span.start,
            "an optimizer hint can switch off the limits that protect the database",
            "remove the hint",
        )),
        None => Ok(()),
    }
}

pub(super) fn one_statement<'a, 'b>(
    tokens: &'a [&'b TokenWithSpan],
) -> Result<&'a [&'b TokenWithSpan], SqlFault> {
    let Some(end) = tokens.iter().position(|t| t.token == Token::SemiColon) else {
        return Ok(tokens);
    };
    match tokens[end..].iter().find(|t| t.token != Token::SemiColon) {
        Some(next) => Err(fault(
            next.span.start,
            "a second statement begins here, and a check is one statement",
            "join them with UNION ALL or a CTE, or write two checks",
        )),
        None => Ok(&tokens[..end]),
    }
}

pub(super) fn refuse_unless_read(tokens: &[&TokenWithSpan]) -> Result<(), SqlFault> {
    let Some(first) = tokens.iter().find(|t| t.token != Token::LParen) else {
        let at = tokens.first().map_or(Location::new(1, 1), |t| t.span.start);
        return Err(fault(at, "there is no SQL here", "write a SELECT"));
    };
    let reads = ["SELECT", "WITH", "VALUES", "TABLE"];
    match &first.token {
        Token::Word(word) if is_keyword(word, &reads) => Ok(()),
        other => {
            let word = other.to_string();
            let hint = match nearest(&word, reads) {
                Some(known) => format!("did you mean `{}`?", known.to_lowercase()),
                None => {
                    "write a SELECT (or WITH, VALUES, TABLE) that brings the rows to judge".into()
                }
            };
            Err(fault(first.span.start, format!("`{word}` does not begin a read"), &hint))
        }
    }
}

/// A parenthesis that closes what we opened around the statement would leave our guards.
pub(super) fn refuse_open_parentheses(tokens: &[&TokenWithSpan]) -> Result<(), SqlFault> {
    let mut open: Vec<Location> = Vec::new();
    for token in tokens {
        match token.token {
            Token::LParen => open.push(token.span.start),
            Token::RParen if open.pop().is_none() => {
                return Err(fault(token.span.start, "this parenthesis closes nothing", ""));
            }
            _ => {}
        }
    }
    match open.pop() {
        Some(at) => Err(fault(at, "this parenthesis is never closed", "")),
        None => Ok(()),
    }
}

/// What a colon and the word after it name.
pub(super) enum Named {
    Known(Parameter, Location),
    Unknown(SqlFault),
    Nothing,
}

pub(super) fn parameter(
    token: &TokenWithSpan,
    next: Option<&TokenWithSpan>,
    binding: Binding,
) -> Named {
    let (Token::Colon, Binding::Window, Some(next)) = (&token.token, binding, next) else {
        return Named::Nothing;
    };
    let Token::Word(word) = &next.token else { return Named::Nothing };
    if next.span.start != token.span.end || word.quote_style.is_some() {
        return Named::Nothing;
    }
    if let Some(parameter) = Parameter::of_name(&word.value) {
        return Named::Known(parameter, next.span.end);
    }
    let known = Parameter::ALL.map(Parameter::name);
    let hint = match nearest(&word.value, known) {
        Some(name) => format!("did you mean `:{name}`?"),
        None => format!("valid here: {}", Parameter::ALL.map(|p| format!("`{p}`")).join(", ")),
    };
    let message = format!("`:{}` is no parameter", word.value);
    Named::Unknown(fault(token.span.start, message, &hint))
}

pub(super) fn refuse_parameter(
    token: &TokenWithSpan,
    after: &[&Token],
    engine: Engine,
) -> Result<(), SqlFault> {
    const HINT: &str = "only a window binds parameters: write the value, or compute it in the SQL";
    let at = token.span.start;
    match &token.token {
        Token::Placeholder(name) => {
            Err(fault(at, format!("`{name}` is a parameter that nothing binds"), HINT))
        }
        Token::Colon => {
            let name = after.first().map_or_else(String::new, ToString::to_string);
            Err(fault(at, format!("`:{name}` is a parameter that nothing binds"), HINT))
        }
        // PostgreSQL names arguments with it: `make_interval(days := 1)`.
        Token::Assignment if engine != Engine::Postgres => Err(fault(
            at,
            "`:=` assigns a variable, and a check only reads",
            "use a window function or a CTE",
        )),
        Token::AtSign if engine != Engine::Postgres => {
            Err(fault(at, "`@` names a variable that nothing sets", HINT))
        }
        Token::Word(word)
            if engine != Engine::Postgres
                && word.quote_style.is_none()
                && word.value.starts_with(['@', '$'])
                && !word.value.starts_with("@@") =>
        {
            Err(fault(at, format!("`{}` is a variable that nothing sets", word.value), HINT))
        }
        _ => Ok(()),
    }
}

pub(super) fn refuse_write(
    token: &TokenWithSpan,
    before: Option<&Token>,
    after: &[&Token],
) -> Result<(), SqlFault> {
    let Token::Word(word) = &token.token else { return Ok(()) };
    if word.quote_style.is_some() || matches!(before, Some(Token::Period)) {
        return Ok(());
    }
    let next =
        |names: &[&str]| matches!(after.first(), Some(Token::Word(w)) if is_keyword(w, names));
    let opens = matches!(before, Some(Token::LParen | Token::RParen));
    let at = token.span.start;
    if is_keyword(word, &["INTO"]) {
        return Err(fault(at, "`INTO` writes, and a check only reads", "remove the INTO"));
    }
    let deletes = is_keyword(word, &["DELETE"]) && next(&["FROM"]);
    let updates = is_keyword(word, &["UPDATE"])
        && matches!(after, [Token::Word(_), Token::Word(w)] if is_keyword(w, &["SET"]));
    if opens && (deletes || updates) {
        let message = format!("`{}` writes, and a check only reads", word.value);
        return Err(fault(at, message, "select the rows instead"));
    }
    let locks = (is_keyword(word, &["FOR"]) && next(&["UPDATE", "SHARE", "NO", "KEY"]))
        || (is_keyword(word, &["LOCK"])
            && matches!(after, [Token::Word(a), Token::Word(b)]
                if is_keyword(a, &["IN"]) && is_keyword(b, &["SHARE"])));
    if locks {
        return Err(fault(
            at,
            "this locks rows that applications need",
            "remove the locking clause",
        ));
    }
    if is_keyword(word, &["ROWS"]) && next(&["EXAMINED"]) {
        return Err(fault(
            at,
            "`ROWS EXAMINED` cuts the result without a word, and what was cut proves nothing",
            "remove it: `timeout` limits the query",
        ));
    }
    if is_keyword(word, &["NEXT", "PREVIOUS"]) && next(&["VALUE"]) {
        return Err(fault(at, "a sequence moves when it is asked", "read the table instead"));
    }
    Ok(())
}

pub(super) fn refuse_function(token: &TokenWithSpan, after: &[&Token]) -> Result<(), SqlFault> {
    let (Token::Word(word), Some(Token::LParen)) = (&token.token, after.first()) else {
        return Ok(());
    };
    let name = word.value.to_ascii_lowercase();
    if effects::has_effects(&name) {
        let message = format!("`{name}` does more than read");
        return Err(fault(
            token.span.start,
            message,
            "a check may only call functions that compute",
        ));
    }
    Ok(())
}

pub(super) fn is_keyword(word: &Word, names: &[&str]) -> bool {
    word.quote_style.is_none() && names.iter().any(|n| word.value.eq_ignore_ascii_case(n))
}
