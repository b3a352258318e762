//! What was learnt of a source as JSON: the ledger keeps it so, and the API shows it so.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::domain::dependency::{
    Function, How, Object, ObjectName, Relation, RelationKind, SourceRelations,
};
use crate::domain::sql::Engine;

const ENGINES: [(&str, Engine); 3] =
    [("postgres", Engine::Postgres), ("mysql", Engine::MySql), ("sqlite", Engine::Sqlite)];

/// The engine of a word.
pub fn engine_of(word: &str) -> Option<Engine> {
    ENGINES.iter().find(|(known, _)| *known == word).map(|(_, engine)| *engine)
}

/// An object as JSON: what it is, its schema and its name.
pub fn object_json(object: &Object) -> Value {
    match object {
        Object::Relation(name) => json!(["relation", name.schema, name.name]),
        Object::Function(name) => json!(["function", name.schema, name.name]),
        Object::Server(name) => json!(["server", "", name]),
    }
}

/// Reads an object.
pub fn object_of(value: &Value) -> Option<Object> {
    let [kind, schema, name] = [0, 1, 2].map(|at| value.get(at).and_then(Value::as_str));
    let name = ObjectName::new(schema?, name?);
    match kind? {
        "relation" => Some(Object::Relation(name)),
        "function" => Some(Object::Function(name)),
        "server" => Some(Object::Server(name.name)),
        _ => None,
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// What was learnt as JSON.
pub fn relations_json(known: &SourceRelations) -> Value {
    let engine = ENGINES.iter().find(|(_, engine)| *engine == known.engine);
    let relations = known.relations.iter().map(|(name, relation)| {
        let remote = relation.remote.as_ref();
        json!({
            "schema": name.schema,
            "name": name.name,
            "kind": relation.kind.as_str(),
            "bytes": relation.bytes,
            "has_rows": relation.has_rows,
            "writes": relation.writes,
            "written_at": relation.written_at.map(instant),
            "columns": relation.columns,
            "definition": relation.definition,
            "remote": remote.map(|(server, name)| json!([server, name.schema, name.name])),
        })
    });
    let functions = known.functions.iter().map(|(name, function)| {
        json!({
            "schema": name.schema,
            "name": name.name,
            "language": function.language,
            "definition": function.definition,
        })
    });
    let edges = known.edges.iter().flat_map(|(from, all)| {
        all.iter().map(|(how, to)| json!([object_json(from), how.as_str(), object_json(to)]))
    });
    let unknown = known.unknown.iter().map(|(object, why)| json!([object_json(object), why]));
    json!({
        "engine": engine.map(|(word, _)| *word),
        "learnt_at": instant(known.learnt_at),
        "address": known.address,
        "path": known.path,
        "folds_case": known.folds_case,
        "system": known.system,
        "relations": relations.collect::<Vec<_>>(),
        "functions": functions.collect::<Vec<_>>(),
        "edges": edges.collect::<Vec<_>>(),
        "servers": known.servers,
        "unknown": unknown.collect::<Vec<_>>(),
    })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(text).collect()
}

fn at(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

fn named(value: &Value) -> Option<ObjectName> {
    Some(ObjectName::new(value["schema"].as_str()?, value["name"].as_str()?))
}

/// Reads what was learnt.
pub fn relations_of(value: &Value) -> Option<SourceRelations> {
    let list = |key: &str| value[key].as_array();
    let relation = |value: &Value| -> Option<(ObjectName, Relation)> {
        let word = value["kind"].as_str()?;
        let kind = RelationKind::WORDS.iter().find(|(known, _)| *known == word)?.1;
        let remote = value["remote"].as_array().and_then(|remote| {
            let [server, schema, name] = [0, 1, 2].map(|at| remote.get(at).and_then(Value::as_str));
            Some((server?.to_owned(), ObjectName::new(schema?, name?)))
        });
        let relation = Relation {
            kind,
            bytes: value["bytes"].as_u64(),
            has_rows: value["has_rows"].as_bool(),
            writes: text(&value["writes"]),
            written_at: at(&value["written_at"]),
            columns: texts(&value["columns"]),
            definition: text(&value["definition"]),
            remote,
        };
        Some((named(value)?, relation))
    };
    let function = |value: &Value| -> Option<(ObjectName, Function)> {
        let language = text(&value["language"])?;
        Some((named(value)?, Function { language, definition: text(&value["definition"]) }))
    };
    let mut edges: BTreeMap<Object, BTreeSet<(How, Object)>> = BTreeMap::new();
    for edge in list("edges")? {
        let word = edge[1].as_str()?;
        let how = How::WORDS.iter().find(|(known, _)| *known == word)?.1;
        edges.entry(object_of(&edge[0])?).or_default().insert((how, object_of(&edge[2])?));
    }
    let unknown = |value: &Value| Some((object_of(&value[0])?, text(&value[1])?));
    let none = Map::new();
    let servers = value["servers"].as_object().unwrap_or(&none);
    Some(SourceRelations {
        engine: engine_of(value["engine"].as_str()?)?,
        learnt_at: at(&value["learnt_at"])?,
        address: text(&value["address"])?,
        path: list("path")?.iter().filter_map(text).collect(),
        folds_case: value["folds_case"].as_bool()?,
        system: texts(&value["system"]),
        relations: list("relations")?.iter().map(relation).collect::<Option<_>>()?,
        functions: list("functions")?.iter().map(function).collect::<Option<_>>()?,
        edges,
        servers: servers.iter().filter_map(|(k, v)| Some((k.clone(), text(v)?))).collect(),
        unknown: list("unknown")?.iter().map(unknown).collect::<Option<_>>()?,
    })
}
