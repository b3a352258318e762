//! What the columns of a side are found to be: their types, and whether they can be compared.

use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::cell::Kind;
use crate::domain::reconcile::incomparable::{float_key, floats};
use crate::domain::reconcile::merge::{Merge, Which};

impl Merge<'_> {
    /// Learns what the columns of a side are, and what both are compared as.
    pub(super) fn learn(&mut self, side: Which) -> Result<(), Reason> {
        for column in 0..self.kinds.len() {
            if self.seen[side.place()][column].is_some() {
                continue;
            }
            let cells = &self.halves[side.place()].cells;
            let kind = cells.chunks(self.width).find_map(|row| row[column].kind());
            self.seen[side.place()][column] = kind;
            let (Some(left), Some(right)) = (self.seen[0][column], self.seen[1][column]) else {
                continue;
            };
            self.kinds[column] = Some(Kind::of_both(left, right).ok_or_else(|| {
                let (name, left, right) = (self.name(column), left.as_str(), right.as_str());
                let note = format!(
                    "column `{name}` is {left} on the left and {right} on the right: cast one of them"
                );
                Reason::new(Cause::UnsupportedType, note)
            })?);
            // What came before from the other side was not read like that yet.
            let other = if side == Which::Left { Which::Right } else { Which::Left };
            let from = self.halves[other.place()].at;
            self.read_as(other, from)?;
        }
        self.refuse_floats()
    }

    pub(super) fn name(&self, column: usize) -> &str {
        self.terms.columns().nth(column).map_or("", |name| name.as_str())
    }

    /// A float is compared with a tolerance only; and nothing but numbers is.
    pub(super) fn refuse_floats(&self) -> Result<(), Reason> {
        for (column, name) in self.terms.columns().enumerate() {
            let is = |kind| self.seen.iter().any(|seen| seen[column] == Some(kind));
            let place = column.checked_sub(self.terms.key.len());
            let Some((_, tolerance)) = place.map(|place| &self.terms.compare[place]) else {
                if is(Kind::Float) {
                    return Err(float_key(name.as_str()));
                }
                continue;
            };
            if is(Kind::Float) && tolerance.is_exact() {
                return Err(floats(name));
            }
            let number = matches!(self.kinds[column], None | Some(Kind::Number | Kind::Float));
            if !number && !tolerance.is_exact() {
                let kind = self.kinds[column].map_or("", Kind::as_str);
                let note = format!(
                    "column `{name}` is {kind}, and a tolerance is for numbers: write `{name}: {{tolerance: 0}}`"
                );
                return Err(Reason::new(Cause::UnsupportedType, note));
            }
        }
        Ok(())
    }

    /// Reads the rows of a side, from one on, as what they are compared as.
    pub(super) fn read_as(&mut self, side: Which, from: usize) -> Result<(), Reason> {
        let place = side.place();
        let key = self.terms.key.len();
        for column in 0..self.kinds.len() {
            let Some(kind) = self.kinds[column] else { continue };
            // What is compared is looked at again where it is not the same.
            if column >= key && self.seen[place][column] == Some(kind) {
                continue;
            }
            let (epoch, width) = (self.epochs[place], self.width);
            for row in self.halves[place].cells[from..].chunks_mut(width) {
                let cell = &mut row[column];
                if cell.kind().is_none_or(|own| own == kind) {
                    continue;
                }
                match cell.read_as(kind, epoch) {
                    Some(read) => *cell = read,
                    // A text that is no number is no equal of one.
                    None if column >= key && kind == Kind::Number => {}
                    None if column >= key => {
                        let (name, own) = (self.name(column), kind.as_str());
                        let note = format!(
                            "column `{name}` on the {} is not read as {own}: write it like 2026-03-08 \
                             05:00:00 or 2026-03-08, or cast it there",
                            side.word()
                        );
                        return Err(Reason::new(Cause::UnsupportedType, note));
                    }
                    None => {
                        let (name, own) = (self.name(column), kind.as_str());
                        let note = format!(
                            "key column `{name}` on the {} has values that are not {own}: cast it there",
                            side.word()
                        );
                        return Err(Reason::new(Cause::UnsupportedType, note));
                    }
                }
            }
        }
        Ok(())
    }
}
