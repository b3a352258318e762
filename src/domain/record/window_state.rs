//! The life of one row of the record: from waiting to recorded, and on.
//!
//! A row is a window or a slot of one series. What an attempt says moves it; time moves it; its
//! owner may. Each move is a function from a row to a row, so that a store can write it whole.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::check::verdict::Verdict;
use crate::domain::time::backoff::{Draw, doubled};

/// What an attempt said, without its finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictKind {
    /// A fact: the data is right.
    Confirmed,
    /// A fact: the data is wrong.
    Violated,
    /// Nothing about the data.
    Unconfirmed(Cause),
}

impl From<&Verdict> for VerdictKind {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Confirmed => Self::Confirmed,
            Verdict::Violated(_) => Self::Violated,
            Verdict::Unconfirmed(reason) => Self::Unconfirmed(reason.cause),
        }
    }
}

impl VerdictKind {
    /// Says whether it speaks about the data.
    pub fn is_fact(self) -> bool {
        match self {
            Self::Confirmed | Self::Violated => true,
            Self::Unconfirmed(_) => false,
        }
    }
}

impl Cause {
    /// Says whether time alone may mend it, so that a row goes on waiting until its deadline.
    pub fn may_pass(self) -> bool {
        match self {
            Self::NoEvidence
            | Self::Timeout
            | Self::Connect
            | Self::Stale
            | Self::Clock
            | Self::Busy
            | Self::Shed
            | Self::BreakerOpen
            | Self::Interrupted => true,
            Self::Auth
            | Self::QueryError
            | Self::UnsupportedType
            | Self::OverLimit
            | Self::Unordered
            | Self::Refused
            | Self::Paused
            | Self::Missed => false,
        }
    }
}

/// A window or a slot of a series, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowState {
    /// Whether it is a window, or a look at the present.
    pub kind: WindowKind,
    /// Its first instant; the slot itself.
    pub start: DateTime<Utc>,
    /// The first instant after it; the slot itself.
    pub end: DateTime<Utc>,
    /// When it is to be looked at.
    pub due: DateTime<Utc>,
    /// By when its absence is an alarm, seen from its due: the lease of health counts from it.
    pub deadline_nominal: DateTime<Utc>,
    /// The same, seen from when it was written down. Nothing moves it but the end of a pause, and attempts that fail in a
    /// row with what no waiting mends.
    pub deadline: DateTime<Utc>,
    /// How far it has come.
    pub state: State,
    /// The last claim that was given out; a claim with an earlier number is fenced off.
    pub epoch: u64,
    /// How many attempts were made in a row that said nothing.
    pub failed_attempts: u32,
    /// What its owner, or a change of rules, says beside the data.
    pub overridden: Override,
}

/// What a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowKind {
    /// Of a window.
    Window,
    /// Of a slot.
    Slot,
}

/// How far a row has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits for an attempt.
    Waiting {
        /// Not before this instant.
        not_before: DateTime<Utc>,
        /// What the last attempt said, where there was one.
        last: Option<Cause>,
    },
    /// Somebody attempts it.
    Running {
        /// When another replica may take over.
        lease_until: DateTime<Utc>,
        /// What was recorded before, where it is tried again.
        before: Option<Recorded>,
        /// What the last attempt said, where it was not recorded.
        last: Option<Cause>,
    },
    /// Something is recorded.
    Recorded(Recorded),
}

/// What is recorded of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// What was said.
    pub said: VerdictKind,
    /// Since when.
    pub at: DateTime<Utc>,
    /// When it was last tried.
    pub tried: DateTime<Utc>,
}

/// What stands beside what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// Nothing.
    Standing,
    /// Its check's owner wants nothing caught up, so that missing it is no alarm.
    Excused,
    /// Its owner vouches for it, until an instant or for good.
    Waived {
        /// Until when.
        until: Option<DateTime<Utc>>,
    },
    /// The rules of its zone moved it: others stand for it. Once all of them are confirmed, it is
    /// closed.
    Superseded {
        /// Whether all of them are confirmed.
        replaced: bool,
    },
    /// Its check was removed, and an operator accepted that.
    Removed,
}

impl Override {
    /// What is left of it after an attempt: a waiver covers what was known when it was given. A proof ends
    /// it, and so does a violation of what was not known to be violated.
    fn after(self, said: VerdictKind, before: Option<VerdictKind>) -> Self {
        let is_waived = matches!(self, Self::Waived { .. });
        let is_news = match said {
            VerdictKind::Confirmed => true,
            VerdictKind::Violated => before != Some(VerdictKind::Violated),
            VerdictKind::Unconfirmed(_) => false,
        };
        if is_waived && is_news { Self::Standing } else { self }
    }
}

