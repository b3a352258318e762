//! The arguments of `deps`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cli::args::{From, Output, Remote};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DepsArgs {
    /// Which checks look at this table or view: `shop.orders`, or `billing:shop.orders` where several sources have one
    #[arg(long, value_name = "TABLE", group = "question")]
    pub(in crate::cli) table: Option<String>,
    /// What goes dark with this: a source, a table, or `foreign:SERVER`
    #[arg(long, value_name = "WHAT", group = "question")]
    pub(in crate::cli) dead: Option<String>,
    /// The tables that no check reaches, largest first
    #[arg(long, group = "question")]
    pub(in crate::cli) uncovered: bool,
    /// Every call that leaves the daemon's process, with its limits, and what happens without it; asks no one
    #[arg(long, group = "question")]
    pub(in crate::cli) external: bool,
    /// Only what this check stands on
    #[arg(long, value_name = "ID", group = "question")]
    pub(in crate::cli) check: Option<String>,
    /// Ask the sources of the settings now, instead of a daemon for what it learnt
    #[arg(long)]
    pub(in crate::cli) connect: bool,
    #[command(flatten)]
    pub(in crate::cli) from: From,
    /// The daemon; by default `$ALLSWELL_URL`, else port 9847 of this machine
    #[arg(long, value_name = "URL", conflicts_with = "connect")]
    pub(in crate::cli) url: Option<String>,
    /// A file with the token [default: `$ALLSWELL_TOKEN` is the token]
    #[arg(long, value_name = "FILE", conflicts_with = "connect")]
    pub(in crate::cli) token_file: Option<PathBuf>,
    /// The certificate of the authority that signed the daemon's
    #[arg(long, value_name = "FILE", conflicts_with = "connect")]
    pub(in crate::cli) cacert: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = DepsFormat::Text)]
    pub(in crate::cli) output: DepsFormat,
}

impl DepsArgs {
    pub(in crate::cli) fn remote(&self) -> Remote {
        Remote {
            url: self.url.clone(),
            token_file: self.token_file.clone(),
            cacert: self.cacert.clone(),
            output: Output::Json,
        }
    }
}

/// How dependencies are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DepsFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// A graph for Graphviz
    Dot,
    /// A graph for Markdown
    Mermaid,
}
