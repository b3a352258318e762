//! The edges of windows: a row that is moved within its window changes nothing, and one that leaves it is as good as gone.
//!
//! Rows of written tests are taken for that: those of which the check takes notice; where there are none, rows by chance.
//! They are moved in their own window, and, as rows of other windows, on days on which clocks change.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::Check;
use crate::domain::check::evidence::Measure;
use crate::domain::check::judge::Judgement;
use crate::domain::record::series::Series;
use crate::domain::testing::columns::{Bound, compared_with_window, is_known_by_key};
use crate::domain::testing::edges::{Edge, Movable, is_taken, movable, moved, shifted, without};
use crate::domain::testing::expected::is_same_kind;
use crate::domain::testing::generate::{Chance, Generator};
use crate::domain::testing::{Free, Given, Row, Suite};
use crate::domain::time::window::{Window, ZoneChoice};
use crate::domain::time::zone::ZoneName;
use crate::engine::asking::Look;
use crate::engine::testing::bench::Bench;
use crate::engine::testing::fuzz;
use crate::engine::testing::scene::{Kind, Scene, is_same};
use crate::engine::testing::tested::{Outcome, Tested, Which};
use crate::source::scratch::ScratchError;

/// How many rows of each table of one test are moved.
const ROWS_MAX: usize = 3;
/// How many rows of each are tried for whether the check takes notice of them.
const TRIED_MAX: usize = 12;
/// In how many worlds by chance rows are looked for, where no test has one.
const BY_CHANCE_MAX: usize = 60;
/// Zones whose days are odd: half an hour of summer time, and midnights that clocks leave out.
const ODD_ZONES: [&str; 2] = ["Australia/Lord_Howe", "Africa/Cairo"];

/// Moves rows of written tests to the edges of windows.
pub(super) async fn edges(
    check: &Arc<Check>,
    suite: &Suite,
    bench: &mut Bench,
    scenes: &mut Vec<Scene>,
    stop: &CancellationToken,
) -> Result<Tested, ScratchError> {
    let which = Which::Free(Free::Edges);
    if let Some(because) = suite.because(&check.id, Free::Edges) {
        return Ok(Tested::new(check, which, Outcome::Waived(because.to_owned())));
    }
    let began = Instant::now();
    let mut probe = EdgeProbe {
        check,
        bench,
        stop,
        scenes,
        worlds: 0,
        tried: BTreeSet::new(),
        decided: BTreeSet::new(),
        wrong: Vec::new(),
    };
    let columns = compared_with_window(check);
    let mut first: Option<(World, Movable)> = None;
    for test in suite.of(&check.id) {
        for look in &test.looks {
            let Some((series, window)) = &look.window else { continue };
            let (series, window, given) = (series.clone(), *window, test.given.clone());
            let world = World { series, window, given, is_by_chance: false };
            let noticed = probe.tables(&world, &columns).await?;
            if let (None, Some(which)) = (&first, noticed) {
                first = Some((world.clone(), which));
            }
        }
    }
    if !probe.is_done() && !columns.is_empty() {
        let by_chance = probe.by_chance(suite, &columns).await?;
        first = first.or(by_chance);
    }
    if let Some((world, which)) = &first {
        for other in others(world, probe.bench) {
            probe.along(&other, std::slice::from_ref(which), 1).await?;
        }
    }
    let result = if !probe.wrong.is_empty() {
        probe.wrong.dedup();
        let hint =
            "where the check is right, say why: `accept: [{of: …, test: edges, because: …}]`";
        probe.wrong.push(hint.to_owned());
        Outcome::Failed(probe.wrong)
    } else if probe.is_done() {
        Outcome::Passed
    } else if columns.is_empty() && is_known_by_key(check) {
        Outcome::Waived(
            "its rows are known by a key, and not by the bounds of its window".to_owned(),
        )
    } else {
        Outcome::NotRun(missing(&columns, &probe.tried, &probe.decided))
    };
    Ok(Tested { took: began.elapsed(), ..Tested::new(check, which, result) })
}

fn missing(columns: &BTreeSet<Bound>, tried: &BTreeSet<Edge>, decided: &BTreeSet<Edge>) -> String {
    if columns.is_empty() {
        return "no column was found that is held against both bounds of the window\nsay why that is right: \
                `accept: [{of: …, test: edges, because: …}]`"
            .to_owned();
    }
    if let Some(edge) = Edge::ALL.iter().find(|edge| !tried.is_empty() && !tried.contains(edge)) {
        return format!(
            "no row could be moved {}\nwrite a test with one row in its window, or say why there can be none: `accept: \
             [{{of: …, test: edges, because: …}}]`",
            edge.in_words().trim_start_matches("at ").replace("just before", "to just before")
        );
    }
    if tried.len() == Edge::ALL.len() && decided.len() < Edge::ALL.len() {
        return "no row was found in a window by which the check is violated or not, so that the bounds of its own query are \
                not tried\nwrite a test that one row in its window violates, or say why there can be none: `accept: [{of: …, \
                test: edges, because: …}]`"
            .to_owned();
    }
    let names: Vec<&str> = columns.iter().map(|bound| bound.column.as_str()).collect();
    format!(
        "no test has a row within its window of which the check takes notice, and none was found by chance\nwrite one with an instant in `{}`, or say \
         why there can be none: `accept: [{{of: …, test: edges, because: …}}]`",
        names.join("` or `")
    )
}

