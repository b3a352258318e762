//! Dashboards and rules name only what there is, and show something: held against the rules of
//! Grafana's linter, a parser of `PromQL`, and a real Prometheus that scraped a real daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use promql_parser::parser::{Expr, VectorSelector};
use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::servers::{Folder, Process, free_port, program};
use crate::watchman::{Site, Watchman};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn dashboards() -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = fs::read_dir(deploy("grafana/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(all.len(), 4);
    all
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Expressions of a dashboard, with the panel's title; variables stand for everything.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for panel in list(&dashboard["panels"]) {
        for target in list(&panel["targets"]) {
            let expr = text(&target["expr"]).replace("$__rate_interval", "1m");
            let mut expr = expr.replace("$job", ".+").replace("$instance", ".+");
            expr = expr.replace("$check", ".+").replace("$tz", ".*");
            assert!(!expr.contains('$'), "{expr}");
            all.push((text(&panel["title"]).to_owned(), expr));
        }
    }
    all
}

/// Expressions of the rules, with the alert's name.
fn rules() -> Vec<(String, String)> {
    let rules = fs::read_to_string(deploy("prometheus/allswell-rules.yml")).unwrap();
    let mut all = Vec::new();
    let mut lines = rules.lines().peekable();
    let mut name = String::new();
    while let Some(line) = lines.next() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            name = alert.to_owned();
        } else if let Some(expr) = line.trim().strip_prefix("expr: ") {
            let mut whole = expr.trim_start_matches('|').to_owned();
            while let Some(more) = lines.next_if(|next| next.starts_with("      ")) {
                whole.push_str(more);
            }
            all.push((name.clone(), whole));
        }
    }
    assert_eq!(all.len(), 10);
    all
}

#[test]
fn dashboards_are_as_the_linter_wants_them() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(text(&dashboard["uid"]), name);
        assert!(uids.insert(name.clone()));
        assert!(dashboard["id"].is_null(), "{name}: ids are given by Grafana");
        assert_eq!(dashboard["editable"], false, "{name}");
        assert!((36..=39).contains(&dashboard["schemaVersion"].as_u64().unwrap()), "{name}");
        let variables = list(&dashboard["templating"]["list"]);
        let variable = |wanted: &str| {
            variables
                .iter()
                .find(|v| v["name"] == wanted)
                .unwrap_or_else(|| panic!("{name}: {wanted}"))
        };
        assert_eq!(variable("datasource")["label"], "Data source", "{name}");
        for (wanted, label) in [("job", "Job"), ("instance", "Instance")] {
            let variable = variable(wanted);
            assert_eq!(variable["label"], label, "{name}");
            assert_eq!(variable["multi"], true, "{name}");
            assert_eq!(variable["allValue"], ".+", "{name}");
        }
        for variable in variables.iter().filter(|v| v["type"] == "query") {
            // Read again when the time on the screen changes.
            assert_eq!(variable["refresh"], 2, "{name}");
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{name}");
            let query = text(&variable["query"]);
            let inner = query.strip_prefix("label_values(").unwrap().rsplit_once(", ").unwrap().0;
            promql_parser::parser::parse(&inner.replace("$job", ".+").replace("$check", ".+"))
                .unwrap();
        }
        for panel in list(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            let kind = text(&panel["type"]);
            assert!(
                !title.is_empty() && !text(&panel["description"]).is_empty(),
                "{name}: {title}"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{name}: {title}");
            let nothing = text(&panel["fieldConfig"]["defaults"]["noValue"]);
            assert!(!nothing.is_empty(), "{name}: {title}: an empty panel looks well");
            assert!(!list(&panel["targets"]).is_empty(), "{name}: {title} ({kind})");
        }
    }
}

