//! Whether a list of zones lost so many that its owner has to look: a population that shrinks in silence proves less and
//! less.

use std::collections::BTreeSet;

/// How many zones may vanish without a word, however few there are.
const FEW: usize = 1;
/// The part of all zones that may vanish without a word.
const PART: usize = 5;

/// The zones that are gone, where those are too many: more than a fifth of what was accepted last, and at least two. What
/// went little by little since then counts too.
pub fn gone<'a>(accepted: &BTreeSet<&'a str>, listed: &BTreeSet<&str>) -> Option<Vec<&'a str>> {
    let gone: Vec<&str> = accepted.iter().copied().filter(|tz| !listed.contains(tz)).collect();
    (gone.len() > FEW && gone.len() * PART > accepted.len()).then_some(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_zone_may_vanish_and_a_fifth_may_and_no_more() {
        let names: Vec<String> = (0..20).map(|n| format!("Area/{n:02}")).collect();
        let set = |range: std::ops::Range<usize>| -> BTreeSet<&str> {
            names[range].iter().map(String::as_str).collect()
        };
        assert_eq!(gone(&set(0..3), &set(0..2)), None, "one of three");
        assert_eq!(gone(&set(0..4), &set(0..2)).map(|gone| gone.len()), Some(2));
        assert_eq!(gone(&set(0..20), &set(0..16)), None, "a fifth");
        assert_eq!(gone(&set(0..20), &set(0..15)).map(|gone| gone.len()), Some(5));
        assert_eq!(gone(&set(0..4), &set(0..20)), None, "more came");
    }
}
