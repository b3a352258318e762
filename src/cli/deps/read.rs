//! What a daemon learnt, as its API tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::cli::deps::Known;
use crate::domain::check::Severity;
use crate::domain::check::name::{CheckId, Owner, SourceName};
use crate::domain::dependency::Object;
use crate::domain::dependency::answer::Ignored;
use crate::domain::dependency::graph::{CheckUses, Dependencies, Named};
use crate::ledger::{object_of, relations_of};

fn texts(value: &Value) -> BTreeSet<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn source(value: &Value) -> Option<SourceName> {
    SourceName::parse(value.as_str()?).ok()
}

fn check(value: &Value) -> Option<CheckUses> {
    let severity = value["severity"].as_str()?;
    let uses = value["uses"].as_array().into_iter().flatten();
    let uses = uses.filter_map(|one| {
        let namesake = match object_of(&one["namesake"]) {
            Some(Object::Relation(name)) => Some(name),
            Some(Object::Function(_) | Object::Server(_)) | None => None,
        };
        let named = Named { columns: texts(&one["columns"]), namesake };
        Some(((source(&one["source"])?, object_of(&one["object"])?), named))
    });
    Some(CheckUses {
        id: CheckId::parse(value["check"].as_str()?).ok()?,
        owner: Owner::parse(value["owner"].as_str()?).ok()?,
        severity: Severity::ALL.into_iter().find(|known| known.as_str() == severity)?,
        sources: value["sources"].as_array().into_iter().flatten().filter_map(source).collect(),
        uses: uses.collect(),
        unknown: texts(&value["unknown"]),
    })
}

/// Reads an answer.
pub(super) fn read(value: &Value) -> Known {
    let none = Map::new();
    let object = |key: &str| value[key].as_object().unwrap_or(&none);
    let named = |name: &String| SourceName::parse(name).ok();
    let sources = object("sources").iter();
    let sources = sources.filter_map(|(n, v)| Some((named(n)?, Arc::new(relations_of(v)?))));
    let ignored = object("ignored").iter().filter_map(|(name, rules)| {
        let rule = |rule: &Value| {
            let word = |key: &str| rule[key].as_str().map(str::to_owned);
            Some(Ignored { tables: word("tables")?, because: word("because")? })
        };
        Some((named(name)?, rules.as_array()?.iter().filter_map(rule).collect()))
    });
    let unlearnt = object("unlearnt").iter();
    let unlearnt = unlearnt.filter_map(|(n, why)| Some((named(n)?, why.as_str()?.to_owned())));
    let (mut checks, mut proved) = (Vec::new(), BTreeMap::new());
    for one in value["checks"].as_array().into_iter().flatten() {
        let Some(check) = check(one) else { continue };
        let count = |key: &str| one[key].as_u64().unwrap_or(0);
        proved.insert(check.id.clone(), (count("series"), count("proved")));
        checks.push(Arc::new(check));
    }
    Known {
        dependencies: Dependencies { checks, sources: sources.collect() },
        proved,
        ignored: ignored.collect(),
        unlearnt: unlearnt.collect(),
    }
}
