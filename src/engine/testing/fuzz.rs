//! Rows by chance that show a mistake which no test notices: found, made few, and printed as a test to paste.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{SecondsFormat, TimeDelta};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::Check;
use crate::domain::check::verdict::Verdict;
use crate::domain::record::series::Series;
use crate::domain::testing::expected::is_same_kind;
use crate::domain::testing::generate::{Chance, Generator};
use crate::domain::testing::mutants::Mutant;
use crate::domain::testing::{Cell, Given, Suite};
use crate::domain::time::window::{Frame, Split, Window};
use crate::engine::asking::Look;
use crate::engine::testing::bench::Bench;
use crate::source::scratch::ScratchError;

/// A test by which a mistake is noticed.
#[derive(Debug, Clone)]
pub struct FoundTest {
    /// Of which mistake.
    pub mutant: String,
    /// The test, as YAML to paste under `tests`.
    pub yaml: String,
}

/// Looks in so many worlds for rows that show the mistakes that no test notices.
pub(super) async fn fuzz(
    check: &Arc<Check>,
    suite: &Suite,
    survivors: &[Mutant],
    worlds: usize,
    bench: &mut Bench,
    stop: &CancellationToken,
) -> Result<Vec<FoundTest>, ScratchError> {
    let window = window(check, suite, bench);
    let seen = window.as_ref().map(|(series, window)| (window, &series.home.name));
    let generator = Generator::new(check, bench.shapes(check), seen);
    let mut search = Search { check, window: window.clone(), bench, stop };
    let mut chance = Chance::new(1);
    let (mut found, mut open): (Vec<FoundTest>, Vec<&Mutant>) =
        (Vec::new(), survivors.iter().collect());
    for _ in 0..worlds {
        if open.is_empty() || stop.is_cancelled() {
            break;
        }
        let given = generator.world(&mut chance);
        let Some(verdict) = search.says(check, &given, true).await else { continue };
        let mut next = Vec::new();
        for mutant in open {
            match search.says(&mutant.check, &given, false).await {
                Some(other) if !is_same_kind(&verdict, &other) && !is_broken(&other) => {
                    let few = search.shrunk(mutant, given.clone()).await?;
                    let few = search.with_nulls(&few, suite);
                    let yaml = search.yaml(mutant, &few).await;
                    found.extend(yaml.map(|yaml| FoundTest { mutant: mutant.name(), yaml }));
                    // The world is another one by now.
                    drop(search.says(check, &given, true).await);
                }
                Some(_) | None => next.push(mutant),
            }
        }
        open = next;
    }
    Ok(found)
}

fn is_broken(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unconfirmed(reason) if reason.cause.as_str() == "query_error")
}

/// The window of a test, or the last one.
pub(super) fn window(check: &Arc<Check>, suite: &Suite, bench: &Bench) -> Option<(Series, Window)> {
    let written =
        suite.of(&check.id).flat_map(|test| &test.looks).find_map(|look| look.window.clone());
    written.or_else(|| bench.last_window(check))
}

struct Search<'s> {
    check: &'s Arc<Check>,
    window: Option<(Series, Window)>,
    bench: &'s mut Bench,
    stop: &'s CancellationToken,
}

