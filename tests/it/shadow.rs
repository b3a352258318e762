//! `plan --shadow`: the daemon looks at the last windows with the checks that it runs and with those that are planned, and
//! nothing of that is written down.

use std::fs;
use std::time::Duration;

use chrono::{Days, Utc};
use serde_json::{Value, json};

use crate::cli::{code, command, err, out};
use crate::lab::Other;
use crate::watchman::{Site, TOKEN, Watchman};

const SOON: Duration = Duration::from_secs(60);

/// A catalogue: one check that is not due again for long, with this query and this limit, and more checks.
fn checks(sql: &str, least: i64, more: &str) -> String {
    format!(
        "version: 1\nowner: me\ndefaults: {{source: db, severity: critical, schedule: {{every: 366d}}}}\nchecks:\n  \
         - id: days\n    why: w\n    window: {{period: day, zone: UTC}}\n    sql: {sql}\n    \
         expect: {{values: {{n: {{min: {least}}}}}}}\n{more}"
    )
}

const SQL: &str = "select sum(n) as n from t where at >= :window_start and at < :window_end";

/// A daemon over days with 3 on each, and none on two of the last seven.
fn site() -> Site {
    let settings = "rollout: {weaker: accept, other: accept}\n\
                    sources: {db: {url: \"sqlite:data.db\", instants: sql}, dead: {url: \"sqlite:none.db\", instants: sql}}\n";
    let site = Site::new(settings, &checks(SQL, 0, ""));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = site.path().join("data.db");
        fs::write(&path, "").unwrap();
        let mut data = Other::sqlite(&path).await;
        data.run("create table t (at text, n integer)").await.unwrap();
        // Of the window that is due at the start there is data too.
        let rows = (0..400).map(|back| {
            let day = Utc::now().date_naive() - Days::new(back);
            let n = if back == 3 || back == 5 { 0 } else { 3 };
            format!("('{day} 12:00:00', {n})")
        });
        let rows = rows.collect::<Vec<_>>().join(", ");
        data.run(&format!("insert into t values {rows}")).await.unwrap();
        data.close().await;
    });
    site
}

fn plan(site: &Site, daemon: &Watchman, planned: &str, args: &[&str]) -> (i32, String) {
    fs::create_dir_all(site.path().join("planned")).unwrap();
    fs::write(site.path().join("planned/checks.yaml"), planned).unwrap();
    let args = [&["plan", "planned"], args].concat();
    let output = command(site.path(), &args)
        .env("ALLSWELL_URL", format!("http://{}", daemon.address))
        .env("ALLSWELL_TOKEN", TOKEN)
        .output()
        .unwrap();
    (code(&output), format!("{}{}", out(&output), err(&output)))
}

/// Everything that the ledger says of checks and of who was told.
fn record(site: &Site) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut ledger = Other::sqlite(&site.path().join("allswell.db")).await;
        let mut all = Vec::new();
        for table in ["entries", "attempts", "series", "alerts", "candidates", "generations"] {
            all.extend(ledger.texts(&format!("select count(*) || ' {table}' from {table}")).await);
        }
        ledger.close().await;
        all
    })
}

fn looked(daemon: &Watchman) {
    daemon.until(SOON, |daemon| {
        let one = daemon.series("days").remove(0);
        if one["state"] == "confirmed" { Ok(()) } else { Err(one) }
    });
}

#[test]
fn a_plan_is_looked_at_in_shadow_by_the_daemon_and_says_what_would_change() {
    let site = site();
    let daemon = site.start();
    looked(&daemon);
    let before = record(&site);
    // What says the same in each window may go.
    let (code, said) = plan(
        &site,
        &daemon,
        &checks(&SQL.replace("sum(n)", "sum(n + 0)"), 0, ""),
        &["--shadow", "7"],
    );
    assert_eq!(
        (code, said.contains("shadow: 7 windows looked at in shadow, 7 the same")),
        (0, true),
        "{said}"
    );
    // A stronger limit finds the two days without anything.
    let (code, said) = plan(&site, &daemon, &checks(SQL, 1, ""), &["--shadow", "7"]);
    assert_eq!(
        (code, said.contains("5 the same, 2 confirmed before and violated now")),
        (0, true),
        "{said}"
    );
    // What looks at nothing compares nothing: that is no pass.
    for (sql, words) in [
        (SQL.replace("from t", "from t2"), "7 unconfirmed now (query_error"),
        (
            SQL.replace("select sum(n)", "select n").replace(" at <", " n > 7 and at <"),
            "7 unconfirmed now (no_evidence",
        ),
    ] {
        let (code, said) = plan(&site, &daemon, &checks(&sql, 0, ""), &["--shadow", "7"]);
        assert_eq!((code, said.contains(words)), (2, true), "{said}");
    }
    // A new check says how often it would have alerted: two days, and not one after the other.
    let new = format!(
        "  - id: new\n    why: w\n    window: {{period: day, zone: UTC}}\n    sql: {SQL}\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n"
    );
    let (code, said) = plan(&site, &daemon, &checks(SQL, 0, &new), &["--shadow", "9"]);
    assert_eq!(code, 0, "{said}");
    let words =
        "9 windows looked at in shadow, 7 confirmed, 2 violated: it would have alerted 2 times";
    assert!(said.contains(words), "{said}");
    // A source that does not answer: nothing is known, and it is said within a moment.
    let dead = new.replace("    why: w\n", "    why: w\n    source: dead\n");
    let (code, said) =
        plan(&site, &daemon, &checks(SQL, 0, &dead), &["--shadow", "9", "--output", "json"]);
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(
        (code, &told["changes"][0]["shadow"]["verdict"]),
        (2, &"unconfirmed".into()),
        "{told:#}"
    );
    assert_eq!(record(&site), before, "nothing of it is written down");
}

