//! dbt: files of properties (`schema.yml`), and what each of its tests means.

mod meaning;

use crate::domain::check::fault::Fault;
use crate::import::found::{About, Found, Rule};
use crate::import::node::{entries, get, is_no, items, not_that, place, scalar, text};
use crate::manifest::{Kind, Node, Text};

use meaning::is_name;
pub(super) use meaning::{Outcome, Test, is_jinja, row_condition, rules, span, unlike};

/// Reads a file of properties.
pub(super) fn read(file: &Text, root: &Node, found: &mut Found<'_>) -> Result<(), Box<Fault>> {
    let known = ["models", "sources", "seeds", "snapshots"];
    if !known.iter().any(|key| get(root, key).is_some()) && get(root, "version").is_none() {
        return Err(not_that(
            file,
            root,
            "file of dbt's properties: it has no `models` and no `sources`",
        ));
    }
    for kind in ["models", "seeds", "snapshots"] {
        for model in items(get(root, kind)) {
            relation(file, model, None, found);
        }
    }
    for source in items(get(root, "sources")) {
        if get(source, "database").is_some() {
            let at = (place(file, source), "`database` of a source".to_owned());
            found.needs(
                at,
                "checks name a schema and a table: is this database the source that is asked?",
            );
        }
        for table in items(get(source, "tables")) {
            relation(file, table, Some(source), found);
        }
    }
    for key in ["tests", "data_tests"] {
        for test in items(get(root, key)) {
            let at = (
                place(file, test),
                format!("{} of no model", text(test, "name").unwrap_or("a test")),
            );
            found.needs(at, "a test of its own: `import dbt target/manifest.json` takes its SQL");
        }
    }
    for test in items(get(root, "unit_tests")) {
        let at =
            (place(file, test), format!("unit test {}", text(test, "name").unwrap_or_default()));
        found.cannot(at, "it tests a model, and no data");
    }
    Ok(())
}

/// Stands for the name of a column that has none.
const NAMELESS: &str = "";

/// A key of a node, or of its `config`.
fn configured<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    get(node, "config").and_then(|config| get(config, key)).or_else(|| get(node, key))
}

fn relation(file: &Text, model: &Node, source: Option<&Node>, found: &mut Found<'_>) {
    let name = ["identifier", "alias"].into_iter().find_map(|key| configured(model, key));
    let Some(name) = name.and_then(scalar).or_else(|| text(model, "name")) else {
        let at = (place(file, model), "a model without a name".to_owned());
        return found.needs(at, "say which table it is");
    };
    let schema = source.and_then(|source| text(source, "schema").or_else(|| text(source, "name")));
    let table = schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"));
    let at = |what: &str| (place(file, model), format!("{what} of {table}"));
    if is_no(configured(model, "enabled").and_then(scalar)) {
        return found.needs(at("all tests"), "it is switched off (`enabled: false`)");
    }
    if source.is_none() && configured(model, "schema").is_some() {
        found.needs(
            at("`schema`"),
            "dbt makes the name of the schema: `import dbt target/manifest.json` knows it",
        );
    }
    if get(model, "versions").is_some() {
        found.needs(
            at("`versions`"),
            "each version is a table: `import dbt target/manifest.json` names them",
        );
    }
    let meta = configured(model, "meta");
    let owner = meta.and_then(|meta| text(meta, "owner")).map(str::to_owned);
    let mut all = |holder: &Node, column: Option<&str>| {
        for key in ["tests", "data_tests"] {
            for test in items(get(holder, key)) {
                one(file, test, (&table, owner.as_deref(), column), found);
            }
        }
    };
    all(model, None);
    for column in items(get(model, "columns")) {
        match text(column, "name") {
            Some(name) => all(column, Some(name)),
            None => all(column, Some(NAMELESS)),
        }
    }
    let is_written = |node: &&Node| !matches!(node.kind, Kind::Null);
    let own = configured(model, "freshness");
    let of_all = || source.and_then(|source| configured(source, "freshness"));
    if let Some(node) = own.or_else(of_all).filter(is_written) {
        let field =
            |node: &Node| configured(node, "loaded_at_field").and_then(scalar).map(str::to_owned);
        let field = field(model).or_else(|| source.and_then(field));
        freshness(file, node, (&table, field), found);
    }
}

