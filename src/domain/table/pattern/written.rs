//! Patterns in the dialect of each engine, and what their trees say of themselves.

use std::fmt::Write as _;

use crate::domain::sql::Engine;
use crate::domain::table::pattern::{Atom, Branch, Piece, Times};

/// Writes alternatives.
pub(super) fn write_branches(sql: &mut String, branches: &[Branch], engine: Engine) {
    for (i, branch) in branches.iter().enumerate() {
        if i > 0 {
            sql.push('|');
        }
        for piece in branch {
            write_piece(sql, piece, engine);
        }
    }
}

fn write_piece(sql: &mut String, piece: &Piece, engine: Engine) {
    let is_postgres = engine == Engine::Postgres;
    match &piece.atom {
        Atom::Char(c) => write_char(sql, *c, engine),
        Atom::Any => sql.push('.'),
        Atom::Start => sql.push_str(if is_postgres { "^" } else { "\\A" }),
        Atom::End => sql.push_str(if is_postgres { "$" } else { "\\z" }),
        Atom::Group(branches) => {
            sql.push_str("(?:");
            write_branches(sql, branches, engine);
            sql.push(')');
        }
        Atom::Set { but, ranges } => {
            sql.push_str(if *but { "[^" } else { "[" });
            for (from, to) in ranges {
                write_char(sql, *from, engine);
                if from != to {
                    sql.push('-');
                    write_char(sql, *to, engine);
                }
            }
            sql.push(']');
        }
    }
    match piece.times {
        Times::Once => {}
        Times::Between(0, None) => sql.push('*'),
        Times::Between(1, None) => sql.push('+'),
        Times::Between(0, Some(1)) => sql.push('?'),
        Times::Between(least, None) => {
            let _ = write!(sql, "{{{least},}}");
        }
        Times::Between(least, Some(most)) if least == most => {
            let _ = write!(sql, "{{{least}}}");
        }
        Times::Between(least, Some(most)) => {
            let _ = write!(sql, "{{{least},{most}}}");
        }
    }
}

fn write_char(sql: &mut String, c: char, engine: Engine) {
    if c.is_alphanumeric() || !c.is_ascii() {
        sql.push(c);
    } else {
        let number = u32::from(c);
        let _ = match engine {
            Engine::Postgres => write!(sql, "\\u{number:04X}"),
            Engine::MySql | Engine::Sqlite => write!(sql, "\\x{number:02X}"),
        };
    }
}

/// Says whether an alternative is in every text: nothing of it has to be there, and not both ends of a text stand in it.
pub(super) fn is_in_every_text(branch: &Branch) -> bool {
    let (mut starts, mut ends) = (false, false);
    branch.iter().all(|piece| may_be_nothing(piece, &mut starts, &mut ends)) && !(starts && ends)
}

fn may_be_nothing(piece: &Piece, starts: &mut bool, ends: &mut bool) -> bool {
    if matches!(piece.times, Times::Between(0, _)) {
        return true;
    }
    match &piece.atom {
        Atom::Start => *starts = true,
        Atom::End => *ends = true,
        Atom::Group(branches) => {
            return branches
                .iter()
                .any(|branch| branch.iter().all(|piece| may_be_nothing(piece, starts, ends)));
        }
        Atom::Char(_) | Atom::Any | Atom::Set { .. } => return false,
    }
    true
}

/// How many atoms there are, where repetitions are written out.
pub(super) fn size(branches: &[Branch]) -> u64 {
    let of_piece = |piece: &Piece| {
        let times = match piece.times {
            Times::Once => 1,
            Times::Between(least, None) => u64::from(least) + 1,
            Times::Between(_, Some(most)) => u64::from(most),
        };
        let atom = match &piece.atom {
            Atom::Group(branches) => size(branches),
            Atom::Char(_) | Atom::Any | Atom::Set { .. } | Atom::Start | Atom::End => 1,
        };
        atom.saturating_mul(times)
    };
    branches.iter().flatten().map(of_piece).fold(0, u64::saturating_add)
}
