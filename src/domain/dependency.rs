//! What checks stand on: the relations of each source, as its own catalogue tells them, and what each of them reads.
//!
//! Nothing is guessed: what cannot be known is kept as unknown, and is never taken for "nothing".

pub mod graph;
pub mod answer;
pub mod changed;
pub mod facts;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};

use crate::domain::sql::Engine;

pub use resolve::Resolver;

/// The name of a relation or a function: its schema, empty where the engine has none, and its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The schema; the database in MySQL.
    pub schema: String,
    /// Its own name.
    pub name: String,
}

impl ObjectName {
    /// Puts a name together.
    pub fn new(schema: &str, name: &str) -> Self {
        Self { schema: schema.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_str() {
            "" => f.pad(&self.name),
            schema => f.pad(&format!("{schema}.{}", self.name)),
        }
    }
}

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelationKind {
    /// It has rows of its own.
    Table,
    /// Its rows are those of its partitions.
    Partitioned,
    /// A query that is run anew each time.
    View,
    /// What a query brought when it was run last.
    MaterializedView,
    /// Its rows are somewhere else.
    Foreign,
    /// A module of the engine makes its rows; of what, is not known.
    Virtual,
    /// It hands out numbers.
    Sequence,
}

impl RelationKind {
    /// The words for it.
    pub const WORDS: [(&str, Self); 7] = [
        ("table", Self::Table),
        ("partitioned table", Self::Partitioned),
        ("view", Self::View),
        ("materialised view", Self::MaterializedView),
        ("foreign table", Self::Foreign),
        ("virtual table", Self::Virtual),
        ("sequence", Self::Sequence),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        let word = Self::WORDS.iter().find(|(_, kind)| *kind == self);
        word.map_or("table", |(word, _)| word)
    }

    /// Says whether it keeps or brings data itself, and does not only show that of others.
    pub fn is_base(self) -> bool {
        match self {
            Self::Table | Self::Partitioned | Self::Foreign | Self::Virtual => true,
            Self::View | Self::MaterializedView | Self::Sequence => false,
        }
    }
}

/// A relation, as far as a catalogue tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// What it is.
    pub kind: RelationKind,
    /// How large it is, where the engine keeps that.
    pub bytes: Option<u64>,
    /// Whether it has rows, where that is known.
    pub has_rows: Option<bool>,
    /// What the engine counts of writes, or when it was written: another value than before says that it was written.
    pub writes: Option<String>,
    /// When it was written last, or was first seen to have been, where that is known.
    pub written_at: Option<DateTime<Utc>>,
    /// Its columns.
    pub columns: BTreeSet<String>,
    /// A digest of what defines it, for views.
    pub definition: Option<String>,
    /// Where its rows are: the server, and the name there.
    pub remote: Option<(String, ObjectName)>,
}

/// A function that the database's own users made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its language, as the engine calls it.
    pub language: String,
    /// A digest of what defines it.
    pub definition: Option<String>,
}

/// What reads or is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A table, a view and their like.
    Relation(ObjectName),
    /// A function.
    Function(ObjectName),
    /// A server that rows come from.
    Server(String),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relation(name) => name.fmt(f),
            Self::Function(name) => write!(f, "{name}()"),
            Self::Server(name) => write!(f, "foreign:{name}"),
        }
    }
}

/// How it is known that one thing reads another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// A check's own query names it.
    Query,
    /// A view reads it.
    View,
    /// A materialised view read it: the check proves a copy.
    MaterializedView,
    /// A function reads it.
    Function,
    /// It is where the rows of a foreign table are.
    Foreign,
    /// It is a part of a table: without it there is less, and nothing fails.
    Partition,
    /// A subscription writes it: without that it is there, and grows old.
    Subscription,
}

impl How {
    /// The words for it.
    pub const WORDS: [(&str, Self); 7] = [
        ("query", Self::Query),
        ("view", Self::View),
        ("matview", Self::MaterializedView),
        ("function", Self::Function),
        ("foreign", Self::Foreign),
        ("partition", Self::Partition),
        ("subscription", Self::Subscription),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        let word = Self::WORDS.iter().find(|(_, how)| *how == self);
        word.map_or("query", |(word, _)| word)
    }

    /// Says whether what reads fails where what is read is dropped, and what reads it with it.
    pub fn breaks(self) -> bool {
        match self {
            Self::Query | Self::View | Self::MaterializedView | Self::Function | Self::Foreign => {
                true
            }
            Self::Partition | Self::Subscription => false,
        }
    }

    /// Says whether what reads fails where what is read is there and does not answer: a copy is still a copy, and a
    /// table cannot do without a part.
    pub fn breaks_unanswered(self) -> bool {
        match self {
            Self::Query | Self::View | Self::Function | Self::Foreign | Self::Partition => true,
            Self::MaterializedView | Self::Subscription => false,
        }
    }
}

/// What the catalogue of a source tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRelations {
    /// The engine.
    pub engine: Engine,
    /// When it was asked.
    pub learnt_at: DateTime<Utc>,
    /// Where the source is, in the form of `servers`.
    pub address: String,
    /// Where names without a schema are looked for, in this order.
    pub path: Vec<String>,
    /// Whether names that differ in case are one.
    pub folds_case: bool,
    /// Relations of the engine itself that come before all others.
    pub system: BTreeSet<String>,
    /// The relations.
    pub relations: BTreeMap<ObjectName, Relation>,
    /// The functions.
    pub functions: BTreeMap<ObjectName, Function>,
    /// What each reads.
    pub edges: BTreeMap<Object, BTreeSet<(How, Object)>>,
    /// Where servers are from which rows come: `host:port/database`, as far as is known.
    pub servers: BTreeMap<String, String>,
    /// Of what it is not known, or not wholly, what it reads; and why, with the right that is lacking.
    pub unknown: BTreeMap<Object, String>,
}

impl SourceRelations {
    /// What nothing was learnt of yet.
    pub fn empty(engine: Engine, address: String, learnt_at: DateTime<Utc>) -> Self {
        Self {
            engine,
            learnt_at,
            address,
            path: Vec::new(),
            folds_case: engine == Engine::Sqlite,
            system: BTreeSet::new(),
            relations: BTreeMap::new(),
            functions: BTreeMap::new(),
            edges: BTreeMap::new(),
            servers: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// What an object reads.
    pub fn read_by(&self, object: &Object) -> impl Iterator<Item = &(How, Object)> {
        self.edges.get(object).into_iter().flatten()
    }

    /// Takes over when relations were seen to be written from what was learnt before.
    pub fn remember(&mut self, before: &Self) {
        for (name, relation) in &mut self.relations {
            let Some(old) = before.relations.get(name) else { continue };
            let is_known = relation.writes.is_some() && old.writes.is_some();
            if relation.written_at.is_some() || !is_known {
                continue;
            }
            let is_same = relation.writes == old.writes;
            relation.written_at = if is_same { old.written_at } else { Some(self.learnt_at) };
        }
    }
}

/// Says whether two places may be one under two names: the same database at the same port.
pub fn may_be_one(one: &str, other: &str) -> bool {
    let end = |address: &str| address.rsplit_once(':').map(|(_, end)| end.to_owned());
    one != other && end(one).is_some() && end(one) == end(other)
}

/// Says where a server is, so that two ways to write one place are one.
pub fn address(host: &str, port: u16, database: &str) -> String {
    let host = match host {
        "" | "localhost" | "::1" | "[::1]" => "127.0.0.1".to_owned(),
        host => host.to_lowercase(),
    };
    format!("{host}:{port}/{database}")
}
