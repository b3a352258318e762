//! References to secrets: settings say where a password is, never what it is.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};

use crate::bounded;
use crate::dsn::Dsn;

/// The longest secret that is read.
const BYTES_MAX: u64 = 1 << 16;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `${env:NAME}`
    Env(String),
    /// `${file:PATH}`; a relative path counts from the settings' folder.
    File(PathBuf),
}

impl Reference {
    /// Parses `${env:NAME}` or `${file:PATH}`.
    ///
    /// # Errors
    /// The rule, without the text: it may be the secret itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a secret is written as a reference, ${env:NAME} or ${file:PATH}, never \
                            as itself";
        let inner = text.strip_prefix("${").and_then(|t| t.strip_suffix('}')).ok_or(RULE)?;
        match inner.split_once(':') {
            Some(("env", name)) if is_env_name(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(_) | None => Err(RULE),
        }
    }

    /// Takes a relative path as one under `folder`.
    #[must_use]
    pub fn under(self, folder: &std::path::Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::Env(name) => Self::Env(name),
        }
    }

    /// Reads the secret; a file's closing line break is not part of it.
    ///
    /// # Errors
    /// Where it is not there, saying where it was looked for.
    #[expect(clippy::disallowed_methods, reason = "a reference to the environment is read here")]
    pub fn read(&self) -> Result<SecretString, String> {
        match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(secret) if !secret.is_empty() => Ok(SecretString::from(secret)),
                Ok(_) => Err(format!("the environment variable {name} is empty")),
                Err(_) => Err(format!("the environment variable {name} is not set")),
            },
            Self::File(path) => match bounded::read(path, BYTES_MAX) {
                Ok(text) if text.trim_end_matches(['\r', '\n']).is_empty() => {
                    Err(format!("{} is empty", path.display()))
                }
                Ok(text) => Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
            },
        }
    }
}

impl Reference {
    /// Reads an address, and the password that stands in it.
    ///
    /// # Errors
    /// Where it is not there, saying where it was looked for.
    pub fn read_address(&self) -> Result<(String, Option<SecretString>), String> {
        let text = self.read()?;
        let text = text.expose_secret();
        let Ok(mut url) = url::Url::parse(text) else { return Ok((text.to_owned(), None)) };
        let Some(password) = url.password() else { return Ok((text.to_owned(), None)) };
        let password = percent_decode_str(password).decode_utf8();
        let password = password.map_err(|_| format!("the password in {self} is not UTF-8"))?;
        let password = SecretString::from(password.into_owned());
        if url.set_password(None).is_err() {
            return Err(format!("{self} is no address"));
        }
        Ok((url.into(), Some(password)))
    }
}

/// Where the password of a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordFrom {
    /// It needs none.
    Nowhere,
    /// It is named by itself.
    Reference(Reference),
    /// It is named by itself, beside an address that is a secret: a user may change with it.
    Beside {
        /// Where the password is.
        password: Reference,
        /// Where the address is.
        address: Reference,
        /// The folder from which paths in it count.
        folder: PathBuf,
    },
    /// It stands in an address that is a secret, or is not needed there.
    Address {
        /// Where that is.
        reference: Reference,
        /// The folder from which paths in it count.
        folder: PathBuf,
    },
}

/// What was read once more of where a database is.
#[derive(Debug)]
pub struct ReadAgain {
    /// Its address, where the password stands in that.
    pub dsn: Option<Dsn>,
    /// The password.
    pub password: Option<SecretString>,
}

impl PasswordFrom {
    /// Reads the password.
    ///
    /// # Errors
    /// Where it is not there, saying where it was looked for.
    pub fn read(&self) -> Result<Option<SecretString>, String> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Reference(password) | Self::Beside { password, .. } => password.read().map(Some),
            Self::Address { reference, .. } => {
                reference.read_address().map(|(_, password)| password)
            }
        }
    }

    /// Reads the password once more, and the address where it stands in that: a user may change with it. Nothing where
    /// there is none.
    ///
    /// # Errors
    /// Where it is not there, or is no address.
    pub fn read_again(&self) -> Result<Option<ReadAgain>, String> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Reference(reference) => {
                Ok(Some(ReadAgain { dsn: None, password: Some(reference.read()?) }))
            }
            Self::Beside { password, address, folder } => {
                let (address, _) = address.read_address()?;
                let dsn = Some(Dsn::parse(&address, folder)?);
                Ok(Some(ReadAgain { dsn, password: Some(password.read()?) }))
            }
            Self::Address { reference, folder } => {
                let (address, password) = reference.read_address()?;
                Ok(Some(ReadAgain { dsn: Some(Dsn::parse(&address, folder)?), password }))
            }
        }
    }
}

fn is_env_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{}}}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_accepted_and_the_rule_never_repeats_the_text() {
        assert!(Reference::parse("${env:PGPASS_1}").is_ok());
        assert!(Reference::parse("${file:/run/secrets/x}").is_ok());
        for bad in ["hunter2", "${env:}", "${hunter2}", "$HOME", "${file:}", "x${env:A}", ""] {
            let rule = Reference::parse(bad).unwrap_err();
            assert!(!rule.contains("hunter2"));
        }
    }
}
