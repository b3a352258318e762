//! What healthy means for the result of a query, and what proves that something was looked at: then and now.

use std::num::NonZeroU64;

use crate::domain::change::difference::{Class, Difference, Found, is_same};
use crate::domain::check::evidence::{Evidence, Measure, Minimum, Scope};
use crate::domain::check::name::ColumnName;
use crate::domain::check::{Check, Expect, Keys};

/// Compares two expectations.
pub(super) fn expect(found: &mut Found, check: &Check, was: &Expect, now: &Expect) {
    rows(found, was, now);
    values(found, check, was, now);
    keys(found, was.keys(), now.keys());
}

fn rows(found: &mut Found, was: &Expect, now: &Expect) {
    match (was.rows(), now.rows()) {
        (Some(old), Some(new)) => found.limit("expect.rows", (old, new), old.beside(new)),
        // Limits on values want a row, but where no row is expected.
        (None, Some(new)) if new.holds(0) && !was.values().is_empty() => {
            let why = "the number of rows is judged, and no row at all passes that proved nothing";
            found.note(Class::Other, "expect.rows", ("", new), why);
        }
        (old, new) => {
            let why = ("the number of rows is judged too", "any number of rows passes");
            found.comes_or_goes("expect.rows", (old, new), why);
        }
    }
}

fn values(found: &mut Found, check: &Check, was: &Expect, now: &Expect) {
    // Where everything may be NULL, a further column can be what was held against anything.
    let may_be_nothing = !was.values().is_empty()
        && was.values().values().all(|limit| limit.takes_null())
        && matches!(check.evidence.minimum, Minimum::AtLeast(_));
    let part = |column: &ColumnName| format!("expect.values.{column}");
    for (column, old) in was.values() {
        match now.values().get(column) {
            Some(new) => found.limit(part(column), (old, new), old.beside(new)),
            None => found.note(Class::Weaker, part(column), (old, ""), "any value passes"),
        }
    }
    for (column, new) in
        now.values().iter().filter(|(column, _)| !was.values().contains_key(*column))
    {
        let (class, why) = match may_be_nothing {
            true => (
                Class::Other,
                "the column is judged too, and where all others are NULL it alone is a proof by now",
            ),
            false => (Class::Stronger, "the column is judged too"),
        };
        found.note(class, part(column), ("", new), why);
    }
}

fn keys(found: &mut Found, was: Option<&Keys>, now: Option<&Keys>) {
    let shown = |keys: Option<&Keys>| keys.map(|keys| listed(&keys.columns));
    let (Some(old), Some(new)) = (was, now) else {
        let why =
            ("the keys that have to appear are listed", "the keys that had to appear need not");
        return found.comes_or_goes("expect.keys", (shown(was), shown(now)), why);
    };
    let pair = (listed(&old.columns), listed(&new.columns));
    let has_all = |all: &Keys, some: &Keys| some.columns.iter().all(|c| all.columns.contains(c));
    if old.columns != new.columns {
        let (class, why) = match (has_all(old, new), has_all(new, old)) {
            (true, false) => (Class::Weaker, "the keys that have to appear have fewer columns"),
            (false, true) => (Class::Stronger, "the keys that have to appear have more columns"),
            (true, true) | (false, false) => {
                (Class::Other, "the keys that have to appear have other columns")
            }
        };
        found.note(class, "expect.keys.columns", pair, why);
    }
    if old.source != new.source {
        found.note(
            Class::Other,
            "expect.keys.from.source",
            (&old.source, &new.source),
            "another database says which keys have to appear",
        );
    }
    found.query("expect.keys.from.sql", &old.from, &new.from);
}

