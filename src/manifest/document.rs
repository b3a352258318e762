//! Reading a tree strictly: every key known, every value of its kind, every fault kept.
//!
//! Readers return `None` where they have recorded a fault, so that reading goes on and all faults
//! of a file come out together.

mod scalar;
mod faults;

use std::fmt;

use crate::domain::check::catalogue::Warning;
use crate::domain::check::fault::Fault;
use crate::domain::check::nearest::suggestion;
use crate::manifest::Text;
use crate::manifest::foreign::foreign;
use crate::manifest::yaml::{self, Kind, Node};

pub use crate::manifest::place::Place;

/// A file that is being read, with the faults found so far.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t Text,
    lines: Vec<&'t str>,
    shows_lines: bool,
    stored: bool,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

/// A map whose keys are known, each once.
#[derive(Debug, Clone)]
pub struct Map<'n> {
    /// The node that is the map.
    pub node: &'n Node,
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n> Map<'n> {
    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    /// Returns all keys and values.
    pub fn entries(&self) -> &[(&'n str, &'n Node)] {
        &self.entries
    }

    /// The same with some keys only.
    pub fn only(&self, keys: &[&str]) -> Self {
        let entries = self.entries.iter().filter(|(key, _)| keys.contains(key)).copied();
        Self { node: self.node, entries: entries.collect() }
    }
}

impl<'t> Document<'t> {
    /// Begins to read a file of checks.
    pub fn new(text: &'t Text) -> Self {
        Self {
            text,
            lines: text.text.lines().collect(),
            shows_lines: true,
            stored: false,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Begins to read a file that was taken before, perhaps by a release that knew fewer faults.
    pub fn stored(text: &'t Text) -> Self {
        Self { stored: true, ..Self::new(text) }
    }

    /// Begins to read a file whose lines may hold secrets: faults name places, never content.
    pub fn confidential(text: &'t Text) -> Self {
        Self { shows_lines: false, ..Self::new(text) }
    }

    /// Parses the text into a tree.
    pub fn tree(&mut self) -> Option<Node> {
        // Earlier releases took odd ends of lines.
        let ends = if self.stored { Ok(()) } else { yaml::refuse_odd_line_ends(&self.text.text) };
        match ends.and_then(|()| yaml::parse(&self.text.text)) {
            Ok(node) => Some(node),
            Err(not) => {
                let excerpt = self.excerpt(not.line);
                self.faults.push(Fault {
                    file: self.text.file.clone(),
                    line: not.line,
                    column: not.column,
                    path: String::new(),
                    message: not.message,
                    hint: Some(not.hint.to_owned()).filter(|h| !h.is_empty()),
                    excerpt,
                });
                None
            }
        }
    }

    /// Returns the file's name.
    pub fn file(&self) -> &str {
        &self.text.file
    }

    /// Reads a map with known keys only.
    pub fn map<'n>(&mut self, node: &'n Node, place: Place<'_>, keys: &[&str]) -> Option<Map<'n>> {
        let map = self.open_map(node, place)?;
        let mut known = Vec::new();
        for (key, value) in &map.entries {
            if keys.contains(key) {
                known.push((*key, *value));
            } else {
                self.unknown_key(&map, key, value, place, keys);
            }
        }
        Some(Map { node, entries: known })
    }

    /// Reads a map whose keys are names of the user's own.
    pub fn open_map<'n>(&mut self, node: &'n Node, place: Place<'_>) -> Option<Map<'n>> {
        let Kind::Map(pairs) = &node.kind else {
            let hint = "write `key: value` pairs".to_owned();
            let message = format!("a map belongs here, and this is {}", self.kind(node));
            self.fault(node, place, message, Some(hint));
            return None;
        };
        let mut entries: Vec<(&'n str, &'n Node)> = Vec::new();
        for (key_node, value) in pairs {
            let Some(key) = scalar(key_node) else {
                self.fault(key_node, place, "a key is a word", None);
                continue;
            };
            if entries.iter().any(|(k, _)| *k == key) {
                let shown = if self.shows_lines { key } else { "a key" };
                let message = format!("`{shown}` stands here twice");
                self.fault(key_node, place, message, Some("keep one of them".into()));
                continue;
            }
            entries.push((key, value));
        }
        if pairs.is_empty() {
            self.fault(node, place, "the map is empty", Some("fill it or remove it".into()));
        }
        Some(Map { node, entries })
    }

    fn unknown_key(
        &mut self,
        map: &Map<'_>,
        key: &str,
        value: &Node,
        place: Place<'_>,
        keys: &[&str],
    ) {
        let at = key_node(map, key).map_or((value.line, value.column), |k| (k.line, k.column));
        let cut = matches!(value.kind, Kind::Null) && value.span.is_empty();
        let (message, hint) = if key == "<<" {
            ("merge keys are not part of the language".to_owned(), "use `defaults`".to_owned())
        } else if cut && map.get("sql").is_some() && self.is_flow(map.node) {
            (
                format!("the SQL was cut at a comma, and `{key}` was read as a key"),
                "quote the SQL, or use `sql: |`".to_owned(),
            )
        } else {
            let hint = suggestion(key, keys).unwrap_or_default();
            // In a file with secrets, what looks like a key may be one; a slip of a known word is not.
            let shown = self.shows_lines || hint.starts_with("did you mean");
            let message = if shown {
                format!("`{key}` is not a key of {}", named(place))
            } else {
                "this key is not known here".to_owned()
            };
            let known = elsewhere(key).map(str::to_owned).or_else(|| foreign(key, keys));
            (message, known.unwrap_or(hint))
        };
        self.fault_at(at.0, at.1, place, message, Some(hint));
    }

    /// Reads a list with at least one item.
    pub fn list<'n>(&mut self, node: &'n Node, place: Place<'_>) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::List(items) if items.is_empty() => {
                let hint = "fill it or remove it".to_owned();
                self.fault(node, place, "the list is empty", Some(hint));
                None
            }
            Kind::List(items) => Some(items),
            Kind::Null | Kind::Typed(_) | Kind::Text(_) | Kind::Map(_) => {
                let message = format!("a list belongs here, and this is {}", self.kind(node));
                self.fault(
                    node,
                    place,
                    message,
                    Some("write `[a, b]` or one `- ` per line".into()),
                );
                None
            }
        }
    }

    /// Reads a text that is not empty. What YAML takes for a number or a truth value is text here.
    pub fn text<'n>(&mut self, node: &'n Node, place: Place<'_>) -> Option<&'n str> {
        let text = match &node.kind {
            Kind::Text(text) | Kind::Typed(text) => text.as_str(),
            Kind::Null => {
                let hint = "write a value or remove the key".to_owned();
                self.fault(node, place, "the value is empty", Some(hint));
                return None;
            }
            Kind::List(_) | Kind::Map(_) => {
                let message = format!("a text belongs here, and this is {}", self.kind(node));
                self.fault(node, place, message, None);
                return None;
            }
        };
        if text.trim().is_empty() {
            let hint = "write a value or remove the key".to_owned();
            self.fault(node, place, "the value is empty", Some(hint));
            return None;
        }
        Some(text)
    }

    /// Reads a text through a parser that says which rule is broken.
    pub fn parsed<T, E: fmt::Display>(
        &mut self,
        node: &Node,
        place: Place<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node, place)?.to_owned();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(rule) => {
                let message = self.about(&text, &rule.to_string());
                self.fault(node, place, message, None);
                None
            }
        }
    }

    /// Reads one of a closed list of words.
    pub fn word<T: Copy>(
        &mut self,
        node: &Node,
        place: Place<'_>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(node, place)?.to_owned();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let valid: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = self.about(&text, &format!("{} belongs here", one_of(&valid)));
        self.fault(node, place, message, suggestion(&text, &valid));
        None
    }

    /// Reads a whole number in decimal digits, unquoted.
    pub fn whole_number(&mut self, node: &Node, place: Place<'_>) -> Option<u64> {
        let text = self.text(node, place)?.to_owned();
        if self.is_quoted(node) {
            let hint = "remove the quotes".to_owned();
            self.fault(node, place, "this is a text, and a number belongs here", Some(hint));
            return None;
        }
        let plain =
            text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        if let Some(number) = plain.then(|| text.parse().ok()).flatten() {
            return Some(number);
        }
        let message = self.about(&text, "a whole number in plain digits belongs here");
        self.fault(node, place, message, None);
        None
    }

    fn kind(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Null => "nothing".into(),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
            Kind::Typed(text) if self.shows_lines => format!("`{text}`"),
            Kind::Typed(_) | Kind::Text(_) => "a text".into(),
        }
    }

    /// Quotes a value beside its rule, except where values may be secrets.
    fn about(&self, text: &str, rule: &str) -> String {
        if !self.shows_lines || rule.contains(text) {
            return rule.to_owned();
        }
        let mut shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
        if shown.len() < text.trim_end().len() {
            shown.push('…');
        }
        format!("`{shown}`: {rule}")
    }

    fn excerpt(&self, line: u64) -> Option<String> {
        const SHOWN: usize = 120;
        if !self.shows_lines {
            return None;
        }
        let line = self.lines.get(usize::try_from(line).ok()?.checked_sub(1)?)?;
        let clean: String = line.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
        let cut: String = clean.chars().take(SHOWN).collect();
        Some(if cut.len() < clean.len() { format!("{cut}…") } else { cut })
    }
}

fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|f| (f.line, f.column));
    faults.dedup();
    faults
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Text(text) | Kind::Typed(text) => Some(text),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

fn key_node<'n>(map: &Map<'n>, key: &str) -> Option<&'n Node> {
    let Kind::Map(pairs) = &map.node.kind else { return None };
    pairs.iter().map(|(k, _)| k).find(|k| scalar(k) == Some(key))
}

fn named(place: Place<'_>) -> String {
    match place {
        Place::Root => "the file".into(),
        Place::Key(_, key) => format!("`{key}`"),
        Place::Item(parent, _) => match parent {
            Place::Key(_, "checks") => "a check".into(),
            Place::Key(_, "removed") => "a removed check".into(),
            Place::Key(_, "weakened") => "a weakened check".into(),
            Place::Root | Place::Key(..) | Place::Item(..) => "this item".into(),
        },
    }
}

/// Words that are right somewhere else, or will be one day.
fn elsewhere(key: &str) -> Option<&'static str> {
    match key {
        "rows" | "values" | "keys" => Some("it stands under `expect`"),
        "equals" | "not_equals" | "min" | "max" | "one_of" => {
            Some("a limit stands under `rows`, or under a column of `values`")
        }
        "period" | "from" | "zones" | "zones_from" | "split" | "settle" | "past" => {
            Some("it stands under `window`")
        }
        "every" | "cron" | "gap" | "fold" => Some("it stands under `schedule`"),
        "alertmanagers" | "webhooks" | "heartbeat" | "ledger" => Some("it stands in allswell.yaml"),
        "tests" | "schema" => Some("it stands in a file of tests, whose name ends in `.test.yaml`"),
        _ => None,
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
