//! The scratch databases of a run, and the sources that attempts ask there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::name::SourceName;
use crate::domain::check::{Body, Check};
use crate::domain::reconcile::Reconcile;
use crate::domain::record::series::Series;
use crate::domain::sql::words::Words;
use crate::domain::table::TableName;
use crate::domain::testing::columns::compared_with_window;
use crate::domain::testing::generate::{ColumnShape, Kind, Shape};
use crate::domain::testing::mutants::{Mutant, Needs};
use crate::domain::testing::{Given, Schema};
use crate::domain::time::window::{Window, ZoneChoice};
use crate::domain::time::zone::ZoneName;
use crate::engine::asking::{Look, Sources};
use crate::engine::attempt::{Attempted, attempt};
use crate::engine::progress::Watching;
use crate::source::scratch::{Scratch, ScratchError, SeenColumn, SeenTable};
use crate::source::{Source, SourceSettings};
use crate::zones::Zones;

/// A source whose checks are tested.
#[derive(Debug)]
pub struct Place<'p> {
    /// Its settings.
    pub source: SourceSettings,
    /// Its scratch database, where the settings name one.
    pub scratch: Option<SourceSettings>,
    /// What makes its tables.
    pub schema: &'p Schema,
}

/// The scratch databases of a run.
#[derive(Debug)]
pub struct Bench {
    zones: Arc<Zones>,
    scratches: BTreeMap<SourceName, Scratch>,
    sources: Sources,
    /// Sources that have none, and why.
    lacking: BTreeMap<SourceName, ScratchError>,
}

impl Bench {
    /// Opens scratch databases and makes their tables. One that cannot be used leaves the tests of its source undone, and
    /// no others.
    ///
    /// # Errors
    /// A schema that its database does not take.
    pub async fn open(places: Vec<Place<'_>>, zones: Arc<Zones>) -> Result<Self, ScratchError> {
        let (scratches, sources, lacking) = Default::default();
        let mut bench = Self { zones, scratches, sources, lacking };
        for Place { source, scratch, schema } in places {
            let name = source.name.clone();
            let mut opened = match Scratch::open(&source, scratch.as_ref()).await {
                Ok(opened) => opened,
                Err(error) => {
                    bench.lacking.insert(name, error);
                    continue;
                }
            };
            if let Err(error) = opened.build(&schema.sql).await {
                opened.close().await;
                bench.close().await;
                let message = format!("{}: {}", schema.file, error.message);
                return Err(ScratchError { message, ..error });
            }
            bench.sources.insert(name.clone(), Arc::new(Source::new(opened.settings().clone())));
            bench.scratches.insert(name, opened);
        }
        Ok(bench)
    }

    /// Why a check cannot be tested, where that is so.
    pub fn lacks(&self, check: &Check) -> Option<String> {
        let missing =
            check.sources_asked().into_iter().find(|name| !self.scratches.contains_key(*name))?;
        Some(match self.lacking.get(missing) {
            Some(error) => format!("{}\n{}", error.message, error.hint),
            None => format!(
                "no file of tests has a schema of the source `{missing}`\nwrite a `*.test.yaml` beside the checks, with \
                 `schema:`; `allswell test --learn-schema {missing}` prints what belongs there"
            ),
        })
    }

    /// Makes a world of it: these rows, and no others.
    ///
    /// # Errors
    /// The row that a table does not take, and why.
    pub async fn world(
        &mut self,
        check: &Check,
        given: &[Given],
        now: DateTime<Utc>,
    ) -> Result<(), ScratchError> {
        self.clear(check).await?;
        for table in given {
            let place = |error: ScratchError| ScratchError {
                place: error.place.or_else(|| Some(table.place.clone())),
                ..error
            };
            let source = self.source_of(check, table).map_err(place)?;
            if let Some(scratch) = self.scratches.get_mut(&source) {
                scratch.fill(&table.table, &table.rows, now).await.map_err(place)?;
            }
        }
        Ok(())
    }

    /// Takes all rows away.
    ///
    /// # Errors
    /// What a database did not do.
    pub async fn clear(&mut self, check: &Check) -> Result<(), ScratchError> {
        for name in check.sources_asked() {
            if let Some(scratch) = self.scratches.get_mut(name) {
                scratch.clear().await?;
            }
        }
        Ok(())
    }

