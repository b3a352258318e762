//! Every call that leaves the process: one table, from which the command and the manual come.
//!
//! A test starts a daemon with all of them, traces what it opens, and finds nothing that is not here.

use std::path::{Path, PathBuf};

use crate::domain::time::breaker::{FAILURES, GOOD_PROBES};
use crate::domain::time::duration::show;
use crate::dsn::{Authorities, Dsn, Server, Tls};
use crate::http::CONNECT;
use crate::secret::{PasswordFrom, Reference};
use crate::settings::notices::{Address, PeerEntry};
use crate::settings::{Settings, SourceEntry};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A watched database.
    Source,
    /// The connection by which queries at a server are stopped.
    Control,
    /// The ledger.
    Ledger,
    /// An Alertmanager.
    Alertmanager,
    /// A receiver of webhooks.
    Webhook,
    /// The heartbeat.
    Heartbeat,
    /// The host's resolver of names.
    Names,
    /// A file with a secret.
    Secret,
    /// A certificate or a key.
    Certificate,
    /// Files of checks, and the settings.
    Checks,
    /// The host's zone database.
    Zones,
    /// The service manager.
    Systemd,
    /// What the kernel tells of the process.
    Kernel,
}

/// What holds for every call of a kind.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The kind.
    pub kind: Kind,
    /// What it is.
    pub what: &'static str,
    /// How long it may take.
    pub timeout: String,
    /// Whether it is tried again, and how.
    pub retries: String,
    /// What keeps it from being called for nothing.
    pub breaker: String,
    /// What happens without it.
    pub without: &'static str,
    /// The test that shows that.
    pub shown_by: &'static str,
}

