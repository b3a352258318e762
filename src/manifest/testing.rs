//! Files of tests, `*.test.yaml`: which rows there are, where a check looks, and what it has to say.

pub(in crate::manifest) mod given;
pub(in crate::manifest) mod look;
pub(super) mod results;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bounded;
use crate::domain::check::Check;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::nearest::{nearest, suggestion};
use crate::domain::testing::mutants::{Mutant, of_check};
use crate::domain::testing::{Free, Schema, Spot, Suite, Test, Waived, What};
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::file::version;
use crate::manifest::part::{required, source};
use crate::manifest::testing::given::{defaults, fill_in, given};
use crate::manifest::testing::look::{expected, windows};
use crate::manifest::yaml::{Kind, Node};
use crate::manifest::{Text, World};

/// The keys of a file of tests.
pub(super) const FILE_KEYS: [&str; 5] = ["version", "schema", "defaults", "tests", "accept"];
/// The keys of a test.
pub(super) const TEST_KEYS: [&str; 5] = ["of", "name", "window", "given", "expect"];
/// The keys of an entry under `accept`.
pub(super) const ACCEPT_KEYS: [&str; 4] = ["of", "test", "mutant", "because"];
/// The largest file of statements that make tables.
const SQL_MAX: u64 = 1 << 20;

/// Reads files of tests for the checks of a catalogue.
///
/// # Errors
/// All faults of all texts.
pub fn tests(texts: &[Text], catalogue: &Catalogue, world: World<'_>) -> Result<Suite, Vec<Fault>> {
    let (mut suite, mut faults) = (Suite::default(), Vec::new());
    for text in texts {
        let mut doc = Document::new(text);
        read(&mut doc, &Context { catalogue, world: &world }, &mut suite);
        faults.extend(doc.into_faults());
    }
    if faults.is_empty() { Ok(suite) } else { Err(faults) }
}

/// What tests may name.
#[derive(Debug, Clone, Copy)]
struct Context<'c> {
    catalogue: &'c Catalogue,
    world: &'c World<'c>,
}

fn read(doc: &mut Document<'_>, context: &Context<'_>, suite: &mut Suite) {
    let Some(root) = doc.tree() else { return };
    if matches!(root.kind, Kind::Null) {
        let hint = "write `version: 1`, `schema:` and `tests:`, or remove the file".to_owned();
        doc.fault_at(0, 0, Place::Root, "the file is empty", Some(hint));
        return;
    }
    let Some(map) = doc.map(&root, Place::Root, &FILE_KEYS) else { return };
    version(doc, &map);
    let place = Place::Key(&Place::Root, "tests");
    let before = suite.tests.len();
    let items = map.get("tests").and_then(|node| doc.list(node, place)).unwrap_or_default();
    let defaults = map.get("defaults").map(|node| defaults(doc, node)).unwrap_or_default();
    suite.defaults.extend(defaults.iter().map(|(table, cells)| {
        (table.clone(), cells.iter().map(|(name, _)| name.clone()).collect())
    }));
    let mut names: BTreeSet<(CheckId, String)> = BTreeSet::new();
    for (i, item) in items.iter().enumerate() {
        let here = Place::Item(&place, i);
        let Some(mut test) = test(doc, item, here, context) else { continue };
        fill_in(&mut test, &defaults);
        if !names.insert((test.check.id.clone(), test.name.clone())) {
            let message = format!("`{}` has a test of this name already", test.check.id);
            let hint = "call it otherwise: the name says what the rows are like".to_owned();
            doc.fault(item.entry("name").unwrap_or(item), here, message, Some(hint));
        }
        suite.tests.push(test);
    }
    if let Some(node) = map.get("accept") {
        accept(doc, node, context, suite);
    }
    schemas(doc, &map, context, before, suite);
}

