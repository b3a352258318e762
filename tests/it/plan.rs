//! Changes of checks: each key and direction has its class, and `plan` says so before the change is made.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use allswell::domain::change::{Changes, Class, World, changes};
use allswell::domain::check::catalogue::Catalogue;
use allswell::domain::time::zone::ZoneName;
use allswell::manifest::Text;
use allswell::zones::Zones;

use crate::cli::{code, command, err, out};
use crate::hand::reading;
use crate::servers::Folder;

/// One check of each kind, with nearly every key.
const BASE: &str = "version: 1
owner: team
checks:
  - id: day
    why: w
    source: db
    severity: critical
    labels: {tier: gold}
    runbook: https://example.org/day
    window: {period: day, zones: [Europe/Berlin, America/New_York], split: utc_offset, settle: 2h}
    except: {dates: [2026-12-25], because: closed}
    sql: |
      select id, amount, state from bills where at >= :window_start and at < :window_end and zone = :zone
    expect: {rows: {min: 1, max: 5}, values: {amount: {min: 0}, state: {one_of: [open, paid]}}}
    evidence: {sql: 'select count(*) from bills where at >= :window_start and at < :window_end and zone = :zone', min: 10, history: 0.5}
    result_by: 1h
    catch_up: {policy: latest, age: 10d}
    recheck: [1d, 7d]
    alert: {after: 2, unconfirmed: warning}
    timeout: 5s
    max_rows: 500
    complete_until: {sql: select max(at) from bills}
    samples: {columns: [id], rows: 3}
    mask: [state]
  - id: now
    why: w
    source: db
    schedule: {cron: '0 6 * * *', zone: Europe/Berlin}
    sql: select store, count(*) as n from sales group by store
    expect: {values: {n: {equals: 100, tolerance: 5}}, keys: {columns: [store], from: {sql: select store from stores}}}
    max_lag: 10m
  - id: sides
    why: w
    source: db
    window: {period: day, zone: UTC}
    reconcile:
      left: {sql: 'select id, cents, items from a where at >= :window_start and at < :window_end'}
      right: {source: other, sql: 'select id, cents, items from b where at >= :window_start and at < :window_end'}
      key: [id]
      compare: {cents: {tolerance: 5}, items: {tolerance_ratio: 0.01}}
      confirm_after: 30s
  - id: rules
    why: w
    source: db
    table: orders
    where: state <> 'draft'
    columns:
      id: {unique: true, nulls: none}
      state: {one_of: [open, paid]}
      total: {min: 0, max: 1000, nulls: {max_ratio: 0.1}}
      note: {length: {max: 100}, pattern: '^[a-z]+$'}
      customer_id: {in: customers.id}
    never: [total < 0]
    rows: {min: 1}
    newest: {of: made_at, within: 2h}
  - id: paused
    why: w
    source: db
    schedule: {every: 1h}
    pause: {until: 2099-01-01, because: migration}
    sql: select count(*) as n from t
    expect: {values: {n: {min: 1}}}
  - id: zoned
    why: w
    source: db
    window: {period: week, zones_from: {sql: select distinct zone from accounts}, settle: 1h}
    sql: select id from t where at >= :window_start and at < :window_end and zone = :zone
    expect: {rows: {min: 1}}
";

use Class::{Exposes, Gone, New, Other, Routing, Stronger, Weaker};

