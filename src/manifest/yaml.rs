//! A YAML text as a tree in which every node knows its place and its own spelling.
//!
//! A parser that stops at the first error cannot show all of them, and one that guesses types
//! cannot tell `1.10` from `1.1`. So the tree comes first, verbatim; what it means is decided in
//! `document`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Spanned};

/// The largest file that is read.
const BYTES_MAX: usize = 1 << 20;
/// The deepest nesting that is read; the language needs eight.
const DEPTH_MAX: usize = 16;
/// The most nodes of one file; a thousand checks have about twenty thousand.
const NODES_MAX: usize = 200_000;

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// Where it stands in the text, in bytes.
    pub span: std::ops::Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A plain scalar that YAML would take for a truth value or a number, as it is spelt.
    Typed(String),
    /// Any other scalar.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, with its keys in their order, duplicates included.
    Map(Vec<(Node, Node)>),
}

/// Why a text is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotYaml {
    /// Line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// The rule that is broken.
    pub message: String,
    /// What to write instead.
    pub hint: &'static str,
}

/// Writes a text as a word of YAML that is read as it is meant.
pub fn word(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    let words =
        ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity"];
    let is_word = words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_plain && !is_word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// Parses one document.
///
/// # Errors
/// The first place at which the text is not YAML, or not YAML that this project reads.
pub(super) fn parse(text: &str) -> Result<Node, NotYaml> {
    if text.len() > BYTES_MAX {
        return Err(NotYaml {
            line: 0,
            column: 0,
            message: format!("the file has {} bytes, and at most 1 MiB is read", text.len()),
            hint: "split it: all files of the folder are read together",
        });
    }
    if text.starts_with('\u{feff}') {
        return Err(NotYaml {
            line: 1,
            column: 1,
            message: "the file begins with a byte order mark".into(),
            hint: "save it as UTF-8 without BOM",
        });
    }
    refuse_tabs(text)?;
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_documents: 1,
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_aliases: 0,
            max_anchors: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let tree = serde_yaml::from_str_with_options::<Node>(text, options);
    let mut tree = tree.map_err(|error| {
        let location = error.location();
        let (message, hint) = in_our_words(&error.to_string());
        NotYaml {
            line: location.map_or(1, |l| l.line()),
            column: location.map_or(1, |l| l.column()),
            message,
            hint,
        }
    })?;
    spell(&mut tree, text);
    Ok(tree)
}

/// Gives typed scalars their spelling back: `1.10` is not `1.1` to its author.
fn spell(node: &mut Node, text: &str) {
    match &mut node.kind {
        Kind::Typed(spelling) => {
            text.get(node.span.clone()).unwrap_or("").clone_into(spelling);
        }
        Kind::List(items) => items.iter_mut().for_each(|item| spell(item, text)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
            spell(key, text);
            spell(value, text);
        }),
        // The parser's word for a number past its floats, which is a number all the same.
        Kind::Text(word) if matches!(word.as_str(), ".inf" | "-.inf" | ".nan") => {
            let source = text.get(node.span.clone()).unwrap_or("");
            if !source.starts_with(['"', '\'']) {
                source.clone_into(word);
            }
        }
        Kind::Null | Kind::Text(_) => {}
    }
}

/// Tabs indent nothing in YAML, but some parsers let them pass where others do not.
fn refuse_tabs(text: &str) -> Result<(), NotYaml> {
    for (line, number) in text.lines().zip(1_u64..) {
        let indent = line.len() - line.trim_start().len();
        if let Some(tab) = line[..indent].find('\t').filter(|_| !line.trim().is_empty()) {
            return Err(NotYaml {
                line: number,
                column: u64::try_from(tab).unwrap_or(0) + 1,
                message: "a tab indents this line".into(),
                hint: "indent with spaces; YAML knows no tabs",
            });
        }
    }
    Ok(())
}

/// Characters that end a line to some programs and not to others: what a comment hides depends on who reads.
pub(super) fn refuse_odd_line_ends(text: &str) -> Result<(), NotYaml> {
    const ODD: [char; 5] = ['\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    for (line, number) in text.lines().zip(1_u64..) {
        if let Some((column, odd)) =
            line.chars().zip(1_u64..).map(|(c, n)| (n, c)).find(|(_, c)| ODD.contains(c))
        {
            return Err(NotYaml {
                line: number,
                column,
                message: format!(
                    "U+{:04X} stands here, which ends a line to some programs only",
                    u32::from(odd)
                ),
                hint: "end the line with a line feed; in a quoted text write the character as an escape",
            });
        }
    }
    Ok(())
}

