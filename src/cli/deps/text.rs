//! Answers for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::cli::deps::Known;
use crate::domain::check::Severity;
use crate::domain::dependency::answer::{Coverage, Dead, Toll};
use crate::domain::dependency::graph::{CheckUses, Dependencies, Node};
use crate::domain::dependency::{Object, RelationKind};

fn headed(check: &CheckUses) -> String {
    format!("{}  ({}, {})", check.id, check.severity, check.owner)
}

fn columns(columns: &BTreeSet<String>) -> String {
    if columns.is_empty() {
        return String::new();
    }
    format!(": {}", columns.iter().cloned().collect::<Vec<_>>().join(", "))
}

fn kind(all: &Dependencies, (source, object): &Node) -> Option<RelationKind> {
    let Object::Relation(name) = object else { return None };
    Some(all.sources.get(source)?.relations.get(name)?.kind)
}

/// An object with what it is, where that is more than a table.
fn shown(all: &Dependencies, node: &Node, home: Option<&str>) -> String {
    let (source, object) = node;
    let mut text = object.to_string();
    if let Some(known) = all.sources.get(source)
        && let Object::Server(name) = object
        && let Some(at) = known.servers.get(name)
    {
        let _ = write!(text, " at {at}");
    }
    if home.is_some_and(|home| home != source.as_str()) {
        let _ = write!(text, " of source `{source}`");
    }
    match kind(all, node) {
        Some(kind) if kind != RelationKind::Table => format!("{text}  ({})", kind.as_str()),
        Some(_) | None => text,
    }
}

/// What each check stands on, as trees.
pub(super) fn tree(all: &Dependencies, checks: &[Arc<CheckUses>]) -> String {
    let mut out = String::new();
    for check in checks {
        let _ = writeln!(out, "{}", headed(check));
        let home = match check.sources.iter().collect::<Vec<_>>().as_slice() {
            [one] => Some(one.as_str()),
            _ => Some(""),
        };
        for (node, named) in &check.uses {
            let _ = writeln!(out, "  {}  query{}", shown(all, node, home), columns(&named.columns));
            let mut above = BTreeSet::from([node.clone()]);
            branch(all, node, home, 2, &mut above, &mut out);
        }
        for why in all.reach(check).1 {
            let _ = writeln!(out, "  not known: {why}");
        }
    }
    let copies = copies(all, checks);
    if !copies.is_empty() {
        out.push_str(
            "\nThese are copies. A check proves the copy, which is as old as its last refresh:\n",
        );
        for copy in copies {
            let _ = writeln!(out, "  {copy}");
        }
    }
    if checks.is_empty() {
        out.push_str("there are no checks\n");
    }
    out
}

fn branch(
    all: &Dependencies,
    node: &Node,
    home: Option<&str>,
    depth: usize,
    above: &mut BTreeSet<Node>,
    out: &mut String,
) {
    for (how, below) in all.below(node) {
        let _ = writeln!(
            out,
            "{:indent$}{}  {}",
            "",
            shown(all, &below, home),
            how.as_str(),
            indent = depth * 2
        );
        if above.insert(below.clone()) {
            branch(all, &below, home, depth + 1, above, out);
            above.remove(&below);
        }
    }
}

/// Materialised views that checks stand on, with when they were seen to be refreshed.
fn copies(all: &Dependencies, checks: &[Arc<CheckUses>]) -> BTreeSet<String> {
    let mut copies = BTreeSet::new();
    for check in checks {
        for node in all.reach(check).0 {
            if kind(all, &node) != Some(RelationKind::MaterializedView) {
                continue;
            }
            let (source, object) = &node;
            let Object::Relation(name) = object else { continue };
            let relation = all.sources.get(source).and_then(|known| known.relations.get(name));
            let at = relation.and_then(|relation| relation.written_at);
            copies.insert(match at {
                Some(at) => format!("{source}: {name}, seen to be refreshed at {}", minute(at)),
                None => format!("{source}: {name}, not seen to be refreshed since it is known"),
            });
        }
    }
    copies
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Which checks look at a table.
pub(super) fn table(known: &Known, node: &Node) -> String {
    let all = known.dependencies.looked_at_by(node);
    let mut out = String::new();
    let (source, object) = node;
    let looks = if all.len() == 1 { "check looks" } else { "checks look" };
    let _ = writeln!(out, "{} {looks} at {object} of source `{source}`", all.len());
    for (check, through) in &all {
        let _ = write!(out, "  {}", headed(check));
        match check.uses.get(node) {
            Some(named) => out.push_str(&columns(&named.columns)),
            None => {
                let names: Vec<String> = through.iter().map(|(_, o)| o.to_string()).collect();
                let _ = write!(out, ": by way of {}", names.join(", "));
            }
        }
        if let Some((series, proved)) = known.proved.get(&check.id) {
            let _ = write!(out, "  [{proved} of {series} proved now]");
        }
        out.push('\n');
    }
    let unknown: Vec<&CheckUses> = known
        .dependencies
        .checks
        .iter()
        .map(AsRef::as_ref)
        .filter(|check| !all.iter().any(|(seen, _)| seen.id == check.id))
        .filter(|check| !known.dependencies.reach(check).1.is_empty())
        .collect();
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.iter().map(|check| check.id.as_str()).collect();
        let _ =
            writeln!(out, "not known of {}: {}", count(names.len(), "more check"), some(&names));
    }
    out
}

fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn some(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let more = names.len().saturating_sub(SHOWN);
    let text = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if more == 0 { text } else { format!("{text}, and {more} more") }
}

/// What goes dark, by owner, the worst first.
pub(super) fn dead(dead: &Dead, word: &str) -> String {
    let mut out = String::new();
    let toll = Toll::of(dead.dark.iter().map(|check| (check.severity, &check.owner)));
    let go = if toll.checks == 1 { "goes" } else { "go" };
    let _ = match toll.checks {
        0 => writeln!(out, "Without {word} no check goes dark, as far as is known"),
        _ => writeln!(out, "Without {word}: {} {go} dark", toll.words()),
    };
    for severity in Severity::ALL {
        let owners: BTreeSet<_> = dead
            .dark
            .iter()
            .filter(|check| check.severity == severity)
            .map(|check| &check.owner)
            .collect();
        for owner in owners {
            let ids: Vec<&str> = dead
                .dark
                .iter()
                .filter(|check| check.severity == severity && check.owner == *owner)
                .map(|check| check.id.as_str())
                .collect();
            let _ = writeln!(out, "  {severity}, {owner}: {}", ids.join(", "));
        }
    }
    if !dead.lessened.is_empty() {
        let ids: Vec<&str> = dead.lessened.iter().map(|check| check.id.as_str()).collect();
        let _ = writeln!(
            out,
            "{} would go on, over less data, over data that grows old, or over another table of the name: {}",
            count(ids.len(), "check"),
            some(&ids)
        );
    }
    if !dead.unknown.is_empty() {
        let _ = writeln!(out, "Not known of {}:", count(dead.unknown.len(), "check"));
        for (check, why) in dead.unknown.iter().take(20) {
            let why: Vec<&str> = why.iter().map(String::as_str).collect();
            let _ = writeln!(out, "  {}: {}", check.id, why.join("; "));
        }
        if let Some(more) = dead.unknown.len().checked_sub(20).filter(|more| *more > 0) {
            let _ = writeln!(out, "  and {more} more: `--output json` has all");
        }
    }
    out
}

/// Which tables no check reaches.
pub(super) fn uncovered(known: &Known) -> String {
    let (open, counts) = known.dependencies.coverage(&known.ignored);
    let mut out = String::new();
    let width = open.iter().map(|one| one.name.to_string().chars().count()).max().unwrap_or(0);
    for one in &open {
        let size = one.bytes.map_or_else(|| "size not known".to_owned(), bytes);
        let at = one.written_at.map(|at| format!("  written {}", minute(at))).unwrap_or_default();
        let name = one.name.to_string();
        let _ = writeln!(out, "{}  {name:<width$}  {size:>14}{at}", one.source);
    }
    for (source, Coverage { covered, uncovered, ignored }) in &counts {
        let all = covered + uncovered;
        let ignored = if *ignored == 0 { String::new() } else { format!("; {ignored} need none") };
        let _ =
            writeln!(out, "{source}: checks reach {covered} of {}{ignored}", count(all, "table"));
    }
    let graph = &known.dependencies;
    let opaque = graph.checks.iter().filter(|check| !graph.reach(check).1.is_empty()).count();
    if opaque > 0 {
        let _ = writeln!(
            out,
            "Of {} it is not known what else they reach: `allswell deps` says why",
            count(opaque, "check")
        );
    }
    out
}

fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 10_240 && unit + 1 < units.len() {
        value /= 1_024;
        unit += 1;
    }
    format!("{value} {}", units[unit])
}
