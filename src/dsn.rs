//! Addresses of databases, parsed strictly.
//!
//! The drivers' own parsers pass over what they do not know, log it, or take it from the
//! environment; a typo in `sslmode` would then be plain text on the wire (docs/internals/databases.md,
//! "What drivers read on their own"). Faults name rules, never the address: it may hold a password.

mod options;

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::domain::check::nearest::suggestion;
use crate::domain::sql::Engine;
use crate::dsn::options::Options;

/// The address of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dsn {
    /// A PostgreSQL server.
    Postgres(Server),
    /// A MySQL or MariaDB server.
    MySql(Server),
    /// An SQLite file.
    Sqlite(PathBuf),
}

/// The address of a database on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Where else: the same database on other servers, tried in this order.
    pub others: Vec<Endpoint>,
    /// Which of them is meant.
    pub wanted: Target,
    /// Who we are there.
    pub user: String,
    /// Which database.
    pub database: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// Who we are by TLS, where the server asks for that.
    pub identity: Option<ClientCertificate>,
}

impl Server {
    /// Where it listens: `host:port`, or the path of its socket; several with commas between them.
    pub fn endpoint(&self) -> String {
        self.endpoints().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
    }

    /// Each place where it may listen, in the order in which they are tried.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint).chain(&self.others)
    }
}

/// Which of several servers is meant: libpq's `target_session_attrs` (PostgreSQL's manual, 34.1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Target {
    /// The first that answers.
    #[default]
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that does not.
    ReadOnly,
    /// One that follows no other.
    Primary,
    /// One that follows another.
    Standby,
    /// One that follows another; where there is none, any.
    PreferStandby,
}

impl Target {
    const ALL: [(&'static str, Self); 6] = [
        ("any", Self::Any),
        ("read-write", Self::ReadWrite),
        ("read-only", Self::ReadOnly),
        ("primary", Self::Primary),
        ("standby", Self::Standby),
        ("prefer-standby", Self::PreferStandby),
    ];

    /// As it is written in an address.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, wanted)| *wanted == self).map_or("any", |(word, _)| word)
    }
}

/// A client's certificate and its key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those that lead to its authority.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP port.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket: PostgreSQL's folder of sockets, or MySQL's socket itself.
    Socket {
        /// The folder or the socket.
        path: PathBuf,
        /// PostgreSQL's port, which names the socket in its folder.
        port: u16,
    },
}

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all; the default only for loopback and sockets.
    Off,
    /// Encrypted, whatever server answers.
    Encrypted,
    /// Encrypted, to a server whose certificate a trusted authority signed.
    VerifyCa(Authorities),
    /// As above, and the certificate names the host; the default.
    VerifyFull(Authorities),
}

/// Whose signature is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorities {
    /// Those of the system.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

impl Dsn {
    /// Where it is, for people: the engine, the host and the database, and nothing that may be secret.
    pub fn place(&self) -> String {
        let of = |kind: &str, server: &Server| {
            format!("{kind} at {}, database {}", server.endpoint(), server.database)
        };
        match self {
            Self::Postgres(server) => of("PostgreSQL", server),
            Self::MySql(server) => of("MySQL", server),
            Self::Sqlite(path) => format!("SQLite file {}", path.display()),
        }
    }

    /// Says whether another address leads to the same database, as far as addresses tell: one server of several is enough.
    pub fn is_where(&self, other: &Self) -> bool {
        let (one, two) = match (self, other) {
            (Self::Postgres(one), Self::Postgres(two)) | (Self::MySql(one), Self::MySql(two)) => {
                (one, two)
            }
            (Self::Sqlite(one), Self::Sqlite(two)) => return one == two,
            (Self::Postgres(_) | Self::MySql(_) | Self::Sqlite(_), _) => return false,
        };
        let local = |endpoint: &Endpoint| match endpoint {
            Endpoint::Tcp { host, port } if matches!(host.as_str(), "localhost" | "::1") => {
                format!("127.0.0.1:{port}")
            }
            Endpoint::Tcp { .. } | Endpoint::Socket { .. } => endpoint.to_string(),
        };
        let theirs: Vec<String> = two.endpoints().map(local).collect();
        one.database == two.database && one.endpoints().map(local).any(|at| theirs.contains(&at))
    }

