//! Two receivers of our own that speak as Alertmanagers do: what a drill sends goes nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// The longest request that is read.
const REQUEST_MAX: usize = 16 << 20;

/// An alert that came: its labels, and when it arrived first.
pub(super) type Came = BTreeMap<BTreeMap<String, String>, DateTime<Utc>>;

/// A receiver that keeps what came.
#[derive(Debug)]
pub(super) struct Receiver {
    /// Where it listens.
    pub(super) url: String,
    came: Arc<Mutex<Came>>,
    open: CancellationToken,
}

impl Receiver {
    /// Listens on a free port of this machine.
    pub(super) async fn open(clock: Clock, tasks: &mut JoinSet<()>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (came, open) = (Arc::<Mutex<Came>>::default(), CancellationToken::new());
        let (kept, stop) = (Arc::clone(&came), open.clone());
        tasks.spawn(async move {
            let mut answers = JoinSet::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Ok((stream, _)) = listener.accept() => {
                        answers.spawn(answer(stream, Arc::clone(&kept), clock.clone()));
                    }
                    Some(_) = answers.join_next() => {}
                }
            }
        });
        Ok(Self { url, came, open })
    }

    /// Listens no more.
    pub(super) fn close(&self) {
        self.open.cancel();
    }

    /// What came, and when.
    pub(super) fn came(&self) -> Came {
        self.came.lock().map(|came| came.clone()).unwrap_or_default()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}

/// Answers one request.
async fn answer(mut stream: TcpStream, came: Arc<Mutex<Came>>, clock: Clock) {
    let Some((line, body)) = read(&mut stream).await else { return };
    let answer = if line.starts_with("POST /api/v2/alerts") {
        keep(&body, &came, clock.now());
        json!({})
    } else if line.starts_with("GET /api/v2/status") {
        json!({
            "versionInfo": {"version": "0.27.0"},
            "cluster": {"status": "disabled"},
            "config": {"original": "route: {receiver: drill}\nreceivers: [{name: drill, email_configs: [{to: drill}]}]\n"},
        })
    } else {
        json!([])
    };
    let text = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    let whole = format!("{head}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    // One that went away has its answer no more.
    drop(stream.write_all(whole.as_bytes()).await);
    drop(stream.shutdown().await);
}

/// Reads a request: its first line, and its body.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut part = vec![0; 16 << 10];
    loop {
        let end = all.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&all[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            if all.len() >= end + 4 + length.unwrap_or(0) {
                let line = head.lines().next().unwrap_or_default().to_owned();
                return Some((line, all.split_off(end + 4)));
            }
        }
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        all.extend_from_slice(&part[..count]);
        if all.len() > REQUEST_MAX {
            return None;
        }
    }
}

/// Keeps the alerts of a request.
fn keep(body: &[u8], came: &Mutex<Came>, now: DateTime<Utc>) {
    let alerts: Value = serde_json::from_slice(body).unwrap_or_default();
    let Ok(mut came) = came.lock() else { return };
    for alert in alerts.as_array().into_iter().flatten() {
        let labels = alert["labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(n, v)| Some((n.clone(), v.as_str()?.to_owned())));
        came.entry(labels.collect()).or_insert(now);
    }
}
