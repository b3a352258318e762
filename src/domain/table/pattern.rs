//! Patterns: the part of regular expressions that means the same on each engine.
//!
//! A pattern is read into a tree and written anew in the dialect of each engine, with nothing in it that two of them read
//! differently: characters that are no letters or digits become escapes by number, and classes become ranges.

mod written;

use std::fmt::Write as _;

use crate::domain::sql::Engine;
use crate::domain::table::pattern::written::{is_in_every_text, size, write_branches};

/// The longest pattern, in characters.
const LENGTH_MAX: usize = 500;
/// The largest number in a repetition: PostgreSQL's own limit.
const TIMES_MAX: u32 = 255;
/// How many atoms a pattern may have, where its repetitions are written out.
const SIZE_MAX: u64 = 2_000;
/// How deep groups may stand in each other.
const DEPTH_MAX: usize = 20;

/// A regular expression that means the same on each engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    branches: Vec<Branch>,
}

/// What stands between two `|`.
type Branch = Vec<Piece>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    atom: Atom,
    times: Times,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Char(char),
    Any,
    Set { but: bool, ranges: Vec<(char, char)> },
    Group(Vec<Branch>),
    Start,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    Between(u32, Option<u32>),
}

impl Pattern {
    /// Reads a pattern: literal characters, `.`, `[…]`, `\d`, `\w`, `\s`, `(…)`, `|`, `^`, `$`, and `*`, `+`, `?`, `{n,m}`.
    ///
    /// # Errors
    /// What of it two engines would read differently, or none would.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern is in every text, so that it cannot fail".into());
        }
        if text.chars().count() > LENGTH_MAX {
            return Err(format!("a pattern has at most {LENGTH_MAX} characters"));
        }
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            return Err(format!(
                "a pattern has no control characters, and this one has {}",
                c.escape_debug()
            ));
        }
        let mut reader = Reader { rest: text.chars().collect(), at: 0, depth: 0 };
        let branches = reader.branches()?;
        match reader.peek() {
            None if branches.iter().any(is_in_every_text) => {
                Err("this is in every text, so that it cannot fail".into())
            }
            None if size(&branches) > SIZE_MAX => {
                Err("written out, the repetitions of this pattern are too large for some engines"
                    .into())
            }
            None => Ok(Self { text: text.to_owned(), branches }),
            Some(_) => Err("this `)` closes no group; the character itself is `\\)`".into()),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The condition that a text holds it, in the SQL of an engine: neither true nor false where the value is NULL.
    pub(super) fn condition(&self, column: &str, engine: Engine) -> String {
        let written = self.written(engine);
        match engine {
            // The collation of a column does not decide which texts are the same here.
            Engine::Postgres => {
                let literal = written.replace('\\', "\\\\").replace('\'', "''");
                format!("({column})::text COLLATE \"C\" ~ E'{literal}'")
            }
            // In hexadecimal, because the session's mode decides what a backslash in quotes is.
            Engine::MySql => {
                // In its own character set, a column could not be held against every character.
                let column = format!("CONVERT({column} USING utf8mb4)");
                let hex = written.bytes().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02X}");
                    hex
                });
                format!("{column} REGEXP _utf8mb4 X'{hex}'")
            }
            Engine::Sqlite => {
                let literal = written.replace('\'', "''");
                format!("CAST({column} AS TEXT) REGEXP '{literal}'")
            }
        }
    }

    fn written(&self, engine: Engine) -> String {
        // Points take line ends too, letters are as they are written, and `^` and `$` are the ends of the text.
        let mut sql = match engine {
            Engine::Postgres => String::new(),
            Engine::MySql | Engine::Sqlite => "(?s-imx)".to_owned(),
        };
        write_branches(&mut sql, &self.branches, engine);
        sql
    }
}