/// Every selector of an expression, and whether it is inside `rate` or the like.
fn selectors(expr: &Expr, inside: bool, found: &mut Vec<(VectorSelector, bool)>) {
    match expr {
        Expr::VectorSelector(selector) => found.push((selector.clone(), inside)),
        Expr::MatrixSelector(matrix) => found.push((matrix.vs.clone(), inside)),
        Expr::Aggregate(aggregate) => {
            selectors(&aggregate.expr, inside, found);
            if let Some(param) = &aggregate.param {
                selectors(param, inside, found);
            }
        }
        Expr::Binary(binary) => {
            selectors(&binary.lhs, inside, found);
            selectors(&binary.rhs, inside, found);
        }
        Expr::Call(call) => {
            let rate = ["rate", "increase", "irate"].contains(&call.func.name);
            for argument in &call.args.args {
                selectors(argument, inside || rate, found);
            }
        }
        Expr::Paren(paren) => selectors(&paren.expr, inside, found),
        Expr::Unary(unary) => selectors(&unary.expr, inside, found),
        Expr::Subquery(subquery) => selectors(&subquery.expr, inside, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// The metrics of a page, with their labels; `job` and `instance` come from Prometheus.
fn exposed(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = all.entry(name.to_owned()).or_default();
        labels.extend(["job".to_owned(), "instance".to_owned()]);
        let Some((_, inner)) = line.split_once('{') else { continue };
        for label in inner.split("=\"").filter_map(|part| part.rsplit([',', '"', '{']).next()) {
            if !label.is_empty() && label.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                labels.insert(label.to_owned());
            }
        }
    }
    all
}

/// A daemon of which there is something to see: confirmed, violated, unconfirmed and waived series in
/// zones, a source that is down, a way that is proved, a heartbeat.
fn busy(sink: &Receiver, alertmanager: &Alertmanager) -> (Site, Watchman) {
    let port = free_port();
    let day = "window: {period: day, zones: [Europe/Berlin, America/New_York]}\n    sql: select ";
    let bounds = " as n where :window_start < :window_end and :zone <> ''";
    let checks = format!(
        "version: 1\nowner: tests\ndefaults: {{source: db, severity: critical, result_by: 2s}}\nchecks:\n  \
         - id: good\n    why: because\n    schedule: {{every: 1s}}\n    sql: select 1 + 0 as n\n    expect: {{values: {{n: {{min: 1}}}}}}\n  \
         - id: bad\n    why: because\n    {day}0{bounds}\n    expect: {{values: {{n: {{min: 1}}}}}}\n  \
         - id: vouched\n    why: because\n    {day}0{bounds}\n    expect: {{values: {{n: {{min: 1}}}}}}\n  \
         - id: dark\n    why: because\n    source: gone\n    schedule: {{every: 1s}}\n    sql: select 1 + 0 as n\n    expect: {{values: {{n: {{min: 1}}}}}}\n  \
         - id: quiet\n    why: because\n    {day}1{bounds} and :zone = ''\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
    );
    let settings = format!(
        "sources:\n  db: {{url: \"sqlite:data.db\", instants: sql}}\n  gone: {{url: \"sqlite:gone.db\", instants: sql}}\n\
         web: {{listen: \"127.0.0.1:{port}\", operator_token: \"${{file:token}}\"}}\n\
         alertmanagers: [{{url: \"{}\"}}]\nnotices: {{resend: 1s}}\nwatchdog: {{token: \"${{file:watchdog}}\", every: 1s, within: 60s}}\n\
         heartbeat: {{url: \"{}\", every: 1s}}\nwebhooks: [{{url: \"{}\"}}]\n",
        alertmanager.url(),
        sink.url(),
        sink.url()
    );
    let site = Site::new(&settings, &checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    fs::write(site.path().join("watchdog"), "round-and-round").unwrap();
    let (route, receiver) = crate::notices::round(port, site.path(), "1s", "500ms");
    alertmanager.configure(&sink.url(), &route, &receiver);
    alertmanager.reload();
    let daemon = site.start();
    daemon.until(Duration::from_secs(30), |daemon| {
        let series = daemon.series("vouched");
        let open = series.iter().filter(|s| s["open"]["violated"] == 1).count();
        if open == 2 { Ok(()) } else { Err(series) }
    });
    let until = (allswell::clock::now() + chrono::TimeDelta::days(30)).to_rfc3339();
    let order =
        serde_json::json!({"check": "vouched", "because": "mended", "by": "it", "until": until});
    assert_eq!(daemon.order("/api/v1/waive", &order.to_string())["rows"], 2);
    (site, daemon)
}

/// A Prometheus that scrapes a daemon each second.
struct Prometheus {
    _process: Process,
    _folder: Folder,
    port: u16,
}

impl Prometheus {
    fn start(daemon: &Watchman) -> Self {
        let folder = Folder::new("prometheus");
        let rules = deploy("prometheus/allswell-rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\nscrape_configs:\n\
             - job_name: allswell\n  static_configs: [{{targets: [\"{}\"]}}]\n",
            rules.display(),
            daemon.address
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let port = free_port();
        let process = Process::start(&program("prometheus", &["/usr/bin"]), |command| {
            let at = |name: &str| folder.path().join(name).display().to_string();
            command
                .arg(format!("--config.file={}", at("prometheus.yml")))
                .arg(format!("--storage.tsdb.path={}", at("data")))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdout(Stdio::null())
                .stderr(fs::File::create(folder.path().join("log")).unwrap());
        });
        Self { _process: process, _folder: folder, port }
    }

    /// How many series an expression gives; nothing where it is not answered.
    fn ask(&self, expr: &str) -> Option<usize> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let query = utf8_percent_encode(expr, NON_ALPHANUMERIC);
        write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\nHost: it\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        if body["status"] != "success" {
            return None;
        }
        Some(body["data"]["result"].as_array()?.len())
    }
}

/// Whatever a panel shows, there is something of it to be seen.
fn assert_shows_something(prometheus: &Prometheus, own: &[(String, String, String)]) {
    let started = Instant::now();
    for (name, title, expr) in own {
        loop {
            let found = prometheus.ask(expr);
            if found.is_some_and(|found| found > 0) {
                break;
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{name}: {title}: {found:?}: {expr}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn every_expression_names_what_there_is_and_shows_something() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let (_site, daemon) = busy(&sink, &alertmanager);
    let prometheus = Prometheus::start(&daemon);
    for (path, body) in [
        ("/api/v1/drills", r#"{"kind": "fault", "name": "refuse", "proved": true, "by": "t"}"#),
        ("/api/v1/drills", r#"{"kind": "ring", "name": "sink", "word": "a-b-1", "by": "t"}"#),
        ("/api/v1/drills/heard", r#"{"word": "a-b-1", "by": "t"}"#),
    ] {
        let (status, said) = daemon.post(path, body);
        assert_eq!(status, 200, "{said}");
    }
    daemon.until(Duration::from_secs(40), |daemon| {
        let (_, page) = daemon.get("/metrics");
        let all = [
            "watchdog_received_timestamp_seconds{",
            "source_unconfirmed_total{",
            "heartbeat_timestamp_seconds ",
            "tables{",
            "route_rung_timestamp_seconds{",
        ];
        let missing = all.iter().find(|name| !page.contains(&format!("\nallswell_{name}")));
        missing.map_or(Ok(()), |name| Err((*name).to_owned()))
    });
    let (_, page) = daemon.get("/metrics");
    crate::docs::assert_describes_metrics(&page);
    let known = exposed(&page);
    let own: Vec<(String, String, String)> = dashboards()
        .iter()
        .flat_map(|(name, dashboard)| {
            expressions(dashboard).into_iter().map(|(title, expr)| (name.clone(), title, expr))
        })
        .collect();
    let counters: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let rules = rules().into_iter().map(|(name, expr)| ("rules".to_owned(), name, expr));
    for (name, title, expr) in own.iter().cloned().chain(rules) {
        let parsed = promql_parser::parser::parse(&expr);
        let parsed = parsed.unwrap_or_else(|e| panic!("{name}: {title}: {e}: {expr}"));
        let mut found = Vec::new();
        selectors(&parsed, false, &mut found);
        assert!(!found.is_empty(), "{name}: {title}");
        for (selector, inside) in found {
            let metric = selector.name.clone().unwrap();
            let labels = known.get(&metric);
            let labels = labels.unwrap_or_else(|| panic!("{name}: {title}: no metric {metric}"));
            for matcher in &selector.matchers.matchers {
                assert!(
                    labels.contains(&matcher.name),
                    "{name}: {title}: {metric} has no {}",
                    matcher.name
                );
            }
            if name == "rules" {
                continue;
            }
            for label in ["job", "instance"] {
                let matches = selector.matchers.matchers.iter().any(|m| m.name == label);
                assert!(matches, "{name}: {title}: {metric} is not narrowed by {label}");
            }
            let counts = counters.contains(metric.as_str()) || metric.ends_with("_bucket");
            assert_eq!(counts, inside, "{name}: {title}: {metric}");
        }
    }
    assert_shows_something(&prometheus, &own);
    assert!(daemon.stop().success());
}
