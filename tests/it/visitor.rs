//! A visitor of pages: what a browser sends, and what it gets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::watchman::Watchman;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The cookie that it sets, as it is sent back.
    pub(crate) fn cookie(&self) -> String {
        let cookie = self.header("set-cookie").unwrap_or_else(|| panic!("{self:?}"));
        cookie.split(';').next().unwrap().to_owned()
    }
}

/// Sends a request as a browser does, with more headers.
pub(crate) fn send(
    daemon: &Watchman,
    what: (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    send_to(daemon.address, what, headers, body).unwrap()
}

/// The same, to an address at which something may be listening.
pub(crate) fn send_to(
    address: SocketAddr,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(40)))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    let host = address.to_string();
    let usual = [("Host", host.as_str()), ("Accept", "text/html,*/*;q=0.8")];
    let is_given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in usual.iter().filter(|(name, _)| !is_given(name)).chain(headers) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{text}Content-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Opens a page.
pub(crate) fn open(daemon: &Watchman, path: &str) -> Answer {
    send(daemon, ("GET", path), &[], "")
}

/// Sends a form from a page of ours.
pub(crate) fn submit(
    daemon: &Watchman,
    path: &str,
    cookie: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let body = form(fields);
    let headers = [
        ("Cookie", cookie),
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    send(daemon, ("POST", path), &headers, &body)
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Logs in with a token, and returns the cookie.
pub(crate) fn log_in(daemon: &Watchman, token: &str) -> String {
    let answer = submit(daemon, "/login", "", &[("token", token), ("to", "/")]);
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.cookie()
}