/// A call that some settings lead to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Its kind.
    pub kind: Kind,
    /// What the settings call it.
    pub name: String,
    /// Where it goes.
    pub to: String,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Source,
        Self::Control,
        Self::Ledger,
        Self::Alertmanager,
        Self::Webhook,
        Self::Heartbeat,
        Self::Names,
        Self::Secret,
        Self::Certificate,
        Self::Checks,
        Self::Zones,
        Self::Systemd,
        Self::Kernel,
    ];

    /// What holds for every call of the kind.
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    pub fn rule(self) -> Rule {
        let none = || "none".to_owned();
        let [what, timeout, retries, breaker, without, shown_by] = match self {
            Self::Source => [
                "the queries of checks",
                "5s to connect; then the check's `timeout`, at the server and here 300ms later",
                "backoff with full jitter, from a budget of 1 in 5 attempts",
                "@after",
                "its checks are unconfirmed at their deadline; AllswellSourceDown at once",
                "a_source_that_goes_dark_is_heard",
            ],
            Self::Control => [
                "stops our own queries",
                "5s",
                "none: the session is dropped",
                "none: one connection at most",
                "a query that does not stop is dropped; the server's own limits end it",
                "postgres_attempts_may_be_cut_off_anywhere",
            ],
            Self::Ledger => [
                "the record",
                "2s for a lock, 8s for a statement; a file: 2s",
                "from 100ms, doubled to 2s, without end",
                "none: nothing goes on without it",
                "nothing is called healthy; AllswellLedgerDown after 10s; the heartbeat stops",
                "a_ledger_that_takes_nothing_is_heard",
            ],
            Self::Alertmanager => [
                "alerts, and how it handles them",
                "its `timeout`",
                "from 500ms, doubled to 5s, without end",
                "one request at a time",
                "the others go on and tell AllswellAlertPathBroken; the heartbeat stops",
                "each_way_to_break_the_alert_path_is_noticed_and_none_is_called_healthy",
            ],
            Self::Webhook => [
                "alerts in the form of a webhook",
                "its `timeout`",
                "from 1s, doubled to 1m; an end is given up after 1h",
                "one request at a time",
                "AllswellWebhookBroken by the other ways; the heartbeat stops",
                "what_ended_while_a_webhook_was_down_is_told_there_after_a_restart",
            ],
            Self::Heartbeat => [
                "that all is well, to a service outside",
                "its `timeout`",
                "each 5s until one gets through",
                "one request at a time",
                "the service outside wakes people; AllswellHeartbeatFails after 30s",
                "ways_out_and_catalogues_that_are_broken_are_heard",
            ],
            Self::Names => [
                "by the resolver of the host",
                "that of the call it is for",
                "with the call it is for",
                "that of the call it is for",
                "as if the host it was asked for were away",
                "whom_we_cannot_reach_is_named_by_its_cause",
            ],
            Self::Secret => [
                "passwords and tokens",
                "none: local files",
                "read again after `auth`, and at each reload",
                "none",
                "that source is unconfirmed (auth); a start without another secret ends with 64",
                "a_password_that_was_changed_is_read_again",
            ],
            Self::Certificate => [
                "certificates, keys, the host's store of authorities",
                "none: local files",
                "none: at the start, or for each connection",
                "none",
                "what needs it is not reached, and is told as such",
                "a_certificate_that_is_not_taken_is_answered_with_what_helps",
            ],
            Self::Checks => [
                "checks, settings, results of tests",
                "none: local files",
                "looked at each second",
                "none",
                "what is stored goes on; AllswellCatalogueRefused",
                "a_bad_catalogue_at_start_leaves_the_stored_one_running_and_without_one_nothing_runs",
            ],
            Self::Zones => [
                "rules of time zones",
                "none: local files",
                "none: at the start",
                "none",
                "the rules that the program brings along hold",
                "the_newest_whole_database_is_used",
            ],
            Self::Systemd => [
                "ready, alive, stopping ($NOTIFY_SOCKET)",
                "none: a datagram",
                "none",
                "none",
                "nothing: it is not told",
                "the_unit_of_systemd_gives_little_away",
            ],
            Self::Kernel => [
                "how large the process is, and random numbers",
                "none: /proc and /dev",
                "none",
                "none",
                "huge answers are not stopped early",
                "a_process_that_outgrows_itself_ends_the_query_and_sqlite_is_allowed_for",
            ],
        };
        let breaker = match breaker {
            "@after" => {
                format!(
                    "opens after {FAILURES} failures in a row; {GOOD_PROBES} good probes close it"
                )
            }
            other => other.to_owned(),
        };
        let connect = match self {
            Self::Alertmanager | Self::Webhook | Self::Heartbeat => {
                format!("{} to connect; ", show(CONNECT))
            }
            Self::Source
            | Self::Control
            | Self::Ledger
            | Self::Names
            | Self::Secret
            | Self::Certificate
            | Self::Checks
            | Self::Zones
            | Self::Systemd
            | Self::Kernel => String::new(),
        };
        let retries = if retries.is_empty() { none() } else { retries.to_owned() };
        let timeout = format!("{connect}{timeout}");
        Rule { kind: self, what, timeout, retries, breaker, without, shown_by }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Control => "control connection",
            Self::Ledger => "ledger",
            Self::Alertmanager => "Alertmanager",
            Self::Webhook => "webhook",
            Self::Heartbeat => "heartbeat",
            Self::Names => "names of hosts",
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Checks => "files",
            Self::Zones => "zone rules",
            Self::Systemd => "systemd",
            Self::Kernel => "kernel",
        }
    }
}

impl Settings {
    /// Every call that a daemon with these settings makes, by what it is for.
    pub fn external(&self, config: &Path) -> Vec<Call> {
        let mut calls = Calls::default();
        for source in &self.sources {
            calls.of_source(source);
        }
        calls.of_database(Kind::Ledger, "ledger", &self.ledger.dsn);
        calls.of_secret("ledger", self.ledger.password_at());
        let notices = &self.notices;
        for peer in &notices.alertmanagers {
            calls.of_peer(Kind::Alertmanager, peer);
        }
        for peer in &notices.webhooks {
            calls.of_peer(Kind::Webhook, peer);
        }
        if let Some(heartbeat) = &notices.heartbeat {
            calls.of_peer(Kind::Heartbeat, &heartbeat.peer);
        }
        if let Some(watchdog) = &notices.watchdog {
            calls.of_secret("watchdog", Some(&watchdog.token));
        }
        for reference in self.web.references() {
            calls.of_secret("web", Some(reference));
        }
        if let Some(path) = &self.web.config_file {
            calls.add(Kind::Certificate, "web.config_file, and what it names", path.display());
        }
        calls.add(Kind::Checks, "settings", config.display());
        for path in self.checks.iter().chain(&self.results) {
            calls.add(Kind::Checks, "checks", path.display());
        }
        if calls_by_name(&calls.0) {
            calls.add(Kind::Names, "resolver", "/etc/resolv.conf, /etc/hosts, /etc/nsswitch.conf");
        }
        calls.add(Kind::Zones, "host", "$TZDIR, else /usr/share/zoneinfo");
        calls.add(Kind::Systemd, "service manager", "$NOTIFY_SOCKET, where it is set");
        calls.add(Kind::Kernel, "process", "/proc/self, /sys/fs/cgroup, /dev/urandom");
        calls.0.sort();
        calls.0.dedup();
        calls.0
    }
}

