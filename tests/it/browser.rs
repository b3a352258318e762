//! Pages in a real browser: one logs in, filters, opens a window and acts, with scripts and without them; everything
//! has a name, a keyboard reaches it, nothing is too faint or too wide, and a frozen daemon is told.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::lab::Other;
use crate::pages::{a_window, looked_at, looked_at_each_second, site};
use crate::watchman::{TOKEN, Watchman};
use crate::webdriver::{Browser, Element};

fn address(daemon: &Watchman, path: &str) -> String {
    format!("http://{}{path}", daemon.address)
}

fn log_in(browser: &Browser, daemon: &Watchman) {
    browser.go(&address(daemon, "/login?to=/checks"));
    browser.type_into("input[name=token]", TOKEN);
    browser.click("button[type=submit]");
    arrives(browser, "/checks", "Checks");
}

/// Waits until a page is there: what its address ends with or has in it, and what its heading begins with. A click does
/// not wait for that.
fn arrives(browser: &Browser, address: &str, heading: &str) {
    browser.until(Duration::from_secs(20), |browser| {
        let (url, text) = (browser.url(), browser.text("h1"));
        let is_there =
            url.contains(address) && !url.contains("/login") && text.starts_with(heading);
        if is_there { Ok(()) } else { Err((url, text)) }
    });
}

/// What an operator does on a bad night.
fn works(browser: &Browser, daemon: &Watchman) {
    log_in(browser, daemon);
    assert!(browser.text("footer").contains("Logged in as an operator."));
    browser.click("select[name=state] option:nth-child(3)");
    browser.click("form.filter button");
    arrives(browser, "state=violated", "Checks");
    assert!(browser.text("main").contains("1 of 3 checks"));
    browser.click("table.list a");
    arrives(browser, "/checks/days-add-up", "violated days-add-up");
    let window = a_window(daemon);
    browser.click(&format!("a[href='{window}']"));
    arrives(browser, &window, "violated 20");
    assert!(browser.text("main").contains("too_much: expected at most 5"));
    let form = "form:has(input[value=rerun])";
    browser.type_into(&format!("{form} input[name=by]"), "ada");
    browser.click(&format!("{form} button"));
    arrives(browser, "?order=", "");
    let order = browser.url();
    browser.until(Duration::from_secs(20), |browser| {
        browser.go(&order);
        let text = browser.text("main");
        if text.contains("rerun by ada, was carried out on 1 window") { Ok(()) } else { Err(text) }
    });
    let form = "form:has(input[value=waive])";
    browser.type_into(&format!("{form} input[name=by]"), "ada");
    browser.type_into(&format!("{form} input[name=until]"), "tomorrow");
    browser.type_into(&format!("{form} input[name=because]"), "it is known");
    let before = browser.url();
    browser.click(&format!("{form} button"));
    // Who goes elsewhere before the form is sent takes it back.
    browser.until(Duration::from_secs(20), |browser| match browser.url() {
        url if url != before && url.contains("?order=") => Ok(()),
        url => Err(url),
    });
    browser.until(Duration::from_secs(20), |browser| {
        browser.go(&address(daemon, &window));
        let text = browser.text("main");
        let is_waived =
            text.contains("ada vouches for it") && browser.text("h1").starts_with("waived");
        if is_waived { Ok(()) } else { Err(text) }
    });
    browser.go(&address(daemon, "/checks/days-add-up"));
    let form = "form:has(input[value=quiet])";
    browser.type_into(&format!("{form} input[name=by]"), "ada");
    browser.type_into(&format!("{form} input[name=for]"), "30m");
    browser.type_into(&format!("{form} input[name=because]"), "being mended");
    browser.click(&format!("{form} button"));
    browser.until(Duration::from_secs(20), |browser| {
        let text = browser.text("main");
        if text.contains("kept quiet until") { Ok(()) } else { Err(text) }
    });
    let form = "form:has(input[value=rerun])";
    browser.type_into(&format!("{form} input[name=by]"), "ada");
    browser.click(&format!("{form} button"));
    browser.until(Duration::from_secs(20), |browser| match browser.url().contains("?order=") {
        true => Ok(()),
        false => Err(browser.text("main")),
    });
    browser.go(&address(daemon, "/logout"));
    browser.click("main button");
    arrives(browser, "", "Not well");
    browser.go(&address(daemon, "/checks/days-add-up"));
    assert!(browser.all("form[method=post]").is_empty(), "who is out finds no forms");
}

