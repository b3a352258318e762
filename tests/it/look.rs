//! `look`: a daemon looks at the newest windows at once, and says what it saw.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Other, eventually};
use crate::verbs::{allswell, text};
use crate::watchman::{Site, Watchman};

const CHECKS: &str = "version: 1\nowner: loads\ndefaults: {source: db}\nchecks:
  - {id: whole, why: w, schedule: {every: 366d}, table: orders, columns: {total: {min: 0}}}
  - {id: each-day, why: w, owner: others, window: {period: day, zone: Europe/Berlin, split: utc_offset}, table: orders, at: at,
     columns: {total: {min: 0}}, evidence: {min: 0, because: an empty day is a day}, result_by: 1d}
  - {id: waits, why: w, owner: nobody-yet, pause: {until: 2098-01-01, because: later}, table: orders, rows: {min: 1}}
";

async fn data(site: &Site, sql: &str) {
    let mut db = Other::sqlite(&site.path().join("data.db")).await;
    db.run(sql).await.unwrap();
    db.close().await;
}

async fn started() -> (Site, Watchman) {
    let sources = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";
    let site = Site::new(sources, CHECKS);
    fs::write(site.path().join("data.db"), "").unwrap();
    data(&site, "create table orders (total integer, at text); insert into orders values (1, '2026-01-01 12:00:00')").await;
    let daemon = site.start();
    daemon.until(Duration::from_secs(20), |daemon| {
        let day = daemon.series("each-day");
        let confirmed = day.iter().all(|series| series["state"] == "confirmed");
        if confirmed && !day.is_empty() { Ok(()) } else { Err(day) }
    });
    (site, daemon)
}

#[tokio::test]
async fn a_load_is_looked_at_at_once_and_the_look_is_on_the_record() {
    let (site, daemon) = started().await;
    let look = |args: &[&str]| {
        let output = allswell(&site, &daemon, &[&["look"], args].concat());
        (output.status.code().unwrap(), text(&output))
    };
    // A check that is due once a year has a slot once the daemon has written one down.
    eventually(Duration::from_secs(20), async || match look(&["whole"]) {
        (0, said)
            if said.starts_with("confirmed    whole  at ") && said.contains("looked at 1") =>
        {
            Ok(())
        }
        other => Err(other),
    })
    .await;
    data(&site, "insert into orders values (-5, datetime('now'))").await;
    let (code, said) = look(&["whole", "--by", "airflow"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.starts_with("violated     whole  at "), "{said}");
    assert!(said.contains("    found    total: expected at least 0"), "{said}");
    let said = text(&allswell(&site, &daemon, &["history", "whole"]));
    assert!(said.contains("violated"), "{said}");
    daemon.until(Duration::from_secs(10), |daemon| {
        let series = daemon.series("whole");
        if series[0]["state"] == "violated" { Ok(()) } else { Err(series) }
    });
    let order = daemon.json("/api/v1/orders")["orders"][0].clone();
    assert_eq!(order["by"], "airflow", "{order}");
    data(&site, "delete from orders where total < 0").await;
    let (code, said) = look(&["--owner", "loads", "--output", "json"]);
    let answer: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!((code, answer["waiting"].as_u64()), (0, Some(0)), "{said}");
    let looks = answer["looks"].as_array().unwrap();
    assert_eq!(looks.len(), 1, "{said}");
    assert_eq!(
        (looks[0]["check"].as_str(), looks[0]["verdict"].as_str()),
        (Some("whole"), Some("confirmed"))
    );
    assert_eq!(look(&["each-day"]).0, 0);
    // What is not looked at has no verdict.
    for (args, code, words) in [
        (&["waits"][..], 64, "paused or over"),
        (&["wohle"], 64, "did you mean `whole`"),
        (&["--owner", "none"], 64, "no series has that check"),
        (&[], 64, "<CHECK>"),
    ] {
        let (seen, said) = look(args);
        assert!(seen == code && said.contains(words), "{args:?}: {seen} {said}");
    }
}

#[tokio::test]
async fn the_answer_to_a_look_has_the_verdicts_or_says_where_they_will_be() {
    let (_site, daemon) = started().await;
    let read = |(status, body): (u16, String)| {
        (status, serde_json::from_str::<Value>(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
    };
    let post = |body: &str| read(daemon.post("/api/v1/look", body));
    let get = |path: &str| read(daemon.get(path));
    let (status, answer) = post(r#"{"check": "each-day"}"#);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["looks"][0]["verdict"], "confirmed", "{answer}");
    assert_eq!(answer["looks"][0]["evidence"], 0, "{answer}");
    let href = answer["href"].as_str().unwrap();
    let (status, again) = get(href);
    assert_eq!((status, &again["looks"]), (200, &answer["looks"]), "{again}");
    // Of the time after it, nothing is there yet.
    let later = format!("/api/v1/looks?check=each-day&from={}", "2098-01-01T00:00:00Z");
    let (_, none) = get(&later);
    assert_eq!(
        (none["waiting"].as_u64(), &none["looks"][0]["verdict"]),
        (Some(1), &Value::Null),
        "{none}"
    );
    let (status, refused) = post(r#"{"chek": "each-day"}"#);
    assert!(
        status == 400 && refused["detail"].as_str().unwrap().contains("did you mean `check`"),
        "{refused}"
    );
    let (status, refused) = get("/api/v1/looks?check=each-day");
    assert!(
        status == 400 && refused["detail"].as_str().unwrap().contains("`from` is missing"),
        "{refused}"
    );
}
