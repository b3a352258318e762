//! What one picture says of all checks together: counted once, for all who look.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::domain::check::Check;
use crate::domain::check::nearest::suggestion;
use crate::engine::snapshot::Snapshot;
use crate::web::Shared;
use crate::web::filter::{hinted, ids, short};
use crate::web::health::{are_ways_broken, paths, webhooks};
use crate::web::outgoing::Outgoing;
use crate::web::pages::group::Group;
use crate::web::pages::tally::{Asked, Head, Tally};
use crate::web::problem::Problem;

/// How old it may be where the engine shows no newer picture: what was proved runs out meanwhile.
const AGE: Duration = Duration::from_millis(500);

/// The last survey, and the way to have only one made at a time.
pub(in crate::web) type Surveys = Mutex<Option<Arc<Survey>>>;

/// All checks of one picture, and what became of their alerts.
pub(in crate::web) struct Survey {
    pub(super) picture: Arc<Snapshot>,
    made_at: Instant,
    is_blind: bool,
    tally: Tally,
    /// How many critical series are not proved and heard of by no one.
    pub(super) held_back: usize,
    /// What is wrong with a clock, where that is so.
    pub(super) clock: Option<String>,
    pub(super) told: Outgoing,
    pub(super) ways: Vec<Value>,
    pub(super) webhooks: Vec<Value>,
    /// Whether alerts do not get through.
    pub(super) is_way_broken: bool,
}

impl fmt::Debug for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survey").field("made_at", &self.made_at).finish_non_exhaustive()
    }
}

impl Survey {
    /// As it was made a moment ago of the same picture for another one, or anew: one makes it, and all who come
    /// meanwhile wait for that.
    pub(super) async fn of(shared: &Arc<Shared>) -> Result<Arc<Self>, Problem> {
        let mut known = shared.surveys.lock().await;
        let picture = shared.picture();
        let is_same = |known: &&Arc<Self>| {
            Arc::ptr_eq(&known.picture, &picture)
                && known.made_at.elapsed() < AGE
                && known.is_blind == picture.blind().is_some()
        };
        if let Some(known) = known.as_ref().filter(is_same) {
            return Ok(Arc::clone(known));
        }
        let (asked, before) = (Arc::clone(shared), known.take());
        // Nothing else that is asked waits for it.
        let made = spawn_blocking(move || Arc::new(Self::new(&asked, picture, before)));
        let made = made.await.map_err(|_| {
            let detail = "the checks could not be counted";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        })?;
        *known = Some(Arc::clone(&made));
        Ok(made)
    }

    fn new(shared: &Shared, picture: Arc<Snapshot>, before: Option<Arc<Self>>) -> Self {
        let is_blind = picture.blind().is_some();
        let before = before.filter(|before| before.is_blind == is_blind);
        let tally = before.and_then(|before| {
            let shown = Arc::clone(&before.picture);
            // Nothing is copied where no reader has it any more.
            let tally = match Arc::try_unwrap(before) {
                Ok(before) => before.tally,
                Err(before) => before.tally.clone(),
            };
            tally.after(&shown, &picture)
        });
        let tally = tally.unwrap_or_else(|| Tally::new(&picture));
        let (told, ways) = (Outgoing::of(shared, &picture), paths(shared, &picture));
        let mut survey = Self {
            made_at: Instant::now(),
            is_blind,
            held_back: 0,
            clock: match tally.ahead {
                0 => picture.clocks_differ(),
                _ => picture.clock_is_wrong(),
            },
            told,
            is_way_broken: are_ways_broken(shared, &picture, &ways),
            ways,
            webhooks: webhooks(shared, &picture),
            tally,
            picture,
        };
        survey.held_back = survey.held_back();
        survey
    }

    /// How many critical series are not well, and no one is told.
    fn held_back(&self) -> usize {
        let series = &self.picture.series;
        let of_alerts = self.told.alerting().filter_map(|id| {
            let place = series.binary_search_by_key(&id, |series| series.record.id).ok()?;
            self.told.is_held_back(&series[place]).then_some(place)
        });
        let of_quiets = self.told.quiet_checks().filter_map(|id| self.find(id));
        let of_quiets = of_quiets.flat_map(|head| self.tally.members_of(head).iter().copied());
        let held: BTreeSet<usize> = of_alerts.chain(of_quiets).collect();
        held.into_iter().filter(|place| self.tally.is_unwell(*place)).count()
    }

    /// How many series are in each state.
    pub(super) fn counts(&self) -> [(&'static str, usize); 6] {
        self.tally.counts
    }

    /// How many critical series there are, and how many of them are not proved.
    pub(super) fn critical(&self) -> (usize, usize) {
        (self.tally.critical, self.tally.unwell)
    }

    /// The owners of checks.
    pub(super) fn owners(&self) -> impl Iterator<Item = &str> {
        self.tally.owners.keys().map(String::as_str)
    }

    /// The sources that are asked, and by whom.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &Asked)> {
        self.tally.sources.iter().map(|(name, asked)| (name.as_str(), asked))
    }

    /// All checks, in no order.
    pub(super) fn checks(&self) -> &[Head] {
        self.tally.heads()
    }

    pub(super) fn check(&self, head: &Head) -> &Check {
        &self.picture.series[head.declared].check
    }

    /// A check by its id with its series, also where all of them are over.
    pub(super) fn group(&self, id: &str) -> Option<Group<'_>> {
        let known = self.find(id).map(|head| self.series_of(head));
        known.or_else(|| Group::of(&self.picture, id))
    }

    /// The same, or the answer that there is none.
    pub(super) fn found(&self, id: &str) -> Result<Group<'_>, Problem> {
        self.group(id).ok_or_else(|| {
            let what = format!("no check is called `{}`", short(id));
            Problem::new(StatusCode::NOT_FOUND, hinted(what, suggestion(id, &ids(&self.picture))))
        })
    }

    fn find(&self, id: &str) -> Option<&Head> {
        self.tally.find(id, |head| self.check(head).id.as_str())
    }

    /// Some of the checks that fit, the most urgent and oldest first, from a place on; and how many fit.
    pub(super) fn most_urgent(
        &self,
        fits: impl Fn(&Head) -> bool,
        from: usize,
        count: usize,
    ) -> (Vec<&Head>, usize) {
        let mut fitting: Vec<&Head> = self.checks().iter().filter(|head| fits(head)).collect();
        let found = fitting.len();
        if from >= found {
            return (Vec::new(), found);
        }
        // Only what is shown is put in order.
        let mut rest = fitting.as_mut_slice();
        if from > 0 {
            rest = rest.select_nth_unstable_by(from - 1, |a, b| a.urgency(b)).2;
        }
        if count < rest.len() {
            rest = rest.select_nth_unstable_by(count, |a, b| a.urgency(b)).0;
        }
        rest.sort_unstable_by(|a, b| a.urgency(b));
        (rest.to_vec(), found)
    }

    /// A check with its series.
    pub(super) fn series_of(&self, head: &Head) -> Group<'_> {
        let places = self.tally.members_of(head).iter();
        let all = places.map(|place| (&self.picture.series[*place], self.tally.state(*place)));
        let (series, states) = all.unzip();
        Group::new(self.check(head), &self.picture, series, states)
    }

    /// Whether all is well, as `/allswell` says it; nothing is where nothing is critical, or the picture says nothing.
    pub(super) fn is_well(&self) -> bool {
        let (critical, unwell) = self.critical();
        let is_proved = critical > 0 && unwell == 0 && self.picture.blind().is_none();
        is_proved && !self.is_way_broken
    }
}
