//! Answers for programs.

use std::sync::Arc;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::cli::deps::Known;
use crate::domain::dependency::answer::{Coverage, Dead};
use crate::domain::dependency::graph::{CheckUses, Node};

fn named(check: &CheckUses) -> Value {
    json!({
        "check": check.id.as_str(),
        "owner": check.owner.as_str(),
        "severity": check.severity.as_str(),
    })
}

fn written(value: &Value) -> String {
    format!("{value:#}\n")
}

fn of((source, object): &Node) -> Value {
    json!({"source": source.as_str(), "object": object.to_string()})
}

/// What each check stands on.
pub(super) fn all(known: &Known, checks: &[Arc<CheckUses>]) -> String {
    let graph = &known.dependencies;
    let one = |check: &Arc<CheckUses>| {
        let (reach, unknown) = graph.reach(check);
        let mut edges: Vec<Value> = check
            .uses
            .iter()
            .map(|(node, named)| json!({"how": "query", "to": of(node), "columns": named.columns}))
            .collect();
        for node in &reach {
            let below = graph.below(node).into_iter();
            edges
                .extend(below.map(
                    |(how, to)| json!({"how": how.as_str(), "from": of(node), "to": of(&to)}),
                ));
        }
        let mut value = named(check);
        value["sources"] = json!(check.sources.iter().map(|s| s.as_str()).collect::<Vec<_>>());
        value["edges"] = Value::Array(edges);
        value["unknown"] = json!(unknown);
        value
    };
    let checks: Vec<Value> = checks.iter().map(one).collect();
    written(&json!({"format": 1, "checks": checks, "unlearnt": unlearnt(known)}))
}

fn unlearnt(known: &Known) -> Value {
    let all = known.unlearnt.iter();
    Value::Object(all.map(|(name, why)| (name.to_string(), json!(why))).collect())
}

/// Who looks at a table.
pub(super) fn table(known: &Known, node: &Node) -> String {
    let one = |(check, through): &(Arc<CheckUses>, _)| {
        let through: &std::collections::BTreeSet<Node> = through;
        let mut value = named(check);
        value["columns"] = json!(check.uses.get(node).map(|named| &named.columns));
        value["through"] = through.iter().filter(|one| *one != node).map(of).collect();
        let proved = known.proved.get(&check.id);
        value["series"] = json!(proved.map(|(series, _)| series));
        value["proved"] = json!(proved.map(|(_, proved)| proved));
        value
    };
    let all = known.dependencies.looked_at_by(node);
    let checks: Vec<Value> = all.iter().map(one).collect();
    written(&json!({"format": 1, "table": of(node), "checks": checks, "unlearnt": unlearnt(known)}))
}

/// What goes dark.
pub(super) fn dead(known: &Known, dead: &Dead, word: &str) -> String {
    let list = |checks: &[Arc<CheckUses>]| -> Vec<Value> {
        checks.iter().map(|check| named(check)).collect()
    };
    let unknown = dead.unknown.iter().map(|(check, why)| {
        let mut value = named(check);
        value["why"] = json!(why);
        value
    });
    written(&json!({
        "format": 1,
        "dead": word,
        "dark": list(&dead.dark),
        "lessened": list(&dead.lessened),
        "unknown": unknown.collect::<Vec<_>>(),
        "unlearnt": unlearnt(known),
    }))
}

/// Which tables no check reaches.
pub(super) fn uncovered(known: &Known) -> String {
    let (open, counts) = known.dependencies.coverage(&known.ignored);
    let open = open.iter().map(|one| {
        json!({
            "source": one.source.as_str(),
            "table": one.name.to_string(),
            "bytes": one.bytes,
            "written_at": one.written_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        })
    });
    let counts = counts.iter().map(|(source, count)| {
        let Coverage { covered, uncovered, ignored } = count;
        let count = json!({"covered": covered, "uncovered": uncovered, "ignored": ignored});
        (source.to_string(), count)
    });
    written(&json!({
        "format": 1,
        "uncovered": open.collect::<Vec<_>>(),
        "sources": counts.collect::<serde_json::Map<_, _>>(),
        "unlearnt": unlearnt(known),
    }))
}