/// `freshness` of a source: `loaded_at_field`, `error_after: {count: 12, period: hour}`.
fn freshness(
    file: &Text,
    node: &Node,
    (table, field): (&str, Option<String>),
    found: &mut Found<'_>,
) {
    if get(node, "filter").is_some() {
        let at = (place(file, node), format!("freshness of {table}"));
        return found.needs(at, "it is about some of the rows: write `newest` with `where`");
    }
    // What only warns is told, and wakes no one.
    for (key, severity) in [("error_after", None), ("warn_after", Some("info"))] {
        let Some(after) = get(node, key).filter(|after| !matches!(after.kind, Kind::Null)) else {
            continue;
        };
        let at = (place(file, after), format!("freshness of {table}: {key}"));
        let within = text(after, "count").zip(text(after, "period"));
        let within = within.and_then(|(count, period)| span(count, period));
        let about = About { table: table.to_owned(), severity, ..About::default() };
        match (&field, within) {
            (Some(column), Some(within)) if is_name(column) => {
                found.rules(&about, vec![Rule::Newest(column.clone(), within)], at);
            }
            _ => found.needs(at, "say of which column, and how old its newest value may be"),
        }
    }
}

fn one(
    file: &Text,
    test: &Node,
    (table, owner, column): (&str, Option<&str>, Option<&str>),
    found: &mut Found<'_>,
) {
    let (name, args) = match (scalar(test), entries(test)) {
        (Some(name), _) => (name, None),
        (None, [(name, args), ..]) if text(test, "test_name").is_none() => {
            (scalar(name).unwrap_or_default(), Some(args))
        }
        (None, _) => (text(test, "test_name").unwrap_or_default(), Some(test)),
    };
    if column == Some(NAMELESS) || scalar(test).is_none() && args.is_none() {
        let at = (place(file, test), format!("a test of {table}"));
        return found.needs(at, "it is not said what it is, or of which column");
    }
    if entries(test).len() > 1 && text(test, "test_name").is_none() {
        let at = (place(file, test), format!("{name} of {table}"));
        return found
            .needs(at, "it has several keys: what belongs to the test stands below its name");
    }
    let short = name.rsplit('.').next().unwrap_or(name);
    let of = column.map(|column| format!("({column})")).unwrap_or_default();
    let at = (place(file, test), format!("{name}{of} of {table}"));
    let config = |key: &str| {
        let config = args.and_then(|args| get(args, "config")).and_then(|config| text(config, key));
        config.or_else(|| args.and_then(|args| text(args, key)))
    };
    if is_no(config("enabled")) {
        return found.needs(at, "it is switched off (`enabled: false`)");
    }
    let filter = config("where");
    let why = odd(config("error_if"), config("warn_if"), filter)
        .or_else(|| args.and_then(|args| unlike(short, args)));
    if let Some(why) = why {
        return found.needs(at, why);
    }
    let condition = args.and_then(row_condition);
    let filter = both(filter, condition);
    let about = About {
        table: table.to_owned(),
        filter,
        severity: severity(config("severity")),
        owner: owner.map(str::to_owned),
    };
    match rules(&Test { name: short, args, column }) {
        Outcome::Rules(rules) => found.rules(&about, rules, at),
        Outcome::Needs(why) => found.needs(at, why),
        Outcome::Unknown => found.needs(
            at,
            "no test that is known here: `import dbt target/manifest.json` takes what dbt compiled of it",
        ),
    }
}

/// What keeps a test from being taken as it is.
pub(super) fn odd(
    error_if: Option<&str>,
    warn_if: Option<&str>,
    filter: Option<&str>,
) -> Option<String> {
    let is_usual = |condition: Option<&str>| {
        condition.is_none_or(|text| matches!(text.replace(' ', "").as_str(), "!=0" | ">0"))
    };
    if !is_usual(error_if) || !is_usual(warn_if) {
        return Some(
            "`error_if` or `warn_if` lets rows pass: say how many, as `rows: {max: …}` of a query"
                .to_owned(),
        );
    }
    filter
        .filter(|filter| is_jinja(filter))
        .map(|_| "`where` holds a macro: write what it stands for".to_owned())
}

/// Two conditions as one.
pub(super) fn both(one: Option<&str>, other: Option<&str>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(format!("({one}) and ({other})")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// dbt's `warn` is told, and wakes no one.
pub(super) fn severity(word: Option<&str>) -> Option<&'static str> {
    word.filter(|word| word.eq_ignore_ascii_case("warn")).map(|_| "info")
}
