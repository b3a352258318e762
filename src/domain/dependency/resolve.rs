//! Which relation or function a name means, by the rules of its engine.

use std::collections::BTreeMap;

use crate::domain::dependency::{ObjectName, SourceRelations};
use crate::domain::sql::Engine;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant<'r> {
    /// A relation.
    Relation(&'r ObjectName),
    /// Something of the engine itself.
    System,
    /// Nothing that the role can see.
    Nothing,
}

/// What the name of a function means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called<'r> {
    /// One that the database's users made.
    Function(&'r ObjectName),
    /// One of several: which, depends on types.
    Several,
    /// One that the engine brought along.
    Own,
    /// One that the role cannot see.
    Unseen,
}

/// Finds what names mean in a source.
#[derive(Debug)]
pub struct Resolver<'r> {
    known: &'r SourceRelations,
    relations: BTreeMap<(String, String), &'r ObjectName>,
    functions: BTreeMap<(String, String), &'r ObjectName>,
}

impl<'r> Resolver<'r> {
    /// Prepares to find names in what was learnt.
    pub fn new(known: &'r SourceRelations) -> Self {
        let key = |name: &'r ObjectName| ((known.key(&name.schema), known.key(&name.name)), name);
        // Functions have no case in MySQL, whatever tables have.
        let function = |name: &'r ObjectName| {
            let own = match known.engine {
                Engine::Postgres => name.name.clone(),
                Engine::MySql | Engine::Sqlite => name.name.to_lowercase(),
            };
            ((known.key(&name.schema), own), name)
        };
        Self {
            known,
            relations: known.relations.keys().map(key).collect(),
            functions: known.functions.keys().map(function).collect(),
        }
    }

    /// The relation that a name means, looked for in `path` where it has no schema.
    pub fn relation(&self, name: &[String], path: &[String]) -> Meant<'r> {
        let find = |schema: &str, name: &str| {
            self.relations.get(&(self.known.key(schema), self.known.key(name))).copied()
        };
        let found = match name {
            [one] => path.iter().find_map(|schema| match find(schema, one) {
                Some(found) => Some(Meant::Relation(found)),
                None => self.is_system(schema, one).then_some(Meant::System),
            }),
            [.., schema, one] => self.schema(schema).and_then(|schema| match find(schema, one) {
                Some(found) => Some(Meant::Relation(found)),
                None => self.is_system(schema, one).then_some(Meant::System),
            }),
            [] => None,
        };
        found.unwrap_or(Meant::Nothing)
    }

    /// What a name would mean if there were not what it means, where that is another relation.
    pub fn namesake(
        &self,
        name: &[String],
        meant: &ObjectName,
        path: &[String],
    ) -> Option<&'r ObjectName> {
        let [_] = name else { return None };
        let later = path.iter().skip_while(|schema| **schema != meant.schema).skip(1);
        let later: Vec<String> = later.cloned().collect();
        match self.relation(name, &later) {
            Meant::Relation(other) => Some(other),
            Meant::System | Meant::Nothing => None,
        }
    }

    /// The function that a name means, where the engine did not bring it along; nothing where several schemas have one:
    /// which is called depends on types.
    pub fn function(&self, name: &[String], path: &[String]) -> Called<'r> {
        let find = |schema: &str, name: &str| {
            let own = match self.known.engine {
                Engine::Postgres => name.to_owned(),
                Engine::MySql | Engine::Sqlite => name.to_lowercase(),
            };
            self.functions.get(&(self.known.key(schema), own)).copied()
        };
        match name {
            [one] => {
                let mut all = path.iter().filter_map(|schema| find(schema, one));
                match (all.next(), all.next()) {
                    (Some(_), Some(_)) => Called::Several,
                    (Some(found), None) => Called::Function(found),
                    (None, _) => Called::Own,
                }
            }
            [.., schema, _] if self.is_system(schema, "") => Called::Own,
            [.., schema, one] => match find(schema, one) {
                Some(found) => Called::Function(found),
                None => Called::Unseen,
            },
            [] => Called::Own,
        }
    }

    /// A file has one schema, whatever it is called by.
    fn schema<'n>(&self, schema: &'n str) -> Option<&'n str> {
        match self.known.engine {
            Engine::Sqlite if schema.eq_ignore_ascii_case("main") => Some(""),
            Engine::Sqlite => None,
            Engine::Postgres | Engine::MySql => Some(schema),
        }
    }

    fn is_system(&self, schema: &str, name: &str) -> bool {
        match self.known.engine {
            Engine::Postgres => match schema {
                "pg_catalog" => name.is_empty() || self.known.system.contains(name),
                schema => schema == "information_schema",
            },
            Engine::MySql => ["information_schema", "mysql", "performance_schema", "sys"]
                .iter()
                .any(|system| schema.eq_ignore_ascii_case(system)),
            Engine::Sqlite => {
                let name = name.to_lowercase();
                name.starts_with("sqlite_") || name.starts_with("pragma_")
            }
        }
    }
}

impl SourceRelations {
    fn key(&self, name: &str) -> String {
        if self.folds_case { name.to_lowercase() } else { name.to_owned() }
    }
}
