//! Text that may be shown as it is: nothing in it moves a cursor, hides what stands before it, or turns its direction.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Says whether a terminal obeys a character, or it turns the direction of what follows.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text, with such characters written as JSON writes them: `\u001b`. Lines stay lines.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_obeyed(c) && c != '\n' && c != '\t')
}

/// The same of a text that stands within a line.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_obeyed)
}

/// A note whose lines are a finding and its rows, in one line.
pub fn in_one_line(note: &str) -> String {
    note.lines().collect::<Vec<_>>().join("; ")
}

fn escaped(text: &str, is_meant: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_meant) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_meant(c) {
            // None of them is above U+FFFF.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "a\u{1b}]0;x\u{7}\r\n\tb\u{202e}c\u{85}";
        assert_eq!(plain(hostile), "a\\u001b]0;x\\u0007\\u000d\n\tb\\u202ec\\u0085");
        assert_eq!(line("a\nb"), "a\\u000ab");
        assert!(matches!(plain("größer · 日本"), Cow::Borrowed(_)));
    }
}
