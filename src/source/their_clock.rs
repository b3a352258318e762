//! How far a server's clock is from this host's: both decide what is over, and what is fresh.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock;

/// How far apart they may be before that is told.
const APART_MAX: TimeDelta = TimeDelta::seconds(60);
/// By how much a distance has to change to be another one: an answer takes a while, and so does a step of NTP.
const SAME: TimeDelta = TimeDelta::seconds(20);

/// What is known of a server's clock.
#[derive(Debug, Default)]
pub(super) struct TheirClock(Mutex<TimeDelta>);

impl TheirClock {
    /// Takes note of what time it is there.
    pub(super) fn note(&self, theirs: Option<DateTime<Utc>>) {
        let Some(theirs) = theirs else { return };
        let apart = theirs - clock::now();
        if let Ok(mut known) = self.0.lock()
            && (apart - *known).abs() > SAME
        {
            *known = apart;
        }
    }

    /// Says how far it is from ours, where that is far.
    pub(super) fn remark(&self) -> Option<String> {
        let apart = *self.0.lock().ok()?;
        if apart.abs() <= APART_MAX {
            return None;
        }
        let how = if apart > TimeDelta::zero() { "ahead of" } else { "behind" };
        let minutes = apart.abs().num_minutes();
        Some(format!(
            "its clock is {minutes} min {how} this host's: windows are looked at by one, and rows written by the other; set \
             the wrong one right"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_more_than_a_minute_away_is_told_in_both_directions() {
        for (secs, wanted) in [
            (0, None),
            (50, None),
            (-50, None),
            (200, Some("3 min ahead")),
            (-200, Some("3 min behind")),
        ] {
            let their_clock = TheirClock::default();
            their_clock.note(Some(clock::now() + TimeDelta::seconds(secs)));
            let said = their_clock.remark();
            assert_eq!(said.is_some(), wanted.is_some(), "{secs}");
            assert!(said.unwrap_or_default().contains(wanted.unwrap_or("")), "{secs}");
            their_clock.note(Some(clock::now()));
            assert_eq!(their_clock.remark(), None, "it was set right");
            their_clock.note(None);
        }
    }
}
