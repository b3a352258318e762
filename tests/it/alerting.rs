//! Whoever is told in tests: real Alertmanagers, and receivers that keep what they get.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::servers::{Folder, Process, free_port, program};

/// Somebody who takes messages, and keeps them.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    taken: Arc<Mutex<Vec<(String, Value)>>>,
    /// When each of those came.
    came: Arc<Mutex<Vec<DateTime<Utc>>>>,
    /// What it answers; 0 is never.
    pub(crate) status: Arc<AtomicU16>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(200));
        let receiver = Self { port, taken, came: Arc::default(), status };
        let served = receiver.clone();
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let served = served.clone();
                std::thread::spawn(move || served.serve(stream));
            }
        });
        receiver
    }

    /// Somebody in front of an Alertmanager, who keeps what that took, and refuses whatever holds one of some
    /// words.
    pub(crate) fn in_front_of(url: &str, refused: &'static [&'static str]) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let (taken, status) = (Arc::default(), Arc::new(AtomicU16::new(200)));
        let receiver = Self { port, taken, came: Arc::default(), status };
        let (served, to) = (receiver.clone(), url.replace("http://", ""));
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (served, to) = (served.clone(), to.clone());
                std::thread::spawn(move || served.pass_on(stream, &to, refused));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Answers one request after the other.
    fn serve(&self, mut stream: TcpStream) {
        let mut bytes: Vec<u8> = Vec::new();
        while let Some(whole) = request(&mut stream, &mut bytes) {
            let request: Vec<u8> = bytes.drain(..whole).collect();
            let status = self.status.load(Ordering::Relaxed);
            if status == 200 {
                self.keep(&String::from_utf8_lossy(&request));
            }
            if status == 0 {
                // Until the other side has had enough.
                drop(stream.read(&mut [0]));
                return;
            }
            let answer = format!("HTTP/1.1 {status} it\r\nContent-Length: 2\r\n\r\n{{}}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn keep(&self, request: &str) {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let path = head.split(' ').nth(1).unwrap_or("").to_owned();
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        self.taken.lock().unwrap().push((path, body));
        self.came.lock().unwrap().push(allswell::clock::now());
    }

    /// Passes one request on, unless it holds some words; the connection ends with it.
    fn pass_on(&self, mut stream: TcpStream, to: &str, refused: &[&str]) {
        let mut bytes: Vec<u8> = Vec::new();
        let Some(whole) = request(&mut stream, &mut bytes) else { return };
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        let answer = if self.status.load(Ordering::Relaxed) == 299 {
            // It says that it took it, and drops it.
            b"HTTP/1.1 200 it\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}".to_vec()
        } else if refused.iter().any(|word| text.contains(word)) {
            b"HTTP/1.1 422 it\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}".to_vec()
        } else {
            let mut server = TcpStream::connect(to).unwrap();
            let closing = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            server.write_all(closing.as_bytes()).unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).unwrap();
            if answer.starts_with(b"HTTP/1.1 200") {
                self.keep(&text);
            }
            answer
        };
        drop(stream.write_all(&answer));
    }

    /// How long after its beginning each alert was taken first, in milliseconds.
    pub(crate) fn delays(&self) -> BTreeMap<String, i64> {
        let (taken, came) = (self.taken.lock().unwrap(), self.came.lock().unwrap());
        let mut delays = BTreeMap::new();
        for ((_, body), came) in taken.iter().zip(came.iter()) {
            for alert in body.as_array().into_iter().flatten() {
                // The daemon's own have no record.
                if alert["labels"]["check"].is_null() {
                    continue;
                }
                let begins: DateTime<Utc> = alert["startsAt"].as_str().unwrap().parse().unwrap();
                let delay = (*came - begins).num_milliseconds();
                delays.entry(alert["labels"].to_string()).or_insert(delay);
            }
        }
        delays
    }

    /// Everything that came: path and body.
    pub(crate) fn taken(&self) -> Vec<(String, Value)> {
        self.taken.lock().unwrap().clone()
    }

    /// The alerts that came, in order: status, alertname, check, and the alert.
    pub(crate) fn alerts(&self) -> Vec<(String, String, String, Value)> {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let alert = |alert: &Value| {
            let labels = &alert["labels"];
            (
                text(&alert["status"]),
                text(&labels["alertname"]),
                text(&labels["check"]),
                alert.clone(),
            )
        };
        let taken = self.taken();
        let all =
            taken.iter().flat_map(|(_, body)| body["alerts"].as_array().into_iter().flatten());
        all.map(alert).collect()
    }

    /// How often an alert came with a status.
    pub(crate) fn count(&self, status: &str, alertname: &str) -> usize {
        self.alerts().iter().filter(|(s, name, ..)| s == status && name == alertname).count()
    }

    /// When an alert of a check came with a status, and since when it stands by its own word.
    pub(crate) fn told_at(&self, status: &str, check: &str) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        let (taken, came) = (self.taken.lock().unwrap(), self.came.lock().unwrap());
        let mut told = Vec::new();
        for ((_, body), came) in taken.iter().zip(came.iter()) {
            for alert in body["alerts"].as_array().into_iter().flatten() {
                if alert["status"] == status && alert["labels"]["check"] == check {
                    told.push((alert["startsAt"].as_str().unwrap().parse().unwrap(), *came));
                }
            }
        }
        told
    }

    /// Waits until an alert came with a status, more often than before.
    pub(crate) fn until(
        &self,
        status: &str,
        alertname: &str,
        before: usize,
        within: Duration,
    ) -> Value {
        let started = Instant::now();
        loop {
            let alerts = self.alerts();
            let mut fitting =
                alerts.iter().filter(|(s, name, ..)| s == status && name == alertname);
            if let Some((.., alert)) = fitting.nth(before) {
                return alert.clone();
            }
            let seen: Vec<_> = alerts.iter().map(|(s, name, check, _)| (s, name, check)).collect();
            assert!(
                started.elapsed() < within,
                "no {status} {alertname} beside {before}: {seen:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads one request; returns how long it is.
fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is = name.eq_ignore_ascii_case("content-length");
                is.then(|| value.trim().parse::<usize>().ok())?
            });
            let whole = head + 4 + length.unwrap_or(0);
            if bytes.len() >= whole {
                return Some(whole);
            }
        }
        let mut more = [0; 65_536];
        match stream.read(&mut more) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&more[..count]),
        }
    }
}

