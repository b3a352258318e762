//! Which receivers critical alerts reach, as far as Alertmanagers show their routes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::alertmanager::Health;
use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::drill::{self, DRILL_RECEIVER, Kind};
use crate::domain::alerting::routing::Route;
use crate::domain::check::Check;
use crate::engine::snapshot::Snapshot;

/// For which checks and routes it is known which receivers critical alerts reach.
type Known = (i64, Vec<Option<Arc<Route>>>);

/// The receivers, and for which checks and routes.
type Kept = (Known, Arc<BTreeSet<String>>);

/// The receivers that critical alerts reach, for as long as checks and routes are the same.
#[derive(Debug, Clone, Default)]
pub struct Reached(Arc<Mutex<Option<Kept>>>);

impl Reached {
    /// The receivers that tell a person, and that a critical alert is routed to, as far as Alertmanagers show their routes.
    pub(crate) fn receivers(
        &self,
        picture: &Snapshot,
        healths: &[Health],
        own: &[(&str, &str)],
    ) -> Arc<BTreeSet<String>> {
        let generation = picture.generation.as_ref().map_or(0, |generation| generation.id);
        let key = (generation, healths.iter().map(|health| health.routes.clone()).collect());
        let Ok(mut known) = self.0.lock() else { return Arc::default() };
        if let Some((same, receivers)) = known.as_ref()
            && is_same(same, &key)
        {
            return Arc::clone(receivers);
        }
        let all = critical(picture, own);
        let mut reached = BTreeSet::new();
        for health in healths {
            let (Some(routes), Some(receivers)) = (&health.routes, &health.receivers) else {
                continue;
            };
            let taken = all.iter().flat_map(|labels| routes.taken(labels.all()));
            let tells = |receiver: &String| {
                receivers.get(receiver) == Some(&true) && receiver != DRILL_RECEIVER
            };
            reached.extend(taken.map(|taken| taken.receiver).filter(tells));
        }
        let reached = Arc::new(reached);
        *known = Some((key, Arc::clone(&reached)));
        reached
    }
}

fn is_same(one: &Known, other: &Known) -> bool {
    let same = |(one, other): (&Option<Arc<Route>>, &Option<Arc<Route>>)| match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    one.0 == other.0 && one.1.len() == other.1.len() && one.1.iter().zip(&other.1).all(same)
}

/// Every set of labels with which a critical alert can be sent.
fn critical(picture: &Snapshot, own: &[(&str, &str)]) -> Vec<Labels> {
    let mut seen = BTreeSet::new();
    let live = picture.series.iter().filter(|series| !series.is_over());
    let checks = live.map(|series| &*series.check);
    let checks: Vec<&Check> = checks.filter(|check| seen.insert(&check.id)).collect();
    let all = drill::all(checks.into_iter(), own, &picture.labels);
    all.into_iter().filter(|labels| Kind::of(labels).is_critical()).collect()
}
