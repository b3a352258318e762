//! Checks over what their queries name, and what that reads in turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::domain::check::name::{CheckId, Owner, SourceName};
use crate::domain::check::{Check, Severity};
use crate::domain::dependency::resolve::{Called, Meant, Resolver};
use crate::domain::dependency::{How, Object, ObjectName, SourceRelations};
use crate::domain::sql::Query;
use crate::domain::sql::names::Names;

/// An object of a source.
pub type Node = (SourceName, Object);

/// A check, and what its own queries name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckUses {
    /// The check.
    pub id: CheckId,
    /// Whose it is.
    pub owner: Owner,
    /// How bad it is.
    pub severity: Severity,
    /// The sources that it asks.
    pub sources: BTreeSet<SourceName>,
    /// What its queries name.
    pub uses: BTreeMap<Node, Named>,
    /// What is not known of it, and why.
    pub unknown: BTreeSet<String>,
}

/// How a check's queries name something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The columns of it that they name too.
    pub columns: BTreeSet<String>,
    /// What the name would mean without it, where that is another relation.
    pub namesake: Option<ObjectName>,
}

/// What each check stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// The checks, by id.
    pub checks: Vec<Arc<CheckUses>>,
    /// What was learnt of each source.
    pub sources: BTreeMap<SourceName, Arc<SourceRelations>>,
}

/// The query of a source that says how far its data is complete: each of its checks asks it.
pub type Asked<'q> = BTreeMap<SourceName, &'q Query>;

impl Dependencies {
    /// Puts together what checks name and what was learnt of the sources.
    pub fn of<'c>(
        checks: impl Iterator<Item = &'c Arc<Check>>,
        asked_first: &Asked<'_>,
        sources: BTreeMap<SourceName, Arc<SourceRelations>>,
    ) -> Self {
        let resolvers: BTreeMap<&SourceName, Resolver<'_>> =
            sources.iter().map(|(name, known)| (name, Resolver::new(known))).collect();
        let of = |check: &Arc<Check>| Arc::new(uses(check, asked_first, &sources, &resolvers));
        let mut checks: Vec<Arc<CheckUses>> = checks.map(of).collect();
        checks.sort_by(|one, other| one.id.cmp(&other.id));
        drop(resolvers);
        Self { checks, sources }
    }

    /// What an object reads, also at another source where its rows are there.
    pub fn below(&self, (source, object): &Node) -> Vec<(How, Node)> {
        let Some(known) = self.sources.get(source) else { return Vec::new() };
        let mut all: Vec<(How, Node)> =
            known.read_by(object).map(|(how, to)| (*how, (source.clone(), to.clone()))).collect();
        if let Object::Relation(name) = object
            && let Some((server, there)) = known.relations.get(name).and_then(|r| r.remote.as_ref())
            && let Some(at) = known.servers.get(server)
        {
            let theirs = self.sources.iter().filter(|(_, other)| other.address == *at);
            let found = theirs.filter(|(_, other)| other.relations.contains_key(there));
            all.extend(
                found.map(|(name, _)| {
                    (How::Foreign, (name.clone(), Object::Relation(there.clone())))
                }),
            );
        }
        all
    }

    /// Everything that a check stands on, and why something of it is not known.
    pub fn reach(&self, check: &CheckUses) -> (BTreeSet<Node>, BTreeSet<String>) {
        let mut seen: BTreeSet<Node> = check.uses.keys().cloned().collect();
        let mut next: VecDeque<Node> = seen.iter().cloned().collect();
        let mut unknown = check.unknown.clone();
        while let Some(node) = next.pop_front() {
            let (source, object) = &node;
            let why = self.sources.get(source).and_then(|known| known.unknown.get(object));
            unknown.extend(why.map(|why| format!("what `{object}` of `{source}` reads: {why}")));
            for (_, below) in self.below(&node) {
                if seen.insert(below.clone()) {
                    next.push_back(below);
                }
            }
        }
        (seen, unknown)
    }

    /// Everything that stands on some nodes, those among them: what fails with them by one rule, and what goes on over less.
    pub fn above(
        &self,
        dead: BTreeSet<Node>,
        breaks: fn(How) -> bool,
    ) -> (BTreeSet<Node>, BTreeSet<Node>) {
        let mut readers: BTreeMap<Node, Vec<(How, Node)>> = BTreeMap::new();
        for (source, known) in &self.sources {
            let objects = known.edges.keys().cloned();
            let foreign = known.relations.iter().filter(|(_, relation)| relation.remote.is_some());
            let foreign = foreign.map(|(name, _)| Object::Relation(name.clone()));
            let all: BTreeSet<Object> = objects.chain(foreign).collect();
            for object in all {
                let node = (source.clone(), object);
                for (how, below) in self.below(&node) {
                    readers.entry(below).or_default().push((how, node.clone()));
                }
            }
        }
        let close = |mut seen: BTreeSet<Node>, wanted: &dyn Fn(How) -> bool| {
            let mut next: VecDeque<Node> = seen.iter().cloned().collect();
            while let Some(node) = next.pop_front() {
                for (how, reader) in readers.get(&node).into_iter().flatten() {
                    if wanted(*how) && seen.insert(reader.clone()) {
                        next.push_back(reader.clone());
                    }
                }
            }
            seen
        };
        let broken = close(dead, &breaks);
        let touched = close(broken.clone(), &|_| true);
        let lessened = touched.difference(&broken).cloned().collect();
        (broken, lessened)
    }
}

