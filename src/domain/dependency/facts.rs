//! Rows of a catalogue, as each engine's statements bring them, put together.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::dependency::resolve::{Called, Meant, Resolver};
use crate::domain::dependency::{
    Function, How, Object, ObjectName, Relation, RelationKind, SourceRelations, address,
};
use crate::domain::sql::Engine;
use crate::domain::sql::names::Names;

/// A row of a catalogue: what it is about, and up to seven words.
pub type Fact = [String; 8];

/// A view or a function whose text says what it reads.
struct Written {
    reader: ObjectName,
    text: String,
}

/// Puts what a catalogue tells together.
pub fn read(
    facts: &[Fact],
    engine: Engine,
    here: String,
    learnt_at: DateTime<Utc>,
) -> SourceRelations {
    let mut known = SourceRelations::empty(engine, here, learnt_at);
    if engine == Engine::Sqlite {
        known.path.push(String::new());
    }
    let mut written = Vec::new();
    let mut overloads: BTreeMap<ObjectName, usize> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact[0] == "function") {
        *overloads.entry(ObjectName::new(&fact[1], &fact[2])).or_default() += 1;
    }
    for fact in facts {
        let [what, a, b, c, d, e, f, g] = fact.each_ref().map(String::as_str);
        let name = ObjectName::new(a, b);
        match what {
            "view" if !c.is_empty() => written.push(Written { reader: name, text: c.to_owned() }),
            _ => {
                known.take_thing(what, &name, [c, d, e, f, g]);
                known.take_edge(what, &name, [c, d, e]);
            }
        }
    }
    read_texts(&mut known, &written);
    for (name, count) in overloads.into_iter().filter(|(_, count)| *count > 1) {
        // By name alone it is not known which of them is called: nothing is said of what they read.
        known.edges.remove(&Object::Function(name.clone()));
        let why = format!("{count} functions have this name");
        known.unknown.insert(Object::Function(name), why);
    }
    sum_up_parts(&mut known);
    known
}

impl SourceRelations {
    /// Takes a row that says what there is.
    fn take_thing(&mut self, what: &str, name: &ObjectName, [c, d, e, f, g]: [&str; 5]) {
        let ObjectName { schema: a, .. } = name;
        match what {
            "path" => self.path.push(a.clone()),
            "folds_case" => self.folds_case = a == "true",
            "system" => drop(self.system.insert(a.clone())),
            "relation" => {
                let relation = relation(self.engine, c, [d, e, f, g]);
                if let Some(why) = opaque(&relation, self.engine) {
                    self.note(Object::Relation(name.clone()), why.to_owned());
                }
                self.relations.insert(name.clone(), relation);
            }
            "unknown" => self.note(Object::Relation(name.clone()), c.to_owned()),
            "view" => {
                let why = "the role lacks SHOW VIEW on it".to_owned();
                self.note(Object::Relation(name.clone()), why);
            }
            "function" => {
                if d == "true" {
                    let why =
                        format!("a function in {c}: the catalogue does not tell what it reads");
                    self.note(Object::Function(name.clone()), why);
                }
                let digest = Some(e.to_owned()).filter(|digest| !digest.is_empty());
                // Of two with one name and other arguments either may be called.
                let before = self.functions.get(name).and_then(|other| other.definition.clone());
                let definition = match (before, digest) {
                    (Some(before), Some(digest)) => Some(before + &digest),
                    (before, digest) => before.or(digest),
                };
                let function = Function { language: c.to_owned(), definition };
                self.functions.insert(name.clone(), function);
            }
            _ => self.take_more(what, name, c),
        }
    }

    /// Takes a row that says more of a relation.
    fn take_more(&mut self, what: &str, name: &ObjectName, more: &str) {
        let Some(relation) = self.relations.get_mut(name) else { return };
        match what {
            "column" => relation.columns.extend(more.split('\u{1f}').map(str::to_owned)),
            "rows" => relation.has_rows = Some(more == "true"),
            "definition" => relation.definition = Some(more.to_owned()),
            _ => {}
        }
    }

    /// Takes a row that says what reads what.
    fn take_edge(&mut self, what: &str, name: &ObjectName, [c, d, e]: [&str; 3]) {
        let to = || ObjectName::new(c, d);
        let relation = || Object::Relation(name.clone());
        let function = || Object::Function(name.clone());
        match what {
            "reads" => self.edge(relation(), how(e), Object::Relation(to())),
            "calls" => self.edge(relation(), How::Function, Object::Function(to())),
            "body_reads" => self.edge(function(), How::Function, Object::Relation(to())),
            "body_calls" => self.edge(function(), How::Function, Object::Function(to())),
            "server" => {
                // The second word is the host here, the third the port, the fourth the database.
                let port = c.parse().unwrap_or(5432);
                let at = match e {
                    "postgres_fdw" => address(&name.name, port, d),
                    wrapper => format!("a place that {wrapper} knows"),
                };
                self.servers.insert(name.schema.clone(), at);
            }
            "foreign" => {
                self.edge(relation(), How::Foreign, Object::Server(c.to_owned()));
                if let Some(relation) = self.relations.get_mut(name) {
                    let there = ObjectName::new(
                        if d.is_empty() { &name.schema } else { d },
                        if e.is_empty() { &name.name } else { e },
                    );
                    relation.remote = Some((c.to_owned(), there));
                }
            }
            "subscription" => {
                let to = Object::Server(format!("subscription {c}"));
                self.edge(relation(), How::Subscription, to);
            }
            _ => {}
        }
    }

