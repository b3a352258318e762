//! Trying rules on the data: at all rows of some weeks at once, and day by day as they would run.

use std::sync::Arc;

use chrono::{Days, NaiveDate, TimeDelta};

use crate::cli::exit::Exit;
use crate::cli::run;
use crate::cli::suggest::rules::Rule;
use crate::cli::suggest::{Failed, Proposal, ROWS_MIN, failed};
use crate::cli::windows::HistoryFilter;
use crate::domain::check::Check;
use crate::domain::check::observation::{Moment, Rows};
use crate::domain::check::reason::Reason;
use crate::domain::check::value::Value;
use crate::domain::check::verdict::{Contradiction, Verdict};
use crate::domain::sql::bounds::Bounds;
use crate::domain::table::judge::judge;
use crate::domain::table::{Asks, Statement, Table};
use crate::domain::time::duration;
use crate::domain::time::window::{Span, Window};
use crate::domain::time::zone::Offset;
use crate::manifest::{self, Text, World};
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};

/// What stands for a set of which the values are not known yet.
const NO_VALUE: &str = "\u{fffd}";
/// How many values a set may have at most, how often each has to be there on an average, and how many there are at least.
const SET_MAX: usize = 50;
const SET_TIMES: u64 = 5;
const SET_MIN: usize = 2;

impl Proposal<'_> {
    fn parsed(&self, checks: &str) -> Result<Vec<Arc<Check>>, Failed> {
        let engines = self.settings.engines();
        let without_instants = self.settings.without_instants();
        let world = World {
            engines: &engines,
            without_instants: &without_instants,
            zones: self.zones,
            stored: true,
        };
        let text = format!(
            "version: 1\nowner: suggested\ndefaults: {{timeout: {}}}\nchecks:\n{checks}",
            duration::show(self.args.timeout)
        );
        let catalogue = manifest::parse(&[Text { file: "suggested.yaml".into(), text }], world);
        catalogue.map(|catalogue| catalogue.checks().to_vec()).map_err(|faults| {
            let said = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            (said, Exit::Invalid)
        })
    }

    /// Looks at all rows of the span at once, and leaves out what does not hold of them; returns how many they are.
    pub(super) fn sift(
        &mut self,
        rules: &mut Vec<Rule>,
        at: Option<&str>,
        span: Option<Span>,
    ) -> Result<u64, Failed> {
        let mut asked = rules.clone();
        for (_, values) in asked.iter_mut().filter_map(Rule::set) {
            *values = vec![NO_VALUE.to_owned()];
        }
        let checks = self.parsed(
            &(self.file(&asked, at, "suggested") + &format!("    max_rows: {SET_MAX}\n")),
        )?;
        let check =
            checks.first().ok_or(("nothing is known to propose".to_owned(), Exit::Unconfirmed))?;
        let Some(table) = check.table() else { return Ok(0) };
        let brought = self.block_on(self.asked(check, table, span))?;
        let moment = Moment {
            now: self.now,
            window_end: span.map(|span| span.end),
            epoch: self.source.epoch(),
            keys_epoch: None,
        };
        let judged = judge(check, table, &brought, &moment).judgement;
        let evidence = judged.evidence.unwrap_or(0);
        let found = match judged.verdict {
            Verdict::Violated(finding) => finding.contradictions,
            Verdict::Confirmed => Vec::new(),
            Verdict::Unconfirmed(_) if evidence < ROWS_MIN => return Ok(evidence),
            Verdict::Unconfirmed(reason) => return Err(failed(&reason)),
        };
        let sets = sets(table, &brought);
        rules.retain_mut(|rule| {
            let Some((name, values)) = rule.set() else { return true };
            let set = sets.iter().find(|(column, _)| column == name);
            *values = set.map(|(_, values)| values.clone()).unwrap_or_default();
            !values.is_empty()
        });
        self.drop_broken(rules, &found);
        rules.retain(|rule| !found.iter().any(|found| rule.is_hollow(found)));
        Ok(evidence)
    }

    /// Leaves out what was found broken, and notes why.
    pub(super) fn drop_broken(&mut self, rules: &mut Vec<Rule>, found: &[Contradiction]) {
        rules.retain(|rule| {
            let broken = found.iter().find(|found| rule.is_broken_by(found));
            // A set of which only the values were asked is not broken by them.
            let counts = !matches!(rule, Rule::OneOf(_, values) if !values.is_empty());
            match broken.filter(|_| counts) {
                Some(found) => {
                    self.rang.push(found.to_string());
                    false
                }
                None => true,
            }
        });
    }

    /// Asks all statements about a span in one snapshot.
    async fn asked(
        &self,
        check: &Check,
        table: &Table,
        span: Option<Span>,
    ) -> Result<Vec<Rows>, Reason> {
        let bounds = span.map(|span| Bounds {
            window: Window { start: span.start, end: span.end, utc_offset: Offset::ZERO, span },
            zone: self.zone.clone(),
            past: None,
        });
        let rows_max = table.rules().values_max.saturating_add(1);
        let question = |statement: &Statement| Question {
            part: Part::Table,
            query: statement.query.clone(),
            bounds: bounds.clone(),
            wanted: ResultShape::Rows { columns: statement.columns.clone(), rows_max },
        };
        let mut questions = table.statements().iter().map(question);
        let Some(first) = questions.next() else { return Ok(Vec::new()) };
        let mut ask = Ask::about(check.id.clone(), self.args.timeout, first);
        ask.questions.extend(questions);
        let slot = self.source.slot(&self.stop).await?;
        let replies = self.source.observe(&slot, &ask, &self.stop).await?;
        let rows = |reply| match reply {
            Reply::Rows(rows) => Some(rows),
            Reply::Value(_) | Reply::Flowed | Reply::Planned => None,
        };
        Ok(replies.into_iter().filter_map(rows).collect())
    }

    /// What the checks say of each day, in words; what they found, and how a run of them ends.
    pub(super) fn verdicts(
        &self,
        checks: &str,
        span: Option<Span>,
    ) -> Result<(String, Vec<Contradiction>, Exit), Failed> {
        let checks = self.parsed(checks)?;
        let (windowed, others): (Vec<_>, Vec<_>) =
            checks.into_iter().partition(|c| c.window.is_some());
        let mut outcomes = Vec::new();
        if !others.is_empty() {
            outcomes.extend(
                run::look(self.settings, self.zones, &others, None, self.now, None)?.outcomes,
            );
        }
        if let (Some(span), false) = (span, windowed.is_empty()) {
            let last: NaiveDate = self
                .zones
                .rules(&self.zone)
                .map_or(span.date, |rules| rules.date_at(span.end - TimeDelta::milliseconds(1)));
            let dates = HistoryFilter::Dates(span.date, last + Days::new(1));
            outcomes.extend(
                run::look(self.settings, self.zones, &windowed, Some(dates), self.now, None)?
                    .outcomes,
            );
        }
        let of = |wanted: fn(&Verdict) -> bool| {
            outcomes.iter().filter(|outcome| wanted(&outcome.judgement.verdict)).count()
        };
        let confirmed = of(|verdict| matches!(verdict, Verdict::Confirmed));
        let said = format!("{confirmed} of {} looks are confirmed", outcomes.len());
        let unsaid = outcomes.iter().find_map(|outcome| match &outcome.judgement.verdict {
            Verdict::Unconfirmed(reason) => {
                Some(format!("; the first that is not: {}: {}", reason.cause, reason.note))
            }
            Verdict::Confirmed | Verdict::Violated(_) => None,
        });
        let broken = outcomes.iter().flat_map(|outcome| match &outcome.judgement.verdict {
            Verdict::Violated(finding) => finding.contradictions.clone(),
            Verdict::Confirmed | Verdict::Unconfirmed(_) => Vec::new(),
        });
        Ok((said + &unsaid.unwrap_or_default(), broken.collect(), Exit::of(&outcomes)))
    }
}

