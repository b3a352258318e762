//! What a change does, told: what is weaker first, and whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::ci::{Case, Place, Report, State, Suite};
use crate::cli::exit::Exit;
use crate::cli::paint::Paint;
use crate::cli::plan::lines::{line, notes};
use crate::cli::plan::seen::{Outcome, Seen};
use crate::domain::change::word::{Rollout, Word};
use crate::domain::change::{Changed, Changes, Class, Difference, source_of};
use crate::domain::check::Severity;
use crate::domain::check::catalogue::{Catalogue, Weakened};

/// Of how many changes it is shown how they are approved.
const HINTED: usize = 3;

/// Changes, each with whether it waits for approval.
pub(super) struct Plan<'p> {
    pub(super) changes: Vec<(&'p Changed, Word)>,
    all: &'p Changes,
    rollout: Rollout,
    /// With what they were compared.
    against: String,
    /// The checks of which shadow shows what no file approves.
    beyond_files: BTreeSet<String>,
    /// What the daemon saw in shadow, by check.
    seen: BTreeMap<String, Seen>,
    /// What differs in the settings that teams share, and who is hit; why that is not known, where it is not.
    pub(super) settings: Result<Vec<(Difference, String)>, String>,
    /// What changed underneath the checks that run, since their catalogue is active.
    pub(super) underneath: Vec<String>,
}

impl<'p> Plan<'p> {
    pub(super) fn new(
        all: &'p Changes,
        (rollout, weakened, now): (Rollout, &[Weakened], DateTime<Utc>),
        against: String,
    ) -> Self {
        let word =
            |changed: &'p Changed| (changed, changed.word(rollout, weakened, now.date_naive()));
        let changes: Vec<_> = all.checks.iter().map(word).collect();
        let mut plan = Self {
            changes,
            all,
            rollout,
            against,
            beyond_files: BTreeSet::new(),
            seen: BTreeMap::new(),
            settings: Ok(Vec::new()),
            underneath: Vec::new(),
        };
        plan.sort();
        plan
    }

    /// What waits first; the rest stays in its order.
    fn sort(&mut self) {
        self.changes.sort_by_key(|(_, word)| !word.is_missing());
    }

    /// Adds what was seen in shadow, and what differs in the settings.
    pub(super) fn with(
        mut self,
        seen: Option<BTreeMap<String, Seen>>,
        settings: Result<Vec<Difference>, String>,
        catalogue: &Catalogue,
    ) -> Self {
        let is_asked = seen.is_some();
        let mut seen = seen.unwrap_or_default();
        for (changed, _) in
            self.changes.iter().filter(|(one, _)| is_asked && one.is_asked_otherwise())
        {
            seen.entry(changed.id.to_string()).or_insert_with(Seen::nothing);
        }
        for (changed, word) in &mut self.changes {
            let outcome = seen.get(changed.id.as_str()).map(|seen| seen.outcome);
            let is_looked_at = changed.is_to_be_looked_at(self.rollout);
            // What was looked at here needs no word, or one, as it will on the daemon.
            *word = match (&word, outcome) {
                (Word::Look, Some(Outcome::Sound)) => Word::Free,
                (Word::Given(_), Some(Outcome::LetsThrough)) if is_looked_at => {
                    self.beyond_files.insert(changed.id.to_string());
                    Word::Needed
                }
                (_, Some(Outcome::LetsThrough)) if is_looked_at => Word::Needed,
                _ => continue,
            };
        }
        let hit = |one: Difference| {
            let hit = who_is_hit(&one, catalogue);
            (one, hit)
        };
        self.settings = settings.map(|all| all.into_iter().map(hit).collect());
        self.seen = seen;
        self.sort();
        self
    }

    /// How it ends.
    pub(super) fn exit(&self) -> Exit {
        let is_unknown = self.seen.values().any(|seen| seen.outcome == Outcome::Unknown);
        match (self.waiting(), is_unknown) {
            (1.., _) => Exit::Violated,
            (0, true) => Exit::Unconfirmed,
            (0, false) => Exit::Confirmed,
        }
    }

    fn waiting(&self) -> usize {
        self.changes.iter().filter(|(_, word)| word.is_missing()).count()
    }

