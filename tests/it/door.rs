//! The door: hostile clients cost little and hold up nobody; who may act is asked for his token.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use allswell::http::{Auth, Peer, Tls};
use secrecy::SecretString;
use serde_json::json;

use crate::servers::Process;
use crate::watchman::{Site, TOKEN, Watchman};

const CHECKS: &str = "version: 1\nowner: tests\ndefaults: {source: db, severity: critical}\nchecks:\n  - id: it\n    why: because\n    \
    schedule: {every: 1s}\n    result_by: 20s\n    sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n";
const SOURCES: &str = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";

fn site(settings: &str) -> Site {
    let site = Site::new(&format!("{settings}{SOURCES}"), CHECKS);
    fs::write(site.path().join("data.db"), "").unwrap();
    site
}

fn raw(daemon: &Watchman, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may be refused before it is all there.
    drop(stream.write_all(request));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn odd_requests_get_an_answer_and_change_nothing() {
    let site = site("");
    let daemon = site.start();
    let long = "x".repeat(20_000);
    let many = (0..100).fold(String::new(), |mut all, n| {
        let _ = write!(all, "h{n}: x\r\n");
        all
    });
    for (request, wanted) in [
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "404"),
        ("GET /api/v1/checks/..%2f..%2fetc/windows HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "404"),
        ("GET /api/v1/checks/%ff%fe/windows HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "400"),
        ("GET /api/v1/checks?check=%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "404"),
        ("GET /api/v1/checks?chekc=it HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "400"),
        ("GET /api/v1/checks?limit=1000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "400"),
        ("GET /api/v1/events?page='%20or%201=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "400"),
        ("GET /api/v1/checks/it'%20or%20'1'='1/windows HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "404"),
        ("DELETE /allswell HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "405"),
        ("GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "404"),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), "4"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nh: {long}\r\n\r\n"), "4"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), "4"),
        ("\u{0}\u{1}\u{2} / nonsense\r\n\r\n".into(), "400"),
        ("POST /api/v1/rerun HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}".into(), "403"),
        (format!("POST /api/v1/rerun HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 7\r\n\r\n{{\"a\":1}}"), "400"),
        (format!("POST /api/v1/rerun HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 2\r\n\r\n\u{fffd}"), "400"),
        (format!("POST /api/v1/rerun HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"), "400"),
        (format!("POST /api/v1/waive HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 14\r\n\r\n{{\"check\":\"it\"}}"), "400"),
    ] {
        let answer = raw(&daemon, request.as_bytes());
        let status = answer.split(' ').nth(1).unwrap_or("");
        let shown: String = request.chars().take(80).collect();
        assert!(status.starts_with(wanted), "{shown}: {answer}");
        if status == "404" || status == "400" && request.starts_with("GET /api") {
            assert!(answer.contains("application/problem+json"), "{shown}: {answer}");
        }
    }
    assert_eq!(daemon.get("/-/healthy").0, 200);
}

#[test]
fn a_large_body_is_refused_before_it_is_read() {
    let site = site("");
    let daemon = site.start();
    let before = rss_kib(daemon.process.id());
    let started = Instant::now();
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        stream,
        "POST /api/v1/rerun HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000000000\r\n\r\n"
    )
    .unwrap();
    let chunk = vec![b'x'; 1 << 16];
    let mut sent = 0;
    while sent < 200 << 20 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.contains("413") || read == 0, "{answer}");
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert!(started.elapsed() < Duration::from_secs(15));
    assert!(rss_kib(daemon.process.id()) < before + 16 * 1024);
}

#[test]
fn who_does_not_read_its_answers_is_let_go() {
    let site = site("");
    let daemon = site.start();
    let mut client = TcpStream::connect(daemon.address).unwrap();
    client.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    // Until neither side takes any more: the daemon waits for its answers to be read.
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    while client.write_all(&request).is_ok() {}
    let asked = Instant::now();
    // Nothing is read meanwhile: what cannot be written any more tells that the daemon closed the connection.
    loop {
        match client.write(b"x") {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
            Ok(_) | Err(_) => {}
        }
        assert!(asked.elapsed() < Duration::from_secs(60), "it is still there");
    }
    assert!(asked.elapsed() > Duration::from_secs(10), "a slow client has its time");
    assert!(daemon.stop().success());
}

#[test]
fn slow_clients_and_ten_thousand_idle_ones_hold_up_nobody() {
    let site = site("");
    let daemon = site.start();
    daemon.until(Duration::from_secs(10), |daemon| match daemon.get("/allswell") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    let before = rss_kib(daemon.process.id());
    // One that sends its headers a byte at a time, for longer than anybody waits.
    let mut slow = TcpStream::connect(daemon.address).unwrap();
    slow.write_all(b"GET / HTT").unwrap();
    // As many idle ones as the limit of descriptors lets a program open.
    let script = format!(
        "ulimit -n $(ulimit -Hn); n=0; for i in $(seq 10000); do exec {{fd}}<>/dev/tcp/127.0.0.1/{} || break; n=$i; done; \
         echo $n; exec sleep 60",
        daemon.address.port()
    );
    let out = site.path().join("idle");
    let idle = Process::start(Path::new("/bin/bash"), |command: &mut Command| {
        command.args(["-c", &script]).stdout(fs::File::create(&out).unwrap()).stderr(Stdio::null());
    });
    let mut worst = Duration::ZERO;
    let opened = loop {
        let started = Instant::now();
        assert_eq!(daemon.get("/-/healthy").0, 200);
        let (status, body) = daemon.get("/allswell");
        assert_eq!(status, 200, "{body}");
        worst = worst.max(started.elapsed());
        let text = fs::read_to_string(&out).unwrap_or_default();
        if let Ok(opened) = text.trim().parse::<u32>() {
            break opened;
        }
    };
    assert!(opened > 900, "only {opened} idle connections");
    assert!(worst < Duration::from_secs(3), "somebody waited {worst:?}");
    let grown = rss_kib(daemon.process.id()).saturating_sub(before);
    assert!(grown < 48 * 1024, "{opened} idle connections cost {grown} KiB");
    // The slow one is let go.
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let started = Instant::now();
    let mut answer = Vec::new();
    drop(slow.read_to_end(&mut answer));
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(idle);
    println!("{opened} idle connections, {grown} KiB, worst answer {worst:?}");
}

#[test]
fn all_is_well_only_where_something_is_proved() {
    let site = site("");
    let daemon = site.start();
    daemon.until(Duration::from_secs(10), |daemon| match daemon.get("/allswell") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    assert_eq!(daemon.get("/allswell?owner=nobody").0, 404);
    assert_eq!(daemon.get("/allswell?check=nothing").0, 404);
    assert_eq!(daemon.get("/allswell?check=it").0, 200);
    assert_eq!(daemon.get("/allswell?ownr=tests").0, 400);
}

#[test]
fn who_looks_and_who_acts_is_asked_where_the_settings_say_so() {
    let hash = bcrypt::hash("sesame", 4).unwrap();
    let web = "web: {listen: \"127.0.0.1:0\", config_file: web.yml, viewer_token: \"${file:watch}\", operator_token: \"${file:token}\"}\n";
    let site = site(web);
    let config = format!(
        "basic_auth_users: {{reader: '{hash}'}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"
    );
    fs::write(site.path().join("web.yml"), config).unwrap();
    let daemon = site.start();
    let ask = |path: &str, authorization: &str, method: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}Content-Length: 2\r\n\r\n{{}}"
        );
        let answer = raw(&daemon, request.as_bytes());
        assert!(answer.to_lowercase().contains("x-frame-options: deny"), "{answer}");
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    // reader:sesame, reader:wrong, nobody:sesame
    let users = ["cmVhZGVyOnNlc2FtZQ==", "cmVhZGVyOndyb25n", "bm9ib2R5OnNlc2FtZQ=="];
    for (authorization, look, act) in [
        (String::new(), "401", "401"),
        ("Authorization: Bearer wrong\r\n".into(), "401", "401"),
        ("Authorization: Bearer watch\r\n".into(), "200", "403"),
        (format!("Authorization: Bearer {TOKEN}\r\n"), "200", "400"),
        (format!("Authorization: Basic {}\r\n", users[0]), "200", "403"),
        (format!("Authorization: Basic {}\r\n", users[1]), "401", "401"),
        (format!("Authorization: Basic {}\r\n", users[2]), "401", "401"),
        ("Authorization: Basic %%%\r\n".into(), "401", "401"),
        (
            format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n"),
            "401",
            "401",
        ),
    ] {
        assert_eq!(ask("/api/v1/status", &authorization, "GET"), look, "{authorization}");
        assert_eq!(ask("/api/v1/rerun", &authorization, "POST"), act, "{authorization}");
        assert_eq!(ask("/-/healthy", &authorization, "GET"), "200");
    }
    assert_eq!(ask("/-/reload", &format!("Authorization: Bearer {TOKEN}\r\n"), "POST"), "403");
    assert!(!daemon.log().contains("sesame") && !daemon.log().contains(TOKEN));
}

#[test]
fn a_web_config_is_read_strictly() {
    for (config, why) in [
        ("basic_auth_user: {a: b}\n", "did you mean `basic_auth_users`"),
        ("basic_auth_users: {a: hunter2}\n", "bcrypt"),
        ("tls_server_config: {cert_file: a.pem}\n", "`key_file` is missing"),
        ("tls_server_config: {cert_file: a.pem, key_file: b.pem}\n", "a.pem"),
        ("http_server_config: {http2: true}\n", "HTTP/2"),
        ("rate_limit: {}\n", "not known here"),
    ] {
        let site = site("web: {listen: \"127.0.0.1:0\", config_file: web.yml}\n");
        fs::write(site.path().join("web.yml"), config).unwrap();
        let mut daemon = site.spawn(&[], &[]);
        let ended = daemon.process.wait(Duration::from_secs(20)).unwrap();
        assert_eq!(ended.code(), Some(64), "{config}: {}", daemon.log());
        let log = daemon.log();
        assert!(log.contains(why) && !log.contains("hunter2"), "{config}: {log}");
    }
}

#[test]
fn over_tls_the_certificate_is_verified_by_the_verbs() {
    let site = site(
        "web: {listen: \"127.0.0.1:0\", config_file: web.yml, operator_token: \"${file:token}\"}\n",
    );
    let openssl = |args: &str| {
        let done = Command::new("openssl")
            .current_dir(site.path())
            .args(args.split(' '))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca");
    openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out server.csr -subj /CN=it");
    fs::write(site.path().join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
    );
    fs::write(
        site.path().join("web.yml"),
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n",
    )
    .unwrap();
    let daemon = site.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("https://{}", daemon.address);
    let authority = site.path().join("ca.pem");
    runtime.block_on(async {
        let token = || Auth::Bearer(SecretString::from(TOKEN));
        let tls = Tls { authority: Some(authority), identity: None };
        let known = Peer::new(&url, token(), &tls, None).unwrap();
        assert_eq!(known.get("/api/v1/status", &[]).await.unwrap().0, 200);
        let (status, body) = known.post("/api/v1/rerun", &json!({"check": "it"})).await.unwrap();
        assert_eq!(status, 202, "{body}");
        let stranger = Peer::new(&url, token(), &Tls::default(), None).unwrap();
        assert!(stranger.get("/api/v1/status", &[]).await.is_err());
        let url = url.replace("https", "http");
        let plain = Peer::new(&url, token(), &Tls::default(), None).unwrap();
        assert!(plain.get("/api/v1/status", &[]).await.is_err());
    });
}
