//! Looks in shadow: a check as it is and as it is to be, at the same windows, by themselves. Nothing is written, no one is
//! told, and whatever is due goes first.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::domain::check::Check;
use crate::domain::check::verdict::Verdict;
use crate::domain::record::series::Series;
use crate::domain::time::breaker::Breaker;
use crate::domain::time::duration::delta;
use crate::domain::time::window::ZoneChoice;
use crate::domain::time::zone::ZoneName;
use crate::engine::asking::Look;
use crate::engine::attempt::Attempted;
use crate::engine::ports::Queries;
use crate::engine::progress::Progress;
use crate::engine::snapshot::Snapshot;
use crate::zones::Zones;

/// How many settled windows of each series are looked at where no one says how many, and of one check at most.
const WINDOWS: usize = 7;
const WINDOWS_MAX: usize = 42;
/// How long all checks of a change may be looked at.
const BUDGET: Duration = Duration::from_secs(600);
/// How often it is looked whether a source is free.
const FREE_EACH: Duration = Duration::from_millis(200);

/// What came of looking at a check as it was and as it is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadowed {
    /// Which check.
    pub check: String,
    /// Whether there was no such check: it is looked at alone.
    pub is_new: bool,
    /// How many windows were looked at by both.
    pub looked: usize,
    /// How often the check as it is to be says that something is wrong.
    pub violated: usize,
    /// How many alerts of that there would have been.
    pub alerts: usize,
    /// How often both say the same.
    pub same: usize,
    /// How often what was violated is confirmed.
    pub let_through: usize,
    /// How often what was confirmed is violated.
    pub found: usize,
    /// How often the check as it is to be says nothing, though it had to, and why first.
    pub silent: usize,
    /// Why.
    pub why: String,
    /// How often it looks at less than it did.
    pub thinner: usize,
    /// How often the check as it is says nothing: that compares nothing.
    pub unknown: usize,
    /// Whether there was no time, or no window, for more.
    pub is_cut: bool,
    /// How many zones it does not look at any more.
    pub zones_gone: usize,
    /// Why windows cannot be compared, where they cannot.
    pub incomparable: Option<&'static str>,
}

impl Shadowed {
    /// Says whether nothing speaks against the change: it was looked at, and lets nothing through.
    pub fn passes(&self) -> bool {
        self.is_known() && !self.lets_through()
    }

    /// Says whether all of it could be compared, or of a new check looked at.
    pub fn is_known(&self) -> bool {
        self.looked > 0
            && self.unknown == 0
            && !self.is_cut
            && self.silent == 0
            && self.incomparable.is_none()
    }

    /// Says whether less is found, or less is looked at, than before.
    pub fn lets_through(&self) -> bool {
        self.let_through > 0 || self.thinner > 0 || self.zones_gone > 0
    }

    /// What was seen, in words, with whose it is.
    pub fn words(&self) -> String {
        format!("{}: {}", self.check, self.seen())
    }

    /// What was seen, in words.
    pub fn seen(&self) -> String {
        let mut words = format!("{} looked at in shadow", windows(self.looked));
        let quiet = self.looked - self.violated.min(self.looked) - self.silent;
        let counts = [(quiet, "confirmed"), (self.violated, "violated")];
        for (count, what) in counts.into_iter().filter(|(count, _)| self.is_new && *count > 0) {
            let _ = write!(words, ", {count} {what}");
        }
        for (count, what) in [
            (self.same, "the same"),
            (self.let_through, "violated before and confirmed now"),
            (self.found, "confirmed before and violated now"),
            (self.thinner, "with less to look at than before"),
            (self.unknown, "unconfirmed before"),
        ] {
            if count > 0 {
                let _ = write!(words, ", {count} {what}");
            }
        }
        if self.silent > 0 {
            let _ = write!(words, ", {} unconfirmed now ({})", self.silent, self.why);
        }
        match self.alerts {
            0 => {}
            1 => words.push_str(": it would have alerted once"),
            many => {
                let _ = write!(words, ": it would have alerted {many} times");
            }
        }
        match self.zones_gone {
            0 => {}
            1 => words.push_str(", 1 zone is not looked at any more"),
            many => {
                let _ = write!(words, ", {many} zones are not looked at any more");
            }
        }
        if let Some(why) = self.incomparable {
            let _ = write!(words, ", {why}");
        }
        if self.is_cut {
            words.push_str(", and no time or no free source for more");
        }
        if self.looked == 0 {
            words.push_str(": nothing could be compared");
        }
        words
    }
}

