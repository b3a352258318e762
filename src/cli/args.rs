//! The arguments.

mod deps;
mod drill;
mod first;
mod orders;
mod plan;
mod testing;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Parser, Subcommand, ValueEnum};

pub(super) use orders::{
    AcceptZonesArgs, AdoptArgs, ForgetArgs, LookArgs, QuietArgs, RerunArgs, Rows, SuggestArgs,
    WaiveArgs, WaiversArgs,
};

pub(super) use deps::{DepsArgs, DepsFormat};
pub(super) use drill::DrillArgs;
pub(super) use first::{CompletionsArgs, Foreign, ImportArgs, InitArgs, ListArgs};
pub(super) use plan::{DecideArgs, GenerationsArgs, PlanArgs, PlanFormat, RollBackArgs};
pub(super) use testing::TestArgs;

use crate::cli::windows;
use crate::domain::check::catalogue::Selection;
use crate::manifest;

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
    /// Begin in an empty folder: settings for a database, the script for its role, a first check, and a first look
    Init(InitArgs),
    /// Read the checks and say what is wrong with them, without asking any database
    Validate(ValidateArgs),
    /// List what is declared: each check with its owner, source, when it looks, and its file
    List(ListArgs),
    /// Look once at what the checks declare, and say what is confirmed
    Run(RunArgs),
    /// Say what a change of checks does to what they prove: weaker, stronger, or other, against what a daemon runs
    Plan(PlanArgs),
    /// List the catalogues that a daemon runs, ran, or is to run
    Generations(GenerationsArgs),
    /// Say that a catalogue that waits is right: it is loaded at once
    Approve(DecideArgs),
    /// Say that a catalogue that waits is not right
    Reject(DecideArgs),
    /// Go back to an earlier catalogue; the files count again once they change
    Rollback(RollBackArgs),
    /// Show what checks stand on, what goes dark with a source or a table, and which tables no check reaches
    Deps(DepsArgs),
    /// Propose rules for a table that all of the last four weeks keep, as a file of checks; nothing is written
    Suggest(SuggestArgs),
    /// Print tests of dbt or Soda, a data contract, or queries for Prometheus as checks, and what is left to do
    Import(ImportArgs),
    /// Show that checks are able to fail: on made-up rows, in scratch databases
    Test(TestArgs),
    /// Say what is due when, and what clock changes do to it
    Next(NextArgs),
    /// Say which rules of time zones are used, and who computes with others
    Zones(ZonesArgs),
    /// Watch: look at everything when it is due, and keep a record of it
    Serve(ServeArgs),
    /// Say whether a daemon's process answers: 0 where it does; for health checks of containers
    Healthy(HealthyArgs),
    /// Say how a daemon and its series are
    Status(StatusArgs),
    /// Show the record of a check
    History(HistoryArgs),
    /// List the waivers that cover something
    Waivers(WaiversArgs),
    /// Have recorded windows tried again
    Rerun(RerunArgs),
    /// Have a daemon look at the newest windows at once, and say what it saw
    Look(LookArgs),
    /// Vouch for open windows, with a reason
    Waive(WaiveArgs),
    /// Take the next list of zones of a check as it is, though many are gone
    AcceptZones(AcceptZonesArgs),
    /// List alerts that stood before the ledger knew of them, or end them
    Adopt(AdoptArgs),
    /// Stop the notifications of a check for a while; nothing else changes. Or list what is kept quiet
    Quiet(QuietArgs),
    /// Cut the values of the data that findings of a check were kept with
    Forget(ForgetArgs),
    /// Show who would be told of everything, send it out and back, ring a receiver, or try what alarms ring when things fail
    Drill(DrillArgs),
    /// Print the rules by which Prometheus tells what allswell cannot: that it is gone
    Rules(RulesArgs),
    /// Print what Alertmanager needs to know: a route, a receiver, inhibitions
    AlertmanagerConfig(AlertmanagerArgs),
    /// Print what a shell completes words of allswell with
    Completions(CompletionsArgs),
    /// Print the JSON Schema of the language, or of the settings, for editors
    Schema(SchemaArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// Of the settings, `allswell.yaml`, instead of files of checks
    #[arg(long, conflicts_with = "tests")]
    pub(super) settings: bool,
    /// Of files of tests, `*.test.yaml`, instead of files of checks
    #[arg(long)]
    pub(super) tests: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct HealthyArgs {
    #[command(flatten)]
    pub(super) remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Where to make it
    #[arg(long, value_name = "DIR", default_value = "allswell-demo")]
    pub(super) folder: PathBuf,
    /// Watch it as a daemon, until Ctrl-C
    #[arg(long)]
    pub(super) serve: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// Take the first catalogue even if it removes much, or checks of which something is open
    #[arg(long)]
    pub(super) accept_removals: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// The settings [default: `$ALLSWELL_CONFIG`, else `allswell.yaml`]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct AlertmanagerArgs {
    #[command(flatten)]
    pub(super) from: ConfigArgs,
    /// With the route and the receiver by which drills come back (`allswell drill --loop`)
    #[arg(long)]
    pub(super) drill: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RulesArgs {
    #[command(flatten)]
    pub(super) from: ConfigArgs,
    /// The job by which Prometheus scrapes this installation, where it scrapes several
    #[arg(long, value_name = "JOB")]
    pub(super) job: Option<String>,
}

/// Which daemon is asked, and as whom.
#[derive(Debug, clap::Args)]
pub(super) struct Remote {
    /// The daemon; by default `$ALLSWELL_URL`, else port 9847 of this machine
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// A file with the token [default: `$ALLSWELL_TOKEN` is the token]
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The certificate of the authority that signed the daemon's
    #[arg(long, value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) remote: Remote,
    /// Only the check of this id
    #[arg(long, value_name = "ID")]
    pub(super) check: Option<String>,
    /// Only the checks of this owner
    #[arg(long, value_name = "OWNER")]
    pub(super) owner: Option<String>,
    /// Show every series, not only those that are not confirmed
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The check
    #[arg(value_name = "CHECK")]
    pub(super) check: String,
    #[command(flatten)]
    pub(super) remote: Remote,
    /// Only in this zone
    #[arg(long, value_name = "ZONE")]
    pub(super) zone: Option<String>,
    /// Only what is open
    #[arg(long)]
    pub(super) open: bool,
    /// Only what begins at this moment or after, and the window that an instant lies in: a local date, yesterday, 2h
    /// (ago), or an instant
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(super) from: Option<String>,
    /// Only what begins before this moment; a date is in it
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(super) to: Option<String>,
    /// How many rows at most, latest first
    #[arg(long, value_name = "N", default_value = "50")]
    pub(super) limit: NonZeroUsize,
}

#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// Ask the databases too: have them plan each query, and say what protects each source
    #[arg(long)]
    pub(super) connect: bool,
    /// Refuse a critical check of which no written test shows that it can be violated and that it can be confirmed
    #[arg(long)]
    pub(super) strict: bool,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) from: From,
    #[command(flatten)]
    pub(super) select: Select,
    /// The windows of a local date, like 2026-03-08, or of dates: 2026-03-01..2026-04-01 is March
    #[arg(long, value_name = "DATES", value_parser = windows::dates)]
    pub(super) window: Option<(NaiveDate, NaiveDate)>,
    /// The last windows that had ended and settled by then, like 2026-03-09T12:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = instant_or_date, conflicts_with = "window")]
    pub(super) at: Option<DateTime<Utc>>,
    /// Show the SQL of what is not confirmed
    #[arg(long)]
    pub(super) sql: bool,
    /// Write every key on which two sides differ into a file: JSON where it ends with .json, else CSV
    #[arg(long, value_name = "FILE")]
    pub(super) diff_out: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct NextArgs {
    #[command(flatten)]
    pub(super) at: From,
    #[command(flatten)]
    pub(super) select: Select,
    /// After this instant; a date is its beginning in UTC [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant_or_date)]
    pub(super) from: Option<DateTime<Utc>>,
    /// Up to this instant [default: 7 days later]
    #[arg(long, value_name = "INSTANT", value_parser = instant_or_date)]
    pub(super) to: Option<DateTime<Utc>>,
    /// Only in this zone; for checks whose zones a query names, in this zone; may be repeated
    #[arg(long, value_name = "ZONE")]
    pub(super) zone: Vec<String>,
    /// Say instead how long it takes from wrong data to an alert, at most
    #[arg(long, conflicts_with = "to")]
    pub(super) to_alert: bool,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, clap::Args)]
