//! One alert that a receiver has to be told of: what of it the receiver knows, and when it is due.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::alert::Fingerprint;
use crate::domain::alerting::alert_to_send::{AlertToSend, End};
use crate::domain::alerting::outbox::{
    Acknowledged, AlertState, OTHERS_REPEAT, OTHERS_WAIT, Rhythm, Sight, proofs_apart,
};

/// How many messages of an alert are remembered that a proof went with.
const CARRIED_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) wanted: AlertState,
    /// Rises with each change.
    pub(super) version: u64,
    /// The state that was acknowledged last.
    pub(super) known: u64,
    /// The process of the receiver that acknowledged something last.
    pub(super) process: String,
    /// Since when that process knows that it stands.
    pub(super) stood_since: Option<DateTime<Utc>>,
    /// Since when the receiver knows that it ended, whichever process it was then.
    pub(super) end_known: Option<DateTime<Utc>>,
    /// When it was acknowledged last.
    pub(super) told_at: Option<DateTime<Utc>>,
    /// The state that the receiver refuses, where it does.
    pub(super) refused: Option<u64>,
    /// Whether what was acknowledged is in doubt, and its last state was not acknowledged since.
    pub(super) doubted: bool,
    /// Whether we told that it stands after it had ended: then it is ours to end, whichever replica recorded the end.
    pub(super) is_late: bool,
    /// How often proofs of the way are sent, where they are.
    pub(super) proofs: Option<TimeDelta>,
    /// Whether a message with it as standing is known to have arrived: a proof that went with it came back.
    is_seen: bool,
    /// When those proofs were made that went with it as standing, and when each was taken.
    carried: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Slot {
    /// One of which the record may say what the receiver acknowledged before we came.
    pub(super) fn new(wanted: &AlertState, process: &str) -> Self {
        let mut slot = Self {
            wanted: wanted.clone(),
            version: 1,
            known: 0,
            process: process.to_owned(),
            stood_since: None,
            end_known: None,
            told_at: None,
            refused: None,
            doubted: false,
            is_late: false,
            proofs: None,
            is_seen: false,
            carried: Vec::new(),
        };
        slot.adopt(process);
        slot
    }

    /// Takes over what the record says that the receiver acknowledged.
    pub(super) fn adopt(&mut self, process: &str) {
        let Some(acknowledged) = self.wanted.acknowledged.clone() else {
            // It was over, and some receiver was told, before anything was written down of this one.
            self.end_known = self.wanted.ended_at.filter(|_| self.wanted.heard);
            return;
        };
        let Acknowledged { process: theirs, begun_at, ended_at, doubted: _ } = acknowledged;
        let ended = ended_at.filter(|_| self.wanted.ended_at.is_some());
        self.end_known = self.end_known.or(ended);
        // Where it is not known which process it is, it is taken for the same.
        if theirs == process || process.is_empty() || theirs.is_empty() {
            self.process = theirs;
            self.stood_since = self.stood_since.or(begun_at);
            let stands = self.wanted.ended_at.is_none() && begun_at.is_some();
            if ended.is_some() || stands && !self.wanted.ours {
                self.known = self.version;
                self.told_at = self.told_at.or(ended).or(begun_at);
            }
        }
    }

    pub(super) fn want(&mut self, wanted: &AlertState, process: &str) {
        let same = |this: &AlertState| {
            this.alert == wanted.alert
                && this.ended_at == wanted.ended_at
                // How long it would have stood matters no more.
                && (this.lasts == wanted.lasts || this.ended_at.is_some())
        };
        if !same(&self.wanted) {
            let begins_anew = self.wanted.ended_at.is_some() && wanted.ended_at.is_none();
            if begins_anew {
                (self.stood_since, self.end_known, self.is_late) = (None, None, false);
                self.unsee();
            }
            // What we know is some seconds old: another replica may have told the end before us.
            let ends = wanted.ended_at.filter(|_| self.wanted.ended_at.is_none());
            self.is_late |= ends.is_some_and(|at| self.told_at.is_some_and(|told| told >= at));
            self.version += 1;
        }
        let news = self.wanted.acknowledged != wanted.acknowledged;
        self.wanted = wanted.clone();
        // What another replica told need not be told again.
        let unknown = match self.wanted.ended_at {
            Some(_) => self.end_known.is_none() && !self.is_late,
            None => self.stood_since.is_none(),
        };
        if news && unknown {
            self.adopt(process);
        }
    }

    /// The receiver does not know of it any more.
    pub(super) fn forget(&mut self) {
        self.stood_since = None;
        (self.told_at, self.known, self.refused) = (None, 0, None);
        self.unsee();
    }

    fn unsee(&mut self) {
        self.is_seen = false;
        self.carried.clear();
    }

    /// What was acknowledged at these instants may not have got through.
    pub(super) fn mark_doubtful(&mut self, is_doubtful: impl Fn(DateTime<Utc>) -> bool) {
        let begun = self.stood_since.is_some_and(&is_doubtful);
        if self.told_at.is_some_and(&is_doubtful) {
            self.stood_since = self.stood_since.filter(|_| !begun);
            self.end_known = self.end_known.filter(|at| !is_doubtful(*at));
            (self.told_at, self.known, self.refused, self.doubted) = (None, 0, None, true);
        } else if begun {
            // It was told again since.
            self.stood_since = self.told_at;
        }
        if begun {
            self.unsee();
        }
    }

    /// Takes note of the proof that went with it as standing.
    pub(super) fn carried_by(&mut self, proof: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        if self.is_seen {
            return;
        }
        self.carried.extend(proof.map(|made_at| (made_at, now)));
        if self.carried.len() > CARRIED_MAX {
            self.carried.remove(0);
        }
    }

    /// A proof came back: what went with it arrived.
    pub(super) fn proved(&mut self, made_at: DateTime<Utc>) {
        let carried = self.carried.iter().find(|(proof, _)| *proof == made_at);
        if let Some((_, taken_at)) = carried {
            (self.is_seen, self.stood_since) = (true, self.stood_since.max(Some(*taken_at)));
            self.carried.clear();
        }
    }

    /// Whether it was told as standing, and nothing says yet that that arrived: it goes with the next proof.
    pub(super) fn is_told_in_vain(&self) -> bool {
        let is_open = self.wanted.ended_at.is_none() || self.end_known.is_none();
        !self.is_seen && self.stood_since.is_some() && is_open && self.wanted.lasts.is_none()
    }

    /// Until when an end waits for a proof that the beginning arrived.
    fn waits_until(&self, rhythm: &Rhythm) -> Option<DateTime<Utc>> {
        let every = self.proofs.filter(|_| !self.is_seen && self.wanted.lasts.is_none())?;
        Some(self.wanted.ended_at? + rhythm.hold + proofs_apart(every))
    }

    /// Says whether the receiver knows its state, or refuses it, as far as anything proves that; `proved` is when
    /// the newest proof of the way was sent that came back, where there are proofs.
    pub(super) fn is_settled(&self, proved: Option<DateTime<Utc>>) -> bool {
        let unproved = proved.zip(self.told_at).is_some_and(|(proved, told_at)| told_at > proved);
        self.refused == Some(self.version) || self.known == self.version && !unproved
    }

    /// Whether it is told as standing: also for a while after it ended, so that it can be seen.
    pub(super) fn stands(&self, rhythm: &Rhythm, now: DateTime<Utc>) -> bool {
        if self.wanted.ended_at.is_none() {
            return true;
        }
        if self.end_known.is_some() {
            return false;
        }
        // In the future lies what was noted before the clock was set back.
        self.stood_since.is_none_or(|since| since <= now && now < since + rhythm.hold)
            || self.waits_until(rhythm).is_some_and(|until| now < until)
    }

    pub(super) fn due_at(&self, rhythm: &Rhythm, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let settled = self.known == self.version;
        if self.wanted.ended_at.is_some() && settled {
            return None;
        }
        let ours = self.wanted.ours || self.is_late;
        // Another replica recorded it, and tells it, unless it died.
        let others = match self.wanted.ended_at {
            Some(at) => at + rhythm.hold + OTHERS_WAIT.1,
            None if self.stood_since.is_none() => self.wanted.alert.starts_at + OTHERS_WAIT.0,
            None => DateTime::UNIX_EPOCH,
        };
        if !ours && now < others {
            return Some(others);
        }
        let Some(told_at) = self.told_at.filter(|at| *at <= now) else {
            return Some(DateTime::UNIX_EPOCH);
        };
        let again = told_at + self.repeats(rhythm);
        let is_repeat = !ours && self.wanted.ended_at.is_none();
        if self.refused == Some(self.version) || settled || is_repeat {
            return Some(again);
        }
        // It ended, and cannot be told so yet.
        if self.wanted.ended_at.is_some() && self.stands(rhythm, now) {
            let over = self.stood_since.map(|since| since + rhythm.hold);
            let over = over.map(|over| over.max(self.waits_until(rhythm).unwrap_or(over)));
            return Some(over.map_or(DateTime::UNIX_EPOCH, |over| over.min(again)));
        }
        Some(DateTime::UNIX_EPOCH)
    }

    /// How often it is told again.
    pub(super) fn repeats(&self, rhythm: &Rhythm) -> TimeDelta {
        if self.wanted.lasts.is_some() {
            // What no ledger may know of is told more often, so that it need not last for long.
            rhythm.own_resend()
        } else if self.wanted.ours {
            rhythm.resend
        } else {
            (rhythm.resend * OTHERS_REPEAT).min(rhythm.lasts / 2)
        }
    }

    pub(super) fn alert_to_send(
        &self,
        fingerprint: Fingerprint,
        rhythm: &Rhythm,
        sight: Sight,
        now: DateTime<Utc>,
    ) -> AlertToSend {
        let stands = self.stands(rhythm, now);
        // Who cannot read the record any more says nothing that lasts, but for longer than others take to repeat it.
        let of_record = match sight {
            Sight::Clear => rhythm.lasts,
            Sight::Blind => rhythm.lasts.min(rhythm.resend * (OTHERS_REPEAT * 2)),
        };
        let lasts = self.wanted.lasts.unwrap_or(of_record);
        let end = match self.wanted.ended_at {
            Some(at) if !stands => End::At(at),
            Some(_) | None => End::Lasts(lasts),
        };
        // What is told as standing, though it ended, is not the last word.
        let early = stands && self.wanted.ended_at.is_some();
        let version = if early { self.version - 1 } else { self.version };
        AlertToSend { fingerprint, alert: Arc::clone(&self.wanted.alert), end, version }
    }
}
