//! One attempt at one check: ask its sources, judge what came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::check::{Check, Keys};
use crate::domain::evidence::Measure;
use crate::domain::judge::{Judgement, judge};
use crate::domain::name::SourceName;
use crate::domain::observation::{Observation, Rows};
use crate::domain::verdict::{Cause, Doubt, Verdict};
use crate::source::Source;
use crate::source::ask::{Ask, Part, Question, Reply, Wanted};

/// The sources that checks may ask, by name.
pub type Sources = BTreeMap<SourceName, Arc<Source>>;

/// A judgement, and how long it took to come by.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// The verdict and its evidence.
    pub judgement: Judgement,
    /// How long the sources were asked; waiting for a free connection is not in it.
    pub took: Duration,
}

/// Makes one attempt.
///
/// Do not drop the future: cancel `stop`, and it ends within seconds.
pub async fn attempt(check: &Check, sources: &Sources, stop: &CancellationToken) -> Attempted {
    let mut took = Duration::ZERO;
    let judgement = match observe(check, sources, stop, &mut took).await {
        Ok(seen) => judge(check, &seen),
        Err(doubt) => Judgement { verdict: Verdict::Unconfirmed(doubt), evidence: None },
    };
    Attempted { judgement, took }
}

async fn observe(
    check: &Check,
    sources: &Sources,
    stop: &CancellationToken,
    took: &mut Duration,
) -> Result<Observation, Doubt> {
    let elsewhere = check.expect.keys().filter(|keys| keys.source != check.source);
    let mut expected_keys = None;
    if let Some(keys) = elsewhere {
        let replies =
            ask(check, &keys.source, vec![keys_question(check, keys)], sources, stop, took);
        expected_keys = replies.await?.pop().map(rows).transpose()?;
    }
    // The body comes last: where it is cut, nothing else is missing.
    let mut questions = Vec::new();
    if let Measure::Query(query) = &check.evidence.measure {
        let (part, wanted) = (Part::Evidence, Wanted::OneValue);
        questions.push(Question { part, query: query.clone(), wanted });
    }
    let here = check.expect.keys().filter(|keys| keys.source == check.source);
    questions.extend(here.map(|keys| keys_question(check, keys)));
    questions.push(Question {
        part: Part::Body,
        query: check.query.clone(),
        wanted: Wanted::Rows { columns: check.columns_read(), rows_max: check.max_rows.get() },
    });
    let mut replies = ask(check, &check.source, questions, sources, stop, took).await?;
    let body = replies.pop().map(rows).transpose()?.ok_or_else(no_reply)?;
    let mut evidence = None;
    for reply in replies {
        match reply {
            Reply::Rows(rows) => expected_keys = Some(rows),
            Reply::Value(value) => evidence = Some(value),
        }
    }
    Ok(Observation { body, expected_keys, evidence })
}

async fn ask(
    check: &Check,
    name: &SourceName,
    questions: Vec<Question>,
    sources: &Sources,
    stop: &CancellationToken,
    took: &mut Duration,
) -> Result<Vec<Reply>, Doubt> {
    let source = sources.get(name).ok_or_else(|| {
        Doubt::new(Cause::Connect, format!("the settings have no source `{name}`"))
    })?;
    let timeout = check.timeout.unwrap_or_else(|| source.timeout());
    let ask = Ask { check: check.id.clone(), timeout, questions };
    let slot = source.slot(stop).await?;
    let started = Instant::now();
    let replies = source.observe(&slot, &ask, stop).await;
    *took += started.elapsed();
    replies
}

fn keys_question(check: &Check, keys: &Keys) -> Question {
    Question {
        part: Part::Keys,
        query: keys.from.clone(),
        wanted: Wanted::Rows { columns: keys.columns.clone(), rows_max: check.max_rows.get() },
    }
}

fn rows(reply: Reply) -> Result<Rows, Doubt> {
    match reply {
        Reply::Rows(rows) => Ok(rows),
        Reply::Value(_) => Err(no_reply()),
    }
}

/// The source answers each question in its kind; this is said where it does not.
fn no_reply() -> Doubt {
    Doubt::new(Cause::QueryError, "the source left a question without its answer")
}
