//! Pages: they say what the API says, show what anybody wrote as a text, and let in who may come in.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::lab::Other;
use crate::visitor::{form, log_in, open, send, submit};
use crate::watchman::{Site, TOKEN, Watchman};

const SETTINGS: &str = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";

/// Two checks of days in two zones, one of them wrong; one that cannot run, and one that holds.
const CHECKS: &str = r#"version: 1
owner: tests
defaults: {source: db, severity: critical}
checks:
  - id: days-add-up
    why: Each day is billed once.
    runbook: https://runbooks.example/days
    window: {period: day, zones: [America/New_York, Europe/Berlin], settle: 1m}
    catch_up: {age: 3d}
    sql: select id, amount, amount - 1 as too_much from bills where at >= :window_start and at < :window_end and :zone <> ''
    expect: {values: {too_much: {max: 5}}}
    samples: {columns: [id, amount]}
  - id: holds
    why: What holds is proved.
    schedule: {every: 1h}
    sql: select count(*) as n from bills
    expect: {values: {n: {min: 1}}}
  - id: cannot-run
    why: A table that is gone proves nothing.
    severity: warning
    schedule: {every: 1h}
    sql: select count(*) as n from nothing
    expect: {values: {n: {min: 1}}}
"#;

pub(crate) fn site(settings: &str) -> Site {
    let site = Site::new(&format!("{settings}{SETTINGS}"), CHECKS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = site.path().join("data.db");
        fs::write(&path, "").unwrap();
        let mut data = Other::sqlite(&path).await;
        let bills = "create table bills (id integer primary key, at text, amount integer); \
                     with recursive n(i) as (select 0 union all select i + 1 from n where i < 60) \
                     insert into bills select i, datetime('now', '-' || (3 * i) || ' hours'), 40 from n";
        data.run(bills).await.unwrap();
    });
    site
}

/// One critical check that holds, and is due each second.
pub(crate) fn looked_at_each_second() -> Site {
    let site = site("");
    site.checks(
        "checks.yaml",
        "version: 1\nowner: tests\ndefaults: {source: db, severity: critical}\nchecks:\n  - id: holds\n    why: it does\n    \
         schedule: {every: 1s}\n    result_by: 20s\n    sql: select count(*) as n from bills\n    expect: {values: {n: {min: 1}}}\n",
    );
    site
}

/// Waits until each series was looked at.
pub(crate) fn looked_at(daemon: &Watchman) {
    daemon.until(Duration::from_secs(60), |daemon| {
        let all = daemon.json("/api/v1/checks?limit=1000");
        let all = all["checks"].as_array().unwrap().clone();
        let seen = all.iter().filter(|one| !one["last"].is_null()).count();
        let wrong = all.iter().filter(|one| one["state"] == "violated").count();
        if all.len() == 4 && seen == 4 && wrong == 2 { Ok(()) } else { Err(all) }
    });
}

/// One open window of the check that is wrong: its path.
pub(crate) fn a_window(daemon: &Watchman) -> String {
    let all = daemon.json("/api/v1/checks/days-add-up/windows?open=true&tz=America/New_York");
    let start = all["windows"][0]["start"].as_str().unwrap_or_else(|| panic!("{all}")).to_owned();
    format!("/checks/days-add-up/windows/America/New_York/{start}")
}

fn every_page(daemon: &Watchman) -> Vec<String> {
    let fixed = [
        "/",
        "/checks",
        "/checks?state=violated&owner=tests&source=db&q=bill",
        "/checks/days-add-up",
        "/checks/holds",
        "/checks/cannot-run",
        "/events",
        "/events?check=days-add-up&kind=window",
        "/sources",
        "/alerting",
        "/generations",
        "/generations/1",
        "/docs",
        "/docs/oncall",
        "/docs/checks",
        "/docs/internals/time",
        "/login",
    ];
    let window = a_window(daemon);
    fixed.iter().map(|path| (*path).to_owned()).chain([window]).collect()
}

/// The tags of a page in order, each with its attributes.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).filter_map(|part| part.split('>').next()).collect()
}