fn windows(count: usize) -> String {
    if count == 1 { "1 window".to_owned() } else { format!("{count} windows") }
}

/// A check as it is, where it is there, and as it is to be.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) was: Option<Arc<Check>>,
    pub(super) now: Arc<Check>,
}

/// Who is asked, what is known of them, and until when.
pub(super) struct Asking<Q> {
    pub(super) queries: Arc<Q>,
    pub(super) pictures: watch::Receiver<Arc<Snapshot>>,
    pub(super) zones: Arc<Zones>,
    pub(super) stop: CancellationToken,
}

/// Looks at pairs of checks, each at so many windows of each series; where no one says how many, at a few.
pub(super) async fn shadow<Q: Queries>(
    asking: Asking<Q>,
    pairs: Vec<Pair>,
    windows: Option<usize>,
) -> Vec<Shadowed> {
    let Asking { queries, pictures, zones, stop } = asking;
    let until = Instant::now() + BUDGET;
    let mut all = Vec::new();
    for Pair { was, now } in pairs {
        let mut seen =
            Shadowed { check: now.id.to_string(), is_new: was.is_none(), ..Shadowed::default() };
        let picture = Arc::clone(&pictures.borrow());
        let checks: Vec<&Arc<Check>> = was.iter().chain([&now]).collect();
        let looks = looks(was.as_ref().unwrap_or(&now), &now, &zones, &picture, windows);
        seen.zones_gone = looks.zones_gone;
        seen.incomparable = looks.incomparable;
        for of_zone in looks.zones {
            let mut run = 0;
            // From the oldest on, as alerts come.
            for (old, new) in of_zone.into_iter().rev() {
                if !free(&pictures, &checks, until, &stop).await {
                    seen.is_cut = true;
                    break;
                }
                let ask = |check: &Arc<Check>, look: Look| {
                    queries.attempt(Arc::clone(check), look, Progress::default(), stop.clone())
                };
                let before = match &was {
                    Some(was) => Some(ask(was, old).await),
                    None => None,
                };
                let after = ask(&now, new).await;
                if stop.is_cancelled() {
                    seen.is_cut = true;
                    break;
                }
                seen.take(before.as_ref(), &after);
                let is_violated = matches!(after.judgement.verdict, Verdict::Violated(_));
                run = if is_violated { run + 1 } else { 0 };
                seen.alerts += usize::from(seen.is_new && run == now.alert.after.get());
            }
        }
        all.push(seen);
    }
    all
}

impl Shadowed {
    fn take(&mut self, before: Option<&Attempted>, after: &Attempted) {
        self.looked += 1;
        let now = &after.judgement;
        self.violated += usize::from(matches!(now.verdict, Verdict::Violated(_)));
        // What is new is held against itself.
        let was = before.map_or(now, |before| &before.judgement);
        match (&was.verdict, &now.verdict) {
            (_, Verdict::Unconfirmed(reason)) => {
                self.silent += 1;
                if self.why.is_empty() {
                    self.why = format!(
                        "{}: {}",
                        reason.cause,
                        reason.note.lines().next().unwrap_or_default()
                    );
                }
            }
            (Verdict::Unconfirmed(_), _) => self.unknown += 1,
            (Verdict::Violated(_), Verdict::Confirmed) => self.let_through += 1,
            (Verdict::Confirmed, Verdict::Violated(_)) => self.found += 1,
            (Verdict::Confirmed, Verdict::Confirmed)
            | (Verdict::Violated(_), Verdict::Violated(_)) => {
                self.same += usize::from(before.is_some());
            }
        }
        let is_thinner = was.evidence.zip(now.evidence).is_some_and(|(was, now)| now < was);
        self.thinner += usize::from(is_thinner && matches!(now.verdict, Verdict::Confirmed));
    }
}

/// The looks at the same windows by both.
#[derive(Debug, Default)]
struct Looks {
    /// Of each zone that both name: the last that settled, the newest first; or the present.
    zones: Vec<Vec<(Look, Look)>>,
    /// How many zones only the check as it is looks at.
    zones_gone: usize,
    /// Why windows of one are none of the other, where that is so.
    incomparable: Option<&'static str>,
}

