//! `run`: look once.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{Format, RunArgs};
use crate::cli::diff_out;
use crate::cli::exit::Exit;
use crate::cli::paint::Paint;
use crate::cli::report::{Addresses, Aside, Style, Why};
use crate::cli::validate::{Loaded, load, refuse, warn};
use crate::cli::windows::{self, HistoryFilter};
use crate::cli::{complain, print, report, stop};
use crate::clock;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::verdict::Verdict;
use crate::domain::check::{Body, Check};
use crate::domain::record::series::Series;
use crate::domain::time::schedule::Until;
use crate::domain::time::window::{WindowRule, ZoneChoice};
use crate::engine::asking::Sources;
use crate::engine::attempt::Attempted;
use crate::engine::round::{Outcome, Task, round};
use crate::engine::zone_list;
use crate::settings::Settings;
use crate::source::Source;
use crate::zones::Zones;

/// How many differences are kept for a file.
const DIFFERENCES_MAX: usize = 1_000_000;
/// How often a number that grows is shown anew.
const SHOWN_EACH: Duration = Duration::from_millis(500);
/// The most attempts of one run.
const TASKS_MAX: usize = 100_000;

pub(super) fn run(args: &RunArgs) -> Exit {
    let Loaded { settings, catalogue, zones } = match load(&args.from) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, args.output),
    };
    let checks = match catalogue.select(&args.select.selection()) {
        Ok(checks) => checks,
        Err(message) => {
            complain(&message);
            return Exit::Invalid;
        }
    };
    warn(catalogue.warnings_of(&checks));
    let now = clock::now();
    let wanted = match (args.window, args.at) {
        (Some((from, to)), _) => Some(HistoryFilter::Dates(from, to)),
        (None, Some(at)) => Some(HistoryFilter::LastBy(at)),
        (None, None) => None,
    };
    // Before anything is asked: the reader waited for it.
    if let Some(path) = args.diff_out.as_ref().filter(|path| !diff_out::is_known(path)) {
        complain(&format!(
            "{}: `--diff-out` writes files that end in .csv or .json",
            path.display()
        ));
        return Exit::Invalid;
    }
    if let Some(path) = &args.diff_out
        && let Err(error) = diff_out::create(path)
    {
        complain(&format!("cannot write {}: {error}", path.display()));
        return Exit::Io;
    }
    let kept_max = args.diff_out.as_ref().map(|_| DIFFERENCES_MAX);
    let seen = look(&settings, &zones, &checks, wanted, now, kept_max);
    let Seen { outcomes, asides } = match seen {
        Ok(seen) => seen,
        Err((message, exit)) => {
            complain(&message);
            return exit;
        }
    };
    let text = match args.output {
        Format::Text => {
            let addresses = addresses(&settings);
            let (paint, with_sql) = (Paint::of_stdout(), args.sql);
            report::text(&outcomes, &asides, &Style { paint, with_sql, addresses: &addresses })
        }
        Format::Json => format!("{}\n", report::json::json(&outcomes, &asides)),
        Format::Junit => report::cases::report(&outcomes, &asides).junit(),
        Format::Github => report::cases::report(&outcomes, &asides).github(),
        Format::Markdown => report::cases::report(&outcomes, &asides).markdown(),
    };
    let written = match &args.diff_out {
        Some(path) => diff_out::write(path, &outcomes),
        None => Exit::Confirmed,
    };
    Exit::of(&outcomes).after(print(&text)).after(written)
}

/// What a look brought.
pub(super) struct Seen {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) asides: Vec<Aside>,
}

/// Says where each source is.
pub(super) fn addresses(settings: &Settings) -> Addresses {
    settings.sources.iter().map(|s| (s.name.clone(), s.dsn.to_string())).collect()
}

