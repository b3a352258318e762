//! The arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Proves data right, and says so when the proof does not come.
#[derive(Debug, Parser)]
#[command(name = "allswell", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 all confirmed · 1 something violated · 2 something \
    unconfirmed, or nothing confirmed · 64 what you gave is not valid · 74 reading or writing failed")]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a small billing company with a hidden defect, check it, and leave it to play with
    Demo(DemoArgs),
    /// Read the checks and say what is wrong with them, without asking any database
    Validate(ValidateArgs),
    /// Look once at what the checks declare, and say what is confirmed
    Run(RunArgs),
    /// Print the JSON Schema of the language, for editors
    Schema,
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Where to make it
    #[arg(long, value_name = "DIR", default_value = "allswell-demo")]
    pub(super) folder: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// Only the check of this id; may be repeated
    #[arg(long, value_name = "ID")]
    pub(super) check: Vec<String>,
    /// Only the checks of this owner; may be repeated
    #[arg(long, value_name = "OWNER")]
    pub(super) owner: Vec<String>,
    /// Only the checks that ask this source; may be repeated
    #[arg(long, value_name = "SOURCE")]
    pub(super) source: Vec<String>,
    /// Show the SQL of what is not confirmed
    #[arg(long)]
    pub(super) sql: bool,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// Where settings and checks are.
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// The settings [default: `$ALLSWELL_CONFIG`, else `allswell.yaml`]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Files and folders of checks, instead of those that the settings name
    #[arg(value_name = "PATHS")]
    pub(super) paths: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}
