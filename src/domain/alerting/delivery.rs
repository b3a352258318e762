//! What an Alertmanager did with an alert that it holds: whether it told a receiver, and why not.

use std::collections::BTreeMap;

use crate::domain::alerting::seen::Handling;

/// What an Alertmanager did with an alert that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// It goes to a receiver that tells a person.
    Notified,
    /// It goes only to receivers that tell no one: they have no integration, or only the one that comes back here.
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

    /// What became of an alert, where these receivers notify or not; nothing of them is known where the configuration
    /// could not be read. A route that notifies no one is told before a silence: it outlives that.
    pub fn of(handling: &Handling, receivers: Option<&BTreeMap<String, bool>>) -> Self {
        let notifies = |name: &String| receivers.and_then(|all| all.get(name).copied());
        let known: Vec<Option<bool>> = handling.receivers.iter().map(notifies).collect();
        if !known.is_empty() && known.iter().all(|notifies| *notifies == Some(false)) {
            Self::Unheard
        } else if !handling.silenced_by.is_empty() {
            Self::Silenced
        } else if handling.is_inhibited {
            Self::Inhibited
        } else if handling.is_muted {
            Self::Muted
        } else if receivers.is_some() && (known.is_empty() || known.contains(&Some(true))) {
            Self::Notified
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_an_alert_back_is_told_apart_and_a_route_to_nobody_comes_first() {
        let receivers = [("team", true), ("null", false), ("allswell-watchdog", false)];
        let receivers: BTreeMap<String, bool> =
            receivers.into_iter().map(|(name, tells)| (name.to_owned(), tells)).collect();
        let of = |receivers: &[&str], silenced: bool, is_inhibited: bool, is_muted: bool| {
            let receivers = receivers.iter().map(|&name| name.to_owned()).collect();
            let silenced_by = silenced.then(|| "1".to_owned()).into_iter().collect();
            Handling { receivers, silenced_by, is_inhibited, is_muted }
        };
        let plain = of(&["team"], false, false, false);
        assert_eq!(Delivery::of(&plain, Some(&receivers)), Delivery::Notified);
        assert_eq!(Delivery::of(&plain, None), Delivery::Unknown);
        assert_eq!(Delivery::of(&of(&["team"], true, true, true), None), Delivery::Silenced);
        let held = |silenced, inhibited, muted| {
            Delivery::of(&of(&["team"], silenced, inhibited, muted), Some(&receivers))
        };
        assert_eq!(held(true, true, true), Delivery::Silenced);
        assert_eq!(held(false, true, true), Delivery::Inhibited);
        assert_eq!(held(false, false, true), Delivery::Muted);
        let null_routed = of(&["null", "allswell-watchdog"], true, true, true);
        assert_eq!(Delivery::of(&null_routed, Some(&receivers)), Delivery::Unheard);
        let both = of(&["null", "team"], false, false, false);
        assert_eq!(Delivery::of(&both, Some(&receivers)), Delivery::Notified);
        // One that the configuration does not know, because it was changed, says nothing.
        let renamed = of(&["pager"], false, false, false);
        assert_eq!(Delivery::of(&renamed, Some(&receivers)), Delivery::Unknown);
        // Of no receiver nothing is said.
        assert_eq!(
            Delivery::of(&of(&[], false, false, false), Some(&receivers)),
            Delivery::Notified
        );
    }
}