#[test]
fn of_critical_checks_shadow_says_in_advance_what_the_daemon_will_say() {
    let site = site();
    let daemon = site.start();
    looked(&daemon);
    // The settings here ask for a look; the daemon's are its own.
    let settings = fs::read_to_string(site.path().join("allswell.yaml")).unwrap();
    let asks = settings.replace("rollout: {weaker: accept, other: accept}\n", "");
    fs::write(site.path().join("asks.yaml"), asks).unwrap();
    site.checks("checks.yaml", &checks(SQL, 1, ""));
    daemon.until(SOON, |daemon| {
        let active = daemon.json("/api/v1/status")["generation"]["id"].as_i64().unwrap_or(0);
        if active > 1 { Ok(()) } else { Err(active) }
    });
    let other = checks(&SQL.replace("sum(n)", "sum(n) + 1"), 1, "");
    let args = ["--config", "asks.yaml"];
    let (code, said) = plan(&site, &daemon, &other, &args);
    assert_eq!((code, said.contains("the daemon looks at it in shadow")), (0, true), "{said}");
    let (code, said) = plan(&site, &daemon, &other, &[&args[..], &["--shadow", "7"]].concat());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("2 violated before and confirmed now"), "{said}");
    assert!(said.contains("it is critical, and needs approval"), "{said}");
}

#[test]
fn zones_that_are_gone_and_windows_that_are_others_are_no_pass() {
    let site = site();
    let daemon = site.start();
    looked(&daemon);
    let zoned = |zones: &str| {
        checks(&format!("{SQL} and :zone <> ''"), 0, "")
            .replace("zone: UTC}", &format!("{zones}}}"))
    };
    let active =
        |daemon: &Watchman| daemon.json("/api/v1/status")["generation"]["id"].as_i64().unwrap_or(0);
    site.checks("checks.yaml", &zoned("zones: [Europe/Berlin, Asia/Tokyo]"));
    daemon.until(SOON, |daemon| if active(daemon) > 1 { Ok(()) } else { Err(active(daemon)) });
    let (code, said) = plan(&site, &daemon, &zoned("zones: [Europe/Berlin]"), &["--shadow", "3"]);
    assert!(said.contains("3 the same, 1 zone is not looked at any more"), "{said}");
    assert_eq!(code, 0, "`weaker: accept` in the settings: {said}");
    let listed = zoned("zones_from: {sql: select 'Europe/Berlin' as z from t limit 1}");
    let (code, said) = plan(&site, &daemon, &listed, &["--shadow", "3"]);
    assert_eq!((code, said.contains("other zones may be listed")), (2, true), "{said}");
    let weeks = zoned("zones: [Europe/Berlin, Asia/Tokyo]").replace("period: day", "period: week");
    let (code, said) = plan(&site, &daemon, &weeks, &["--shadow", "3"]);
    assert_eq!((code, said.contains("other windows are looked at")), (2, true), "{said}");
    // As many as are asked for, whatever the number of zones.
    let stronger = checks(&format!("{SQL} and :zone <> ''"), -1, "")
        .replace("zone: UTC}", "zones: [Europe/Berlin, Asia/Tokyo]}");
    let (_, said) = plan(&site, &daemon, &stronger, &["--shadow", "30"]);
    assert!(said.contains("60 windows looked at in shadow, 60 the same"), "{said}");
}

