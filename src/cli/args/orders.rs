//! The arguments of verbs by which operators order something, and of `suggest`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::{From, Remote};
use crate::domain::time::duration;
use crate::manifest;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RerunArgs {
    #[command(flatten)]
    pub(in crate::cli) rows: Rows,
    /// Take a proof on less than half of the evidence that violated a window: rows were removed on purpose
    #[arg(long, requires = "because")]
    pub(in crate::cli) accept_evidence: bool,
    /// Why less evidence is accepted
    #[arg(long, value_name = "WHY", requires = "accept_evidence")]
    pub(in crate::cli) because: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LookArgs {
    /// Of this check
    #[arg(value_name = "CHECK", required_unless_present = "owner")]
    pub(in crate::cli) check: Option<String>,
    /// Of all checks of this owner
    #[arg(long, value_name = "OWNER", conflicts_with = "check")]
    pub(in crate::cli) owner: Option<String>,
    /// How long to wait for verdicts
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    pub(in crate::cli) wait: Duration,
    /// Who says so; $USER by default
    #[arg(long, value_name = "WHO")]
    pub(in crate::cli) by: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WaiveArgs {
    #[command(flatten)]
    pub(in crate::cli) rows: Rows,
    /// Why they are waived, or why that is taken back
    #[arg(long, value_name = "WHY")]
    pub(in crate::cli) because: String,
    /// Take waivers back: what they cover is open again
    #[arg(long, conflicts_with = "until")]
    pub(in crate::cli) revoke: bool,
    /// Who vouches [default: `$USER`]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) by: Option<String>,
    /// Until when, at most 90 days from now; then they are open again: 2h, tomorrow, a date, which is in it, an instant
    #[arg(
        long,
        value_name = "MOMENT",
        required_unless_present = "revoke",
        allow_hyphen_values = true
    )]
    pub(in crate::cli) until: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WaiversArgs {
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
    /// Also those that cover nothing any more: proved since, revoked, or followed by another
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// How many are looked through at most, latest first
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(in crate::cli) limit: NonZeroUsize,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AcceptZonesArgs {
    /// Of this check
    #[arg(value_name = "CHECK")]
    pub(in crate::cli) check: String,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
    /// Why
    #[arg(long, value_name = "WHY")]
    pub(in crate::cli) because: String,
    /// Who says so; $USER by default
    #[arg(long, value_name = "WHO")]
    pub(in crate::cli) by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AdoptArgs {
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
    /// End those of this check
    #[arg(long, value_name = "CHECK", requires = "because")]
    pub(in crate::cli) end: Option<String>,
    /// Only in this zone
    #[arg(long, value_name = "ZONE", requires = "end")]
    pub(in crate::cli) zone: Option<String>,
    /// Why
    #[arg(long, value_name = "WHY", requires = "end")]
    pub(in crate::cli) because: Option<String>,
    /// Who says so; $USER by default
    #[arg(long, value_name = "WHO", requires = "end")]
    pub(in crate::cli) by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct QuietArgs {
    /// Of this check; without one, what is kept quiet is listed
    #[arg(value_name = "CHECK", requires = "because")]
    pub(in crate::cli) check: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
    /// For how long: 30m, 2h; 24h at most
    #[arg(long = "for", value_name = "DURATION", requires = "check")]
    pub(in crate::cli) lasts: Option<String>,
    /// Tell of it again, before that is over
    #[arg(long, requires = "check", conflicts_with = "lasts")]
    pub(in crate::cli) end: bool,
    /// Why
    #[arg(long, value_name = "WHY", requires = "check")]
    pub(in crate::cli) because: Option<String>,
    /// Who says so; $USER by default
    #[arg(long, value_name = "WHO", requires = "check")]
    pub(in crate::cli) by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ForgetArgs {
    /// Of this check
    #[arg(value_name = "CHECK")]
    pub(in crate::cli) check: String,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
    /// Why
    #[arg(long, value_name = "WHY")]
    pub(in crate::cli) because: String,
    /// Who says so; $USER by default
    #[arg(long, value_name = "WHO")]
    pub(in crate::cli) by: Option<String>,
}

/// Which windows are meant. Dates are those of each series' own zone.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rows {
    /// Of this check
    #[arg(value_name = "CHECK", required_unless_present = "owner")]
    pub(in crate::cli) check: Option<String>,
    /// Of all checks of this owner
    #[arg(long, value_name = "OWNER", conflicts_with = "check")]
    pub(in crate::cli) owner: Option<String>,
    /// Only in this zone; may be repeated
    #[arg(long, value_name = "ZONE")]
    pub(in crate::cli) zone: Vec<String>,
    /// From this moment on, with the window that an instant lies in: a local date, yesterday, 2h (ago), or an instant
    /// [default: all]
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(in crate::cli) from: Option<String>,
    /// Up to this moment; a date is in it, an instant is not [default: all]
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(in crate::cli) to: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SuggestArgs {
    /// The table, with its schema where it needs one: `orders`, `sales.orders`
    #[arg(value_name = "TABLE")]
    pub(in crate::cli) table: String,
    /// The source that has it; may be left out where the settings have one source
    #[arg(long, value_name = "SOURCE")]
    pub(in crate::cli) source: Option<String>,
    /// The column of instants that cuts its rows into days; guessed by names where it is left out
    #[arg(long, value_name = "COLUMN")]
    pub(in crate::cli) at: Option<String>,
    /// Whose days
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(in crate::cli) zone: String,
    /// Look at the last three days only, in tables of more than 5,000,000 rows
    #[arg(long)]
    pub(in crate::cli) sample: bool,
    /// How long each statement may run
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = manifest::timeout)]
    pub(in crate::cli) timeout: Duration,
    /// The settings [default: `$ALLSWELL_CONFIG`, else `allswell.yaml`]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
}

impl SuggestArgs {
    /// Where its settings are.
    pub(in crate::cli) fn from(&self) -> From {
        From { config: self.config.clone(), paths: Vec::new() }
    }
}