/// An Alertmanager.
pub(crate) struct Alertmanager {
    process: Option<Process>,
    folder: Folder,
    pub(crate) port: u16,
    /// Who is let in, where that is not everybody: a file of Alertmanager's.
    door: Option<PathBuf>,
}

impl Alertmanager {
    /// Starts one with a configuration of its own, and with a door, where not everybody is let in.
    pub(crate) fn configured(config: &str, door: Option<PathBuf>) -> Self {
        let folder = Folder::new("alertmanager");
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut alertmanager = Self { process: None, folder, port: free_port(), door };
        alertmanager.restart();
        alertmanager
    }

    /// Starts one that sends everything to a receiver, at once; with more routes and receivers.
    pub(crate) fn start(receiver: &str, routes: &str, receivers: &str) -> Self {
        let folder = Folder::new("alertmanager");
        let mut alertmanager = Self { process: None, folder, port: free_port(), door: None };
        alertmanager.configure(receiver, routes, receivers);
        alertmanager.restart();
        alertmanager
    }

    pub(crate) fn configure(&self, receiver: &str, routes: &str, receivers: &str) {
        let config = format!(
            "route:\n  receiver: sink\n  group_by: [alertname, check, tz]\n  group_wait: 0s\n  group_interval: 1s\n  \
             repeat_interval: 1h\n  routes: [{routes}]\nreceivers:\n- name: sink\n  webhook_configs: [{{url: \"{receiver}\"}}]\n{receivers}"
        );
        fs::write(self.folder.path().join("config.yml"), config).unwrap();
    }

    /// Gives it another configuration, for the next start.
    pub(crate) fn configure_whole(&self, config: &str) {
        fs::write(self.folder.path().join("config.yml"), config).unwrap();
    }

    pub(crate) fn restart(&mut self) {
        let path = program("prometheus-alertmanager", &["/usr/bin"]);
        let (folder, port) = (self.folder.path().to_owned(), self.port);
        let process = Process::start(&path, |command| {
            let at = |name: &str| folder.join(name).display().to_string();
            command
                .arg(format!("--config.file={}", at("config.yml")))
                .arg(format!("--storage.path={}", at("data")))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--cluster.listen-address=")
                .args(self.door.iter().map(|door| format!("--web.config.file={}", door.display())))
                .stdout(Stdio::null())
                .stderr(fs::File::create(folder.join("log")).unwrap());
        });
        self.process = Some(process);
        let started = Instant::now();
        while !self.is_ready() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "no Alertmanager: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        if self.door.is_some() {
            return TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        }
        self.get("/-/ready").is_some()
    }

    /// Loses what it kept, while it does not run.
    pub(crate) fn forget(&self) {
        drop(fs::remove_dir_all(self.folder.path().join("data")));
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.as_ref().unwrap().signal(signal);
    }

    pub(crate) fn reload(&self) {
        self.signal("HUP");
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The body of an answer with status 200.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: it\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.split(' ').nth(1).is_some_and(|status| status == "200").then(|| body.to_owned())
    }

    /// Hands something in.
    pub(crate) fn post(&self, path: &str, body: &Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.0\r\nHost: it\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.split(' ').nth(1) == Some("200"), "{answer}");
    }

    /// The comments of the silences that hold.
    pub(crate) fn silences(&self) -> Vec<String> {
        let body = self.get("/api/v2/silences").unwrap_or_else(|| "[]".into());
        let all: Value = serde_json::from_str(&body).unwrap();
        let holding = all.as_array().unwrap().iter();
        let holding = holding.filter(|silence| silence["status"]["state"] == "active");
        holding.map(|silence| silence["comment"].as_str().unwrap().to_owned()).collect()
    }

    /// The alerts that it knows and that stand: alertname and check.
    pub(crate) fn standing(&self) -> Vec<(String, String)> {
        let body = self.get("/api/v2/alerts").unwrap_or_else(|| "[]".into());
        let all: Value = serde_json::from_str(&body).unwrap_or(Value::Array(Vec::new()));
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let named =
            |alert: &Value| (text(&alert["labels"]["alertname"]), text(&alert["labels"]["check"]));
        all.as_array().unwrap().iter().map(named).collect()
    }
}

/// Checks a file with one of the tools that come with Alertmanager and Prometheus.
pub(crate) fn passes(tool: &str, args: &[&str], file: &Path) {
    let output = std::process::Command::new(program(tool, &["/usr/bin"]))
        .args(args)
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {args:?}: {said}");
}