impl Search<'_> {
    /// What a check says of some rows; nothing where the database does not take them, or cannot run it.
    async fn says(&mut self, check: &Check, given: &[Given], fill: bool) -> Option<Verdict> {
        if fill {
            self.bench.world(self.check, given, clock::now()).await.ok()?;
        }
        let look = self.look();
        let verdict = self.bench.attempt(check, &look, self.stop).await.judgement.verdict;
        (!is_broken(&verdict) || !fill).then_some(verdict)
    }

    /// Says whether a mistake shows in some rows.
    async fn shows(&mut self, mutant: &Mutant, given: &[Given]) -> bool {
        let check = Arc::clone(self.check);
        let Some(own) = self.says(&check, given, true).await else { return false };
        let other = self.says(&mutant.check, given, false).await;
        other.is_some_and(|other| !is_same_kind(&own, &other) && !is_broken(&other))
    }

    /// Leaves rows out, and columns, as long as the mistake shows.
    async fn shrunk(
        &mut self,
        mutant: &Mutant,
        mut given: Vec<Given>,
    ) -> Result<Vec<Given>, ScratchError> {
        for table in 0..given.len() {
            let mut row = given[table].rows.len();
            while row > 0 && !self.stop.is_cancelled() {
                row -= 1;
                let mut fewer = given.clone();
                fewer[table].rows.remove(row);
                if self.shows(mutant, &fewer).await {
                    given = fewer;
                }
            }
        }
        for table in 0..given.len() {
            for row in 0..given[table].rows.len() {
                let mut cell = given[table].rows[row].cells.len();
                while cell > 0 && !self.stop.is_cancelled() {
                    cell -= 1;
                    let mut fewer = given.clone();
                    fewer[table].rows[row].cells.remove(cell);
                    if self.shows(mutant, &fewer).await {
                        given = fewer;
                    }
                }
            }
        }
        given.retain(|table| !table.rows.is_empty());
        Ok(given)
    }

    /// Says NULL where a default of the tests would fill in a value.
    fn with_nulls(&self, given: &[Given], suite: &Suite) -> Vec<Given> {
        let mut given = given.to_vec();
        for shape in self.bench.shapes(self.check) {
            let nullable = shape.columns.iter().filter(|column| column.takes_null);
            for column in nullable.filter(|column| suite.fills_in(&shape.table, &column.name)) {
                let rows = given.iter_mut().filter(|table| table.table == shape.table);
                for row in rows.flat_map(|table| &mut table.rows) {
                    if !row.cells.iter().any(|(name, _)| *name == column.name) {
                        row.cells.push((column.name.clone(), Cell::Null));
                    }
                }
            }
        }
        given
    }

    /// The rows as a test, with what the check says of them.
    async fn yaml(&mut self, mutant: &Mutant, given: &[Given]) -> Option<String> {
        let check = Arc::clone(self.check);
        self.says(&check, given, true).await?;
        let expect = self.expected(&check).await;
        let mut yaml = format!(
            "  - of: {}\n    name: {}\n",
            check.id,
            quoted(&format!("found for {}", mutant.name()))
        );
        if let Some((series, window)) = &self.window {
            let fans_out = series.tz().is_some();
            let zone =
                if fans_out { format!(", zone: {}", series.home.name) } else { String::new() };
            let at = match series.window().map(|rule| rule.frame) {
                Some(Frame::Calendar(_)) => format!("date: {}", window.span.date),
                Some(Frame::Grid(_)) | None => {
                    format!("at: {}", window.start.to_rfc3339_opts(SecondsFormat::Secs, true))
                }
            };
            let _ = writeln!(yaml, "    window: {{{at}{zone}}}");
        }
        if given.is_empty() {
            yaml.push_str("    given: {}\n");
        } else {
            yaml.push_str("    given:\n");
        }
        for table in given {
            let _ = writeln!(yaml, "      {}:", table.table);
            for row in &table.rows {
                let cells: Vec<String> = row
                    .cells
                    .iter()
                    .map(|(name, cell)| format!("{name}: {}", shown(cell)))
                    .collect();
                let _ = writeln!(yaml, "        - {{{}}}", cells.join(", "));
            }
        }
        let _ = writeln!(yaml, "    expect: {expect}");
        Some(yaml)
    }

    /// What the check says of the rows that are there: of each stretch of its date, where it looks at stretches.
    async fn expected(&self, check: &Check) -> String {
        let Some((series, window)) = self.window.as_ref().filter(|(_, window)| window.is_part())
        else {
            let look = self.look();
            return in_yaml(&self.bench.attempt(check, &look, self.stop).await.judgement.verdict);
        };
        let split = series.window().map_or(Split::Whole, |rule| rule.split);
        let mut parts = Vec::new();
        for part in window.span.windows(&series.home.rules, split) {
            let look = Look::at(series, part);
            let said = self.bench.attempt(check, &look, self.stop).await.judgement.verdict;
            parts.push(format!("\"{}\": {}", part.utc_offset, in_yaml(&said)));
        }
        format!("{{{}}}", parts.join(", "))
    }

    fn look(&self) -> Look {
        let at = |(series, window): &(Series, Window)| Look::at(series, *window);
        self.window.as_ref().map_or(Look::Present, at)
    }
}

fn in_yaml(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Confirmed => "confirmed".to_owned(),
        Verdict::Violated(_) => "violated".to_owned(),
        Verdict::Unconfirmed(reason) => format!("{{unconfirmed: {}}}", reason.cause),
    }
}

pub(super) fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Number(number) => number.clone(),
        Cell::Truth(truth) => truth.to_string(),
        Cell::Text(text) => quoted(text),
        Cell::Instant(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Cell::JustBefore(at) => {
            (*at - TimeDelta::microseconds(1)).to_rfc3339_opts(SecondsFormat::AutoSi, true)
        }
        Cell::FromNow(away) => {
            let hours = away.num_hours();
            if hours < 0 { format!("now - {}h", -hours) } else { format!("now + {hours}h") }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
