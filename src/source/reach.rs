//! Trouble on the way to a server, before or instead of its answer.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's errors are a foreign, growing list"
)]

use std::io::ErrorKind;

use crate::domain::verdict::{Cause, Doubt};

/// Finds the cause of an error that is not the server's own.
pub(super) fn doubt(error: &sqlx::Error) -> Doubt {
    match error {
        // A certificate that is not believed comes as invalid data, with the reason inside.
        sqlx::Error::Io(io) if io.kind() == ErrorKind::InvalidData => tls(&io.to_string()),
        sqlx::Error::Tls(words) => tls(&words.to_string()),
        sqlx::Error::Io(io) => Doubt::new(Cause::Connect, format!("no connection: {io}")),
        sqlx::Error::Protocol(text) if text.contains("authentication") => {
            Doubt::new(Cause::Auth, "the server asks for a kind of password that is not supported")
        }
        _ => Doubt::new(
            Cause::Connect,
            "the connection broke, or what answers there is another kind of server",
        ),
    }
}

fn tls(words: &str) -> Doubt {
    let hint = if words.contains("does not support TLS") {
        "switch it on there, or write `?sslmode=disable` at the end of the address"
    } else {
        "`sslrootcert=FILE` in the address names whose signature to trust"
    };
    Doubt::new(Cause::Connect, format!("TLS failed: {words}; {hint}"))
}
