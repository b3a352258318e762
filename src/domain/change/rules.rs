//! Rules for a table, then and now.

use std::fmt;

use crate::domain::change::difference::{Class, Found};
use crate::domain::change::expect::listed;
use crate::domain::check::limit::Limit;
use crate::domain::check::name::ColumnName;
use crate::domain::table::{ColumnRules, CutBy, Newest, Nulls, Rules};
use crate::domain::time::duration;

/// Compares the rules of two checks over tables.
pub(super) fn rules(found: &mut Found, was: &Rules, now: &Rules) {
    asked(found, was, now);
    // Where everything may be NULL, a further rule can be what was held against anything.
    let added = match was.is_always_held() {
        true => (Class::Stronger, "it is judged too"),
        false => (
            Class::Other,
            "it is judged too, and where all else is NULL it alone is a proof by now",
        ),
    };
    for old in &was.columns {
        match now.columns.iter().find(|rules| rules.column == old.column) {
            Some(new) => column(found, old, new),
            None => found.note(
                Class::Weaker,
                format!("columns.{}", old.column),
                ("its rules", ""),
                GONE,
            ),
        }
    }
    for new in &now.columns {
        if !was.columns.iter().any(|rules| rules.column == new.column) {
            found.note(added.0, format!("columns.{}", new.column), ("", "its rules"), added.1);
        }
    }
    let unique = |rules: &Rules| {
        let sorted = |columns: &Vec<ColumnName>| {
            let mut columns = columns.clone();
            columns.sort();
            listed(&columns)
        };
        rules.unique.iter().map(sorted).collect()
    };
    each(found, "unique", (unique(was), unique(now)), added);
    let never = |rules: &Rules| rules.never.iter().map(|text| spaced(text)).collect();
    each(found, "never", (never(was), never(now)), added);
    match (&was.rows, &now.rows) {
        (Some(old), Some(new)) => found.limit("rows", (old, new), old.beside(new)),
        (None, Some(new)) => found.note(added.0, "rows", ("", new), added.1),
        (Some(old), None) => {
            found.note(Class::Weaker, "rows", (old, ""), "any number of rows passes");
        }
        (None, None) => {}
    }
    volume(found, was, now, added);
    newest(found, was.newest.as_ref(), now.newest.as_ref(), added);
}

const GONE: &str = "it is not judged any more";

/// Which rows are asked for.
fn asked(found: &mut Found, was: &Rules, now: &Rules) {
    let other = "other rows are looked at: only looking at the data tells";
    if was.table != now.table {
        found.note(Class::Other, "table", (&was.table, &now.table), other);
    }
    match (&was.condition, &now.condition) {
        (None, Some(new)) => {
            found.note(Class::Weaker, "where", ("", new), "fewer rows are looked at");
        }
        (Some(old), new) if Some(spaced(old)) != new.as_deref().map(spaced) => {
            found.note(Class::Other, "where", (old, new.as_deref().unwrap_or_default()), other);
        }
        (None, None) | (Some(_), _) => {}
    }
    let cut = |cut: &Option<CutBy>| match cut {
        Some(CutBy::Instant(column)) => format!("at: {column}"),
        Some(CutBy::Date(column) | CutBy::Dates(column)) => format!("on: {column}"),
        None => String::new(),
    };
    if was.cut_by != now.cut_by {
        found.note(Class::Other, "at", (cut(&was.cut_by), cut(&now.cut_by)), other);
    }
    if was.zone_column != now.zone_column {
        let shown = |rules: &Rules| rules.zone_column.as_ref().map(ToString::to_string);
        let pair = (shown(was).unwrap_or_default(), shown(now).unwrap_or_default());
        found.note(Class::Other, "zone_column", pair, other);
    }
}

