//! What a query of the API selects, and what a word that is not known may have meant.

use crate::domain::check::nearest::suggestion;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::manifest::When;
use crate::web::problem::Problem;

/// How many items a page has by default, and at most.
pub(super) const PAGE: (u16, u16) = (100, 1_000);

/// The words for how a series is.
pub(super) const STATES: [&str; 6] =
    ["confirmed", "violated", "unconfirmed", "new", "paused", "waived"];

/// States that rest on a person's word, which may be asked to be taken for well.
const ACCEPTED: [&str; 2] = ["waived", "paused"];

/// Which series are asked for, and which page.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) check: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) state: Option<String>,
    pub(super) tz: Option<String>,
    /// States that are taken for well beside `confirmed`.
    pub(super) accept: Vec<String>,
    pub(super) open: bool,
    pub(super) from: Option<When>,
    pub(super) to: Option<When>,
    pub(super) page: Option<String>,
    pub(super) limit: u16,
}

impl Filter {
    /// Reads the words of a query; what is misspelt is refused, so that nothing is shown that was not
    /// asked for. A page token is one that the list in question gives.
    pub(super) fn read(
        query: &[(String, String)],
        known: &[&str],
        is_page: fn(&str) -> bool,
    ) -> Result<Self, Problem> {
        let mut filter = Self { limit: PAGE.0, ..Self::default() };
        for (place, (key, value)) in query.iter().enumerate() {
            if query[..place].iter().any(|(before, _)| before == key) {
                return Err(Problem::bad(format!("`{}` is written twice", short(key))));
            }
            if !known.contains(&key.as_str()) {
                let what = format!("`{}` is not known here", short(key));
                return Err(Problem::bad(hinted(what, suggestion(key, known))));
            }
            let text = Some(value.clone());
            match key.as_str() {
                "check" => filter.check = text,
                "owner" => filter.owner = text,
                "state" => filter.state = Some(word(key, value, &STATES)?),
                "tz" => filter.tz = text,
                "accept" => {
                    for word_of in value.split(',') {
                        filter.accept.push(word(key, word_of, &ACCEPTED)?);
                    }
                }
                "open" => filter.open = word(key, value, &["true", "false"])? == "true",
                "from" => filter.from = Some(moment(key, value)?),
                "to" => filter.to = Some(moment(key, value)?),
                "page" if is_page(value) => filter.page = text,
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=PAGE.1).contains(n));
                    let rule = || Problem::bad(format!("`limit` is 1 to {}", PAGE.1));
                    filter.limit = limit.ok_or_else(rule)?;
                }
                _ => return Err(Problem::bad(format!("`{key}` is not what a page before said"))),
            }
        }
        Ok(filter)
    }

    pub(super) fn fits(&self, series: &SeriesHealth) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|w| w == value);
        is(&self.check, series.check.id.as_str()) && is(&self.owner, series.check.owner.as_str())
    }
}

/// Takes one of a few words.
pub(super) fn word(key: &str, value: &str, words: &[&str]) -> Result<String, Problem> {
    if words.contains(&value) {
        return Ok(value.to_owned());
    }
    let what = format!("`{}` is not a value of `{key}`", short(value));
    Err(Problem::bad(hinted(what, suggestion(value, words))))
}

/// What is wrong, and what may have been meant, where there is a guess.
pub(super) fn hinted(what: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{what}; {hint}"),
        None => what,
    }
}

pub(super) fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Reads a moment as people write it.
pub(super) fn moment(key: &str, text: &str) -> Result<When, Problem> {
    When::parse(text).map_err(|rule| Problem::bad(format!("`{key}`: `{}`: {rule}", short(text))))
}

/// The checks that are watched, each once.
pub(super) fn ids(picture: &Snapshot) -> Vec<&str> {
    let mut ids: Vec<&str> = picture.series.iter().map(|s| s.check.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
