//! `demo`: a small billing company with a hidden defect, made, checked, and left to play with.

mod company;

use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::cli::args::{DemoArgs, Format};
use crate::cli::exit::Exit;
use crate::cli::paint::Paint;
use crate::cli::report::Style;
use crate::cli::run::{addresses, look};
use crate::cli::serve::watch;
use crate::cli::validate::{Loaded, load_with, refuse, tzdir, zones};
use crate::cli::windows::{self, HistoryFilter};
use crate::cli::{complain, print, report};
use crate::clock::{self, Clock};
use crate::daemon::Start;
use crate::domain::check::fault::Fault;
use crate::domain::check::succession::Removals;
use crate::engine::round::Outcome;
use crate::settings::Settings;

/// The example catalogue of this repository, which the demo checks.
const CHECKS: [(&str, &str); 8] = [
    ("checks/billing.yaml", include_str!("../../checks/billing.yaml")),
    ("checks/accounts.yaml", include_str!("../../checks/accounts.yaml")),
    ("checks/reconciliation.yaml", include_str!("../../checks/reconciliation.yaml")),
    ("checks/billing.test.yaml", include_str!("../../checks/billing.test.yaml")),
    ("checks/accounts.test.yaml", include_str!("../../checks/accounts.test.yaml")),
    ("checks/reconciliation.test.yaml", include_str!("../../checks/reconciliation.test.yaml")),
    ("checks/schema/company.sql", include_str!("../../checks/schema/company.sql")),
    ("checks/schema/billing.sql", include_str!("../../checks/schema/billing.sql")),
];

/// The local dates that the demo looks at.
const DATES: &str = "2025-01-01..2026-01-01";

/// When the demo's daemon begins to watch.
const WATCHED_FROM: &str = "2025-11-03T12:00:00Z";

/// Where the demo keeps the word by which its daemon knows who may act.
const TOKEN_FILE: &str = "operator-token";

