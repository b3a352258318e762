//! `next`, `zones`, and `run` for windows, as their users call them.

use std::fs;
use std::path::Path;

use allswell::domain::sql::Engine;
use serde_json::Value;

use crate::cli::{allswell, code, err, out};
use crate::lab::Database;
use crate::servers::{Folder, MariaDb};

/// A project with one SQLite file that nobody asks.
fn offline(checks: &str) -> Folder {
    let folder = Folder::new("calendar");
    let settings = "sources:\n  db: {url: \"sqlite:data.db\", instants: sql}\n";
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    fs::write(folder.path().join("checks/all.yaml"), checks).unwrap();
    folder
}

fn check(id: &str, timing: &str, condition: &str) -> String {
    format!(
        "  - id: {id}\n    why: w\n{timing}    sql: select count(*) as n from t{condition}\n    expect: \
         {{values: {{n: {{min: 1}}}}}}\n"
    )
}

const BOUNDS: &str = " where at >= :window_start and at < :window_end";
const IN_ZONE: &str = " where z = :zone and at >= :window_start and at < :window_end";
const HEAD: &str = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n";

fn calendar() -> Folder {
    let checks = [
        check("nightly", "    schedule: {cron: \"30 2 * * *\", zone: Europe/Berlin}\n", ""),
        check("often", "    schedule: {every: 5m}\n", ""),
        check(
            "daily",
            "    window: {period: day, zone: America/New_York, split: utc_offset}\n",
            BOUNDS,
        ),
        check(
            "everywhere",
            "    window: {period: day, zones_from: {sql: select z from a}}\n",
            IN_ZONE,
        ),
        check("gone", "    window: {period: day, zone: Pacific/Apia}\n", BOUNDS),
    ];
    offline(&format!("{HEAD}{}", checks.concat()))
}

fn said(folder: &Path, args: &[&str]) -> String {
    let output = allswell(folder, args);
    assert_eq!(code(&output), 0, "{}", err(&output));
    out(&output)
}

#[test]
fn next_says_what_is_due_and_what_clocks_do_to_it() {
    let folder = calendar();
    let spring = said(
        folder.path(),
        &["next", "--check", "nightly", "--from", "2026-03-28", "--to", "2026-03-31"],
    );
    assert_eq!(
        spring,
        "nightly · Europe/Berlin · `30 2 * * *` in Europe/Berlin\n  \
         Sat 2026-03-28 02:30 +01:00  2026-03-28T01:30Z\n  \
         -- 2026-03-29T01:00:00Z: clocks go forward in Europe/Berlin: 02:00 → 03:00, +01:00 to +02:00\n  \
         Sun 2026-03-29 03:00 +02:00  2026-03-29T01:00Z  (02:30 does not exist (02:00 → 03:00): at the end of the gap)\n  \
         Mon 2026-03-30 02:30 +02:00  2026-03-30T00:30Z\n\n\
         3 dues of 1 series, after 2026-03-28T00:00:00Z, up to 2026-03-31T00:00:00Z\n"
    );
    let autumn = said(
        folder.path(),
        &["next", "--check", "daily", "--from", "2026-11-01T12:00:00Z", "--to", "2026-11-03"],
    );
    assert_eq!(
        autumn,
        "daily · America/New_York · each day\n  \
         Mon 2026-11-02 00:00 -05:00  2026-11-02T05:00Z  window 2026-11-01 at -04:00, 2 h\n  \
         Mon 2026-11-02 00:00 -05:00  2026-11-02T05:00Z  window 2026-11-01 at -05:00, 23 h\n\n\
         2 dues of 1 series, after 2026-11-01T12:00:00Z, up to 2026-11-03T00:00:00Z\n"
    );
    let often = said(
        folder.path(),
        &["next", "--check", "often", "--from", "2026-03-28", "--to", "2026-03-30"],
    );
    assert!(often.contains("  576 times, the first at 2026-03-28T00:0"), "{often}");
    let apia = said(
        folder.path(),
        &["next", "--check", "gone", "--from", "2011-12-30", "--to", "2011-12-31"],
    );
    assert!(apia.contains("not due: 2011-12-30: clocks leave out this date"), "{apia}");
    let nowhere = said(folder.path(), &["next", "--check", "everywhere"]);
    assert!(nowhere.contains("name some, like `--zone"), "{nowhere}");
    let zone = ["next", "--zone", "Asia/Kolkata", "--from", "2026-03-28", "--to", "2026-03-30"];
    let kolkata = said(folder.path(), &zone);
    assert!(
        kolkata.contains("everywhere · Asia/Kolkata") && !kolkata.contains("daily"),
        "{kolkata}"
    );
}