/// Why windows of two checks cannot be compared, or not all of them.
fn incomparable(was: &Check, now: &Check) -> Option<&'static str> {
    let (old, new) = match (&was.window, &now.window) {
        (None, None) => return None,
        (Some(old), Some(new)) => (old, new),
        (None, Some(_)) | (Some(_), None) => return Some("other data is looked at"),
    };
    if (old.frame, old.split) != (new.frame, new.split) {
        return Some("other windows are looked at");
    }
    match (&old.zones, &new.zones) {
        (ZoneChoice::From(old), ZoneChoice::From(new)) if old == new => None,
        (_, ZoneChoice::From(_)) => Some("other zones may be listed, and that is not looked at"),
        _ => None,
    }
}

/// Finds the looks at the same windows by both.
fn looks(
    was: &Arc<Check>,
    now: &Arc<Check>,
    zones: &Zones,
    picture: &Snapshot,
    windows: Option<usize>,
) -> Looks {
    let at = picture.now();
    let incomparable = if Arc::ptr_eq(was, now) { None } else { incomparable(was, now) };
    if was.window.is_none() && now.window.is_none() {
        return Looks { zones: vec![vec![(Look::Present, Look::Present)]], ..Looks::default() };
    }
    if was.window.as_ref().map(|rule| (rule.frame, rule.split))
        != now.window.as_ref().map(|rule| (rule.frame, rule.split))
    {
        return Looks { incomparable, ..Looks::default() };
    }
    let rules = |zone: &ZoneName| zones.rules(zone);
    // What a query lists, the ledger knows.
    let listed = || -> Vec<ZoneName> {
        let of_check = picture.series.iter().filter(|series| series.check.id == was.id);
        of_check.filter_map(|series| ZoneName::parse(series.record.tz.as_ref()?).ok()).collect()
    };
    let of = |check: &Arc<Check>| -> Vec<ZoneName> {
        match check.window.as_ref().map(|rule| &rule.zones) {
            Some(ZoneChoice::From(_)) => listed(),
            Some(zones @ (ZoneChoice::One(_) | ZoneChoice::Each(_))) => zones.written().to_vec(),
            Some(ZoneChoice::Nowhere) | None => vec![ZoneName::utc()],
        }
    };
    let (old_zones, new_zones) = (of(was), of(now));
    let zones_gone = old_zones.iter().filter(|zone| !new_zones.contains(zone)).count();
    let mut all = Vec::<Vec<(Look, Look)>>::new();
    for zone in new_zones.iter().filter(|zone| old_zones.contains(zone)) {
        let series = |check| Series::in_zone(check, zone, &rules);
        let (Some(old), Some(new)) = (series(was), series(now)) else { continue };
        let (Some(rule), Some(other)) = (old.window(), new.window()) else { continue };
        let settled = at - delta(rule.settle).max(delta(other.settle));
        let mut span = rule.frame.last_closed(&old.home.rules, settled);
        let mut of_zone = Vec::new();
        let mut left = windows.unwrap_or(WINDOWS);
        while let Some(one) = span.filter(|_| left > 0) {
            // A date that clocks leave out is no window.
            left -= usize::from(!one.is_empty());
            for window in one.windows(&old.home.rules, rule.split).into_iter().rev() {
                of_zone.push((Look::at(&old, window), Look::at(&new, window)));
            }
            span = Some(rule.frame.previous(&old.home.rules, &one));
        }
        all.push(of_zone);
    }
    // Of many zones each is looked at, at fewer windows, where no one says how many.
    let each = (WINDOWS_MAX / all.len().max(1)).clamp(1, WINDOWS);
    for of_zone in all.iter_mut().filter(|_| windows.is_none()) {
        of_zone.truncate(each);
    }
    Looks { zones: all, zones_gone, incomparable }
}

/// Waits until every source that is asked has a place that nothing due wants; says whether it has.
async fn free(
    pictures: &watch::Receiver<Arc<Snapshot>>,
    checks: &[&Arc<Check>],
    until: Instant,
    stop: &CancellationToken,
) -> bool {
    loop {
        if stop.is_cancelled() || Instant::now() > until {
            return false;
        }
        let is_free = {
            let picture = pictures.borrow();
            checks.iter().flat_map(|check| check.sources_asked()).all(|name| {
                picture.sources.get(name).is_some_and(|source| {
                    !matches!(source.breaker, Breaker::Open { .. })
                        && source.waiting == 0
                        && source.running < source.places
                })
            })
        };
        if is_free {
            return true;
        }
        sleep(FREE_EACH).await;
    }
}
