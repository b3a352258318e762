//! What dependencies are asked for: what goes dark, who looks at a table, and which tables no check reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::check::Severity;
use crate::domain::check::name::{Owner, SourceName};
use crate::domain::check::nearest::suggestion;
use crate::domain::dependency::graph::{CheckUses, Dependencies, Named, Node};
use crate::domain::dependency::{How, Object, ObjectName, may_be_one};

/// What may die.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A source as a whole.
    Source(SourceName),
    /// A server that rows of a source come from.
    Server(String),
    /// A relation or a function.
    Object(Node),
}

/// What goes dark with something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dead {
    /// Checks that can be asked no more.
    pub dark: Vec<Arc<CheckUses>>,
    /// Checks that go on: over less, over what grows old, or over another table of the name.
    pub lessened: Vec<Arc<CheckUses>>,
    /// Checks of which it is not known, and why.
    pub unknown: Vec<(Arc<CheckUses>, BTreeSet<String>)>,
}

/// How many critical checks, of whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toll {
    /// How many checks there are.
    pub checks: usize,
    /// How many of them are critical.
    pub critical: usize,
    /// The owners of those that are critical.
    pub owners: BTreeSet<Owner>,
}

impl Toll {
    /// Counts checks.
    pub fn of<'c>(checks: impl Iterator<Item = (Severity, &'c Owner)>) -> Self {
        let mut toll = Self::default();
        for (severity, owner) in checks {
            toll.checks += 1;
            if severity == Severity::Critical {
                toll.critical += 1;
                toll.owners.insert(owner.clone());
            }
        }
        toll
    }

    /// In words: `12 checks, 3 critical of billing and shop`.
    pub fn words(&self) -> String {
        let plural = |count: usize, what: &str| {
            if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
        };
        let all = plural(self.checks, "check");
        if self.critical == 0 {
            return format!("{all}, none critical");
        }
        const SHOWN: usize = 5;
        let mut owners: Vec<String> =
            self.owners.iter().take(SHOWN).map(ToString::to_string).collect();
        if let Some(more) = self.owners.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            owners.push(format!("{more} more owners"));
        }
        let last = owners.pop().unwrap_or_default();
        let owners =
            if owners.is_empty() { last } else { format!("{} and {last}", owners.join(", ")) };
        format!("{all}, {} critical of {owners}", self.critical)
    }
}

/// A relation that no check reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// Its source.
    pub source: SourceName,
    /// Its name.
    pub name: ObjectName,
    /// How large it is, where the engine keeps that.
    pub bytes: Option<u64>,
    /// When it was written last, where that is known.
    pub written_at: Option<DateTime<Utc>>,
}

/// Tables that need no check, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Their names, with `*` for any characters: `audit_*`, `staging.*`.
    pub tables: String,
    /// Why.
    pub because: String,
}

impl Ignored {
    /// Says whether it means a relation, by its name or by its name with its schema.
    pub fn means(&self, name: &ObjectName) -> bool {
        fits(&self.tables, &name.name) || fits(&self.tables, &name.to_string())
    }
}

fn with_hint(message: String, hint: &str) -> String {
    if hint.is_empty() { message } else { format!("{message}; {hint}") }
}

/// Says whether a text fits a pattern in which `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// How many tables of a source checks reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How many are reached.
    pub covered: usize,
    /// How many have rows, as far as is known, and are reached by none.
    pub uncovered: usize,
    /// How many the settings name as such that need no check.
    pub ignored: usize,
}