    /// How it is, in a line.
    pub(super) fn title(&self) -> String {
        let counts: Vec<String> = Class::ALL
            .into_iter()
            .map(|class| (class, self.all.count(class)))
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        let counts =
            if counts.is_empty() { "nothing changes".to_owned() } else { counts.join(", ") };
        let mut title =
            format!("{counts}; {} mean what they meant, against {}", self.all.same, self.against);
        match self.settings.as_deref() {
            Ok([]) => {}
            Ok([_]) => title.push_str("; 1 setting differs"),
            Ok(many) => {
                let _ = write!(title, "; {} settings differ", many.len());
            }
            Err(why) if why.is_empty() => {}
            Err(why) => {
                let _ = write!(title, "; settings are not compared: {why}");
            }
        }
        match self.waiting() {
            0 => {}
            1 => title.push_str("; 1 needs approval"),
            many => {
                let _ = write!(title, "; {many} need approval");
            }
        }
        title
    }

    /// What a person does about those that wait.
    fn hint(&self) -> Option<String> {
        let is_of_files = |one: &Changed| !self.beyond_files.contains(one.id.as_str());
        let waiting = || {
            let waits = self.changes.iter().filter(|(_, word)| word.is_missing());
            waits.filter(|(changed, _)| is_of_files(changed))
        };
        let list = |name: &str, until: &str, is_there: bool| {
            let of_list = waiting().filter(|(changed, _)| changed.now.is_some() == is_there);
            let all: Vec<String> = of_list
                .take(HINTED)
                .map(|(changed, _)| format!("{{id: {}, because: …{until}}}", changed.id))
                .collect();
            (!all.is_empty()).then(|| format!("`{name}: [{}]`", all.join(", ")))
        };
        waiting().next()?;
        let lists = [list("weakened", ", until: 2027-01-31", true), list("removed", "", false)];
        let lists: Vec<String> = lists.into_iter().flatten().collect();
        let more = if waiting().count() > HINTED { ", and so on" } else { "" };
        Some(format!("approve it in the files, in the same review: {}{more}", lists.join(" and ")))
    }

