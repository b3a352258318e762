//! From our strict addresses to a driver's options, with nothing left to the environment.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Row};
use tokio::time::timeout;

use crate::dsn::{Authorities, ClientCertificate, Endpoint, Server, Target, Tls};

/// Looks at a server to which a connection was opened.
pub trait Taker: Sync {
    /// Takes it, or says why not.
    fn take(&self, conn: &mut PgConnection) -> impl Future<Output = Result<(), String>> + Send;
}

/// Takes any server.
#[derive(Debug)]
pub struct Any;

impl Taker for Any {
    async fn take(&self, _: &mut PgConnection) -> Result<(), String> {
        Ok(())
    }
}

/// The way to a PostgreSQL database: one server, or several of which one is meant.
#[derive(Debug, Clone)]
pub struct Route {
    servers: Vec<(String, PgConnectOptions)>,
    wanted: Target,
}

impl Route {
    /// The way that an address describes, for connections of this name.
    pub fn new(server: &Server, password: Option<&SecretString>, name: &str) -> Self {
        let options = |endpoint: &Endpoint| {
            let options = options(server, endpoint, password).application_name(name);
            (endpoint.to_string(), options)
        };
        Self { servers: server.endpoints().map(options).collect(), wanted: server.wanted }
    }

    /// The same to a server that takes writes, whatever the address says of several.
    #[must_use]
    pub fn for_writing(mut self) -> Self {
        if self.servers.len() > 1 || self.wanted != Target::Any {
            self.wanted = Target::ReadWrite;
        }
        self
    }

    /// Connects to one of several servers by its number.
    ///
    /// # Errors
    /// Whatever the driver says.
    pub async fn to(&self, number: usize) -> Result<PgConnection, sqlx::Error> {
        let (_, options) = &self.servers[number.min(self.servers.len() - 1)];
        options.connect().await
    }

    /// Connects to the first server that answers, is the one that is meant, and is taken. None may take longer
    /// than its part of the time. Says which it is.
    ///
    /// # Errors
    /// Whatever the driver says where there is one server, or where one says no to who we are; else what was wrong with
    /// each, in the words of `explain`.
    pub async fn connect(
        &self,
        within: Duration,
        explain: impl Fn(&sqlx::Error) -> String,
        taker: &impl Taker,
    ) -> Result<(usize, PgConnection), sqlx::Error> {
        let rounds = match self.wanted {
            Target::PreferStandby => vec![Target::Standby, Target::Any],
            Target::Any
            | Target::ReadWrite
            | Target::ReadOnly
            | Target::Primary
            | Target::Standby => vec![self.wanted],
        };
        let tries = self.servers.len() * rounds.len();
        // One server has all the time: the caller tells when it is over.
        let parts = u32::try_from(tries + 1).unwrap_or(u32::MAX);
        let each = if tries == 1 { within * 2 } else { within / parts };
        let mut trouble = Vec::new();
        for wanted in rounds {
            for (number, (name, options)) in self.servers.iter().enumerate() {
                let connected = async {
                    let Some(mut conn) = connected(options, wanted).await? else {
                        return Ok(Err(format!("is not {}", wanted.as_str())));
                    };
                    Ok(taker.take(&mut conn).await.map(|()| conn))
                };
                let why = match timeout(each, connected).await {
                    Ok(Ok(Ok(conn))) => return Ok((number, conn)),
                    Ok(Ok(Err(why))) => why,
                    // What one refuses to let in, the others do not either.
                    Ok(Err(error)) if tries == 1 || is_refused(&error) => return Err(error),
                    Ok(Err(error)) => format!("does not take us: {}", explain(&error)),
                    Err(_) => "does not answer in time".to_owned(),
                };
                trouble.push(format!("{name} {why}"));
            }
        }
        Err(sqlx::Error::Io(std::io::Error::other(trouble.join("; "))))
    }
}

/// Connects to a server; nothing where it is not the one that is meant.
async fn connected(
    options: &PgConnectOptions,
    wanted: Target,
) -> Result<Option<PgConnection>, sqlx::Error> {
    // What was set for the role or its database says nothing of the server: a role that only reads has it.
    const ASK: &str = "SELECT pg_catalog.pg_is_in_recovery()::text, (setting = 'on' AND source NOT IN ('user', \
        'database', 'database user', 'client'))::text FROM pg_catalog.pg_settings \
        WHERE name = 'default_transaction_read_only'";
    let mut conn = options.connect().await?;
    if wanted == Target::Any {
        return Ok(Some(conn));
    }
    let row = sqlx::raw_sql(ASK).fetch_one(&mut conn).await?;
    let is = |place| Ok::<_, sqlx::Error>(row.try_get::<&str, _>(place)? == "true");
    let (follows, refuses_writes) = (is(0)?, is(1)?);
    let is_meant = match wanted {
        Target::Any | Target::PreferStandby => true,
        Target::ReadWrite => !follows && !refuses_writes,
        Target::ReadOnly => follows || refuses_writes,
        Target::Primary => !follows,
        Target::Standby => follows,
    };
    Ok(is_meant.then_some(conn))
}

/// Whether a server let us in no further than to say no: a wrong password or role, or a database that is not there. A
/// pooler says so of passwords by an error of the protocol.
fn is_refused(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let code = error.code().unwrap_or_default();
    let message = error.message().to_lowercase();
    let of_pooler = code == "08P01" && (message.contains("password") || message.contains("auth"));
    code.starts_with("28") || code == "3D000" || code == "42501" || of_pooler
}

/// What a PostgreSQL server is dialled with.
fn options(
    server: &Server,
    endpoint: &Endpoint,
    password: Option<&SecretString>,
) -> PgConnectOptions {
    // Every field is set, because the driver begins with what the environment says (PG*); what it
    // cannot be told to forget, `main` removes from the environment.
    let mut options = PgConnectOptions::new_without_pgpass()
        .username(&server.user)
        .password(password.map_or("", |p| p.expose_secret()))
        .database(&server.database)
        // PgBouncer refuses start-up parameters that it does not know.
        .extra_float_digits(None);
    options = match endpoint {
        Endpoint::Tcp { host, port } => options.host(host).port(*port),
        Endpoint::Socket { path, port } => {
            options.host(&path.to_string_lossy()).socket(path).port(*port)
        }
    };
    let authorities = |options: PgConnectOptions, from: &Authorities| match from {
        Authorities::System => options,
        Authorities::File(path) => options.ssl_root_cert(path),
    };
    options = match &server.tls {
        Tls::Off => options.ssl_mode(PgSslMode::Disable),
        Tls::Encrypted => options.ssl_mode(PgSslMode::Require),
        Tls::VerifyCa(from) => authorities(options.ssl_mode(PgSslMode::VerifyCa), from),
        Tls::VerifyFull(from) => authorities(options.ssl_mode(PgSslMode::VerifyFull), from),
    };
    if let Some(ClientCertificate { certificate, key }) = &server.identity {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    options.disable_statement_logging()
}
