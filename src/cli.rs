//! The command line: verbs, their output, exit codes.

mod args;
mod ci;
mod config;
mod connect;
mod demo;
mod deps;
mod drill;
mod diff_out;
mod environment;
mod exit;
mod history;
mod import;
mod init;
mod list;
mod next;
mod look;
mod order;
mod paint;
mod plan;
mod remote;
mod report;
mod run;
mod serve;
mod status;
mod stop;
mod suggest;
mod test;
mod validate;
mod waivers;
mod adopt;
mod quiet;
mod forget;
mod generations;
mod accept_zones;
mod windows;
mod zones;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::args::{Args, CompletionsArgs, Verb};
use crate::cli::exit::Exit;
use crate::domain::check::plain::plain;
use crate::manifest::schema::{schema, schema_of_tests};
use crate::settings;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    if let Err(error) = environment::forget_postgres() {
        complain(&format!("allswell: cannot start without the PG* variables: {error}"));
        return Exit::Io.into();
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are not mistakes.
            let code = if error.use_stderr() { Exit::Invalid } else { Exit::Confirmed };
            drop(error.print());
            return code.into();
        }
    };
    let exit = match args.verb {
        Verb::Validate(args) => validate::validate(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Demo(args) => demo::demo(&args),
        Verb::Init(args) => init::init(&args),
        Verb::Import(args) => import::import(&args),
        Verb::List(args) => list::list(&args),
        Verb::Completions(args) => completions(&args),
        Verb::Plan(args) => plan::plan(&args),
        Verb::Generations(args) => generations::generations(&args),
        Verb::Approve(args) => generations::decide(&args, "approve"),
        Verb::Reject(args) => generations::decide(&args, "reject"),
        Verb::Rollback(args) => generations::roll_back(&args),
        Verb::Deps(args) => deps::deps(&args),
        Verb::Suggest(args) => suggest::suggest(&args),
        Verb::Test(args) => test::test(&args),
        Verb::Next(args) => next::next(&args),
        Verb::Zones(args) => zones::zones(&args),
        Verb::Serve(args) => serve::serve(&args),
        Verb::Healthy(args) => status::healthy(&args),
        Verb::Status(args) => status::status(&args),
        Verb::History(args) => history::history(&args),
        Verb::Waivers(args) => waivers::waivers(&args),
        Verb::AcceptZones(args) => accept_zones::accept_zones(&args),
        Verb::Adopt(args) => adopt::adopt(&args),
        Verb::Quiet(args) => quiet::quiet(&args),
        Verb::Forget(args) => forget::forget(&args),
        Verb::Drill(args) => drill::drill(&args),
        Verb::Rerun(args) => order::rerun(&args),
        Verb::Look(args) => look::look(&args),
        Verb::Waive(args) => order::waive(&args),
        Verb::Rules(args) => config::rules(&args),
        Verb::AlertmanagerConfig(args) => config::alertmanager(args),
        Verb::Schema(args) if args.settings => print(&format!("{:#}\n", settings::schema())),
        Verb::Schema(args) if args.tests => print(&format!("{:#}\n", schema_of_tests())),
        Verb::Schema(_) => print(&format!("{:#}\n", schema())),
    };
    exit.into()
}

/// Prints what a shell completes words of allswell with.
fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "allswell", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes to standard output, and nothing that a terminal would obey; a reader who left early is no trouble. JSON
/// stays what it was: what is escaped is escaped as JSON does.
fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(plain(text).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Confirmed,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Confirmed,
        Err(error) => {
            complain(&format!("allswell: cannot write the output: {error}"));
            Exit::Io
        }
    }
}

/// Writes a line to standard error, if anybody can still read it.
fn complain(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{}", plain(text)));
}