    pub(super) fn text(&self) -> String {
        let paint = Paint::of_stdout();
        let mut text = String::new();
        for (changed, word) in &self.changes {
            let head = format!("{:<9}", changed.class.as_str().to_uppercase());
            let head = match (word.is_missing(), changed.class) {
                (true, _) => paint.red(&head),
                (false, Class::Weaker | Class::Other | Class::Gone | Class::Exposes) => {
                    paint.yellow(&head)
                }
                (false, Class::Routing | Class::New | Class::Stronger) => paint.green(&head),
            };
            let _ = writeln!(text, "{head}{}  {}", changed.id, place(changed));
            for difference in &changed.differences {
                let _ =
                    writeln!(text, "    {}", paint.wrapped(&line(difference, changed.class), 8));
            }
            for note in self.notes(changed, word) {
                let _ = writeln!(text, "    {}", paint.wrapped(&note, 8));
            }
        }
        let beside = [("SETTINGS", self.settings_lines()), ("UNDERNEATH", self.underneath.clone())];
        for (head, lines) in beside.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            let _ = writeln!(text, "{}", paint.yellow(head));
            for line in lines {
                let _ = writeln!(text, "    {}", paint.wrapped(&line, 8));
            }
        }
        let _ = writeln!(text, "{}", self.title());
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "{hint}");
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let changes = self.changes.iter().map(|(changed, word)| {
            let differences = changed.differences.iter().map(|one| {
                json!({
                    "class": one.class.as_str(),
                    "part": one.part,
                    "was": one.was,
                    "now": one.now,
                    "why": one.why,
                    "because": one.because,
                })
            });
            json!({
                "check": changed.id.as_str(),
                "class": changed.class.as_str(),
                "critical": changed.is_critical(),
                "approval": match word {
                    Word::Free => "not_needed",
                    Word::Look => "shadow",
                    Word::Given(_) => "given",
                    Word::Expired(_) => "expired",
                    Word::Needed => "needed",
                },
                "because": match word {
                    Word::Given(because) => Some(because.as_str()),
                    Word::Free | Word::Look | Word::Expired(_) | Word::Needed => changed.because.as_deref(),
                },
                "file": at(changed).map(|(file, _)| file),
                "line": at(changed).map(|(_, line)| line),
                "differences": differences.collect::<Vec<_>>(),
                "notes": self.notes(changed, word),
                "shadow": self.seen.get(changed.id.as_str()).map(|seen| &seen.json),
            })
        });
        let counts =
            Class::ALL.map(|class| (class.as_str().to_owned(), json!(self.all.count(class))));
        let mut counts: serde_json::Map<String, Value> = counts.into_iter().collect();
        counts.insert("same".to_owned(), json!(self.all.same));
        counts.insert("waiting".to_owned(), json!(self.waiting()));
        json!({
            "format": 1,
            "against": self.against,
            "counts": counts,
            "changes": changes.collect::<Vec<_>>(),
            "underneath": self.underneath,
            "settings": self.settings.as_ref().ok().map(|all| {
                let one = |(one, hit): &(Difference, String)| {
                    json!({
                        "class": one.class.as_str(),
                        "part": one.part,
                        "was": one.was,
                        "now": one.now,
                        "why": one.why,
                        "hit": hit,
                    })
                };
                all.iter().map(one).collect::<Vec<_>>()
            }),
        })
    }

    /// For continuous integration.
    pub(super) fn report(&self) -> Report {
        let suites = self.changes.iter().map(|(changed, word)| {
            let state = state(changed, word);
            let of_check = |of: fn(&crate::domain::check::Check) -> String| {
                changed
                    .now
                    .as_ref()
                    .or(changed.was.as_ref())
                    .map(|check| of(check))
                    .unwrap_or_default()
            };
            let found = self.lines(changed, word);
            Suite {
                state,
                name: changed.id.to_string(),
                word: changed.class.as_str(),
                severity: of_check(|check| check.severity.to_string()),
                owner: of_check(|check| check.owner.to_string()),
                why: String::new(),
                seen: String::new(),
                found: found.clone(),
                place: at(changed).map(|(file, line)| Place { file, line, column: 0 }),
                cases: vec![Case {
                    state,
                    name: changed.class.as_str().to_owned(),
                    word: changed.class.as_str().to_owned(),
                    found,
                    took: Duration::ZERO,
                }],
            }
        });
        let mut suites: Vec<Suite> = suites.collect();
        suites.extend(self.beside());
        Report::new(self.title(), suites)
    }

    /// What differs, and what to do about it, a line each.
    pub(super) fn lines(&self, changed: &Changed, word: &Word) -> Vec<String> {
        let lines = changed.differences.iter().map(|one| line(one, changed.class));
        lines.chain(self.notes(changed, word)).collect()
    }

    /// What else there is to say of a change.
    fn notes(&self, changed: &Changed, word: &Word) -> Vec<String> {
        let seen = self.seen.get(changed.id.as_str());
        let seen = seen.map(|seen| format!("shadow: {}", seen.words));
        let mut notes: Vec<String> =
            seen.into_iter().chain(notes(changed, word, &self.all.checks)).collect();
        let is_given = matches!(word, Word::Given(_));
        if is_given && changed.is_to_be_looked_at(self.rollout) {
            notes.push("the daemon looks at it in shadow all the same".to_owned());
        }
        if self.beyond_files.contains(changed.id.as_str()) {
            notes.push(
                "what the files say does not cover what shadow shows: the daemon waits for `allswell approve`"
                    .to_owned(),
            );
        }
        notes
    }
}

/// Which checks a setting of a source hits.
fn who_is_hit(one: &Difference, catalogue: &Catalogue) -> String {
    let Some(name) = source_of(&one.part) else { return String::new() };
    let asks = |check: &&std::sync::Arc<crate::domain::check::Check>| {
        check.sources().iter().any(|source| source.as_str() == name)
    };
    let all: Vec<_> = catalogue.checks().iter().filter(asks).collect();
    let critical = all.iter().filter(|check| check.severity == Severity::Critical).count();
    match all.len() {
        0 => "no check asks it".to_owned(),
        1 => format!("1 check asks it, {critical} critical"),
        many => format!("{many} checks ask it, {critical} of them critical"),
    }
}

pub(super) fn state(changed: &Changed, word: &Word) -> State {
    match changed.class {
        _ if word.is_missing() => State::Failed,
        Class::Weaker | Class::Other | Class::Gone | Class::Exposes => State::Warned,
        Class::Routing | Class::New | Class::Stronger => State::Passed,
    }
}

/// Where the check is declared, or was.
pub(super) fn at(changed: &Changed) -> Option<(String, u64)> {
    let check = changed.now.as_ref().or(changed.was.as_ref())?;
    Some((check.file.clone(), check.line))
}

fn place(changed: &Changed) -> String {
    match (at(changed), &changed.now) {
        (Some((file, line)), Some(_)) => format!("{file}:{line}"),
        (Some((file, line)), None) => format!("it was at {file}:{line}"),
        (None, _) => String::new(),
    }
}
