//! Who is told of a check and when, how long its results may take, and what is shown: then and now.

use std::collections::BTreeSet;

use crate::domain::change::difference::{Class, Found};
use crate::domain::check::name::ColumnName;
use crate::domain::check::{CatchUpPolicy, Check};
use crate::domain::time::duration;

/// Compares what a check is called, and whom it asks.
pub(super) fn identity(found: &mut Found, was: &Check, now: &Check) {
    if was.id != now.id {
        let why = "its alerts have another name; its history goes on";
        found.note(Class::Routing, "id", (&was.id, &now.id), why);
    }
    if was.source != now.source {
        found.note(Class::Other, "source", (&was.source, &now.source), "another database is asked");
    }
}

/// Compares everything about a check but what it asks, expects and when it looks.
pub(super) fn terms(found: &mut Found, was: &Check, now: &Check) {
    told(found, was, now);
    limits(found, was, now);
    freshness(found, was, now);
    shown(found, was, now);
}

fn told(found: &mut Found, was: &Check, now: &Check) {
    // What is worse is smaller.
    let severity = |part: &str, (old, new), found: &mut Found| {
        found.size(
            part,
            (&old, &new),
            ((Class::Weaker, "it is told as less bad"), (Class::Stronger, "it is told as worse")),
            ToString::to_string,
        );
    };
    severity("severity", (was.severity, now.severity), found);
    let unconfirmed = |check: &Check| check.alert.unconfirmed.unwrap_or(check.severity);
    if was.alert.unconfirmed != now.alert.unconfirmed {
        severity("alert.unconfirmed", (unconfirmed(was), unconfirmed(now)), found);
    }
    found.size(
        "alert.after",
        (&was.alert.after, &now.alert.after),
        (
            (Class::Weaker, "more bad windows in a row pass untold"),
            (Class::Stronger, "fewer bad windows in a row pass untold"),
        ),
        ToString::to_string,
    );
    if was.owner != now.owner {
        found.note(Class::Routing, "owner", (&was.owner, &now.owner), "others are told");
    }
    if was.labels != now.labels {
        let list = |check: &Check| {
            let labels =
                check.labels.iter().map(|(name, value)| format!("{}={value}", name.as_str()));
            labels.collect::<Vec<_>>().join(", ")
        };
        found.note(Class::Routing, "labels", (list(was), list(now)), "others may be told");
    }
}

fn limits(found: &mut Found, was: &Check, now: &Check) {
    let time = |limit: &std::time::Duration| duration::show(*limit);
    match (&was.result_by, &now.result_by) {
        (Some(old), Some(new)) => found.size(
            "result_by",
            (old, new),
            (
                (Class::Weaker, "a result may be missing for longer"),
                (Class::Stronger, "a result may be missing for less long"),
            ),
            time,
        ),
        (None, None) => {}
        (old, new) => {
            let word = |by: &Option<_>| by.as_ref().map_or("by default".to_owned(), time);
            let why = "by when a result has to be there is said otherwise";
            found.note(Class::Weaker, "result_by", (word(old), word(new)), why);
        }
    }
    let rank = |policy: CatchUpPolicy| match policy {
        CatchUpPolicy::All => 2_u8,
        CatchUpPolicy::Latest => 1,
        CatchUpPolicy::Nothing => 0,
    };
    let word = |policy: u8| ["none", "latest", "all"][usize::from(policy)].to_owned();
    let more = "more of what was missed is looked at late";
    let less = "less of what was missed is looked at late";
    let by_size = ((Class::Stronger, more), (Class::Weaker, less));
    let policies = (&rank(was.catch_up.policy), &rank(now.catch_up.policy));
    found.size("catch_up.policy", policies, by_size, |policy| word(*policy));
    found.size("catch_up.age", (&was.catch_up.age, &now.catch_up.age), by_size, time);
    recheck(found, was, now);
    timeout(found, was, now);
    let rows = (&was.max_rows.get(), &now.max_rows.get());
    let more = "results are proved that were too large to be read";
    let fewer = "larger results end unconfirmed: only looking at the data tells";
    found.size(
        "max_rows",
        rows,
        ((Class::Weaker, more), (Class::Other, fewer)),
        ToString::to_string,
    );
}

