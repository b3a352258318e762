//! The daemon as a child: on a free port, in a folder of its own, gone with the test.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::servers::{Folder, Process};

/// How long a daemon may take to start.
const START: Duration = Duration::from_secs(30);
/// The token of operators in tests.
pub(crate) const TOKEN: &str = "operators-of-tests";

/// A folder with settings and checks.
pub(crate) struct Site {
    folder: Folder,
}

impl Site {
    /// Makes a site whose settings have these lines beside the door's.
    pub(crate) fn new(settings: &str, checks: &str) -> Self {
        let folder = Folder::new("site");
        fs::create_dir(folder.path().join("checks")).unwrap();
        fs::write(folder.path().join("token"), TOKEN).unwrap();
        fs::write(folder.path().join("watch"), "watch").unwrap();
        let site = Self { folder };
        site.settings(settings);
        site.checks("checks.yaml", checks);
        site
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn settings(&self, settings: &str) {
        let web =
            "web: {listen: \"127.0.0.1:0\", operator_token: \"${file:token}\", lifecycle: true}\n";
        let web = if settings.contains("web:") { "" } else { web };
        fs::write(self.path().join("allswell.yaml"), format!("{web}{settings}")).unwrap();
    }

    /// Writes a file of checks at once, as a careful editor does.
    pub(crate) fn checks(&self, name: &str, text: &str) {
        let path = self.path().join("checks").join(name);
        let beside = self.path().join("new");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, path).unwrap();
    }

    /// Starts a daemon that is expected to run.
    pub(crate) fn start(&self) -> Watchman {
        self.start_with(&[], &[])
    }

    pub(crate) fn start_with(&self, args: &[&str], env: &[(&str, &str)]) -> Watchman {
        let mut watchman = self.spawn(args, env);
        watchman.wait_until_ready();
        watchman
    }

    /// Starts a daemon, whatever becomes of it.
    pub(crate) fn spawn(&self, args: &[&str], env: &[(&str, &str)]) -> Watchman {
        self.spawn_by(Path::new(env!("CARGO_BIN_EXE_allswell")), &[], args, env)
    }

    /// Starts a daemon by way of another program.
    pub(crate) fn spawn_by(
        &self,
        program: &Path,
        before: &[&str],
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Watchman {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let out = self.path().join(format!("out-{number}"));
        let err = self.path().join(format!("err-{number}"));
        let process = Process::start(program, |command| {
            command
                .args(before)
                .arg("serve")
                .arg("--config")
                .arg(self.path().join("allswell.yaml"))
                .args(args);
            command.env_remove("STATE_DIRECTORY").envs(env.iter().copied());
            command.stdout(fs::File::create(&out).unwrap());
            command.stderr(fs::File::create(&err).unwrap());
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Watchman { process, address, replica: String::new(), out, err }
    }
}

/// A daemon.
pub(crate) struct Watchman {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) replica: String,
    out: PathBuf,
    err: PathBuf,
}

impl Watchman {
    pub(crate) fn wait_until_ready(&mut self) {
        let started = Instant::now();
        loop {
            let out = fs::read_to_string(&self.out).unwrap_or_default();
            if let Some(line) = out.lines().next().filter(|_| out.ends_with('\n')) {
                let line: Value = serde_json::from_str(line).unwrap();
                self.address = line["listen"].as_str().unwrap().parse().unwrap();
                self.replica = line["replica"].as_str().unwrap().to_owned();
                return;
            }
            let alive = self.process.is_running();
            assert!(alive && started.elapsed() < START, "no daemon: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Ends it in order, and says how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        let ended = self.process.wait(Duration::from_secs(30));
        ended.unwrap_or_else(|| panic!("it does not stop: {}", self.log()))
    }

    /// Asks for a path: the status, and the body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let (_, body) = self.get(path);
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
    }

    /// Orders something as an operator.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.ask("POST", path, body)
    }

    /// Orders something about rows, and waits until it is carried out; returns the order.
    pub(crate) fn order(&self, path: &str, body: &str) -> Value {
        let (status, said) = self.post(path, body);
        assert_eq!(status, 202, "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        let href = said["order"]["href"].as_str().unwrap().to_owned();
        let mut order = Value::Null;
        self.until(Duration::from_secs(30), |daemon| {
            order = daemon.json(&href)["order"].take();
            if order["ended_at"].is_null() { Err(order.clone()) } else { Ok(()) }
        });
        order
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_ask(method, path, body).unwrap_or_else(|e| panic!("{path}: {e}: {}", self.log()))
    }

    /// Asks, and waits no longer than a moment: it may be frozen.
    pub(crate) fn try_ask_soon(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((status, body.to_owned()))
    }

    pub(crate) fn try_ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(Duration::from_secs(40)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((status, body.to_owned()))
    }

    /// Waits until what is seen is as wanted, and says the last thing seen if it never is.
    pub(crate) fn until<T: std::fmt::Debug>(
        &self,
        within: Duration,
        mut look: impl FnMut(&Self) -> Result<(), T>,
    ) {
        let started = Instant::now();
        loop {
            match look(self) {
                Ok(()) => return,
                Err(last) if started.elapsed() > within => {
                    panic!("last seen: {last:?}\n{}", self.log())
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Waits until so many series are confirmed, no other is anything else, and all can be written.
    pub(crate) fn until_confirmed(&self, series: usize, within: Duration) {
        self.until(within, |daemon| {
            let all = daemon.json("/api/v1/checks?limit=1000");
            let all = all["checks"].as_array().unwrap();
            let bad: Vec<_> = all.iter().filter(|s| s["state"] != "confirmed").collect();
            let shown = bad.first().map(ToString::to_string);
            let ready = daemon.get("/-/ready").0 == 200;
            if ready && bad.is_empty() && all.len() == series {
                Ok(())
            } else {
                Err((all.len(), shown))
            }
        });
    }

    /// The series of a check, or an empty list.
    pub(crate) fn series(&self, check: &str) -> Vec<Value> {
        let mut answer = self.json(&format!("/api/v1/checks?check={check}&limit=1000"));
        answer["checks"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// The rows of a ledger, by check and zone: start, end, and what was said, in the order of time.
pub(crate) type Rows = std::collections::BTreeMap<(String, String), Vec<(i64, i64, String)>>;

/// One second, as the ledger counts.
pub(crate) const SECOND: i64 = 1_000_000;

/// Reads every row of a ledger.
pub(crate) async fn rows(ledger: &mut crate::lab::Other) -> Rows {
    let sql = "select s.check_id || '|' || s.tz || '|' || e.start_at || '|' || e.end_at || '|' || \
               coalesce(e.said, e.state) || coalesce(' ' || e.cause, '') from entries e \
               join series s on s.id = e.series order by s.id, e.start_at, e.end_at";
    let mut rows = Rows::new();
    for row in ledger.texts(sql).await {
        let parts: Vec<&str> = row.split('|').collect();
        let number = |i: usize| parts[i].parse::<i64>().unwrap();
        let key = (parts[0].to_owned(), parts[1].to_owned());
        rows.entry(key).or_default().push((number(2), number(3), parts[4].to_owned()));
    }
    rows
}

/// Each whole second since the first look is there once: looked at, or in a range that says that
/// nobody looked.
pub(crate) fn assert_each_second(check: &str, rows: &[(i64, i64, String)]) {
    let (first, ..) = rows[0];
    let mut next = first.div_euclid(SECOND) * SECOND + SECOND;
    for (start, end, said) in &rows[1..] {
        assert_eq!(*start, next, "{check}: a second is lost or doubled before {start} ({said})");
        next = end + SECOND;
    }
}