const DIGITS: &[(char, char)] = &[('0', '9')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
/// Tab, line ends, form feed, blank.
const SPACE: &[(char, char)] = &[('\t', '\r'), (' ', ' ')];

struct Reader {
    rest: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn takes(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn branches(&mut self) -> Result<Vec<Branch>, String> {
        let mut branches = Vec::new();
        loop {
            let branch = self.branch()?;
            if branch.is_empty() {
                return Err("a part of this pattern is empty, and is in every text".into());
            }
            branches.push(branch);
            if !self.takes('|') {
                return Ok(branches);
            }
        }
    }

    fn branch(&mut self) -> Result<Branch, String> {
        let mut branch = Vec::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            self.at += 1;
            let atom = self.atom(c)?;
            let times = self.times()?;
            if matches!(atom, Atom::Start | Atom::End) && times != Times::Once {
                return Err("`^` and `$` are places, and cannot be repeated".into());
            }
            branch.push(Piece { atom, times });
        }
        Ok(branch)
    }

    fn atom(&mut self, c: char) -> Result<Atom, String> {
        Ok(match c {
            '.' => Atom::Any,
            '^' => Atom::Start,
            '$' => Atom::End,
            '[' => self.set()?,
            '(' => self.group()?,
            '\\' => match self.escape()? {
                Escape::Char(c) => Atom::Char(c),
                Escape::Class(ranges) => Atom::Set { but: false, ranges: ranges.to_vec() },
            },
            '*' | '+' | '?' | '{' => {
                return Err(format!("`{c}` repeats nothing here; the character itself is `\\{c}`"));
            }
            ']' | '}' => {
                return Err(format!("`{c}` closes nothing here; the character itself is `\\{c}`"));
            }
            other => Atom::Char(other),
        })
    }

    fn group(&mut self) -> Result<Atom, String> {
        if self.takes('?') && !self.takes(':') {
            return Err(
                "of the groups that begin with `(?`, only `(?:…)` means the same on each engine"
                    .into(),
            );
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("groups stand in each other at most {DEPTH_MAX} deep"));
        }
        let branches = self.branches()?;
        self.depth -= 1;
        if self.takes(')') {
            Ok(Atom::Group(branches))
        } else {
            Err("a group is not closed: `)` is missing".into())
        }
    }

    fn escape(&mut self) -> Result<Escape, String> {
        match self.next() {
            None => Err("a pattern cannot end with `\\`".into()),
            Some('d') => Ok(Escape::Class(DIGITS)),
            Some('w') => Ok(Escape::Class(WORD)),
            Some('s') => Ok(Escape::Class(SPACE)),
            Some('n') => Ok(Escape::Char('\n')),
            Some('t') => Ok(Escape::Char('\t')),
            Some('r') => Ok(Escape::Char('\r')),
            Some(c) if c.is_ascii_punctuation() || c == ' ' => Ok(Escape::Char(c)),
            Some(c) => Err(format!(
                "`\\{c}` does not mean the same on each engine; there are `\\d`, `\\w`, `\\s`, `\\n`, `\\r`, `\\t`, and \
                 `\\` before a sign"
            )),
        }
    }

    fn set(&mut self) -> Result<Atom, String> {
        const OPEN: &str = "a set of characters is not closed: `]` is missing";
        let but = self.takes('^');
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            let from = match self.next().ok_or(OPEN)? {
                ']' if ranges.is_empty() => {
                    return Err("an empty set of characters fits nothing".into());
                }
                ']' => return Ok(Atom::Set { but, ranges }),
                '[' => {
                    return Err(
                        "within `[…]`, the character `[` is `\\[`; there are no `[:classes:]`"
                            .into(),
                    );
                }
                '\\' => match self.escape()? {
                    Escape::Char(c) => c,
                    Escape::Class(class) => {
                        ranges.extend_from_slice(class);
                        continue;
                    }
                },
                c => c,
            };
            let is_range = self.peek() == Some('-') && self.rest.get(self.at + 1) != Some(&']');
            if !is_range {
                ranges.push((from, from));
                continue;
            }
            self.at += 1;
            let to = match self.next().ok_or(OPEN)? {
                '\\' => match self.escape()? {
                    Escape::Char(c) => c,
                    Escape::Class(_) => return Err("a range ends with a character".into()),
                },
                c => c,
            };
            if from > to {
                return Err(format!("the range `{from}-{to}` goes backwards"));
            }
            ranges.push((from, to));
        }
    }

    fn times(&mut self) -> Result<Times, String> {
        let times = match self.peek() {
            Some('*') => Times::Between(0, None),
            Some('+') => Times::Between(1, None),
            Some('?') => Times::Between(0, Some(1)),
            Some('{') => {
                self.at += 1;
                return self.counted();
            }
            Some(_) | None => return Ok(Times::Once),
        };
        self.at += 1;
        self.is_single()?;
        Ok(times)
    }

    /// Reads what stands behind `{`.
    fn counted(&mut self) -> Result<Times, String> {
        const RULE: &str =
            "a repetition is `{2}`, `{2,}` or `{2,5}`; the character itself is `\\{`";
        let least = self.number().ok_or(RULE)?;
        let most = if self.takes(',') { self.number() } else { Some(least) };
        if !self.takes('}') {
            return Err(RULE.into());
        }
        if least > TIMES_MAX || most.is_some_and(|most| most > TIMES_MAX) {
            return Err(format!("a repetition goes up to {TIMES_MAX}"));
        }
        if most.is_some_and(|most| most < least) || most == Some(0) {
            return Err(
                "a repetition goes from the smaller to the larger number, and the larger is not 0"
                    .into(),
            );
        }
        self.is_single()?;
        Ok(Times::Between(least, most))
    }

    fn is_single(&self) -> Result<(), String> {
        match self.peek() {
            Some(c @ ('*' | '+' | '?' | '{')) => Err(format!(
                "`{c}` behind a repetition does not mean the same on each engine: put what is repeated in `(…)`"
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn number(&mut self) -> Option<u32> {
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.rest[from..self.at].iter().collect::<String>().parse().ok()
    }
}

enum Escape {
    Char(char),
    Class(&'static [(char, char)]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_written_in_the_words_of_each_engine() {
        let pattern = Pattern::parse(r"^[^@\s]+@(a|b-c)\.d{2,3}'$").unwrap();
        assert_eq!(
            pattern.written(Engine::Postgres),
            r"^[^\u0040\u0009-\u000D\u0020]+\u0040(?:a|b\u002Dc)\u002Ed{2,3}\u0027$"
        );
        assert_eq!(
            pattern.written(Engine::Sqlite),
            r"(?s-imx)\A[^\x40\x09-\x0D\x20]+\x40(?:a|b\x2Dc)\x2Ed{2,3}\x27\z"
        );
        let short = Pattern::parse("é").unwrap();
        assert_eq!(
            short.condition("c", Engine::MySql),
            "CONVERT(c USING utf8mb4) REGEXP _utf8mb4 X'283F732D696D7829C3A9'"
        );
    }

    #[test]
    fn what_two_engines_read_differently_is_refused() {
        for (text, rule) in [
            ("", "empty"),
            ("a|", "empty"),
            ("()", "empty"),
            ("a**", "behind a repetition"),
            ("a*?", "behind a repetition"),
            ("a{2}+", "behind a repetition"),
            ("*a", "repeats nothing"),
            ("{2}", "repeats nothing"),
            ("^*", "places"),
            ("(a", "not closed"),
            ("a)", "closes no group"),
            ("[a", "not closed"),
            ("[]", "empty set"),
            ("[[:alpha:]]", "classes"),
            ("[z-a]", "backwards"),
            (r"\b", "does not mean the same"),
            (r"\1", "does not mean the same"),
            (r"\D", "does not mean the same"),
            ("(?i)a", "(?:"),
            ("(?=a)", "(?:"),
            ("a{256}", "up to 255"),
            ("a{3,2}", "smaller"),
            ("a{x}", "a repetition is"),
            ("a\\", "cannot end"),
            ("a\u{1}", "control"),
            ("a]", "closes nothing"),
            (".*", "in every text"),
            ("a*", "in every text"),
            ("^", "in every text"),
            ("(a?|b)$", "in every text"),
            ("(\\w{200}){200}", "too large"),
        ] {
            let fault = Pattern::parse(text).expect_err(text);
            assert!(fault.contains(rule), "{text}: {fault}");
        }
        assert!(Pattern::parse(&"(".repeat(30)).is_err());
        for held in ["^$", "^a*$", "a|b", "^(a?)$", "a{1,3}"] {
            assert!(Pattern::parse(held).is_ok(), "{held}");
        }
    }
}
