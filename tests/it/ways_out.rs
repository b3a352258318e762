//! The ways out behind locked doors, and what is kept quiet because it is told already.

use std::fs;

use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::clocks;
use crate::lab::Other;
use crate::notices::{SOON, confirmed, settings, site, state, text};
use crate::servers::{Folder, authority, signed};
use crate::watchman::Site;

/// What Alertmanager keeps of the password `through the gate`.
const KEPT: &str = "$2b$04$2PJDyLNvmERVQeFsKr6UWOBs2J46ONdtgxAxs1U.LoizzcDXm6VOC";

fn locked(port: u16, how: &str) -> String {
    format!(
        "sources: {{db: {{url: \"sqlite:data.db\", instants: sql}}}}\nnotices: {{resend: 1s, hold: 2s, lasts: 2m}}\n\
         alertmanagers: [{{url: \"https://localhost:{port}\", {how}}}]\n"
    )
}

#[test]
fn an_alertmanager_behind_tls_a_certificate_and_a_password_is_told_and_no_other_is_believed() {
    let (keys, sink) = (Folder::new("keys"), Receiver::start());
    authority(keys.path());
    signed(keys.path(), "server", "localhost");
    signed(keys.path(), "us", "allswell");
    let at = |name: &str| keys.path().join(name).display().to_string();
    let read = |name: &str| fs::read_to_string(keys.path().join(name)).unwrap();
    fs::write(at("us.pem"), format!("{}{}", read("us.crt"), read("us.key"))).unwrap();
    fs::write(at("password"), "through the gate\n").unwrap();
    fs::write(at("wrong"), "through the wall\n").unwrap();
    let door = format!(
        "tls_server_config: {{cert_file: {}, key_file: {}, client_ca_file: {}, client_auth_type: RequireAndVerifyClientCert}}\n\
         basic_auth_users: {{watch: {KEPT}}}\n",
        at("server.crt"),
        at("server.key"),
        at("ca.pem")
    );
    fs::write(at("door.yml"), door).unwrap();
    let config = format!(
        "route: {{receiver: sink, group_wait: 0s}}\nreceivers: [{{name: sink, webhook_configs: [{{url: \"{}\"}}]}}]\n",
        sink.url()
    );
    let alertmanager = Alertmanager::configured(&config, Some(keys.path().join("door.yml")));
    let password = |file: &str| format!("user: watch, password: \"${{file:{}}}\"", at(file));
    let (ours, theirs) =
        (format!("identity_file: \"{}\"", at("us.pem")), format!("ca_file: \"{}\"", at("ca.pem")));
    // Without one of the three nothing gets through, and the reason is told: without a word of what is
    // secret.
    for (how, why) in [
        (format!("{ours}, {}", password("password")), "certificate"),
        (format!("{theirs}, {}", password("password")), "certificate"),
        (format!("{ours}, {theirs}, {}", password("wrong")), "401"),
    ] {
        let site = site(&locked(alertmanager.port, &how));
        let daemon = site.start();
        state(&site, 0);
        daemon.until(SOON, |daemon| {
            let path = daemon.json("/api/v1/status")["alert_paths"][0].clone();
            let told = text(&path["why"]).to_lowercase();
            if told.contains(why) { Ok(()) } else { Err(path) }
        });
        assert_eq!(sink.count("firing", "AllswellViolated"), 0, "{how}");
        let log = daemon.log();
        assert!(!log.contains("through the"), "{log}");
        assert!(daemon.stop().success());
    }
    let how = format!("{ours}, {theirs}, {}", password("password"));
    let site = site(&locked(alertmanager.port, &how));
    let daemon = site.start();
    confirmed(&daemon);
    state(&site, 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
}

/// The state that Alertmanager gives an alert: its own word.
fn given(alertmanager: &Alertmanager, alertname: &str) -> Option<String> {
    let all: Value = serde_json::from_str(&alertmanager.get("/api/v2/alerts")?).ok()?;
    let alert = all.as_array()?.iter().find(|a| a["labels"]["alertname"] == alertname)?;
    Some(text(&alert["status"]["state"]).to_owned())
}

#[test]
fn a_check_of_two_sources_is_quiet_while_either_is_down_and_told_as_such() {
    const CHECKS: &str = "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: Each has reported.\n    source: db\n    \
        severity: critical\n    schedule: {every: 1s}\n    result_by: 3s\n    sql: select 1 + 0 as ok\n    \
        expect: {keys: {columns: [ok], from: {source: other, sql: select ok from state}}}\n";
    let sink = Receiver::start();
    let settings = |more: &str| {
        format!(
            "labels: {{cluster: it}}\nsources: {{db: {{url: \"sqlite:data.db\", instants: sql}}, \
             other: {{url: \"sqlite:other.db\", instants: sql}}}}\nnotices: {{resend: 1s, hold: 2s}}\n{more}"
        )
    };
    let site = Site::new(&settings(""), CHECKS);
    for name in ["data.db", "other.db"] {
        fs::write(site.path().join(name), "").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut data = Other::sqlite(&site.path().join(name)).await;
            data.run("create table state (ok integer); insert into state values (1)")
                .await
                .unwrap();
            data.close().await;
        });
    }
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
        .arg("alertmanager-config")
        .current_dir(site.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let config = printed
        .replacen(
            "- name: team",
            &format!("- name: team\n  webhook_configs: [{{url: \"{}\"}}]", sink.url()),
            1,
        )
        .replace("group_wait: 30s", "group_wait: 0s")
        .replace("group_interval: 30s", "group_interval: 1s");
    let alertmanager = Alertmanager::configured(&config, None);
    site.settings(&settings(&format!("alertmanagers: [{{url: \"{}\"}}]\n", alertmanager.url())));
    let daemon = site.start();
    confirmed(&daemon);
    fs::rename(site.path().join("other.db"), site.path().join("away.db")).unwrap();
    sink.until("firing", "AllswellSourceDown", 0, SOON);
    daemon.until(SOON, |_| match given(&alertmanager, "AllswellUnconfirmed").as_deref() {
        Some("suppressed") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(daemon.stop().success());
}

#[test]
fn alerts_begin_and_end_whatever_the_daemons_clock_says() {
    for offset in ["-10m", "+10m"] {
        let sink = Receiver::start();
        let alertmanager = Alertmanager::start(&sink.url(), "", "");
        let site = site(&settings(&[&alertmanager], ""));
        let daemon = clocks::start(&site, offset);
        confirmed(&daemon);
        sink.until("firing", "AllswellClockWrong", 0, SOON);
        state(&site, 0);
        sink.until("firing", "AllswellViolated", 0, SOON);
        // What is told for five minutes would be over before it came.
        fs::rename(site.path().join("data.db"), site.path().join("away.db")).unwrap();
        sink.until("firing", "AllswellSourceDown", 0, SOON);
        fs::rename(site.path().join("away.db"), site.path().join("data.db")).unwrap();
        state(&site, 1);
        sink.until("resolved", "AllswellViolated", 0, SOON);
        sink.until("resolved", "AllswellSourceDown", 0, SOON);
        assert_eq!(sink.count("firing", "AllswellViolated"), 1, "{offset}");
        assert!(daemon.stop().success());
    }
}
