//! What one receiver of alerts has to be told: the latest state of each alert, never a queue.
//!
//! Nothing is dropped for being old, and memory is bounded by the alerts that there are. Whatever is not
//! acknowledged is due again; what stands is repeated after `resend`; an end that this receiver acknowledged
//! is never repeated, because each repetition would open a group in Alertmanager, in which the next alert
//! waits for a whole `group_interval`. An alert does not end before it could be seen to stand: a receiver that
//! waits for others of a group would never notify anybody.
//!
//! Where several replicas share a record, only one that has read it within seconds says what begins and what
//! ends ([`Sight`]); one that has not repeats what stands, as long as the receiver says that it stands.

mod slot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::alert::{Alert, Fingerprint};
use crate::domain::alerting::alert_to_send::AlertToSend;
use crate::domain::alerting::outbox::slot::Slot;

/// How long an end is kept for a receiver that was started anew.
pub const ENDS_KEPT: TimeDelta = TimeDelta::minutes(15);
/// How long other replicas leave a beginning to the one that recorded it, and how much longer than `hold` an end.
const OTHERS_WAIT: (TimeDelta, TimeDelta) = (TimeDelta::seconds(5), TimeDelta::seconds(15));
/// How many times as seldom they repeat what stands, but often enough that it does not lapse.
const OTHERS_REPEAT: i32 = 10;
/// How often an alert about the daemon itself is told again at least.
const OWN_RESEND: TimeDelta = TimeDelta::seconds(15);
/// How long an end is kept that was acknowledged, and of which nothing proves that it got through.
const UNPROVED_KEPT: TimeDelta = TimeDelta::days(1);
/// How many intervals may lie between two proofs that came back, before what was acknowledged between them is
/// in doubt; and how long at least.
const PROOFS_APART: (i32, TimeDelta) = (3, TimeDelta::seconds(5));

/// When alerts are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// How often an alert that stands is told again.
    pub resend: TimeDelta,
    /// How long a receiver knows an alert before it is told that it ended.
    pub hold: TimeDelta,
    /// How long an alert stands without being sent again.
    pub lasts: TimeDelta,
}

impl Rhythm {
    /// How often an alert of a daemon about itself is told again.
    pub fn own_resend(&self) -> TimeDelta {
        self.resend.min(OWN_RESEND)
    }
}

/// One standing of an alert: its labels, and since when it stands.
pub type AlertId = (Fingerprint, DateTime<Utc>);

/// What a receiver acknowledged of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Which process of the receiver; empty where that is not known.
    pub process: String,
    /// When it took first that the alert stands.
    pub begun_at: Option<DateTime<Utc>>,
    /// When it took that the alert ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether it may not have got what was acknowledged before: then less is known now than is written down.
    pub doubted: bool,
}

impl Acknowledged {
    /// Nothing yet, though it is to be told.
    pub fn nothing(process: &str) -> Self {
        Self { process: process.to_owned(), begun_at: None, ended_at: None, doubted: false }
    }
}

/// Whether the record was read a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It was, or no other replica writes it.
    Clear,
    /// It was not, and other replicas may know better.
    Blind,
}

/// An alert that is to stand, or that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertState {
    /// The alert.
    pub alert: Arc<Alert>,
    /// When it ended, where it did.
    pub ended_at: Option<DateTime<Utc>>,
    /// How long it stands without being sent again, where it is not of the record: an alert about this
    /// daemon itself.
    pub lasts: Option<TimeDelta>,
    /// Whether this process recorded its last change, or no other one could: other replicas leave the sending to
    /// that one, unless it seems to be gone.
    pub ours: bool,
    /// Whether any receiver took that it stands, by the record.
    pub heard: bool,
    /// When it was made, where it is what goes to an Alertmanager to come back: a proof of the way.
    pub proof: Option<DateTime<Utc>>,
    /// Whether an operator keeps its check quiet: who has no silences of his own is not told meanwhile.
    pub is_quiet: bool,
    /// What this receiver acknowledged, by the record; nothing where it was no receiver when it was told last.
    pub acknowledged: Option<Acknowledged>,
}