fn uses(
    check: &Check,
    asked_first: &Asked<'_>,
    sources: &BTreeMap<SourceName, Arc<SourceRelations>>,
    resolvers: &BTreeMap<&SourceName, Resolver<'_>>,
) -> CheckUses {
    let mut uses = CheckUses {
        id: check.id.clone(),
        owner: check.owner.clone(),
        severity: check.severity,
        sources: check.sources().into_iter().cloned().collect(),
        uses: BTreeMap::new(),
        unknown: BTreeSet::new(),
    };
    let mut queries = check.queries_by_source();
    if check.freshness.complete_until.is_none() {
        let first = check.sources_asked().into_iter();
        queries.extend(first.filter_map(|source| asked_first.get(source).map(|q| (source, *q))));
    }
    for (source, query) in queries {
        let (Some(known), Some(resolver)) = (sources.get(source), resolvers.get(source)) else {
            uses.unknown.insert(format!("what it asks `{source}`: that was not learnt yet"));
            continue;
        };
        let names = match Names::of(query) {
            Ok(names) => names,
            Err(why) => {
                uses.unknown
                    .insert(format!("what it asks `{source}`: it does not parse here: {why}"));
                continue;
            }
        };
        let hidden = names.hides(known.engine);
        uses.unknown.extend(hidden.map(|why| format!("what it asks `{source}`: {why}")));
        for name in &names.relations {
            match resolver.relation(name, &known.path) {
                Meant::Relation(found) => {
                    let columns = known.relations.get(found).map(|relation| &relation.columns);
                    let named = columns.into_iter().flatten().filter(|column| {
                        let same = |word: &String| word.eq_ignore_ascii_case(column);
                        names.words.contains(*column)
                            || known.folds_case && names.words.iter().any(same)
                    });
                    let named: BTreeSet<String> = named.cloned().collect();
                    let node = (source.clone(), Object::Relation(found.clone()));
                    let is_first = !uses.uses.contains_key(&node);
                    let named_here = uses.uses.entry(node).or_default();
                    named_here.columns.extend(named);
                    let namesake = resolver.namesake(name, found, &known.path);
                    // Where it lacks a column that is named, the query fails.
                    let fits = |other: &&ObjectName| {
                        let other = known.relations.get(*other);
                        other.is_some_and(|other| named_here.columns.is_subset(&other.columns))
                    };
                    let namesake = namesake.filter(fits).cloned();
                    // One mention that would fail is enough for the check to fail.
                    let is_agreed = is_first || named_here.namesake == namesake;
                    named_here.namesake = namesake.filter(|_| is_agreed);
                }
                Meant::System => {}
                Meant::Nothing => {
                    let name = name.join(".");
                    uses.unknown.insert(format!(
                        "`{name}` of `{source}`: it is not there, or the role may not see it"
                    ));
                }
            }
        }
        take_functions(&mut uses, &names, (source, known), resolver);
    }
    uses
}

/// Takes what the query of a check calls.
fn take_functions(
    uses: &mut CheckUses,
    names: &Names,
    (source, known): (&SourceName, &SourceRelations),
    resolver: &Resolver<'_>,
) {
    for name in &names.functions {
        let shown = name.join(".");
        match resolver.function(name, &known.path) {
            Called::Function(found) => {
                let node = (source.clone(), Object::Function(found.clone()));
                uses.uses.entry(node).or_default();
            }
            Called::Several => drop(uses.unknown.insert(format!(
                "`{shown}()` of `{source}`: several schemas of the search path have one"
            ))),
            Called::Unseen => drop(uses.unknown.insert(format!(
                "`{shown}()` of `{source}`: it is not there, or the role may not see it"
            ))),
            Called::Own => {}
        }
    }
}
