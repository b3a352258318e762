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

/// Rules that other tools have a word for, and this one writes as limits or as SQL.
fn in_sql(key: &str, keys: &[&str]) -> Option<String> {
    if !["sql", "nulls"].iter().any(|word| keys.contains(word)) {
        return None;
    }
    let hint = match key {
        "not_null" | "required" | "nulls_forbidden" | "missing_count" => {
            "NULL satisfies no limit: limit the column under `values`, or select the rows where it is NULL and expect none"
        }
        "unique" | "duplicate_count" | "unique_combination" => {
            "select `… group by … having count(*) > 1` and expect no rows"
        }
        "matches" | "pattern" | "regex" | "format" | "like" => {
            "write the pattern in the SQL, and expect no rows that do not match it"
        }
        "max_age" | "freshness" | "fresh" | "newer_than" => {
            "limit the newest instant: `newest: {min: now - 1h, max: now + 5m}`"
        }
        "accepted_values" | "in" | "valid_values" | "enum" => {
            "write `one_of: [..]` under a column of `values`"
        }
        "relationships" | "references" | "foreign_key" => {
            "select the rows whose key the other table does not have, and expect none"
        }
        "row_count" | "count" => {
            "write `rows: {min: …}` under `expect`, or limit `count(*)` under `values`"
        }
        "length" | "min_length" | "max_length" => "select `length(column)`, and limit that",
        _ => return None,
    };
    Some(format!("{hint}; docs/recipes.md has it"))
}
