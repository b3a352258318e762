//! What one receiver of alerts has to be told: the latest state of each alert, never a queue.
//!
//! Nothing is dropped for being old, and memory is bounded by the alerts that there are. Whatever is
//! not acknowledged is due again; whatever is, after `resend`. An alert that ended is told as ended
//! until the receiver knows, and for a while after; not before it could be seen to stand, because a
//! receiver that waits for others of a group would never tell anybody (`facts/alerting.md` 2.1, 2.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alert::{Alert, Fingerprint};

/// How long it may take until whoever is told of an end has told it on: Alertmanager waits for the others of
/// a group (`group_interval`, five minutes by default).
const ENDS_HEARD: TimeDelta = TimeDelta::minutes(6);
/// How long an end is repeated.
pub const ENDS_REPEATED: TimeDelta = TimeDelta::minutes(15);

/// When alerts are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// How often an alert that stands is told again.
    pub resend: TimeDelta,
    /// How long a receiver knows an alert before it is told that it ended.
    pub hold: TimeDelta,
    /// How long an alert stands where nobody tells it again.
    pub lasts: TimeDelta,
}

/// An alert that is to stand, or that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The alert.
    pub alert: Arc<Alert>,
    /// When it ended, where it did.
    pub ended_at: Option<DateTime<Utc>>,
    /// How long it stands where nobody tells it again; as long as all others where nothing is said.
    pub lasts: Option<TimeDelta>,
    /// Since when somebody outside knows that it stands, by the record.
    pub told_at: Option<DateTime<Utc>>,
    /// Whether nobody says that it ended, because somebody else may say that it stands: it lapses.
    pub lapses: bool,
}

/// An alert on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// The alert.
    pub alert: Arc<Alert>,
    /// When it ends, or ended.
    pub ends_at: DateTime<Utc>,
    /// Whether it stands.
    pub stands: bool,
    /// Which state of it that is.
    version: u64,
}

impl Parcel {
    /// The same without its link.
    #[must_use]
    pub fn without_link(&self) -> Self {
        let alert = Arc::new(Alert { link: None, ..Alert::clone(&self.alert) });
        Self { alert, ..self.clone() }
    }
}

#[derive(Debug, Clone)]
struct Slot {
    wanted: Wanted,
    /// Rises with each change.
    version: u64,
    /// The state that was acknowledged last.
    known: u64,
    /// Since when the receiver knows that it stands.
    stood_since: Option<DateTime<Utc>>,
    /// When it was acknowledged last.
    told_at: Option<DateTime<Utc>>,
    /// The state that the receiver refuses, where it does.
    refused: Option<u64>,
}

/// What one receiver has to be told.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    slots: BTreeMap<Fingerprint, Slot>,
}

impl Outbox {
    /// Takes over what is to stand, and what ended. What stood and is not mentioned any more ended now.
    pub fn want(&mut self, all: &[Wanted], now: DateTime<Utc>) {
        let mut mentioned: BTreeMap<Fingerprint, &Wanted> = BTreeMap::new();
        for wanted in all {
            let name = wanted.alert.labels.fingerprint();
            // What stands goes before what ended with the same labels.
            let other = mentioned.get(&name).is_some_and(|known| known.ended_at.is_none());
            if !other {
                mentioned.insert(name, wanted);
            }
        }
        for (name, wanted) in &mentioned {
            match self.slots.get_mut(name) {
                // Who was told is no news.
                Some(slot)
                    if slot.wanted
                        == Wanted { told_at: slot.wanted.told_at, ..(*wanted).clone() } => {}
                Some(slot) => {
                    let begins_anew = slot.wanted.ended_at.is_some() && wanted.ended_at.is_none();
                    if begins_anew {
                        slot.stood_since = None;
                    }
                    slot.wanted = (*wanted).clone();
                    slot.version += 1;
                }
                None => {
                    let slot = Slot {
                        wanted: (*wanted).clone(),
                        version: 1,
                        known: 0,
                        // Of what ended before we came somebody else told that it stood, or nobody did.
                        stood_since: wanted.ended_at.and(wanted.told_at),
                        told_at: None,
                        refused: None,
                    };
                    self.slots.insert(*name, slot);
                }
            }
        }
        self.slots.retain(|name, slot| !slot.wanted.lapses || mentioned.contains_key(name));
        for (name, slot) in &mut self.slots {
            if slot.wanted.ended_at.is_none() && !mentioned.contains_key(name) {
                slot.wanted.ended_at = Some(now);
                slot.version += 1;
            }
        }
        self.slots.retain(|name, slot| {
            let over = slot.wanted.ended_at.is_some_and(|at| at + ENDS_REPEATED < now);
            let settled = slot.known == slot.version || slot.refused == Some(slot.version);
            mentioned.contains_key(name) || !over || !settled
        });
    }

