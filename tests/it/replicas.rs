//! Several replicas with one ledger: each receiver hears each alert once, and its end once, whatever becomes of one
//! of them.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::delivery::{assert_each_ends_once, heard, printed, set, settings, site_of};
use crate::lab::Database;
use crate::notices::{SOON, confirmed};
use crate::proxy::{Proxy, Way};
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

/// Replicas with one ledger, each with its own way to it.
struct Replicas {
    replicas: Vec<Watchman>,
    ways: Vec<Proxy>,
    sites: Vec<Site>,
    database: Database,
}

impl Replicas {
    fn start(count: usize, alertmanager: &Alertmanager, more: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let database = runtime.block_on(Database::postgres(Postgres::shared()));
        let port = Postgres::shared().port;
        let ways: Vec<Proxy> = (0..count).map(|_| Proxy::before(port, Duration::ZERO)).collect();
        let sites: Vec<Site> = ways
            .iter()
            .map(|way| {
                let url = database.url().replace(&port.to_string(), &way.port.to_string());
                let ledger = format!(
                    "ledger: {{url: \"{url}\", password: \"${{file:watch}}\", lease: 2s}}\n{more}"
                );
                site_of(&settings(&[alertmanager.url()], &ledger), &["it"])
            })
            .collect();
        // All look at the same data: what is set is set for all at once.
        for site in &sites[1..] {
            let data = site.path().join("data.db");
            fs::remove_file(&data).unwrap();
            std::os::unix::fs::symlink(sites[0].path().join("data.db"), data).unwrap();
        }
        let replicas = sites.iter().map(Site::start).collect();
        Self { replicas, ways, sites, database }
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { self.database.owner().await.texts(sql).await })
    }

    /// Cuts the second one from the ledger.
    fn cut(&self) {
        self.ways[1].set(Way::Cut);
        self.replicas[1].until(SOON, |replica| match replica.get("/-/ready") {
            (503, _) => Ok(()),
            other => Err(other),
        });
    }

    fn set(&self, ok: u8) {
        set(&self.sites[0], "it", ok);
    }
}

/// For as long as a replica resends several times, no more comes with a status: time that has to pass.
fn stays(sink: &Receiver, status: &str, count: usize) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(9) {
        assert_eq!(sink.count(status, "AllswellViolated"), count, "{:?}", heard(sink));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_replica_that_is_cut_from_the_ledger_neither_ends_nor_raises_what_others_know_better() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let pair = Replicas::start(2, &alertmanager, "");
    for replica in &pair.replicas {
        confirmed(replica);
    }
    let violated = |status: &str| sink.count(status, "AllswellViolated");
    // It ended a moment ago, and both know that.
    pair.set(0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    pair.set(1);
    sink.until("resolved", "AllswellViolated", 0, SOON);
    pair.cut();
    pair.set(0);
    sink.until("firing", "AllswellViolated", 1, SOON);
    let resolved = violated("resolved");
    stays(&sink, "resolved", resolved);
    // It stands while one is cut, and is proved by the other.
    pair.ways[1].set(Way::Open);
    pair.replicas[1].until(SOON, |replica| match replica.get("/-/ready") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    pair.cut();
    pair.set(1);
    sink.until("resolved", "AllswellViolated", resolved, SOON);
    let fired = violated("firing");
    stays(&sink, "firing", fired);
    pair.ways[1].set(Way::Open);
    assert_each_ends_once(&sink);
}

#[test]
fn two_replicas_end_what_they_said_about_a_source_and_mute_nothing_after_it() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let pair = Replicas::start(2, &alertmanager, "");
    for replica in &pair.replicas {
        confirmed(replica);
    }
    let moved = |from: &str, to: &str| {
        for site in &pair.sites {
            fs::rename(site.path().join(from), site.path().join(to)).unwrap();
        }
    };
    moved("data.db", "away.db");
    let standing = |name: &str| {
        let all = alertmanager.standing();
        all.iter().filter(|(alertname, _)| alertname == name).count()
    };
    let down = |count: usize| {
        pair.replicas[0].until(SOON * 2, |_| {
            let seen = standing("AllswellSourceDown");
            if seen == count { Ok(()) } else { Err(alertmanager.standing()) }
        });
    };
    down(2);
    moved("away.db", "data.db");
    down(0);
    let body: Value = serde_json::from_str(&alertmanager.get("/api/v2/alerts").unwrap()).unwrap();
    assert!(
        body.as_array().unwrap().iter().all(|a| a["labels"]["alertname"] != "AllswellSourceDown")
    );
    // One of them says so, and is killed for good: the other ends it.
    fs::rename(pair.sites[1].path().join("data.db"), pair.sites[1].path().join("away.db")).unwrap();
    down(1);
    pair.replicas[1].signal("KILL");
    down(0);
    assert_each_ends_once(&sink);
}

#[test]
fn three_replicas_tell_each_receiver_of_each_alert_once() {
    let (sink, hook) = (Receiver::start(), Receiver::start());
    let alertmanager = printed(&sink);
    let more = format!("webhooks: [{{name: pager, url: \"{}\"}}]\n", hook.url());
    let all = Replicas::start(3, &alertmanager, &more);
    for replica in &all.replicas {
        confirmed(replica);
    }
    for (place, replica) in all.replicas.iter().enumerate() {
        let before = hook.count("firing", "AllswellViolated");
        all.set(0);
        for receiver in [&sink, &hook] {
            receiver.until("firing", "AllswellViolated", before, SOON);
        }
        // What both took is written down: one that is killed before may have told it in vain.
        let written = "select count(*)::text from notified n join alerts a using (fingerprint, starts_at) \
                       where n.begun_at is not null and a.alarm = 'violated'";
        let wanted = 2 * (place + 1);
        replica.until(SOON, |_| {
            let seen = all.ask(written);
            if seen == [wanted.to_string()] { Ok(()) } else { Err(seen) }
        });
        // One after the other is killed while it stands.
        if place < 2 {
            replica.signal("KILL");
        }
        all.set(1);
        for receiver in [&sink, &hook] {
            receiver.until("resolved", "AllswellViolated", before, SOON * 2);
        }
    }
    stays(&hook, "firing", 3);
    assert_eq!(hook.count("resolved", "AllswellViolated"), 3, "{:?}", heard(&hook));
    for receiver in [&sink, &hook] {
        assert_each_ends_once(receiver);
    }
}

#[test]
fn what_a_replica_says_about_itself_stands_while_it_lives_though_it_is_cut_off() {
    let (sink, hook) = (Receiver::start(), Receiver::start());
    let alertmanager = printed(&sink);
    let more = format!("webhooks: [{{name: pager, url: \"{}\"}}]\n", hook.url());
    let pair = Replicas::start(2, &alertmanager, &more);
    for replica in &pair.replicas {
        confirmed(replica);
    }
    let (there, away) =
        (pair.sites[1].path().join("data.db"), pair.sites[1].path().join("away.db"));
    fs::rename(&there, &away).unwrap();
    for receiver in [&sink, &hook] {
        receiver.until("firing", "AllswellSourceDown", 0, SOON);
    }
    pair.cut();
    // The other one takes it for dead after two leases of two seconds: time that has to pass.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(12) {
        for receiver in [&sink, &hook] {
            let ended = receiver.count("resolved", "AllswellSourceDown");
            assert_eq!(ended, 0, "{:?}", heard(receiver));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::rename(&away, &there).unwrap();
    pair.ways[1].set(Way::Open);
    for receiver in [&sink, &hook] {
        receiver.until("resolved", "AllswellSourceDown", 0, SOON);
        assert_each_ends_once(receiver);
    }
}
