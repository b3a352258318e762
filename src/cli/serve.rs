//! `serve`: the daemon.

use crate::cli::args::{Output, ServeArgs};
use crate::cli::exit::Exit;
use crate::cli::validate::{config, refuse, tzdir};
use crate::cli::{complain, print};
use crate::clock::Clock;
use crate::daemon::{self, NotStarted, Start};
use crate::domain::check::succession::Removals;

pub(super) fn serve(args: &ServeArgs) -> Exit {
    let removals = if args.accept_removals { Removals::Accepted } else { Removals::AsDeclared };
    let start = Start {
        config: config(&args.from),
        paths: args.from.paths.clone(),
        removals,
        tzdir: tzdir(),
        clock: Clock::host(),
    };
    watch(start, "")
}

/// Watches until a signal ends it; says something more once it does.
pub(super) fn watch(start: Start, hint: &str) -> Exit {
    let announce = |line: &str| {
        // Whoever starts us may read this line, or not.
        let _ = print(&format!("{line}\n"));
        if !hint.is_empty() {
            complain(hint);
        }
    };
    match daemon::serve(start, announce) {
        Ok(()) => Exit::Confirmed,
        Err(NotStarted::Invalid(faults)) => refuse(&faults, Output::Text),
        Err(error @ NotStarted::Refused(_)) => {
            complain(&format!("allswell: {error}"));
            Exit::Invalid
        }
        Err(error @ NotStarted::Io(_)) => {
            complain(&format!("allswell: {error}"));
            Exit::Io
        }
    }
}