/// What is written otherwise, what that is, and of which part.
const EDITS: &[(&str, &str, Class, &str)] = &[
    ("severity: critical", "severity: warning", Weaker, "severity"),
    (
        "    schedule: {every: 1h}",
        "    severity: critical\n    schedule: {every: 1h}",
        Stronger,
        "severity",
    ),
    ("{tier: gold}", "{tier: iron}", Routing, "labels"),
    ("owner: team", "owner: others", Routing, "owner"),
    ("- id: now", "- id: present\n    was: now", Routing, "id"),
    ("[Europe/Berlin, America/New_York]", "[Europe/Berlin]", Weaker, "window.zones"),
    (
        "[Europe/Berlin, America/New_York]",
        "[Europe/Berlin, America/New_York, Asia/Tokyo]",
        Stronger,
        "window.zones",
    ),
    ("[Europe/Berlin, America/New_York]", "[Europe/Berlin, Asia/Tokyo]", Weaker, "window.zones"),
    (", split: utc_offset", "", Weaker, "window.split"),
    (
        "{period: day, zone: UTC}",
        "{period: day, zone: UTC, split: utc_offset}",
        Other,
        "window.split",
    ),
    ("settle: 2h", "settle: 5h", Weaker, "window.settle"),
    ("settle: 2h", "settle: 1h", Other, "window.settle"),
    ("period: week", "period: month", Weaker, "window.period"),
    ("period: week", "period: day", Other, "window.period"),
    ("[2026-12-25]", "[2026-12-25, 2026-12-26]", Weaker, "except"),
    ("    except: {dates: [2026-12-25], because: closed}\n", "", Stronger, "except"),
    ("rows: {min: 1, max: 5}", "rows: {min: 1, max: 6}", Weaker, "expect.rows"),
    ("rows: {min: 1, max: 5}", "rows: {min: 2, max: 5}", Stronger, "expect.rows"),
    ("rows: {min: 1, max: 5}", "rows: {min: 2, max: 6}", Other, "expect.rows"),
    ("rows: {min: 1, max: 5}, ", "", Weaker, "expect.rows"),
    ("amount: {min: 0}", "amount: {min: -100}", Weaker, "expect.values.amount"),
    ("amount: {min: 0}", "amount: {min: 0, max: 10}", Stronger, "expect.values.amount"),
    ("amount: {min: 0}", "amount: {min: 0, nulls: allowed}", Weaker, "expect.values.amount"),
    ("amount: {min: 0}, ", "", Weaker, "expect.values.amount"),
    (
        "amount: {min: 0}, state",
        "amount: {min: 0}, id: {min: 1}, state",
        Stronger,
        "expect.values.id",
    ),
    (
        "state: {one_of: [open, paid]}}}",
        "state: {one_of: [open]}}}",
        Stronger,
        "expect.values.state",
    ),
    (
        "state: {one_of: [open, paid]}}}",
        "state: {one_of: [open, void]}}}",
        Other,
        "expect.values.state",
    ),
    ("tolerance: 5}}, keys", "tolerance: 50}}, keys", Weaker, "expect.values.n"),
    ("tolerance: 5}}, keys", "tolerance: 1}}, keys", Stronger, "expect.values.n"),
    (
        ", keys: {columns: [store], from: {sql: select store from stores}}",
        "",
        Weaker,
        "expect.keys",
    ),
    (
        "from: {sql: select store from stores}",
        "from: {sql: select store from stores where open}",
        Other,
        "expect.keys.from.sql",
    ),
    ("min: 10, history", "min: 1, history", Weaker, "evidence.min"),
    ("min: 10, history", "min: 20, history", Stronger, "evidence.min"),
    ("min: 10, history", "min: 0, because: sparse, history", Weaker, "evidence.min"),
    (", history: 0.5", "", Weaker, "evidence.history"),
    ("history: 0.5", "history: 0.9", Stronger, "evidence.history"),
    (
        "    evidence: {sql: 'select count(*) from bills where at >= :window_start and at < :window_end and zone = :zone', min: 10, history: 0.5}\n",
        "",
        Weaker,
        "evidence",
    ),
    ("count(*) from bills where at", "count(*) from bills where paid and at", Other, "evidence"),
    ("and zone = :zone\n    expect", "and zone = 'UTC' and :zone <> ''\n    expect", Other, "sql"),
    ("result_by: 1h", "result_by: 5h", Weaker, "result_by"),
    ("result_by: 1h", "result_by: 10m", Stronger, "result_by"),
    ("policy: latest", "policy: none", Weaker, "catch_up.policy"),
    ("policy: latest", "policy: all", Stronger, "catch_up.policy"),
    ("age: 10d", "age: 1d", Weaker, "catch_up.age"),
    ("[1d, 7d]", "[1d]", Weaker, "recheck"),
    ("[1d, 7d]", "[1d, 7d, 30d]", Stronger, "recheck"),
    ("after: 2", "after: 5", Weaker, "alert.after"),
    ("after: 2", "after: 1", Stronger, "alert.after"),
    ("unconfirmed: warning", "unconfirmed: info", Weaker, "alert.unconfirmed"),
    ("timeout: 5s", "timeout: 500ms", Other, "timeout"),
    ("timeout: 5s", "timeout: 50s", Weaker, "timeout"),
    ("max_rows: 500", "max_rows: 5000", Weaker, "max_rows"),
    ("max_rows: 500", "max_rows: 50", Other, "max_rows"),
    ("    complete_until: {sql: select max(at) from bills}\n", "", Weaker, "complete_until"),
    ("max_lag: 10m", "max_lag: 5h", Weaker, "max_lag"),
    ("max_lag: 10m", "max_lag: 1m", Stronger, "max_lag"),
    ("samples: {columns: [id]", "samples: {columns: [id, amount]", Exposes, "samples.columns"),
    ("    mask: [state]\n", "", Exposes, "mask"),
    ("'0 6 * * *'", "'0 6 * * 1-5'", Weaker, "schedule"),
    ("'0 6 * * *'", "'0 6,18 * * *'", Stronger, "schedule"),
    ("'0 6 * * *'", "'0 7 * * *'", Other, "schedule"),
    ("'0 6 * * *'", "'0 0 29 2 *'", Weaker, "schedule"),
    ("settle: 1h}", "settle: 9h}", Weaker, "window.settle"),
    (
        "period: week, zones_from",
        "period: day, split: utc_offset, zones_from",
        Other,
        "window.split",
    ),
    (
        "max_lag: 10m\n",
        "complete_until: {sql: select max(at) from log}\n    max_lag: 10m\n",
        Other,
        "complete_until",
    ),
    ("    max_lag: 10m\n", "", Other, "max_lag"),
    ("schedule: {every: 1h}", "schedule: {every: 4h}", Weaker, "schedule"),
    ("schedule: {every: 1h}", "schedule: {every: 5m}", Stronger, "schedule"),
    ("until: 2099-01-01", "until: 2099-06-01", Weaker, "pause"),
    ("    pause: {until: 2099-01-01, because: migration}\n", "", Stronger, "pause"),
    ("cents: {tolerance: 5}", "cents: {tolerance: 500}", Weaker, "reconcile.compare.cents"),
    ("cents: {tolerance: 5}", "cents: {tolerance: 0}", Stronger, "reconcile.compare.cents"),
    (", items: {tolerance_ratio: 0.01}", "", Weaker, "reconcile.compare.items"),
    ("confirm_after: 30s", "confirm_after: 5m", Weaker, "reconcile.confirm_after"),
    ("items from b where", "items from c where", Other, "reconcile.right.sql"),
    ("key: [id]", "key: [id, day]", Other, "reconcile.key"),
    ("table: orders", "table: old_orders", Other, "table"),
    ("    where: state <> 'draft'\n", "", Other, "where"),
    ("id: {unique: true, nulls: none}", "id: {nulls: none}", Weaker, "unique"),
    ("id: {unique: true, nulls: none}", "id: {unique: true}", Weaker, "columns.id.nulls"),
    (
        "state: {one_of: [open, paid]}\n",
        "state: {one_of: [open, paid, void]}\n",
        Weaker,
        "columns.state",
    ),
    (
        "total: {min: 0, max: 1000, nulls: {max_ratio: 0.1}}",
        "total: {min: 0, max: 1000, nulls: {max_ratio: 0.2}}",
        Weaker,
        "columns.total.nulls",
    ),
    ("max: 1000, nulls", "max: 900, nulls", Stronger, "columns.total"),
    ("length: {max: 100}", "length: {max: 200}", Weaker, "columns.note.length"),
    (", pattern: '^[a-z]+$'", "", Weaker, "columns.note.pattern"),
    ("'^[a-z]+$'", "'^[a-z0-9]+$'", Other, "columns.note.pattern"),
    ("      customer_id: {in: customers.id}\n", "", Weaker, "columns.customer_id"),
    (
        "      customer_id: {in",
        "      city: {nulls: none}\n      customer_id: {in",
        Stronger,
        "columns.city",
    ),
    ("    never: [total < 0]\n", "", Weaker, "never"),
    ("    rows: {min: 1}\n", "", Weaker, "rows"),
    ("within: 2h", "within: 9h", Weaker, "newest.within"),
    ("zone from accounts}", "zone from users}", Other, "window.zones_from.sql"),
    (
        "from accounts}, settle",
        "from accounts, shrinks: allowed}, settle",
        Weaker,
        "window.zones_from.shrinks",
    ),
    (
        "    source: db\n    schedule: {every: 1h}",
        "    source: other\n    schedule: {every: 1h}",
        Other,
        "source",
    ),
];

