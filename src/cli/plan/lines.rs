//! Changes in lines of text.

use crate::domain::change::word::Word;
use crate::domain::change::{Changed, Class, Difference};
use crate::domain::check::name::CheckId;
use crate::domain::check::plain::in_one_line;

/// How long a value is shown, in letters.
const VALUE_MAX: usize = 60;
/// How many words of what is the same are shown before what differs.
const WORDS_BEFORE: usize = 2;

/// A difference in a line.
pub(super) fn line(one: &Difference, of: Class) -> String {
    let class = if one.class == of { String::new() } else { format!(" ({})", one.class) };
    let change = match (one.was.as_str(), one.now.as_str()) {
        ("", now) => format!("+ {}", short(now)),
        (was, "") => format!("- {}", short(was)),
        (was, now) => {
            let (was, now) = from_where_they_differ(was, now);
            format!("{} → {}", short(&was), short(&now))
        }
    };
    let because =
        one.because.as_ref().map(|because| format!("; because: {}", in_one_line(because)));
    format!("{}{class}: {change}: {}{}", one.part, one.why, because.unwrap_or_default())
}

/// Two values in one line each; where they are long, from a few words before they differ.
fn from_where_they_differ(was: &str, now: &str) -> (String, String) {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (was, now) = (words(was), words(now));
    let is_long = |words: &[String]| words.join(" ").chars().count() > VALUE_MAX;
    let same = was.iter().zip(&now).take_while(|(was, now)| was == now).count();
    let from = same.saturating_sub(WORDS_BEFORE);
    let part = |words: &[String]| match words.get(from..) {
        Some(rest) if from > 0 => format!("… {}", rest.join(" ")),
        Some(_) | None => words.join(" "),
    };
    match is_long(&was) || is_long(&now) {
        true => (part(&was), part(&now)),
        false => (was.join(" "), now.join(" ")),
    }
}

/// A value in one line.
fn short(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(VALUE_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What else there is to say of a change.
pub(super) fn notes(changed: &Changed, word: &Word, all: &[Changed]) -> Vec<String> {
    let mut notes = Vec::new();
    match word {
        Word::Free => {}
        Word::Look => notes.push(
            "it is critical: the daemon looks at it in shadow, and it waits for approval where something speaks against it"
                .to_owned(),
        ),
        Word::Given(because) => {
            notes.push(format!("the files say why: {}", in_one_line(because)));
        }
        Word::Expired(until) => {
            notes.push(format!("what `weakened` says held until {until}: say it again, or take the change back"));
        }
        Word::Needed => notes.push("it is critical, and needs approval".to_owned()),
    }
    if changed.class == Class::Gone && changed.because.is_none() {
        match heir(changed, all) {
            Some(heir) => notes.push(format!(
                "`{heir}` is new and asks the same: if it is this one by another name, write `was: {}` there, and its \
                 history goes on",
                changed.id
            )),
            None => notes.push("what it held is held by nothing any more".to_owned()),
        }
    }
    notes
}

/// The new check that asks what one did that is gone.
fn heir<'a>(gone: &Changed, all: &'a [Changed]) -> Option<&'a CheckId> {
    let was = gone.was.as_ref()?;
    let is_it = |new: &&Changed| {
        new.class == Class::New
            && new.now.as_ref().is_some_and(|now| now.body == was.body && now.source == was.source)
    };
    all.iter().find(is_it).map(|new| &new.id)
}
