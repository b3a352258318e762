//! The options of a server's address, each of which is known, and stands there once.

use std::path::Path;

use crate::domain::check::nearest::suggestion;
use crate::dsn::{Authorities, ClientCertificate, Target, Tls};

/// The option that says which of several servers is meant.
const TARGET: &str = "target_session_attrs";

/// What stands behind the `?` of an address.
#[derive(Default)]
pub(super) struct Options {
    pub(super) user: Option<String>,
    pub(super) socket: Option<String>,
    pub(super) port: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
    wanted: Option<String>,
}

impl Options {
    pub(super) fn set(&mut self, key: &str, value: &str, socket_key: &str) -> Result<(), String> {
        let slot = match key {
            "user" => &mut self.user,
            "port" => &mut self.port,
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "sslcert" => &mut self.sslcert,
            "sslkey" => &mut self.sslkey,
            TARGET if socket_key == "host" => &mut self.wanted,
            key if key == socket_key => &mut self.socket,
            _ => {
                let mut known =
                    vec!["user", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", socket_key];
                known.extend((socket_key == "host").then_some(TARGET));
                let hint = suggestion(key, &known).unwrap_or_default();
                return Err(format!("the address has an option that is not known: {hint}"));
            }
        };
        if value.is_empty() {
            return Err(format!("the option `{key}` of the address is empty"));
        }
        if slot.replace(value.to_owned()).is_some() {
            return Err(format!("the option `{key}` of the address stands there twice"));
        }
        Ok(())
    }

    /// Which of several servers is meant, where the protocol lets one tell.
    pub(super) fn wanted(&self, socket_key: &str) -> Result<Target, String> {
        let Some(text) = self.wanted.as_deref().filter(|_| socket_key == "host") else {
            return Ok(Target::Any);
        };
        let found = Target::ALL.iter().find(|(word, _)| *word == text);
        found.map(|(_, wanted)| *wanted).ok_or_else(|| {
            let hint = suggestion(text, &Target::ALL.map(|(word, _)| word)).unwrap_or_default();
            format!("this `{TARGET}` is not known: {hint}")
        })
    }

    pub(super) fn tls(&self, is_local: bool, folder: &Path) -> Result<Tls, String> {
        const MODES: [&str; 4] = ["disable", "require", "verify-ca", "verify-full"];
        let authorities = match &self.sslrootcert {
            Some(path) => Authorities::File(folder.join(path)),
            None => Authorities::System,
        };
        match self.sslmode.as_deref() {
            None if is_local && self.sslrootcert.is_none() => Ok(Tls::Off),
            None | Some("verify-full") => Ok(Tls::VerifyFull(authorities)),
            Some("verify-ca") => Ok(Tls::VerifyCa(authorities)),
            Some(mode @ ("disable" | "require")) if self.sslrootcert.is_some() => {
                Err(format!("`sslmode={mode}` checks nothing, so `sslrootcert` would be idle"))
            }
            Some("disable") => Ok(Tls::Off),
            Some("require") => Ok(Tls::Encrypted),
            Some(other) => {
                let hint = suggestion(other, &MODES).unwrap_or_default();
                Err(format!("this `sslmode` is not known: {hint}"))
            }
        }
    }
}

impl Options {
    pub(super) fn identity(
        &self,
        tls: &Tls,
        folder: &Path,
    ) -> Result<Option<ClientCertificate>, String> {
        let (certificate, key) = match (&self.sslcert, &self.sslkey) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (folder.join(certificate), folder.join(key)),
            (Some(_), None) | (None, Some(_)) => {
                return Err("`sslcert` and `sslkey` of the address go together".into());
            }
        };
        if *tls == Tls::Off {
            return Err("the connection is not encrypted, so `sslcert` would be idle".into());
        }
        Ok(Some(ClientCertificate { certificate, key }))
    }
}
