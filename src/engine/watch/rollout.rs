//! Catalogues that wait for approval, the word, and the way back to an earlier one.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::change::word::Wait;
use crate::domain::change::{Changed, Class, World, changes};
use crate::domain::check::Check;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::succession::{Removals, succession};
use crate::domain::time::zone::ZoneName;
use crate::engine::load::{Loaded, NotLoaded, Reading, from_text};
use crate::engine::meaning::traits;
use crate::engine::order::{Compare, Compared, Decide, NotCompared, RollBack};
use crate::engine::ports::{Notices, Queries};
use crate::engine::roster::planned;
use crate::engine::shadow::{Asking, Pair, Shadowed, shadow};
use crate::engine::snapshot::LastLoad;
use crate::engine::watch::Engine;
use crate::ledger::{Activation, Fate, Generation, LedgerError};

/// How many checks that wait are named.
const NAMED: usize = 10;
/// What stands behind what was seen in shadow.
const SEEN: &str = "; this needs approval";
/// In whose name a change is taken that was looked at.
const OWN_WORD: &str = "allswell";
/// How often going back is tried again when another replica was faster.
const TRIES: u32 = 5;

/// Candidates that are looked at in shadow.
#[derive(Debug, Default)]
pub(super) struct InShadow {
    /// The generation that counts; what is seen of others is over.
    id: i64,
    tasks: JoinSet<(i64, Vec<Shadowed>)>,
    stop: CancellationToken,
    /// What an operator has compared.
    asked: JoinSet<()>,
    asked_stop: CancellationToken,
}

impl InShadow {
    /// Looks at a candidate, and at no other one any more.
    fn begin(&mut self, id: i64, looks: impl Future<Output = Vec<Shadowed>> + Send + 'static) {
        self.id = id;
        self.tasks.spawn(async move { (id, looks.await) });
    }

    /// What was seen of a candidate, once.
    fn seen(&mut self, id: i64) -> Option<Vec<Shadowed>> {
        while let Some(done) = self.tasks.try_join_next() {
            match done {
                Ok((of, seen)) if of == id => {
                    self.id = 0;
                    return Some(seen);
                }
                // One that broke off has seen nothing.
                Err(_) if self.tasks.is_empty() => return Some(Vec::new()),
                Ok(_) | Err(_) => {}
            }
        }
        None
    }

    /// Ends all of it, and waits until it has: what asks a database is not dropped.
    pub(super) async fn end(&mut self) {
        self.stop.cancel();
        self.asked_stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        while self.asked.join_next().await.is_some() {}
    }
}

/// What the change from one catalogue to another waits for.
struct Waits {
    /// Whose word it needs, in words.
    word: Option<String>,
    /// The checks that are looked at in shadow, as they are and as they are to be.
    looks: Vec<Pair>,
}

fn waits_for(was: &Catalogue, now: &Catalogue, reading: &Reading, at: DateTime<Utc>) -> Waits {
    let rules = |zone: &ZoneName| reading.zones.rules(zone);
    let changes = changes(was, now, &World { rules: &rules, now: at });
    let waiting: Vec<String> = changes
        .checks
        .iter()
        .filter(|changed| {
            changed.word(reading.rollout, now.weakened(), at.date_naive()).is_missing()
        })
        .map(|changed| {
            let worst = changed.differences.iter().find(|one| one.class == changed.class);
            match (changed.class, worst) {
                (Class::Gone, _) | (_, None) => format!("{} is {}", changed.id, changed.class),
                (class, Some(one)) => {
                    format!("{} is {class} ({}: {})", changed.id, one.part, one.why)
                }
            }
        })
        .collect();
    let looks = changes.checks.iter().filter(|changed| changed.is_to_be_looked_at(reading.rollout));
    let looks = looks.filter_map(|changed| {
        Some(Pair { was: Some(changed.was.clone()?), now: changed.now.clone()? })
    });
    Waits { word: named(&waiting), looks: looks.collect() }
}

/// Everything that asks otherwise, or is new, in a catalogue that is not valid for anybody yet.
fn asked_otherwise(
    compare: &Compare,
    reading: &Reading,
    at: DateTime<Utc>,
) -> Result<Vec<Pair>, NotCompared> {
    let was = reading.parse_replaced(&compare.was).map_err(|_| NotCompared::Unread)?;
    let now = reading.parse(&compare.now).map_err(NotCompared::Faulty)?;
    let rules = |zone: &ZoneName| reading.zones.rules(zone);
    let changes = changes(&was, &now, &World { rules: &rules, now: at });
    let asked = changes.checks.into_iter().filter(Changed::is_asked_otherwise);
    Ok(asked.filter_map(|one| Some(Pair { was: one.was, now: one.now? })).collect())
}