/// A write by a replica that was fenced off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// The first pause between attempts at a row that is past its deadline, and the longest.
const TRIED_ON: (TimeDelta, TimeDelta) = (TimeDelta::minutes(1), TimeDelta::hours(1));
/// The first pause between attempts at a violated row, and the longest.
const VIOLATED_TRIED_ON: (TimeDelta, TimeDelta) = (TimeDelta::hours(1), TimeDelta::hours(24));
/// The first pause between attempts before the deadline, and the longest.
const RETRIED: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::minutes(1));

impl WindowState {
    /// What is recorded of it, also while it is tried again.
    pub fn recorded(&self) -> Option<Recorded> {
        match self.state {
            State::Waiting { .. } => None,
            State::Running { before, .. } => before,
            State::Recorded(recorded) => Some(recorded),
        }
    }

    /// Takes it for an attempt.
    ///
    /// # Errors
    /// Where a replica holds it still, or it is not time.
    pub fn claim(
        self,
        epoch: u64,
        lease_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Self, Stale> {
        // What is late is recorded first: a claim takes no alarm back.
        let row = self.at(now);
        let (before, last) = match row.state {
            State::Waiting { not_before, last } if not_before <= now => (None, last),
            State::Recorded(recorded) => (Some(recorded), None),
            State::Waiting { .. } | State::Running { .. } => return Err(Stale),
        };
        if epoch <= row.epoch {
            return Err(Stale);
        }
        Ok(Self { state: State::Running { lease_until, before, last }, epoch, ..row })
    }

    /// Writes down how an attempt ended.
    ///
    /// A fact replaces what was said before; what says nothing replaces no fact. Before the deadline,
    /// what time may mend goes back to waiting. A waiver ends with a proof.
    ///
    /// # Errors
    /// Where the row was claimed anew since, or the claim ran out.
    pub fn ended(self, epoch: u64, said: VerdictKind, now: DateTime<Utc>) -> Result<Self, Stale> {
        // What fell late meanwhile is recorded first, and what is tried then is tried anew.
        let row = self.at(now);
        let (State::Running { before, .. }, true) = (row.state, row.epoch == epoch) else {
            return Err(Stale);
        };
        let failed_attempts =
            if said.is_fact() { 0 } else { row.failed_attempts.saturating_add(1) };
        let state = match (said, before) {
            (VerdictKind::Confirmed | VerdictKind::Violated, _) => {
                let same = before.filter(|before| before.said == said);
                let at = same.map_or(now, |before| before.at);
                State::Recorded(Recorded { said, at, tried: now })
            }
            (VerdictKind::Unconfirmed(_), Some(before)) if before.said.is_fact() => {
                State::Recorded(Recorded { tried: now, ..before })
            }
            (VerdictKind::Unconfirmed(_), Some(before)) => {
                State::Recorded(Recorded { said, tried: now, ..before })
            }
            (VerdictKind::Unconfirmed(cause), None) if cause.may_pass() && now < self.deadline => {
                let pause = now + doubled(RETRIED.0, RETRIED.1, failed_attempts);
                State::Waiting { not_before: pause.min(self.deadline), last: Some(cause) }
            }
            (VerdictKind::Unconfirmed(_), None) => {
                State::Recorded(Recorded { said, at: now, tried: now })
            }
        };
        let overridden = row.overridden.after(said, before.map(|before| before.said));
        Ok(Self { state, failed_attempts, overridden, ..row })
    }

    /// Holds it back until an instant, where it waits: what is held back goes on to its deadline, and
    /// says then what it waited for. A pause is its owner's word: no deadline ends it.
    #[must_use]
    pub fn put_off(self, cause: Cause, until: DateTime<Utc>) -> Self {
        match self.state {
            State::Waiting { .. } => {
                let paused = cause == Cause::Paused;
                let not_before = if paused { until } else { until.min(self.deadline) };
                Self { state: State::Waiting { not_before, last: Some(cause) }, ..self }
            }
            State::Running { .. } | State::Recorded(_) => self,
        }
    }

    /// Says whether it waits because its check is paused, or was.
    pub fn is_paused(&self) -> bool {
        matches!(self.state, State::Waiting { last: Some(Cause::Paused), .. })
    }

    /// Goes on after a pause, where it waited for the end of one: it has as long from now on as it
    /// would have had from its due, also where the pause was called off.
    #[must_use]
    pub fn resumed(self, now: DateTime<Utc>, patience: TimeDelta) -> Self {
        if !self.is_paused() {
            return self;
        }
        let deadline = now + patience;
        Self {
            state: State::Waiting { not_before: now, last: None },
            deadline,
            deadline_nominal: self.deadline_nominal.min(deadline),
            ..self
        }
    }

    /// Scatters when it is tried again after an attempt in vain.
    #[must_use]
    pub fn scattered(self, now: DateTime<Utc>, draw: Draw) -> Self {
        match self.state {
            State::Waiting { not_before, last } if not_before > now => {
                let not_before = now + draw.of(not_before - now);
                Self { state: State::Waiting { not_before, last }, ..self }
            }
            State::Waiting { .. } | State::Running { .. } | State::Recorded(_) => self,
        }
    }

    /// Lets time pass: what is not recorded by its deadline is, with the last cause, or as missed
    /// where there was no look at all, also while an attempt is under way; a claim that ran out is given back.
    pub fn at(self, now: DateTime<Utc>) -> Self {
        let late = self.deadline <= now;
        let missing = |last: Option<Cause>| {
            let said = VerdictKind::Unconfirmed(last.unwrap_or(Cause::Missed));
            Recorded { said, at: self.deadline, tried: now }
        };
        let state = match self.state {
            State::Waiting { last, .. } if late => State::Recorded(missing(last)),
            State::Running { lease_until, before, last } => {
                let over = lease_until <= now;
                // Whether the claim ran out before the deadline or after it.
                let last =
                    if lease_until <= self.deadline { Some(Cause::Interrupted) } else { last };
                match before.or_else(|| late.then(|| missing(last))) {
                    Some(before) if over => State::Recorded(Recorded { tried: now, ..before }),
                    Some(before) => {
                        State::Running { lease_until, before: Some(before), last: None }
                    }
                    None if over => State::Waiting { not_before: now, last },
                    None => self.state,
                }
            }
            State::Waiting { .. } | State::Recorded(_) => self.state,
        };
        let begins = self.recorded().is_none() && late;
        let failed_attempts = if begins { 0 } else { self.failed_attempts };
        Self { state, failed_attempts, ..self }
    }

    /// When it is to be tried next; nothing where it is not.
    ///
    /// What is violated is tried at the series' later dues, after an hour, and ever more rarely (a day later at most, where it is due then); what says nothing, ever
    /// more rarely, until it is as old as anybody catches up.
    pub fn wake_at(
        &self,
        next_due: Option<DateTime<Utc>>,
        age: TimeDelta,
    ) -> Option<DateTime<Utc>> {
        let recorded = match self.state {
            State::Running { lease_until, .. } => return Some(lease_until),
            State::Waiting { .. } | State::Recorded(_) if self.is_left_alone() => return None,
            State::Waiting { not_before, .. } => return Some(not_before),
            State::Recorded(recorded) => recorded,
        };
        if self.overridden == Override::Excused && recorded.said != VerdictKind::Violated {
            return None;
        }
        match recorded.said {
            VerdictKind::Confirmed => None,
            VerdictKind::Violated => {
                // As long again as it has been violated: what is bad for weeks is seldom good the next hour.
                let (least, most) = VIOLATED_TRIED_ON;
                let pause = match self.failed_attempts {
                    0 => (recorded.tried - recorded.at).clamp(least, most),
                    // The last one said nothing.
                    failed => doubled(TRIED_ON.0, TRIED_ON.1, failed),
                };
                next_due.map(|due| due.max(recorded.tried + pause))
            }
            VerdictKind::Unconfirmed(_) => {
                let next =
                    recorded.tried + doubled(TRIED_ON.0, TRIED_ON.1, self.failed_attempts.max(1));
                (next <= self.due + age).then_some(next)
            }
        }
    }

    /// Says whether it is not asked for any more: other windows were proved in its place, its check is gone, or it is
    /// waived for ever. As long as those others are not proved it is tried on: rules of a zone are taken back too.
    pub fn is_left_alone(&self) -> bool {
        match self.overridden {
            Override::Removed
            | Override::Superseded { replaced: true }
            | Override::Waived { until: None } => true,
            Override::Standing
            | Override::Excused
            | Override::Superseded { replaced: false }
            | Override::Waived { until: Some(_) } => false,
        }
    }

    /// Says whether an operator's word, or other rows, stand in for a proof of it.
    pub fn is_settled(&self, now: DateTime<Utc>) -> bool {
        match self.overridden {
            Override::Standing => false,
            // That it was missed is excused; what is wrong with it is not.
            Override::Excused => self.recorded().is_none_or(|r| r.said != VerdictKind::Violated),
            Override::Removed => true,
            Override::Waived { until } => until.is_none_or(|until| now < until),
            Override::Superseded { replaced } => replaced,
        }
    }

    /// Says what is wrong with it, if something is: violated, or unconfirmed past its deadline, and
    /// not settled otherwise.
    pub fn open(&self, now: DateTime<Utc>) -> Option<VerdictKind> {
        let recorded = self.recorded().filter(|_| !self.is_settled(now))?;
        match recorded.said {
            VerdictKind::Confirmed => None,
            VerdictKind::Violated => Some(VerdictKind::Violated),
            VerdictKind::Unconfirmed(_) if now < self.deadline => None,
            VerdictKind::Unconfirmed(_) => Some(recorded.said),
        }
    }
}
