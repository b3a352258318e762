//! Faults: what is wrong with what a person wrote, where, by which rule, and what to write instead.

use std::fmt;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// Column, from 1; 0 for the file as a whole.
    pub column: u64,
    /// The place inside the document, like `checks[2].expect.rows`.
    pub path: String,
    /// The rule that is broken.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The line at fault, where it may be shown.
    pub excerpt: Option<String>,
}

impl Fault {
    /// A fault of a file or folder as a whole.
    pub fn of_file(
        file: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            path: String::new(),
            message: message.into(),
            hint: Some(hint.into()).filter(|h: &String| !h.is_empty()),
            excerpt: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(excerpt) = &self.excerpt {
            let number = self.line.to_string();
            let gap = " ".repeat(number.len());
            let before = usize::try_from(self.column).unwrap_or(1).saturating_sub(1);
            write!(f, "\n {gap} |\n {number} | {excerpt}\n {gap} | {}^", " ".repeat(before))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n   = {hint}")?;
        }
        Ok(())
    }
}