/// The first of some words, and how many more there are; nothing where there is none.
fn named(all: &[String]) -> Option<String> {
    let first = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    match all.len().checked_sub(NAMED) {
        _ if all.is_empty() => None,
        None | Some(0) => Some(first),
        Some(more) => Some(format!("{first}; and {more} more")),
    }
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Holds a catalogue against the active one: what makes critical checks weaker waits until a person says that it is
    /// right.
    pub(super) async fn has_its_word(
        &mut self,
        active: Option<&Generation>,
        catalogue: &Catalogue,
        (reading, queries): (&Arc<Reading>, &Arc<Q>),
        activation: &Activation,
    ) -> Result<(), NotLoaded> {
        let Some(active) = active else { return Ok(()) };
        let texts = from_text(&active.text).unwrap_or_default();
        let (read, next, now) = (Arc::clone(reading), catalogue.clone(), self.now());
        let rollout = reading.rollout;
        let waits = tokio::task::spawn_blocking(move || {
            Some(waits_for(&read.parse_replaced(&texts).ok()?, &next, &read, now))
        });
        let unread = || Waits {
            word: Some(format!(
                "generation {}, which is active, does not read with the settings as they are, so that what changes cannot \
                 be said; `rollout: {{weaker: accept, other: accept}}` in the settings takes it all the same",
                active.id
            )),
            looks: Vec::new(),
        };
        if (rollout.weaker, rollout.other) == (Wait::Accept, Wait::Accept) {
            return Ok(());
        }
        let Waits { word, looks } = waits.await.ok().flatten().unwrap_or_else(unread);
        let why = match &word {
            Some(why) => why.clone(),
            None if looks.is_empty() => return Ok(()),
            None => {
                let names: Vec<String> = looks.iter().map(|pair| pair.now.id.to_string()).collect();
                format!(
                    "{} asked otherwise, looked at in shadow",
                    named(&names).unwrap_or_default()
                )
            }
        };
        let candidate = self.store.stand_by(activation, &why, self.clock.now()).await?;
        match candidate.fate {
            Fate::Approved => Ok(()),
            Fate::Rejected => Err(NotLoaded::Rejected {
                id: candidate.id,
                by: candidate.by,
                because: candidate.because,
            }),
            Fate::Waiting | Fate::Outdated if word.is_some() => {
                Err(NotLoaded::Waits { id: candidate.id, why })
            }
            Fate::Waiting | Fate::Outdated => {
                self.look_in_shadow(candidate.id, (looks, reading, queries), candidate.why).await
            }
        }
    }

    /// Looks at the checks of a candidate in shadow, and takes what was seen for a word where nothing speaks against them.
    async fn look_in_shadow(
        &mut self,
        id: i64,
        (looks, reading, queries): (Vec<Pair>, &Arc<Reading>, &Arc<Q>),
        why: String,
    ) -> Result<(), NotLoaded> {
        let Some(seen) = self.shadow.seen(id) else {
            // What was seen once is not looked at again: it waits for approval.
            if !why.ends_with(SEEN) && self.shadow.id != id {
                self.shadow.stop.cancel();
                self.shadow.stop = CancellationToken::new();
                let (stop, pictures) = (self.shadow.stop.clone(), self.pictures.subscribe());
                let (queries, zones) = (Arc::clone(queries), Arc::clone(&reading.zones));
                let asking = Asking { queries, pictures, zones, stop };
                self.shadow.begin(id, shadow(asking, looks, None));
            }
            return Err(NotLoaded::Waits { id, why });
        };
        let told: Vec<String> = seen.iter().map(Shadowed::words).collect();
        let told =
            named(&told).unwrap_or_else(|| "nothing could be looked at in shadow".to_owned());
        if !seen.is_empty() && seen.iter().all(Shadowed::passes) {
            self.store.decide(id, Fate::Approved, (OWN_WORD, &told), self.clock.now()).await?;
            return Ok(());
        }
        let why = format!("{told}{SEEN}");
        self.store.says(id, &why).await?;
        Err(NotLoaded::Waits { id, why })
    }

    /// Looks in shadow at what differs between two catalogues, beside everything else; one such question at a time.
    pub(super) fn compare(&mut self, compare: Compare, reply: oneshot::Sender<Compared>) {
        while self.shadow.asked.try_join_next().is_some() {}
        if !self.shadow.asked.is_empty() {
            drop(reply.send(Err(NotCompared::Busy)));
            return;
        }
        let (reading, at) = (Arc::clone(&self.reading), self.now());
        let asking = Asking {
            queries: Arc::clone(&self.under_way.queries),
            pictures: self.pictures.subscribe(),
            zones: Arc::clone(&reading.zones),
            stop: self.shadow.asked_stop.child_token(),
        };
        self.shadow.asked.spawn(async move {
            let windows = compare.windows;
            let pairs =
                tokio::task::spawn_blocking(move || asked_otherwise(&compare, &reading, at));
            let compared = match pairs.await {
                Ok(Ok(pairs)) => Ok(shadow(asking, pairs, Some(windows)).await),
                Ok(Err(why)) => Err(why),
                Err(_) => Err(NotCompared::Broken),
            };
            // Who asked may be gone.
            drop(reply.send(compared));
        });
    }

    /// Takes note that a catalogue waits for approval; what was active goes on.
    pub(super) fn wait(&mut self, id: i64, why: &str) {
        let at = match &self.last_load {
            LastLoad::Waits { id: before, at, .. } if *before == id => *at,
            LastLoad::Waits { .. }
            | LastLoad::Never
            | LastLoad::Good { .. }
            | LastLoad::Bad { .. } => {
                tracing::warn!(
                    generation = id,
                    "changed files of checks wait for approval (`allswell approve {id}`, or `weakened:` in the \
                     files): {why}"
                );
                self.now()
            }
        };
        self.last_load = LastLoad::Waits { at, id, why: why.to_owned() };
    }

    /// Takes a word for or against a catalogue that waits; says whether it waited. Whoever loads the files next does what
    /// it says.
    pub(super) async fn decide(&mut self, decide: &Decide) -> Result<bool, LedgerError> {
        let Decide { id, fate, by, because } = decide;
        let decided = self.store.decide(*id, *fate, (by, because), self.clock.now()).await?;
        Ok(decided.is_some())
    }

    /// Has all files count again, once other ones are active than those that an operator went back behind.
    pub(super) async fn unpin(
        &mut self,
        pinned: Option<&str>,
        digest: &str,
    ) -> Result<(), LedgerError> {
        if pinned.is_some_and(|pinned| pinned != digest) {
            self.store.pin("", None, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Goes back to a catalogue that is kept. The files that were read last do not count until they change.
    pub(super) async fn roll_back(&mut self, back: &RollBack) -> Result<Loaded, NotLoaded> {
        let RollBack { id, by, because } = back;
        for _ in 0..TRIES {
            let target = self.store.kept(*id).await?.ok_or_else(|| {
                NotLoaded::NotKept(match id {
                    Some(id) => format!(
                        "generation {id} is not kept: `allswell generations` lists those that are"
                    ),
                    None => "there is no generation before this one".to_owned(),
                })
            })?;
            let active = self.store.active().await?;
            let texts = from_text(&target.text).unwrap_or_default();
            let reading = Arc::clone(&self.reading);
            let parse = tokio::task::spawn_blocking(move || reading.parse_stored(&texts));
            let catalogue = parse.await.map_err(|_| NotLoaded::Faulty(Vec::new()))?;
            let catalogue = catalogue.map_err(NotLoaded::Faulty)?;
            let checks = catalogue.checks().len();
            if active.as_ref().is_some_and(|active| active.digest == target.digest) {
                let active = active.map_or(target.id, |active| active.id);
                return Ok(Loaded { generation: active, checks, changed: false });
            }
            let records = self.store.series().await?;
            let running = self.running(&records, &catalogue);
            let succession =
                succession(&running, &catalogue, Removals::Accepted).map_err(NotLoaded::Refused)?;
            let traits_of =
                |check: &Arc<Check>| (check.id.clone(), traits(check, &self.reading.engines));
            let files = self
                .files
                .digest
                .clone()
                .or_else(|| active.as_ref().map(|active| active.digest.clone()));
            let activation = Activation {
                expected: active.as_ref().map(|active| active.id),
                digest: target.digest.clone(),
                text: target.text.clone(),
                tz_release: self.reading.tz_release(),
                loaded_by: format!("rollback by {by}"),
                series: planned(&catalogue, &self.reading.zones),
                checks: catalogue.checks().iter().map(traits_of).collect(),
                succession,
            };
            // First what keeps the files from coming back, then what they are to stay away from.
            let word = Some((target.id, by.as_str(), because.as_str()));
            let pinned = files.filter(|files| *files != target.digest).unwrap_or_default();
            self.store.pin(&pinned, word, self.clock.now()).await?;
            if let Some(id) = self.store.activate(&activation, self.clock.now()).await? {
                if let Some(left) = activation.expected {
                    self.store.withdraw(left, (by, because), self.clock.now()).await?;
                }
                self.resolve_removed(&records, &activation.succession);
                self.take_over(&catalogue, id).await?;
                self.store.nothing_waits(self.clock.now()).await?;
                self.files.are_pinned = !pinned.is_empty();
                self.last_load = LastLoad::Good { at: self.now() };
                tracing::warn!(
                    generation = id,
                    "an operator went back to an earlier catalogue: {by}: {because}"
                );
                return Ok(Loaded { generation: id, checks, changed: true });
            }
        }
        Err(NotLoaded::Contended)
    }
}