    fn edge(&mut self, from: Object, how: How, to: Object) {
        self.edges.entry(from).or_default().insert((how, to));
    }

    fn note(&mut self, about: Object, why: String) {
        self.unknown.entry(about).or_insert(why);
    }
}

/// Why it is not known where the rows of a relation come from, where that is so.
fn opaque(relation: &Relation, engine: Engine) -> Option<&'static str> {
    match relation.kind {
        RelationKind::Virtual => Some("a module of the engine makes its rows"),
        RelationKind::Foreign if engine == Engine::MySql => {
            Some("its rows are elsewhere; where, the catalogue does not tell")
        }
        RelationKind::Table
        | RelationKind::Partitioned
        | RelationKind::View
        | RelationKind::MaterializedView
        | RelationKind::Foreign
        | RelationKind::Sequence => None,
    }
}

fn how(word: &str) -> How {
    match word {
        "matview" => How::MaterializedView,
        "partition" => How::Partition,
        _ => How::View,
    }
}

fn relation(engine: Engine, kind: &str, [bytes, rows, writes, at]: [&str; 4]) -> Relation {
    let elsewhere = ["federated", "connect", "spider", "s3", "mrg_myisam"];
    let kind = match (engine, kind.to_lowercase().as_str()) {
        (_, "v" | "view") => RelationKind::View,
        (_, "m") => RelationKind::MaterializedView,
        (_, "p") => RelationKind::Partitioned,
        (_, "f") => RelationKind::Foreign,
        (Engine::MySql, engine) if elsewhere.contains(&engine) => RelationKind::Foreign,
        (_, "virtual") => RelationKind::Virtual,
        (_, "s" | "sequence") => RelationKind::Sequence,
        (_, _) => RelationKind::Table,
    };
    let rows = match rows {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    Relation {
        kind,
        bytes: bytes.parse().ok(),
        has_rows: rows,
        writes: Some(writes.to_owned()).filter(|writes| !writes.is_empty()),
        written_at: at.parse().ok(),
        columns: BTreeSet::new(),
        definition: None,
        remote: None,
    }
}

/// A table in parts is as large as they are together.
fn sum_up_parts(known: &mut SourceRelations) {
    fn parts(known: &SourceRelations, of: &ObjectName, all: &mut BTreeSet<ObjectName>) {
        for (how, part) in known.read_by(&Object::Relation(of.clone())) {
            if let (How::Partition, Object::Relation(part)) = (how, part)
                && all.insert(part.clone())
            {
                parts(known, part, all);
            }
        }
    }
    let has_parts = |name: &&ObjectName| {
        let object = Object::Relation((*name).clone());
        known.read_by(&object).any(|(how, _)| *how == How::Partition)
    };
    let whole: Vec<ObjectName> = known.relations.keys().filter(has_parts).cloned().collect();
    for name in whole {
        let mut all = BTreeSet::new();
        parts(known, &name, &mut all);
        let of = |part: &ObjectName| known.relations.get(part).cloned();
        // A parent of tables that inherit from it may have rows of its own.
        let all: Vec<Relation> = all.iter().chain([&name]).filter_map(of).collect();
        let bytes: Vec<u64> = all.iter().filter_map(|part| part.bytes).collect();
        let rows = all.iter().any(|part| part.has_rows == Some(true));
        let all_known = all
            .iter()
            .all(|part| part.has_rows.is_some() || part.kind == RelationKind::Partitioned);
        let writes: Vec<String> = all.into_iter().filter_map(|part| part.writes).collect();
        if let Some(relation) = known.relations.get_mut(&name) {
            relation.bytes = (!bytes.is_empty()).then(|| bytes.iter().sum());
            relation.has_rows = if rows { Some(true) } else { all_known.then_some(false) };
            relation.writes = (!writes.is_empty()).then(|| writes.join(" "));
        }
    }
}

/// Reads from the texts of views what they read, where no catalogue tells it.
fn read_texts(known: &mut SourceRelations, written: &[Written]) {
    let mut edges = Vec::new();
    let mut notes = Vec::new();
    let resolver = Resolver::new(known);
    for Written { reader, text } in written {
        let names = match Names::of_statement(text, known.engine) {
            Ok(names) => names,
            Err(why) => {
                notes.push((reader, format!("its text does not parse here: {why}")));
                continue;
            }
        };
        let path = [reader.schema.clone()];
        for name in &names.relations {
            match resolver.relation(name, &path) {
                Meant::Relation(to) => {
                    edges.push((reader.clone(), How::View, Object::Relation(to.clone())));
                }
                Meant::System => {}
                Meant::Nothing => {
                    let name = name.join(".");
                    let why = format!(
                        "it reads `{name}`, which is not there, or which the role may not see: SELECT on it is lacking"
                    );
                    notes.push((reader, why));
                }
            }
        }
        for name in &names.functions {
            match resolver.function(name, &path) {
                Called::Function(to) => {
                    edges.push((reader.clone(), How::Function, Object::Function(to.clone())));
                }
                Called::Several | Called::Unseen => {
                    let name = name.join(".");
                    notes.push((reader, format!("it calls `{name}`, which the role may not see")));
                }
                Called::Own => {}
            }
        }
        if let Some(why) = names.hides(known.engine) {
            notes.push((reader, why));
        }
    }
    for (reader, how, to) in edges {
        known.edge(Object::Relation(reader), how, to);
    }
    for (reader, why) in notes {
        known.note(Object::Relation(reader.clone()), why);
    }
}
