//! Trouble on the way to a server, before or instead of its answer.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's errors are a foreign, growing list"
)]

use std::io::ErrorKind;

use crate::domain::verdict::{Cause, Doubt};

/// Finds the cause of an error that is not the server's own.
pub(super) fn doubt(error: &sqlx::Error) -> Doubt {
    let tls = |words: &dyn std::fmt::Display| {
        let hint = "`sslrootcert=FILE` in the address names whose signature to trust";
        Doubt::new(Cause::Connect, format!("TLS failed: {words}; {hint}"))
    };
    match error {
        // A certificate that is not believed comes as invalid data, with the reason inside.
        sqlx::Error::Io(io) if io.kind() == ErrorKind::InvalidData => tls(io),
        sqlx::Error::Tls(words) => tls(words),
        sqlx::Error::Io(io) => {
            let hint = match io.kind() {
                ErrorKind::ConnectionRefused => ": nobody listens at this address",
                ErrorKind::NotFound => ": there is no such socket",
                _ => "",
            };
            Doubt::new(Cause::Connect, format!("no connection: {}{hint}", io.kind()))
        }
        sqlx::Error::Protocol(text) if text.contains("authentication") => {
            Doubt::new(Cause::Auth, "the server asks for a kind of password that is not supported")
        }
        _ => Doubt::new(Cause::Connect, "the connection broke in the middle of an answer"),
    }
}
