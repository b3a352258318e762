//! dbt's `target/manifest.json`: every test with its table, and the SQL of those that are no rules.

use serde_json::Value;

use crate::domain::check::fault::Fault;
use crate::import::dbt::{Outcome, Test, both, odd, row_condition, rules, severity, span, unlike};
use crate::import::found::{About, Found, Rule};
use crate::manifest::{Document, Text};

/// Reads a manifest.
pub(super) fn read(file: &Text, found: &mut Found<'_>) -> Result<(), Box<Fault>> {
    let root: Value = serde_json::from_str(&file.text).map_err(|error| {
        let mut fault = Fault::of_file(file.file.clone(), format!("this is no JSON: {error}"), "");
        (fault.line, fault.column) = (error.line() as u64, error.column() as u64);
        Box::new(fault)
    })?;
    let Some(nodes) = root["nodes"].as_object() else {
        let hint = "`dbt parse` or `dbt compile` writes target/manifest.json";
        return Err(Box::new(Fault::of_file(
            file.file.clone(),
            "this is no manifest of dbt: it has no `nodes`",
            hint,
        )));
    };
    for node in nodes.values().filter(|node| node["resource_type"] == "test") {
        test(&root, node, found);
    }
    let off = root["disabled"].as_object().into_iter().flat_map(|all| all.values());
    for node in off.filter_map(Value::as_array).flatten() {
        if node["resource_type"] == "test" {
            let file = word(node, "original_file_path").unwrap_or("manifest.json");
            let name = word(node, "name").unwrap_or("a test");
            found
                .needs((file.to_owned(), name.to_owned()), "it is switched off (`enabled: false`)");
        }
    }
    for (id, source) in root["sources"].as_object().into_iter().flatten() {
        let fresh = [&source["freshness"], &source["config"]["freshness"]];
        let fresh = fresh.into_iter().find(|fresh| fresh.is_object());
        if let Some(fresh) = fresh {
            freshness(&root, (id, source, fresh), found);
        }
    }
    Ok(())
}

fn word<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value[key].as_str().filter(|text| !text.is_empty())
}

/// The table of a node: with its schema, as it is in the database.
fn table(root: &Value, id: &str) -> Option<String> {
    let node =
        [&root["nodes"][id], &root["sources"][id]].into_iter().find(|node| node.is_object())?;
    let name = ["alias", "identifier", "name"].into_iter().find_map(|key| word(node, key))?;
    Some(word(node, "schema").map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}")))
}

/// The node that a test is attached to, or the first that it reads.
fn attached(node: &Value) -> Option<&str> {
    let first =
        node["depends_on"]["nodes"].as_array().and_then(|all| all.first()).and_then(Value::as_str);
    word(node, "attached_node").or(first)
}

