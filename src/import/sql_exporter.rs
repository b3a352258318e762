//! Collectors of `sql_exporter` and its relatives: queries without a word about what is healthy.

use crate::domain::check::fault::Fault;
use crate::import::found::Found;
use crate::import::node::{get, items, not_that, place, scalar, text};
use crate::manifest::{Node, Text};

/// Reads a collector, or a file with jobs.
pub(super) fn read(file: &Text, root: &Node, found: &mut Found<'_>) -> Result<(), Box<Fault>> {
    let mut holders: Vec<&Node> = vec![root];
    holders.extend(items(get(root, "collectors")));
    holders.extend(items(get(root, "jobs")));
    let keys = ["metrics", "queries"];
    if !holders.iter().any(|holder| keys.iter().any(|key| get(holder, key).is_some())) {
        return Err(not_that(
            file,
            root,
            "collector of sql_exporter: it has no `metrics` and no `queries`",
        ));
    }
    for holder in holders {
        for one in keys.iter().flat_map(|key| items(get(holder, key))) {
            let name =
                ["metric_name", "query_name", "name"].into_iter().find_map(|key| text(one, key));
            let at = (place(file, one), format!("query {}", name.unwrap_or("without a name")));
            let values: Vec<&str> =
                items(get(one, "values")).into_iter().filter_map(scalar).collect();
            let columns = match values.as_slice() {
                [] => "its values".to_owned(),
                some => format!("`{}`", some.join("`, `")),
            };
            match text(one, "query") {
                Some(_) => found.needs(
                    at,
                    format!(
                        "it says nothing of what is healthy: copy the query to `sql`, and write limits for {columns} under \
                         `expect: {{values: …}}`"
                    ),
                ),
                None if text(one, "query_ref").is_some() => {
                    found.needs(at, "it takes its values from another query: see there");
                }
                None => found.cannot(at, "it has no query"),
            }
        }
    }
    Ok(())
}