/// Reads a test.
fn test(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Test> {
    let map = doc.map(node, place, &TEST_KEYS)?;
    let check = of(doc, &map, place, context);
    let name = required(doc, &map, place, "name")
        .and_then(|node| doc.parsed(node, Place::Key(&place, "name"), name));
    let check = check?;
    let windows = windows(doc, &map, place, &check, context.world)?;
    let given = given(doc, &map, place, &windows, context.world);
    let node_of_expect = required(doc, &map, place, "expect")?;
    let looks = expected(doc, node_of_expect, Place::Key(&place, "expect"), windows)?;
    Some(Test { check, name: name?, looks, given: given?, place: spot(doc, node, place) })
}

/// Reads which check is tested.
fn of(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Arc<Check>> {
    let node = required(doc, map, place, "of")?;
    let id = doc.parsed(node, Place::Key(&place, "of"), CheckId::parse)?;
    let checks = context.catalogue.checks();
    if let Some(check) = checks.iter().find(|check| check.id == id) {
        return Some(Arc::clone(check));
    }
    let known: Vec<&str> = checks.iter().map(|check| check.id.as_str()).collect();
    let message = format!("there is no check `{id}`");
    doc.fault(node, Place::Key(&place, "of"), message, suggestion(id.as_str(), &known));
    None
}

fn name(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let fits = text.chars().count() <= 120 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("a name is one line of at most 120 characters") }
}

/// Reads what is taken out, and why.
fn accept(doc: &mut Document<'_>, node: &Node, context: &Context<'_>, suite: &mut Suite) {
    let place = Place::Key(&Place::Root, "accept");
    let Some(items) = doc.list(node, place) else { return };
    for (i, item) in items.iter().enumerate() {
        let here = Place::Item(&place, i);
        let Some(map) = doc.map(item, here, &ACCEPT_KEYS) else { continue };
        let check = of(doc, &map, here, context);
        let what = check.as_ref().and_then(|check| what(doc, &map, here, check));
        let because = required(doc, &map, here, "because").and_then(|node| {
            doc.text(node, Place::Key(&here, "because")).map(|text| text.trim().to_owned())
        });
        let (Some(check), Some(what), Some(because)) = (check, what, because) else { continue };
        let place = spot(doc, item, here);
        suite.waived.push(Waived { check: check.id.clone(), what, because, place });
    }
}

/// Reads what is taken out: a test that each check has, or a mutant that no test can notice.
fn what(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>, check: &Check) -> Option<What> {
    match (map.get("test"), map.get("mutant")) {
        (Some(node), None) => {
            doc.word(node, Place::Key(&place, "test"), &Free::WORDS).map(What::Free)
        }
        (None, Some(node)) => {
            let place = Place::Key(&place, "mutant");
            let name = doc.text(node, place)?.trim().to_owned();
            let names: Vec<String> = of_check(check).iter().map(Mutant::name).collect();
            if names.contains(&name) {
                return Some(What::Mutant(name));
            }
            let message = format!("`{}` has no such mutant", check.id);
            let near = nearest(&name, names.iter().map(String::as_str));
            let hint = near.map_or_else(
                || "`allswell test --mutants` names them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            doc.fault(node, place, message, Some(hint));
            None
        }
        (Some(_), Some(node)) => {
            let place = Place::Key(&place, "mutant");
            doc.fault(node, place, "`test` says already what", Some("keep one of them".into()));
            None
        }
        (None, None) => {
            let hint = "write `test: edges`, or `mutant:` with its name".to_owned();
            doc.fault(map.node, place, "this does not say what is accepted", Some(hint));
            None
        }
    }
}

/// Reads which file makes the tables of which source.
fn schemas(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    context: &Context<'_>,
    before: usize,
    suite: &mut Suite,
) {
    let Some(node) = map.get("schema") else {
        let hint = "write `schema: schema.sql`: the file that makes the tables; `allswell test --learn-schema SOURCE` \
                    prints one"
            .to_owned();
        doc.fault(map.node, Place::Root, "`schema` is missing", Some(hint));
        return;
    };
    let place = Place::Key(&Place::Root, "schema");
    let mut read = Vec::new();
    if let Kind::Map(_) = &node.kind {
        let Some(map) = doc.open_map(node, place) else { return };
        for (key, node) in map.entries() {
            let here = Place::Key(&place, key);
            let name = SourceName::parse(key).ok();
            let known = name.filter(|name| context.world.engines.contains_key(name));
            match known {
                Some(name) => read.extend(statements(doc, node, here).map(|read| (name, read))),
                None => unknown_source(doc, node, here, key, context),
            }
        }
    } else if let Some(name) = only_source(doc, node, place, context, &suite.tests[before..]) {
        read.extend(statements(doc, node, place).map(|read| (name, read)));
    }
    for (source, (file, sql)) in read {
        match suite.schemas.iter().find(|known| known.source == source) {
            None => suite.schemas.push(Schema { source, sql, file }),
            Some(known) if known.sql == sql => {}
            Some(known) => {
                let message =
                    format!("the tables of `{source}` are made by {} already", known.file);
                let hint =
                    "name the same file everywhere: a source has one set of tables".to_owned();
                doc.fault(node, place, message, Some(hint));
            }
        }
    }
}

fn unknown_source(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    key: &str,
    context: &Context<'_>,
) {
    let known: Vec<&str> = context.world.engines.keys().map(SourceName::as_str).collect();
    let message = format!("the settings have no source `{key}`");
    doc.fault(node, place, message, suggestion(key, &known));
}

/// The one source that the tests of a file are about.
fn only_source(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    context: &Context<'_>,
    tests: &[Test],
) -> Option<SourceName> {
    let engines = context.world.engines;
    if let (Some(only), 1) = (engines.keys().next(), engines.len()) {
        return Some(only.clone());
    }
    let asked: BTreeSet<&SourceName> =
        tests.iter().flat_map(|test| test.check.sources_asked()).collect();
    if let (Some(only), 1) = (asked.first(), asked.len()) {
        return Some((*only).clone());
    }
    let names: Vec<&str> = engines.keys().map(SourceName::as_str).collect();
    let first = names.first().copied().unwrap_or("source");
    let hint = format!("write `schema: {{{first}: schema/{first}.sql}}`");
    doc.fault(node, place, "this does not say of which source these are the tables", Some(hint));
    None
}

/// Reads a file of statements; its path counts from the file of tests.
fn statements(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<(String, String)> {
    let text = doc.text(node, place)?.to_owned();
    let folder = Path::new(doc.file()).parent().map(Path::to_owned).unwrap_or_default();
    let path: PathBuf = folder.join(&text);
    match bounded::read(&path, SQL_MAX) {
        Ok(sql) => Some((path.display().to_string(), sql)),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            let hint = "the path counts from this file; `allswell test --learn-schema SOURCE` prints what belongs there"
                .to_owned();
            doc.fault(node, place, message, Some(hint));
            None
        }
    }
}

/// Where something is written.
fn spot(doc: &Document<'_>, node: &Node, place: Place<'_>) -> Spot {
    let file = doc.file().to_owned();
    Spot { file, line: node.line, column: node.column, path: place.to_string() }
}

/// Reads a source by its name.
fn source_named(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    world: &World<'_>,
) -> Option<SourceName> {
    source(doc, node, place, world).map(|(name, _)| name)
}