    /// Parses an address; relative paths of SQLite count from `folder`.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path, folder);
        }
        let (text, others) = hosts(text)?;
        let url = Url::parse(&text).map_err(|_| {
            "this is not an address: write postgres://user@host/database, \
                          mysql://user@host/database or sqlite:file.db"
                .to_owned()
        })?;
        if url.fragment().is_some() {
            return Err("a `#` stands in the address, and what follows it would be ignored".into());
        }
        if url.password().is_some() {
            return Err("a password stands in the address: remove it, and write `password: \
                        ${file:…}` or `${env:…}` beside it"
                .into());
        }
        match url.scheme() {
            "postgres" | "postgresql" => {
                server(&url, &others, (5432, "host"), folder).map(Self::Postgres)
            }
            "mysql" | "mariadb" if others.is_empty() => {
                server(&url, &others, (3306, "socket"), folder).map(Self::MySql)
            }
            "mysql" | "mariadb" => {
                Err("several hosts are for PostgreSQL: nothing of MySQL's protocol tells them \
                                        apart; write one, or a proxy's"
                    .into())
            }
            other => {
                let known = ["postgres", "mysql", "mariadb", "sqlite"];
                let hint = suggestion(other, &known).unwrap_or_default();
                Err(format!("this kind of database is not known: {hint}"))
            }
        }
    }

    /// The files that the address names, each with its option.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let (Self::Postgres(server) | Self::MySql(server)) = self else { return Vec::new() };
        let mut files = Vec::new();
        if let Tls::VerifyCa(Authorities::File(path)) | Tls::VerifyFull(Authorities::File(path)) =
            &server.tls
        {
            files.push(("sslrootcert", path.as_path()));
        }
        if let Some(identity) = &server.identity {
            files.push(("sslcert", &identity.certificate));
            files.push(("sslkey", &identity.key));
        }
        files
    }

    /// Returns the dialect that is spoken there.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::MySql(_) => Engine::MySql,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }
}

/// Where it is and who we are there, for messages; there is no password in it.
impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (engine, server) = match self {
            Self::Sqlite(path) => return write!(f, "SQLite {}", path.display()),
            Self::Postgres(server) => ("PostgreSQL", server),
            Self::MySql(server) => ("MySQL", server),
        };
        let Server { endpoint, user, database, .. } = server;
        let at = server.endpoint();
        match endpoint {
            Endpoint::Tcp { .. } => write!(f, "{engine} {user}@{at}/{database}"),
            Endpoint::Socket { .. } => write!(f, "{engine} {user}@{at}, database {database}"),
        }
    }
}

fn sqlite(path: &str, folder: &Path) -> Result<Dsn, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(":memory:") {
        return Err("an SQLite source is a file: write sqlite:file.db".into());
    }
    if path.contains('?') {
        return Err("an SQLite address has no options: it is always opened read-only".into());
    }
    Ok(Dsn::Sqlite(folder.join(path)))
}

/// A host behind the first one, and its port where it stands there.
type OtherHost = (Host<String>, Option<u16>);

/// Takes the hosts behind the first one out of an address: `a:5432,b,c:5433`.
fn hosts(text: &str) -> Result<(String, Vec<OtherHost>), String> {
    let whole = || (text.to_owned(), Vec::new());
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(whole()) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, all) = match authority.rsplit_once('@') {
        Some((user, all)) => (format!("{user}@"), all),
        None => (String::new(), authority),
    };
    let mut all = all.split(',');
    let first = all.next().unwrap_or_default();
    let others = all.map(|host| {
        let url = Url::parse(&format!("postgres://{host}/")).ok();
        let host = url.as_ref().and_then(|url| Some((url.host()?.to_owned(), url.port())));
        host.ok_or_else(|| "one of the hosts of the address is none".to_owned())
    });
    let others = others.collect::<Result<_, _>>()?;
    Ok((format!("{scheme}://{user}{first}{path}"), others))
}

