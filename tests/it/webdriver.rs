//! A real Chromium, driven by its protocol for tests: HTTP and JSON, no more than the tests need.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::servers::{Folder, Process, program};

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window.
pub(crate) struct Browser {
    address: SocketAddr,
    session: String,
    driver: Process,
    folder: Folder,
}

/// An element of a page.
#[derive(Debug, Clone)]
pub(crate) struct Element(String);

impl Browser {
    /// Starts one, with scripts or without.
    pub(crate) fn start(with_scripts: bool) -> Self {
        let folder = Folder::new("browser");
        let out = folder.path().join("out");
        let driver = Process::start(&program("chromedriver", &["/usr/bin"]), |command| {
            command.arg("--port=0").env("HOME", folder.path()).env("TMPDIR", folder.path());
            command.stdout(fs::File::create(&out).unwrap());
            command.stderr(fs::File::create(folder.path().join("err")).unwrap());
        });
        let started = Instant::now();
        let port = loop {
            let text = fs::read_to_string(&out).unwrap_or_default();
            let said =
                text.split("successfully on port ").nth(1).and_then(|rest| rest.split_once('.'));
            if let Some((port, _)) = said {
                break port.parse().unwrap();
            }
            assert!(started.elapsed() < Duration::from_secs(30), "no chromedriver: {text}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self { address, session: String::new(), driver, folder };
        let setting = if with_scripts { 1 } else { 2 };
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars", "--no-first-run", "--disable-background-networking"],
            "prefs": {"profile.managed_default_content_settings.javascript": setting},
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let made = browser.ask("POST", "/session", &wanted);
        browser.session = format!("/session/{}", made["sessionId"].as_str().unwrap());
        browser
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (is_done, value) = self.answer(method, path, body);
        assert!(is_done, "{method} {path}: {value}");
        value
    }

    /// What the driver answers: whether it did it, and what it says.
    fn answer(&self, method: &str, path: &str, body: &Value) -> (bool, Value) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        // The driver keeps connections open, whatever it is asked.
        let (mut reader, mut head, mut length) = (BufReader::new(stream), String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "{method} {path}: {head}");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut value: Value = serde_json::from_slice(&body).unwrap();
        (head.contains(" 200 "), value["value"].take())
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), body)
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", &format!("{}{path}", self.session), &Value::Null)
    }

    pub(crate) fn go(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// Runs a script in the page, whatever the page itself may run.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    pub(crate) fn all(&self, css: &str) -> Vec<Element> {
        let found = self.post("/elements", &json!({"using": "css selector", "value": css}));
        let name = |element: &Value| Element(element[ELEMENT].as_str().unwrap().to_owned());
        found.as_array().unwrap().iter().map(name).collect()
    }

    pub(crate) fn one(&self, css: &str) -> Element {
        let started = Instant::now();
        loop {
            // A page that is on its way has nothing yet.
            if let Some(first) = self.all(css).first() {
                return first.clone();
            }
            assert!(started.elapsed() < Duration::from_secs(5), "no {css}: {}", self.source());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks something of an element; again, where the page was renewed in between.
    fn on(&self, css: &str, method: &str, what: &str, body: &Value) -> Value {
        let started = Instant::now();
        loop {
            let path = format!("{}/element/{}/{what}", self.session, self.one(css).0);
            let (is_done, value) = self.answer(method, &path, body);
            if is_done {
                return value;
            }
            assert!(started.elapsed() < Duration::from_secs(5), "{css}: {value}");
        }
    }

    pub(crate) fn click(&self, css: &str) {
        self.on(css, "POST", "click", &json!({}));
    }

    pub(crate) fn type_into(&self, css: &str, text: &str) {
        self.on(css, "POST", "clear", &json!({}));
        self.on(css, "POST", "value", &json!({"text": text}));
    }

    pub(crate) fn text(&self, css: &str) -> String {
        self.on(css, "GET", "text", &Value::Null).as_str().unwrap().to_owned()
    }

    /// Keeps the page from renewing itself.
    pub(crate) fn hold_still(&self) {
        self.run("for (let n = 0; n < 1000; n++) clearInterval(n)");
    }

    /// The name that a screen reader says, as the browser computes it.
    pub(crate) fn label(&self, element: &Element) -> String {
        let label = self.get(&format!("/element/{}/computedlabel", element.0));
        label.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn source(&self) -> String {
        self.get("/source").as_str().unwrap().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        self.get("/url").as_str().unwrap().to_owned()
    }

    /// Presses a key.
    pub(crate) fn press(&self, key: &str) {
        let actions = json!([{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]);
        self.post("/actions", &json!({"actions": actions}));
    }

    /// How wide its window is, in pixels, and whether dark colours are wanted.
    pub(crate) fn look(&self, width: u32, is_dark: bool) {
        let command = |name: &str, params: Value| {
            self.post("/goog/cdp/execute", &json!({"cmd": name, "params": params}));
        };
        let metrics =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        command("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        command("Emulation.setEmulatedMedia", json!({"features": feature}));
    }

    /// Waits until the page is as wanted.
    pub(crate) fn until<T: std::fmt::Debug>(
        &self,
        within: Duration,
        mut look: impl FnMut(&Self) -> Result<(), T>,
    ) -> Duration {
        let started = Instant::now();
        loop {
            match look(self) {
                Ok(()) => return started.elapsed(),
                Err(last) => assert!(started.elapsed() < within, "last seen: {last:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser's processes are no children of the driver's for long: each has our folder in its environment.
        crate::servers::signal_tree(self.driver.id(), "KILL");
        let ours = format!("TMPDIR={}", self.folder.path().display());
        for _ in 0..2 {
            for process in fs::read_dir("/proc").unwrap().flatten() {
                let environment = fs::read(process.path().join("environ")).unwrap_or_default();
                let is_ours =
                    environment.split(|byte| *byte == 0).any(|pair| pair == ours.as_bytes());
                if let (true, Some(id)) = (is_ours, process.file_name().to_str()) {
                    drop(Command::new("kill").args(["-KILL", id]).output());
                }
            }
        }
    }
}
