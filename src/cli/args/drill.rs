//! The arguments of `drill`.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;

use crate::cli::args::Remote;
use crate::domain::time::duration;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(in crate::cli) struct DrillArgs {
    /// Ask each Alertmanager for its routes, and show who would be told of what; no one is told anything by that
    #[arg(long, group = "what")]
    pub(in crate::cli) routes: bool,
    /// Send every kind of alert out to each Alertmanager and back to the daemon, and end it; refused where it would
    /// reach anybody
    #[arg(long = "loop", group = "what")]
    pub(in crate::cli) rounds: bool,
    /// Ring this receiver as a real alert would, with a word; wait until a person says that word
    #[arg(long, value_name = "RECEIVER", group = "what")]
    pub(in crate::cli) ring: Option<String>,
    /// Say that the word of a ring was heard
    #[arg(long, value_name = "WORD", group = "what")]
    pub(in crate::cli) heard: Option<String>,
    /// Run the checks of the files in an engine of its own over scratch databases, plant one failure after the other, and
    /// see which alarm comes for each critical check, and when; no watched database and no Alertmanager is asked
    #[arg(long, group = "what")]
    pub(in crate::cli) faults: bool,
    /// Only the check of this id; may be repeated
    #[arg(long, value_name = "ID", requires = "faults")]
    pub(in crate::cli) check: Vec<String>,
    /// Only this failure; may be repeated
    #[arg(long, value_name = "FAILURE", requires = "faults")]
    pub(in crate::cli) failure: Vec<String>,
    /// How long each may take to come back, a minute by default; how long a ring waits to be heard, ten by default
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(in crate::cli) within: Option<Duration>,
    /// Also while a critical alert of allswell fires
    #[arg(long)]
    pub(in crate::cli) anyway: bool,
    /// Ring without a question
    #[arg(long, requires = "ring")]
    pub(in crate::cli) yes: bool,
    /// Who rings, or who heard it; $USER by default
    #[arg(long, value_name = "WHO")]
    pub(in crate::cli) by: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) remote: Remote,
    /// The settings [default: `$ALLSWELL_CONFIG`, else `allswell.yaml`]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
}

impl DrillArgs {
    /// How long it is waited, where nothing else is said.
    pub(in crate::cli) fn within(&self, usual: TimeDelta) -> Duration {
        self.within.unwrap_or_else(|| usual.to_std().unwrap_or_default())
    }
}