#[test]
fn one_logs_in_filters_opens_a_window_and_acts_with_scripts_and_without() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    for with_scripts in [true, false] {
        let site = site(&format!("alertmanagers: [{{url: \"{}\"}}]\n", alertmanager.url()));
        let daemon = site.start();
        looked_at(&daemon);
        let browser = Browser::start(with_scripts);
        works(&browser, &daemon);
        drop(browser);
        assert!(daemon.stop().success());
    }
}

/// The faintest text of a page, and what it says: its contrast with what is behind it (WCAG 2.2, 1.4.3).
const FAINTEST: &str = r"
const parse = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
  return .2126 * r + .7152 * g + .0722 * b; };
const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > .99) return c; } return [255, 255, 255, 1]; };
let worst = [99, ''];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility() || e.closest('.unseen, .skip')) continue;
  const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
}
return worst;";

#[test]
fn everything_has_a_name_and_is_neither_too_faint_nor_too_wide() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let browser = Browser::start(true);
    log_in(&browser, &daemon);
    let window = a_window(&daemon);
    let pages = [
        "/",
        "/checks",
        "/checks/days-add-up",
        &window,
        "/events",
        "/sources",
        "/alerting",
        "/generations",
        "/generations/1",
        "/docs",
        "/docs/oncall",
        "/login",
        "/checks/nothing-of-that-name",
    ];
    for path in pages {
        for (width, is_dark) in [(320, false), (1_280, true), (2_560, false)] {
            browser.look(width, is_dark);
            browser.go(&address(&daemon, path));
            let over = browser.run("return document.documentElement.scrollWidth - innerWidth");
            assert!(over.as_i64().unwrap() <= 0, "{path} at {width}: {over} too wide");
            // Only matrices and graphs may be wider than a phone.
            let wide = browser.run(
                "return [...document.querySelectorAll('.wide')].filter(w => w.querySelector('table.list'))\
                 .map(w => w.scrollWidth - w.clientWidth).filter(over => over > 0)",
            );
            assert_eq!(wide, Value::Array(Vec::new()), "{path} at {width}: a list scrolls");
            let faintest = browser.run(FAINTEST);
            assert!(faintest[0].as_f64().unwrap() >= 4.5, "{path} at {width}: {faintest}");
        }
        let things = browser
            .all("main a, main button, main input:not([type=hidden]), main select, header a");
        let mut named = BTreeSet::new();
        for thing in things.iter().take(120) {
            let label = browser.label(thing);
            assert!(!label.trim().is_empty(), "{path}: {thing:?} has no name");
            named.insert(label);
        }
        assert!(named.len() > 5, "{path}: {named:?}");
    }
    // A cell says where and when it is, and how.
    browser.go(&address(&daemon, "/checks/days-add-up"));
    let cell: Element = browser.one("table.days td.violated a");
    let label = browser.label(&cell);
    assert!(
        label.contains("America/New_York: violated") || label.contains("Europe/Berlin: violated"),
        "{label}"
    );
    drop(browser);
    assert!(daemon.stop().success());
}

#[test]
fn a_keyboard_alone_reaches_everything() {
    const TAB: &str = "\u{e004}";
    const THINGS: &str =
        "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']";
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let browser = Browser::start(true);
    log_in(&browser, &daemon);
    for path in ["/", "/checks/days-add-up", &a_window(&daemon)] {
        browser.go(&address(&daemon, path));
        browser.hold_still();
        let things = format!(
            "return [...document.querySelectorAll(\"{THINGS}\")].filter(e => e.checkVisibility({{visibilityProperty: true}})).length"
        );
        let count = browser.run(&things).as_u64().unwrap();
        browser.run("window.reached = new Set(); document.addEventListener('focusin', e => window.reached.add(e.target));");
        for _ in 0..=count {
            browser.press(TAB);
        }
        let missed = browser.run(&format!(
            "return [...document.querySelectorAll(\"{THINGS}\")].filter(e => e.checkVisibility({{visibilityProperty: true}}) \
             && !window.reached.has(e)).map(e => e.outerHTML.slice(0, 80))"
        ));
        assert_eq!(missed, Value::Array(Vec::new()), "{path}: of {count}");
    }
    drop(browser);
    assert!(daemon.stop().success());
}

