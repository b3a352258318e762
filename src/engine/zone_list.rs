//! The list of zones that a check fans out over, where a query names them. The list is judged: a
//! zone that no database knows is an account that no check looks at.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::Check;
use crate::domain::check::freshness::Needed;
use crate::domain::check::judge::Judgement;
use crate::domain::check::name::ColumnName;
use crate::domain::check::observation::Rows;
use crate::domain::check::plain::line;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::check::verdict::{Contradiction, Finding, Verdict};
use crate::domain::time::window::ZonesFrom;
use crate::domain::time::zone::ZoneName;
use crate::engine::asking::{Asking, Sources, no_reply, rows};
use crate::engine::attempt::Attempted;
use crate::source::ask::{Part, Question, ResultShape};
use crate::zones::Zones;

/// How many unknown names are shown.
const SHOWN: usize = 5;

/// The zones that were found, and what is to be said of the list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Every zone that there is, each once, as the data spells it.
    pub zones: Vec<ZoneName>,
    /// Whether those are all: a zone that is not among them has vanished.
    pub whole: bool,
    /// The judgement of the list.
    pub attempted: Attempted,
}

/// Reads the list once.
///
/// Do not drop the future: cancel `stop`, and it ends within seconds.
pub async fn list(
    check: &Check,
    from: &ZonesFrom,
    zones: &Zones,
    sources: &Sources,
    stop: &CancellationToken,
) -> Listed {
    let now = clock::now();
    // A zone that is not there yet looks like one that is gone. How old a list may be is not known where nothing says it.
    let max_lag = sources.get(&from.source).and_then(|source| source.freshness().max_lag);
    let mut asking = Asking {
        check,
        sources,
        stop,
        not_before: None,
        needed: max_lag.map(|max_lag| Needed::Present { now, max_lag }),
        now,
        took: Duration::ZERO,
        blamed: None,
    };
    let name = ColumnName::parse("zone").expect("a short word is a column's name");
    let question = Question {
        part: Part::Zones,
        query: from.query.clone(),
        bounds: None,
        wanted: ResultShape::FirstColumn { name, rows_max: check.max_rows.get() },
    };
    let replies = asking.ask(&from.source, vec![question]).await;
    let replies = replies.map_err(|reason| Reason {
        note: format!("`zones_from` ({}): {}", from.source, reason.note),
        ..reason
    });
    let read = replies.and_then(|mut all| all.pop().map_or_else(|| Err(no_reply()), rows));
    match read {
        Ok(read) => {
            let (zones, judgement) = judge(&read, |name| zones.rules(name).is_some());
            // An empty list says nothing, also not that everybody is gone.
            let whole = !read.is_cut() && !zones.is_empty();
            Listed {
                zones,
                whole,
                attempted: Attempted {
                    judgement,
                    took: asking.took,
                    blamed: None,
                    differences: Vec::new(),
                },
            }
        }
        Err(reason) => Listed {
            zones: Vec::new(),
            whole: false,
            attempted: Attempted::unconfirmed(reason, asking.took),
        },
    }
}

fn judge(read: &Rows, is_known: impl Fn(&ZoneName) -> bool) -> (Vec<ZoneName>, Judgement) {
    let (mut zones, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let mut nameless = 0;
    for row in read.rows() {
        match row.first() {
            Some(Value::Text(text)) => match ZoneName::parse(text) {
                Ok(name) if is_known(&name) => drop(zones.insert(name)),
                Ok(_) | Err(_) => {
                    let shown: String = line(text).chars().take(64).collect();
                    unknown.insert(format!("`{shown}`"));
                }
            },
            Some(_) | None => nameless += 1,
        }
    }
    let verdict = if nameless > 0 || !unknown.is_empty() {
        let unknown = unknown.into_iter().take(SHOWN).collect();
        let of = read.count();
        let contradictions = vec![Contradiction::Zones { nameless, unknown, of }];
        Verdict::Violated(Finding { contradictions, cut: read.is_cut(), rows: Vec::new() })
    } else if read.is_cut() {
        let note = "the list of zones is longer than `max_rows`: select distinct ones";
        Verdict::Unconfirmed(Reason::new(Cause::OverLimit, note))
    } else if zones.is_empty() {
        let note = "the list of zones is empty, so nothing was looked at";
        Verdict::Unconfirmed(Reason::new(Cause::NoEvidence, note))
    } else {
        Verdict::Confirmed
    };
    let evidence = Some(u64::try_from(zones.len()).unwrap_or(u64::MAX));
    (zones.into_iter().collect(), Judgement { verdict, evidence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::observation::Completeness;

    fn judged(values: &[Value], completeness: Completeness) -> (usize, String) {
        let name = ColumnName::parse("zone").unwrap();
        let rows = values.iter().map(|v| vec![v.clone()]).collect();
        let read = Rows::new(vec![name], rows, completeness);
        let (zones, judgement) = judge(&read, |name| name.as_str().contains('/'));
        let shown = match judgement.verdict {
            Verdict::Confirmed => "confirmed".to_owned(),
            Verdict::Violated(finding) => format!("violated: {finding}"),
            Verdict::Unconfirmed(reason) => reason.cause.to_string(),
        };
        (zones.len(), shown)
    }

    #[test]
    fn a_list_is_right_only_if_each_entry_is_a_zone() {
        let text = |text: &str| Value::Text(text.to_owned());
        let (a, b) = (text("Europe/Berlin"), text("Asia/Kolkata"));
        let whole = Completeness::Whole;
        assert_eq!(judged(&[a.clone(), b.clone(), a.clone()], whole), (2, "confirmed".into()));
        assert_eq!(judged(&[], whole), (0, "no_evidence".into()));
        assert_eq!(
            judged(std::slice::from_ref(&a), Completeness::RowsCut),
            (1, "over_limit".into())
        );
        let (zones, said) = judged(&[a, Value::Null, text("Mars"), text("")], whole);
        assert_eq!(zones, 1);
        assert_eq!(
            said,
            "violated: zones: of 4 in the list, no zone is called `Mars`, ``, 1 NULL or no text"
        );
    }
}