/// A condition with one space between its words, where none of them is a text, and no comment ends with its line.
fn spaced(text: &str) -> String {
    if text.contains(['\'', '"', '`', '$', '#', '[']) || text.contains("--") {
        return text.to_owned();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Rules of which there is a list.
fn each(
    found: &mut Found,
    part: &str,
    (was, now): (Vec<String>, Vec<String>),
    (class, why): (Class, &str),
) {
    for old in was.iter().filter(|old| !now.contains(old)) {
        found.note(Class::Weaker, part, (old, ""), GONE);
    }
    for new in now.iter().filter(|new| !was.contains(new)) {
        found.note(class, part, ("", new), why);
    }
}

fn column(found: &mut Found, was: &ColumnRules, now: &ColumnRules) {
    let part = |rule: &str| format!("columns.{}{rule}", was.column);
    nulls(found, part(".nulls"), was.nulls, now.nulls);
    limits(found, &part(""), (&limits_of(was), &limits_of(now)));
    let both = |rule: &str, found: &mut Found, was: Option<&Limit>, now: Option<&Limit>| match (
        was, now,
    ) {
        (Some(old), Some(new)) => found.limit(part(rule), (old, new), old.beside(new)),
        (old, new) => found.comes_or_goes(part(rule), (old, new), (JUDGED, GONE)),
    };
    both(".length", found, was.length.as_ref(), now.length.as_ref());
    let text =
        |rules: &ColumnRules| rules.pattern.as_ref().map(|pattern| pattern.as_str().to_owned());
    one(found, part(".pattern"), (text(was), text(now)));
    let within = |rules: &ColumnRules| rules.within.as_ref().map(ToString::to_string);
    one(found, part(".in"), (within(was), within(now)));
}

const JUDGED: &str = "it is judged too";

/// A rule that is the same, another one, or not there.
fn one<T: fmt::Display + PartialEq>(
    found: &mut Found,
    part: String,
    (was, now): (Option<T>, Option<T>),
) {
    match (was, now) {
        (Some(old), Some(new)) if old != new => {
            let why = "which of the two lets more pass cannot be said";
            found.note(Class::Other, part, (old, new), why);
        }
        (old, new) => found.comes_or_goes(part, (old, new), (JUDGED, GONE)),
    }
}

fn limits_of(rules: &ColumnRules) -> Vec<&Limit> {
    rules.range.iter().chain(&rules.values).collect()
}

/// The limits of a column: one each way is compared with the other; of several, those that are not there any more and
/// those that are new.
fn limits(found: &mut Found, part: &str, (was, now): (&[&Limit], &[&Limit])) {
    match (was, now) {
        ([old], [new]) => found.limit(part, (old, new), old.beside(new)),
        _ => {
            for old in was.iter().filter(|old| !now.contains(old)) {
                found.note(Class::Weaker, part, (old, ""), GONE);
            }
            for new in now.iter().filter(|new| !was.contains(new)) {
                found.note(Class::Stronger, part, ("", new), JUDGED);
            }
        }
    }
}

fn nulls(found: &mut Found, part: String, was: Nulls, now: Nulls) {
    let word = |nulls: Nulls| match nulls {
        Nulls::Never | Nulls::AsLimits => "none".to_owned(),
        Nulls::Always => "only".to_owned(),
        Nulls::AtMost(share) => format!("max_ratio {share}"),
        Nulls::Allowed => "allowed".to_owned(),
    };
    let (more, fewer) = ("more NULL passes", "less NULL passes");
    let (class, why) = match (was, now) {
        (Nulls::Never | Nulls::AsLimits, Nulls::Never | Nulls::AsLimits)
        | (Nulls::Always, Nulls::Always)
        | (Nulls::Allowed, Nulls::Allowed) => return,
        (Nulls::AtMost(old), Nulls::AtMost(new)) if old == new => return,
        (Nulls::AtMost(old), Nulls::AtMost(new)) if new.is_more_than(old) => (Class::Weaker, more),
        (Nulls::AtMost(_), Nulls::AtMost(_))
        | (Nulls::AtMost(_) | Nulls::Allowed, Nulls::Never | Nulls::AsLimits)
        | (Nulls::Allowed, Nulls::AtMost(_)) => (Class::Stronger, fewer),
        (Nulls::Never | Nulls::AsLimits, Nulls::AtMost(_) | Nulls::Allowed)
        | (Nulls::AtMost(_) | Nulls::Always, Nulls::Allowed) => (Class::Weaker, more),
        (_, Nulls::Always) | (Nulls::Always, _) => {
            (Class::Other, "what has to be NULL is not what it was")
        }
    };
    found.note(class, part, (word(was), word(now)), why);
}

fn volume(found: &mut Found, was: &Rules, now: &Rules, added: (Class, &str)) {
    let part = "rows.past";
    match (&was.volume, &now.volume) {
        (None, None) => {}
        (None, Some(new)) => found.note(added.0, part, ("", new), added.1),
        (Some(old), None) => found.note(Class::Weaker, part, (old, ""), GONE),
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) if old.past != new.past => {
            let why = "another window is what is usual: only looking at the data tells";
            found.note(Class::Other, part, (old, new), why);
        }
        (Some(old), Some(new)) => {
            let (class, why) = match (old.takes_all_of(new), new.takes_all_of(old)) {
                (true, _) => (Class::Stronger, "fewer rows beside what is usual pass"),
                (false, true) => (Class::Weaker, "more or fewer rows beside what is usual pass"),
                (false, false) => (Class::Other, "which of the two lets more pass cannot be said"),
            };
            found.note(class, part, (old, new), why);
        }
    }
}

fn newest(found: &mut Found, was: Option<&Newest>, now: Option<&Newest>, added: (Class, &str)) {
    let shown =
        |newest: &Newest| format!("{} within {}", newest.column, duration::show(newest.within));
    match (was, now) {
        (None, None) => {}
        (None, Some(new)) => found.note(added.0, "newest", ("", shown(new)), added.1),
        (Some(old), None) => found.note(Class::Weaker, "newest", (shown(old), ""), GONE),
        (Some(old), Some(new)) if old.column != new.column => {
            let why = "another column is looked at: only looking at the data tells";
            found.note(Class::Other, "newest", (shown(old), shown(new)), why);
        }
        (Some(old), Some(new)) => found.size(
            "newest.within",
            (&old.within, &new.within),
            ((Class::Weaker, "older data passes"), (Class::Stronger, "older data fails")),
            |within| duration::show(*within),
        ),
    }
}
