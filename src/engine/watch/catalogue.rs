//! Orders, and catalogues: the one that is active is the one that is watched, on every replica.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::check::Check;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::name::CheckId;
use crate::domain::check::succession::{Running, Shape, Succession, succession};
use crate::domain::record::standing::Standing;
use crate::domain::time::breaker::Breaker;
use crate::engine::gate::Gate;
use crate::engine::load::{Loaded, NotLoaded, from_text, to_text};
use crate::engine::meaning::{catalogue_digest, digest, traits};
use crate::engine::order::{Load, Order};
use crate::engine::ports::{Notices, Queries};
use crate::engine::roster::{Roster, planned};
use crate::engine::snapshot::{GenerationHealth, LastLoad};
use crate::engine::watch::Engine;
use crate::ledger::{Activation, Generation, LedgerError, SeriesRecord, Work};
use crate::manifest::Text;

/// How often a catalogue is tried again when another replica was faster.
const TRIES: u32 = 5;

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Does what it is told to, and answers once everybody can see it.
    pub async fn obey(&mut self, order: Order<Q>) {
        match order {
            Order::Load(load, reply) => {
                let loaded = self.load(*load).await;
                self.answer(reply, loaded);
            }
            Order::Unreadable(why, reply) => {
                self.refuse(why);
                self.answer(reply, ());
            }
            Order::Rows(selected, order, reply) => {
                let stored = self.store_order(&order, &selected).await;
                if stored.is_ok() {
                    self.waive_adopted(&order, &selected).await;
                }
                drop(reply.send(stored));
            }
            Order::AcceptZones(accept, reply) => {
                let accepted = self.accept_zones(&accept).await;
                self.answer(reply, accepted);
            }
            Order::EndAdopted(end, reply) => {
                let ended = self.end_adopted(&end).await;
                self.answer(reply, ended);
            }
            Order::KeepQuiet(keep, reply) => {
                let kept = self.keep_quiet(&keep).await;
                self.answer(reply, kept);
            }
            Order::EndQuiet(end, reply) => {
                let ended = self.end_quiet(&end).await;
                self.answer(reply, ended);
            }
            Order::Decide(decide, reply) => {
                let decided = self.decide(&decide).await;
                self.answer(reply, decided);
            }
            Order::RollBack(back, reply) => {
                let done = self.roll_back(&back).await;
                self.answer(reply, done);
            }
            Order::Forget(forget, reply) => {
                let forgotten = self.forget_samples(&forget).await;
                self.answer(reply, forgotten);
            }
            Order::Drill(drill, reply) => {
                let noted = self.note_drill(drill).await;
                self.answer(reply, noted);
            }
            Order::Compare(compare, reply) => self.compare(*compare, reply),
            Order::Returned(returned, reply) => {
                let taken = self.take_returned(returned).await;
                self.answer(reply, taken);
            }
        }
    }

    /// Answers who asked, once everybody can see what was done.
    pub(super) fn answer<T>(&mut self, reply: oneshot::Sender<T>, answer: T) {
        self.shown_at = None;
        self.show();
        // Who asked may be gone: the order holds all the same.
        drop(reply.send(answer));
    }

    /// Begins with the generation that is active in the store, if there is one that reads here.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn resume(&mut self) -> Result<(), LedgerError> {
        self.resume_alerts().await?;
        self.resume_adoption().await?;
        self.resume_drills().await?;
        if let Some(active) = self.store.active().await? {
            self.adopt(active).await?;
        }
        Ok(())
    }

    /// Says whether there is a catalogue to watch.
    pub fn is_loaded(&self) -> bool {
        self.generation.is_some()
    }

    /// Loads a catalogue and makes it the active one.
    ///
    /// # Errors
    /// Why it is not; then what was active goes on.
    pub async fn load(&mut self, load: Load<Q>) -> Result<Loaded, NotLoaded> {
        let loaded = self.try_load(load).await;
        match &loaded {
            Ok(loaded) => {
                if let LastLoad::Bad { .. } | LastLoad::Waits { .. } = self.last_load {
                    tracing::info!("the files are in order again");
                }
                self.last_load = LastLoad::Good { at: self.now() };
                if loaded.changed {
                    tracing::info!(
                        generation = loaded.generation,
                        checks = loaded.checks,
                        "the catalogue is loaded"
                    );
                }
            }
            Err(NotLoaded::Waits { id, why }) => self.wait(*id, why),
            Err(rejected @ NotLoaded::Rejected { id, .. }) => self.wait(*id, &rejected.to_string()),
            Err(error) => self.refuse(error.to_string()),
        }
        loaded
    }

    /// Takes note that a catalogue is not taken; what was active goes on.
    pub fn refuse(&mut self, why: String) {
        tracing::error!("{}", why.trim_end());
        let event = crate::ledger::Happened {
            kind: "generation",
            check: None,
            tz: None,
            was: self.generation.as_ref().map(|g| g.id.to_string()).unwrap_or_default(),
            becomes: "refused".into(),
            note: why.chars().take(2_000).collect(),
        };
        // A file that is looked at every few seconds says the same each time.
        let same = matches!(&self.last_load, LastLoad::Bad { why: before, .. } if *before == why);
        if !same {
            self.events.push(event);
        }
        self.last_load = LastLoad::Bad { at: self.now(), why };
    }

    async fn try_load(&mut self, load: Load<Q>) -> Result<Loaded, NotLoaded> {
        let Load { texts, reading, queries, removals, by } = load;
        let digest = catalogue_digest(&texts, &reading.engines);
        let parse = {
            let (reading, texts) = (Arc::clone(&reading), texts.clone());
            tokio::task::spawn_blocking(move || reading.parse(&texts))
        };
        let catalogue = parse.await.map_err(|_| NotLoaded::Faulty(Vec::new()))?;
        let catalogue = catalogue.map_err(NotLoaded::Faulty)?;
        let pinned = self.store.pinned().await?;
        self.files.digest = Some(digest.clone());
        for _ in 0..TRIES {
            let active = self.store.active().await?;
            self.files.are_pinned = pinned.as_ref() == Some(&digest)
                && active.as_ref().is_some_and(|active| active.digest != digest);
            if self.files.are_pinned {
                self.queries(&reading, &queries);
                let active = active.map_or(0, |active| active.id);
                let checks = self.roster.checks().count();
                return Ok(Loaded { generation: active, checks, changed: false });
            }
            if active.as_ref().is_some_and(|active| active.digest == digest) {
                let changed = self.generation.as_ref().is_none_or(|g| g.digest != digest);
                self.queries(&reading, &queries);
                let active = active.map_or(0, |active| active.id);
                if changed {
                    self.take_over(&catalogue, active).await?;
                }
                self.look_at_tests(&catalogue);
                self.unpin(pinned.as_deref(), &digest).await?;
                self.store.nothing_waits(self.clock.now()).await?;
                let checks = catalogue.checks().len();
                return Ok(Loaded { generation: active, checks, changed });
            }
            let records = self.store.series().await?;
            let running = self.running(&records, &catalogue);
            let succession =
                succession(&running, &catalogue, removals).map_err(NotLoaded::Refused)?;
            let traits_of =
                |check: &Arc<Check>| (check.id.clone(), traits(check, &reading.engines));
            let activation = Activation {
                expected: active.as_ref().map(|active| active.id),
                digest: digest.clone(),
                text: to_text(&texts),
                tz_release: reading.tz_release(),
                loaded_by: by.clone(),
                series: planned(&catalogue, &reading.zones),
                checks: catalogue.checks().iter().map(traits_of).collect(),
                succession,
            };
            self.has_its_word(active.as_ref(), &catalogue, (&reading, &queries), &activation)
                .await?;
            if let Some(id) = self.store.activate(&activation, self.clock.now()).await? {
                self.unpin(pinned.as_deref(), &digest).await?;
                self.store.nothing_waits(self.clock.now()).await?;
                self.queries(&reading, &queries);
                self.resolve_removed(&records, &activation.succession);
                self.take_over(&catalogue, id).await?;
                let checks = catalogue.checks().len();
                return Ok(Loaded { generation: id, checks, changed: true });
            }
        }
        Err(NotLoaded::Contended)
    }

    /// The checks that run, as the ledger knows them.
    pub(super) fn running(&self, records: &[SeriesRecord], next: &Catalogue) -> Vec<Running> {
        let mut running: BTreeMap<CheckId, Running> = BTreeMap::new();
        let shapes = |checks: &mut dyn Iterator<Item = &Arc<Check>>| -> BTreeMap<CheckId, Shape> {
            checks.map(|check| (check.id.clone(), Shape::of(check))).collect()
        };
        let known = shapes(&mut self.roster.checks());
        let planned = shapes(&mut next.checks().iter());
        let matters =
            |r: &&SeriesRecord| r.retired_at.is_none() || r.open_violated + r.open_unconfirmed > 0;
        for record in records.iter().filter(matters) {
            let firing = |standing| matches!(standing, Standing::Firing { .. });
            let fires = firing(record.standings.violated) || firing(record.standings.unconfirmed);
            let open = fires || record.open_violated + record.open_unconfirmed > 0;
            // What does not read here any more is taken to look as the next one does.
            let id = &record.check;
            let shape = known.get(id).or_else(|| planned.get(id)).cloned();
            let shape = shape.unwrap_or(Shape::Snapshot);
            let check = running.entry(id.clone()).or_insert_with(|| Running {
                id: id.clone(),
                open: false,
                shape,
            });
            check.open |= open;
        }
        running.into_values().collect()
    }

    /// Whoever was told that a check fires is told that it is gone.
    pub(super) fn resolve_removed(&mut self, records: &[SeriesRecord], succession: &Succession) {
        use crate::domain::record::standing::{Alarm, Notice};
        let gone = |id: &CheckId| {
            succession.gone.iter().any(|(gone, _)| gone == id) || succession.reshaped.contains(id)
        };
        for record in records.iter().filter(|record| gone(&record.check)) {
            let check = self.roster.checks().find(|check| check.id == record.check);
            let Some(check) = check.cloned() else { continue };
            let standings = record.standings;
            for (standing, alarm) in
                [(standings.violated, Alarm::Violated), (standings.unconfirmed, Alarm::Unconfirmed)]
            {
                if let Standing::Firing { .. } = standing {
                    self.notices.changed(&check, record, Notice::Resolved(alarm));
                }
            }
        }
    }

    /// Asks these databases from now on.
    fn queries(&mut self, reading: &Arc<crate::engine::load::Reading>, queries: &Arc<Q>) {
        self.reading = Arc::clone(reading);
        self.alerts.changed = true;
        self.unreadable = None;
        let before = std::mem::replace(&mut self.under_way.queries, Arc::clone(queries));
        let now = self.now();
        let places = |name: &crate::domain::check::name::SourceName| queries.places(name);
        self.gates.retain(|name, _| places(name).is_some());
        for name in reading.engines.keys() {
            let Some(places) = places(name) else { continue };
            let gate = self.gates.entry(name.clone()).or_insert_with(|| Gate::new(places, now));
            gate.places = places;
            // Whether it is the same database is asked at once, and not when a check is due.
            if before.place(name).is_some_and(|before| queries.place(name) != Some(before)) {
                gate.breaker = Breaker::unasked(now);
            }
        }
    }

    /// Watches the series of a generation that is active by now.
    pub(super) async fn take_over(
        &mut self,
        catalogue: &Catalogue,
        id: i64,
    ) -> Result<(), LedgerError> {
        let records = self.store.series().await?;
        let active = self.store.active().await?.filter(|active| active.id == id);
        let now = self.now();
        let Self { reading, .. } = self;
        self.alerts.changed = true;
        self.roster = Roster::new(catalogue, &reading.engines, records, &reading.zones, now);
        self.generation = active.map(|active| GenerationHealth {
            id,
            digest: active.digest,
            checks: catalogue.checks().len(),
            loaded_at: active.loaded_at,
            loaded_by: active.loaded_by,
        });
        let together = catalogue.checks().iter().map(|check| check.sources());
        let together: Vec<_> = together.filter(|sources| sources.len() > 1).flatten().collect();
        for (name, gate) in &mut self.gates {
            gate.is_alone = !together.contains(&name);
        }
        for source in catalogue.checks().iter().flat_map(|check| check.sources()) {
            if let Some(gate) = self.gates.get_mut(source) {
                gate.is_to_be_asked(now);
            }
        }
        self.look_at_tests(catalogue);
        self.recut().await
    }

    /// Holds the checks that run against what came of their tests.
    fn look_at_tests(&mut self, catalogue: &Catalogue) {
        self.tested = self.reading.tested.as_ref().map(|results| {
            let suite = self.reading.suite(catalogue);
            let of = |check: &Arc<Check>| {
                let meaning = &self.roster.traits(&check.id)?.meaning;
                let tests = suite.as_ref().map(|suite| digest(&suite.written(check)));
                Some((check.id.clone(), results.of(&check.id, meaning, tests.as_deref())?.clone()))
            };
            Arc::new(self.roster.checks().filter_map(of).collect())
        });
    }

    /// Follows another replica to the generation that it made active.
    pub(super) async fn follow(&mut self, active: i64) {
        if self.unreadable == Some(active) {
            return;
        }
        let followed = match self.store.active().await {
            Ok(Some(active)) => self.adopt(active).await,
            Ok(None) => Ok(()),
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = followed {
            tracing::warn!(%trouble, "the active catalogue was not read");
        }
    }

    async fn adopt(&mut self, active: Generation) -> Result<(), LedgerError> {
        let id = active.id;
        let texts: Vec<Text> = from_text(&active.text).unwrap_or_default();
        match self.reading.parse_stored(&texts) {
            Ok(catalogue) => {
                let (reading, queries) =
                    (Arc::clone(&self.reading), Arc::clone(&self.under_way.queries));
                self.queries(&reading, &queries);
                self.take_over(&catalogue, id).await?;
                tracing::info!(generation = id, "the active catalogue is watched");
            }
            Err(faults) => {
                let first = faults.first().map(ToString::to_string).unwrap_or_default();
                let why = format!("generation {id} is active and does not read here: {first}");
                self.unreadable = Some(id);
                // Nothing of an older one is looked at: replicas run the active one only.
                self.roster = Roster::default();
                self.generation = None;
                self.refuse(why);
            }
        }
        Ok(())
    }

    pub(super) fn bare_work(&self) -> Work {
        Work {
            host_now: self.clock.now(),
            watching_since: self.watching_since,
            generation: self.generation.as_ref().map_or(0, |generation| generation.id),
            tz_release: self.reading.tz_release(),
            rows_max: i64::MAX,
            ..Work::default()
        }
    }
}