    /// In which source a table of a test is: a table that the check does not read tests nothing.
    fn source_of(&self, check: &Check, given: &Given) -> Result<SourceName, ScratchError> {
        let asked = check.sources_asked();
        let error =
            |message: String, hint: String| Err(ScratchError { message, hint, place: None });
        let has = |name: &&SourceName| {
            self.scratches.get(*name).is_some_and(|s| s.tables().iter().any(|t| t.is(&given.table)))
        };
        let found: Vec<&SourceName> = match &given.source {
            Some(named) => vec![named],
            None => asked.iter().copied().filter(has).collect(),
        };
        let source = match found.as_slice() {
            [one] if asked.contains(one) => (*one).clone(),
            [one] => {
                let message = format!("`{}` does not ask the source `{one}`", check.id);
                return error(message, "remove these rows".to_owned());
            }
            [] => asked.first().map_or_else(|| check.source.clone(), |name| (*name).clone()),
            [first, ..] => {
                let message = format!("several sources have a table `{}`", given.table);
                return error(message, format!("write `{first}:{}`", given.table));
            }
        };
        let Some(scratch) = self.scratches.get(&source) else { return Ok(source) };
        let read = named_by(check);
        let reads = |table: &SeenTable| read.iter().any(|name| table.is_named(name));
        let reads_a_view = scratch.tables().iter().any(|table| table.is_view && reads(table));
        let known = scratch.tables().iter().find(|table| table.is(&given.table));
        if known.is_some_and(|table| !reads(table)) && !reads_a_view {
            let message = format!("`{}` does not read the table `{}`", check.id, given.table);
            let hint = format!("it reads {}; remove these rows", read.join(", "));
            return error(message, hint);
        }
        Ok(source)
    }

    /// The tables of a source that a check names, by their places.
    pub(super) fn tables_of(&self, check: &Check, source: &SourceName) -> Vec<usize> {
        // A list of zones is asked beside the looks.
        let mut looked = check.clone();
        if let Some(window) = &mut looked.window {
            window.zones = ZoneChoice::Nowhere;
        }
        let read = named_by(&looked);
        let Some(scratch) = self.scratches.get(source) else { return Vec::new() };
        let all = scratch.tables().iter().enumerate();
        let named = all.filter(|(_, table)| read.iter().any(|name| table.is_named(name)));
        named.map(|(at, _)| at).collect()
    }

    /// Says whether a check names a view.
    pub(super) fn reads_a_view(&self, check: &Check) -> bool {
        let read = named_by(check);
        let views = self.scratches.values().flat_map(Scratch::tables).filter(|table| table.is_view);
        let mut views = views.filter(|view| read.iter().any(|name| view.is_named(name)));
        views.next().is_some()
    }

    /// Says whether rows can show a mistake: a NULL needs a column that takes one.
    pub(super) fn can_notice(&self, mutant: &Mutant) -> bool {
        let read = named_by(&mutant.check);
        let any = |name: &str, fits: &dyn Fn(&SeenColumn) -> bool| {
            let tables = self.scratches.values().flat_map(Scratch::tables);
            let mut columns = tables
                .filter(|table| read.iter().any(|name| table.is_named(name)))
                .filter_map(|table| Some((table.is_view, table.column(name)?)))
                .peekable();
            columns.peek().is_none() || columns.any(|(is_view, column)| is_view || fits(column))
        };
        let holds =
            |kind: Kind| move |column: &SeenColumn| self::kind(&column.declared, false) == kind;
        match &mutant.needs {
            None => true,
            Some(Needs::Null(column)) => any(column, &|column| column.takes_null),
            Some(Needs::Text(column)) => any(column, &holds(Kind::Text)),
            Some(Needs::Repeated(column)) => any(column, &|column| !column.is_unique),
            Some(Needs::Whole { columns, is_summed }) => columns.iter().all(|column| {
                any(column, &|column| {
                    holds(Kind::Whole)(column) && !(*is_summed && column.declared == "bigint")
                })
            }),
        }
    }

    /// What opens the scratch database of a source, where it has one.
    pub fn settings(&self, source: &SourceName) -> Option<&SourceSettings> {
        self.scratches.get(source).map(Scratch::settings)
    }

    /// Holds files so that no one can read them, until they are let go.
    pub async fn hold(&mut self) {
        for scratch in self.scratches.values_mut() {
            scratch.hold().await;
        }
    }

    /// Lets files go that were held.
    pub async fn release(&mut self) {
        for scratch in self.scratches.values_mut() {
            scratch.release().await;
        }
    }

