//! From our strict addresses to a driver's options, with nothing left to the environment.

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::dsn::{Authorities, ClientCertificate, Endpoint, Server, Tls};

/// Returns what a PostgreSQL server is dialled with.
pub fn postgres(server: &Server, password: Option<&SecretString>) -> PgConnectOptions {
    // Every field is set, because the driver begins with what the environment says (PG*); what it
    // cannot be told to forget, `main` removes from the environment.
    let mut options = PgConnectOptions::new_without_pgpass()
        .username(&server.user)
        .password(password.map_or("", |p| p.expose_secret()))
        .database(&server.database)
        .application_name("allswell")
        // PgBouncer refuses start-up parameters that it does not know.
        .extra_float_digits(None);
    options = match &server.endpoint {
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
