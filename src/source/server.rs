//! Which servers answer like PostgreSQL or MySQL, and lack a guard that those have.
//!
//! They speak the same protocol, and take the same statements without keeping to them. What protects a database has to
//! be known to hold there: what does not is refused by name.

use crate::domain::check::reason::{Cause, Reason};

/// Words in what a server says of itself, its name, and the guard that it lacks.
const LIKE_POSTGRESQL: [(&str, &str, &str); 9] = [
    ("CockroachDB", "CockroachDB", "`row_security` and `lock_timeout` are taken and not kept to"),
    ("Redshift", "Amazon Redshift", "`lock_timeout`, `row_security` and `work_mem` cannot be set"),
    ("Materialize", "Materialize", "`statement_timeout` and the isolation are not kept to"),
    ("RisingWave", "RisingWave", "`statement_timeout` and the isolation are not kept to"),
    ("-YB-", "YugabyteDB", "a read-only transaction and session locks are not as in PostgreSQL"),
    ("QuestDB", "QuestDB", "there are no read-only transactions"),
    ("CrateDB", "CrateDB", "there are no transactions"),
    ("Greenplum", "Greenplum", "limits do not reach the segments"),
    ("GaussDB", "GaussDB", "its guards were never looked at"),
];
const LIKE_MYSQL: [(&str, &str, &str); 9] = [
    ("tidb", "TiDB", "a read-only transaction can write"),
    ("vitess", "Vitess", "a connection is not one session of one server"),
    ("oceanbase", "OceanBase", "its guards were never looked at"),
    ("singlestore", "SingleStore", "there is no consistent snapshot"),
    ("memsql", "SingleStore", "there is no consistent snapshot"),
    ("starrocks", "StarRocks", "there are no read-only transactions"),
    ("doris", "Apache Doris", "there are no read-only transactions"),
    ("clickhouse", "ClickHouse", "there are no transactions"),
    ("dolt", "Dolt", "its guards were never looked at"),
];

/// Judges a server that speaks PostgreSQL's protocol by what `version()` says.
pub(super) fn postgres(version: &str) -> Result<(), Reason> {
    let found = LIKE_POSTGRESQL.iter().find(|(word, ..)| version.contains(word));
    refuse(found)?;
    let number = version.strip_prefix("PostgreSQL ").unwrap_or_default();
    let major = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    match major.parse::<u32>() {
        Ok(major) if major < 12 => {
            let note = format!(
                "this is PostgreSQL {major}, which lacks `SET jit`: 12 and newer are watched"
            );
            Err(Reason::new(Cause::Refused, note))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Judges a server that speaks MySQL's protocol by what `@@version` and `@@version_comment` say.
pub(super) fn mysql(version: &str) -> Result<(), Reason> {
    let version = version.to_ascii_lowercase();
    refuse(LIKE_MYSQL.iter().find(|(word, ..)| version.contains(word)))
}

/// The reason where a server does not keep to what it took.
pub(super) fn without_guards() -> Reason {
    let note = "this server took the limits of the transaction and does not keep to them: a query could write, or run \
                for ever";
    Reason::new(Cause::Refused, note)
}

/// The reason where a server reads what is damaged on its disk without an error.
pub(super) fn hides_damage() -> Reason {
    let note = "`zero_damaged_pages` or `ignore_checksum_failure` is on for this role: rows of damaged pages are missing \
                without an error";
    Reason::new(Cause::Refused, note)
}

fn refuse(found: Option<&(&str, &str, &str)>) -> Result<(), Reason> {
    let Some((_, name, lacks)) = found else { return Ok(()) };
    let note = format!("this is {name}, which is not watched: {lacks}");
    Err(Reason::new(Cause::Refused, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_only_look_alike_are_refused_by_name() {
        let said =
            |judged: Result<(), Reason>| judged.map_or_else(|r| r.note, |()| "watched".into());
        for (version, wanted) in [
            ("PostgreSQL 15.18 (Debian 15.18-1) on x86_64-pc-linux-gnu", "watched"),
            ("PostgreSQL 18beta1 on x86_64-pc-linux-gnu, compiled by gcc (GCC) 11.5.0", "watched"),
            ("PostgreSQL 12.22 on x86_64", "watched"),
            ("EnterpriseDB Advanced Server 16.1 on x86_64", "watched"),
            ("PostgreSQL 11.22 on x86_64", "PostgreSQL 11, which lacks"),
            ("CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)", "CockroachDB"),
            (
                "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC, Redshift 1.0.54",
                "Amazon Redshift",
            ),
            ("PostgreSQL 9.5.0 on x86_64 (Materialize v0.80.0)", "Materialize"),
            ("PostgreSQL 15.2-YB-2.25.0.0-b0 on x86_64", "YugabyteDB"),
        ] {
            assert!(said(postgres(version)).contains(wanted), "{version}");
        }
        for (version, wanted) in [
            ("10.11.6-MariaDB-0+deb12u1 Debian 12", "watched"),
            ("8.4.3 MySQL Community Server - GPL", "watched"),
            ("8.0.11-TiDB-v7.5.0 TiDB Server", "a read-only transaction can write"),
            ("8.0.30-Vitess Version: 19", "Vitess"),
            ("5.7.32 SingleStoreDB source distribution", "SingleStore"),
        ] {
            assert!(said(mysql(version)).contains(wanted), "{version}");
        }
    }
}
