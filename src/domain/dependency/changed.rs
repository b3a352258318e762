//! What changed underneath: a view or a function that is another one than before, though no check was touched.

use std::collections::BTreeSet;

use crate::domain::dependency::{Object, SourceRelations};

/// What changed of something that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What.
    pub object: Object,
    /// How it changed, in words.
    pub how: String,
}

/// Compares what was learnt of a source with what was learnt before.
pub fn changed(before: &SourceRelations, now: &SourceRelations) -> Vec<Changed> {
    let mut all = Vec::new();
    for (name, relation) in &now.relations {
        let Some(old) = before.relations.get(name) else { continue };
        let object = Object::Relation(name.clone());
        if relation.kind != old.kind {
            let how = format!(
                "`{name}` is a {} now, and was a {}",
                relation.kind.as_str(),
                old.kind.as_str()
            );
            all.push(Changed { object, how });
        } else if let Some(how) = reads_otherwise(before, now, &object) {
            all.push(Changed { object, how });
        } else if is_other(relation.definition.as_ref(), old.definition.as_ref()) {
            let how = format!("`{name}` is defined otherwise, over the same tables");
            all.push(Changed { object, how });
        } else if relation.remote != old.remote {
            let how = format!("the rows of `{name}` come from another place");
            all.push(Changed { object, how });
        }
    }
    for (name, function) in &now.functions {
        let Some(old) = before.functions.get(name) else { continue };
        let object = Object::Function(name.clone());
        if let Some(how) = reads_otherwise(before, now, &object) {
            all.push(Changed { object, how });
        } else if is_other(function.definition.as_ref(), old.definition.as_ref()) {
            all.push(Changed { object, how: format!("`{name}()` is defined otherwise") });
        }
    }
    for (name, address) in &now.servers {
        if before.servers.get(name).is_some_and(|old| old != address) {
            let how = format!("the foreign server `{name}` is at {address} now");
            all.push(Changed { object: Object::Server(name.clone()), how });
        }
    }
    all
}

fn is_other(now: Option<&String>, before: Option<&String>) -> bool {
    now.is_some() && before.is_some() && now != before
}

/// Says what something reads that it did not read, and the other way round. Parts of a table come and go.
fn reads_otherwise(
    before: &SourceRelations,
    now: &SourceRelations,
    object: &Object,
) -> Option<String> {
    // What could not be seen may be seen now: that is no change.
    if before.unknown.contains_key(object) != now.unknown.contains_key(object) {
        return None;
    }
    let read = |known: &SourceRelations| -> BTreeSet<Object> {
        let read = known.read_by(object).filter(|(how, _)| how.breaks());
        read.map(|(_, to)| to.clone()).collect()
    };
    let (old, new) = (read(before), read(now));
    let listed = |some: BTreeSet<&Object>| {
        some.into_iter().map(|object| format!("`{object}`")).collect::<Vec<_>>().join(", ")
    };
    let (more, less) = (new.difference(&old).collect(), old.difference(&new).collect());
    let (more, less): (BTreeSet<&Object>, BTreeSet<&Object>) = (more, less);
    match (more.is_empty(), less.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("`{object}` reads {} too now", listed(more))),
        (true, false) => Some(format!("`{object}` does not read {} any more", listed(less))),
        (false, false) => {
            Some(format!("`{object}` reads {} now, and not {}", listed(more), listed(less)))
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::dependency::facts::{Fact, read};
    use crate::domain::sql::Engine;

    /// What is said of two catalogues, each of them rows of words.
    fn said(before: &[&str], now: &[&str]) -> Vec<String> {
        let read = |rows: &[&str]| {
            let fact = |row: &&str| -> Fact {
                let words: Vec<&str> = row.split(' ').collect();
                std::array::from_fn(|at| words.get(at).copied().unwrap_or_default().to_owned())
            };
            let facts: Vec<Fact> = rows.iter().map(fact).collect();
            read(&facts, Engine::Postgres, "h:1/d".to_owned(), DateTime::UNIX_EPOCH)
        };
        let all = changed(&read(before), &read(now)).into_iter();
        all.map(|change| change.how).collect()
    }

    #[test]
    fn what_changes_underneath_is_told_once_and_what_is_new_or_seen_first_is_not() {
        let view = ["relation s v v", "relation s a r", "relation s b r"];
        let with = |more: &[&'static str]| [&view[..], more].concat();
        for (before, now, wanted) in [
            (with(&["reads s v s a view"]), with(&["reads s v s a view"]), ""),
            (
                with(&["reads s v s a view"]),
                with(&["reads s v s b view"]),
                "`s.v` reads `s.b` now, and not `s.a`",
            ),
            (
                with(&["reads s v s a view"]),
                with(&["reads s v s a view", "reads s v s b view"]),
                "`s.v` reads `s.b` too now",
            ),
            (with(&["reads s v s a view"]), with(&[]), "`s.v` does not read `s.a` any more"),
            (
                with(&["reads s v s a view", "definition s v 1"]),
                with(&["reads s v s a view", "definition s v 2"]),
                "`s.v` is defined otherwise, over the same tables",
            ),
            // Parts come and go; what is new was not there to change.
            (with(&[]), with(&["reads s a s b partition", "relation s new v"]), ""),
            // What could not be seen is seen now.
            (with(&["unknown s v why"]), with(&["reads s v s a view"]), ""),
            (
                vec!["relation s v v"],
                vec!["relation s v r"],
                "`s.v` is a table now, and was a view",
            ),
            (
                vec!["function s f sql false 1"],
                vec!["function s f sql false 2"],
                "`s.f()` is defined otherwise",
            ),
            (
                vec!["server x h1 1 d postgres_fdw"],
                vec!["server x h2 1 d postgres_fdw"],
                "the foreign server `x` is at h2:1/d now",
            ),
        ] {
            assert_eq!(said(&before, &now).join("; "), wanted, "{before:?} {now:?}");
        }
    }
}