const SETTINGS: &str = "\
# Where the checks are, and which databases they may ask.
checks: [checks/]
sources:
  company: {url: \"sqlite:company.db\", instants: sql, connections: 4}
  billing: {url: \"sqlite:billing.db\", instants: sql, connections: 4}
web: {operator_token: \"${file:operator-token}\"}
";

/// What each check of the demo shows.
const WORDS: [(&str, &str); 11] = [
    (
        "each-local-day-is-invoiced-as-used",
        "the defect: a stripe of offsets, for six weeks after clocks changed",
    ),
    (
        "billed-equals-used-on-each-side-of-a-clock-change",
        "the same defect between two databases, hour by hour; half a day where clocks changed",
    ),
    ("addresses-are-verified", "the table was renamed; elsewhere such a check often ends green"),
    ("refunds-are-approved", "nothing is wrong with no refunds at all, so nothing is proved"),
    ("the-grand-total-agrees", "the total agrees to the cent, and does not show the defect"),
    ("the-total-of-each-account-agrees", "so does the total of each account"),
    ("invoice-lines-are-positive", "no bad row, and evidence that there were rows to look at"),
    ("chargebacks-are-answered", "no rows here is normal, and the check says why"),
    ("every-account-has-a-zone", "NULL satisfies no limit"),
    ("every-account-was-invoiced", "the list of who must appear comes from the database"),
    ("plans-are-known", "one of a list"),
];

pub(super) fn demo(args: &DemoArgs) -> Exit {
    let folder = &args.folder;
    let made = match prepare(folder) {
        Ok(Some(made)) => made,
        Ok(None) => {
            complain(&format!(
                "{} holds something that is no demo: name another folder with `--folder`",
                folder.display()
            ));
            return Exit::Invalid;
        }
        Err(error) => {
            complain(&format!("cannot make the demo in {}: {error}", folder.display()));
            return Exit::Io;
        }
    };
    if args.serve {
        return serve(folder);
    }
    let (settings, outcomes) = match check(folder) {
        Ok(checked) => checked,
        Err(exit) => return exit,
    };
    let addresses = addresses(&settings);
    let style = Style { paint: Paint::of_stdout(), with_sql: false, addresses: &addresses };
    let shown = folder.display();
    let mut text = format!(
        "A small billing company, {} in {shown}\n\n{}",
        if made { "made" } else { "found as you left it" },
        report::text(&outcomes, &[], &style)
    );
    if made {
        text.push_str("\nWhat you see:\n");
        let width = WORDS.iter().map(|(id, _)| id.len()).max().unwrap_or(0);
        for (id, word) in WORDS {
            let _ = writeln!(text, "  {id:<width$}  {word}");
        }
    }
    let program = std::env::args().next().unwrap_or_else(|| "allswell".into());
    let _ = write!(
        text,
        "\nChange a check or the data, and look again at everything; at some days; at the calendar; at whether the \
         checks can fail:\n  \
         {program} demo --folder {shown}\n  \
         {program} run --config {shown}/allswell.yaml --window 2025-10-20..2025-11-10\n  \
         {program} next --config {shown}/allswell.yaml --zone America/New_York --from 2025-11-01\n  \
         {program} test --config {shown}/allswell.yaml --mutants\n\
         The data is of 2025: a plain `run` looks at last night, and finds none. To begin anew, remove \
         {shown}.\n"
    );
    // A new demo is there to show all three verdicts: that it does so is its success.
    let seen = |exit: Exit| outcomes.iter().any(|o| Exit::of(std::slice::from_ref(o)) == exit);
    let all_three = [Exit::Confirmed, Exit::Violated, Exit::Unconfirmed].into_iter().all(seen);
    let exit = if made && all_three { Exit::Confirmed } else { Exit::of(&outcomes) };
    exit.after(print(&text))
}

/// Watches the company as a daemon that lives in the demo's year: on the day after clocks changed in
/// America, when the defect begins to show.
fn serve(folder: &Path) -> Exit {
    let then: DateTime<Utc> = WATCHED_FROM.parse().expect("the demo's day is an instant");
    let ago = clock::now() - then;
    let config = folder.join("allswell.yaml");
    let program = std::env::args().next().unwrap_or_else(|| "allswell".into());
    let hint = format!(
        "A daemon on {then}, over the company in {}. Its pages are at http://127.0.0.1:9847/ (to act there, log in with what is \
         in {}). Or from another terminal:\n  \
         {program} status\n  \
         {program} history each-local-day-is-invoiced-as-used --zone America/New_York\n  \
         {program} rerun each-local-day-is-invoiced-as-used --token-file {}\n  \
         curl http://127.0.0.1:9847/allswell\n\
         Ctrl-C stops it; its record is {}.",
        folder.display(),
        folder.join(TOKEN_FILE).display(),
        folder.join(TOKEN_FILE).display(),
        folder.join("allswell.db").display(),
    );
    let start = Start {
        config,
        paths: Vec::new(),
        removals: Removals::AsDeclared,
        tzdir: tzdir(),
        clock: Clock::of(move || clock::now() - ago),
    };
    watch(start, &hint)
}

/// Makes the folder, unless it holds a demo already; `None` where it holds anything else.
fn prepare(folder: &Path) -> io::Result<Option<bool>> {
    let sign = folder.join(".allswell-demo");
    if sign.exists() {
        return Ok(Some(false));
    }
    if folder.exists() && fs::read_dir(folder)?.next().is_some() {
        return Ok(None);
    }
    fs::create_dir_all(folder.join("checks/schema"))?;
    company::make(&folder.join("company.db"), &zones())?;
    company::make_billing(&folder.join("billing.db"), &zones())?;
    for (path, text) in CHECKS {
        fs::write(folder.join(path), text)?;
    }
    fs::write(folder.join("allswell.yaml"), SETTINGS)?;
    let token = RandomState::new().hash_one(folder);
    fs::write(folder.join(TOKEN_FILE), format!("{token:016x}\n"))?;
    // Last, because it says that the folder is ours, and whole.
    fs::write(sign, "made by `allswell demo`\n")?;
    Ok(Some(true))
}

fn check(folder: &Path) -> Result<(Settings, Vec<Outcome>), Exit> {
    let invalid = |faults: Vec<Fault>| refuse(&faults, Format::Text);
    let settings = Settings::read(&folder.join("allswell.yaml")).map_err(invalid)?;
    let paths = settings.checks.clone();
    let Loaded { settings, catalogue, zones } = load_with(settings, &paths).map_err(invalid)?;
    let told = |(message, exit): (String, Exit)| {
        complain(&message);
        exit
    };
    let now = clock::now();
    let year = windows::dates(DATES).map_err(|message| told((message, Exit::Invalid)))?;
    let mut outcomes = Vec::new();
    // The data is of one year; what has no window is looked at as it is.
    let (windowed, others): (Vec<_>, Vec<_>) =
        catalogue.checks().iter().cloned().partition(|check| check.window.is_some());
    let year = Some(HistoryFilter::Dates(year.0, year.1));
    for (checks, wanted) in [(others, None), (windowed, year)] {
        if !checks.is_empty() {
            let seen = look(&settings, &zones, &checks, wanted, now, None).map_err(told)?;
            outcomes.extend(seen.outcomes);
        }
    }
    Ok((settings, outcomes))
}
