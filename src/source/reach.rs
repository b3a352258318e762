//! Trouble on the way to a server, before or instead of its answer.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's errors are a foreign, growing list"
)]

use std::io::ErrorKind;

use crate::domain::check::reason::{Cause, Reason};
use crate::dsn::Dsn;

/// Finds the cause of an error that is not the server's own.
pub(super) fn reason(error: &sqlx::Error) -> Reason {
    match error {
        // A certificate that is not believed comes as invalid data, with the reason inside.
        sqlx::Error::Io(io) if io.kind() == ErrorKind::InvalidData => tls(&io.to_string()),
        sqlx::Error::Tls(words) => tls(&words.to_string()),
        sqlx::Error::Io(io) => Reason::new(Cause::Connect, format!("no connection: {io}")),
        sqlx::Error::Protocol(text) if text.contains("unknown column type") => Reason::new(
            Cause::UnsupportedType,
            "the query brings a column of a type that has no exact reading: cast it",
        ),
        sqlx::Error::Protocol(text) if text.contains("authentication") => {
            Reason::new(Cause::Auth, "the server asks for a kind of password that is not supported")
        }
        _ => Reason::new(
            Cause::Connect,
            "the connection broke, or what answers there is another kind of server",
        ),
    }
}

/// The same of what went wrong while a query was under way: what cannot be read of its answer is of that query, and
/// only a connection that broke is of the source.
pub(super) fn of_query(error: &sqlx::Error) -> Reason {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => reason(error),
        _ => match reason(error) {
            known if known.cause == Cause::UnsupportedType => known,
            _ => Reason::new(
                Cause::QueryError,
                "what the server answered to this query cannot be read",
            ),
        },
    }
}

/// Names a file of an address that cannot be read: the drivers do not say which it was.
pub(super) fn naming_files(reason: Reason, dsn: &Dsn) -> Reason {
    if reason.cause != Cause::Connect {
        return reason;
    }
    let unread = dsn.files().into_iter().find_map(|(option, path)| {
        let trouble = std::fs::File::open(path).err()?;
        let path = path.display();
        Some(format!("`{option}` of the address cannot be read: {path}: {trouble}"))
    });
    unread.map_or(reason, |why| Reason::new(Cause::Connect, why))
}

fn tls(words: &str) -> Reason {
    // What the library of TLS says is not made for people; what it means, and what helps, is.
    const KNOWN: [(&str, &str); 12] = [
        (
            "does not support TLS",
            "the server does not speak TLS: switch it on there, or write `?sslmode=disable` at the end of the address",
        ),
        (
            "UnsupportedCertVersion",
            "the server's certificate is one of X.509 version 1, which cannot name a host: sign one of version 3, with \
             `openssl x509 -req … -extfile FILE` and its names in that file",
        ),
        (
            "CaUsedAsEndEntity",
            "the server shows the certificate of an authority as its own: make one with `openssl req -x509 … -addext \
             basicConstraints=critical,CA:FALSE`, and name that under `sslrootcert`",
        ),
        (
            "not valid for name",
            "the server's certificate is for another name: connect by a name that stands in it, or write \
             `sslmode=verify-ca`, which looks at the signature only",
        ),
        (
            "certificate expired",
            "the server's certificate has expired, or the clock of this host is wrong",
        ),
        (
            "not valid yet",
            "the server's certificate is not valid yet, or the clock of this host is wrong",
        ),
        (
            "BadSignature",
            "the server's certificate was not signed by the key of the authority that it names: a new authority of the same \
             name? `sslrootcert=FILE` in the address names the right one",
        ),
        (
            "UnsupportedSignatureAlgorithm",
            "the server's certificate is signed in a way that is not taken here: RSA of 2,048 bits or more, P-256, P-384 \
             and Ed25519 are",
        ),
        ("KeyMismatch", "the key under `sslkey` is not that of the certificate under `sslcert`"),
        (
            "CertificateRequired",
            "the server lets in only who shows a certificate: name one with `sslcert` and `sslkey` in the address",
        ),
        (
            "alert: UnknownCA",
            "the server does not trust who signed the certificate under `sslcert`",
        ),
        (
            "UnknownIssuer",
            "the server's certificate is signed by an authority that is not trusted here: `sslrootcert=FILE` in the \
             address names it",
        ),
    ];
    let known = KNOWN.iter().find(|(word, _)| words.contains(word));
    let note = match known {
        Some((_, meaning)) => format!("TLS failed: {meaning}"),
        None => format!("TLS failed: {words}"),
    };
    Reason::new(Cause::Connect, note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_the_driver_does_not_know_is_no_broken_connection() {
        let unknown = sqlx::Error::Protocol("unknown column type 0xf2".into());
        assert_eq!(reason(&unknown).cause, Cause::UnsupportedType);
        assert_eq!(of_query(&unknown).cause, Cause::UnsupportedType);
        let odd = sqlx::Error::Protocol("expected something else".into());
        assert_eq!((reason(&odd).cause, of_query(&odd).cause), (Cause::Connect, Cause::QueryError));
        let broken = || sqlx::Error::Io(ErrorKind::ConnectionReset.into());
        assert_eq!(
            (reason(&broken()).cause, of_query(&broken()).cause),
            (Cause::Connect, Cause::Connect)
        );
    }
}