impl Dependencies {
    /// Finds what a word means: a source, `foreign:SERVER`, or a relation, with its schema or `SOURCE:` before it where
    /// there are several of the name.
    ///
    /// # Errors
    /// Where it means nothing, or several things.
    pub fn find(&self, word: &str) -> Result<Target, String> {
        if word.trim().is_empty() {
            return Err("name a table, a source, or `foreign:SERVER`".to_owned());
        }
        if let Some(source) = self.sources.keys().find(|source| source.as_str() == word) {
            return Ok(Target::Source(source.clone()));
        }
        // A source that was not learnt yet is known by its checks.
        let named = self.checks.iter().flat_map(|check| &check.sources);
        if let Some(source) = named.clone().find(|source| source.as_str() == word) {
            return Ok(Target::Source(source.clone()));
        }
        if let Some(server) = word.strip_prefix("foreign:") {
            let known: BTreeSet<&str> =
                self.sources.values().flat_map(|s| s.servers.keys()).map(String::as_str).collect();
            if known.contains(server) {
                return Ok(Target::Server(server.to_owned()));
            }
            let known: Vec<&str> = known.into_iter().collect();
            let hint = suggestion(server, &known).unwrap_or_default();
            return Err(with_hint(format!("no source has a foreign server `{server}`"), &hint));
        }
        let (wanted, name) = match word.split_once(':') {
            Some((source, name)) => (Some(source), name),
            None => (None, word),
        };
        let all = self.sources.iter().filter(|(s, _)| wanted.is_none_or(|w| w == s.as_str()));
        let all = all.flat_map(|(source, known)| {
            let relations = known.relations.keys().map(|name| Object::Relation(name.clone()));
            let functions = known.functions.keys().map(|name| Object::Function(name.clone()));
            relations.chain(functions).map(move |object| (source.clone(), object))
        });
        let all: Vec<Node> = all.collect();
        let is = |node: &&Node, same: fn(&str, &str) -> bool| match &node.1 {
            Object::Relation(own) => same(&own.to_string(), name) || same(&own.name, name),
            Object::Function(own) => {
                let own = [format!("{own}()"), format!("{}()", own.name)];
                own.iter().any(|own| same(own, name))
            }
            Object::Server(_) => false,
        };
        let mut found: Vec<&Node> = all.iter().filter(|node| is(node, |a, b| a == b)).collect();
        if found.is_empty() {
            found = all.iter().filter(|node| is(node, str::eq_ignore_ascii_case)).collect();
        }
        match found.as_slice() {
            [one] => Ok(Target::Object((*one).clone())),
            [] => {
                let known: BTreeSet<String> = all.iter().map(|(_, o)| o.to_string()).collect();
                let sources = self.sources.keys().map(ToString::to_string);
                let known: Vec<String> = known.into_iter().chain(sources).collect();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let hint = suggestion(word, &known).unwrap_or_default();
                Err(with_hint(format!("no source and no table is called `{word}`"), &hint))
            }
            several => {
                let names: Vec<String> =
                    several.iter().map(|(s, object)| format!("`{s}:{object}`")).collect();
                Err(format!("`{word}` is several: say which, {}", names.join(" or ")))
            }
        }
    }

    /// What goes dark with something.
    pub fn dead(&self, target: &Target) -> Dead {
        let is_source = |name: &SourceName| matches!(target, Target::Source(dead) if dead == name);
        let mut dead: BTreeSet<Node> = BTreeSet::new();
        match target {
            Target::Object(node) => self.with_parts(node, &mut dead),
            Target::Server(server) => dead.extend(self.servers(|name, _| name == server)),
            Target::Source(source) => {
                let at = self.sources.get(source).map(|known| known.address.clone());
                dead.extend(self.servers(|_, address| at.as_deref() == Some(address)));
            }
        }
        // A server that does not answer is there: what it brings cannot be done without.
        let breaks = match target {
            Target::Object(_) => How::breaks,
            Target::Source(_) | Target::Server(_) => How::breaks_unanswered,
        };
        let (broken, lessened) = self.above(dead, breaks);
        let doubtful = self.doubtful(target);
        let mut answer = Dead::default();
        for check in &self.checks {
            let asks = check.sources.iter().any(is_source);
            let gone = |(node, _): &(&Node, &Named)| broken.contains(*node);
            // Another relation of the name is taken for it then.
            let fails = |(node, named): (&Node, &Named)| {
                let other = named.namesake.clone().map(|n| (node.0.clone(), Object::Relation(n)));
                other.is_none_or(|other| broken.contains(&other))
            };
            if asks || check.uses.iter().filter(gone).any(fails) {
                answer.dark.push(Arc::clone(check));
                continue;
            }
            let (reach, mut unknown) = self.reach(check);
            let may_be = doubtful.iter().filter(|(node, _)| reach.contains(node));
            unknown.extend(may_be.map(|(_, why)| why.clone()));
            let lessens = |(node, _): &(&Node, &Named)| lessened.contains(*node);
            if check.uses.iter().any(|one| gone(&one) || lessens(&one)) {
                answer.lessened.push(Arc::clone(check));
            }
            if !unknown.is_empty() {
                answer.unknown.push((Arc::clone(check), unknown));
            }
        }
        answer
    }

    /// Servers that may be a source under another name.
    fn doubtful(&self, target: &Target) -> Vec<(Node, String)> {
        let Target::Source(source) = target else { return Vec::new() };
        let Some(here) = self.sources.get(source).map(|known| &known.address) else {
            return Vec::new();
        };
        let all = self.sources.iter().flat_map(|(source, known)| {
            known.servers.iter().map(move |(name, address)| (source, name, address))
        });
        let all = all.filter(|(_, _, address)| may_be_one(here, address));
        all.map(|(of, name, address)| {
            let node = (of.clone(), Object::Server(name.clone()));
            let why =
                format!("whether foreign:{name} at {address} is `{source}` under another name");
            (node, why)
        })
        .collect()
    }

