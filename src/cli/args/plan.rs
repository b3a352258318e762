//! The arguments of `plan`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cli::args::{From, Remote};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlanArgs {
    #[command(flatten)]
    pub(in crate::cli) from: From,
    /// What the checks are compared with: `git:REF`, `generation:N` of the daemon, or a file or folder of checks; the
    /// active generation of the daemon where nothing is said
    #[arg(long, value_name = "WHAT")]
    pub(in crate::cli) against: Option<String>,
    /// Has the daemon look at the last windows of each series, so many of them, with the checks as it runs them and
    /// with these; nothing is written there, and no alert is sent
    #[arg(long, value_name = "WINDOWS", value_parser = clap::value_parser!(u16).range(1..=400))]
    pub(in crate::cli) shadow: Option<u16>,
    /// The daemon; by default `$ALLSWELL_URL`, else port 9847 of this machine
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) url: Option<String>,
    /// A file with the token [default: `$ALLSWELL_TOKEN` is the token]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) token_file: Option<PathBuf>,
    /// The certificate of the authority that signed the daemon's
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) cacert: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(in crate::cli) output: PlanFormat,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct GenerationsArgs {
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DecideArgs {
    /// The generation that waits
    #[arg(value_name = "GENERATION")]
    pub(in crate::cli) id: u64,
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
pub(in crate::cli) struct RollBackArgs {
    /// The generation to go back to; the one before where none is named
    #[arg(value_name = "GENERATION")]
    pub(in crate::cli) id: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
    /// Why
    #[arg(long, value_name = "WHY")]
    pub(in crate::cli) because: String,
    /// Who says so; $USER by default
    #[arg(long, value_name = "WHO")]
    pub(in crate::cli) by: Option<String>,
}

/// How changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PlanFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// A table for the summary of a job or a comment
    Markdown,
    /// The XML of unit tests
    Junit,
    /// Annotations of GitHub Actions
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}
