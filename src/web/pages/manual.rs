//! The manual: the Markdown of `docs/`, as pages that links of alerts lead to.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::domain::check::nearest::suggestion;
use crate::web::Here;
use crate::web::filter::{hinted, short};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;

macro_rules! chapters {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../docs/", $name, ".md")))),*]
    };
}

/// The chapters, in the order in which they are listed.
const CHAPTERS: [(&str, &str); 26] = chapters![
    "oncall",
    "pages",
    "checks",
    "tables",
    "recipes",
    "reconcile",
    "testing",
    "rollout",
    "time-zones",
    "alerting",
    "drills",
    "dependencies",
    "operate",
    "metrics",
    "api",
    "ci",
    "import",
    "peers",
    "glossary",
    "internals/engine",
    "internals/time",
    "internals/databases",
    "internals/mysql-settings",
    "internals/alertmanager",
    "internals/resilience",
    "internals/silent-green",
];

/// A chapter as a page shows it.
struct Chapter {
    title: String,
    html: String,
}

static MANUAL: LazyLock<BTreeMap<&str, Chapter>> =
    LazyLock::new(|| CHAPTERS.iter().map(|(name, text)| (*name, chapter(name, text))).collect());

#[derive(Template)]
#[template(path = "manual.html")]
struct ManualPage {
    frame: Frame,
    title: String,
    html: String,
}

#[derive(Template)]
#[template(path = "chapters.html")]
struct ChaptersPage {
    frame: Frame,
    chapters: Vec<(&'static str, String)>,
}

pub(super) async fn index(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let title = |(name, _): &(&'static str, &str)| {
        (*name, MANUAL.get(name).map(|chapter| chapter.title.clone()).unwrap_or_default())
    };
    let chapters = CHAPTERS.iter().map(title).collect();
    let survey = Survey::of(&shared).await?;
    let mut frame = Frame::new(&shared, &survey, &visit, "Manual");
    frame.is_live = false;
    page(&ChaptersPage { frame, chapters })
}

pub(super) async fn read(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    // As links within the repository are written.
    if let Some(bare) = name.strip_suffix(".md") {
        let place = format!("/docs/{bare}");
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response());
    }
    let chapter = MANUAL.get(name.as_str()).ok_or_else(|| {
        let names = CHAPTERS.map(|(name, _)| name);
        let what = format!("the manual has no chapter `{}`", short(&name));
        Problem::new(StatusCode::NOT_FOUND, hinted(what, suggestion(&name, &names)))
    })?;
    let survey = Survey::of(&shared).await?;
    let mut frame = Frame::new(&shared, &survey, &visit, chapter.title.clone());
    frame.is_live = false;
    page(&ManualPage { frame, title: chapter.title.clone(), html: chapter.html.clone() })
}