/// Changes that mean the same.
const SAME: &[(&str, &str)] = &[
    ("why: w\n    source: db\n    severity", "why: other words\n    source: db\n    severity"),
    ("https://example.org/day", "https://example.org/other"),
    ("select store, count(*)", "SELECT   store,\n      COUNT(*)"),
    ("amount: {min: 0}", "amount: {min: 0.00}"),
    ("[Europe/Berlin, America/New_York]", "[America/New_York, Europe/Berlin]"),
    ("one_of: [open, paid]}\n", "one_of: [paid, open]}\n"),
    // No clock change of Berlin touches six in the morning.
    ("zone: Europe/Berlin}", "zone: Europe/Berlin, gap: skip}"),
    ("settle: 2h", "settle: 120m"),
    ("never: [total < 0]", "never: [total  <   0]"),
    ("samples: {columns: [id], rows: 3}", "samples: {columns: [id], rows: 2}"),
];

fn parsed(text: &str) -> Catalogue {
    reading()
        .parse(&[Text { file: "checks.yaml".into(), text: text.to_owned() }])
        .unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

fn compared(was: &Catalogue, now: &Catalogue) -> Changes {
    compared_at(was, now, "2026-11-30T12:00:00Z")
}

fn compared_at(was: &Catalogue, now: &Catalogue, at: &str) -> Changes {
    let zones = Zones::bundled();
    let rules = |name: &ZoneName| zones.rules(name);
    let world = World { rules: &rules, now: at.parse().unwrap() };
    changes(was, now, &world)
}

/// Between the ends of a window and its look, on a first of a month, beside clock changes.
const TIMES: &[&str] = &[
    "2026-11-30T12:00:00Z",
    "2026-12-01T00:30:00Z",
    "2026-11-30T23:30:00Z",
    "2026-12-01T01:00:00Z",
    "2026-03-28T23:59:59Z",
    "2026-11-01T06:30:00Z",
];

fn edited(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "{from}");
    BASE.replace(from, to)
}