/// Opens the sources that the checks ask and makes a round: of what is wanted, or of the present and
/// the last windows.
pub(super) fn look(
    settings: &Settings,
    zones: &Zones,
    checks: &[Arc<Check>],
    wanted: Option<HistoryFilter>,
    now: DateTime<Utc>,
    kept_max: Option<usize>,
) -> Result<Seen, (String, Exit)> {
    let mut round = Round {
        zones,
        wanted,
        now,
        kept_max,
        tasks: Vec::new(),
        early: Vec::new(),
        asides: Vec::new(),
    };
    let (windowed, others): (Vec<_>, Vec<_>) = checks.iter().partition(|c| c.window.is_some());
    if wanted.is_some() && windowed.is_empty() {
        let message = "none of these checks has a window; leave `--window` and `--at` away";
        return Err((message.into(), Exit::Invalid));
    }
    let left_out = if wanted.is_some() { others.len() } else { 0 };
    if left_out > 0 {
        let checks = if left_out == 1 { "check" } else { "checks" };
        complain(&format!("left out: {left_out} {checks} without a window"));
    }
    let checks = || checks.iter().filter(|c| wanted.is_none() || c.window.is_some());
    let mut sources = Sources::new();
    for entry in &settings.sources {
        if checks().any(|c| c.sources().contains(&&entry.name)) {
            let source = Source::new(entry.open());
            sources.insert(entry.name.clone(), Arc::new(source));
        }
    }
    // One thread: a round waits far more than it computes, and each hand-over between threads would
    // cost more than a check does.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| (format!("cannot start: {e}"), Exit::Io))?;
    let (stop, sources) = (CancellationToken::new(), Arc::new(sources));
    let seen = runtime.block_on(async {
        tokio::select! {
            seen = round.make(checks().cloned().collect(), &sources, &stop) => seen,
            () = stop::on_signal(stop.clone()) => {
                Err(("stopped at once: nothing can be said".to_owned(), Exit::Unconfirmed))
            }
        }
    });
    runtime.shutdown_background();
    for (name, source) in sources.iter() {
        if let Some(powers) = source.remark() {
            complain(&format!("warning: source `{name}`: {powers}"));
        }
    }
    Ok(Seen { outcomes: seen?, asides: round.asides })
}

/// A round that is being put together.
struct Round<'a> {
    zones: &'a Zones,
    wanted: Option<HistoryFilter>,
    now: DateTime<Utc>,
    /// How many differences are kept, where more of them are wanted.
    kept_max: Option<usize>,
    tasks: Vec<Task>,
    /// Windows that are asked for too early.
    early: Vec<Outcome>,
    asides: Vec<Aside>,
}