fn test(root: &Value, node: &Value, found: &mut Found<'_>) {
    let name = word(node, "name").unwrap_or("a test");
    let file = word(node, "original_file_path").unwrap_or("manifest.json");
    let at = (file.to_owned(), name.to_owned());
    let config = &node["config"];
    if config["enabled"] == false {
        return found.needs(at, "it is switched off (`enabled: false`)");
    }
    // dbt counts the rows that a test brings, unless it is told otherwise.
    if word(config, "fail_calc").is_some_and(|calc| calc.replace(' ', "") != "count(*)") {
        return found
            .needs(at, "`fail_calc` says what of its rows is wrong: write `sql` with a limit");
    }
    let filter = word(config, "where");
    if let Some(why) = odd(word(config, "error_if"), word(config, "warn_if"), filter) {
        return found.needs(at, why);
    }
    let Some(id) = attached(node) else {
        return found
            .needs(at, "it reads no model that is known: say what counts what was looked at");
    };
    let Some(of) = table(root, id) else {
        return found.needs(at, "its model is not in the manifest");
    };
    let model =
        [&root["nodes"][id], &root["sources"][id]].into_iter().find(|node| node.is_object());
    let owner = model.and_then(|model| {
        word(&model["config"]["meta"], "owner").or_else(|| word(&model["meta"], "owner"))
    });
    let about = About {
        table: of.clone(),
        filter: filter.map(str::to_owned),
        severity: severity(word(config, "severity")),
        owner: owner.map(str::to_owned),
    };
    let metadata = &node["test_metadata"];
    if let Some(kind) = word(metadata, "name") {
        let args = arguments(root, node, &metadata["kwargs"]);
        let args = args.and_then(|text| Document::new(&text).tree());
        if args.is_none() {
            return found.needs(at, "its arguments are not understood");
        }
        let unlike = args.as_ref().and_then(|args| unlike(kind, args));
        if let Some(why) = unlike.filter(|_| word(node, "compiled_code").is_none()) {
            return found.needs(at, why);
        }
        let is_understood = args.as_ref().is_none_or(|args| self::unlike(kind, args).is_none());
        let condition = args.as_ref().and_then(row_condition);
        let about = About { filter: both(filter, condition), ..about.clone() };
        let column = word(node, "column_name").or_else(|| word(&metadata["kwargs"], "column_name"));
        match rules(&Test { name: kind, args: args.as_ref(), column }) {
            Outcome::Rules(rules) if is_understood => return found.rules(&about, rules, at),
            Outcome::Needs(why) => return found.needs(at, why),
            // What dbt compiled says it.
            Outcome::Rules(_) | Outcome::Unknown => {}
        }
    }
    match word(node, "compiled_code") {
        Some(sql) => {
            let sql = sql.trim().trim_end_matches(';').to_owned();
            let evidence = Some(format!("select count(*) from {of}"));
            // What `where` leaves out is compiled into it already.
            let about = About { filter: None, ..about };
            found.sql(name, about, (sql, "{rows: {equals: 0}}".to_owned(), evidence), at);
        }
        None => {
            found.needs(at, "its SQL is not compiled: `dbt compile` writes it into the manifest");
        }
    }
}

/// `freshness` of a source.
fn freshness(root: &Value, (id, source, fresh): (&str, &Value, &Value), found: &mut Found<'_>) {
    let Some(of) = table(root, id) else { return };
    let file = word(source, "original_file_path").unwrap_or("manifest.json");
    let field =
        word(source, "loaded_at_field").or_else(|| word(&source["config"], "loaded_at_field"));
    // dbt writes empty ones for those that have none; what only warns is told, and wakes no one.
    for (key, severity) in [("error_after", None), ("warn_after", Some("info"))] {
        let after = &fresh[key];
        if after["count"].is_null() {
            continue;
        }
        let at = (file.to_owned(), format!("freshness of {of}: {key}"));
        let within = word(after, "period").and_then(|unit| span(&after["count"].to_string(), unit));
        let about = About { table: of.clone(), severity, ..About::default() };
        match (within, field) {
            (Some(within), Some(field)) if fresh["filter"].is_null() => {
                found.rules(&about, vec![Rule::Newest(field.to_owned(), within)], at);
            }
            _ => found.needs(at, "say of which column, and how old its newest value may be"),
        }
    }
}

/// The arguments of a test; what it refers to is named as it is in the database.
fn arguments(root: &Value, node: &Value, kwargs: &Value) -> Option<Text> {
    let mut kwargs = kwargs.clone();
    if word(&kwargs, "to").is_some() {
        let own = word(node, "attached_node").unwrap_or_default();
        let all = node["depends_on"]["nodes"].as_array()?;
        let other = all.iter().filter_map(Value::as_str).find(|id| *id != own).unwrap_or(own);
        let named = table(root, other)?;
        kwargs["to"] = Value::from(format!("ref('{named}')"));
    }
    Some(Text { file: "kwargs".to_owned(), text: kwargs.to_string() })
}