    /// What is due by now, at most so many.
    pub fn due(&self, rhythm: &Rhythm, now: DateTime<Utc>, most: usize) -> Vec<Parcel> {
        let due = self.slots.iter().filter(|(_, slot)| slot.due_at(rhythm, now) <= now);
        due.take(most).map(|(name, slot)| slot.parcel(*name, rhythm, now)).collect()
    }

    /// When something is due next; nothing where there is nothing to tell.
    pub fn wake_at(&self, rhythm: &Rhythm, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.slots.values().map(|slot| slot.due_at(rhythm, now)).min()
    }

    /// Which alerts of the record the receiver knows to stand, or to have stood.
    pub fn heard(&self) -> BTreeSet<(Fingerprint, DateTime<Utc>)> {
        let recorded = self.slots.iter().filter(|(_, slot)| slot.wanted.lasts.is_none());
        let heard = recorded.filter(|(_, slot)| slot.stood_since.is_some());
        heard.map(|(name, slot)| (*name, slot.wanted.alert.starts_at)).collect()
    }

    /// Says whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes note that the receiver took these.
    pub fn accepted(&mut self, parcels: &[Parcel], now: DateTime<Utc>) {
        for parcel in parcels {
            let Some(slot) = self.slots.get_mut(&parcel.fingerprint) else { continue };
            slot.told_at = Some(now);
            slot.known = slot.known.max(parcel.version);
            slot.refused = None;
            if parcel.stands {
                slot.stood_since.get_or_insert(now);
            }
        }
    }

    /// Takes note that the receiver refuses one: it is sent again when something of it changes, and
    /// now and then.
    pub fn refused(&mut self, parcel: &Parcel, now: DateTime<Utc>) {
        if let Some(slot) = self.slots.get_mut(&parcel.fingerprint) {
            // Whichever way it was told: it is the same alert until it changes.
            slot.refused = Some(slot.version);
            slot.told_at = Some(now);
        }
    }

    /// The receiver forgot everything, because it was started anew: all of it is due. What ended while it
    /// was away, or so shortly before that nobody may have heard, is seen to stand once more: a receiver
    /// that hears of an end alone tells nobody (`facts/alerting.md` 2.1).
    pub fn forgotten(&mut self, now: DateTime<Utc>) {
        for slot in self.slots.values_mut() {
            let untold = slot.known != slot.version;
            if slot.wanted.ended_at.is_some_and(|at| untold || at + ENDS_HEARD > now) {
                slot.stood_since = None;
            }
            slot.told_at = None;
            slot.known = 0;
            slot.refused = None;
        }
    }

    /// The earliest end that the receiver does not know of.
    pub fn unsettled(&self) -> Option<DateTime<Utc>> {
        let unknown = self
            .slots
            .values()
            .filter(|slot| slot.known != slot.version && slot.refused != Some(slot.version));
        unknown.filter_map(|slot| slot.wanted.ended_at).min()
    }

    /// How many alerts stand, and how many of those the receiver does not know, or refuses.
    pub fn counts(&self) -> (usize, usize, usize) {
        let standing = || self.slots.values().filter(|slot| slot.wanted.ended_at.is_none());
        let unknown = standing().filter(|slot| slot.stood_since.is_none()).count();
        let refused = self.slots.values().filter(|slot| slot.refused.is_some()).count();
        (standing().count(), unknown, refused)
    }
}

impl Slot {
    /// Whether it is told as standing: also for a while after it ended, so that it can be seen.
    fn stands(&self, rhythm: &Rhythm, now: DateTime<Utc>) -> bool {
        if self.wanted.ended_at.is_none() {
            return true;
        }
        // In the future lies what was noted before the clock was set back.
        self.stood_since.is_none_or(|since| since <= now && now < since + rhythm.hold)
    }

    fn due_at(&self, rhythm: &Rhythm, now: DateTime<Utc>) -> DateTime<Utc> {
        let Some(told_at) = self.told_at.filter(|at| *at <= now) else {
            return DateTime::UNIX_EPOCH;
        };
        let again = told_at + rhythm.resend;
        if self.refused == Some(self.version) || self.known == self.version {
            return again;
        }
        // It ended, and cannot be told so yet.
        if self.wanted.ended_at.is_some() && self.stands(rhythm, now) {
            let over = self.stood_since.map(|since| since + rhythm.hold);
            return over.map_or(DateTime::UNIX_EPOCH, |over| over.min(again));
        }
        DateTime::UNIX_EPOCH
    }

