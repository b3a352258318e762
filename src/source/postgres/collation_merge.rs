//! Whether a query of PostgreSQL puts texts together that a collation takes for one. Where it may only sort for
//! that, the planner says by which collation it does, in views too.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::Reason;
use crate::source::bind::{Prepared, bind_typed};
use crate::source::flow::{groups_otherwise, hidden};
use crate::source::postgres::errors::{self, Phase};

/// What takes different texts for one: collations by their names, and columns of the type `citext` by theirs.
#[derive(Debug, Default)]
struct Collations {
    collations: Vec<String>,
    citext: Vec<String>,
}

/// Refuses a query that puts such texts together.
pub(super) async fn refuse(
    conn: &mut PgConnection,
    bound: &Prepared<'_>,
    column: &ColumnName,
) -> Result<(), Reason> {
    let known = Collations::read(conn).await?;
    if known.collations.is_empty() && known.citext.is_empty() {
        return Ok(());
    }
    let plan = explain(conn, bound).await?;
    let Some(by) = sorted(&plan).into_iter().find(|by| known.takes_for_one(by)) else {
        return Ok(());
    };
    let cast = format!("{column} collate \"C\"");
    let (bare, _) = by.split_once(' ').unwrap_or((by.as_str(), ""));
    let bare = bare.rsplit('.').next().unwrap_or_default();
    Err(if bare == column.as_str() {
        groups_otherwise(column, &cast)
    } else {
        hidden(&format!("`{by}`, in the query or in a view,"), &cast)
    })
}

impl Collations {
    async fn read(conn: &mut PgConnection) -> Result<Self, Reason> {
        const KNOWN: &str = "SELECT 'collation', c.collname::text FROM pg_catalog.pg_collation c WHERE NOT c.collisdeterministic \
             UNION ALL SELECT 'citext', a.attname::text FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_class r ON r.oid = a.attrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
             LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype WHERE a.attnum > 0 AND NOT a.attisdropped \
             AND r.relkind IN ('r', 'p', 'm', 'f') AND 'citext' IN (t.typname, b.typname)";
        let query = sqlx::query(KNOWN).persistent(false);
        let rows = query.fetch_all(conn).await.map_err(|e| errors::reason(&e, Phase::Ours))?;
        let mut known = Self::default();
        for row in rows {
            let text = |place: usize| row.try_get::<String, _>(place).unwrap_or_default();
            match text(0).as_str() {
                "collation" => known.collations.push(text(1)),
                _ => known.citext.push(text(1)),
            }
        }
        Ok(known)
    }

    /// Says whether a key by which rows are sorted takes different texts for one.
    fn takes_for_one(&self, key: &str) -> bool {
        if let Some((_, collation)) = key.rsplit_once(" COLLATE ") {
            let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
            let bare = collation.split(' ').next().unwrap_or_default();
            let is = |name: &String| name == bare || collation.starts_with(&quoted(name));
            return self.collations.iter().any(is);
        }
        // Of `t.email` the column alone.
        let words = key.split(|c: char| !c.is_alphanumeric() && !['_', '.'].contains(&c));
        let mut columns = words.filter_map(|word| word.rsplit('.').next());
        !key.contains("::") && columns.any(|word| self.citext.iter().any(|name| name == word))
    }
}

#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn explain(conn: &mut PgConnection, bound: &Prepared<'_>) -> Result<Vec<String>, Reason> {
    // What is put together by hashes, or comes sorted from an index, names no collation.
    let only = |how: &str| {
        let others = ["hashagg", "indexscan", "indexonlyscan", "bitmapscan"];
        let set = others.map(|other| format!("SET LOCAL enable_{other} = {how}"));
        AssertSqlSafe(set.join("; "))
    };
    let ours = |e: sqlx::Error| errors::reason(&e, Phase::Ours);
    sqlx::raw_sql(only("off")).execute(&mut *conn).await.map_err(ours)?;
    let sql = format!("EXPLAIN (VERBOSE, COSTS OFF) {}", bound.text);
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let rows = bind_typed!(query, bound.values).fetch_all(&mut *conn).await.map_err(ours)?;
    sqlx::raw_sql(only("DEFAULT")).execute(conn).await.map_err(ours)?;
    Ok(rows.iter().map(|row| row.try_get::<String, _>(0).unwrap_or_default()).collect())
}

/// By what the rows are sorted of a plan that puts some together.
fn sorted(plan: &[String]) -> Vec<String> {
    let lines = || plan.iter().map(|line| line.trim_start().trim_start_matches("->").trim_start());
    let merges = |line: &str| {
        ["Group Key: ", "Hash Key: ", "Unique", "SetOp", "HashSetOp"]
            .iter()
            .any(|head| line.starts_with(head))
    };
    if !lines().any(merges) {
        return Vec::new();
    }
    let keys = lines().filter_map(|line| {
        line.strip_prefix("Sort Key: ").or_else(|| line.strip_prefix("Group Key: "))
    });
    keys.flat_map(listed).collect()
}

/// The expressions of a list: commas in parentheses and quotes stand in one.
fn listed(list: &str) -> Vec<String> {
    let (mut depth, mut quote) = (0_u32, None);
    let mut all = vec![String::new()];
    for c in list.chars() {
        match c {
            '\'' | '"' if quote.is_none() => quote = Some(c),
            c if quote == Some(c) => quote = None,
            '(' if quote.is_none() => depth += 1,
            ')' if quote.is_none() => depth = depth.saturating_sub(1),
            ',' if quote.is_none() && depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all.into_iter().map(|one| one.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collations_by_which_a_plan_sorts_what_it_puts_together_are_found() {
        let plan = [
            "GroupAggregate",
            "  Output: ((k)::text), sum(v)",
            "  Group Key: ((t.k)::text)",
            "  ->  Sort",
            "        Sort Key: ((t.k)::text) COLLATE \"C\", f(t.a, 'x,y') COLLATE loose DESC, t.e",
        ];
        let plan: Vec<String> = plan.iter().map(ToString::to_string).collect();
        let keys = sorted(&plan);
        let known = Collations { collations: vec!["loose".into()], citext: vec!["e".into()] };
        let told: Vec<&String> = keys.iter().filter(|key| known.takes_for_one(key)).collect();
        assert_eq!(told, ["f(t.a, 'x,y') COLLATE loose DESC", "t.e"]);
        assert!(!known.takes_for_one("((t.e)::text)"));
        let spaced = Collations { collations: vec!["no case".into()], citext: Vec::new() };
        assert!(spaced.takes_for_one("t.k COLLATE \"no case\" DESC"));
        assert!(sorted(&plan[3..]).is_empty());
    }
}