    /// Something with its parts: they go with their whole.
    fn with_parts(&self, node: &Node, all: &mut BTreeSet<Node>) {
        if !all.insert(node.clone()) {
            return;
        }
        for (how, below) in self.below(node) {
            if how == How::Partition {
                self.with_parts(&below, all);
            }
        }
    }

    /// How many checks go dark with a source.
    pub fn toll(&self, source: &SourceName) -> Toll {
        let at = self.sources.get(source).map(|known| known.address.clone());
        let servers = self.servers(|_, address| at.as_deref() == Some(address));
        let broken = if servers.is_empty() {
            BTreeSet::new()
        } else {
            self.above(servers.into_iter().collect(), How::breaks_unanswered).0
        };
        let goes = |check: &&Arc<CheckUses>| {
            check.sources.contains(source) || check.uses.keys().any(|node| broken.contains(node))
        };
        let dark = self.checks.iter().filter(goes);
        Toll::of(dark.map(|check| (check.severity, &check.owner)))
    }

    fn servers(&self, is: impl Fn(&str, &str) -> bool) -> Vec<Node> {
        let all = self.sources.iter().flat_map(|(source, known)| {
            known.servers.iter().map(move |(name, address)| (source, name, address))
        });
        all.filter(|(_, name, address)| is(name, address))
            .map(|(source, name, _)| (source.clone(), Object::Server(name.clone())))
            .collect()
    }

    /// The checks that look at an object, and where each names it or what shows it.
    pub fn looked_at_by(&self, node: &Node) -> Vec<(Arc<CheckUses>, BTreeSet<Node>)> {
        let (broken, lessened) = self.above(BTreeSet::from([node.clone()]), How::breaks);
        let touched: BTreeSet<Node> = broken.union(&lessened).cloned().collect();
        let through = |check: &Arc<CheckUses>| {
            let nodes: BTreeSet<Node> =
                check.uses.keys().filter(|node| touched.contains(*node)).cloned().collect();
            (!nodes.is_empty()).then(|| (Arc::clone(check), nodes))
        };
        self.checks.iter().filter_map(through).collect()
    }