#[test]
fn every_page_is_sound_and_has_nothing_inline() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let cookie = log_in(&daemon, TOKEN);
    for path in every_page(&daemon) {
        let answer = send(&daemon, ("GET", &path), &[("Cookie", &cookie)], "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let tags = tags(&answer.body);
        let is = |tag: &&&str, name: &str| tag.split([' ', '\n']).next() == Some(name);
        assert_eq!(tags.iter().filter(|tag| is(tag, "h1")).count(), 1, "{path}: one first heading");
        let mut level = 0;
        for tag in &tags {
            let Some(next) =
                tag.strip_prefix('h').and_then(|n| n.split(' ').next()?.parse::<u32>().ok())
            else {
                continue;
            };
            assert!(next <= level + 1, "{path}: a heading of level {next} follows {level}: {tag}");
            level = next;
        }
        for tag in &tags {
            assert!(!tag.contains(" style=") && !tag.starts_with("style"), "{path}: {tag}");
            assert!(!tag.contains(" on"), "{path}: {tag}");
            assert!(!tag.contains("javascript:"), "{path}: {tag}");
            let is_script = *tag == "script" || tag.starts_with("script ");
            assert!(!is_script || tag.contains("src=\"/assets/"), "{path}: {tag}");
        }
        // Each field stands in its label, or is hidden.
        let mut in_label = false;
        for tag in &tags {
            match tag.split([' ', '\n']).next().unwrap() {
                "label" => in_label = true,
                "/label" => in_label = false,
                "input" | "select" | "textarea" => {
                    assert!(in_label || tag.contains("type=\"hidden\""), "{path}: {tag}");
                }
                _ => {}
            }
        }
        assert!(answer.body.contains("lang=\"en\""), "{path}");
        for part in answer.body.split("href=\"").skip(1) {
            let link = part.split('"').next().unwrap();
            assert!(
                link.starts_with(['/', '#', '?']) || link.starts_with("http"),
                "{path}: {link}"
            );
        }
    }
    assert!(daemon.stop().success());
}

#[test]
fn every_link_of_every_page_leads_to_a_page() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let mut tried = BTreeSet::new();
    for path in every_page(&daemon) {
        let answer = open(&daemon, &path);
        for part in answer.body.split("href=\"").skip(1) {
            let link = part.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
            let link = link.split('#').next().unwrap();
            let base = path.split('?').next().unwrap();
            let link =
                if link.starts_with('?') { format!("{base}{link}") } else { link.to_owned() };
            if link.starts_with('/') && link != "/logout" && tried.insert(link.clone()) {
                let found = open(&daemon, &link);
                assert_eq!(found.status, 200, "{path} leads to {link}: {}", found.head);
            }
        }
    }
    assert!(tried.len() > 40, "{tried:?}");
    assert!(daemon.stop().success());
}

/// The numbers of the first page: how many series are in each state.
fn counted(page: &str, state: &str) -> u64 {
    let part = page.split(&format!("href=\"/checks?state={state}\"><b>")).nth(1);
    part.unwrap().split('<').next().unwrap().parse().unwrap()
}