#[test]
fn next_keeps_its_contract_with_programs() {
    let folder = calendar();
    let args = ["next", "--from", "2026-03-28", "--to", "2026-03-30", "--output", "json"];
    let report: Value = serde_json::from_str(&said(folder.path(), &args)).unwrap();
    assert_eq!(report["format"], 1);
    let due = report["due"].as_array().unwrap();
    for entry in due {
        let keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["check", "civil", "due", "note", "tz", "window"]);
        assert!(entry["due"].as_str().unwrap().ends_with('Z'), "{entry}");
    }
    let of = |id: &str| due.iter().filter(|d| d["check"] == id).cloned().collect::<Vec<_>>();
    let nightly = of("nightly");
    assert_eq!(nightly[1]["civil"], "2026-03-29T03:00:00+02:00");
    assert_eq!(nightly[1]["note"], "02:30 does not exist (02:00 → 03:00): at the end of the gap");
    assert_eq!(nightly[0]["note"], Value::Null);
    assert_eq!(of("often").len(), 1, "one line for many");
    assert_eq!(of("often")[0]["note"], "the first of 576");
    assert_eq!(
        of("daily")[0]["window"],
        serde_json::json!({
            "start": "2026-03-27T04:00:00Z", "end": "2026-03-28T04:00:00Z", "date": "2026-03-27",
            "utc_offset": -14_400, "zone": "America/New_York",
        })
    );
    let events = report["events"].as_array().unwrap();
    let note =
        |id: &str| events.iter().find(|e| e["check"] == id).unwrap()["note"].as_str().unwrap();
    assert!(note("everywhere").contains("--zone"));
    assert!(note("nightly").starts_with("clocks go forward in Europe/Berlin: 02:00 → 03:00"));
}

#[test]
fn what_cannot_be_meant_is_said() {
    let folder = calendar();
    for (args, wanted) in [
        (&["next", "--from", "yesterday"][..], "write a date"),
        (&["next", "--from", "2026-03-28", "--to", "2026-03-28"], "nothing lies between"),
        (&["next", "--zone", "Berlin"], "`Europe/Berlin`"),
        (&["next", "--check", "nightly", "--zone", "Asia/Kolkata"], "in that zone"),
        (&["run", "--window", "2026-03-08..2026-03-08"], "the range is empty"),
        (&["run", "--window", "2026-02-30"], "no calendar has this date"),
        (&["run", "--window", "1969-12-31"], "1970 to 2099"),
        (&["run", "--window", "2026-03-08", "--at", "2026-03-09T00:00:00Z"], "cannot be used with"),
        (
            &["run", "--window", "2026-03-08", "--check", "nightly"],
            "none of these checks has a window",
        ),
        (&["zones", "--zone", "Berlin"], "`Europe/Berlin`"),
    ] {
        let output = allswell(folder.path(), args);
        assert_eq!(code(&output), 64, "{args:?}: {}{}", out(&output), err(&output));
        assert!(err(&output).contains(wanted), "{args:?}: {}", err(&output));
    }
}

#[test]
fn a_pause_ends_where_each_series_lives_and_one_line_tells_what_is_odd() {
    let timing = "    window: {period: day, zones: [Pacific/Kiritimati, Pacific/Niue]}\n    pause: {until: \
                  2098-01-01, because: far away}\n";
    let often = "    schedule: {cron: \"*/15 * * * *\", zone: Europe/Berlin}\n";
    let work = "    schedule: {cron: \"*/5 9-17 * * MON-FRI\", zone: UTC}\n";
    let checks =
        [check("apart", timing, IN_ZONE), check("often", often, ""), check("work", work, "")];
    let folder = offline(&format!("{HEAD}{}", checks.concat()));
    let output = allswell(folder.path(), &["run", "--check", "apart"]);
    assert_eq!(code(&output), 2);
    for wanted in
        ["2097-12-31T10:00:00Z in Pacific/Kiritimati", "2098-01-01T11:00:00Z in Pacific/Niue"]
    {
        assert!(out(&output).contains(wanted), "{}", out(&output));
    }
    let spring = ["next", "--check", "often", "--from", "2026-03-28", "--to", "2026-03-30"];
    let text = said(folder.path(), &spring);
    assert_eq!(text.matches("does not exist (02:00 → 03:00): skipped").count(), 4, "{text}");
    let json: Value =
        serde_json::from_str(&said(folder.path(), &[&spring[..], &["--output", "json"]].concat()))
            .unwrap();
    assert_eq!(
        (json["due"].as_array().unwrap().len(), json["events"].as_array().unwrap().len()),
        (1, 5)
    );
    // From a Saturday on, too.
    let text = said(folder.path(), &["next", "--check", "work", "--from", "2026-11-21"]);
    assert!(text.lines().count() < 6 && text.contains("540 times"), "{text}");
}

