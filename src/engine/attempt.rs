//! One attempt at one check: ask its sources, judge what came.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::judge::{Judgement, judge};
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::Reason;
use crate::domain::check::verdict::Verdict;
use crate::domain::check::{Body, Check};
use crate::engine::asking::{Asking, Look, Sources};
use crate::engine::progress::Watching;
use crate::engine::reconcile::{self, Differing};
use crate::engine::table;

/// A judgement, and how long it took to come by.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// The verdict and its evidence.
    pub judgement: Judgement,
    /// How long the sources were asked; waiting for a free connection is not in it.
    pub took: Duration,
    /// The source that brought nothing, where one did not.
    pub blamed: Option<SourceName>,
    /// What differs between two sides, as far as it is kept.
    pub differences: Vec<Differing>,
}

impl Attempted {
    /// An attempt that brought nothing.
    pub fn unconfirmed(reason: Reason, took: Duration) -> Self {
        let verdict = Verdict::Unconfirmed(reason);
        let judgement = Judgement { verdict, evidence: None };
        Self { judgement, took, blamed: None, differences: Vec::new() }
    }
}

/// Makes one attempt; `watching` sees how far it is, and says how much is kept of what differs.
///
/// Do not drop the future: cancel `stop`, and it ends within seconds.
pub async fn attempt(
    check: &Check,
    look: &Look,
    sources: &Sources,
    watching: &Watching,
    stop: &CancellationToken,
) -> Attempted {
    let not_before = match look {
        Look::Window { not_before, .. } => *not_before,
        Look::Present => None,
    };
    let now = clock::now();
    let mut asking = Asking {
        check,
        sources,
        stop,
        not_before,
        needed: Some(look.needs(check, now)),
        now,
        took: Duration::ZERO,
        blamed: None,
    };
    let judged = match &check.body {
        Body::Sql { query, expect } => asking
            .observe(query, expect, look)
            .await
            .map(|seen| (judge(check, expect, &seen), Vec::new())),
        Body::Reconcile(reconcile) => {
            Box::pin(reconcile::judge(&mut asking, reconcile, look, watching)).await
        }
        Body::Table(table) => {
            table::judge(&mut asking, table, look).await.map(|judged| (judged, Vec::new()))
        }
    };
    match judged {
        Ok((judgement, differences)) => {
            Attempted { judgement, took: asking.took, blamed: None, differences }
        }
        Err(reason) => {
            let blamed = asking.blamed.take();
            Attempted { blamed, ..Attempted::unconfirmed(reason, asking.took) }
        }
    }
}