/// Renders a chapter: its headings get the names that links use, its links lead to pages.
fn chapter(name: &str, text: &str) -> Chapter {
    let options = Options::ENABLE_TABLES;
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, options).collect();
    let mut title = String::new();
    let mut place = 0;
    while place < events.len() {
        let words = match events.get(place) {
            Some(Event::Start(Tag::Heading { .. })) => heading(&events[place + 1..]),
            _ => String::new(),
        };
        match events.get_mut(place) {
            Some(Event::Start(Tag::Heading { level, id, .. })) => {
                if title.is_empty() && *level == HeadingLevel::H1 {
                    title.clone_from(&words);
                }
                *id = Some(anchor(&words).into());
            }
            Some(Event::Start(Tag::Link { dest_url, .. })) => *dest_url = link(name, dest_url),
            // Nothing of the manual is HTML; what looks like it is a text.
            Some(event @ (Event::Html(_) | Event::InlineHtml(_))) => {
                let (Event::Html(text) | Event::InlineHtml(text)) = event else { continue };
                *event = Event::Text(std::mem::replace(text, CowStr::Borrowed("")));
            }
            Some(_) | None => {}
        }
        place += 1;
    }
    // Pictures stand in the repository; here is what they show.
    let mut in_picture = false;
    events.retain(|event| {
        let begins = matches!(event, Event::Start(Tag::Image { .. }));
        in_picture |= begins;
        let stays = !in_picture;
        in_picture &= *event != Event::End(TagEnd::Image);
        stays
    });
    // The page has its one heading of the first level already.
    let is_title = |event: &Event<'_>| {
        matches!(event, Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }))
    };
    if let (Some(from), Some(to)) = (
        events.iter().position(is_title),
        events.iter().position(|event| *event == Event::End(TagEnd::Heading(HeadingLevel::H1))),
    ) {
        events.drain(from..=to);
    }
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    let text = text
        .replace(
            "<table>",
            "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table\"><table>",
        )
        .replace("</table>", "</table></div>")
        .replace("<pre>", "<pre tabindex=\"0\">")
        .replace(" style=\"text-align: right\"", " class=\"number\"")
        .replace(" style=\"text-align: left\"", "")
        .replace(" style=\"text-align: center\"", "");
    Chapter { title, html: text }
}

/// The words of a heading, from the events that follow its beginning.
fn heading(events: &[Event<'_>]) -> String {
    let mut words = String::new();
    for event in events {
        if let Event::Text(text) | Event::Code(text) = event {
            words.push_str(text);
        } else if matches!(event, Event::End(TagEnd::Heading(_))) {
            break;
        }
    }
    words
}

/// The name of a heading, as GitHub makes it.
pub(super) fn anchor(words: &str) -> String {
    let mut name = String::new();
    for c in words.to_lowercase().chars() {
        match c {
            ' ' => name.push('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => name.push(c),
            _ => {}
        }
    }
    name
}

/// Where a link of a chapter leads: chapters are pages, other files of the repository are named as they are.
fn link<'t>(name: &str, to: &CowStr<'t>) -> CowStr<'t> {
    if to.starts_with("http") || to.starts_with('#') {
        return to.clone();
    }
    let (file, part) = to.split_once('#').map_or((&**to, None), |(file, part)| (file, Some(part)));
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for step in file.split('/') {
        match step {
            ".." => drop(parts.pop()),
            "." | "" => {}
            step => parts.push(step),
        }
    }
    let chapter = parts.join("/");
    let chapter = chapter.strip_suffix(".md").unwrap_or(&chapter);
    let part = part.map(|part| format!("#{part}")).unwrap_or_default();
    match CHAPTERS.iter().any(|(known, _)| *known == chapter) {
        true => format!("/docs/{chapter}{part}").into(),
        // What is not in the manual is not served here: the list of chapters is.
        false => "/docs".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_the_names_that_links_use() {
        assert_eq!(anchor("AllswellSourceDown"), "allswellsourcedown");
        assert_eq!(anchor("What `history` says, and when"), "what-history-says-and-when");
    }

    #[test]
    fn every_link_within_the_manual_leads_to_a_heading_that_is_there() {
        let mut tried = 0;
        for (name, chapter) in MANUAL.iter() {
            assert!(!chapter.title.is_empty(), "{name}");
            assert!(!chapter.html.contains("style="), "{name}");
            for link in chapter.html.split("href=\"").skip(1) {
                let link = link.split('"').next().unwrap();
                let (path, part) = link.split_once('#').unwrap_or((link, ""));
                if path.starts_with("http") || part.is_empty() {
                    continue;
                }
                let to = path.strip_prefix("/docs/").unwrap_or(name);
                let found = MANUAL.get(to).unwrap_or_else(|| panic!("{name}: {link}"));
                let is_there = found.html.contains(&format!("id=\"{part}\""));
                assert!(is_there || anchor(&found.title) == part, "{name}: {link}");
                tried += 1;
            }
        }
        assert!(tried > 20, "{tried}");
    }
}
