//! The nearest valid word: what was most likely meant.

/// Returns the valid word closest to `word`, if one is close enough to be meant.
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Whoever writes more than that did not slip.
    const LONGEST: usize = 100;
    if word.len() > LONGEST {
        return None;
    }
    let lowered = word.to_lowercase();
    valid
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&lowered, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= 1 + known.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Says "did you mean" where a word is close, and lists what is valid where none is.
pub fn suggestion(word: &str, valid: &[&str]) -> Option<String> {
    match nearest(word, valid.iter().copied()) {
        Some(known) => Some(format!("did you mean `{known}`?")),
        None if valid.is_empty() => None,
        None => Some(format!("valid here: {}", listed(valid))),
    }
}

fn listed(words: &[&str]) -> String {
    const SHOWN: usize = 24;
    let mut text =
        words.iter().take(SHOWN).map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    if words.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_their_word() {
        let valid = ["severity", "source", "schedule", "expect", "evidence", "id", "why"];
        for (typed, meant) in [
            ("severty", "severity"),
            ("Source", "source"),
            ("exepct", "expect"),
            ("evidance", "evidence"),
            ("ids", "id"),
        ] {
            assert_eq!(nearest(typed, valid), Some(meant));
        }
        assert_eq!(nearest("zzzzzzzz", valid), None);
    }
}