#[test]
fn the_changes_of_both_zones_are_marked_each_by_its_own_clocks() {
    let timing = "    window: {period: week, zone: America/New_York}\n    schedule: {cron: \"0 9 * * MON\", \
                  zone: Europe/Berlin}\n";
    let folder = offline(&format!("{HEAD}{}", check("two", timing, BOUNDS)));
    let text = said(folder.path(), &["next", "--from", "2026-10-20", "--to", "2026-11-03"]);
    for wanted in [
        "  -- 2026-10-25T01:00:00Z: clocks go back in Europe/Berlin: 03:00 → 02:00, +02:00 to +01:00\n",
        "  -- 2026-11-01T06:00:00Z: clocks go back in America/New_York: 02:00 → 01:00, -04:00 to -05:00\n",
        "  Mon 2026-10-26 09:00 +01:00  2026-10-26T08:00Z  window week of 2026-10-19\n",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn a_window_that_is_not_over_is_unconfirmed_and_not_left_out() {
    let folder = calendar();
    let output = allswell(folder.path(), &["run", "--window", "2099-01-01", "--check", "daily"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("clock") && text.contains("settles at 2099-01-02T05:00:00Z"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_which_nothing_is_looked_at_is_not_hidden_behind_a_good_one() {
    let folder = Folder::new("hidden");
    let db = Database::new(Engine::Sqlite).await;
    db.prepare(
        "create table t (z text, at text); create table a (z text); insert into a values ('UTC'); \
         insert into t values ('UTC', '2011-12-30 12:00:00')",
    )
    .await;
    let settings = format!("sources:\n  db: {{url: \"{}\", instants: sql}}\n", db.url());
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    let fan = "    window: {period: day, zones_from: {sql: select z from a}}\n    except: {dates: \
               [2011-12-30], because: closed}\n";
    let checks = [
        check("good", "    window: {period: day, zone: UTC}\n", BOUNDS),
        check("fan", fan, IN_ZONE),
        check("apia", "    window: {period: day, zone: Pacific/Apia}\n", BOUNDS),
    ];
    fs::write(folder.path().join("checks/all.yaml"), format!("{HEAD}{}", checks.concat())).unwrap();
    let output = allswell(folder.path(), &["run", "--window", "2011-12-30"]);
    let text = out(&output);
    assert_eq!(code(&output), 0, "{text}");
    assert!(text.contains("excepted     fan   2011-12-30 in UTC: closed"), "{text}");
    assert!(
        text.contains("no such day  apia  2011-12-30 in Pacific/Apia: clocks leave it out"),
        "{text}"
    );
    assert!(text.contains("1 confirmed, 0 violated, 0 unconfirmed"), "{text}");
    let args = ["run", "--window", "2011-12-30", "--check", "fan", "--output", "json"];
    let output = allswell(folder.path(), &args);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), report["runs"].as_array().unwrap().len()), (2, 0), "{report}");
    assert_eq!(report["asides"][0]["why"], "excepted");
    // Before there are rules there is no window, which is no proof either.
    let output = allswell(folder.path(), &["run", "--at", "1970-01-02", "--check", "apia"]);
    assert_eq!(code(&output), 2, "{}", out(&output));
    assert!(out(&output).contains("there is no window there to look at"), "{}", out(&output));
}

#[test]
fn old_names_of_zones_are_taken_and_told() {
    let window = "    window: {period: day, zone: Europe/Kiev}\n";
    let folder = offline(&format!("{HEAD}{}", check("old", window, BOUNDS)));
    let output = allswell(folder.path(), &["validate"]);
    assert_eq!(code(&output), 0);
    let told = err(&output);
    assert!(
        told.contains("warning: checks/all.yaml:7:33") && told.contains("`Europe/Kyiv`"),
        "{told}"
    );
    let report: Value =
        serde_json::from_str(&said(folder.path(), &["validate", "--output", "json"])).unwrap();
    assert_eq!(report["warnings"][0]["hint"], "write `Europe/Kyiv`");
}

#[test]
fn an_aggregate_over_nothing_is_warned_of() {
    let sql = |sql: &str, more: &str| {
        format!(
            "{HEAD}  - id: a\n    why: w\n    sql: {sql}\n    expect: {{values: {{bad: {{equals: 0}}}}}}\n{more}"
        )
    };
    let count = "select count(*) as bad from refunds where approved_by is null";
    for (text, warned) in [
        (sql(count, ""), true),
        (sql(count, "    evidence: {sql: select count(*) from refunds}\n"), false),
        (sql(count, "    evidence: {min: 0, because: rare}\n"), false),
        (sql("select count(*) as bad from refunds group by day", ""), false),
        (sql(count, "").replace("{equals: 0}", "{min: 1}"), false),
    ] {
        let folder = offline(&text);
        let output = allswell(folder.path(), &["validate"]);
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert_eq!(err(&output).contains("even if there is nothing to look at"), warned, "{text}");
    }
}

#[test]
fn zones_lists_clock_changes_and_releases() {
    let folder = calendar();
    let changes = said(folder.path(), &["zones", "--zone", "Africa/Casablanca"]);
    assert!(
        changes.contains("2026-02-15T02:00:00Z  +01:00 to +00:00  03:00 → 02:00\n"),
        "{changes}"
    );
    let text = said(folder.path(), &["zones", "--offline"]);
    for wanted in ["bundled", "used", "host (", "chrono-tz", "a witness", "America/New_York"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let report: Value =
        serde_json::from_str(&said(folder.path(), &["zones", "--offline", "--output", "json"]))
            .unwrap();
    let used = report["databases"].as_array().unwrap().iter().filter(|d| d["used"] == true);
    assert_eq!(used.count(), 1);
}

/// A project over a database of each server.
async fn watched(zones: &str, sql: &str) -> (Folder, [Database; 2]) {
    let folder = Folder::new("watched");
    let databases = [Database::new(Engine::Postgres).await, Database::new(Engine::MySql).await];
    let settings = format!(
        "sources:\n  db: {{url: \"{}\", password: \"${{env:WATCH}}\"}}\n  maria: {{url: \"{}\", password: \
         \"${{env:WATCH}}\"}}\n",
        databases[0].url(),
        databases[1].url()
    );
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    let window = format!("    window: {{period: day, zones: [{zones}]}}\n");
    let checks = format!("{HEAD}{}", check("it", &window, &format!("{IN_ZONE}{sql}")));
    fs::write(folder.path().join("checks/all.yaml"), checks).unwrap();
    (folder, databases)
}

fn zones_of(folder: &Path) -> (i32, String) {
    let output = crate::cli::command(folder, &["zones"]).env("WATCH", "watch").output().unwrap();
    (code(&output), format!("{}{}", out(&output), err(&output)))
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_finds_databases_that_compute_otherwise() {
    let trap = " and at at time zone 'CET' < now()";
    let (folder, _databases) = watched("America/New_York, America/Vancouver", trap).await;
    let (exit, text) = zones_of(folder.path());
    assert!(
        text.contains("America/Vancouver")
            && text.contains("chrono-tz differs from 2026-11-01T09:00:00Z on, which touches it"),
        "{text}"
    );
    assert!(text.contains("at time zone 'CET'"), "{text}");
    assert!(text.contains("warning: maria: the server has no zone tables"), "{text}");
    // The server reads the host's zones, whichever they are: what it says is held against ours.
    let host = text.contains("host (/usr/share/zoneinfo) differs");
    assert_eq!(exit, i32::from(host), "{text}");
    assert_eq!(text.contains("db (PostgreSQL) agrees on 2 zones"), !host, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_asks_mariadb_for_the_zones_that_were_loaded_into_it() {
    let server = MariaDb::start();
    let mut admin = crate::lab::maria_admin(server.port).await;
    // Rules that were never true: New York, always at -05:00.
    for sql in [
        "insert into time_zone (Time_zone_id, Use_leap_seconds) values (1, 'N')",
        "insert into time_zone_name values ('America/New_York', 1)",
        "insert into time_zone_transition_type values (1, 0, -18000, 0, 'EST')",
    ] {
        sqlx::query(sql).execute(&mut admin).await.unwrap();
    }
    let db = Database::mariadb(&server).await;
    let source = db.source();
    let name = |zone: &str| allswell::domain::time::zone::ZoneName::parse(zone).unwrap();
    let probes: Vec<_> = [
        ("America/New_York", 1_767_225_600),
        ("America/New_York", 1_782_864_000),
        ("Europe/Berlin", 1_767_225_600),
    ]
    .map(|(zone, at)| (name(zone), at))
    .into();
    let stop = tokio_util::sync::CancellationToken::new();
    let said = allswell::source::offsets::offsets(&source, &probes, &stop).await.unwrap();
    let wanted = vec![Some(-18_000), Some(-18_000), None];
    assert_eq!(said, allswell::source::offsets::KnownOffsets::Offsets(wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_zones_is_judged_and_every_zone_of_it_looked_at() {
    let folder = Folder::new("list");
    let db = Database::new(Engine::Sqlite).await;
    let settings = format!("sources:\n  db: {{url: \"{}\", instants: sql}}\n", db.url());
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    let window = "    window: {period: day, zones_from: {sql: select z from a}}\n";
    fs::write(
        folder.path().join("checks/all.yaml"),
        format!("{HEAD}{}", check("it", window, IN_ZONE)),
    )
    .unwrap();
    db.prepare(
        "create table a (z text); create table t (z text, at text); \
         insert into t values ('Europe/Berlin', '2026-06-01 12:00:00'), ('Asia/Kolkata', '2026-06-01 12:00:00'), \
         ('Asia/Calcutta', '2026-06-01 12:00:00')",
    )
    .await;
    let run = || {
        let args = ["run", "--window", "2026-06-01", "--output", "json"];
        let output = allswell(folder.path(), &args);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let runs = report["runs"].as_array().unwrap().clone();
        (code(&output), runs)
    };
    let (exit, runs) = run();
    assert_eq!((exit, runs.len()), (2, 1), "no zones, no evidence: {runs:?}");
    assert_eq!(runs[0]["cause"], "no_evidence");
    db.prepare("insert into a values ('Europe/Berlin'), ('Asia/Kolkata'), ('Europe/Berlin')").await;
    let (exit, runs) = run();
    assert_eq!((exit, runs.len()), (0, 3), "{runs:?}");
    // An old name is bound as the data spells it.
    db.prepare("insert into a values ('Asia/Calcutta')").await;
    let (exit, runs) = run();
    assert_eq!((exit, runs.len()), (0, 4), "{runs:?}");
    db.prepare("insert into a values ('Mars/Olympus'), (null), (7)").await;
    let (exit, runs) = run();
    assert_eq!((exit, runs.len()), (1, 4), "the others are looked at all the same: {runs:?}");
    let finding = runs[0]["finding"].as_str().unwrap();
    assert_eq!(
        finding,
        "zones: of 7 in the list, no zone is called `7`, `Mars/Olympus`, 1 NULL or no text"
    );
    db.prepare("drop table a").await;
    let (exit, runs) = run();
    assert_eq!((exit, runs[0]["cause"].as_str()), (2, Some("query_error")), "{runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_or_excepted_is_told_and_not_looked_at() {
    let folder = Folder::new("paused");
    let db = Database::new(Engine::Sqlite).await;
    db.prepare("create table t (at text); insert into t values ('2026-06-02 12:00:00')").await;
    let settings = format!("sources:\n  db: {{url: \"{}\", instants: sql}}\n", db.url());
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    let checks = [
        check("waits", "    pause: {until: 2099-01-01, because: moving house}\n", ""),
        check(
            "closed",
            "    window: {period: day, zone: UTC}\n    except: {dates: [2026-06-01], because: inventory}\n",
            BOUNDS,
        ),
    ];
    fs::write(folder.path().join("checks/all.yaml"), format!("{HEAD}{}", checks.concat())).unwrap();
    let output = allswell(folder.path(), &["run", "--check", "waits"]);
    assert_eq!(code(&output), 2, "nothing is confirmed");
    let text = out(&output);
    assert!(
        text.contains("paused       waits  until 2099-01-01T00:00:00Z: moving house"),
        "{text}"
    );
    let output = allswell(folder.path(), &["run", "--window", "2026-06-01..2026-06-03"]);
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
    assert!(
        out(&output).contains("excepted     closed  2026-06-01 in UTC: inventory"),
        "{}",
        out(&output)
    );
    let output = allswell(folder.path(), &["run", "--window", "2026-06-01"]);
    assert_eq!(code(&output), 2, "nothing is confirmed: {}", out(&output));
    let at = allswell(folder.path(), &["run", "--at", "2026-06-03T01:00:00Z", "--output", "json"]);
    let report: Value = serde_json::from_slice(&at.stdout).unwrap();
    assert_eq!(report["runs"][0]["window"]["date"], "2026-06-02");
}
