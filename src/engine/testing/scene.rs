//! Worlds that were looked at, and what came of it.

use std::sync::Arc;

use crate::domain::check::judge::Judgement;
use crate::domain::testing::Given;
use crate::domain::testing::expected::{Expected, is_same_kind};
use crate::engine::asking::Look;

/// A world, a look at it, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) given: Arc<Vec<Given>>,
    pub(super) look: Look,
    pub(super) judged: Judgement,
    pub(super) kind: Kind,
}

/// What a mutant has to say in a world, not to be noticed.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Nothing that is confirmed.
    Empty,
    /// What the test expects.
    Written(Expected),
    /// What is held against others: where it says of this one what the check says, it has to do so in those too.
    Whole(usize),
    /// One of those others.
    Moved(usize),
}

/// Says whether two looks saw the same: as much of it, with the same kind of verdict.
pub(super) fn is_same(one: &Judgement, other: &Judgement) -> bool {
    one.evidence == other.evidence && is_same_kind(&one.verdict, &other.verdict)
}
