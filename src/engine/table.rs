//! Asking a source what the rules for a table need, all of it in one snapshot.

use crate::domain::check::evidence::Scope;
use crate::domain::check::judge::Judgement;
use crate::domain::check::observation::Rows;
use crate::domain::check::reason::Reason;
use crate::domain::check::verdict::Verdict;
use crate::domain::table::judge::{Judged, judge as judge_rules};
use crate::domain::table::{Asks, Statement, Table};
use crate::engine::asking::{Asking, Look, rows};
use crate::source::ask::{Part, Question, ResultShape};

/// Asks, judges, and fetches rows that show what is wrong.
pub(super) async fn judge(
    asking: &mut Asking<'_>,
    table: &Table,
    look: &Look,
) -> Result<Judgement, Reason> {
    let check = asking.check;
    let replies = asking.ask(&check.source, questions(table, look)).await;
    let replies = replies.map_err(|reason| table.in_its_words(reason))?;
    let brought = replies.into_iter().map(rows).collect::<Result<Vec<Rows>, Reason>>()?;
    let moment = asking.moment(look, None);
    let Judged { mut judgement, sample } = judge_rules(check, table, &brought, &moment);
    let statement = sample.as_ref().and_then(|sample| sample.statement(check, table));
    let (Verdict::Violated(finding), Some(sample), Some(statement)) =
        (&mut judgement.verdict, sample, statement)
    else {
        return Ok(judgement);
    };
    let rows_max = u32::try_from(check.samples.rows).unwrap_or(u32::MAX);
    let question = question(&statement, look, rows_max);
    // What is wrong is known without the rows that show it.
    let blamed = asking.blamed.take();
    finding.rows = match asking.ask(&check.source, vec![question]).await {
        Ok(mut replies) => {
            let brought = replies.pop().and_then(|reply| rows(reply).ok());
            let shown = |rows| sample.shown(check, table, &statement, &rows, &moment);
            brought.map_or_else(Vec::new, shown)
        }
        Err(reason) => vec![format!("(the rows could not be read: {})", reason.note)],
    };
    asking.blamed = blamed;
    Ok(judgement)
}

/// The questions of all statements.
pub(super) fn questions(table: &Table, look: &Look) -> Vec<Question> {
    let rows_max = table.rules().values_max.saturating_add(1);
    table.statements().iter().map(|statement| question(statement, look, rows_max)).collect()
}

fn question(statement: &Statement, look: &Look, rows_max: u32) -> Question {
    let (bounds, rows_max) = match statement.asks {
        Asks::Past => (look.past().cloned(), 1),
        Asks::Scan | Asks::Duplicates(_) | Asks::Orphans(_) | Asks::Values(_) => {
            (look.bounds(Scope::Window), rows_max)
        }
    };
    Question {
        part: Part::Table,
        query: statement.query.clone(),
        bounds,
        wanted: ResultShape::Rows { columns: statement.columns.clone(), rows_max },
    }
}