fn server(
    url: &Url,
    others: &[OtherHost],
    (default_port, socket_key): (u16, &str),
    folder: &Path,
) -> Result<Server, String> {
    let mut options = Options::default();
    for (key, value) in url.query_pairs() {
        options.set(&key, &value, socket_key)?;
    }
    let wanted = options.wanted(socket_key)?;
    let own_port = options.port.as_deref().and_then(|port| port.parse().ok());
    let own_port = own_port.unwrap_or(default_port);
    let port = match (options.port.take(), url.port()) {
        (Some(_), Some(_)) => return Err("the address names the port twice".into()),
        (Some(port), None) => {
            port.parse().map_err(|_| "the option `port` of the address is no port".to_owned())?
        }
        (None, port) => port.unwrap_or(default_port),
    };
    let endpoint = match (options.socket.take(), url.host()) {
        (Some(path), host) if host.as_ref().is_none_or(|h| bare(h) == "localhost") => {
            Endpoint::Socket { path: folder.join(path), port }
        }
        (Some(_), _) => return Err("the address names a host and a socket: keep one".into()),
        (None, Some(host)) => Endpoint::Tcp { host: bare(&host), port },
        (None, None) => return Err("the address names no host".into()),
    };
    let user = match (options.user.take(), url.username()) {
        (Some(user), "") => user,
        (None, user) if !user.is_empty() => decoded(user)?,
        (Some(_), _) => return Err("the address names the user twice".into()),
        (None, _) => return Err("the address names no user: write user@host".into()),
    };
    let database = decoded(url.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err("the address names no database: write host/database".into());
    }
    let others: Vec<Endpoint> = others
        .iter()
        .map(|(host, port)| Endpoint::Tcp { host: bare(host), port: port.unwrap_or(own_port) })
        .collect();
    if !others.is_empty() && !matches!(endpoint, Endpoint::Tcp { .. }) {
        return Err("the address names a socket and other hosts: keep one".into());
    }
    let is_local = std::iter::once(&endpoint).chain(&others).all(Endpoint::is_local);
    let tls = options.tls(is_local, folder)?;
    let identity = options.identity(&tls, folder)?;
    Ok(Server { endpoint, others, wanted, user, database, tls, identity })
}

impl Endpoint {
    /// Says whether the connection stays on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket { .. } => true,
            Self::Tcp { host, .. } => match host.parse::<std::net::IpAddr>() {
                Ok(address) => address.is_loopback(),
                Err(_) => host == "localhost",
            },
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket { path, .. } => path.display().fmt(f),
        }
    }
}

