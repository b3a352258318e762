//! Changes of checks, ordered by strength.
//!
//! A check is stronger than another one where less passes, or more is looked at. The law that holds: where a change is
//! *stronger*, or none at all, whatever the new check confirms, the old one confirms too. What cannot be ordered that way
//! is *other*: only looking at the data tells.

mod calendar;
mod difference;
mod expect;
#[cfg(test)]
mod law;
mod looks;
mod rules;
mod settings;
mod sides;
mod terms;
pub mod word;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::change::difference::Found;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::name::CheckId;
use crate::domain::check::{Body, Check};

pub use calendar::World;
pub use difference::{Class, Difference};
pub use settings::{settings, source_of};

/// A check that is not what it was.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Its id; where it is gone, the one that it had.
    pub id: CheckId,
    /// What it was; nothing where it is new.
    pub was: Option<Arc<Check>>,
    /// What it is; nothing where it is gone.
    pub now: Option<Arc<Check>>,
    /// What the change does: the worst of its differences.
    pub class: Class,
    /// What differs, the worst first.
    pub differences: Vec<Difference>,
    /// The reason that the files give for it, where they give one.
    pub because: Option<String>,
}

/// What changes between two catalogues.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The checks that change, the worst first.
    pub checks: Vec<Changed>,
    /// How many mean what they meant.
    pub same: usize,
}

impl Changes {
    /// How many changes are of a class.
    pub fn count(&self, class: Class) -> usize {
        self.checks.iter().filter(|changed| changed.class == class).count()
    }
}

/// Compares two catalogues.
pub fn changes(was: &Catalogue, now: &Catalogue, world: &World<'_>) -> Changes {
    let old: BTreeMap<&CheckId, &Arc<Check>> = was.checks().iter().map(|c| (&c.id, c)).collect();
    let new: BTreeMap<&CheckId, &Arc<Check>> = now.checks().iter().map(|c| (&c.id, c)).collect();
    // Once it is renamed, `was` may stay.
    let before = |check: &Check| {
        let renamed = check.was.as_ref().filter(|was| !new.contains_key(was));
        old.get(&check.id).or_else(|| old.get(renamed?)).copied()
    };
    let mut all = Changes::default();
    for check in now.checks() {
        match before(check) {
            None => all.checks.push(Changed {
                id: check.id.clone(),
                was: None,
                now: Some(Arc::clone(check)),
                class: Class::New,
                differences: Vec::new(),
                because: None,
            }),
            Some(was) => {
                let mut differences = differences(was, check, world);
                differences.sort_by_key(|difference| difference.class);
                match differences.first() {
                    None => all.same += 1,
                    Some(worst) => all.checks.push(Changed {
                        id: check.id.clone(),
                        was: Some(Arc::clone(was)),
                        now: Some(Arc::clone(check)),
                        class: worst.class,
                        differences,
                        because: None,
                    }),
                }
            }
        }
    }
    let kept: Vec<&CheckId> =
        now.checks().iter().filter_map(|check| Some(&before(check)?.id)).collect();
    let kept: std::collections::BTreeSet<&CheckId> = kept.into_iter().collect();
    for check in was.checks().iter().filter(|check| !kept.contains(&check.id)) {
        let removed = now.removed().iter().find(|removed| removed.id == check.id);
        all.checks.push(Changed {
            id: check.id.clone(),
            was: Some(Arc::clone(check)),
            now: None,
            class: Class::Gone,
            differences: Vec::new(),
            because: removed.map(|removed| removed.because.clone()),
        });
    }
    all.checks.sort_by(|a, b| (a.class, &a.id).cmp(&(b.class, &b.id)));
    all
}

/// What differs between two versions of a check.
pub fn differences(was: &Arc<Check>, now: &Arc<Check>, world: &World<'_>) -> Vec<Difference> {
    if was == now {
        return Vec::new();
    }
    let mut found = Found::default();
    terms::identity(&mut found, was, now);
    match (&was.body, &now.body) {
        (Body::Sql { query: old, expect: wanted }, Body::Sql { query: new, expect }) => {
            found.query("sql", old, new);
            expect::expect(&mut found, was, wanted, expect);
        }
        (Body::Reconcile(old), Body::Reconcile(new)) => {
            sides::sides(&mut found, &was.evidence, old, new);
        }
        (Body::Table(old), Body::Table(new)) => rules::rules(&mut found, old.rules(), new.rules()),
        (old, new) => {
            let why = "something else is asked: only looking at the data tells";
            found.note(Class::Other, kind(new), (kind(old), kind(new)), why);
        }
    }
    expect::evidence(&mut found, &was.evidence, &now.evidence);
    calendar::calendar(&mut found, world, was, now);
    terms::terms(&mut found, was, now);
    found.all
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Sql { .. } => "sql",
        Body::Reconcile(_) => "reconcile",
        Body::Table(_) => "table",
    }
}
