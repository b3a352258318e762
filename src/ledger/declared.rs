//! What a catalogue declares, as the ledger takes it: series, what is known of their checks, and what lists brought.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::domain::check::name::CheckId;
use crate::domain::check::succession::Succession;
use crate::ledger::{Role, RowKey};

/// A series that a catalogue declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its check.
    pub check: CheckId,
    /// Its zone, where the check fans out.
    pub tz: Option<String>,
    /// Its part.
    pub role: Role,
}

/// What the ledger knows of a check beside its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// The digest of what is proved.
    pub meaning: String,
    /// The digest of how and when it is asked and shown.
    pub presentation: String,
    /// Which source it asks.
    pub source: String,
    /// Which source its list of zones asks, where it has one.
    pub list_source: Option<String>,
    /// How urgent it is: the smaller, the more.
    pub priority: i64,
    /// How long a proof under a new meaning may take.
    pub patience: TimeDelta,
}

/// A catalogue that is to be active, and what that does.
#[derive(Debug, Clone)]
pub struct Activation {
    /// The generation that was active when this was computed.
    pub expected: Option<i64>,
    /// The digest of its text.
    pub digest: String,
    /// Its files.
    pub text: String,
    /// The release of the zone rules by which it was read.
    pub tz_release: String,
    /// Who loads it.
    pub loaded_by: String,
    /// The series that it declares; those of lists come from the lists.
    pub series: Vec<Planned>,
    /// What is known of its checks.
    pub checks: BTreeMap<CheckId, Traits>,
    /// What it does to those who run.
    pub succession: Succession,
}

/// The zones that a list brought.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Whose list.
    pub check: CheckId,
    /// The look at it that brought them, which counts only if it is recorded.
    pub key: RowKey,
    /// The zones, each once.
    pub zones: Vec<String>,
    /// Whether those are all: otherwise none is taken for vanished.
    pub whole: bool,
    /// What is known of the check.
    pub traits: Traits,
}