impl Round<'_> {
    async fn make(
        &mut self,
        checks: Vec<Arc<Check>>,
        sources: &Arc<Sources>,
        stop: &CancellationToken,
    ) -> Result<Vec<Outcome>, (String, Exit)> {
        let mut outcomes = Vec::new();
        for check in checks {
            let rules = |name: &_| self.zones.rules(name);
            let mut list = None;
            let (looks, asides) = (self.tasks.len() + self.early.len(), self.asides.len());
            let listed = match check.window.as_ref().map(|rule| &rule.zones) {
                // Who waits for an instant is not asked for zones either.
                Some(ZoneChoice::From(_)) if self.waits(&check) => continue,
                Some(ZoneChoice::From(from)) => {
                    let listed = zone_list::list(&check, from, self.zones, sources, stop).await;
                    let task = Task::present(Arc::clone(&check));
                    list = Some(Outcome::new(&task, self.now, listed.attempted));
                    for odd in listed.zones.iter().filter_map(|zone| self.zones.odd(zone)) {
                        complain(&format!("warning: {}: in the data, {odd}", check.id));
                    }
                    let zones = listed.zones.iter();
                    zones.map(|zone| Series::in_zone(&check, zone, &rules)).collect()
                }
                Some(ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::Each(_)) | None => {
                    Series::of(&check, &rules)
                }
            };
            // The manifest looked each zone up.
            for series in listed.unwrap_or_default() {
                if let Some(until) = series.paused_until(self.now) {
                    self.put_aside(&check, Why::Paused(until, series.tz().cloned()));
                } else if let Some(rule) = series.window() {
                    self.choose(&series, rule)?;
                } else {
                    self.present(&series);
                }
            }
            let looked = self.tasks.len() + self.early.len() > looks;
            let confirmed = |o: &Outcome| o.judgement.verdict == Verdict::Confirmed;
            // A list of zones is no proof of what is to be looked at in them.
            match list {
                Some(list) if looked || !confirmed(&list) => outcomes.push(list),
                Some(_) | None if looked || self.asides.len() > asides => {}
                Some(_) | None => outcomes.push(self.nothing(check)),
            }
        }
        outcomes.append(&mut self.early);
        let progress = Progress::new(self.tasks.len());
        for task in &mut self.tasks {
            task.watching.kept_max = self.kept_max;
        }
        let looked = round(&self.tasks, sources, self.now, stop, |o| progress.saw(o));
        let mut looked = std::pin::pin!(looked);
        let began = Instant::now();
        let mut waits = vec![0; self.tasks.len()];
        let looked = loop {
            tokio::select! {
                biased;
                looked = &mut looked => break looked,
                () = tokio::time::sleep(SHOWN_EACH) => {
                    progress.waiting(&self.tasks, &mut waits);
                    progress.compared(&self.tasks, began.elapsed());
                }
            }
        };
        outcomes.extend(looked);
        progress.finish();
        Ok(outcomes)
    }

    /// What is said of a check of which there is no window.
    fn nothing(&self, check: Arc<Check>) -> Outcome {
        let note = "there is no window there to look at";
        let attempted =
            Attempted::unconfirmed(Reason::new(Cause::NoEvidence, note), Duration::ZERO);
        Outcome::new(&Task::present(check), self.now, attempted)
    }

    /// Puts a check aside that its owner lets wait for an instant, whatever its zones are.
    fn waits(&mut self, check: &Arc<Check>) -> bool {
        let until = check.pause.as_ref().map(|pause| pause.until);
        let Some(Until::Instant(until)) = until else { return false };
        if until > self.now {
            self.put_aside(check, Why::Paused(until, None));
        }
        until > self.now
    }

    /// Looks at the present, unless the owner takes today out.
    fn present(&mut self, series: &Series) {
        let today = series.clock.rules.date_at(self.now);
        if series.excepts(today) {
            let why = Why::Excepted(vec![today], series.clock.name.clone());
            self.put_aside(&series.check, why);
        } else {
            self.tasks.push(Task::present(Arc::clone(&series.check)));
        }
    }

    fn put_aside(&mut self, check: &Arc<Check>, why: Why) {
        self.asides.push(Aside { check: Arc::clone(check), why });
    }

    fn choose(&mut self, series: &Series, rule: &WindowRule) -> Result<(), (String, Exit)> {
        let wanted = self.wanted.unwrap_or(HistoryFilter::LastBy(self.now));
        let chosen = windows::choose(series, rule, wanted, self.now);
        let chosen = chosen.map_err(|message| (message, Exit::Invalid))?;
        for (window, settles) in chosen.unsettled {
            let note =
                format!("it ends and settles at {}, and not before", windows::shown(settles));
            let attempted = Attempted::unconfirmed(Reason::new(Cause::Clock, note), Duration::ZERO);
            self.early.push(Outcome::new(&Task::window(series, window), self.now, attempted));
        }
        if !chosen.excepted.is_empty() {
            let why = Why::Excepted(chosen.excepted, series.home.name.clone());
            self.put_aside(&series.check, why);
        }
        if !chosen.left_out.is_empty() {
            let why = Why::NoSuchDate(chosen.left_out, series.home.name.clone());
            self.put_aside(&series.check, why);
        }
        self.tasks.extend(chosen.windows.into_iter().map(|w| Task::window(series, w)));
        if self.tasks.len() + self.early.len() > TASKS_MAX {
            let message =
                format!("that is more than {TASKS_MAX} windows: ask for fewer days or checks");
            return Err((message, Exit::Invalid));
        }
        Ok(())
    }
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
            Verdict::Unconfirmed(reason) => {
                bar.set_message(format!("{} is unconfirmed: {}", outcome.check.id, reason.cause));
            }
        }
    }

    /// Shows how many rows were compared so far, where any are.
    fn compared(&self, tasks: &[Task], took: Duration) {
        let Some(bar) = &self.0 else { return };
        let rows = tasks.iter().map(|task| task.watching.progress.rows().iter().sum::<u64>());
        let rows: u64 = rows.sum();
        if rows == 0 {
            return;
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = rows.saturating_mul(1_000) / millis;
        let expected = tasks.iter().filter_map(|task| task.watching.progress.expected());
        let expected = expected.sum::<u64>().saturating_mul(2);
        let left = expected.saturating_sub(rows).checked_div(rate).filter(|secs| *secs > 0);
        let left = left.map_or(String::new(), |secs| format!(", about {secs} s left"));
        bar.set_message(format!("{rows} rows compared, {rate} a second{left}"));
    }

    /// Says of what differs that it is looked at again, and when: the terminal would be still without a reason.
    fn waiting(&self, tasks: &[Task], known: &mut [u64]) {
        for (task, known) in tasks.iter().zip(known) {
            let waits = task.watching.progress.waits();
            let Body::Reconcile(reconcile) = &task.check.body else { continue };
            if waits == std::mem::replace(known, waits) {
                continue;
            }
            let line = format!(
                "{}: both sides differ; looked at again after {}, to see whether that lasts (`confirm_after`)",
                task.check.id,
                format_args!("{:?}", reconcile.confirm_after)
            );
            match &self.0 {
                Some(bar) => bar.suspend(|| complain(&line)),
                None => complain(&line),
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
