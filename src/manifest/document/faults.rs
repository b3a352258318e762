//! What is wrong with a file, and what had better be written otherwise: recorded with its place.

use crate::domain::check::catalogue::Warning;
use crate::domain::check::code::Code;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::CheckId;
use crate::manifest::document::{Document, Place, sorted};
use crate::manifest::yaml::Node;

impl Document<'_> {
    /// Records a fault that earlier releases did not know; says whether what is read goes on with the value all the
    /// same, because it was taken before.
    pub fn newer_fault(
        &mut self,
        node: &Node,
        place: Place<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> bool {
        if self.stored {
            self.warn(node, place, message, hint);
        } else {
            self.fault(node, place, message, hint);
        }
        self.stored
    }

    /// Returns all faults, in the order of their lines, each once: what several checks take from one
    /// place is wrong at one place.
    pub fn into_faults(self) -> Vec<Fault> {
        sorted(self.faults)
    }

    /// Returns what is accepted and had better be written otherwise, in the order of lines.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.sort_by_key(|warning| (warning.fault.line, warning.fault.column));
        warnings.dedup();
        warnings
    }

    /// How many warnings there are by now.
    pub fn warned(&self) -> usize {
        self.warnings.len()
    }

    /// Says of which check the warnings are that came since there were so many.
    pub fn attribute(&mut self, since: usize, check: Option<&CheckId>) {
        for warning in &mut self.warnings[since..] {
            warning.check = check.cloned();
        }
    }

    /// Records that something is accepted and had better be written otherwise.
    pub fn warn(
        &mut self,
        node: &Node,
        place: Place<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let told = self.faults.len();
        self.fault(node, place, message, hint);
        let told = self.faults.drain(told..);
        self.warnings.extend(told.map(|fault| Warning { check: None, code: None, fault }));
    }

    /// Records something with a code, at a node or inside of its SQL: what cannot be a proof is a fault, but where an
    /// earlier release took it.
    pub fn remark(
        &mut self,
        node: &Node,
        inside: Option<(u64, u64)>,
        place: Place<'_>,
        code: Code,
        message: String,
        hint: String,
    ) {
        let told = self.faults.len();
        let (line, column) = match inside {
            Some((line, column)) => self.inside(node, line, column),
            None => (node.line, node.column),
        };
        let hint = if code.is_fault() {
            hint
        } else {
            format!("{hint}; or say why it is meant: `accept: {{{code}: …}}`")
        };
        self.fault_at(line, column, place, message, Some(hint));
        if code.is_fault() && !self.stored {
            return;
        }
        let told = self.faults.drain(told..);
        self.warnings.extend(told.map(|fault| Warning { check: None, code: Some(code), fault }));
    }

    /// Forgets what came since there were so many warnings, where its author accepts it.
    pub fn accept(&mut self, since: usize, codes: &[Code]) {
        let later = self.warnings.split_off(since);
        let told = |warning: &Warning| warning.code.is_none_or(|code| !codes.contains(&code));
        self.warnings.extend(later.into_iter().filter(told));
    }

    /// Records a fault at a node.
    pub fn fault(
        &mut self,
        node: &Node,
        place: Place<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.fault_at(node.line, node.column, place, message, hint);
    }

    /// Records a fault at a position.
    pub fn fault_at(
        &mut self,
        line: u64,
        column: u64,
        place: Place<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let excerpt = self.excerpt(line);
        self.faults.push(Fault {
            file: self.text.file.clone(),
            line,
            column,
            path: place.to_string(),
            message: message.into(),
            hint: hint.filter(|h| !h.is_empty()),
            excerpt,
        });
    }
}