/// The parser's words, what people did, and what to do.
const KNOWN: [(&str, &str, &str); 15] = [
    (
        "comment intercepting",
        "a comment stands inside a text of several lines",
        "look at the indentation of the next line: it reads as part of this text",
    ),
    (
        "Anchors",
        "`&` begins an anchor, and checks have none",
        "repeat the value, or use `defaults`",
    ),
    ("Aliases", "`*` begins an alias, and checks have none", "repeat the value, or use `defaults`"),
    (
        "unknown anchor",
        "`*` begins an alias, and checks have none",
        "quote a value that begins with `*`",
    ),
    (
        "anchor or alias",
        "`*` and `&` begin aliases and anchors, and checks have none",
        "quote a value that begins with `*` or `&`",
    ),
    ("Documents", "a second document begins here, and a file is one", "write two files"),
    (
        "Depth",
        "this is nested deeper than anything in the language",
        "compare it with `allswell schema`",
    ),
    (
        "Nodes",
        "the file has more parts than are read",
        "split it: all files of the folder are read together",
    ),
    ("ScalarBytes", "the file has more text than is read", "split it"),
    (
        "unclosed quote",
        "this quote is never closed",
        "close it; inside a quoted text, `\"` is written `\\\"` and `'` is written `''`",
    ),
    (
        "mapping values are not allowed",
        "a `:` stands where no key can be",
        "quote a value that contains `: `, and check the indentation",
    ),
    ("unexpected character: `@'", "a value cannot begin with `@`", "quote it"),
    (
        "unexpected character: ``'",
        "a value cannot begin with a backtick",
        "quote it; for SQL use `sql: |`",
    ),
    (
        "unexpected character: `%'",
        "a value cannot begin with `%`",
        "quote it; for SQL use `sql: |`",
    ),
    (
        "did not find expected '-'",
        "the list ends here, by its indentation",
        "indent this line like its neighbours",
    ),
];

/// Translates the parser's words for what people really do.
fn in_our_words(message: &str) -> (String, &'static str) {
    let bare = message.split(" at line ").next().unwrap_or(message);
    for (theirs, ours, hint) in KNOWN {
        if bare.contains(theirs) {
            return (ours.to_owned(), hint);
        }
    }
    (format!("this is not YAML: {bare}"), "check quotes, brackets and indentation near here")
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self::at(spanned.referenced, spanned.value))
    }
}

impl Node {
    /// What stands under a key, where this is a map.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        let is = |name: &Self| matches!(&name.kind, Kind::Text(text) if text == key);
        entries.iter().find(|(name, _)| is(name)).map(|(_, node)| node)
    }

    fn at(location: Location, kind: Kind) -> Self {
        let span = location.span();
        let byte = |n: Option<_>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let start = byte(span.byte_offset());
        Self {
            line: location.line(),
            column: location.column(),
            span: start..start + byte(span.byte_len()),
            kind,
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind)
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Typed(String::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Typed(String::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Typed(String::new()))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Kind, E> {
        Ok(Kind::Typed(String::new()))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Kind, E> {
        Ok(Kind::Typed(String::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Typed(String::new()))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(text.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Kind, E> {
        Err(E::custom("binary values have no place in a check"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<Node, Node>()? {
            if entries.len() > NODES_MAX {
                return Err(A::Error::custom("too many keys"));
            }
            entries.push(entry);
        }
        Ok(Kind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_spelling_and_their_place() {
        let text = "a: 1.10\nb: no\nc: 'x'\nd:\n  - ~\n";
        let Kind::Map(entries) = parse(text).unwrap().kind else { panic!("a map") };
        let spelt: Vec<_> =
            entries.iter().map(|(_, v)| (v.line, v.column, &text[v.span.clone()])).collect();
        assert_eq!(&spelt[..3], &[(1, 4, "1.10"), (2, 4, "no"), (3, 4, "'x'")]);
        assert!(matches!(entries[1].1.kind, Kind::Typed(_)));
    }

    #[test]
    fn what_blows_up_elsewhere_is_refused_at_once() {
        let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n";
        assert!(parse(bomb).is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"{a: ".repeat(20_000)).is_err());
        assert!(parse(&"- ".repeat(20_000)).is_err());
        assert!(parse(&"x".repeat(BYTES_MAX + 1)).is_err());
        assert!(parse("a: 1\n---\nb: 1\n").is_err());
        assert!(parse("\u{feff}a: 1\n").is_err());
        assert!(parse("a:\n\tb: 1\n").is_err());
    }
}