#[test]
fn each_edit_of_a_check_is_of_its_class_and_part() {
    assert!(EDITS.len() >= 60);
    let base = parsed(BASE);
    let mut wrong = Vec::new();
    for (from, to, class, part) in EDITS {
        // A word may stand in several checks: then the first.
        let text = BASE.replacen(from, to, 1);
        assert_ne!(text, BASE, "{from}");
        for at in TIMES {
            let found = compared_at(&base, &parsed(&text), at);
            let seen: Vec<(Class, &str, &str)> = found
                .checks
                .iter()
                .flat_map(|changed| &changed.differences)
                .map(|one| (one.class, one.part.as_str(), one.why.as_str()))
                .collect();
            let is_it = seen.first().is_some_and(|(first, name, why)| {
                first == class && name == part && !why.is_empty()
            });
            if !is_it {
                wrong.push(format!("{from} -> {to}: {class} {part}, and at {at} it is {seen:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const DAY: &str = "window: {period: day, zone: Europe/Berlin}";
const GAS_DAY: &str = "window: {period: day, from: '06:00', zone: Europe/Berlin}";
const WEEK: &str = "window: {period: week, zone: Europe/Berlin}";
const SUNDAYS: &str = "window: {period: week, from: sunday, zone: Europe/Berlin}";
const MONTH: &str = "window: {period: month, zone: Europe/Berlin}";
const FROM_15: &str = "window: {period: month, from: 15, zone: Europe/Berlin}";
const FROM_31: &str = "window: {period: month, from: 31, zone: Europe/Berlin}";
const QUARTER: &str = "window: {period: quarter, zone: Europe/Berlin}";

/// Calendars, then and now, what the change is, and of which part.
const CALENDARS: &[(&str, &str, Class, &str)] = &[
    (DAY, GAS_DAY, Other, "window.from"),
    (GAS_DAY, DAY, Other, "window.from"),
    (GAS_DAY, "window: {period: day, from: '04:00', zone: Europe/Berlin}", Other, "window.from"),
    (WEEK, SUNDAYS, Other, "window.from"),
    (SUNDAYS, "window: {period: week, from: saturday, zone: Europe/Berlin}", Other, "window.from"),
    (MONTH, FROM_15, Other, "window.from"),
    (FROM_15, FROM_31, Other, "window.from"),
    (FROM_31, MONTH, Other, "window.from"),
    (GAS_DAY, WEEK, Weaker, "window.period"),
    (SUNDAYS, DAY, Other, "window.period"),
    (DAY, FROM_15, Weaker, "window.period"),
    (FROM_15, QUARTER, Weaker, "window.period"),
    ("schedule: {cron: 0 6 * * *}", "schedule: {cron: 0 6 L * *}", Weaker, "schedule"),
    ("schedule: {cron: 0 6 L * *}", "schedule: {cron: 0 6 * * *}", Stronger, "schedule"),
    ("schedule: {cron: 0 6 * * SAT}", "schedule: {cron: 0 6 * * SAT#1}", Weaker, "schedule"),
    ("schedule: {cron: 0 6 * * SAT#1}", "schedule: {cron: 0 6 * * SAT}", Stronger, "schedule"),
    ("schedule: {cron: 0 6 * * SAT#1}", "schedule: {cron: 0 6 * * SAT#2}", Other, "schedule"),
    ("schedule: {cron: 0 6 * * FRIL}", "schedule: {cron: 0 6 * * THUL}", Other, "schedule"),
    (
        "schedule: {cron: '0 6 * * SAT#1,SAT#3'}",
        "schedule: {cron: 0 6 * * SAT#1}",
        Weaker,
        "schedule",
    ),
    // Looks of a year are compared, however many those are; where they are too many, that is told.
    (
        "schedule: {cron: '*/15 * * * *'}",
        "schedule: {cron: '*/15 * * 1-3,11-12 *'}",
        Weaker,
        "schedule",
    ),
    ("schedule: {cron: '* * * * *'}", "schedule: {cron: '* * * 11-12 *'}", Other, "schedule"),
];

/// A check with a calendar, and perhaps a period beside its own.
fn with_calendar(timing: &str) -> Catalogue {
    let zone = if timing.contains("cron") {
        timing.replace('}', ", zone: Europe/Berlin}")
    } else {
        timing.into()
    };
    let sql = if timing.contains("window") {
        "select count(*) as n from t where at >= :window_start and at < :window_end"
    } else {
        "select count(*) as n from t"
    };
    parsed(&format!(
        "version: 1\nowner: t\nchecks:\n  - id: it\n    why: w\n    source: db\n    {zone}\n    sql: {sql}\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n"
    ))
}

#[test]
fn each_change_of_a_calendar_is_of_its_class_and_part() {
    let mut wrong = Vec::new();
    for (was, now, class, part) in CALENDARS {
        let found = compared(&with_calendar(was), &with_calendar(now));
        let first = found.checks.first().and_then(|changed| changed.differences.first());
        let seen = first.map(|one| (one.class, one.part.as_str(), one.why.as_str()));
        if seen.map(|(class, part, _)| (class, part)) != Some((*class, *part)) {
            wrong.push(format!("{was} -> {now}: expected {class} {part}, and it is {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (was, now) in [
        (DAY, "window: {period: day, from: '00:00', zone: Europe/Berlin}"),
        (WEEK, "window: {period: week, from: monday, zone: Europe/Berlin}"),
        (MONTH, "window: {period: month, from: 1, zone: Europe/Berlin}"),
        ("schedule: {cron: 0 6 * * SAT#1}", "schedule: {cron: '0 6 * * 6#1'}"),
    ] {
        let found = compared(&with_calendar(was), &with_calendar(now));
        assert!(found.checks.is_empty(), "{now}: {:#?}", found.checks);
    }
}

#[test]
fn what_only_some_zones_show_and_what_a_line_ends_is_no_stronger_check() {
    let zones = "window: {period: day, zones: [America/New_York, Atlantic/Reykjavik, Europe/London, Pacific/Auckland]}";
    let sql = "select id from t where at >= :window_start and at < :window_end and zone = :zone";
    let check = |schedule: &str, more: &str| {
        parsed(&format!(
            "version: 1\nowner: t\nchecks:\n  - id: it\n    why: w\n    source: db\n    {zones}\n    \
             schedule: {{cron: '{schedule}', zone: UTC}}\n    sql: {sql}\n    expect: {{rows: {{min: 1}}}}\n{more}"
        ))
    };
    let less = "    except: {dates: [2026-12-25], because: closed}\n";
    let found = compared(&check("0 6,12 * * *", less), &check("0 6 * * *", ""));
    assert_ne!(found.checks[0].class, Stronger, "{:#?}", found.checks[0].differences);
    // What stood on a line of its own is a comment now.
    let never = |text: &str| {
        parsed(&format!(
            "version: 1\nowner: t\nchecks:\n  - id: it\n    why: w\n    source: db\n    table: t\n    \
             never: [\"{text}\"]\n    rows: {{min: 1}}\n"
        ))
    };
    let found = compared(&never("id > 900 -- q\\n or a < 0"), &never("id > 900 -- q or a < 0"));
    assert!(found.checks.first().is_some_and(|one| one.class == Weaker), "{:#?}", found.checks);
    // Blanks within a name are part of it.
    let found = compared(&never("[n  x] < 0"), &never("[n x] < 0"));
    assert!(found.checks.first().is_some_and(|one| one.class == Weaker), "{:#?}", found.checks);
}

#[test]
fn what_means_the_same_is_no_change() {
    let base = parsed(BASE);
    for (from, to) in SAME {
        let found = compared(&base, &parsed(&BASE.replacen(from, to, 1)));
        assert!(found.checks.is_empty(), "{from} -> {to}: {:#?}", found.checks);
        assert_eq!(found.same, 6);
    }
}

#[test]
fn what_comes_and_goes_is_new_or_gone_and_says_so() {
    let base = parsed(BASE);
    let without = BASE.split("  - id: zoned").next().unwrap().to_owned();
    let found = compared(&base, &parsed(&without));
    assert_eq!((found.count(Gone), found.same), (1, 5));
    let found = compared(&parsed(&without), &base);
    assert_eq!((found.count(New), found.same), (1, 5));
    let removed = format!("{without}removed: [{{id: zoned, because: the feed ended}}]\n");
    let found = compared(&base, &parsed(&removed));
    assert_eq!(found.checks[0].because.as_deref(), Some("the feed ended"));
}

/// A repository with a commit of the base.
struct Repo {
    folder: Folder,
}

impl Repo {
    fn new() -> Self {
        let repo = Self { folder: Folder::new("plan") };
        fs::create_dir(repo.folder.path().join("checks")).unwrap();
        let settings = "sources: {db: {url: \"sqlite:a.db\", instants: sql}, other: {url: \"sqlite:b.db\", instants: sql}}\n";
        fs::write(repo.folder.path().join("allswell.yaml"), settings).unwrap();
        repo.write(BASE);
        repo.git(&["init", "-q", "-b", "main"]);
        repo.git(&["add", "-A"]);
        repo.git(&[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "commit",
            "-qm",
            "first",
        ]);
        repo
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("checks/all.yaml"), text).unwrap();
    }

    fn git(&self, args: &[&str]) {
        let done = Command::new("git").current_dir(self.folder.path()).args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn plan(&self, args: &[&str]) -> (i32, String, String) {
        let output = command(self.folder.path(), &[&["plan"], args].concat()).output().unwrap();
        (code(&output), out(&output), err(&output))
    }
}

#[test]
fn a_plan_says_what_waits_for_a_word_and_where_the_word_is_given() {
    let repo = Repo::new();
    let against = ["--against", "git:main"];
    let (code, said, _) = repo.plan(&against);
    assert_eq!(
        (code, said.contains("nothing changes; 6 mean what they meant")),
        (0, true),
        "{said}"
    );
    // A check that is not critical changes as its owner likes.
    repo.write(&edited("schedule: {every: 1h}", "schedule: {every: 4h}"));
    let (code, said, _) = repo.plan(&against);
    assert_eq!((code, said.contains("WEAKER   paused")), (0, true), "{said}");
    let wide = edited("amount: {min: 0}", "amount: {min: -100}");
    repo.write(&wide);
    let (code, said, _) = repo.plan(&against);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("WEAKER   day  checks/all.yaml:4"), "{said}");
    assert!(said.contains("it is critical, and needs approval"), "{said}");
    assert!(said.contains("`weakened: [{id: day, because: …, until: 2027-01-31}]`"), "{said}");
    for (until, wanted, words) in [
        ("2099-12-31", 0, "the files say why: refunds come as negative amounts"),
        ("2020-12-31", 1, "held until 2020-12-31"),
    ] {
        let entry = format!(
            "weakened: [{{id: day, because: refunds come as negative amounts, until: {until}}}]\n"
        );
        repo.write(&format!("{wide}{entry}"));
        let (code, said, _) = repo.plan(&against);
        assert_eq!((code, said.contains(words)), (wanted, true), "{said}");
    }
    // What no look at settled windows shows is approved, and not looked at.
    repo.write(&edited("split: utc_offset, settle: 2h", "split: utc_offset, settle: 1h"));
    let (code, said, _) = repo.plan(&against);
    assert_eq!((code, said.contains("OTHER    day")), (1, true), "{said}");
    assert!(said.contains("it is critical, and needs approval"), "{said}");
    // What the language wants a reason for has its word beside it.
    repo.write(&edited("min: 10, history", "min: 0, because: most days are empty, history"));
    let (code, said, _) = repo.plan(&against);
    assert_eq!(
        (code, said.contains("the files say why: most days are empty")),
        (0, true),
        "{said}"
    );
    repo.write(&edited("- id: day", "- id: daily"));
    let (code, said, _) = repo.plan(&against);
    assert_eq!((code, said.contains("write `was: day` there")), (1, true), "{said}");
    fs::write(
        repo.folder.path().join("allswell.yaml"),
        "rollout: {weaker: accept}\nsources: {db: {url: \"sqlite:a.db\", instants: sql}, other: {url: \"sqlite:b.db\", instants: sql}}\n",
    )
    .unwrap();
    repo.write(&wide);
    assert_eq!(repo.plan(&against).0, 0);
}

#[test]
fn the_changes_of_the_story_are_stopped_and_the_manual_shows_what_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let manual = words(&fs::read_to_string(root.join("docs/rollout.md")).unwrap());
    let base = fs::read_to_string(root.join("checks/billing.yaml")).unwrap();
    let folder = Folder::new("story");
    for name in ["before", "checks"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("billing.yaml"), &base).unwrap();
    }
    fs::write(
        folder.path().join("allswell.yaml"),
        "sources: {company: {url: \"sqlite:company.db\", instants: sql}}\n",
    )
    .unwrap();
    let zones =
        "      zones_from:\n        sql: |\n          select distinct time_zone from accounts\n";
    let fixed = base.replace("where a.time_zone = :zone", "where a.utc_offset = -300");
    for (from, to, wanted) in [
        (zones, "      zone: America/New_York\n", 0),
        (
            "amount_cents < 0\n    expect:\n      rows: {equals: 0}",
            "amount_cents < 0\n    expect:\n      rows: {max: 100}",
            1,
        ),
        ("schedule: {every: 15m}", "schedule: {every: 15m}\n    timeout: 500ms", 0),
        ("    evidence: {column: events, min: 24}\n", "", 1),
        ("- id: refunds-are-approved", "- id: refunds-approved", 1),
    ] {
        assert_eq!(base.matches(from).count(), 1, "{from}");
        let from_what = if from == zones { &fixed } else { &base };
        fs::write(folder.path().join("checks/billing.yaml"), from_what.replace(from, to)).unwrap();
        let output = command(folder.path(), &["plan", "--against", "before"]).output().unwrap();
        let said = out(&output);
        assert_eq!(code(&output), wanted, "{said}{}", err(&output));
        // What only the data tells is looked at by the daemon before it counts.
        assert!(wanted == 1 || said.contains("the daemon looks at it in shadow"), "{said}");
        assert!(manual.contains(&words(&said)), "not in the manual:\n{said}");
    }
}

/// Settings that are like the base's but for this.
fn settings(repo: &Repo, from: &str, to: &str) {
    let path = repo.folder.path().join("allswell.yaml");
    let text = "labels: {cluster: eu}\nalertmanagers: [{url: \"http://127.0.0.1:1\"}]\n\
                webhooks: [{name: chat, url: \"https://chat.example/hooks/s3cr3t\"}]\n\
                sources:\n  db: {url: \"sqlite:a.db\", instants: sql, timeout: 5s}\n  \
                other: {url: \"sqlite:b.db\", instants: sql}\n";
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn settings_that_teams_share_are_in_the_plan_with_whom_they_hit_and_without_secrets() {
    let repo = Repo::new();
    settings(&repo, "timeout: 5s", "timeout: 5s");
    repo.git(&["add", "-A"]);
    repo.git(&["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "second"]);
    for (from, to, words) in [
        ("timeout: 5s", "timeout: 500ms", "sources.db.timeout (other): 5s → 500ms"),
        ("timeout: 5s", "timeout: 500ms", "6 checks ask it"),
        ("timeout: 5s", "timeout: 50s", "sources.db.timeout (weaker): 5s → 50s"),
        ("sqlite:a.db", "sqlite:c.db", "sources.db.url (other): SQLite a.db → SQLite c.db"),
        ("cluster: eu", "cluster: us", "labels.cluster (routing): eu → us"),
        ("hooks/s3cr3t", "hooks/0th3r", "webhooks.chat (routing): https://chat.example/… ("),
        (
            "  other:",
            "  third: {url: \"sqlite:d.db\", instants: sql}\n  other:",
            "sources.third.url (new)",
        ),
        ("labels:", "rollout: {other: accept}\nlabels:", "rollout.other (weaker): shadow → accept"),
    ] {
        settings(&repo, from, to);
        let (code, said, wrong) = repo.plan(&["--against", "git:main"]);
        assert_eq!((code, said.contains(words)), (0, true), "{to}: {said}{wrong}");
        assert!(said.contains("1 setting differs"), "{said}");
        assert!(!said.contains("s3cr3t") && !said.contains("0th3r"), "{said}");
    }
    // What means the same is no difference.
    settings(&repo, "timeout: 5s", "timeout: 5000ms, connections: 2");
    let (_, said, _) = repo.plan(&["--against", "git:main"]);
    assert!(said.contains("nothing changes; 6 mean what they meant, against git:main\n"), "{said}");
    settings(&repo, "timeout: 5s", "timeout: 500ms");
    let told: Value =
        serde_json::from_str(&repo.plan(&["--against", "git:main", "--output", "json"]).1).unwrap();
    assert_eq!(told["settings"][0]["part"], "sources.db.timeout", "{told:#}");
    let (_, said, _) = repo.plan(&["--against", "git:main", "--output", "markdown"]);
    assert!(said.contains("sources.db.timeout (other)"), "{said}");
    let (_, said, _) = repo.plan(&["--against", "git:main", "--output", "sarif"]);
    assert_valid_sarif(&serde_json::from_str(&said).unwrap());
    assert!(said.contains("settings: sources.db.timeout"), "{said}");
    fs::rename(repo.folder.path().join("allswell.yaml"), repo.folder.path().join("b.yaml"))
        .unwrap();
    let (_, said, _) = repo.plan(&["--against", "git:main", "--config", "b.yaml"]);
    assert!(said.contains("settings are not compared: it has no b.yaml"), "{said}");
}

#[test]
fn what_there_is_to_compare_with_is_named_or_is_a_fault() {
    let repo = Repo::new();
    repo.write(&edited("amount: {min: 0}", "amount: {min: -100}"));
    fs::create_dir(repo.folder.path().join("before")).unwrap();
    fs::write(repo.folder.path().join("before/all.yaml"), BASE).unwrap();
    assert_eq!(repo.plan(&["--against", "before"]).0, 1);
    fs::create_dir(repo.folder.path().join("empty")).unwrap();
    fs::write(repo.folder.path().join("broken.yaml"), "version: 1\nchecks: [{id: a}]\n").unwrap();
    for (against, wanted, words) in [
        ("git:nothing", 64, "git says"),
        ("git:", 64, "names no commit"),
        ("git:--help", 64, "names no commit"),
        ("generation:x", 64, "no number of a generation"),
        ("nowhere", 64, "cannot be read"),
        ("empty", 64, "not one *.yaml file"),
        ("broken.yaml", 64, "broken.yaml: broken.yaml"),
        ("generation:4", 74, "did not answer"),
    ] {
        let (code, said, wrong) = repo.plan(&["--against", against, "--url", "http://127.0.0.1:1"]);
        assert_eq!(code, wanted, "{against}: {said}{wrong}");
        assert!(wrong.contains(words), "{against}: {wrong}");
    }
    let (code, _, wrong) = repo.plan(&["--url", "http://127.0.0.1:1"]);
    assert_eq!(code, 74, "no daemon is no answer: {wrong}");
    // A commit without checks would make everything new.
    repo.git(&["rm", "-rqf", "--cached", "checks"]);
    repo.git(&["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "none"]);
    let (code, _, wrong) = repo.plan(&["--against", "git:main"]);
    assert_eq!((code, wrong.contains("not one file of checks")), (64, true), "{wrong}");
}

#[test]
fn a_plan_is_told_in_the_forms_that_tools_read() {
    let repo = Repo::new();
    repo.write(&edited("amount: {min: 0}", "amount: {min: -100}").replace("after: 2", "after: 1"));
    let run = |form: &str| {
        let (code, said, wrong) = repo.plan(&["--against", "git:main", "--output", form]);
        assert_eq!(code, 1, "{said}{wrong}");
        said
    };
    let told: Value = serde_json::from_str(&run("json")).unwrap();
    assert_eq!(told["counts"]["weaker"], 1, "{told:#}");
    assert_eq!(told["counts"]["same"], 5);
    assert_eq!(told["counts"]["waiting"], 1);
    assert_eq!(told["changes"][0]["approval"], "needed");
    assert_eq!(told["changes"][0]["differences"][0]["part"], "expect.values.amount");
    let sarif: Value = serde_json::from_str(&run("sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert_valid_sarif(&sarif);
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"weaker".into(), &"error".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "checks/all.yaml");
    assert_eq!(place["region"]["startLine"], 4);
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["id"] == "weaker"), "{sarif:#}");
    assert!(run("junit").contains("<failure"));
    assert!(run("github").contains("::error file=checks/all.yaml,line=4"));
    assert!(run("markdown").contains("-100 passes that failed"));
}

/// Holds a document against the rules of SARIF 2.1.0 (OASIS, sections 3.13 to 3.30) for the objects that are written: what
/// has to be there, which keys there are, and of what kind each is.
fn assert_valid_sarif(document: &Value) {
    let text = serde_json::json!({
        "type": "object", "additionalProperties": false, "required": ["text"],
        "properties": {"text": {"type": "string"}},
    });
    let place = serde_json::json!({
        "type": "object", "additionalProperties": false,
        "properties": {"physicalLocation": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "artifactLocation": {
                    "type": "object", "additionalProperties": false,
                    "properties": {"uri": {"type": "string", "format": "uri-reference"}},
                },
                "region": {
                    "type": "object", "additionalProperties": false,
                    "properties": {"startLine": {"type": "integer", "minimum": 1}},
                },
            },
        }},
    });
    let result = serde_json::json!({
        "type": "object", "additionalProperties": false, "required": ["message"],
        "properties": {
            "ruleId": {"type": "string"},
            "level": {"enum": ["none", "note", "warning", "error"]},
            "message": text,
            "locations": {"type": "array", "items": place},
            "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    });
    let rule = serde_json::json!({
        "type": "object", "additionalProperties": false, "required": ["id"],
        "properties": {"id": {"type": "string"}, "shortDescription": text},
    });
    let schema = serde_json::json!({
        "type": "object", "additionalProperties": false, "required": ["version", "runs"],
        "properties": {
            "$schema": {"type": "string", "format": "uri"},
            "version": {"enum": ["2.1.0"]},
            "runs": {"type": "array", "items": {
                "type": "object", "additionalProperties": false, "required": ["tool"],
                "properties": {
                    "tool": {
                        "type": "object", "additionalProperties": false, "required": ["driver"],
                        "properties": {"driver": {
                            "type": "object", "additionalProperties": false, "required": ["name"],
                            "properties": {
                                "name": {"type": "string"},
                                "version": {"type": "string"},
                                "rules": {"type": "array", "uniqueItems": true, "items": rule},
                            },
                        }},
                    },
                    "results": {"type": "array", "items": result},
                },
            }},
        },
    });
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let wrong: Vec<String> = schema.iter_errors(document).map(|e| e.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Many checks.
fn many(count: usize, least: i64) -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "version: 1\nowner: team\ndefaults: {source: db, severity: critical}\nchecks:\n",
    );
    for number in 0..count {
        let _ = write!(
            text,
            "  - id: check-{number}\n    why: w\n    window: {{period: day, zones: [Europe/Berlin, America/New_York], settle: {}h}}\n    \
             sql: select id, n from t where at >= :window_start and at < :window_end and zone = :zone\n    \
             expect: {{values: {{n: {{min: {least}}}}}}}\n",
            if least < 0 { 3 } else { 2 }
        );
    }
    text
}

#[test]
fn two_thousand_changes_stay_below_the_length_of_a_comment_with_those_that_wait_first() {
    let (was, now) = (parsed(&many(2_000, 0)), parsed(&many(2_000, -1)));
    let found = compared(&was, &now);
    assert_eq!(found.count(Weaker), 2_000);
    let repo = Repo::new();
    repo.write(&many(2_000, -1));
    fs::create_dir(repo.folder.path().join("before")).unwrap();
    fs::write(repo.folder.path().join("before/all.yaml"), many(2_000, 0)).unwrap();
    let (code, said, _) = repo.plan(&["--against", "before", "--output", "markdown"]);
    assert_eq!(code, 1);
    assert!(said.len() < 60_000, "{}", said.len());
    assert!(
        said.contains("2000 weaker") && said.contains("more: `--output json` has all"),
        "{said}"
    );
    drop(Arc::new(found));
}
