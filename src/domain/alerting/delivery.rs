//! What an Alertmanager did with an alert that it holds: whether it told a receiver, and why not.

use std::collections::BTreeSet;

use crate::domain::alerting::seen::Handling;

/// What an Alertmanager did with an alert that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// It goes to a receiver that tells somebody.
    Notified,
    /// It goes only to receivers that tell nobody: they have no integration, or only the one that comes back here.
    Unheard,
    /// A silence holds it back.
    Silenced,
    /// Another alert holds it back.
    Inhibited,
    /// A time interval of its route holds it back.
    Muted,
    /// The configuration could not be read: whether its receivers tell anybody is not known.
    Unknown,
}

impl Delivery {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 6] = [
        Self::Notified,
        Self::Unheard,
        Self::Silenced,
        Self::Inhibited,
        Self::Muted,
        Self::Unknown,
    ];

    /// The word for it in metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notified => "notified",
            Self::Unheard => "unheard",
            Self::Silenced => "silenced",
            Self::Inhibited => "inhibited",
            Self::Muted => "muted",
            Self::Unknown => "unknown",
        }
    }

    /// What became of an alert, where these receivers tell somebody; nothing of them is known where the configuration
    /// could not be read. A route that tells nobody is told before a silence: it outlives that.
    pub fn of(handling: &Handling, telling: Option<&BTreeSet<String>>) -> Self {
        let is_unheard = |telling: &BTreeSet<String>| {
            let receivers = &handling.receivers;
            !receivers.is_empty() && receivers.iter().all(|name| !telling.contains(name))
        };
        match telling {
            Some(telling) if is_unheard(telling) => Self::Unheard,
            Some(_) | None if !handling.silenced_by.is_empty() => Self::Silenced,
            Some(_) | None if handling.is_inhibited => Self::Inhibited,
            Some(_) | None if handling.is_muted => Self::Muted,
            Some(_) => Self::Notified,
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_an_alert_back_is_told_apart_and_a_route_to_nobody_comes_first() {
        let telling = BTreeSet::from(["team".to_owned()]);
        let of = |receivers: &[&str], silenced: bool, is_inhibited: bool, is_muted: bool| {
            let receivers = receivers.iter().map(|&name| name.to_owned()).collect();
            let silenced_by = silenced.then(|| "1".to_owned()).into_iter().collect();
            Handling { receivers, silenced_by, is_inhibited, is_muted }
        };
        let plain = of(&["team"], false, false, false);
        assert_eq!(Delivery::of(&plain, Some(&telling)), Delivery::Notified);
        assert_eq!(Delivery::of(&plain, None), Delivery::Unknown);
        assert_eq!(Delivery::of(&of(&["team"], true, true, true), None), Delivery::Silenced);
        let held = |silenced, inhibited, muted| {
            Delivery::of(&of(&["team"], silenced, inhibited, muted), Some(&telling))
        };
        assert_eq!(held(true, true, true), Delivery::Silenced);
        assert_eq!(held(false, true, true), Delivery::Inhibited);
        assert_eq!(held(false, false, true), Delivery::Muted);
        let nobody = of(&["null", "allswell-watchdog"], true, true, true);
        assert_eq!(Delivery::of(&nobody, Some(&telling)), Delivery::Unheard);
        let both = of(&["null", "team"], false, false, false);
        assert_eq!(Delivery::of(&both, Some(&telling)), Delivery::Notified);
        // Of no receiver nothing is said.
        assert_eq!(Delivery::of(&of(&[], false, false, false), Some(&telling)), Delivery::Notified);
    }
}
