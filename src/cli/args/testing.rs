//! The arguments of `test`.

use std::path::PathBuf;

use crate::cli::args::{Format, From, Select};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TestArgs {
    #[command(flatten)]
    pub(in crate::cli) from: From,
    #[command(flatten)]
    pub(in crate::cli) select: Select,
    /// Print the tables of a source that its checks name, as its catalogue has them; nothing is tested
    #[arg(long, value_name = "SOURCE", conflicts_with = "mutants")]
    pub(in crate::cli) learn_schema: Option<String>,
    /// Ask the watched databases instead, read-only: take the last settled window of each check apart, and see whether what is
    /// looked at in its parts adds up
    #[arg(long, conflicts_with_all = ["mutants", "learn_schema"])]
    pub(in crate::cli) live: bool,
    /// Hold checks with a mistake in them against the tests, and name the mistakes that nothing notices
    #[arg(long)]
    pub(in crate::cli) mutants: bool,
    /// End with 1 where the tests of a check notice fewer of a hundred mistakes than this
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), requires = "mutants")]
    pub(in crate::cli) min_score: Option<u8>,
    /// Look in so many worlds by chance for rows that show what no test notices, and print them as tests to paste
    #[arg(long, value_name = "WORLDS", requires = "mutants")]
    pub(in crate::cli) fuzz: Option<usize>,
    /// Write to a file what came of the tests, whole catalogues only: the daemon shows it on pages and in metrics where the
    /// settings name that file (`tests: {results: FILE}`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["live", "learn_schema", "check", "owner", "source", "paths"])]
    pub(in crate::cli) results: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(in crate::cli) output: Format,
}