/// Says whether a text is made of digits and of what stands between the parts of a date: tomorrow brings another one.
fn reads_as_a_date(text: &str) -> bool {
    text.len() >= 6 && text.chars().all(|c| c.is_ascii_digit() || "-/.:+TZ ".contains(c))
}

/// The columns with few values, and those; each is there often enough to tell a set from chance.
fn sets(table: &Table, brought: &[Rows]) -> Vec<(String, Vec<String>)> {
    let mut sets = Vec::new();
    for (statement, rows) in table.statements().iter().zip(brought) {
        let Asks::Values(at) = statement.asks else { continue };
        let Some(column) = table.rules().columns.get(at) else { continue };
        let mut values = Vec::new();
        let mut times = 0;
        for row in rows.rows() {
            if let (Some(Value::Text(value)), Some(Value::Number(count))) =
                (row.first(), row.get(1))
            {
                values.push(value.clone());
                times += count.as_count().unwrap_or(0);
            }
        }
        values.sort();
        let many = u64::try_from(values.len()).unwrap_or(u64::MAX).saturating_mul(SET_TIMES);
        let is_set = !rows.is_cut()
            && values.len() == rows.rows().len()
            && (SET_MIN..=SET_MAX).contains(&values.len())
            && values.iter().all(|value| !value.trim().is_empty() && value.chars().count() <= 40)
            && !values.iter().all(|value| reads_as_a_date(value))
            && times >= many;
        if is_set {
            sets.push((column.column.as_str().to_owned(), values));
        }
    }
    sets
}
