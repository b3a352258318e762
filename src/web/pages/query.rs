//! The queries of pages: the URL is the view, and what is misspelt in it is refused.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use crate::domain::check::nearest::suggestion;
use crate::web::filter::{hinted, short};
use crate::web::problem::Problem;

/// What a URL asks for, by key.
pub(super) struct Keys(BTreeMap<String, String>);

impl Keys {
    /// Takes keys that are known, each once; those without a value ask for nothing.
    pub(super) fn read(pairs: &[(String, String)], known: &[&str]) -> Result<Self, Problem> {
        let mut keys = BTreeMap::new();
        for (key, value) in pairs {
            if !known.contains(&key.as_str()) {
                let what = format!("`{}` is not known here", short(key));
                return Err(Problem::bad(hinted(what, suggestion(key, known))));
            }
            if keys.insert(key.clone(), value.trim().to_owned()).is_some() {
                return Err(Problem::bad(format!("`{}` is written twice", short(key))));
            }
        }
        keys.retain(|_, value| !value.is_empty());
        Ok(Self(keys))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// The same query with another value for one key, as it is written in a URL.
    pub(super) fn with(&self, key: &str, value: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let others = self.0.iter().filter(|(name, _)| *name != key);
        query.extend_pairs(others);
        query.append_pair(key, value);
        query.finish()
    }

    /// The number of a page, from 1.
    pub(super) fn page(&self) -> Result<usize, Problem> {
        let Some(page) = self.get("page") else { return Ok(1) };
        let number = page.parse().ok().filter(|page| (1..=1_000_000).contains(page));
        number.ok_or_else(|| Problem::bad("`page` is a number from 1"))
    }

    /// Refuses a page behind the last one of so many rows.
    pub(super) fn refuse_past(&self, found: usize, shown: usize) -> Result<(), Problem> {
        let (page, last) = (self.page()?, found.div_ceil(shown).max(1));
        if page <= last {
            return Ok(());
        }
        let what = format!("there is no page {page}: the last one is {last}");
        Err(Problem::new(StatusCode::NOT_FOUND, what))
    }
}

/// A text as a part of a path.
pub(super) fn in_path(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SAFE: AsciiSet = NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'/')
        .remove(b':');
    utf8_percent_encode(text, &SAFE).to_string()
}