/// Compares what proves that something was looked at.
pub(super) fn evidence(found: &mut Found, was: &Evidence, now: &Evidence) {
    measure(found, was, now);
    minimum(found, &was.minimum, &now.minimum);
    match (was.scope, now.scope) {
        (Scope::Window, Scope::Period) => found.note(
            Class::Weaker,
            "evidence.per",
            ("", "window"),
            "a stretch of a day is proved by what is in the rest of it",
        ),
        (Scope::Period, Scope::Window) => found.note(
            Class::Stronger,
            "evidence.per",
            ("window", ""),
            "each stretch of a day needs evidence of its own",
        ),
        (Scope::Window, Scope::Window) | (Scope::Period, Scope::Period) => {}
    }
    match (&was.history, &now.history) {
        (Some(old), Some(new)) if old != new => {
            let (class, why) = match new.is_more_than(*old) {
                true => (Class::Stronger, "a proof needs more of what is usual"),
                false => (Class::Weaker, "a proof needs less of what is usual"),
            };
            found.note(class, "evidence.history", (old, new), why);
        }
        (old, new) => found.comes_or_goes(
            "evidence.history",
            (old.as_ref(), new.as_ref()),
            ("a proof needs a part of what is usual", "a proof needs no part of what is usual"),
        ),
    }
}

fn measure(found: &mut Found, was: &Evidence, now: &Evidence) {
    let pair = (shown(&was.measure), shown(&now.measure));
    let weaker = "it is not counted any more whether there was anything to look at";
    match (&was.measure, &now.measure) {
        (Measure::Rows, Measure::Rows)
        | (Measure::ExpectedKeys, Measure::ExpectedKeys)
        // Whoever was expected and came is a row.
        | (Measure::Rows, Measure::ExpectedKeys)
            if was.measure == now.measure || was.minimum == Minimum::AtLeast(NonZeroU64::MIN) => {}
        (Measure::Query(old), Measure::Query(new)) if is_same(old, new) => {}
        (Measure::Column(old), Measure::Column(new)) if old == new => {}
        (Measure::Query(_) | Measure::Column(_) | Measure::ExpectedKeys, Measure::Rows)
        | (Measure::Query(_) | Measure::Column(_), Measure::ExpectedKeys) => {
            found.note(Class::Weaker, "evidence", pair, weaker);
        }
        _ => found.note(
            Class::Other,
            "evidence",
            pair,
            "something else is counted: only looking at the data tells",
        ),
    }
}

fn minimum(found: &mut Found, was: &Minimum, now: &Minimum) {
    let shown = |minimum: &Minimum| match minimum {
        Minimum::AtLeast(least) => least.to_string(),
        Minimum::Waived { .. } => "0".to_owned(),
    };
    let class = match (was, now) {
        (Minimum::AtLeast(old), Minimum::AtLeast(new)) if old == new => return,
        (Minimum::Waived { .. }, Minimum::Waived { .. }) => return,
        (Minimum::AtLeast(old), Minimum::AtLeast(new)) if new > old => Class::Stronger,
        (Minimum::Waived { .. }, Minimum::AtLeast(_)) => Class::Stronger,
        (Minimum::AtLeast(_), Minimum::AtLeast(_) | Minimum::Waived { .. }) => Class::Weaker,
    };
    let why = if class == Class::Stronger {
        "a proof needs more to look at"
    } else {
        "a proof needs less to look at"
    };
    let difference = Difference {
        class,
        part: "evidence.min".to_owned(),
        was: shown(was),
        now: shown(now),
        why: why.to_owned(),
        because: None,
    };
    match now {
        Minimum::Waived { because } => found.note_because(difference, because),
        Minimum::AtLeast(_) => found.all.push(difference),
    }
}

fn shown(measure: &Measure) -> String {
    match measure {
        Measure::Rows => "the rows that come".to_owned(),
        Measure::ExpectedKeys => "the keys that are expected".to_owned(),
        Measure::Column(column) => format!("the sum of {column}"),
        Measure::Query(query) => query.text().to_owned(),
    }
}

/// Columns in a row.
pub(super) fn listed(columns: &[ColumnName]) -> String {
    columns.iter().map(ColumnName::as_str).collect::<Vec<_>>().join(", ")
}