    /// The relations with data of their own that no check reaches, largest first, and how many are reached.
    pub fn coverage(
        &self,
        ignored: &BTreeMap<SourceName, Vec<Ignored>>,
    ) -> (Vec<Uncovered>, BTreeMap<SourceName, Coverage>) {
        let mut reached: BTreeSet<Node> = BTreeSet::new();
        let mut next: Vec<Node> =
            self.checks.iter().flat_map(|check| check.uses.keys().cloned()).collect();
        while let Some(node) = next.pop() {
            if reached.contains(&node) {
                continue;
            }
            next.extend(self.below(&node).into_iter().map(|(_, below)| below));
            reached.insert(node);
        }
        let mut open = Vec::new();
        let mut counts: BTreeMap<SourceName, Coverage> = BTreeMap::new();
        for (source, known) in &self.sources {
            let count = counts.entry(source.clone()).or_default();
            let parts: BTreeSet<&Object> = known
                .edges
                .values()
                .flatten()
                .filter(|(how, _)| *how == How::Partition)
                .map(|(_, part)| part)
                .collect();
            for (name, relation) in &known.relations {
                let object = Object::Relation(name.clone());
                // A part is looked at with its whole.
                if !relation.kind.is_base() || parts.contains(&object) {
                    continue;
                }
                let rules = ignored.get(source).into_iter().flatten();
                let parts_of = || {
                    let mut parts =
                        known.read_by(&object).filter(|(how, _)| *how == How::Partition);
                    parts.any(|(_, part)| reached.contains(&(source.clone(), part.clone())))
                };
                if reached.contains(&(source.clone(), object.clone())) || parts_of() {
                    count.covered += 1;
                } else if rules.clone().any(|rule| rule.means(name)) {
                    count.ignored += 1;
                } else if relation.has_rows != Some(false) {
                    count.uncovered += 1;
                    open.push(Uncovered {
                        source: source.clone(),
                        name: name.clone(),
                        bytes: relation.bytes,
                        written_at: relation.written_at,
                    });
                }
            }
        }
        open.sort_by(|one, other| {
            let key = |u: &Uncovered| (u.bytes.unwrap_or(0), u.written_at);
            key(other)
                .cmp(&key(one))
                .then_with(|| (&one.source, &one.name).cmp(&(&other.source, &other.name)))
        });
        (open, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, wanted) in [
            ("audit_*", "audit_log", true),
            ("audit_*", "x_audit_log", false),
            ("*_tmp", "a_tmp", true),
            ("staging.*", "staging.a", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
        }
    }

    use crate::domain::check::name::CheckId;
    use crate::domain::dependency::SourceRelations;
    use crate::domain::dependency::facts::{Fact, read};
    use crate::domain::dependency::graph::Named;
    use crate::domain::sql::Engine;

    fn source(name: &str) -> SourceName {
        SourceName::parse(name).unwrap()
    }

    fn learnt(here: &str, facts: &[&[&str]]) -> Arc<SourceRelations> {
        let fact = |words: &&[&str]| -> Fact {
            std::array::from_fn(|at| words.get(at).copied().unwrap_or_default().to_owned())
        };
        let facts: Vec<Fact> = facts.iter().map(fact).collect();
        Arc::new(read(&facts, Engine::Postgres, here.to_owned(), DateTime::UNIX_EPOCH))
    }

    /// A check of the source `db` that names one relation of `public`.
    fn check(id: &str, relation: &str) -> Arc<CheckUses> {
        let node = (source("db"), Object::Relation(ObjectName::new("public", relation)));
        Arc::new(CheckUses {
            id: CheckId::parse(id).unwrap(),
            owner: Owner::parse("shop").unwrap(),
            severity: Severity::Critical,
            sources: BTreeSet::from([source("db")]),
            uses: BTreeMap::from([(node, Named::default())]),
            unknown: BTreeSet::new(),
        })
    }

    fn ids(checks: &[Arc<CheckUses>]) -> Vec<&str> {
        checks.iter().map(|check| check.id.as_str()).collect()
    }

    #[test]
    fn without_a_server_a_table_fails_of_which_a_part_is_there_and_a_copy_goes_on() {
        let facts: [&[&str]; 9] = [
            &["relation", "public", "whole", "p"],
            &["relation", "public", "far", "f"],
            &["relation", "public", "copy", "m"],
            &["relation", "public", "view", "v"],
            &["reads", "public", "whole", "public", "far", "partition"],
            &["reads", "public", "copy", "public", "far", "matview"],
            &["reads", "public", "view", "public", "copy", "view"],
            &["server", "there", "10.0.0.5", "5432", "usage", "postgres_fdw"],
            &["foreign", "public", "far", "there"],
        ];
        let checks = ["whole", "far", "copy", "view"].map(|name| check(name, name)).to_vec();
        let mut graph = Dependencies {
            checks,
            sources: BTreeMap::from([(source("db"), learnt("10.0.0.4:5432/shop", &facts))]),
        };
        let dead = graph.dead(&graph.find("foreign:there").unwrap());
        assert_eq!(ids(&dead.dark), ["whole", "far"]);
        assert_eq!(ids(&dead.lessened), ["copy", "view"]);
        // Dropped, a part is missed by no one, and a copy goes with what it was made of.
        let dead = graph.dead(&graph.find("public.far").unwrap());
        assert_eq!(
            (ids(&dead.dark), ids(&dead.lessened)),
            (vec!["far", "copy", "view"], vec!["whole"])
        );
        // The server is a source, by its address or perhaps under another name.
        graph.sources.insert(source("usage"), learnt("10.0.0.5:5432/usage", &[]));
        let target = Target::Source(source("usage"));
        assert_eq!(ids(&graph.dead(&target).dark), ["whole", "far"]);
        graph.sources.insert(source("usage"), learnt("usage.internal:5432/usage", &[]));
        let dead = graph.dead(&target);
        let unknown: Vec<&str> = dead.unknown.iter().map(|(check, _)| check.id.as_str()).collect();
        assert_eq!((ids(&dead.dark), unknown), (Vec::new(), vec!["whole", "far", "copy", "view"]));
    }

    #[test]
    fn a_parent_without_rows_of_its_own_is_not_covered_where_its_children_have_some() {
        let facts: [&[&str]; 5] = [
            &["relation", "public", "parent", "r", "", "false"],
            &["relation", "public", "child", "r", "8192", "true"],
            &["relation", "public", "empty", "r", "", "false"],
            &["relation", "public", "numbers", "S"],
            &["reads", "public", "parent", "public", "child", "partition"],
        ];
        let sources = BTreeMap::from([(source("db"), learnt("h:1/d", &facts))]);
        let graph = Dependencies { checks: Vec::new(), sources };
        let (open, _) = graph.coverage(&BTreeMap::new());
        let open: Vec<(String, Option<u64>)> =
            open.into_iter().map(|one| (one.name.to_string(), one.bytes)).collect();
        assert_eq!(open, [("public.parent".to_owned(), Some(8_192))]);
    }
}
