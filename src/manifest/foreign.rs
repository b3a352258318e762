//! Words of other tools, answered with the word that they have here.

/// What to write instead of a key of another tool, where one of these keys is valid at the place.
pub(super) fn foreign(key: &str, keys: &[&str]) -> Option<String> {
    let word = match key {
        "name" | "title" | "check" | "test" | "rule" => "id",
        "query" | "statement" | "select" | "fail_query" | "fail query" | "expr" => "sql",
        "description" | "reason" | "message" | "help" | "doc" => "why",
        "tags" | "meta" | "annotations" | "attributes" => "labels",
        "interval" | "frequency" | "cron" | "every" | "min_interval" | "period" => "schedule",
        "datasource" | "data_source" | "database" | "connection" | "db" | "target" => "source",
        "warn" | "level" | "priority" | "importance" => "severity",
        "team" | "contact" | "assignee" => "owner",
        "threshold" | "expected" | "condition" | "assert" | "expectation" => "expect",
        "enabled" | "disabled" | "skip" | "active" => "pause",
        "runbook_url" | "url" | "link" => "runbook",
        "timezone" | "tz" | "time_zone" => "zone",
        "limit" => "max_rows",
        _ => return in_sql(key, keys),
    };
    keys.contains(&word).then(|| format!("here it is called `{word}`"))
}

/// Rules that other tools have a word for, and this one has among the rules for a table.
fn in_sql(key: &str, keys: &[&str]) -> Option<String> {
    let (rule, in_words) = match key {
        "not_null" | "required" | "nulls_forbidden" | "missing_count" => ("nulls: none", ""),
        "unique" | "duplicate_count" | "unique_combination" | "primary_key" => ("unique: true", ""),
        "matches" | "pattern" | "regex" | "format" | "like" => ("pattern: '^[A-Z]+$'", ""),
        "accepted_values" | "in" | "valid_values" | "enum" | "values" => ("one_of: [..]", ""),
        "relationships" | "references" | "foreign_key" => ("in: customers.id", ""),
        "length" | "min_length" | "max_length" => ("length: {max: 80}", ""),
        "max_age" | "freshness" | "fresh" | "newer_than" => {
            ("", "`newest: {of: created_at, within: 2h}`")
        }
        "row_count" | "count" => ("", "`rows: {min: 1}`"),
        _ => return None,
    };
    let of_column = keys.contains(&"nulls") && keys.contains(&"pattern");
    if of_column && !rule.is_empty() {
        return Some(format!("here it is written `{rule}`"));
    }
    if keys.contains(&"nulls") && rule.starts_with("nulls") {
        return Some("leave it out: NULL satisfies no limit anyway".to_owned());
    }
    if !["sql", "nulls"].iter().any(|word| keys.contains(word)) {
        return None;
    }
    let written = if rule.is_empty() {
        in_words.to_owned()
    } else {
        format!("`columns: {{NAME: {{{rule}}}}}`")
    };
    Some(format!("it is a rule for a table: `table: …` with {written}; docs/recipes.md has it"))
}
