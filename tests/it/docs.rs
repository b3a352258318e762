//! README and docs: short, linked, and true, because every example of theirs is parsed or run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use allswell::domain::check::code::Code;
use allswell::domain::check::reason::Cause;

use crate::alerting::passes;
use crate::cli::{allswell, code, err, out};
use crate::lab::Database;
use crate::servers::{Folder, Postgres};

/// Words that are for people only.
const PEOPLE: [&str; 3] = ["whoever", "somebody", "nobody"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, and every page for users.
fn pages() -> Vec<String> {
    let mut pages =
        vec!["README.md".to_owned(), "CHANGELOG.md".to_owned(), "deploy/README.md".to_owned()];
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| name.into_string().unwrap());
    pages.extend(docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    pages.sort();
    pages
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

/// What stands between fences.
#[derive(Debug)]
pub(crate) struct Example {
    /// Page and line, for messages.
    pub(crate) at: String,
    /// The words behind the opening fence.
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// The examples of a page.
pub(crate) fn examples(page: &str) -> Vec<Example> {
    let mut all = Vec::new();
    let mut open: Option<Example> = None;
    for (number, line) in read(page).lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                let at = format!("{page}:{}", number + 1);
                open = Some(Example { at, kind: kind.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => all.extend(open.take()),
            (Some(example), None) => {
                example.text.push_str(line);
                example.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a fence is not closed");
    all
}

/// Items of a list, as they stand under a key.
pub(crate) fn indented(text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") })
        .collect()
}

/// The anchors of a page: its headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut all = BTreeSet::new();
    for line in read(page).lines() {
        fenced ^= line.starts_with("```");
        let Some(title) = line.strip_prefix('#').filter(|_| !fenced) else { continue };
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        all.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    all
}

/// The lines of a page that are prose: not in fences, no tables.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter(move |(_, line)| {
        fenced ^= line.starts_with("```");
        !fenced && !line.starts_with("```") && !line.starts_with('|')
    })
}

#[test]
fn the_readme_is_short_and_no_line_of_prose_is_long() {
    assert!(read("README.md").lines().count() <= 180);
    let mut long = Vec::new();
    let mut people = 0;
    let internals = fs::read_dir(root().join("docs/internals")).unwrap();
    let internals = internals.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for page in internals.map(|name| format!("docs/internals/{name}")).chain(pages()) {
        let text = read(&page);
        let lines = prose(&text).filter(|(_, line)| line.chars().count() > 120);
        long.extend(lines.map(|(number, _)| format!("{page}:{}", number + 1)));
        if page.starts_with("docs/internals/") {
            continue;
        }
        let words = text.split(|c: char| !c.is_alphanumeric());
        people += words.filter(|word| PEOPLE.contains(&word.to_lowercase().as_str())).count();
    }
    assert!(long.is_empty(), "{long:#?}");
    assert!(people <= 10, "{people}");
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let folder = Path::new(&page).parent().unwrap().to_owned();
        for (_, rest) in
            read(&page).match_indices("](").map(|(at, _)| ((), read(&page)[at + 2..].to_owned()))
        {
            let link = rest.split(')').next().unwrap();
            if link.starts_with("http") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let mut target = root().join(&folder);
            target = if file.is_empty() { root().join(&page) } else { target.join(file) };
            let Ok(target) = target.canonicalize() else {
                broken.push(format!("{page}: {link}"));
                continue;
            };
            let name =
                target.strip_prefix(root().canonicalize().unwrap()).unwrap().display().to_string();
            if !anchor.is_empty() && !anchors(&name).contains(anchor) {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Every alert that there is: those of the daemon, and those of Prometheus.
fn alerts() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let rules = read("deploy/prometheus/allswell-rules.yml");
    all.extend(
        rules.lines().filter_map(|line| Some(line.trim().strip_prefix("- alert: ")?.to_owned())),
    );
    let files = [
        "notify/self_alerts.rs",
        "notify/alert_path.rs",
        "notify/ledgers.rs",
        "notify/deliveries.rs",
        "domain/alerting/drill.rs",
        "domain/alerting/alert.rs",
        "domain/alerting/seen.rs",
    ];
    for file in files.map(|file| format!("src/{file}")) {
        let text = read(&file);
        let words = text.split('"').filter(|word| word.starts_with("Allswell"));
        all.extend(
            words.filter(|word| word.bytes().all(|b| b.is_ascii_alphabetic())).map(str::to_owned),
        );
    }
    all
}

#[test]
fn every_alert_and_every_cause_has_its_heading_on_the_page_for_people_on_call() {
    let headings = anchors("docs/oncall.md");
    let alerts = alerts();
    assert!(alerts.len() > 18, "{alerts:?}");
    for alert in &alerts {
        assert!(headings.contains(&alert.to_lowercase()), "{alert}");
    }
    for cause in Cause::ALL {
        assert!(headings.contains(cause.as_str()), "{cause}");
    }
    // And none that there is not.
    let named: Vec<String> =
        headings.into_iter().filter(|heading| heading.starts_with("allswell")).collect();
    let known: BTreeSet<String> = alerts.iter().map(|alert| alert.to_lowercase()).collect();
    assert!(named.iter().all(|heading| known.contains(heading)), "{named:?}");
}

#[test]
fn every_code_of_a_warning_or_fault_is_in_the_reference() {
    let page = read("docs/checks.md");
    for code in Code::ALL {
        assert!(page.contains(&format!("\n| `{code}` | ")), "{code}");
    }
}

#[test]
fn the_api_page_names_every_path_and_no_other() {
    let web = read("src/web.rs");
    let mut known: BTreeSet<String> = BTreeSet::new();
    for rest in web.split(".route(\"").skip(1) {
        let (path, rest) = rest.split_once('"').unwrap();
        let method =
            if rest.trim_start_matches([',', ' ']).starts_with("post") { "POST" } else { "GET" };
        known.insert(format!("{method} {path}"));
    }
    let page = read("docs/api.md");
    let named: BTreeSet<String> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .filter(|word| word.contains(" /"))
        .collect();
    assert!(known.len() > 12);
    assert_eq!(named, known);
}

const SOURCES: &str = "sources:
  billing: {url: \"postgres://allswell@localhost/billing\"}
  usage: {url: \"postgres://allswell@localhost/usage\"}
  shop: {url: \"mysql://allswell@localhost/shop\"}
";

/// A file of checks of an example: a whole one, a list of checks, or a part of a check.
fn file_of(text: &str) -> String {
    const PART: &str = "id: part-of-a-check\nwhy: The page says why.\n";
    if text.contains("\nversion:") || text.starts_with("version:") {
        return text.to_owned();
    }
    let head = "version: 1\nowner: docs\ndefaults: {source: billing}\nchecks:\n";
    if text.starts_with("- id:") {
        return format!("{head}{}", indented(text));
    }
    let has = |key: &str| text.lines().any(|line| line.starts_with(&format!("{key}:")));
    let mut check = format!("{PART}{text}");
    if !has("sql") {
        check.push_str("sql: select 1 + 0 as n\n");
    }
    if !has("expect") {
        check.push_str("expect: {values: {n: {min: 1}}}\n");
    }
    let check = indented(&check);
    format!("{head}  -{}", check.replace("\n  ", "\n    ").strip_prefix(' ').unwrap())
}

/// Runs an example of tests, with the first check and the first schema of its page.
fn tested(page: &str, tests: &str) {
    let folder = Folder::new("docs");
    let examples = examples(page);
    let first = |kind: &str| examples.iter().find(|e| e.kind == kind).unwrap().text.clone();
    let settings = "sources: {billing: {url: \"sqlite:b.db\", instants: sql}}\n";
    fs::create_dir(folder.path().join("checks")).unwrap();
    for (name, text) in [
        ("allswell.yaml", settings),
        ("checks/billing.yaml", &file_of(&first("yaml"))),
        ("checks/schema.sql", &first("sql")),
        ("checks/billing.test.yaml", tests),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let output = allswell(folder.path(), &["test", "--mutants", "--min-score", "100"]);
    assert_eq!(code(&output), 0, "{page}: {}{}", out(&output), err(&output));
}

#[test]
fn every_yaml_example_is_accepted() {
    let mut seen = 0;
    for page in &pages() {
        // Recipes themselves are run.
        let is_run = |e: &&Example| page == "docs/recipes.md" && e.text.starts_with("- id:");
        for example in examples(page).iter().filter(|e| e.kind.starts_with("yaml") && !is_run(e)) {
            seen += 1;
            let folder = Folder::new("docs");
            let at = |name: &str| folder.path().join(name);
            if example.kind == "yaml tests" {
                tested(page, &example.text);
                continue;
            }
            if example.kind == "yaml alertmanager" {
                fs::write(at("alertmanager.yml"), &example.text).unwrap();
                passes("amtool", &["check-config"], &at("alertmanager.yml"));
                continue;
            }
            let is_settings = example.text.lines().any(|line| line.starts_with("sources:"));
            let checks = "version: 1\nowner: docs\nchecks: [{id: a, why: A., source: billing, sql: select 1 + 0 as n, \
                          expect: {values: {n: {min: 1}}}}]\n";
            let (settings, example_of) = if is_settings {
                (example.text.clone(), "version: 1\nremoved: [{id: b, because: It.}]\n".to_owned())
            } else {
                (SOURCES.to_owned(), file_of(&example.text))
            };
            fs::create_dir(at("checks")).unwrap();
            fs::write(at("allswell.yaml"), settings).unwrap();
            fs::write(at("checks/other.yaml"), checks).unwrap();
            fs::write(at("checks/it.yaml"), &example_of).unwrap();
            let output = allswell(folder.path(), &["validate"]);
            assert_eq!(code(&output), 0, "{}: {}\n{example_of}", example.at, err(&output));
        }
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn every_query_for_prometheus_is_one_and_asks_for_what_is_exposed() {
    let described = read("docs/metrics.md");
    let mut seen = 0;
    for page in pages() {
        for example in examples(&page).iter().filter(|example| example.kind == "promql") {
            let mut rules = "groups:\n- name: docs\n  rules:\n".to_owned();
            for (number, query) in example.text.split("\n\n").enumerate() {
                let query: Vec<&str> =
                    query.lines().filter(|line| !line.starts_with('#')).collect();
                let query = query.join(" ");
                for name in query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                    let is_exposed = described.contains(&format!("| `{name}`"));
                    assert!(!name.starts_with("allswell_") || is_exposed, "{}: {name}", example.at);
                }
                rules.push_str(&format!("  - record: docs:{number}\n    expr: {query:?}\n"));
                seen += 1;
            }
            let folder = Folder::new("docs");
            let file = folder.path().join("rules.yml");
            fs::write(&file, rules).unwrap();
            passes("promtool", &["check", "rules"], &file);
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[tokio::test]
async fn the_statements_of_the_pages_for_databases_are_taken() {
    let server = Postgres::start();
    let db = Database::postgres(&server).await;
    let mut admin = db.admin().await;
    let version = admin.texts("show server_version_num").await[0].parse::<u32>().unwrap();
    admin.run("create role allswell login noinherit").await.unwrap();
    let examples = examples("docs/operate.md");
    let grants =
        examples.iter().find(|e| e.kind == "sql" && e.text.contains("pg_monitor")).unwrap();
    let [newer, before] = grants.text.lines().collect::<Vec<_>>().try_into().unwrap();
    admin.run(if version < 160_000 { before } else { newer }).await.unwrap();
    let inherits = "select pg_has_role('allswell', 'pg_monitor', 'usage')::text";
    assert_eq!(admin.texts(inherits).await, ["true"]);
}

#[test]
fn every_command_of_the_pages_is_one_that_the_program_has() {
    let folder = Folder::new("docs");
    let mut seen = 0;
    for page in pages() {
        for example in examples(&page).iter().filter(|example| example.kind == "console") {
            for line in example.text.lines().filter_map(|line| line.strip_prefix("$ allswell ")) {
                let line = line.split(" # ").next().unwrap().split(" > ").next().unwrap();
                let args: Vec<&str> = line.split_whitespace().chain(["--help"]).collect();
                let output = allswell(folder.path(), &args);
                assert_eq!(code(&output), 0, "{}: {line}: {}", example.at, err(&output));
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

/// Holds docs/metrics.md against what a daemon exposes: each family with its type and its help.
pub(crate) fn assert_describes_metrics(exposed: &str) {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `allswell_")?.split(" | ").collect();
        let name = format!("allswell_{}", cells[0].strip_suffix('`')?);
        Some((name, cells[1].to_owned(), cells.last()?.trim_end_matches(" |").to_owned()))
    };
    let page = read("docs/metrics.md");
    let described: BTreeSet<_> = page.lines().filter_map(row).collect();
    let mut known = BTreeSet::new();
    for help in exposed.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = help.split_once(' ').unwrap();
        let kind = format!("# TYPE {name} ");
        let kind = exposed.lines().find_map(|line| line.strip_prefix(&kind)).unwrap();
        known.insert((name.to_owned(), kind.to_owned(), help.to_owned()));
    }
    let missing: Vec<_> = known.difference(&described).collect();
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
    // What is exposed only while rows are compared, or where there is a webhook.
    let now_and_then = ["allswell_comparing_", "allswell_webhook"];
    let more = described.difference(&known);
    let more: Vec<_> = more
        .filter(|(name, ..)| !now_and_then.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert!(more.is_empty(), "on the page only: {more:#?}");
}
