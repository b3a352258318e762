//! `test`: checks are shown to be able to fail, on rows that are made up, in scratch databases.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use allswell::domain::sql::Engine;

use crate::cli::{code, command, err, out};
use crate::lab::{Database, ENGINES, Other, eventually};
use crate::servers::Folder;

/// A project whose source is nowhere: tests ask the scratch database alone.
pub(crate) struct Bed {
    pub(crate) folder: Folder,
    pub(crate) scratch: Database,
}

impl Bed {
    pub(crate) async fn new(engine: Engine, checks: &str, tests: &str, schema: &str) -> Self {
        let (folder, scratch) = (Folder::new("tests"), Database::new(engine).await);
        let source = match engine {
            Engine::Postgres => "postgres://nobody@127.0.0.1:1/never",
            Engine::MySql => "mysql://nobody@127.0.0.1:1/never",
            Engine::Sqlite => "sqlite:never.db",
        };
        let more = match engine {
            Engine::Sqlite => "instants: sql".to_owned(),
            Engine::Postgres | Engine::MySql => {
                format!("scratch: {{url: \"{}\", password: \"${{env:WATCH}}\"}}", scratch.url())
            }
        };
        let settings = format!("sources:\n  db: {{url: \"{source}\", {more}}}\n");
        let bed = Self { folder, scratch };
        bed.write("allswell.yaml", &settings);
        fs::create_dir(bed.folder.path().join("checks")).unwrap();
        bed.write("checks/all.yaml", checks);
        bed.write("checks/all.test.yaml", tests);
        bed.write("checks/schema.sql", &in_dialect(engine, schema));
        bed
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn test(&self, args: &[&str]) -> Output {
        let args = [&["test"], args].concat();
        command(self.folder.path(), &args).env("WATCH", "watch").output().unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.test(&[args, &["--output", "json"]].concat());
        let read = serde_json::from_str(&out(&output));
        (code(&output), read.unwrap_or_else(|e| panic!("{e}: {}{}", out(&output), err(&output))))
    }
}

/// `@` is the type of instants.
fn in_dialect(engine: Engine, schema: &str) -> String {
    let instant = match engine {
        Engine::Postgres => "timestamptz",
        Engine::MySql => "datetime(6)",
        Engine::Sqlite => "text",
    };
    schema.replace('@', instant)
}

const SCHEMA: &str = "
    create table customers (id integer primary key, zone varchar(40) not null, name varchar(40));
    create table orders (id integer primary key, customer_id integer, total decimal(10, 2), paid boolean, state varchar(20), at @ not null);
    create view open_orders as select id, total from orders where state = 'open';
";

const CHECKS: &str = "version: 1\nowner: me\ndefaults: {source: db}\nchecks:
  - id: totals
    why: w
    sql: |
      select id, total from orders where paid
    expect: {values: {total: {min: 0.01, max: 999.99}}}
  - id: of-customers
    why: w
    sql: |
      select o.id from orders o left join customers c on c.id = o.customer_id where c.id is null
    expect: {rows: {equals: 0}}
    evidence: {sql: select count(*) from orders}
  - id: each-day
    why: w
    window: {period: day, zones: [Europe/Berlin, America/New_York], split: utc_offset}
    sql: |
      select o.id, o.total from orders o join customers c on c.id = o.customer_id
      where c.zone = :zone and o.at >= :window_start and o.at < :window_end
    expect: {values: {total: {min: 0.01}}}
  - id: open-ones
    why: w
    sql: select count(*) as n from open_orders
    expect: {values: {n: {max: 2}}}
    evidence: {sql: select count(*) from orders}
  - id: rules
    why: w
    window: {period: day, zone: UTC}
    table: orders
    at: at
    columns: {state: {one_of: [open, paid]}, total: {min: 0, nulls: allowed}}
";

const TESTS: &str = "version: 1\nschema: schema.sql\ndefaults:
  orders: {customer_id: 1, total: 5, paid: true, state: open, at: 2025-11-02T12:00:00Z}
tests:
  - of: totals
    name: to the cent
    given: {orders: [{id: 1, total: 0.01}, {id: 2, total: 999.99}, {id: 3, total: 0, paid: false}]}
    expect: confirmed
  - {of: totals, name: a cent more, given: {orders: [{id: 1, total: 1000.00}]}, expect: {violated: total}}
  - {of: totals, name: missing, given: {orders: [{id: 1, total: null}]}, expect: {violated: total}}
  - {of: totals, name: none is paid, given: {orders: [{id: 1, paid: false}]}, expect: {unconfirmed: no_evidence}}
  - of: of-customers
    name: each has one
    given: {customers: [{id: 1, zone: UTC}], orders: [{id: 1}]}
    expect: confirmed
  - of: of-customers
    name: one of nobody
    given: {customers: [{id: 1, zone: UTC, name: \"it's \\\\ 'quoted'\"}], orders: [{id: 1}, {id: 2, customer_id: 2}, {id: 3, customer_id: null}]}
    expect: violated
  - of: each-day
    name: each stretch of the long day
    window: {date: 2025-11-02, zone: America/New_York}
    given:
      customers: [{id: 1, zone: America/New_York}, {id: 2, zone: Europe/Berlin}]
      orders:
        - {id: 1, at: 2025-11-02T05:30:00Z}
        - {id: 2, at: 2025-11-02T06:30:00Z, total: -1}
        - {id: 3, at: 2025-11-02T05:30:00Z, total: -1, customer_id: 2}
    expect: {\"-04:00\": confirmed, \"-05:00\": {violated: \"-1\"}}
  - of: each-day
    name: on both sides of each bound
    window: {date: 2025-11-02, zones: [America/New_York, Europe/Berlin]}
    given:
      customers: [{id: 1, zone: America/New_York}]
      orders: [{id: 1, at: 2025-11-02T03:59:59.999999Z, total: -1}, {id: 2, at: 2025-11-02T04:00:00Z}, {id: 3, at: 2025-11-02T06:00:00Z}]
    expect: {America/New_York: confirmed, Europe/Berlin: {unconfirmed: no_evidence}}
  - {of: open-ones, name: two, given: {orders: [{id: 1}, {id: 2}, {id: 3, state: paid}]}, expect: confirmed}
  - {of: open-ones, name: three, given: {orders: [{id: 1}, {id: 2}, {id: 3}]}, expect: {violated: n}}
  - of: rules
    name: each state
    window: 2025-11-02
    given: {orders: [{id: 1, total: null}, {id: 2, state: paid, total: 0}, {id: 3, state: odd, at: 2025-11-03T00:00:00Z}]}
    expect: confirmed
  - of: rules
    name: another case
    window: 2025-11-02
    given: {orders: [{id: 1, state: Open}, {id: 2, total: -0.01}]}
    expect: {violated: [state, total]}
";

#[tokio::test]
async fn the_same_rows_bring_the_same_verdicts_on_three_engines() {
    for engine in ENGINES {
        let bed = Bed::new(engine, CHECKS, TESTS, SCHEMA).await;
        let (code, report) = bed.json(&[]);
        assert_eq!(code, 0, "{engine}: {report:#}");
        let checks = report["checks"].as_array().unwrap();
        assert_eq!(checks.len(), 5, "{engine}: {report:#}");
        let of = |id: &str| checks.iter().find(|check| check["check"] == id).unwrap();
        let names = |id: &str| -> Vec<String> {
            let tests = of(id)["tests"].as_array().unwrap();
            tests.iter().map(|test| test["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            names("each-day"),
            [
                "each stretch of the long day",
                "on both sides of each bound",
                "empty",
                "edges",
                "broken"
            ]
        );
        assert_eq!(names("open-ones"), ["two", "three", "empty", "broken"], "{engine}");
    }
}

/// Relations that are there, whoever made them.
async fn relations(owner: &mut Other, engine: Engine) -> Vec<String> {
    let sql = match engine {
        Engine::Postgres => {
            "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and c.relkind in ('r', 'v')"
        }
        Engine::MySql => {
            "select table_name from information_schema.tables where table_schema = database()"
        }
        Engine::Sqlite => "select name from sqlite_master",
    };
    owner.texts(sql).await
}

#[tokio::test]
async fn a_killed_run_leaves_nothing_once_the_next_one_is_over() {
    for engine in ENGINES {
        // Slow enough to be met: many checks.
        let many: String = (0..40)
            .map(|n| format!("  - {{id: c{n}, why: w, table: orders, rows: {{min: 1}}}}\n"))
            .collect();
        let bed = Bed::new(engine, &format!("{CHECKS}{many}"), TESTS, SCHEMA).await;
        let mut owner = bed.scratch.owner().await;
        let mut folders = Vec::new();
        for _ in 0..17 {
            let mut run = command(bed.folder.path(), &["test", "--mutants"]);
            let mut run =
                run.env("WATCH", "watch").stdout(std::process::Stdio::null()).spawn().unwrap();
            let folder = format!("allswell-test-{}-0", run.id());
            let folder = if Path::new("/dev/shm").is_dir() {
                Path::new("/dev/shm").join(folder)
            } else {
                std::env::temp_dir().join(folder)
            };
            eventually(Duration::from_secs(20), async || {
                let there = match engine {
                    Engine::Sqlite => folder.join("scratch.db").exists(),
                    Engine::Postgres | Engine::MySql => {
                        !relations(&mut owner, engine).await.is_empty()
                    }
                };
                if there { Ok(()) } else { Err("nothing was made") }
            })
            .await;
            run.kill().unwrap();
            run.wait().unwrap();
            folders.push(folder);
        }
        // The server notices that a session is gone when it is done with what it was told.
        eventually(Duration::from_secs(20), async || match bed.json(&["--check", "totals"]) {
            (0, _) => Ok(()),
            (_, report) => Err(format!("{engine}: {report:#}")),
        })
        .await;
        let left =
            if engine == Engine::Sqlite { Vec::new() } else { relations(&mut owner, engine).await };
        assert!(left.is_empty(), "{engine}: {left:?}");
        assert!(folders.iter().all(|folder| !folder.exists()), "{folders:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_one_that_ends_and_says_so_of_one_that_does_not() {
    for engine in [Engine::Postgres, Engine::MySql] {
        let bed = Bed::new(engine, CHECKS, TESTS, SCHEMA).await;
        let mut other = bed.scratch.owner().await;
        let (lock, unlock) = match engine {
            Engine::Postgres => (
                "select pg_advisory_lock(7377815)::text",
                "select pg_advisory_unlock(7377815)::text",
            ),
            Engine::MySql | Engine::Sqlite => (
                "select cast(get_lock(concat('allswell_', md5(database())), 0) as char)",
                "select cast(release_lock(concat('allswell_', md5(database()))) as char)",
            ),
        };
        other.texts(lock).await;
        let (of_another, report) = bed.json(&["--check", "totals"]);
        assert_eq!(of_another, 2, "{engine}");
        assert!(report.to_string().contains("another run of tests"), "{engine}: {report}");
        let waits = tokio::task::spawn_blocking(move || (bed.json(&["--check", "totals"]), bed));
        // It is there, and waits for the lock.
        let waiting = match engine {
            Engine::Postgres => {
                "select 'waits' from pg_locks where locktype = 'advisory' and not granted"
            }
            Engine::MySql | Engine::Sqlite => {
                "select 'waits' from information_schema.processlist where state like 'User lock'"
            }
        };
        eventually(Duration::from_secs(20), async || match other.texts(waiting).await.len() {
            0 => Err("nothing waits"),
            _ => Ok(()),
        })
        .await;
        other.texts(unlock).await;
        let ((code, report), _bed) = waits.await.unwrap();
        assert_eq!(code, 0, "{engine}: {report:#}");
    }
}

#[tokio::test]
async fn a_scratch_database_in_which_tests_could_do_harm_is_refused_and_not_touched() {
    for engine in [Engine::Postgres, Engine::MySql] {
        let bed = Bed::new(engine, CHECKS, TESTS, SCHEMA).await;
        bed.scratch.prepare("create table customers (id integer)").await;
        bed.scratch.prepare("insert into customers values (7)").await;
        let refused = |url: &str, words: &str| {
            let (scheme, source) = match engine {
                Engine::MySql => ("mysql", "mysql://nobody@127.0.0.1:1/never"),
                Engine::Postgres | Engine::Sqlite => {
                    ("postgres", "postgres://nobody@127.0.0.1:1/never")
                }
            };
            let settings = format!("sources:\n  db: {{url: \"{source}\"{url}}}\n");
            bed.write("allswell.yaml", &settings);
            let output = bed.test(&[]);
            let said = format!("{}{}", out(&output), err(&output));
            assert!(said.contains(words), "{engine}: {words}: {said}");
            assert!(
                said.contains("allswell_test")
                    || said.contains(scheme)
                    || said.contains("of its own"),
                "{said}"
            );
            code(&output)
        };
        let own =
            format!(", scratch: {{url: \"{}\", password: \"${{env:WATCH}}\"}}", bed.scratch.url());
        assert_eq!(refused(&own, "holds what no test made"), 2);
        let kept =
            bed.scratch.owner().await.texts("select cast(id as char(1)) from customers").await;
        assert_eq!(kept, ["7"], "{engine}");
        assert_eq!(refused("", "has no scratch database"), 2);
        let itself = match engine {
            Engine::MySql => ", scratch: {url: \"mysql://other@127.0.0.1:1/never\"}",
            Engine::Postgres | Engine::Sqlite => {
                ", scratch: {url: \"postgres://other@127.0.0.1:1/never\"}"
            }
        };
        assert_eq!(refused(itself, "the watched database itself"), 64);
        bed.scratch.prepare("drop table customers").await;
        let mut admin = bed.scratch.admin().await;
        let (name, harm, words) = match engine {
            Engine::Postgres => (bed.scratch.name(), "alter role NAME superuser", "is a superuser"),
            Engine::MySql | Engine::Sqlite => {
                (bed.scratch.name(), "grant insert on mysql.* to 'NAME'@'%'", "INSERT on `mysql`.*")
            }
        };
        admin.run(&harm.replace("NAME", name)).await.unwrap();
        assert_eq!(refused(&own, words), 2);
    }
}

/// Tests, how `test` ends with one, and what it says.
const TESTS_AT_FAULT: &[(&str, i32, &str)] = &[
    ("{of: total, name: a, given: {orders: []}, expect: confirmed}", 64, "did you mean `totals`"),
    (
        "{of: totals, name: a, given: {ordres: [{id: 1}]}, expect: confirmed}",
        64,
        "did you mean `orders`",
    ),
    (
        "{of: totals, name: a, given: {orders: [{id: 1, totl: 1}]}, expect: confirmed}",
        64,
        "did you mean `total`",
    ),
    (
        "{of: totals, name: a, given: {customers: [{id: 1, zone: UTC}]}, expect: confirmed}",
        64,
        "does not read the table `customers`",
    ),
    (
        "{of: of-customers, name: a, given: {customers: [{id: 1}]}, expect: confirmed}",
        64,
        "needs `zone`",
    ),
    (
        "{of: totals, name: a, given: {orders: [{id: 1, at: 2025-01-01T00:00:00Z}, {id: 1, at: 2025-01-01T00:00:00Z}]}, expect: confirmed}",
        64,
        "does not take this row",
    ),
    ("{of: totals, name: a, given: {}, expect: confirmd}", 64, "did you mean `confirmed`"),
    (
        "{of: totals, name: a, given: {}, expect: {unconfirmed: timeout}}",
        64,
        "no rows bring about `timeout`",
    ),
    (
        "{of: totals, name: a, given: {}, expect: {unconfirmed: no_evidens}}",
        64,
        "did you mean `no_evidence`",
    ),
    (
        "{of: totals, name: a, window: 2025-11-02, given: {}, expect: confirmed}",
        64,
        "has no window",
    ),
    ("{of: each-day, name: a, given: {}, expect: confirmed}", 64, "does not say which"),
    (
        "{of: each-day, name: a, window: 2025-11-02, given: {}, expect: confirmed}",
        64,
        "several zones",
    ),
    (
        "{of: each-day, name: a, window: {date: 2025-11-02, zone: Asia/Tokyo}, given: {}, expect: confirmed}",
        64,
        "does not look at `Asia/Tokyo`",
    ),
    (
        "{of: each-day, name: a, window: {date: 2025-11-02, zone: Europe/Berlin}, given: {}, expect: {\"-04:00\": confirmed}}",
        64,
        "no window of this test is `-04:00`",
    ),
    ("{of: totals, nmae: a, given: {}, expect: confirmed}", 64, "did you mean `name`"),
    ("{of: totals, name: a, given: {orders: {times: 0}}, expect: confirmed}", 64, "1 to 10000"),
    (
        "{of: totals, name: a, given: {}, expect: confirmed}",
        1,
        "expected confirmed, and it is unconfirmed: no_evidence",
    ),
    (
        "{of: each-day, name: a, window: {date: 2025-11-02, zone: Europe/Berlin}, given: {}, expect: {unconfirmed: no_evidence}}",
        0,
        "each-day  1 test, empty, edges, broken",
    ),
];

/// Files of tests that are not valid, and what `test` says of each.
const FILES_AT_FAULT: &[(&str, &str)] = &[
    ("", "is empty"),
    ("version: 1\ntests: []\n", "`schema` is missing"),
    ("version: 1\nschema: nowhere.sql\n", "nowhere.sql cannot be read"),
    ("version: 1\nschema: {dc: schema.sql}\n", "did you mean `db`"),
    (
        "version: 1\nschema: schema.sql\naccept: [{of: totals, test: edge, because: b}]\n",
        "did you mean `edges`",
    ),
    (
        "version: 1\nschema: schema.sql\naccept: [{of: totals, mutant: 'sql: `paid` → nothin', because: b}]\n",
        "did you mean `sql: `paid` → nothing`",
    ),
];

/// Checks of days of which no test has a row.
const UNTESTED: &str = "version: 1\nowner: me\ndefaults: {source: db, window: {period: day, zone: Europe/Berlin}}\nchecks:
  - id: closed
    why: w
    sql: select id, total from orders where at >= :window_start and at <= :window_end
    expect: {values: {total: {min: 0.01}}}
  - id: half-open
    why: w
    sql: select id, total from orders where at >= :window_start and at < :window_end
    expect: {values: {total: {min: 0.01}}}
  - id: by-name
    why: w
    sql: |
      with day as (select id, total from orders where at >= :window_start and at < :window_end)
      select id, total from day
    expect: {values: {total: {min: 0.01}}}
  - id: odd
    why: w
    sql: select id, total from orders where at >= :window_start and at < :window_end and length(state) > 19
    expect: {values: {total: {min: 0.01}}}
";

#[tokio::test]
async fn where_no_test_has_a_row_edges_are_looked_at_with_rows_by_chance() {
    for engine in ENGINES {
        let bed = Bed::new(engine, UNTESTED, "version: 1\nschema: schema.sql\n", SCHEMA).await;
        let output = bed.test(&[]);
        let said = out(&output);
        assert_eq!(code(&output), 1, "{engine}: {said}{}", err(&output));
        assert!(said.contains("failed   closed") && said.contains("a row by chance"), "{said}");
        assert!(
            said.contains("passed   half-open  no test written, empty, edges, broken"),
            "{said}"
        );
        assert!(said.contains("passed   by-name  no test written, empty, edges, broken"), "{said}");
        assert!(
            said.contains("not run  odd") && said.contains("none was found by chance"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_a_fault_at_its_place_or_is_not_run_and_never_passed() {
    let bed = Bed::new(Engine::Sqlite, CHECKS, TESTS, SCHEMA).await;
    for (test, code, words) in TESTS_AT_FAULT {
        bed.write(
            "checks/all.test.yaml",
            &format!("version: 1\nschema: schema.sql\ntests:\n  - {test}\n"),
        );
        let output =
            bed.test(&["--check", "totals", "--check", "each-day", "--check", "of-customers"]);
        let said = format!("{}{}", out(&output), err(&output));
        assert!(said.contains(*words) && crate::cli::code(&output) == *code, "{test}: {said}");
        assert!(*code != 64 || said.contains("all.test.yaml:4:"), "{said}");
    }
    for (tests, words) in FILES_AT_FAULT {
        bed.write("checks/all.test.yaml", tests);
        let output = bed.test(&[]);
        assert!(code(&output) == 64 && err(&output).contains(*words), "{tests}: {}", err(&output));
    }
    bed.write("checks/all.test.yaml", "version: 1\nschema: schema.sql\n");
    bed.write("checks/schema.sql", "create tabel t (a integer)");
    let output = bed.test(&[]);
    assert!(
        code(&output) == 64 && err(&output).contains("checks/schema.sql: near"),
        "{}",
        err(&output)
    );
    fs::remove_file(bed.folder.path().join("checks/all.test.yaml")).unwrap();
    let output = bed.test(&[]);
    assert!(code(&output) == 2 && out(&output).contains("--learn-schema db"), "{}", out(&output));
}

#[tokio::test]
async fn the_schema_that_is_learnt_makes_the_tables_that_checks_name() {
    for engine in ENGINES {
        let bed = Bed::new(engine, CHECKS, TESTS, SCHEMA).await;
        let source = Database::new(engine).await;
        source.prepare("create table elsewhere (a integer)").await;
        for sql in in_dialect(engine, SCHEMA).split(';').filter(|sql| !sql.trim().is_empty()) {
            source.prepare(sql).await;
        }
        let settings = match engine {
            Engine::Sqlite => {
                format!("sources:\n  db: {{url: \"{}\", instants: sql}}\n", source.url())
            }
            Engine::Postgres | Engine::MySql => format!(
                "sources:\n  db: {{url: \"{}\", password: \"${{env:WATCH}}\", scratch: {{url: \"{}\", password: \"${{env:WATCH}}\"}}}}\n",
                source.url(),
                bed.scratch.url()
            ),
        };
        bed.write("allswell.yaml", &settings);
        bed.write("checks/schema.sql", "");
        let output = bed.test(&["--learn-schema", "db"]);
        assert_eq!(code(&output), 0, "{engine}: {}", err(&output));
        bed.write("checks/schema.sql", &out(&output));
        let (code, report) = bed.json(&[]);
        assert_eq!(code, 0, "{engine}: {}\n{report:#}", out(&output));
        let output = bed.test(&["--learn-schema", "dc"]);
        assert!(err(&output).contains("did you mean `db`"), "{}", err(&output));
        // Without the view, what it is made of is not asked for.
        bed.write("checks/all.yaml", &CHECKS.replace("from open_orders", "from orders"));
        let output = bed.test(&["--learn-schema", "db"]);
        assert!(!out(&output).contains("elsewhere"), "{engine}: {}", out(&output));
    }
}

#[test]
fn every_mistake_in_the_catalogue_of_the_demo_is_noticed_by_its_tests() {
    let folder = Folder::new("demo-tests");
    let settings = format!(
        "checks: [\"{}/checks\"]\nsources:\n  company: {{url: \"sqlite:company.db\", instants: sql}}\n  \
         billing: {{url: \"sqlite:billing.db\", instants: sql}}\n",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    let output =
        command(folder.path(), &["test", "--mutants", "--min-score", "100"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
    let said = out(&output);
    assert!(said.contains("11 checks: 11 passed, 0 failed, 0 not wholly tested"), "{said}");
    for (format, sign) in [("junit", "<testsuites"), ("markdown", "11 passed"), ("github", "")] {
        let output = command(folder.path(), &["test", "--output", format]).output().unwrap();
        assert_eq!(code(&output), 0, "{format}: {}", err(&output));
        assert!(out(&output).contains(sign), "{format}: {}", out(&output));
    }
}

#[tokio::test]
async fn what_is_looked_at_in_the_parts_of_a_window_adds_up_or_is_told() {
    let checks = |bounds: &str| {
        format!(
            "version: 1\nowner: me\ndefaults: {{source: db}}\nchecks:
  - id: each-day
    why: w
    severity: critical
    window: {{period: day, zone: UTC}}
    sql: select id from orders where at >= :window_start and at < :window_end and total < 0
    expect: {{rows: {{equals: 0}}}}
    evidence: {{sql: select count(*) from orders where {bounds}}}
  - {{id: rules, why: w, window: {{period: day, zone: UTC}}, table: orders, at: at, columns: {{total: {{min: 0}}}}}}
"
        )
    };
    let right = "at >= :window_start and at < :window_end";
    for engine in ENGINES {
        let source = Database::new(engine).await;
        source
            .prepare(&in_dialect(engine, "create table orders (id integer, total integer, at @)"))
            .await;
        let day = (chrono::Utc::now() - chrono::Duration::days(1)).date_naive();
        for hour in 0..24 {
            let at = format!("{day} {hour:02}:00:00");
            source.prepare(&format!("insert into orders values ({hour}, 1, '{at}')")).await;
        }
        let more =
            if engine == Engine::Sqlite { "instants: sql" } else { "password: \"${env:WATCH}\"" };
        let bed =
            Bed::new(engine, &checks(right), "version: 1\nschema: schema.sql\n", SCHEMA).await;
        bed.write(
            "allswell.yaml",
            &format!("sources:\n  db: {{url: \"{}\", {more}}}\n", source.url()),
        );
        let (code, report) = bed.json(&["--live"]);
        assert_eq!(code, 0, "{engine}: {report:#}");
        for wrong in [
            "at >= :window_start and at <= :window_end",
            "at between :window_start and :window_end",
        ] {
            bed.write("checks/all.yaml", &checks(wrong));
            let output = bed.test(&["--live"]);
            let said = out(&output);
            assert!(
                crate::cli::code(&output) == 1 && said.contains("failed   each-day"),
                "{engine}: {said}"
            );
            assert!(
                said.contains("in the whole window, and at") && said.contains("passed   rules"),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn a_critical_check_without_a_test_in_which_it_fails_is_refused_where_that_is_asked_for() {
    let critical = CHECKS.replace("id: totals\n", "id: totals\n    severity: critical\n");
    let bed = Bed::new(Engine::Sqlite, &critical, TESTS, SCHEMA).await;
    let validate = || command(bed.folder.path(), &["validate", "--strict"]).output().unwrap();
    assert_eq!(code(&validate()), 0, "{}", err(&validate()));
    let without = TESTS.replace("expect: {violated: total}", "expect: {unconfirmed: no_evidence}");
    bed.write("checks/all.test.yaml", &without);
    let said = err(&validate());
    assert!(code(&validate()) == 64 && said.contains("checks/all.yaml:5:1: `totals` is critical, and no test shows that it can be violated"), "{said}");
}

#[tokio::test]
async fn rows_by_chance_show_mistakes_that_no_test_notices_and_are_tests_to_paste() {
    let head = "version: 1\nschema: schema.sql\n";
    for engine in ENGINES {
        let bed = Bed::new(engine, CHECKS, head, SCHEMA).await;
        let args = [
            "--mutants",
            "--fuzz",
            "60",
            "--check",
            "totals",
            "--check",
            "of-customers",
            "--check",
            "each-day",
        ];
        let (_, report) = bed.json(&args);
        let all = |report: &Value, key: &str| -> Vec<Value> {
            let checks = report["checks"].as_array().unwrap().iter();
            checks.flat_map(|check| check["mutants"][key].as_array().unwrap().clone()).collect()
        };
        let (survivors, found) = (all(&report, "not_noticed"), all(&report, "found"));
        assert!(
            found.len() * 3 >= survivors.len() * 2,
            "{engine}: {} of {}",
            found.len(),
            survivors.len()
        );
        let tests: String = found.iter().map(|found| found["test"].as_str().unwrap()).collect();
        bed.write("checks/all.test.yaml", &format!("{head}tests:\n{tests}"));
        let (_, report) = bed.json(&args[..1]);
        let left = all(&report, "not_noticed");
        for found in &found {
            assert!(
                !left.iter().any(|left| left["name"] == found["name"]
                    && tests.contains(left["name"].as_str().unwrap())
                    && left["line"] == found["line"]),
                "{engine}: {found:#}"
            );
        }
        let failed =
            report["checks"].as_array().unwrap().iter().filter(|c| c["result"] == "failed").count();
        assert_eq!(failed, 0, "{engine}: {report:#}");
    }
}

#[tokio::test]
async fn what_is_switched_off_altogether_is_not_run_and_what_no_column_holds_is_a_fault() {
    let checks = "version: 1\nowner: me\ndefaults: {source: db}\nchecks:\n  - id: a\n    why: w\n    \
                  sql: select coalesce(n, 0) as n from t\n    expect: {values: {n: {equals: 0}}}\n";
    let head = "version: 1\nschema: schema.sql\n";
    let schema = "create table t (n integer, at timestamp, on_day date)";
    let bed = Bed::new(Engine::Sqlite, checks, head, schema).await;
    let off =
        "accept:\n  - {of: a, test: empty, because: b}\n  - {of: a, test: broken, because: b}\n";
    bed.write("checks/all.test.yaml", &format!("{head}{off}"));
    let output = bed.test(&[]);
    assert!(code(&output) == 2 && out(&output).contains("nothing was run"), "{}", out(&output));
    // Rows that show what is accepted as what none can show.
    let accepted = "accept:\n  - {of: a, mutant: \"sql: `coalesce(n, 0)` → `n`\", because: n is never NULL}\ntests:\n  \
                    - {of: a, name: one, given: {t: [{n: 0}]}, expect: confirmed}\n  \
                    - {of: a, name: two, given: {t: [{n: 1}]}, expect: violated}\n";
    bed.write("checks/all.test.yaml", &format!("{head}{accepted}"));
    let output = bed.test(&["--mutants", "--fuzz", "100"]);
    let said = out(&output);
    assert!(code(&output) == 1 && said.contains("rows show what is accepted"), "{said}");
    assert!(said.contains("n: null"), "{said}");
    for (row, words) in [
        ("n: abc", "`n` is `integer`, and `abc` is no number"),
        ("n: nul", "`nul` is no number"),
        ("at: yesterday", "no instant as this source stores them"),
        ("at: 7", "no instant as this source stores them"),
        ("at: \"2025-11-02T03:30:00Z\"", "without quotes"),
        ("on_day: soon", "`soon` is no date"),
    ] {
        let test = format!(
            "tests:\n  - {{of: a, name: one, given: {{t: [{{{row}}}]}}, expect: violated}}\n"
        );
        bed.write("checks/all.test.yaml", &format!("{head}{test}"));
        let output = bed.test(&[]);
        assert!(code(&output) == 64 && err(&output).contains(words), "{row}: {}", err(&output));
        assert!(err(&output).contains("all.test.yaml:4:"), "{}", err(&output));
    }
    for row in [
        "n: 1.5",
        "n: \"7\"",
        "at: 2025-11-02T03:30:00Z",
        "at: \"2025-11-02 03:30:00\"",
        "at: 2025-11-02",
    ] {
        let test = format!(
            "tests:\n  - {{of: a, name: one, given: {{t: [{{{row}}}]}}, expect: {{unconfirmed: no_evidence}}}}\n"
        );
        bed.write("checks/all.test.yaml", &format!("{head}{test}"));
        let output = bed.test(&[]);
        assert_ne!(code(&output), 64, "{row}: {}", err(&output));
    }
}

#[tokio::test]
async fn a_check_that_does_not_run_and_bounds_that_are_not_seen_are_not_called_tested() {
    let head = "version: 1\nschema: schema.sql\n";
    let of = |rest: &str| {
        format!(
            "version: 1\nowner: me\ndefaults: {{source: db}}\nchecks:\n  - {{id: a, why: w, {rest}}}\n"
        )
    };
    for engine in ENGINES {
        let bed = Bed::new(engine, "", head, SCHEMA).await;
        for (rest, words) in [
            ("sql: select totl from orders, expect: {values: {totl: {min: 0}}}", "query_error"),
            (
                "sql: select totl from orders, expect: {values: {totl: {min: 0}}}, evidence: {min: 0, because: b}",
                "query_error",
            ),
            (
                "window: {period: day, zone: UTC}, sql: 'with b as (select :window_start as s, :window_end as e) \
                 select o.total from orders o join b on o.at > b.s and o.at <= b.e', expect: {values: {total: {min: 0}}}",
                "no column was found that is held against both bounds",
            ),
        ] {
            bed.write("checks/all.yaml", &of(rest));
            let output = bed.test(&[]);
            let said = format!("{}{}", out(&output), err(&output));
            assert!(code(&output) == 2 && said.contains(words), "{engine}: {rest}: {said}");
        }
        // A roll-up has a key, and no edges.
        let key = "window: {period: day, zone: UTC}, sql: select total from orders where at = :window_start, \
                   expect: {values: {total: {min: 0}}}";
        bed.write("checks/all.yaml", &of(key));
        let output = bed.test(&[]);
        assert_eq!(code(&output), 0, "{engine}: {}{}", out(&output), err(&output));
    }
}