/// What one receiver has to be told.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    slots: BTreeMap<Fingerprint, Slot>,
    /// Which process the receiver is; empty where that is not known.
    process: String,
    /// When the newest proof of the way was sent that came back.
    proved: Option<DateTime<Utc>>,
    /// Since when anything is told.
    began: Option<DateTime<Utc>>,
    /// Which alerts the receiver says that stand, where it was asked.
    active: Option<BTreeSet<Fingerprint>>,
}

impl Outbox {
    /// Takes over what is to stand, and what ended. What stood and is not mentioned any more ended now.
    pub fn want(&mut self, all: &[AlertState], now: DateTime<Utc>) {
        self.began.get_or_insert(now);
        let mut mentioned: BTreeMap<Fingerprint, &AlertState> = BTreeMap::new();
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
                Some(slot) => slot.want(wanted, &self.process),
                None => {
                    self.slots.insert(*name, Slot::new(wanted, &self.process));
                }
            }
        }
        for (name, slot) in &mut self.slots {
            if slot.wanted.ended_at.is_none() && !mentioned.contains_key(name) {
                slot.wanted.ended_at = Some(now);
                slot.wanted.ours = true;
                slot.version += 1;
            }
        }
        let proved = self.proved;
        self.slots.retain(|name, slot| {
            let over = |kept| slot.wanted.ended_at.is_some_and(|at| at + kept < now);
            let gone = over(ENDS_KEPT) && slot.is_settled(proved)
                || over(UNPROVED_KEPT) && slot.is_settled(None);
            mentioned.contains_key(name) || !gone
        });
    }

    /// What is due by now, at most so many.
    pub fn due(
        &self,
        rhythm: &Rhythm,
        sight: Sight,
        now: DateTime<Utc>,
        most: usize,
    ) -> Vec<AlertToSend> {
        let may =
            |name: &Fingerprint, slot: &Slot| sight == Sight::Clear || self.may_repeat(name, slot);
        let is_due = |slot: &Slot| slot.due_at(rhythm, now).is_some_and(|at| at <= now);
        // What goes with a proof is known to have arrived once that came back.
        let is_proof = |slot: &Slot| slot.wanted.proof.is_some() && is_due(slot);
        let proves = self.slots.values().any(is_proof);
        let rank = |slot: &Slot| match slot {
            slot if is_proof(slot) => Some(0),
            slot if proves && slot.is_told_in_vain() => Some(1),
            slot if is_due(slot) => Some(2),
            _ => None,
        };
        let mut due: Vec<_> = self
            .slots
            .iter()
            .filter(|(name, slot)| may(name, slot))
            .filter_map(|(name, slot)| Some((rank(slot)?, name, slot)))
            .collect();
        due.sort_by_key(|(rank, ..)| *rank);
        let due = due.into_iter().take(most);
        due.map(|(_, name, slot)| slot.alert_to_send(*name, rhythm, sight, now)).collect()
    }

    /// The same; and what the receiver said of what stands is not relied on any longer.
    pub fn take_due(
        &mut self,
        rhythm: &Rhythm,
        sight: Sight,
        now: DateTime<Utc>,
        most: usize,
    ) -> Vec<AlertToSend> {
        let due = self.due(rhythm, sight, now, most);
        self.active = None;
        due
    }

    /// Says whether something of the record stands and is to be repeated.
    pub fn repeats(&self, rhythm: &Rhythm, now: DateTime<Utc>) -> bool {
        self.slots.values().any(|slot| {
            let stands = slot.wanted.ended_at.is_none() && slot.stood_since.is_some();
            let is_due = slot.due_at(rhythm, now).is_some_and(|at| at <= now);
            stands && is_due && slot.wanted.lasts.is_none()
        })
    }

    /// What may be told though other replicas may know better: what is about this one, and what stands by the
    /// receiver's own word.
    fn may_repeat(&self, name: &Fingerprint, slot: &Slot) -> bool {
        let is_own = slot.wanted.lasts.is_some();
        let stands = slot.wanted.ended_at.is_none() && slot.stood_since.is_some();
        is_own || stands && self.active.as_ref().is_some_and(|active| active.contains(name))
    }

    /// When something is due next; nothing where there is nothing to tell.
    pub fn wake_at(&self, rhythm: &Rhythm, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.slots.values().filter_map(|slot| slot.due_at(rhythm, now)).min()
    }

    /// What the receiver acknowledged of each alert, those included of which it acknowledged nothing: they are to be
    /// told also by a process that comes after this one.
    pub fn acknowledged(&self) -> BTreeMap<AlertId, Acknowledged> {
        let acknowledged = |slot: &Slot| Acknowledged {
            process: slot.process.clone(),
            begun_at: slot.stood_since,
            ended_at: slot.end_known,
            doubted: slot.doubted,
        };
        let slots = self.slots.iter();
        slots.map(|(name, s)| ((*name, s.wanted.alert.starts_at), acknowledged(s))).collect()
    }

    /// Says whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes note that the receiver took these.
    pub fn accepted(&mut self, parcels: &[AlertToSend], now: DateTime<Utc>) {
        let proof = parcels.iter().find_map(|alert_to_send| {
            self.slots.get(&alert_to_send.fingerprint).and_then(|slot| slot.wanted.proof)
        });
        for alert_to_send in parcels {
            let Some(slot) = self.slots.get_mut(&alert_to_send.fingerprint) else { continue };
            slot.told_at = Some(now);
            slot.known = slot.known.max(alert_to_send.version);
            slot.refused = None;
            // Until its last state is acknowledged again, less is known than is written down.
            slot.doubted &= slot.known != slot.version;
            slot.process.clone_from(&self.process);
            if alert_to_send.stands() {
                slot.stood_since.get_or_insert(now);
                slot.carried_by(proof, now);
            } else {
                slot.end_known.get_or_insert(now);
            }
        }
    }

    /// Takes note that the receiver refuses one: it is sent again when something of it changes, and
    /// now and then.
    pub fn refused(&mut self, alert_to_send: &AlertToSend, now: DateTime<Utc>) {
        if let Some(slot) = self.slots.get_mut(&alert_to_send.fingerprint) {
            // Whichever way it was told: it is the same alert until it changes.
            slot.refused = Some(slot.version);
            slot.told_at = Some(now);
        }
    }

    /// Takes note of which process the receiver is. A new one forgot everything: all that another one
    /// acknowledged is due. An end that it acknowledged is told once more, and never as standing; what ended
    /// while it was away is seen to stand first, because Alertmanager notifies of no end alone.
    pub fn is_process(&mut self, process: &str) {
        process.clone_into(&mut self.process);
        for slot in self.slots.values_mut().filter(|slot| slot.process != process) {
            slot.forget();
        }
        self.active = None;
    }

    /// Leaves the ends of these to another record, which keeps them up under the same labels.
    pub fn leave(&mut self, names: &BTreeSet<Fingerprint>) {
        let is_left = |name: &Fingerprint, slot: &Slot| {
            names.contains(name) && slot.wanted.ended_at.is_some()
        };
        self.slots.retain(|name, slot| !is_left(name, slot));
    }

    /// Takes note of which alerts the receiver says that stand.
    pub fn stand(&mut self, active: BTreeSet<Fingerprint>) {
        self.active = Some(active);
    }

    /// Which of the alerts that ended, and of which the receiver took that, it says that they stand all the same:
    /// another replica raised them again, before it knew that they had ended.
    pub fn raised(&self, active: &BTreeSet<Fingerprint>) -> BTreeSet<Fingerprint> {
        let ended = self.slots.iter().filter(|(name, slot)| {
            slot.wanted.ended_at.is_some() && slot.known == slot.version && active.contains(name)
        });
        ended.map(|(name, _)| *name).collect()
    }

    /// Has the ends of these told once more, where they are still over.
    pub fn end_again(&mut self, raised: &BTreeSet<Fingerprint>) {
        for (name, slot) in &mut self.slots {
            if raised.contains(name) && slot.wanted.ended_at.is_some() {
                (slot.known, slot.told_at, slot.is_late) = (0, None, true);
            }
        }
    }

    /// Takes note of when the newest proof was sent that came back, of which one is sent so often. Where others
    /// before it did not come back, since anything is told, whatever was acknowledged meanwhile may have been
    /// dropped by a proxy in between; returns whether that is so.
    pub fn proved(&mut self, sent_at: DateTime<Utc>, every: TimeDelta) -> bool {
        let before = self.proved.replace(sent_at).max(self.began);
        let apart = proofs_apart(every);
        let before = before.filter(|before| sent_at - *before > apart);
        if let Some(before) = before {
            for slot in self.slots.values_mut() {
                slot.mark_doubtful(|at| before <= at && at <= sent_at);
            }
        }
        for slot in self.slots.values_mut() {
            slot.proved(sent_at);
        }
        before.is_some()
    }

    /// Says how often proofs are sent, where any are: then an alert that ended is held until one came back that went
    /// out with it.
    pub fn is_proved_each(&mut self, every: Option<TimeDelta>) {
        for slot in self.slots.values_mut() {
            slot.proofs = every;
        }
    }

    /// The earliest end that the receiver does not know of, or of which nothing proves yet that it does.
    pub fn unsettled(&self) -> Option<DateTime<Utc>> {
        let unknown = self.slots.values().filter(|slot| !slot.is_settled(self.proved));
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

/// How long may lie between two proofs that came back, of which one is sent so often.
fn proofs_apart(every: TimeDelta) -> TimeDelta {
    (every * PROOFS_APART.0).max(PROOFS_APART.1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::alerting::alert::Labels;
    use crate::domain::alerting::alert_to_send::End;

    const RHYTHM: Rhythm = Rhythm {
        resend: TimeDelta::seconds(60),
        hold: TimeDelta::seconds(45),
        lasts: TimeDelta::hours(1),
    };

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + secs, 0).unwrap()
    }

    fn wanted(name: u8, ended_at: Option<DateTime<Utc>>) -> AlertState {
        let labels = Labels::new([("alertname".to_owned(), format!("a{name}"))]);
        let alert = Alert { labels, annotations: BTreeMap::new(), starts_at: at(0), link: None };
        let (alert, acknowledged) = (Arc::new(alert), None);
        AlertState {
            alert,
            ended_at,
            lasts: None,
            ours: true,
            heard: false,
            is_quiet: false,
            proof: None,
            acknowledged,
        }
    }

    /// An alert of which a process took that it stands, and perhaps that it ended.
    fn acknowledged(wanted: AlertState, process: &str, ended_at: Option<i64>) -> AlertState {
        let (process, begun_at) = (process.to_owned(), Some(at(10)));
        let ended_at = ended_at.map(at);
        let acknowledged = Acknowledged { process, begun_at, ended_at, doubted: false };
        AlertState { acknowledged: Some(acknowledged), ..wanted }
    }

    /// What is due at a second: of each alert, whether it is told as standing, those that ended first. The receiver takes all of it.
    fn tell(outbox: &mut Outbox, secs: i64) -> Vec<bool> {
        let due = outbox.due(&RHYTHM, Sight::Clear, at(secs), 9);
        outbox.accepted(&due, at(secs));
        let mut stands: Vec<bool> = due.iter().map(AlertToSend::stands).collect();
        stands.sort_unstable();
        stands
    }

    fn outbox(process: &str) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.is_process(process);
        outbox
    }

    #[test]
    fn an_end_that_was_acknowledged_is_never_repeated_to_the_same_process() {
        let mut live = outbox("one");
        live.want(&[wanted(1, None)], at(0));
        assert_eq!(tell(&mut live, 0), [true]);
        live.want(&[wanted(1, Some(at(100)))], at(100));
        assert_eq!(tell(&mut live, 100), [false]);
        for secs in (101..1_100).step_by(7) {
            assert_eq!(tell(&mut live, secs), [] as [bool; 0], "{secs}");
        }
        // Nor by a successor, which knows it from the record.
        let mut next = outbox("one");
        next.want(&[acknowledged(wanted(1, Some(at(100))), "one", Some(100))], at(200));
        assert_eq!(tell(&mut next, 200), [] as [bool; 0]);
    }

    #[test]
    fn a_receiver_that_was_started_anew_hears_an_acknowledged_end_once_and_never_as_standing() {
        let mut live = outbox("one");
        live.want(&[wanted(1, None)], at(0));
        tell(&mut live, 0);
        live.want(&[wanted(1, Some(at(100)))], at(100));
        tell(&mut live, 100);
        live.is_process("two");
        assert_eq!(tell(&mut live, 110), [false]);
        assert_eq!(tell(&mut live, 400), [] as [bool; 0]);
        // Both were started anew.
        let mut next = outbox("two");
        next.want(&[acknowledged(wanted(1, Some(at(100))), "one", Some(100))], at(200));
        assert_eq!(tell(&mut next, 200), [false]);
        assert_eq!(tell(&mut next, 400), [] as [bool; 0]);
    }

    #[test]
    fn what_was_acknowledged_on_a_way_that_nothing_proves_is_kept_and_told_again_however_long_that_took()
     {
        let every = TimeDelta::seconds(5);
        let mut live = outbox("one");
        live.proved(at(0), every);
        live.want(&[wanted(1, None)], at(10));
        assert_eq!(tell(&mut live, 10), [true]);
        live.want(&[wanted(1, Some(at(100)))], at(100));
        assert_eq!(tell(&mut live, 100), [false]);
        // Longer than an end is kept that got through for sure.
        for secs in (101..3_000).step_by(60) {
            live.want(&[wanted(1, Some(at(100)))], at(secs));
            assert_eq!(
                (live.unsettled(), tell(&mut live, secs).len()),
                (Some(at(100)), 0),
                "{secs}"
            );
        }
        live.want(&[], at(3_000));
        assert!(!live.is_empty());
        assert!(live.proved(at(3_000), every));
        let known = || live.acknowledged().into_values().next().unwrap();
        let doubted = Acknowledged { doubted: true, ..Acknowledged::nothing("one") };
        assert_eq!(known(), doubted);
        assert_eq!(tell(&mut live, 3_001), [true]);
        // Less is known than is written down, until its end is acknowledged again.
        assert!(live.acknowledged().into_values().next().unwrap().doubted);
        assert_eq!(tell(&mut live, 3_050), [false]);
        assert!(!live.acknowledged().into_values().next().unwrap().doubted);
        for secs in (3_005..3_065).step_by(10) {
            live.proved(at(secs), every);
        }
        assert_eq!(live.unsettled(), None);
        live.want(&[], at(4_000));
        assert!(live.is_empty());
    }

    /// How long the receiver knew that an alert stands before it was told the end, where a proxy in between answers
    /// for it and drops what comes within a range of seconds; the proofs come back each half minute.
    fn known_for(dropped: std::ops::Range<i64>, stands: std::ops::Range<i64>) -> Option<i64> {
        let every = TimeDelta::seconds(30);
        let mut outbox = outbox("one");
        let (mut known_since, mut nonce, mut known_for) = (None, None, None);
        for secs in 0..600 {
            let made = secs - secs % 15;
            let mut all = vec![AlertState {
                lasts: Some(TimeDelta::minutes(5)),
                proof: Some(at(made)),
                alert: Arc::new(Alert {
                    starts_at: at(made),
                    ..Alert::clone(&wanted(0, None).alert)
                }),
                ..wanted(0, None)
            }];
            if secs >= stands.start {
                let over = secs >= stands.end;
                let mut it = wanted(1, over.then(|| at(stands.end)));
                Arc::make_mut(&mut it.alert).starts_at = at(stands.start);
                all.push(it);
            }
            outbox.want(&all, at(secs));
            outbox.is_proved_each(Some(every));
            let due = outbox.take_due(&RHYTHM, Sight::Clear, at(secs), 9);
            outbox.accepted(&due, at(secs));
            for alert_to_send in due.iter().filter(|_| !dropped.contains(&secs)) {
                let is_proof = alert_to_send.fingerprint == all[0].alert.labels.fingerprint();
                match alert_to_send.end {
                    End::Lasts(_) if is_proof => nonce = Some(at(made)),
                    End::Lasts(_) => drop(known_since.get_or_insert(secs)),
                    End::At(_) => {
                        assert_eq!(known_for, None, "one end");
                        known_for = Some(secs - known_since.unwrap_or(secs));
                    }
                }
            }
            if secs % 30 == 29
                && let Some(nonce) = nonce
            {
                outbox.proved(nonce, every);
            }
        }
        known_for
    }

    #[test]
    fn what_begins_and_ends_while_somebody_drops_it_is_known_for_hold_all_the_same() {
        for dropped in [0..0, 10..60, 16..20, 17..75, 40..70] {
            let known = known_for(dropped.clone(), 18..38);
            assert!(known >= Some(RHYTHM.hold.num_seconds()), "{dropped:?}: {known:?}");
        }
        // Where nothing is dropped, one that stood for long ends at once.
        assert_eq!(known_for(0..0, 18..300), Some(282));
    }

    #[test]
    fn who_cannot_read_the_record_says_nothing_that_lasts() {
        let lasts = |sight| {
            let mut outbox = outbox("one");
            outbox.want(&[wanted(1, None)], at(0));
            tell(&mut outbox, 0);
            outbox.stand(outbox.slots.keys().copied().collect());
            outbox.take_due(&RHYTHM, sight, at(100), 9)[0].end
        };
        assert_eq!(lasts(Sight::Clear), End::Lasts(RHYTHM.lasts));
        let End::Lasts(short) = lasts(Sight::Blind) else { panic!("it ended") };
        assert!(short < RHYTHM.lasts && short > RHYTHM.resend * OTHERS_REPEAT);
    }

    #[test]
    fn an_end_that_another_replica_recorded_and_told_nobody_is_told_by_one_that_comes_later() {
        let others =
            AlertState { ours: false, ..acknowledged(wanted(1, Some(at(20))), "one", None) };
        let mut outbox = outbox("one");
        outbox.want(&[others], at(30));
        assert_eq!(tell(&mut outbox, 30), [] as [bool; 0]);
        assert_eq!(tell(&mut outbox, 100), [false]);
    }

    #[test]
    fn what_ended_before_the_receiver_knew_of_it_is_seen_to_stand_before_it_ends() {
        // Nobody told it; it was told by another process of its own; it knows it since a moment ago.
        let ended = || wanted(1, Some(at(20)));
        for (all, stands) in [
            (ended(), true),
            (acknowledged(ended(), "one", None), true),
            (acknowledged(ended(), "two", None), true),
        ] {
            let mut outbox = outbox("two");
            outbox.want(&[all], at(30));
            assert_eq!(tell(&mut outbox, 30), [stands]);
            assert_eq!(tell(&mut outbox, 90), [false]);
            assert_eq!(tell(&mut outbox, 200), [] as [bool; 0]);
        }
        let mut live = outbox("one");
        live.want(&[wanted(1, None)], at(0));
        tell(&mut live, 0);
        live.want(&[wanted(1, Some(at(100)))], at(100));
        live.is_process("two");
        assert_eq!(tell(&mut live, 110), [true]);
        assert_eq!(tell(&mut live, 120), [] as [bool; 0]);
        assert_eq!(tell(&mut live, 156), [false]);
    }

    #[test]
    fn a_replica_that_has_not_read_the_record_repeats_only_what_stands_by_the_receivers_word() {
        let mut outbox = outbox("one");
        let own = AlertState { lasts: Some(TimeDelta::minutes(5)), ..wanted(4, None) };
        outbox.want(&[wanted(1, None), wanted(2, None)], at(0));
        tell(&mut outbox, 0);
        let ended = wanted(2, Some(at(100)));
        outbox.want(&[wanted(1, None), ended, wanted(3, None), own], at(100));
        let blind = |outbox: &Outbox| -> Vec<String> {
            let due = outbox.due(&RHYTHM, Sight::Blind, at(100), 9);
            due.iter().map(|p| p.alert.labels.get("alertname").to_owned()).collect()
        };
        assert_eq!(blind(&outbox), ["a4"], "the receiver was not asked yet");
        let names = |all: &[u8]| -> BTreeSet<Fingerprint> {
            all.iter().map(|n| wanted(*n, None).alert.labels.fingerprint()).collect()
        };
        outbox.stand(names(&[1, 2, 3]));
        assert_eq!(blind(&outbox).len(), 2, "{:?}", blind(&outbox));
        // Another replica ended it.
        outbox.stand(names(&[2, 3]));
        assert_eq!(blind(&outbox), ["a4"]);
        assert_eq!(outbox.due(&RHYTHM, Sight::Clear, at(100), 9).len(), 4);
    }

    #[test]
    fn an_end_that_another_replica_recorded_is_left_to_it_for_a_while() {
        let mut outbox = outbox("one");
        outbox.want(&[wanted(1, None)], at(0));
        tell(&mut outbox, 0);
        let ended = AlertState { ours: false, ..wanted(1, Some(at(100))) };
        outbox.want(std::slice::from_ref(&ended), at(100));
        assert_eq!(tell(&mut outbox, 130), [] as [bool; 0]);
        let mut orphan = outbox.clone();
        assert_eq!(tell(&mut orphan, 160), [false]);
        outbox.want(&[acknowledged(ended.clone(), "one", Some(101))], at(140));
        assert_eq!(tell(&mut outbox, 160), [] as [bool; 0]);
        // One that told after the end that it stands has to end it itself, whatever the record says.
        let mut late = Outbox::default();
        late.is_process("one");
        late.want(&[wanted(1, None)], at(0));
        tell(&mut late, 0);
        assert_eq!(tell(&mut late, 101), [true]);
        late.want(&[acknowledged(ended, "one", Some(100))], at(102));
        assert_eq!(tell(&mut late, 102), [false]);
        assert_eq!(tell(&mut late, 200), [] as [bool; 0]);
    }

    #[test]
    fn what_was_acknowledged_while_no_proof_came_back_is_told_again() {
        let every = TimeDelta::seconds(2);
        let mut outbox = outbox("one");
        outbox.want(&[wanted(1, None)], at(0));
        tell(&mut outbox, 0);
        assert!(!outbox.proved(at(5), every));
        // Whatever is taken from now on is dropped.
        outbox.want(&[wanted(1, Some(at(60))), wanted(2, None)], at(60));
        assert_eq!(tell(&mut outbox, 60), [false, true]);
        outbox.want(&[wanted(1, Some(at(60))), wanted(2, Some(at(110)))], at(110));
        assert_eq!(tell(&mut outbox, 110), [false]);
        assert!(outbox.proved(at(120), every));
        assert_eq!(tell(&mut outbox, 121), [false, true], "one was seen to stand, one was not");
        assert!(!outbox.proved(at(123), every));
        assert_eq!(tell(&mut outbox, 170), [false]);
    }

    #[test]
    fn what_another_replica_raised_after_its_end_is_ended_again() {
        let mut outbox = outbox("one");
        outbox.want(&[wanted(1, None), wanted(2, None)], at(0));
        tell(&mut outbox, 0);
        outbox.want(&[wanted(1, Some(at(100))), wanted(2, None)], at(100));
        tell(&mut outbox, 100);
        let name = |n: u8| wanted(n, None).alert.labels.fingerprint();
        let raised = outbox.raised(&[name(1), name(2), name(3)].into());
        assert_eq!(raised, [name(1)].into());
        outbox.end_again(&raised);
        assert_eq!(tell(&mut outbox, 101), [false]);
        assert_eq!(tell(&mut outbox, 102), [] as [bool; 0]);
        assert!(outbox.raised(&[name(2)].into()).is_empty());
    }

    #[test]
    fn what_was_told_in_the_future_is_told_again() {
        let mut outbox = outbox("one");
        outbox.want(&[wanted(1, None), wanted(2, None)], at(100));
        assert_eq!(tell(&mut outbox, 100).len(), 2);
        assert!(tell(&mut outbox, 110).is_empty());
        // The clock was set back: by it nothing was told yet.
        assert_eq!(tell(&mut outbox, 0).len(), 2);
    }

    proptest! {
        /// Whatever becomes of what is sent: once it is answered, it is not sent again at the same instant.
        #[test]
        fn nobody_is_told_the_same_without_a_pause(
            steps in proptest::collection::vec((0_u8..4, any::<bool>(), any::<bool>(), 1_i64..200), 1..40),
        ) {
            let mut outbox = Outbox::default();
            let mut now = 0;
            let mut all: BTreeMap<u8, AlertState> = BTreeMap::new();
            for (name, ends, refuses, pause) in steps {
                now += pause;
                all.insert(name, wanted(name, ends.then(|| at(now))));
                let wanted: Vec<AlertState> = all.values().cloned().collect();
                outbox.want(&wanted, at(now));
                for alert_to_send in outbox.due(&RHYTHM, Sight::Clear, at(now), 100) {
                    if refuses { outbox.refused(&alert_to_send, at(now)) } else { outbox.accepted(&[alert_to_send], at(now)) }
                }
                // What was just seen to stand is due again only when it has stood for a while.
                prop_assert!(outbox.due(&RHYTHM, Sight::Clear, at(now), 100).is_empty(), "{:?}", outbox);
            }
        }

        /// Whatever restarts and failures there are: no process is told of an end twice, nor of the end of
        /// something that no process of it was told that it stands; and what was acknowledged as ended
        /// never stands again.
        #[test]
        fn no_end_is_told_twice_or_before_a_beginning(
            steps in proptest::collection::vec((0_u8..6, 1_i64..90), 1..60),
        ) {
            let (mut process, mut now, mut ended) = (0, 0, None);
            let mut outbox = outbox("0");
            let (mut begun, mut told_end) = (false, None);
            for (step, pause) in steps {
                now += pause;
                match step {
                    0 => ended = ended.or(Some(at(now))),
                    1 => { process += 1; outbox.is_process(&process.to_string()); }
                    2 => {
                        // A successor, with what was written down.
                        let kept = outbox.acknowledged().into_values().next();
                        let mut next = Outbox::default();
                        next.is_process(&process.to_string());
                        next.want(&[AlertState { acknowledged: kept, ..wanted(1, ended) }], at(now));
                        outbox = next;
                    }
                    _ => {}
                }
                let before = outbox.slots.values().next().and_then(|s| s.wanted.acknowledged.clone());
                outbox.want(&[AlertState { acknowledged: before, ..wanted(1, ended) }], at(now));
                if step == 3 { continue } // It does not answer.
                for alert_to_send in outbox.due(&RHYTHM, Sight::Clear, at(now), 9) {
                    if alert_to_send.stands() {
                        prop_assert!(told_end.is_none(), "it stands again");
                        begun = true;
                    } else {
                        prop_assert!(begun && told_end != Some(process), "{told_end:?}");
                        told_end = Some(process);
                    }
                    outbox.accepted(&[alert_to_send], at(now));
                }
            }
        }
    }
}
