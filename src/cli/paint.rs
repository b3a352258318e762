//! Colours and line breaks, on a terminal only.

use std::io::IsTerminal;

/// How to write for the reader: a terminal, or a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colours: bool,
    /// How many columns the terminal has; none where it is no terminal.
    width: Option<usize>,
}

impl Paint {
    /// Colours if standard output is a terminal that can, and `NO_COLOR` is not set
    /// (<https://no-color.org>); wraps if it is a terminal.
    pub(super) fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self { colours: false, width: None };
        }
        let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self { colours: able && wanted, width }
    }

    /// Breaks a text between words, with the lines after the first indented.
    pub(super) fn wrapped(self, text: &str, indent: usize) -> String {
        let Some(room) = self.width.and_then(|w| w.checked_sub(indent)).filter(|room| *room > 20)
        else {
            return text.to_owned();
        };
        let mut lines = String::new();
        let mut used = 0;
        for word in text.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > room {
                lines.push('\n');
                lines.push_str(&" ".repeat(indent));
                used = 0;
            } else if used > 0 {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(word);
            used += length;
        }
        lines
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with("1;33", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_nothing_is_lost() {
        let narrow = Paint { colours: false, width: Some(40) };
        let text = "one two three four five six seven eight nine ten eleven twelve";
        let wrapped = narrow.wrapped(text, 4);
        assert!(wrapped.lines().count() == 2 && wrapped.lines().all(|l| l.chars().count() <= 40));
        assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>().join(" "), text);
        assert_eq!(Paint { colours: false, width: None }.wrapped(text, 4), text);
    }
}