/// Whether a call goes to a host by its name.
fn calls_by_name(calls: &[Call]) -> bool {
    calls.iter().any(|call| {
        let (host, _) = call.to.rsplit_once(':').unwrap_or((&call.to, ""));
        let is_call = matches!(
            call.kind,
            Kind::Source | Kind::Ledger | Kind::Alertmanager | Kind::Webhook | Kind::Heartbeat
        );
        let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        is_call && !call.to.starts_with('/') && !is_address
    })
}

#[derive(Default)]
struct Calls(Vec<Call>);

impl Calls {
    fn add(&mut self, kind: Kind, name: &str, to: impl std::fmt::Display) {
        self.0.push(Call { kind, name: name.to_owned(), to: to.to_string() });
    }

    fn of_source(&mut self, source: &SourceEntry) {
        let name = source.name.as_str();
        self.of_database(Kind::Source, name, &source.dsn);
        if let Dsn::Postgres(server) | Dsn::MySql(server) = &source.dsn {
            for endpoint in server.endpoints() {
                self.add(Kind::Control, name, endpoint);
            }
        }
        match source.password_at() {
            PasswordFrom::Reference(reference) | PasswordFrom::Address { reference, .. } => {
                self.of_secret(name, Some(reference));
            }
            PasswordFrom::Beside { password, address, .. } => {
                self.of_secret(name, Some(password));
                self.of_secret(name, Some(address));
            }
            PasswordFrom::Nowhere => {}
        }
    }

    fn of_database(&mut self, kind: Kind, name: &str, dsn: &Dsn) {
        match dsn {
            Dsn::Sqlite(path) => self.add(kind, name, absolute(path).display()),
            Dsn::Postgres(server) | Dsn::MySql(server) => {
                for endpoint in server.endpoints() {
                    self.add(kind, name, endpoint);
                }
                self.of_tls(name, server);
            }
        }
    }

    fn of_tls(&mut self, name: &str, server: &Server) {
        match &server.tls {
            Tls::VerifyCa(Authorities::File(path)) | Tls::VerifyFull(Authorities::File(path)) => {
                self.add(Kind::Certificate, name, path.display());
            }
            Tls::VerifyCa(Authorities::System) | Tls::VerifyFull(Authorities::System) => {
                self.add(Kind::Certificate, name, "the host's store of authorities");
            }
            Tls::Off | Tls::Encrypted => {}
        }
        if let Some(identity) = &server.identity {
            self.add(Kind::Certificate, name, identity.certificate.display());
            self.add(Kind::Certificate, name, identity.key.display());
        }
    }

    fn of_peer(&mut self, kind: Kind, peer: &PeerEntry) {
        let name = peer.name.as_str();
        match &peer.address {
            Address::Plain(address) => {
                let url = url::Url::parse(address).ok();
                let host = url.as_ref().and_then(url::Url::host_str).unwrap_or("?");
                let port = url.as_ref().and_then(url::Url::port_or_known_default).unwrap_or(0);
                self.add(kind, name, format!("{host}:{port}"));
                if url.is_some_and(|url| url.scheme() == "https") {
                    self.add(Kind::Certificate, name, "the host's store of authorities");
                }
            }
            Address::Secret(reference) => {
                self.add(kind, name, format!("an address that is a secret: {reference}"));
                self.of_secret(name, Some(reference));
            }
        }
        for reference in peer.references() {
            self.of_secret(name, Some(reference));
        }
        for path in peer.tls.authority.iter().chain(&peer.tls.identity) {
            self.add(Kind::Certificate, name, path.display());
        }
    }

    fn of_secret(&mut self, name: &str, reference: Option<&Reference>) {
        if let Some(Reference::File(path)) = reference {
            self.add(Kind::Secret, name, path.display());
        }
    }
}

/// A path from the root, as traces show it.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
