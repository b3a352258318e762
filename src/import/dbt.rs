//! dbt: files of properties (`schema.yml`), and what each of its tests means.

mod meaning;

use crate::domain::check::fault::Fault;
use crate::import::found::{About, Found, Rule};
use crate::import::node::{entries, get, items, not_that, place, scalar, text};
use crate::manifest::{Kind, Node, Text};

use meaning::is_name;
pub(super) use meaning::{Outcome, Test, is_jinja, rules, span};

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
        let schema = text(source, "schema").or_else(|| text(source, "name"));
        for table in items(get(source, "tables")) {
            relation(file, table, schema, found);
        }
    }
    Ok(())
}

fn relation(file: &Text, model: &Node, schema: Option<&str>, found: &mut Found<'_>) {
    let name = ["identifier", "alias", "name"].into_iter().find_map(|key| text(model, key));
    let Some(name) = name else { return };
    let table = schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"));
    let meta =
        get(model, "config").and_then(|config| get(config, "meta")).or_else(|| get(model, "meta"));
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
        if let Some(name) = text(column, "name") {
            all(column, Some(name));
        }
    }
    if get(model, "freshness").is_some_and(|one| !matches!(one.kind, Kind::Null)) {
        freshness(file, model, &table, found);
    }
}

/// `freshness` of a source: `loaded_at_field`, `error_after: {count: 12, period: hour}`.
fn freshness(file: &Text, model: &Node, table: &str, found: &mut Found<'_>) {
    let Some(node) = get(model, "freshness") else { return };
    let (place, what) = (place(file, node), format!("freshness of {table}"));
    let after = get(node, "error_after").or_else(|| get(node, "warn_after"));
    let within = after.and_then(|after| span(text(after, "count")?, text(after, "period")?));
    let about = About { table: table.to_owned(), ..About::default() };
    match (text(model, "loaded_at_field"), within) {
        (Some(column), Some(within)) if is_name(column) => {
            found.rules(&about, vec![Rule::Newest(column.to_owned(), within)], (place, what));
        }
        _ => found.needs((place, what), "say of which column, and how old its newest value may be"),
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
    let short = name.rsplit('.').next().unwrap_or(name);
    let of = column.map(|column| format!("({column})")).unwrap_or_default();
    let at = (place(file, test), format!("{name}{of} of {table}"));
    let config = |key: &str| {
        let config = args.and_then(|args| get(args, "config")).and_then(|config| text(config, key));
        config.or_else(|| args.and_then(|args| text(args, key)))
    };
    let filter = config("where");
    if let Some(why) = odd(config("error_if"), config("warn_if"), filter) {
        return found.needs(at, why);
    }
    let about = About {
        table: table.to_owned(),
        filter: filter.map(str::to_owned),
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

/// dbt's `warn` is told, and wakes nobody.
pub(super) fn severity(word: Option<&str>) -> Option<&'static str> {
    word.filter(|word| word.eq_ignore_ascii_case("warn")).map(|_| "info")
}