    /// The sources that have scratch databases.
    pub(super) fn sources(&self) -> Vec<SourceName> {
        self.scratches.keys().cloned().collect()
    }

    /// A scratch database.
    pub(super) fn scratch(&mut self, source: &SourceName) -> Option<&mut Scratch> {
        self.scratches.get_mut(source)
    }

    /// The series of a check in a zone, where there are rules for it.
    pub(super) fn series(&self, check: &Arc<Check>, zone: &ZoneName) -> Option<Series> {
        Series::in_zone(check, zone, &|name: &ZoneName| self.zones.rules(name))
    }

    /// A look at a window of a check that is over.
    pub(super) fn some_window(&self, check: &Arc<Check>) -> Option<Look> {
        self.last_window(check).map(|(series, window)| Look::at(&series, window))
    }

    /// The last window of a check that is over.
    pub(super) fn last_window(&self, check: &Arc<Check>) -> Option<(Series, Window)> {
        let rule = check.window.as_ref()?;
        let utc = ZoneName::utc();
        let series = self.series(check, rule.zones.written().first().unwrap_or(&utc))?;
        let span = rule.frame.last_closed(&series.home.rules, clock::now())?;
        let window = span.windows(&series.home.rules, rule.split).into_iter().next()?;
        Some((series, window))
    }

    /// The tables that a check names, as rows are made for them.
    pub(super) fn shapes(&self, check: &Check) -> Vec<Shape> {
        let read = named_by(check);
        let asked = check.sources_asked();
        let tables = self.scratches.iter().filter(|(name, _)| asked.contains(name));
        let tables =
            tables.flat_map(|(_, scratch)| scratch.tables()).filter(|table| !table.is_view);
        let reads_a_view = self.reads_a_view(check);
        let named =
            tables.filter(|table| reads_a_view || read.iter().any(|name| table.is_named(name)));
        let keeps_instants = compared_with_window(check);
        let column = |column: &SeenColumn| {
            let name = column.name.to_lowercase();
            let is_bound = keeps_instants.iter().any(|bound| bound.column == name);
            let kind = kind(&column.declared, is_bound);
            ColumnShape { name: column.name.clone(), kind, takes_null: column.takes_null }
        };
        let shape = |table: &SeenTable| {
            let columns = table.columns.iter().map(column).collect();
            Some(Shape { table: TableName::parse(&table.to_string()).ok()?, columns })
        };
        named.filter_map(shape).collect()
    }

    /// Makes an attempt at what is there.
    pub(super) async fn attempt(
        &self,
        check: &Check,
        look: &Look,
        stop: &CancellationToken,
    ) -> Attempted {
        let at_once;
        let check = match &check.body {
            // Made-up rows are not on their way.
            Body::Reconcile(reconcile) if !reconcile.confirm_after.is_zero() => {
                let reconcile =
                    Reconcile { confirm_after: Duration::ZERO, ..(**reconcile).clone() };
                at_once = Check { body: Body::Reconcile(Box::new(reconcile)), ..check.clone() };
                &at_once
            }
            Body::Reconcile(_) | Body::Sql { .. } | Body::Table(_) => check,
        };
        attempt(check, look, &self.sources, &Watching::default(), stop).await
    }

    /// Takes everything away that was made.
    pub async fn close(self) {
        drop(self.sources);
        for (_, scratch) in self.scratches {
            scratch.close().await;
        }
    }
}

/// What a column holds, by its type.
fn kind(declared: &str, is_bound: bool) -> Kind {
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if has(&["timestamp", "datetime"]) {
        Kind::Instant
    } else if has(&["date"]) {
        Kind::Date
    } else if has(&["bool", "tinyint(1)"]) {
        Kind::Truth
    } else if has(&["int", "serial"]) && !is_bound {
        Kind::Whole
    } else if has(&["numeric", "decimal", "real", "double", "float"]) && !is_bound {
        Kind::Decimal
    } else if is_bound {
        // SQLite has no type for instants; what looks like a day in its name holds one.
        Kind::Instant
    } else {
        Kind::Text
    }
}

/// The tables and views that the queries of a check name, in small letters.
pub fn named_by(check: &Check) -> Vec<String> {
    let mut all: Vec<String> =
        check.queries().into_iter().flat_map(|query| Words::of(query).tables()).collect();
    all.sort_unstable();
    all.dedup();
    all
}
