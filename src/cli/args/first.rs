//! The arguments of `init`, `list` and `completions`: what a newcomer types first.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap_complete::Shell;

use crate::cli::args::{From, Output, SuggestArgs};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct InitArgs {
    /// The database, without a password: `postgres://allswell@localhost/shop`, `mysql://…`, `sqlite:shop.db`
    #[arg(value_name = "URL")]
    pub(in crate::cli) url: Option<String>,
    /// The table of the first check; the largest of which something holds where none is named
    #[arg(long, value_name = "TABLE")]
    pub(in crate::cli) table: Option<String>,
    /// Whose days
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(in crate::cli) zone: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    pub(in crate::cli) from: From,
    /// Those of one team
    #[arg(long, value_name = "OWNER")]
    pub(in crate::cli) owner: Option<String>,
    /// Those that ask one source
    #[arg(long, value_name = "SOURCE")]
    pub(in crate::cli) source: Option<String>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(in crate::cli) output: Output,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ImportArgs {
    /// Whose tests they are
    #[arg(value_enum, value_name = "FORMAT")]
    pub(in crate::cli) format: Foreign,
    /// The files: of dbt, `target/manifest.json`, or its `schema.yml`
    #[arg(value_name = "FILES", required = true)]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The source that the checks ask; may be left out where the settings have one
    #[arg(long, value_name = "SOURCE")]
    pub(in crate::cli) source: Option<String>,
    /// The team that is alerted, where a file names none
    #[arg(long, value_name = "OWNER", default_value = "my-team")]
    pub(in crate::cli) owner: String,
    /// The settings [default: `$ALLSWELL_CONFIG`, else `allswell.yaml`]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
}

impl ImportArgs {
    /// Where its settings are.
    pub(in crate::cli) fn from(&self) -> From {
        From { config: self.config.clone(), paths: Vec::new() }
    }
}

/// Whose tests are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Foreign {
    /// dbt: a manifest, or files of properties
    Dbt,
    /// Files of checks for Soda 3, or contracts of Soda 4
    Soda,
    /// Collectors of exporters of SQL for Prometheus
    SqlExporter,
    /// Contracts of the Open Data Contract Standard 3
    Odcs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(in crate::cli) shell: Shell,
}

impl SuggestArgs {
    /// What is typed for a table of a source.
    pub(in crate::cli) fn of(table: &str, source: &str, zone: &str) -> Self {
        Self {
            table: table.to_owned(),
            source: Some(source.to_owned()),
            at: None,
            zone: zone.to_owned(),
            sample: false,
            timeout: Duration::from_secs(30),
            config: None,
        }
    }
}