pub(super) struct ZonesArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// List the clock changes of this zone, and ask no database; may be repeated
    #[arg(long, value_name = "ZONE")]
    pub(super) zone: Vec<String>,
    /// Ask no database
    #[arg(long)]
    pub(super) offline: bool,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// Reads an instant, or a date as its beginning in UTC.
fn instant_or_date(text: &str) -> Result<DateTime<Utc>, String> {
    if text.len() == 10 {
        return manifest::date(text).map(|date| date.and_time(NaiveTime::MIN).and_utc());
    }
    manifest::instant(text)
}

/// Which checks.
#[derive(Debug, clap::Args)]
pub(super) struct Select {
    /// Only the check of this id; may be repeated
    #[arg(long, value_name = "ID")]
    check: Vec<String>,
    /// Only the checks of this owner; may be repeated
    #[arg(long, value_name = "OWNER")]
    owner: Vec<String>,
    /// Only the checks that ask this source; may be repeated
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
}

impl Select {
    pub(super) fn selection(&self) -> Selection {
        Selection {
            checks: self.check.clone(),
            owners: self.owner.clone(),
            sources: self.source.clone(),
        }
    }
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

/// How a look, or the reading of files, is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// The XML of unit tests, for servers of continuous integration
    Junit,
    /// Annotations of GitHub Actions, at most ten, the worst first
    Github,
    /// A table for a summary or a comment, at most 60,000 bytes, the worst first
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

impl std::convert::From<Output> for Format {
    fn from(output: Output) -> Self {
        match output {
            Output::Text => Self::Text,
            Output::Json => Self::Json,
        }
    }
}