#[test]
fn a_daemon_that_is_frozen_is_told_within_fifteen_seconds() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let browser = Browser::start(true);
    browser.go(&address(&daemon, "/"));
    assert!(browser.all("#lost:not([hidden])").is_empty());
    daemon.signal("STOP");
    let took = browser.until(Duration::from_secs(15), |browser| {
        match browser.all("#lost:not([hidden])").is_empty() {
            false => Ok(()),
            true => Err("no band"),
        }
    });
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(browser.text("#lost").starts_with("STALE: allswell has not answered for"));
    let green = "return [...document.querySelectorAll('.confirmed')].map(e => getComputedStyle(e).color)\
                 .filter(c => c === 'rgb(26, 99, 53)').length";
    assert_eq!(browser.run(green), Value::from(0), "nothing is green");
    daemon.signal("CONT");
    browser.until(Duration::from_secs(20), |browser| {
        match browser.all("#lost:not([hidden])").is_empty() {
            true => Ok(()),
            false => Err(browser.text("#lost")),
        }
    });
    drop(browser);
    assert!(daemon.stop().success());
}

#[test]
fn an_engine_that_cannot_write_is_told_on_a_page_that_is_open() {
    let site = looked_at_each_second();
    let daemon = site.start();
    daemon.until_confirmed(1, Duration::from_secs(30));
    let browser = Browser::start(true);
    browser.go(&address(&daemon, "/"));
    assert_eq!(browser.text("h1"), "All's well");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut lock = runtime.block_on(Other::sqlite(&site.path().join("allswell.db")));
    runtime.block_on(lock.run("begin immediate")).unwrap();
    daemon.until(Duration::from_secs(40), |daemon| match daemon.get("/allswell") {
        (503, body) if body.contains("blind\":\"") => Ok(()),
        other => Err(other),
    });
    let took = browser.until(Duration::from_secs(15), |browser| {
        let (head, band) = (browser.text("h1"), browser.text("#bar"));
        let is_told = head == "Nothing is proved now" && band.contains("STALE");
        if is_told { Ok(()) } else { Err((head, band)) }
    });
    assert!(took < Duration::from_secs(15), "{took:?}");
    runtime.block_on(lock.run("rollback")).unwrap();
    browser.until(Duration::from_secs(60), |browser| match browser.text("h1") {
        head if head == "All's well" => Ok(()),
        head => Err(head),
    });
    drop(browser);
    assert!(daemon.stop().success());
}

#[test]
fn a_list_stays_current_while_a_link_of_it_has_the_focus() {
    let site = looked_at_each_second();
    let daemon = site.start();
    daemon.until_confirmed(1, Duration::from_secs(30));
    let browser = Browser::start(true);
    browser.go(&address(&daemon, "/checks"));
    assert!(browser.text("main").contains("confirmed"));
    browser.run("document.querySelector('table.list a').focus(); return null");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut data = Other::sqlite(&site.path().join("data.db")).await;
        data.run("delete from bills").await.unwrap();
        data.close().await;
    });
    browser.until(Duration::from_secs(15), |browser| {
        let text = browser.text("table.list");
        if text.contains("violated") { Ok(()) } else { Err(text) }
    });
    let focused = browser.run("return document.activeElement.textContent");
    assert_eq!(focused, Value::from("holds"), "the link has the focus still");
    // What is typed is not taken away: that the page changed is said.
    browser.type_into("input[name=q]", "hol");
    runtime.block_on(async {
        let mut data = Other::sqlite(&site.path().join("data.db")).await;
        data.run("insert into bills values (1, '', 1)").await.unwrap();
        data.close().await;
    });
    browser.until(Duration::from_secs(15), |browser| {
        let text = browser.text("#lost");
        if text.starts_with("This has changed") { Ok(()) } else { Err(text) }
    });
    assert!(browser.text("table.list").contains("violated"));
    drop(browser);
    assert!(daemon.stop().success());
}