fn bare<S: AsRef<str>>(host: &Host<S>) -> String {
    match host {
        Host::Domain(name) => name.as_ref().to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map(|t| t.into_owned());
    text.map_err(|_| "the address is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Dsn, String> {
        Dsn::parse(text, Path::new("/etc/allswell"))
    }

    fn tls(text: &str) -> Tls {
        match parse(text).unwrap() {
            Dsn::Postgres(server) | Dsn::MySql(server) => server.tls,
            Dsn::Sqlite(_) => panic!("a server"),
        }
    }

    #[test]
    fn hosts_that_are_not_this_one_are_verified_in_full() {
        assert_eq!(tls("postgres://a@db.internal/b"), Tls::VerifyFull(Authorities::System));
        assert_eq!(tls("mysql://a@10.0.0.1/b"), Tls::VerifyFull(Authorities::System));
        assert_eq!(tls("postgres://a@[::1]:99/b"), Tls::Off);
        assert_eq!(tls("postgres:///b?user=a&host=/run/postgresql"), Tls::Off);
        assert_eq!(tls("postgres:///b?user=a&host=/run/postgresql&port=5433"), Tls::Off);
        assert_eq!(tls("postgres://a@localhost/b?sslmode=require"), Tls::Encrypted);
        assert_eq!(tls("postgres://a@db.internal/b?sslmode=disable"), Tls::Off);
    }

    #[test]
    fn what_a_driver_would_pass_over_is_a_fault() {
        for (bad, rule) in [
            ("postgres://a@db/b?sslmod=disable", "did you mean `sslmode`"),
            ("postgres://a@db/b?sslmode=verify_full", "verify-full"),
            ("postgres://a@db/b?sslmode=prefer", "not known"),
            ("postgres://a@db/b?sslmode=disable&sslmode=require", "twice"),
            ("postgres://a@db/b?sslmode=require&sslrootcert=x", "idle"),
            ("postgres://a@db/b?sslcert=x", "go together"),
            ("postgres://a@localhost/b?sslcert=x&sslkey=y", "not encrypted"),
            ("postgres://a:hunter2@db/b", "password"),
            ("postgres://db/b", "no user"),
            ("postgres://a@db", "no database"),
            ("postgres://a@db/", "no database"),
            ("postgress://a@db/b", "did you mean `postgres`"),
            ("oracle://a@db/b", "not known"),
            ("hunter2", "not an address"),
            ("postgres://a@db/b#sslmode=verify-full", "ignored"),
            ("postgres://a@db/b?host=/run/postgresql", "a host and a socket"),
            ("sqlite:", "a file"),
            ("sqlite::memory:", "a file"),
            ("sqlite:x.db?mode=rw", "no options"),
        ] {
            let message = parse(bad).expect_err(bad);
            assert!(message.contains(rule), "{bad}: {message}");
            assert!(!message.contains("hunter2"));
        }
    }

    #[test]
    fn several_hosts_are_one_database() {
        let dsn =
            parse("postgres://a@db1,db2:5433,[::1]/b?target_session_attrs=read-write").unwrap();
        assert_eq!(dsn.place(), "PostgreSQL at db1:5432,db2:5433,[::1]:5432, database b");
        let Dsn::Postgres(server) = dsn else { panic!("PostgreSQL") };
        assert_eq!((server.wanted, server.others.len()), (Target::ReadWrite, 2));
        // One that is elsewhere is enough to be encrypted.
        assert_eq!(server.tls, Tls::VerifyFull(Authorities::System));
        assert_eq!(tls("postgres://a@localhost,127.0.0.1:5433/b"), Tls::Off);
        let of = |text: &str| parse(text).unwrap();
        assert_eq!(
            of("postgres://a@db1,db2/b?port=99").place(),
            "PostgreSQL at db1:99,db2:99, database b"
        );
        let (both, second) = (of("postgres://a@db1,db2/b"), of("postgres://a@db2/b"));
        assert!(both.is_where(&second) && !both.is_where(&of("postgres://a@db3/b")));
        assert!(!both.is_where(&of("postgres://a@db2/c")));
        for (bad, rule) in [
            ("postgres://a@db1,/b", "one of the hosts"),
            ("postgres://a@db1,x y/b", "one of the hosts"),
            ("postgres://a@db1,db2/b?target_session_attrs=read_write", "read-write"),
            ("postgres://a@db1,db2/b?target_session_atrs=any", "target_session_attrs"),
            ("mysql://a@db1,db2/b", "PostgreSQL"),
            ("mysql://a@db1/b?target_session_attrs=any", "not known"),
        ] {
            let message = parse(bad).expect_err(bad);
            assert!(message.contains(rule), "{bad}: {message}");
        }
    }

    #[test]
    fn relative_paths_count_from_the_settings() {
        assert_eq!(parse("sqlite:x.db").unwrap(), Dsn::Sqlite("/etc/allswell/x.db".into()));
        assert_eq!(parse("sqlite:///x.db").unwrap(), Dsn::Sqlite("/x.db".into()));
    }
}
