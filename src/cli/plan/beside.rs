//! What a plan tells beside checks: settings that teams share, and what changed underneath.

use std::time::Duration;

use crate::cli::ci::{Case, State, Suite};
use crate::cli::plan::lines::line;
use crate::cli::plan::told::Plan;
use crate::domain::change::{Class, Difference};

impl Plan<'_> {
    /// What differs beside the checks, for continuous integration.
    pub(super) fn beside(&self) -> Vec<Suite> {
        let all = self.settings.as_deref().unwrap_or_default();
        let is_told = |class| !matches!(class, Class::Routing | Class::New | Class::Stronger);
        let is_told = all.iter().any(|(one, _)| is_told(one.class));
        let settings = ("settings", is_told, self.settings_lines());
        let underneath = ("underneath", true, self.underneath.clone());
        let all = [settings, underneath].into_iter().filter(|(_, _, found)| !found.is_empty());
        all.map(|(name, is_told, found)| suite(name, is_told, found)).collect()
    }

    /// What differs in the settings, a line each.
    pub(super) fn settings_lines(&self) -> Vec<String> {
        self.settings_told().map(|(_, line)| line).collect()
    }

    /// What differs in the settings, with what it does.
    pub(super) fn settings_told(&self) -> impl Iterator<Item = (Class, String)> {
        let line = |(one, hit): &(Difference, String)| {
            let line = line(one, Class::Stronger);
            (one.class, if hit.is_empty() { line } else { format!("{line}; {hit}") })
        };
        self.settings.as_deref().unwrap_or_default().iter().map(line)
    }
}

fn suite(name: &str, is_told: bool, found: Vec<String>) -> Suite {
    let state = if is_told { State::Warned } else { State::Passed };
    let case = Case {
        state,
        name: name.to_owned(),
        word: "changed".to_owned(),
        found: found.clone(),
        took: Duration::ZERO,
    };
    let none = String::new;
    Suite {
        state,
        name: name.to_owned(),
        word: "changed",
        severity: none(),
        owner: none(),
        why: none(),
        seen: none(),
        found,
        place: None,
        cases: vec![case],
    }
}