/// The rows of a window.
#[derive(Clone)]
struct World {
    series: Series,
    window: Window,
    given: Vec<Given>,
    /// Whether no one wrote its rows.
    is_by_chance: bool,
}

/// Moves rows, and keeps what was seen of it.
struct EdgeProbe<'m> {
    check: &'m Arc<Check>,
    bench: &'m mut Bench,
    stop: &'m CancellationToken,
    scenes: &'m mut Vec<Scene>,
    worlds: usize,
    /// The edges to which a row was moved, and those to which one was by which the verdict is another one.
    tried: BTreeSet<Edge>,
    decided: BTreeSet<Edge>,
    wrong: Vec<String>,
}

impl EdgeProbe<'_> {
    /// Moves rows of each table; returns the first row of which the check takes notice.
    async fn tables(
        &mut self,
        world: &World,
        columns: &BTreeSet<Bound>,
    ) -> Result<Option<Movable>, ScratchError> {
        let rows = movable(&world.given, columns, &world.window);
        let mut first = None;
        for table in 0..world.given.len() {
            let rows: Vec<Movable> =
                rows.iter().filter(|row| row.table == table).copied().collect();
            let noticed = self.along(world, &rows, ROWS_MAX).await?;
            first = first.or(noticed);
        }
        Ok(first)
    }

    /// Says whether a row was moved to each edge; where evidence is counted by a query of its own, one that decides the
    /// verdict too: else the bounds of the check's own query are not tried.
    fn is_done(&self) -> bool {
        let counts_apart = matches!(self.check.evidence.measure, Measure::Query(_));
        self.tried.len() == Edge::ALL.len()
            && (!counts_apart || self.decided.len() == Edge::ALL.len())
    }

    /// Looks for rows by chance of which the check takes notice, and moves them.
    async fn by_chance(
        &mut self,
        suite: &Suite,
        columns: &BTreeSet<Bound>,
    ) -> Result<Option<(World, Movable)>, ScratchError> {
        let Some((series, window)) = fuzz::window(self.check, suite, self.bench) else {
            return Ok(None);
        };
        let (shapes, seen) = (self.bench.shapes(self.check), Some((&window, &series.home.name)));
        let generator = Generator::new(self.check, shapes, seen);
        let (mut chance, mut first) = (Chance::new(1), None);
        for _ in 0..BY_CHANCE_MAX {
            let (series, given) = (series.clone(), generator.world(&mut chance));
            let world = World { series, window, given, is_by_chance: true };
            if let Some(which) = self.tables(&world, columns).await? {
                first.get_or_insert((world, which));
            }
            if self.is_done() {
                break;
            }
        }
        Ok(first)
    }

    /// Moves rows of a world of which the check takes notice; returns the first of those.
    async fn along(
        &mut self,
        world: &World,
        rows: &[Movable],
        most: usize,
    ) -> Result<Option<Movable>, ScratchError> {
        if rows.is_empty() || self.stop.is_cancelled() {
            return Ok(None);
        }
        // Rows that the tables do not take say nothing: keys that two of them have now.
        let Ok(whole) = self.judge(world, &world.given).await else { return Ok(None) };
        self.worlds += 1;
        let mut seen = vec![(world.given.clone(), whole.clone(), Kind::Whole(self.worlds))];
        let mut noticed: Vec<Movable> = Vec::new();
        for which in rows.iter().take(TRIED_MAX) {
            if noticed.len() >= most && self.is_done() {
                break;
            }
            let Ok(gone) = self.judge(world, &without(&world.given, *which)).await else {
                continue;
            };
            if is_same(&whole, &gone) {
                continue;
            }
            noticed.push(*which);
            let decides = !is_same_kind(&whole.verdict, &gone.verdict);
            for edge in Edge::ALL {
                let given = moved(&world.given, *which, edge, &world.window);
                if is_taken(&world.given, *which, edge, &world.window) {
                    continue;
                }
                let Ok(there) = self.judge(world, &given).await else { continue };
                let wanted = if edge.is_inside() { &whole } else { &gone };
                self.tried.insert(edge);
                if decides {
                    self.decided.insert(edge);
                }
                seen.push((given, there.clone(), Kind::Moved(self.worlds)));
                // Within the window, the rows may be grouped otherwise; the row may not be gone.
                let is_wrong = match edge.is_inside() {
                    true => {
                        is_same(&gone, &there)
                            || there.evidence.is_none() && whole.evidence.is_some()
                    }
                    false => !is_same(&gone, &there),
                };
                if is_wrong {
                    self.wrong.push(self.told(world, *which, edge, wanted, &there));
                }
            }
        }
        if !noticed.is_empty() {
            let look = Look::at(&world.series, world.window);
            self.scenes.extend(seen.into_iter().map(|(given, judged, kind)| Scene {
                given: Arc::new(given),
                look: look.clone(),
                judged,
                kind,
            }));
        }
        Ok(noticed.first().copied())
    }

    async fn judge(&mut self, world: &World, given: &[Given]) -> Result<Judgement, ScratchError> {
        self.bench.world(self.check, given, clock::now()).await?;
        let look = Look::at(&world.series, world.window);
        Ok(self.bench.attempt(self.check, &look, self.stop).await.judgement)
    }

    fn told(
        &self,
        world: &World,
        which: Movable,
        edge: Edge,
        wanted: &Judgement,
        there: &Judgement,
    ) -> String {
        let table = &world.given[which.table];
        let column = &table.rows[which.row].cells[which.cell].0;
        let at = match edge {
            Edge::BeforeStart => world.window.start - TimeDelta::microseconds(1),
            Edge::Start => world.window.start,
            Edge::BeforeEnd => world.window.end - TimeDelta::microseconds(1),
            Edge::End => world.window.end,
        };
        let whose = if edge.is_inside() { "as anywhere in it" } else { "as without the row" };
        let made_up = match world.is_by_chance {
            true => {
                format!("; a row by chance, as no test has one: {}", cells(&table.rows[which.row]))
            }
            false => String::new(),
        };
        format!(
            "{} {}: a row of `{}` with `{column}` {} ({at}): expected {whose}, {}, and it is {}{made_up}",
            world.window.span.date,
            world.series.home.name,
            table.table,
            edge.in_words(),
            in_short(wanted),
            in_short(there),
        )
    }
}