#[test]
fn a_word_in_the_files_does_not_cover_what_shadow_shows() {
    let site = site();
    let daemon = site.start();
    looked(&daemon);
    let settings = fs::read_to_string(site.path().join("allswell.yaml")).unwrap();
    let asks = settings.replace("rollout: {weaker: accept, other: accept}\n", "");
    fs::write(site.path().join("asks.yaml"), asks).unwrap();
    let planned = format!(
        "{}weakened: [{{id: days, because: z, until: 2099-01-01}}]\n",
        checks(&SQL.replace("sum(n)", "sum(n) - 1"), 0, "")
    );
    let args = ["--config", "asks.yaml"];
    let (code, said) = plan(&site, &daemon, &planned, &args);
    assert_eq!((code, said.contains("looks at it in shadow all the same")), (0, true), "{said}");
    // Of two days nothing is left: the other way round it would let something through.
    let back = plan(&site, &daemon, &planned, &[&args[..], &["--shadow", "7"]].concat());
    assert!(back.1.contains("2 confirmed before and violated now") && back.0 == 0, "{back:?}");
    site.checks("checks.yaml", &checks(SQL, 1, ""));
    daemon.until(SOON, |daemon| {
        let active = daemon.json("/api/v1/status")["generation"]["id"].as_i64().unwrap_or(0);
        if active > 1 { Ok(()) } else { Err(active) }
    });
    let planned = planned.replace("sum(n) - 1", "sum(n) + 1").replace("min: 0", "min: 1");
    let (code, said) = plan(&site, &daemon, &planned, &[&args[..], &["--shadow", "7"]].concat());
    assert_eq!((code, said.contains("2 violated before and confirmed now")), (1, true), "{said}");
    assert!(said.contains("the daemon waits for `allswell approve`"), "{said}");
    assert!(!said.contains("approve it in the files"), "{said}");
}

#[test]
fn what_is_compared_is_valid_and_asked_for_by_an_operator_once_at_a_time() {
    let site = site();
    let daemon = site.start();
    looked(&daemon);
    let file =
        |text: &str| json!({"files": [{"file": "a.yaml", "text": text}], "shadow": 3}).to_string();
    for (body, wanted, words) in [
        (file("version: 1\nchecks: [{id: a}]\n"), 422, "a.yaml:2"),
        (file("::"), 422, "a.yaml"),
        (file(&checks(SQL, 0, "").replace("source: db", "source: dbb")), 422, "did you mean `db`"),
        (json!({"files": [], "shadow": 3}).to_string(), 422, "not one"),
        (json!({"files": [], "shadow": 0}).to_string(), 400, "1 to 400"),
        (json!({"files": [], "shadows": 1}).to_string(), 400, "did you mean `shadow`"),
        ("[]".to_owned(), 400, "one JSON object"),
    ] {
        let (status, said) = daemon.post("/api/v1/plan", &body);
        let (status, said) = match serde_json::from_str::<Value>(&said) {
            Ok(told) if status == 202 => daemon.get(told["href"].as_str().unwrap()),
            _ => (status, said),
        };
        assert_eq!((status, said.contains(words)), (wanted, true), "{body}: {said}");
    }
    assert_eq!(daemon.get("/api/v1/plan/4711").0, 404);
    let (status, settings) = daemon.get("/api/v1/settings");
    assert_eq!(status, 200);
    assert!(settings.contains("\"sources.db.url\":\"SQLite data.db\""), "{settings}");
    let (code, said) =
        plan(&site, &daemon, &checks(SQL, 0, ""), &["--shadow", "3", "--against", "checks"]);
    assert_eq!((code, said.contains("leave `--against` away")), (64, true), "{said}");
}

#[test]
fn looks_in_shadow_keep_nothing_due_waiting() {
    let site = site();
    // Each look of the planned check takes long, and the source has two places.
    let slow = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 3000000) \
                select (select count(*) from c) + coalesce(sum(n), 0) as n from t \
                where at >= :window_start and at < :window_end";
    let tick = "  - {id: tick, why: w, schedule: {every: 1s}, sql: select count(*) as n from t, expect: {values: {n: {min: 1}}}}\n";
    site.checks("checks.yaml", &checks(SQL, 0, tick));
    let daemon = site.start();
    looked(&daemon);
    let looks = || daemon.series("tick")[0]["attempts"]["confirmed"].as_i64().unwrap();
    let (began, before) = (Utc::now(), looks());
    let new = format!(
        "{tick}  - id: new\n    why: w\n    window: {{period: day, zone: UTC}}\n    sql: {slow}\n    \
         expect: {{values: {{n: {{min: 0}}}}}}\n"
    );
    let (code, said) = plan(&site, &daemon, &checks(SQL, 0, &new), &["--shadow", "30"]);
    assert_eq!(code, 0, "{said}");
    let (took, done) = ((Utc::now() - began).num_seconds(), looks() - before);
    assert!(said.contains("30 windows looked at in shadow"), "{said}");
    // What is due each second was looked at each second; one may be under way at each end.
    assert!(took >= 2 && done + 2 >= took, "{done} looks in {took} s");
}
