//! Generations of the catalogue, and what changed between two.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use similar::{ChangeTag, TextDiff};

use crate::engine::load::from_text;
use crate::engine::snapshot::LastLoad;
use crate::ledger::{Fate, Generation};
use crate::web::Here;
use crate::web::generations::waited;
use crate::web::pages::civil::{Civil, ago};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::problem::{Problem, unreadable};

/// How many generations are listed, and how many lines of changes are shown.
const SHOWN: u16 = 100;
const LINES: usize = 2_000;
/// How many lines around a change are shown.
const AROUND: usize = 3;

#[derive(Template)]
#[template(path = "catalogue.html")]
struct CataloguePage {
    frame: Frame,
    refused: Option<String>,
    generations: Vec<Row>,
}

struct Row {
    id: i64,
    loaded_at: String,
    ago: String,
    loaded_by: String,
    digest: String,
    is_active: bool,
    /// What became of it, where it waited for a word.
    fate: Option<&'static str>,
    /// What it waits for, or whose word it has.
    word: Option<String>,
}

#[derive(Template)]
#[template(path = "generation.html")]
struct GenerationPage {
    frame: Frame,
    id: i64,
    before: Option<i64>,
    loaded_at: String,
    loaded_by: String,
    digest: String,
    files: Vec<FileChange>,
    is_cut: bool,
}

struct FileChange {
    name: String,
    what: &'static str,
    lines: Vec<(&'static str, String)>,
}

pub(super) async fn catalogue(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    let all = shared.door.reader.generations(SHOWN).await;
    let all = all.map_err(|trouble| unreadable(&trouble))?;
    let active = picture.generation.as_ref().map(|generation| generation.id);
    let waited = waited(&shared).await?;
    let row = |generation: &Generation| Row {
        fate: waited.get(&generation.id).map(|one| one.fate.as_str()),
        word: waited.get(&generation.id).map(|one| match one.fate {
            Fate::Waiting => format!(
                "{}: `allswell approve {id} --because …`, or `allswell reject {id} --because …`",
                one.why,
                id = one.id
            ),
            Fate::Outdated => one.why.clone(),
            Fate::Approved | Fate::Rejected => format!("{}: {}", one.by, one.because),
        }),
        id: generation.id,
        loaded_at: Civil::utc(generation.loaded_at).to_string(),
        ago: ago(generation.loaded_at, picture.now()),
        loaded_by: generation.loaded_by.clone(),
        digest: generation.digest.chars().take(12).collect(),
        is_active: active == Some(generation.id),
    };
    let refused = match &picture.last_load {
        LastLoad::Bad { why, .. } => Some(why.clone()),
        LastLoad::Never | LastLoad::Good { .. } | LastLoad::Waits { .. } => None,
    };
    page(&CataloguePage {
        frame: Frame::new(&shared, &survey, &visit, "Catalogue"),
        refused,
        generations: all.iter().map(row).collect(),
    })
}

pub(super) async fn generation(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let id: i64 = id.parse().map_err(|_| Problem::bad("a generation is named by its number"))?;
    let two = shared.door.reader.generation_and_before(id).await;
    let two = two.map_err(|trouble| unreadable(&trouble))?;
    let this = two.first().filter(|generation| generation.id == id).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("no generation has the number {id}"))
    })?;
    let (mut files, mut is_cut) = (changes(two.get(1), this), false);
    let mut left = LINES;
    for file in &mut files {
        is_cut |= file.lines.len() > left;
        file.lines.truncate(left);
        left -= file.lines.len();
    }
    let survey = Survey::of(&shared).await?;
    page(&GenerationPage {
        frame: Frame::new(&shared, &survey, &visit, format!("Generation {id}")),
        id,
        before: two.get(1).map(|before| before.id),
        loaded_at: Civil::utc(this.loaded_at).to_string(),
        loaded_by: this.loaded_by.clone(),
        digest: this.digest.clone(),
        files,
        is_cut,
    })
}

/// The files of a generation, by name.
fn files(generation: Option<&Generation>) -> BTreeMap<String, String> {
    let texts = generation.and_then(|generation| from_text(&generation.text)).unwrap_or_default();
    texts.into_iter().map(|text| (text.file, text.text)).collect()
}

/// What one generation has that the one before has not, file by file.
fn changes(before: Option<&Generation>, after: &Generation) -> Vec<FileChange> {
    let (old, new) = (files(before), files(Some(after)));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let (was, is) = (old.get(name), new.get(name));
        let what = match (was, is) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(was), Some(is)) if was == is => continue,
            _ => "changed",
        };
        let (was, is) = (was.map_or("", String::as_str), is.map_or("", String::as_str));
        changes.push(FileChange { name: name.clone(), what, lines: lines(was, is) });
    }
    changes
}

fn lines(was: &str, is: &str) -> Vec<(&'static str, String)> {
    let diff = TextDiff::from_lines(was, is);
    let mut lines = Vec::new();
    for (place, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if place > 0 {
            lines.push(("", "⋯".to_owned()));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let tag = match change.tag() {
                ChangeTag::Delete => "-",
                ChangeTag::Insert => "+",
                ChangeTag::Equal => "",
            };
            lines.push((tag, change.value().trim_end_matches(['\n', '\r']).to_owned()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_shown_with_the_lines_around_it() {
        let was: String = (0..20).map(|n| format!("line {n}\n")).collect();
        let is = was.replace("line 9\n", "line nine\n");
        let all = lines(&was, &is);
        assert_eq!(all.iter().filter(|(tag, _)| *tag == "-").count(), 1);
        assert!(all.contains(&("+", "line nine".to_owned())));
        assert_eq!(all.len(), 8);
        assert!(lines(&was, &was).is_empty());
    }
}