    fn parcel(&self, fingerprint: Fingerprint, rhythm: &Rhythm, now: DateTime<Utc>) -> Parcel {
        let stands = self.stands(rhythm, now);
        let lasts = self.wanted.lasts.unwrap_or(rhythm.lasts);
        let ends_at = match self.wanted.ended_at {
            // The end is past by the receiver's clock too.
            Some(at) if !stands => at.min(now),
            Some(_) | None => now + lasts,
        };
        // What is told as standing, though it ended, is not the last word.
        let early = stands && self.wanted.ended_at.is_some();
        let version = if early { self.version - 1 } else { self.version };
        Parcel { fingerprint, alert: Arc::clone(&self.wanted.alert), ends_at, stands, version }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::alert::Labels;

    const RHYTHM: Rhythm = Rhythm {
        resend: TimeDelta::seconds(60),
        hold: TimeDelta::seconds(45),
        lasts: TimeDelta::hours(1),
    };

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + secs, 0).unwrap()
    }

    fn wanted(name: u8, ended_at: Option<DateTime<Utc>>) -> Wanted {
        let labels = Labels::new([("alertname".to_owned(), format!("a{name}"))]);
        let alert = Alert { labels, annotations: BTreeMap::new(), starts_at: at(0), link: None };
        Wanted { alert: Arc::new(alert), ended_at, lasts: None, told_at: None, lapses: false }
    }

    #[test]
    fn of_what_ended_before_we_came_and_nobody_was_told_of_the_standing_is_told_first() {
        for told_at in [None, Some(at(50)), Some(at(90))] {
            let mut outbox = Outbox::default();
            outbox.want(&[Wanted { told_at, ..wanted(1, Some(at(95))) }], at(100));
            let told = outbox.due(&RHYTHM, at(100), 9);
            // Whoever was told a moment ago has to have time to hear of it.
            assert_eq!(told[0].stands, told_at != Some(at(50)), "{told_at:?}");
            outbox.accepted(&told, at(100));
            assert_eq!(outbox.heard().len(), 1);
            assert!(outbox.due(&RHYTHM, at(160), 9).iter().all(|parcel| !parcel.stands));
        }
    }

    #[test]
    fn what_lapses_is_not_told_as_ended_and_what_was_told_in_the_future_is_told_again() {
        let mut outbox = Outbox::default();
        outbox.want(&[Wanted { lapses: true, ..wanted(1, None) }, wanted(2, None)], at(100));
        let told = outbox.due(&RHYTHM, at(100), 9);
        outbox.accepted(&told, at(100));
        assert!(outbox.due(&RHYTHM, at(110), 9).is_empty());
        // The clock was set back: by it nothing was told yet.
        assert_eq!(outbox.due(&RHYTHM, at(0), 9).len(), 2);
        outbox.want(&[], at(200));
        let ended = outbox.due(&RHYTHM, at(200), 9);
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].alert.labels.get("alertname"), "a2");
    }

    #[test]
    fn what_ended_while_the_receiver_was_away_is_seen_to_stand_before_it_ends() {
        let mut outbox = Outbox::default();
        outbox.want(&[wanted(1, None)], at(0));
        let told = outbox.due(&RHYTHM, at(0), 9);
        outbox.accepted(&told, at(0));
        outbox.want(&[wanted(1, Some(at(100)))], at(100));
        outbox.forgotten(at(110));
        let told = outbox.due(&RHYTHM, at(110), 9);
        assert!(told[0].stands && told[0].ends_at > at(110));
        outbox.accepted(&told, at(110));
        assert!(outbox.due(&RHYTHM, at(120), 9).is_empty());
        assert!(!outbox.due(&RHYTHM, at(156), 9)[0].stands);
    }

    proptest! {
        /// Whatever becomes of what is sent: once it is answered, it is not sent again at the same instant.
        #[test]
        fn nobody_is_told_the_same_without_a_pause(
            steps in proptest::collection::vec((0_u8..4, any::<bool>(), any::<bool>(), 1_i64..200), 1..40),
        ) {
            let mut outbox = Outbox::default();
            let mut now = 0;
            let mut all: BTreeMap<u8, Wanted> = BTreeMap::new();
            for (name, ends, refuses, pause) in steps {
                now += pause;
                all.insert(name, wanted(name, ends.then(|| at(now))));
                let wanted: Vec<Wanted> = all.values().cloned().collect();
                outbox.want(&wanted, at(now));
                for parcel in outbox.due(&RHYTHM, at(now), 100) {
                    if refuses { outbox.refused(&parcel, at(now)) } else { outbox.accepted(&[parcel], at(now)) }
                }
                // What was just seen to stand is due again only when it has stood for a while.
                prop_assert!(outbox.due(&RHYTHM, at(now), 100).is_empty(), "{:?}", outbox);
            }
        }
    }
}
