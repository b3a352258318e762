//! The pages of the demo as they are: what they show of a record that never changes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use regex_lite::Regex;
use serde_json::Value;

use crate::servers::{Folder, Process, free_port};
use crate::visitor::send_to;

/// Takes out what differs from run to run: when it ran and for how long, where, and digests.
fn lasting(page: &str, folder: &str) -> String {
    let main = page.split("<header>").nth(1).unwrap();
    let main = main.split("<footer>").next().unwrap().replace(folder, "FOLDER");
    let rules = [
        // The first minutes of the demo's day, in any zone of it.
        (r#"datetime="2025-11-03T1[1-4]:[^"]*" title="[^"]*""#, "datetime=\"NOW\""),
        (r"2025-11-03T1[1-4]:[0-9]{2}:[0-9.]+Z", "NOW"),
        (r"2025-11-0[34] ([0-9]{2}):0[0-9](:[0-9]{2})? ([+-])", "2025-11-0N $1:0N $3"),
        (r"2025-11-0[34] ([0-9]{2}):(30|45)(:[0-9]{2})? ([+-])", "2025-11-0N $1:$2 $4"),
        (r"[0-9]+ (s|min|h)( [0-9]+ (s|min))? ago", "N ago"),
        (r"\b[0-9]+ ms\b", "N ms"),
        (r"[0-9]+ since the start", "N since the start"),
        (r"\(([0-9]+)\)</dd>", "(N)</dd>"),
        (r"sqlite [0-9]+:[0-9]+", "sqlite IDENTITY"),
        (r"<code>[0-9a-f]{12,}</code>", "<code>DIGEST</code>"),
        (r"no_evidence \([0-9]+\)", "no_evidence (N)"),
        (r"evidence=[0-9]+", "evidence=N"),
    ];
    let mut text = main;
    for (rule, by) in rules {
        text = Regex::new(rule).unwrap().replace_all(&text, by).into_owned();
    }
    // Which of many attempts of one second ended first is chance.
    if let Some((before, rest)) = text.split_once("<h2>Attempts at the latest windows</h2>") {
        text = format!("{before}{}", &rest[rest.find("<details").unwrap()..]);
    }
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn demo(folder: &Path) -> (Process, SocketAddr) {
    let program = Path::new(env!("CARGO_BIN_EXE_allswell"));
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let made = std::process::Command::new(program).args(["demo", "--folder"]).arg(folder).output();
    assert!(made.unwrap().status.success());
    let path = folder.join("allswell.yaml");
    let settings = fs::read_to_string(&path).unwrap();
    let settings = settings.replace("web: {", &format!("web: {{listen: \"{address}\", "));
    fs::write(&path, settings).unwrap();
    let process = Process::start(program, |command| {
        command.args(["demo", "--serve", "--folder"]).arg(folder);
        command.stdout(fs::File::create(folder.join("out")).unwrap());
        command.stderr(fs::File::create(folder.join("err")).unwrap());
    });
    (process, address)
}

#[test]
fn the_pages_of_the_demo_are_as_they_were() {
    let folder = Folder::new("golden");
    let home = folder.path().join("demo");
    let (mut process, address) = demo(&home);
    let started = Instant::now();
    loop {
        let status = send_to(address, ("GET", "/api/v1/status"), &[], "");
        let status =
            status.map(|answer| serde_json::from_str::<Value>(&answer.body).unwrap_or_default());
        let summary = status.map(|status| status["summary"].clone()).unwrap_or_default();
        // A series is not new any more while its earlier windows are still looked at.
        if summary["series"] == 35 && summary["new"] == 2 && summary["violated"] == 18 {
            break;
        }
        let said = fs::read_to_string(home.join("err")).unwrap();
        let is_in_time = started.elapsed() < Duration::from_secs(90) && process.is_running();
        assert!(is_in_time, "{summary}: {said}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let check = "/checks/each-local-day-is-invoiced-as-used?month=2025-11";
    let window =
        "/checks/each-local-day-is-invoiced-as-used/windows/America/New_York/2025-11-02T04:00:00Z";
    for (name, path) in [
        ("overview", "/"),
        ("checks", "/checks"),
        ("check", check),
        ("window", window),
        ("sources", "/sources"),
        ("tables", "/tables"),
        ("alerting", "/alerting"),
        ("catalogue", "/generations"),
        ("generation", "/generations/1"),
        ("events", "/events?kind=waiver"),
        ("logout", "/logout"),
        ("manual", "/docs"),
        ("login", "/login"),
        ("missing", "/checks/each-local-day-is-invoiced"),
    ] {
        let answer = send_to(address, ("GET", path), &[], "").unwrap();
        let page = lasting(&answer.body, &home.display().to_string());
        insta::assert_snapshot!(format!("page_{name}"), page);
    }
    process.signal("TERM");
    assert!(process.wait(Duration::from_secs(30)).unwrap().success());
}
