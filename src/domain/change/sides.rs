//! Two sides that have to be the same, then and now.

use crate::domain::change::difference::{Class, Found};
use crate::domain::change::expect::listed;
use crate::domain::check::evidence::{Evidence, Measure, Minimum};
use crate::domain::reconcile::{Detail, Reconcile, Terms, Tolerance};
use crate::domain::time::duration;

/// Compares two reconciliations.
pub(super) fn sides(found: &mut Found, evidence: &Evidence, was: &Reconcile, now: &Reconcile) {
    for (name, old, new) in [("left", &was.left, &now.left), ("right", &was.right, &now.right)] {
        if old.source != new.source {
            let part = format!("reconcile.{name}.source");
            found.note(Class::Other, part, (&old.source, &new.source), "another database is asked");
        }
        found.query(format!("reconcile.{name}.sql"), &old.query, &new.query);
    }
    terms(found, "reconcile", evidence, (&was.terms, &now.terms));
    found.size(
        "reconcile.confirm_after",
        (&was.confirm_after, &now.confirm_after),
        (
            (Class::Weaker, "what differs for a while is not told for longer"),
            (Class::Stronger, "what differs for a while is told sooner"),
        ),
        |after| duration::show(*after),
    );
    detail(found, evidence, was.detail.as_ref(), now.detail.as_ref());
}

fn terms(found: &mut Found, part: &str, evidence: &Evidence, (was, now): (&Terms, &Terms)) {
    if was.key != now.key {
        let why = "rows are joined otherwise: only looking at the data tells";
        found.note(Class::Other, format!("{part}.key"), (listed(&was.key), listed(&now.key)), why);
    }
    // Where all that is compared is NULL, a further column can be what was held against anything.
    let is_proved_otherwise = matches!(evidence.minimum, Minimum::Waived { .. })
        || matches!(&evidence.measure, Measure::Column(column)
            if was.compare.iter().any(|(compared, _)| compared == column));
    for (column, old) in &was.compare {
        let part = format!("{part}.compare.{column}");
        match now.compare.iter().find(|(other, _)| other == column) {
            Some((_, new)) => tolerance(found, part, old, new),
            None => {
                found.note(Class::Weaker, part, (shown(old), ""), "it is not compared any more");
            }
        }
    }
    for (column, new) in &now.compare {
        if !was.compare.iter().any(|(other, _)| other == column) {
            let (class, why) = match is_proved_otherwise {
                true => (Class::Stronger, "it is compared too"),
                false => (
                    Class::Other,
                    "it is compared too, and where all else is NULL it alone is a proof by now",
                ),
            };
            found.note(class, format!("{part}.compare.{column}"), ("", shown(new)), why);
        }
    }
}

fn tolerance(found: &mut Found, part: String, was: &Tolerance, now: &Tolerance) {
    let (class, why) = match (was.takes_all_of(now), now.takes_all_of(was)) {
        (true, true) => return,
        (true, false) => (Class::Stronger, "smaller differences are told"),
        (false, true) => (Class::Weaker, "larger differences pass"),
        (false, false) => (Class::Other, "which of the two lets more pass depends on the value"),
    };
    found.note(class, part, (shown(was), shown(now)), why);
}

fn shown(tolerance: &Tolerance) -> String {
    let absolute = tolerance.absolute.as_ref().map(|most| format!("tolerance {most}"));
    let ratio = tolerance.ratio.as_ref().map(|most| format!("tolerance_ratio {most}"));
    let all: Vec<String> = absolute.into_iter().chain(ratio).collect();
    if all.is_empty() { "the same".to_owned() } else { all.join(", ") }
}

/// The rows behind: they are part of what is proved where they are always read, and are shown otherwise.
fn detail(found: &mut Found, evidence: &Evidence, was: Option<&Detail>, now: Option<&Detail>) {
    let part = "reconcile.detail";
    match (was, now) {
        (None, None) => {}
        (None, Some(_)) => {
            found.note(Class::Exposes, part, ("", "rows behind"), "rows that differ are named");
        }
        (Some(old), None) if old.always => {
            let why = "the rows behind are not compared any more";
            found.note(Class::Weaker, part, ("rows behind", ""), why);
        }
        // They only named what differed.
        (Some(_), None) => {}
        (Some(old), Some(new)) => {
            found.query(format!("{part}.left"), &old.left, &new.left);
            found.query(format!("{part}.right"), &old.right, &new.right);
            terms(found, part, evidence, (&old.terms, &new.terms));
            if old.always != new.always {
                let (class, why) = match new.always {
                    true => (Class::Stronger, "the rows behind are compared each time"),
                    false => (Class::Weaker, "the rows behind are compared only where sums differ"),
                };
                let word = |detail: &Detail| if detail.always { "always" } else { "unequal" };
                found.note(class, format!("{part}.when"), (word(old), word(new)), why);
            }
        }
    }
}