fn recheck(found: &mut Found, was: &Check, now: &Check) {
    let ages = |check: &Check| -> BTreeSet<_> { check.recheck.ages().collect() };
    let (old, new) = (ages(was), ages(now));
    if old == new {
        return;
    }
    let list = |ages: &BTreeSet<chrono::TimeDelta>| {
        let shown = ages.iter().map(|age| duration::show(age.to_std().unwrap_or_default()));
        shown.collect::<Vec<_>>().join(", ")
    };
    let (class, why) = match (new.is_superset(&old), new.is_subset(&old)) {
        (true, _) => (Class::Stronger, "what was proved is proved again more often"),
        (false, true) => (Class::Weaker, "what was proved is proved again less often"),
        (false, false) => (Class::Other, "what was proved is proved again at other ages"),
    };
    found.note(class, "recheck", (list(&old), list(&new)), why);
}

fn timeout(found: &mut Found, was: &Check, now: &Check) {
    let shorter = "what takes longer ends unconfirmed: only looking at the data tells";
    let longer = "a query may run for longer";
    let shown = |timeout: &Option<_>| timeout.map_or("the source's".to_owned(), duration::show);
    let (class, why) = match (was.timeout, now.timeout) {
        (Some(old), Some(new)) if new > old => (Class::Weaker, longer),
        (old, new) if old == new => return,
        (Some(_) | None, Some(_)) => (Class::Other, shorter),
        (_, None) => (Class::Weaker, longer),
    };
    found.note(class, "timeout", (shown(&was.timeout), shown(&now.timeout)), why);
}

fn freshness(found: &mut Found, was: &Check, now: &Check) {
    // What a check says itself takes the place of what its source, or a default, says.
    let instead = "it takes the place of what holds without it: only looking at the data tells";
    match (&was.freshness.complete_until, &now.freshness.complete_until) {
        (Some(old), Some(new)) => found.query("complete_until", old, new),
        (None, Some(new)) => found.note(Class::Other, "complete_until", ("", new.text()), instead),
        (Some(old), None) => {
            let why = "it waits for what its source says alone, or for nothing";
            found.note(Class::Weaker, "complete_until", (old.text(), ""), why);
        }
        (None, None) => {}
    }
    match (&was.freshness.max_lag, &now.freshness.max_lag) {
        (Some(old), Some(new)) => found.size(
            "max_lag",
            (old, new),
            ((Class::Weaker, "older data is a proof"), (Class::Stronger, "older data is no proof")),
            |lag| duration::show(*lag),
        ),
        (None, None) => {}
        (old, new) => {
            let shown = |lag: &Option<_>| lag.map(duration::show).unwrap_or_default();
            found.note(Class::Other, "max_lag", (shown(old), shown(new)), instead);
        }
    }
}

fn shown(found: &mut Found, was: &Check, now: &Check) {
    let all = |columns: &[ColumnName]| -> BTreeSet<String> {
        columns.iter().map(ToString::to_string).collect()
    };
    let list = |columns: &BTreeSet<String>| columns.iter().cloned().collect::<Vec<_>>().join(", ");
    let (old, new) = (all(&was.samples.columns), all(&now.samples.columns));
    if !new.is_subset(&old) {
        let why = "values of these columns come into alerts and pages";
        found.note(Class::Exposes, "samples.columns", (list(&old), list(&new)), why);
    }
    let (old, new) = (all(&was.samples.mask), all(&now.samples.mask));
    if !old.is_subset(&new) {
        let why = "values that were hidden come into alerts and pages";
        found.note(Class::Exposes, "mask", (list(&old), list(&new)), why);
    }
    if now.samples.rows > was.samples.rows && !now.columns_shown().is_empty() {
        let pair = (was.samples.rows, now.samples.rows);
        found.note(Class::Exposes, "samples.rows", pair, "more rows come into alerts and pages");
    }
}