fn cells(row: &Row) -> String {
    let cells = row.cells.iter().map(|(name, cell)| format!("{name}: {}", fuzz::shown(cell)));
    format!("{{{}}}", cells.collect::<Vec<_>>().join(", "))
}

fn in_short(judgement: &Judgement) -> String {
    use crate::domain::check::verdict::Verdict;
    let verdict = match &judgement.verdict {
        Verdict::Confirmed => "confirmed".to_owned(),
        Verdict::Violated(_) => "violated".to_owned(),
        Verdict::Unconfirmed(reason) => format!("unconfirmed ({})", reason.cause),
    };
    match judgement.evidence {
        Some(evidence) => format!("{verdict}, looked at {evidence}"),
        None => verdict,
    }
}

/// The same rows on other days: those of the clock changes around, there and in odd zones where the check looks at any.
fn others(world: &World, bench: &Bench) -> Vec<World> {
    let Some(rule) = world.series.window() else { return Vec::new() };
    let mut zones = vec![world.series.home.name.clone()];
    match &rule.zones {
        ZoneChoice::From(_) => {
            zones.extend(ODD_ZONES.iter().filter_map(|name| ZoneName::parse(name).ok()));
        }
        ZoneChoice::Each(all) => zones.extend(all.iter().take(2).cloned()),
        ZoneChoice::Nowhere | ZoneChoice::One(_) => {}
    }
    zones.dedup();
    let mut all = Vec::new();
    for zone in zones {
        let Some(series) = bench.series(&world.series.check, &zone) else { continue };
        for date in days_of_changes(&series, world.window.start) {
            let span = rule.frame.span_of(&series.home.rules, date);
            for window in span.windows(&series.home.rules, rule.split) {
                let (from, to) = (&world.series.home.name, &series.home.name);
                let given = shifted(&world.given, (&world.window, from), (&window, to));
                let is_by_chance = world.is_by_chance;
                all.push(World { series: series.clone(), window, given, is_by_chance });
            }
        }
    }
    all
}

/// The local dates of the clock changes before and after an instant, and the day that is like any other between.
fn days_of_changes(series: &Series, around: DateTime<Utc>) -> Vec<NaiveDate> {
    let rules = &series.home.rules;
    let changes = rules.changes();
    let next = changes.partition_point(|change| change.at <= around);
    let near = [next.checked_sub(1), Some(next)].into_iter().flatten();
    near.filter_map(|at| changes.get(at)).map(|change| rules.date_at(change.at)).collect()
}