#[test]
fn pages_say_what_api_and_metrics_say() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    // Of one snapshot: nothing is due in between.
    let page = open(&daemon, "/").body;
    let summary = daemon.json("/api/v1/status")["summary"].clone();
    for state in ["confirmed", "violated", "unconfirmed", "new", "paused", "waived"] {
        assert_eq!(Value::from(counted(&page, state)), summary[state], "{state}");
    }
    assert!(page.contains("<b>4</b> series of 3 checks"), "{page}");
    let (status, well) = daemon.get("/allswell");
    let well: Value = serde_json::from_str(&well).unwrap();
    assert_eq!(status, 503);
    assert!(!page.contains("All&#39;s well") && !page.contains("All's well"));
    let unwell = well["unwell"].as_array().unwrap().len();
    let said = format!("{unwell} of {} critical series are not proved", well["series"]);
    assert!(page.contains(&said), "{said}: {page}");
    let metrics = daemon.get("/metrics").1;
    let open_ones = metrics
        .lines()
        .filter(|line| {
            line.starts_with("allswell_check_windows_open{check=\"days-add-up\"")
                && line.contains("verdict=\"violated\"")
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum::<u64>();
    assert!(page.contains(&format!("{open_ones} windows violated")), "{open_ones}: {page}");
    let check = open(&daemon, "/checks/days-add-up").body;
    let marks = check.matches("<td class=\"violated\">").count();
    assert!(marks >= 2, "the matrix shows where: {check}");
    assert!(check.contains(" in 2 zones, 1m after its end"), "{check}");
    assert!(daemon.stop().success());
}

#[test]
fn all_is_well_on_the_page_exactly_where_it_is() {
    let site = looked_at_each_second();
    let daemon = site.start();
    daemon.until_confirmed(1, Duration::from_secs(30));
    let page = open(&daemon, "/").body;
    assert!(page.contains("<h1>All&#39;s well</h1>"), "{page}");
    assert_eq!(daemon.get("/allswell").0, 200);
    assert!(open(&daemon, "/badge/holds.svg").body.contains(">confirmed, "));
    // The ledger is gone: nothing is said to be confirmed any more.
    let ledger = site.path().join("allswell.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut lock = runtime.block_on(Other::sqlite(&ledger));
    runtime.block_on(lock.run("begin immediate")).unwrap();
    daemon.until(Duration::from_secs(40), |daemon| match daemon.get("/allswell") {
        (503, body) if body.contains("blind\":\"") => Ok(()),
        other => Err(other),
    });
    let page = open(&daemon, "/").body;
    assert!(page.contains("<body class=\"stale\""), "{page}");
    assert!(page.contains("<strong>STALE</strong>"), "{page}");
    assert_eq!(counted(&page, "confirmed"), 0);
    assert!(!page.contains("All&#39;s well"), "{page}");
    let checks = open(&daemon, "/checks").body;
    assert!(!checks.contains("state confirmed"), "{checks}");
    assert!(open(&daemon, "/badge/holds.svg").body.contains(">not known<"));
    runtime.block_on(lock.run("rollback")).unwrap();
    daemon.until_confirmed(1, Duration::from_secs(40));
    assert!(open(&daemon, "/").body.contains("<h1>All&#39;s well</h1>"));
    assert!(daemon.stop().success());
}

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{202e}&amp;";

#[test]
fn whatever_anybody_wrote_is_shown_as_a_text() {
    let long = format!("{HOSTILE}{}", "x".repeat(900));
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let site = site("");
    site.checks(
        "checks.yaml",
        &format!(
            "version: 1\nowner: tests\ndefaults: {{source: db, severity: critical}}\nchecks:\n  - id: days-add-up\n    why: {}\n    \
             runbook: \"https://a.example/?q=<script>&a=b\"\n    labels: {{team: {}}}\n    \
             window: {{period: day, zones: [America/New_York, Europe/Berlin], settle: 1m}}\n    catch_up: {{age: 3d}}\n    \
             sql: |\n      select body, id, 9 as \"<b>n\" from texts -- </pre><script>alert(3)</script>\n      where at >= :window_start and at < :window_end and :zone <> ''\n    \
             expect: {{values: {{\"<b>n\": {{max: 1}}}}}}\n    samples: {{columns: [body]}}\n",
            quoted(&long),
            quoted("<script>alert(4)</script>"),
        ),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut data = Other::sqlite(&site.path().join("data.db")).await;
        data.run("create table texts (id integer primary key, at text, body text)").await.unwrap();
        let body = HOSTILE.replace('\'', "''");
        data.run(&format!("insert into texts select id, at, '{body}' from bills")).await.unwrap();
    });
    let daemon = site.start();
    daemon.until(Duration::from_secs(60), |daemon| {
        let all = daemon.json("/api/v1/checks");
        let all = all["checks"].as_array().unwrap().clone();
        let wrong = all.iter().filter(|one| one["state"] == "violated").count();
        if wrong == 2 { Ok(()) } else { Err(all) }
    });
    let cookie = log_in(&daemon, TOKEN);
    let window = a_window(&daemon);
    let waived = submit(
        &daemon,
        &window,
        &cookie,
        &[
            ("order", "waive"),
            ("by", "<b>bob"),
            ("because", "<script>alert(5)</script>"),
            ("until", "tomorrow"),
        ],
    );
    assert_eq!(waived.status, 303, "{waived:?}");
    daemon.until(Duration::from_secs(30), |daemon| {
        let page = open(daemon, &window).body;
        if page.contains("vouches for it") { Ok(()) } else { Err(page) }
    });
    for path in
        ["/", "/checks", "/checks/days-add-up", &window, "/events", "/generations/1", "/sources"]
    {
        let page = send(&daemon, ("GET", path), &[("Cookie", &cookie)], "").body;
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, 1, "{path}: {page}");
        assert!(!page.contains("<img"), "{path}: {page}");
        assert!(!page.contains("<b>bob") && !page.contains("<b>n"), "{path}: {page}");
        assert!(!page.contains("</pre><script"), "{path}");
    }
    let page = open(&daemon, "/checks/days-add-up").body;
    assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{page}");
    // What a path or a query says comes back as a text too.
    for path in [
        "/checks/%3Cscript%3E",
        "/checks?q=%22%3E%3Cscript%3E",
        "/checks?%3Cscript%3E=1",
        "/docs/%3Cb%3E",
        "/events?check=%22%3E%3Cscript%3E",
    ] {
        let page = open(&daemon, path).body;
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn the_name_of_a_file_is_shown_as_a_text() {
    let site = site("");
    let checks = site.path().join("checks");
    fs::rename(checks.join("checks.yaml"), checks.join("<script>alert(6)<b>.yaml")).unwrap();
    let daemon = site.start();
    looked_at(&daemon);
    let window = a_window(&daemon);
    for path in ["/checks/days-add-up", &window, "/generations/1", "/checks"] {
        let page = open(&daemon, path).body;
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
    }
    let page = open(&daemon, "/checks/days-add-up").body;
    assert!(page.contains("&#60;script&#62;alert(6)"), "{page}");
    assert!(daemon.stop().success());
}

#[test]
fn what_is_misspelt_in_an_address_is_named() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    for (path, status, words) in [
        ("/checks?stat=violated", 400, "`stat` is not known here; did you mean `state`?"),
        ("/checks?state=violatet", 400, "did you mean `violated`?"),
        ("/?x=1", 400, "`x` is not known here"),
        ("/checks?page=0", 400, "`page` is a number from 1"),
        ("/checks?page=99", 404, "there is no page 99: the last one is 1"),
        ("/checks/days-add-op", 404, "did you mean `days-add-up`?"),
        ("/checks/days-add-up?month=2025", 400, "`month` is written like 2025-11"),
        ("/checks/days-add-up?day=x", 400, "`day` is written like"),
        (
            "/checks/days-add-up/windows/Europe/Paris/2025-11-02T00:00:00Z",
            404,
            "`Europe/Paris` is no zone",
        ),
        (
            "/checks/days-add-up/windows/Europe/Berlin/2005-11-02T00:00:00Z",
            404,
            "older than the record is kept (400d)",
        ),
        (
            "/checks/days-add-up/windows/Europe/Berlin/yesterday",
            400,
            "a window is named by its zone",
        ),
        ("/events?kind=windw", 400, "did you mean `window`?"),
        ("/generations/99", 404, "no generation has the number 99"),
        ("/generations/one", 400, "a generation is named by its number"),
        ("/docs/oncal", 404, "did you mean `oncall`?"),
        ("/nothing", 404, "there is nothing at this path"),
        ("/badge/days-add-up.png", 404, "a badge is named by its check"),
    ] {
        let answer = open(&daemon, path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let text = answer.body.replace("&#39;", "'");
        assert!(text.contains(words), "{path}: {text}");
    }
    for path in [
        "/checks/days-add-up?day=%2B262142-12-31+%2B00:00",
        "/checks/days-add-up?day=-263143-01-01+-23:00",
    ] {
        assert_eq!(open(&daemon, path).status, 400, "{path}");
    }
    // A program is answered as ever.
    let answer = send(&daemon, ("GET", "/checks?stat=x"), &[("Accept", "*/*")], "");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let index = send(&daemon, ("GET", "/"), &[("Accept", "*/*")], "");
    assert!(index.body.starts_with("allswell\n"), "{index:?}");
    assert!(daemon.stop().success());
}

#[test]
fn who_may_not_look_is_led_to_where_he_logs_in() {
    let web = "web: {listen: \"127.0.0.1:0\", viewer_token: \"${file:watch}\", operator_token: \"${file:token}\"}\n";
    let site = site(web);
    let daemon = site.start();
    looked_at(&daemon);
    for path in ["/", "/checks/holds", "/events", "/docs/oncall", "/badge/holds.svg"] {
        let answer = open(&daemon, path);
        if path.starts_with("/badge") {
            assert_eq!(answer.status, 401, "{path}");
            continue;
        }
        assert_eq!((answer.status, answer.header("location").is_some()), (303, true), "{path}");
        assert!(answer.header("location").unwrap().starts_with("/login?to=/"), "{answer:?}");
    }
    // A monitor that accepts pages is answered as a monitor: a page to log in at would look well.
    assert_eq!(open(&daemon, "/allswell").status, 401);
    let page = open(&daemon, "/login?to=/checks").body;
    assert!(!page.contains("days-add-up") && page.contains("type=\"password\""), "{page}");
    let wrong = submit(&daemon, "/login", "", &[("token", "guessed"), ("to", "/")]);
    assert_eq!(wrong.status, 401, "{wrong:?}");
    assert!(wrong.header("set-cookie").is_none());
    let viewer = log_in(&daemon, "watch");
    let page = send(&daemon, ("GET", "/checks/days-add-up"), &[("Cookie", &viewer)], "");
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("method=\"post\""), "viewers have no forms: {}", page.body);
    let refused = submit(&daemon, "/checks/days-add-up", &viewer, &[("order", "rerun")]);
    assert_eq!(refused.status, 403, "{refused:?}");
    let operator = log_in(&daemon, TOKEN);
    let page = send(&daemon, ("GET", "/checks/days-add-up"), &[("Cookie", &operator)], "").body;
    assert!(page.contains("method=\"post\""), "{page}");
    let asked = send(&daemon, ("GET", "/logout"), &[("Cookie", &operator)], "");
    assert!(asked.header("set-cookie").is_none(), "a link ends nothing: {asked:?}");
    let out = submit(&daemon, "/logout", &operator, &[]);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    // Another replica takes it, where the settings are the same.
    let other = self::site(web);
    fs::write(other.path().join("watch"), fs::read(site.path().join("watch")).unwrap()).unwrap();
    let replica = other.start();
    for session in [&viewer, &operator] {
        let page = send(&replica, ("GET", "/sources"), &[("Cookie", session)], "");
        assert_eq!(page.status, 200, "{page:?}");
    }
    assert!(replica.stop().success());
    // Another process takes it; a token that was changed ends it.
    fs::write(site.path().join("token"), "another-token").unwrap();
    assert!(daemon.stop().success());
    let daemon = site.start();
    let page = send(&daemon, ("GET", "/"), &[("Cookie", &operator)], "");
    assert_eq!(page.status, 303, "the token was changed: {page:?}");
    let page = send(&daemon, ("GET", "/"), &[("Cookie", &viewer)], "");
    assert_eq!(
        page.status, 200,
        "the viewers' was not, and a session outlives a process: {page:?}"
    );
    assert!(daemon.stop().success());
}

#[test]
fn what_another_site_makes_a_browser_send_is_not_done() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let cookie = log_in(&daemon, TOKEN);
    let window = a_window(&daemon);
    let fields = form(&[("order", "rerun"), ("by", "ada")]);
    let orders = || daemon.json("/api/v1/orders")["orders"].as_array().unwrap().len();
    let own = format!("http://{}", daemon.address);
    for (headers, is_taken) in [
        (vec![("Sec-Fetch-Site", "cross-site"), ("Origin", own.as_str())], false),
        (vec![("Sec-Fetch-Site", "same-site")], false),
        (vec![("Origin", "https://evil.example")], false),
        (vec![("Origin", "null")], false),
        (vec![], false),
        (vec![("Sec-Fetch-Site", "same-origin")], true),
        (vec![("Origin", own.as_str())], true),
    ] {
        let before = orders();
        let mut all = vec![("Cookie", cookie.as_str())];
        all.extend(headers.iter().copied());
        let answer = send(&daemon, ("POST", &window), &all, &fields);
        assert_eq!(answer.status, if is_taken { 303 } else { 403 }, "{headers:?}: {answer:?}");
        assert_eq!(orders() - before, usize::from(is_taken), "{headers:?}");
    }
    // The API takes the cookie of a browser by the same rule.
    let order = "{\"check\": \"holds\"}";
    let foreign = [("Cookie", cookie.as_str()), ("Origin", "https://evil.example")];
    assert_eq!(send(&daemon, ("POST", "/api/v1/rerun"), &foreign, order).status, 403);
    // A login that another site sends would make a browser act as somebody else.
    let login = form(&[("token", TOKEN)]);
    let answer = send(&daemon, ("POST", "/login"), &[("Origin", "https://evil.example")], &login);
    assert_eq!(answer.status, 403);
    assert!(answer.header("set-cookie").is_none());
    assert!(daemon.stop().success());
}

