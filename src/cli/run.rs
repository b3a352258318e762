//! `run`: look once.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::cli::args::{Output, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::paint::Paint;
use crate::cli::report::{Addresses, Style};
use crate::cli::validate::{Loaded, load, refuse};
use crate::cli::{complain, print, report, stop};
use crate::clock;
use crate::domain::catalogue::Selection;
use crate::domain::check::Check;
use crate::domain::verdict::Verdict;
use crate::engine::attempt::Sources;
use crate::engine::round::{Outcome, round};
use crate::settings::Settings;
use crate::source::Source;

pub(super) fn run(args: &RunArgs) -> Exit {
    let Loaded { settings, catalogue } = match load(&args.from) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, args.output),
    };
    let wanted = Selection {
        checks: args.check.clone(),
        owners: args.owner.clone(),
        sources: args.source.clone(),
    };
    let checks = match catalogue.select(&wanted) {
        Ok(checks) => checks,
        Err(message) => {
            complain(&message);
            return Exit::Invalid;
        }
    };
    let outcomes = match look(&settings, &checks) {
        Ok(outcomes) => outcomes,
        Err((message, exit)) => {
            complain(&message);
            return exit;
        }
    };
    let text = match args.output {
        Output::Text => {
            let addresses = addresses(&settings);
            let (paint, with_sql) = (Paint::of_stdout(), args.sql);
            report::text(&outcomes, &Style { paint, with_sql, addresses: &addresses })
        }
        Output::Json => format!("{}\n", report::json(&outcomes)),
    };
    Exit::of(&outcomes).after(print(&text))
}

/// Says where each source is.
pub(super) fn addresses(settings: &Settings) -> Addresses {
    settings.sources.iter().map(|s| (s.name.clone(), s.dsn.to_string())).collect()
}

/// Opens the sources that the checks ask and makes a round.
pub(super) fn look(
    settings: &Settings,
    checks: &[Arc<Check>],
) -> Result<Vec<Outcome>, (String, Exit)> {
    let mut sources = Sources::new();
    for entry in &settings.sources {
        if checks.iter().any(|c| c.sources().contains(&&entry.name)) {
            let source = Source::new(entry.open().map_err(|e| (e, Exit::Invalid))?);
            sources.insert(entry.name.clone(), Arc::new(source));
        }
    }
    // One thread: a round waits far more than it computes, and each hand-over between threads would
    // cost more than a check does.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| (format!("cannot start: {e}"), Exit::Io))?;
    let stop = CancellationToken::new();
    let progress = Progress::new(checks.len());
    let outcomes = runtime.block_on(async {
        let sources = Arc::new(sources);
        tokio::select! {
            outcomes = round(checks, &sources, clock::now(), &stop, |o| progress.saw(o)) => {
                Ok(outcomes)
            }
            () = stop::on_signal(stop.clone()) => {
                Err(("stopped at once: nothing can be said".to_owned(), Exit::Unconfirmed))
            }
        }
    });
    progress.finish();
    runtime.shutdown_background();
    outcomes
}

/// A line on the terminal while it takes long.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new(checks: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(u64::try_from(checks).unwrap_or(0));
        let style = ProgressStyle::with_template("{pos}/{len} looked at  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(Some(bar))
    }

    fn saw(&self, outcome: &Outcome) {
        let Some(bar) = &self.0 else { return };
        bar.inc(1);
        match &outcome.judgement.verdict {
            Verdict::Confirmed => {}
            Verdict::Violated(_) => bar.set_message(format!("{} is violated", outcome.check.id)),
            Verdict::Unconfirmed(doubt) => {
                bar.set_message(format!("{} is unconfirmed: {}", outcome.check.id, doubt.cause));
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
