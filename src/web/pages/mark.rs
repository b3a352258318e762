//! How a series or a window is, as a word, a letter and a class: colour is never the only sign.

/// A word for a state, and the letter that stands for it in small places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) word: &'static str,
    pub(super) letter: char,
}

impl Mark {
    pub(super) const CONFIRMED: Self = Self { word: "confirmed", letter: '·' };
    pub(super) const VIOLATED: Self = Self { word: "violated", letter: 'X' };
    pub(super) const UNCONFIRMED: Self = Self { word: "unconfirmed", letter: '?' };
    pub(super) const WAIVED: Self = Self { word: "waived", letter: 'w' };
    pub(super) const PAUSED: Self = Self { word: "paused", letter: 'p' };
    pub(super) const WAITING: Self = Self { word: "waiting", letter: '…' };
    pub(super) const CLOSED: Self = Self { word: "closed", letter: 'x' };
    pub(super) const FOLDED: Self = Self { word: "folded", letter: '–' };
    pub(super) const NEW: Self = Self { word: "new", letter: 'n' };

    /// The mark of a word that the API has for a state or a verdict.
    pub(super) fn of(word: &str) -> Self {
        let known =
            [Self::CONFIRMED, Self::VIOLATED, Self::WAIVED, Self::PAUSED, Self::WAITING, Self::NEW];
        // What is not known is not proved.
        known.into_iter().find(|mark| mark.word == word).unwrap_or(Self::UNCONFIRMED)
    }

    /// What it means, for the legend.
    pub(super) fn meaning(self) -> &'static str {
        match self.letter {
            '·' => "confirmed: proved right",
            'X' => "violated: proved wrong, and open",
            '?' => "unconfirmed: no result in time, and open",
            'w' => "waived: a person vouches for it",
            'p' => "paused or taken out by its owner",
            '…' => "waits for its result, in time",
            'x' => "was wrong or without a result; a later look closed it",
            '–' => "older than a week: confirmed looks in a row are kept as one",
            _ => "new: not looked at yet",
        }
    }
}

/// The marks of windows, for the legend.
pub(super) const OF_WINDOWS: [Mark; 8] = [
    Mark::CONFIRMED,
    Mark::VIOLATED,
    Mark::UNCONFIRMED,
    Mark::WAIVED,
    Mark::PAUSED,
    Mark::WAITING,
    Mark::CLOSED,
    Mark::FOLDED,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::filter::STATES;

    #[test]
    fn every_state_has_its_own_mark_and_what_is_unknown_is_not_proved() {
        for state in STATES {
            assert_eq!(Mark::of(state).word, state);
        }
        assert_eq!(Mark::of("proved"), Mark::UNCONFIRMED);
        let letters: std::collections::BTreeSet<char> = OF_WINDOWS.map(|m| m.letter).into();
        assert_eq!(letters.len(), OF_WINDOWS.len());
    }
}