#[test]
fn who_acts_is_who_his_token_or_the_proxy_says() {
    let web = "web:\n  listen: \"127.0.0.1:0\"\n  operator_token: \"${file:token}\"\n  \
               operators: [{name: ada, token: \"${file:ada}\"}, {name: bob}]\n  \
               proxy_user_header: X-Forwarded-User\n  proxy_from: [127.0.0.1]\n";
    let site = site(web);
    fs::write(site.path().join("ada"), "ada's own token").unwrap();
    let daemon = site.start();
    looked_at(&daemon);
    let window = a_window(&daemon);
    let by = || {
        let orders = daemon.json("/api/v1/orders");
        orders["orders"][0]["by"].as_str().unwrap().to_owned()
    };
    let ada = log_in(&daemon, "ada's own token");
    let page = send(&daemon, ("GET", &window), &[("Cookie", &ada)], "").body;
    assert!(!page.contains("name=\"by\"") && page.contains("ada may act."), "{page}");
    let taken = submit(&daemon, &window, &ada, &[("order", "rerun"), ("by", "somebody else")]);
    assert_eq!(taken.status, 303, "{taken:?}");
    assert_eq!(by(), "ada", "a form says nothing of who sends it");
    // The API too.
    let order = "{\"check\": \"holds\", \"by\": \"mallory\"}";
    let bearer = [("Authorization", "Bearer ada's own token")];
    assert_eq!(send(&daemon, ("POST", "/api/v1/rerun"), &bearer, order).status, 202);
    assert_eq!(by(), "ada");
    // A proxy says who asks; who is no operator may look.
    let bob = [("X-Forwarded-User", "bob"), ("Sec-Fetch-Site", "same-origin")];
    let body = form(&[("order", "rerun")]);
    assert_eq!(send(&daemon, ("POST", &window), &bob, &body).status, 303);
    assert_eq!(by(), "bob");
    let eve = [("X-Forwarded-User", "eve"), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(send(&daemon, ("POST", &window), &eve, &body).status, 403);
    let foreign = [("X-Forwarded-User", "bob"), ("Origin", "https://evil.example")];
    assert_eq!(send(&daemon, ("POST", &window), &foreign, &body).status, 403);
    assert!(daemon.stop().success());
}

#[test]
fn a_login_holds_on_any_replica_and_ends_with_its_token() {
    let web = "web: {listen: \"127.0.0.1:0\", operator_token: \"${file:token}\"}\n";
    let acts = |daemon: &Watchman, cookie: &str| {
        let page = send(daemon, ("GET", "/checks/holds"), &[("Cookie", cookie)], "").body;
        page.contains("<h2 id=\"act\">")
    };
    let (one, other) = (site(web), site(web));
    let (daemon, replica) = (one.start(), other.start());
    looked_at(&daemon);
    looked_at(&replica);
    let cookie = log_in(&daemon, TOKEN);
    assert!(acts(&daemon, &cookie) && acts(&replica, &cookie));
    assert!(daemon.stop().success());
    fs::write(one.path().join("token"), "another token").unwrap();
    let daemon = one.start();
    daemon.until(Duration::from_secs(30), |daemon| {
        let page = open(daemon, "/checks/holds");
        if page.status == 200 { Ok(()) } else { Err(page) }
    });
    assert!(!acts(&daemon, &cookie), "the token that it was made with is no more");
    assert!(acts(&replica, &cookie));
    assert!(daemon.stop().success() && replica.stop().success());
}

#[test]
fn over_plain_http_only_this_machine_logs_in_and_the_page_says_why() {
    let site = site("");
    let daemon = site.start();
    let elsewhere = [("Host", "allswell.example:9847"), ("Sec-Fetch-Site", "same-origin")];
    let page = send(&daemon, ("GET", "/login"), &elsewhere, "");
    assert!(page.body.contains("This connection is not encrypted"), "{page:?}");
    assert!(!page.body.contains("type=\"password\""), "{page:?}");
    let answer = send(&daemon, ("POST", "/login"), &elsewhere, &form(&[("token", TOKEN)]));
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.header("set-cookie").is_none());
    for host in ["localhost:9847", "[::1]:9847", "127.0.0.1"] {
        let page = send(&daemon, ("GET", "/login"), &[("Host", host)], "");
        assert!(page.body.contains("type=\"password\""), "{host}: {page:?}");
    }
    assert!(daemon.stop().success());
    // Behind a proxy that encrypts.
    site.settings(&format!(
        "web: {{listen: \"127.0.0.1:0\", operator_token: \"${{file:token}}\", public_url: \"https://allswell.example\"}}\n{SETTINGS}"
    ));
    let daemon = site.start();
    // Only a browser that speaks to the proxy over https says so.
    let plain = [("Host", "allswell.example"), ("Origin", "http://allswell.example")];
    let page = send(&daemon, ("GET", "/login"), &plain[..1], "");
    assert!(page.body.contains("This connection is not encrypted"), "{page:?}");
    let answer = send(&daemon, ("POST", "/login"), &plain, &form(&[("token", TOKEN)]));
    assert!(answer.status == 403 && answer.header("set-cookie").is_none(), "{answer:?}");
    let proxied = [("Host", "allswell.example"), ("Origin", "https://allswell.example")];
    let answer = send(&daemon, ("POST", "/login"), &proxied, &form(&[("token", TOKEN)]));
    assert_eq!(answer.status, 303, "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap();
    for part in
        ["__Host-allswell=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict", "Max-Age=43200"]
    {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn pages_can_be_switched_off_and_badges_be_shown_to_everybody() {
    let site =
        site("web: {listen: \"127.0.0.1:0\", pages: false, operator_token: \"${file:token}\"}\n");
    let daemon = site.start();
    assert!(open(&daemon, "/").body.starts_with("allswell\n"));
    for path in ["/checks", "/login", "/docs/oncall", "/assets/0/style.css"] {
        let answer = open(&daemon, path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    assert!(daemon.stop().success());
    site.settings(&format!(
        "web: {{listen: \"127.0.0.1:0\", viewer_token: \"${{file:watch}}\", operator_token: \"${{file:token}}\", badges: true}}\n{SETTINGS}"
    ));
    let daemon = site.start();
    looked_at(&daemon);
    let badge = open(&daemon, "/badge/days-add-up.svg");
    assert_eq!(badge.header("content-type"), Some("image/svg+xml"));
    assert!(badge.body.contains("days-add-up: violated, "), "{badge:?}");
    assert_eq!(open(&daemon, "/checks").status, 303);
    assert!(daemon.stop().success());
}

#[test]
fn events_come_as_csv_too() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let answer = open(&daemon, "/events?format=csv&check=days-add-up");
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<&str> = answer.body.lines().collect();
    assert_eq!(lines[0], "id,at,kind,check,tz,start,end,was,becomes,note,replica");
    let events = daemon.json("/api/v1/events?check=days-add-up&limit=1000");
    assert_eq!(lines.len() - 1, events["events"].as_array().unwrap().len());
    // Every kind of event can be asked for.
    for event in daemon.json("/api/v1/events?limit=1000")["events"].as_array().unwrap() {
        let kind = event["kind"].as_str().unwrap();
        assert_eq!(open(&daemon, &format!("/events?kind={kind}")).status, 200, "{kind}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn a_check_says_who_vouches_for_its_windows_and_until_when() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let (cookie, window) = (log_in(&daemon, TOKEN), a_window(&daemon));
    let order = [
        ("order", "waive"),
        ("by", "ada"),
        ("until", "30d"),
        ("because", "the source was <down> that day"),
    ];
    let answer = submit(&daemon, &window, &cookie, &order);
    assert_eq!(answer.status, 303, "{answer:?}");
    let check = window.split("/windows/").next().unwrap();
    daemon.until(Duration::from_secs(30), |daemon| {
        let page = open(daemon, check).body;
        let is_there = page.contains("by ada: the source was &#60;down&#62; that day");
        if is_there && page.contains("<li>1 window of America/New_York, until 20") {
            Ok(())
        } else {
            Err(page)
        }
    });
    assert!(daemon.stop().success());
}

#[test]
fn a_check_is_kept_quiet_on_its_page_and_told_of_again() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = site(&format!("alertmanagers: [{{url: \"{}\"}}]\n", alertmanager.url()));
    let daemon = site.start();
    looked_at(&daemon);
    let cookie = log_in(&daemon, TOKEN);
    let path = "/checks/days-add-up";
    let seen = |wanted: &str, is_there: bool| {
        daemon.until(Duration::from_secs(30), |daemon| {
            let page = send(daemon, ("GET", path), &[("Cookie", &cookie)], "").body;
            if page.contains(wanted) == is_there { Ok(()) } else { Err(page) }
        });
    };
    let quiet = [("order", "quiet"), ("by", "ada"), ("for", "30m"), ("because", "being mended")];
    let answer = submit(&daemon, path, &cookie, &quiet);
    assert_eq!(answer.status, 303, "{answer:?}");
    seen("kept quiet until", true);
    assert!(open(&daemon, "/alerting").body.contains("by ada: being mended"));
    assert!(open(&daemon, "/").body.contains("nobody is told: "), "a band says so on every page");
    let refused = submit(
        &daemon,
        path,
        &cookie,
        &[("order", "quiet"), ("by", "ada"), ("for", "30h"), ("because", "x")],
    );
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("`for` is between 1s and 24h"), "{refused:?}");
    assert!(refused.body.contains("href=\"/checks/days-add-up\">Back"), "{refused:?}");
    let tell = [("order", "tell"), ("by", "ada"), ("because", "it is mended")];
    assert_eq!(submit(&daemon, path, &cookie, &tell).status, 303);
    seen("kept quiet until", false);
    assert!(daemon.stop().success());
}

#[test]
fn the_first_page_says_what_was_changed_before_it_broke() {
    let site = looked_at_each_second();
    let daemon = site.start();
    daemon.until_confirmed(1, Duration::from_secs(30));
    let page = open(&daemon, "/").body;
    assert!(page.contains("All&#39;s well") && !page.contains("this check was changed"), "{page}");
    let changed = "version: 1\nowner: tests\ndefaults: {source: db, severity: warning}\nchecks:\n  - id: holds\n    \
        why: it does\n    schedule: {every: 1s}\n    sql: select count(*) as n from bills where amount > 0\n    \
        expect: {values: {n: {max: 1}}}\n";
    let settings = "rollout: {other: accept, weaker: accept}\n";
    site.settings(&format!("{settings}{SETTINGS}"));
    site.checks("checks.yaml", changed);
    daemon.signal("HUP");
    daemon.until(Duration::from_secs(30), |daemon| {
        let page = open(daemon, "/").body;
        if page.contains("this check was changed") { Ok(()) } else { Err(page) }
    });
}
