//! Series counted by check and by state. A picture shares with the one before what did not change, so that counting
//! follows what changed, and a hundred thousand series cost no more than the few that were looked at.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::check::Severity;
use crate::domain::check::name::SourceName;
use crate::domain::record::standing::Lease;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::Role;
use crate::web::filter::STATES;
use crate::web::pages::group::{minute, rank, since_in};

/// What is counted over all series of a picture.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// Each series, in the order of the picture.
    entries: Vec<Entry>,
    /// The places of all series that are not over, those of one check together.
    members: Vec<usize>,
    heads: Vec<Head>,
    /// The places of the heads, by id.
    by_id: Vec<usize>,
    pub(super) counts: [(&'static str, usize); 6],
    /// How many critical series there are, and how many of them are not proved.
    pub(super) critical: usize,
    pub(super) unwell: usize,
    /// How many series were looked at in the future.
    pub(super) ahead: usize,
    pub(super) owners: BTreeMap<String, usize>,
    pub(super) sources: BTreeMap<SourceName, Asked>,
}

/// What is known of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    state: &'static str,
    /// Until when it is that, if nothing is recorded meanwhile.
    until: Option<DateTime<Utc>>,
    is_critical: bool,
    is_ahead: bool,
    /// The head of its check; nothing where it is over.
    head: Option<usize>,
}

/// A check, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The place of the series that has the check as it is declared.
    pub(super) declared: usize,
    /// The state that a person looks at first, and since when a series is in it.
    pub(super) state: &'static str,
    since: Option<DateTime<Utc>>,
    severity: Severity,
    /// Its place among all by id.
    by_id: usize,
    /// Where its members begin, and how many they are.
    first: usize,
    series: usize,
    /// Which states its series are in, in the order of the words.
    has: [bool; STATES.len()],
}

/// Who asks a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) checks: usize,
    /// How many of them are critical.
    pub(super) critical: usize,
    /// How many checks each owner has there.
    pub(super) owners: BTreeMap<String, usize>,
}

impl Head {
    /// Whether all of it is proved.
    pub(super) fn is_confirmed(&self) -> bool {
        self.state == "confirmed"
    }

    pub(super) fn state(&self) -> &'static str {
        self.state
    }

    /// Whether a series of it is in a state.
    pub(super) fn has(&self, state: &str) -> bool {
        STATES.iter().zip(self.has).any(|(known, has)| has && *known == state)
    }

    /// By what checks are sorted: the most urgent and oldest first.
    pub(super) fn urgency(&self, other: &Self) -> Ordering {
        // What was never proved is no better than what is not proved any more.
        let key = |head: &Self| {
            let rank = rank(head.state);
            (rank > 2, head.severity, rank, head.since, head.by_id)
        };
        key(self).cmp(&key(other))
    }

    fn new(place: usize) -> Self {
        Self {
            declared: place,
            state: "",
            since: None,
            severity: Severity::Info,
            by_id: 0,
            first: 0,
            series: 0,
            has: [false; STATES.len()],
        }
    }
}

impl Entry {
    fn of(picture: &Snapshot, series: &SeriesHealth, state: &'static str) -> Self {
        let is_ahead = series.is_from_the_future(picture.now());
        let until = match series.record.lease {
            // When the clock comes there, its proofs speak for it again.
            _ if is_ahead => Some(picture.as_of),
            Lease::Until(until) if state == "confirmed" => Some(until),
            Lease::Until(_) | Lease::Never => None,
        };
        Self { state, until, is_critical: series.is_critical(), is_ahead, head: None }
    }
}

impl Tally {
    /// Counts all series of a picture.
    pub(super) fn new(picture: &Snapshot) -> Self {
        let mut tally = Self {
            entries: Vec::with_capacity(picture.series.len()),
            members: Vec::new(),
            heads: Vec::new(),
            by_id: Vec::new(),
            counts: STATES.map(|state| (state, 0)),
            critical: 0,
            unwell: 0,
            ahead: 0,
            owners: BTreeMap::new(),
            sources: BTreeMap::new(),
        };
        let state_of = picture.states();
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        // Most of one check stand beside each other.
        let mut last: Option<(&str, usize)> = None;
        for (place, series) in picture.series.iter().enumerate() {
            let mut entry = Entry::of(picture, series, state_of(series));
            if !series.is_over() {
                let id = series.check.id.as_str();
                let head = match last.filter(|(before, _)| *before == id) {
                    Some((_, head)) => head,
                    None => *known.entry(id).or_insert_with(|| {
                        tally.heads.push(Head::new(place));
                        tally.heads.len() - 1
                    }),
                };
                last = Some((id, head));
                entry.head = Some(head);
                tally.heads[head].series += 1;
                tally.count(entry, 1);
            }
            tally.entries.push(entry);
        }
        tally.by_id = known.into_values().collect();
        for (by_id, head) in tally.by_id.iter().enumerate() {
            tally.heads[*head].by_id = by_id;
        }
        tally.assemble();
        for head in 0..tally.heads.len() {
            tally.look_at(picture, head);
        }
        tally.ask(picture);
        tally
    }

    /// Counts what changed since a picture before; nothing where it is not the same series and checks any more.
    pub(super) fn after(mut self, before: &Snapshot, picture: &Snapshot) -> Option<Self> {
        // A clock that was set back: what was proved may not speak for the present any more.
        let is_back = picture.as_of < before.as_of;
        if is_back || before.series.len() != picture.series.len() {
            return None;
        }
        let (state_of, now) = (picture.states(), picture.now());
        let mut changed: Vec<usize> = Vec::new();
        let pairs = before.series.iter().zip(&picture.series).enumerate();
        for (place, (old, series)) in pairs {
            let known = self.entries[place];
            let is_same = Arc::ptr_eq(old, series);
            if is_same && known.until.is_none_or(|until| now < until) {
                continue;
            }
            let is_known = is_same
                || Arc::ptr_eq(&old.check, &series.check)
                    && old.record.id == series.record.id
                    && old.is_over() == series.is_over();
            if !is_known {
                return None;
            }
            let entry = Entry { head: known.head, ..Entry::of(picture, series, state_of(series)) };
            self.entries[place] = entry;
            if let Some(head) = known.head {
                self.count(known, -1);
                self.count(entry, 1);
                changed.push(head);
            }
        }
        changed.sort_unstable();
        changed.dedup();
        let mut is_as_bad = true;
        for head in changed {
            let severity = self.heads[head].severity;
            self.look_at(picture, head);
            is_as_bad &= self.heads[head].severity == severity;
        }
        if !is_as_bad {
            self.ask(picture);
        }
        Some(self)
    }

    fn count(&mut self, entry: Entry, by: isize) {
        let add = |count: &mut usize, is: bool| {
            *count = count.saturating_add_signed(if is { by } else { 0 });
        };
        for (word, count) in &mut self.counts {
            add(count, *word == entry.state);
        }
        add(&mut self.critical, entry.is_critical);
        add(&mut self.unwell, entry.is_critical && entry.state != "confirmed");
        add(&mut self.ahead, entry.is_ahead);
    }

    /// Puts the places of one check together.
    fn assemble(&mut self) {
        let mut next: Vec<usize> = Vec::with_capacity(self.heads.len());
        let mut first = 0;
        for head in &mut self.heads {
            head.first = first;
            next.push(first);
            first += head.series;
        }
        self.members = vec![0; first];
        for (place, entry) in self.entries.iter().enumerate() {
            let Some(head) = entry.head else { continue };
            self.members[next[head]] = place;
            next[head] += 1;
        }
    }

    /// Sees how a check is from its series.
    fn look_at(&mut self, picture: &Snapshot, place: usize) {
        let known = &self.heads[place];
        let mut head = Head { state: "", since: None, has: [false; STATES.len()], ..known.clone() };
        let mut is_critical = false;
        for (nth, member) in self.members_of(known).iter().enumerate() {
            let (entry, series) = (self.entries[*member], &picture.series[*member]);
            if series.record.role == Role::Data {
                head.declared = *member;
            }
            is_critical |= entry.is_critical;
            let since = since_in(picture, series, entry.state);
            let worse = rank(entry.state).cmp(&rank(head.state));
            let is_older = || minute(since) < minute(head.since);
            let is_worst = nth == 0 || worse.is_lt() || worse == Ordering::Equal && is_older();
            if is_worst {
                (head.state, head.since) = (entry.state, since);
            }
            for (known, has) in STATES.iter().zip(&mut head.has) {
                *has |= *known == entry.state;
            }
        }
        // As the check is declared, or as what is open was when it opened.
        head.severity = match is_critical {
            true => Severity::Critical,
            false => picture.series[head.declared].check.severity,
        };
        self.heads[place] = head;
    }

    /// Counts who asks which source.
    fn ask(&mut self, picture: &Snapshot) {
        (self.owners, self.sources) = Default::default();
        for head in &self.heads {
            let check = &picture.series[head.declared].check;
            let owner = check.owner.as_str();
            add_one(&mut self.owners, owner);
            for source in check.sources() {
                if !self.sources.contains_key(source) {
                    self.sources.insert(source.clone(), Asked::default());
                }
                let Some(asked) = self.sources.get_mut(source) else { continue };
                asked.checks += 1;
                asked.critical += usize::from(head.severity == Severity::Critical);
                add_one(&mut asked.owners, owner);
            }
        }
    }

    /// All checks, in no order.
    pub(super) fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// A check by its id, which is told of each.
    pub(super) fn find<'p>(&self, id: &str, id_of: impl Fn(&Head) -> &'p str) -> Option<&Head> {
        let place = self.by_id.binary_search_by(|head| id_of(&self.heads[*head]).cmp(id)).ok()?;
        self.heads.get(*self.by_id.get(place)?)
    }

    /// The places of the series of a check in the picture.
    pub(super) fn members_of(&self, head: &Head) -> &[usize] {
        self.members.get(head.first..head.first + head.series).unwrap_or_default()
    }

    /// The state of a series, by its place.
    pub(super) fn state(&self, place: usize) -> &'static str {
        self.entries[place].state
    }

    /// Whether a series is critical and not proved, by its place.
    pub(super) fn is_unwell(&self, place: usize) -> bool {
        let entry = self.entries[place];
        entry.head.is_some() && entry.is_critical && entry.state != "confirmed"
    }
}

fn add_one(counts: &mut BTreeMap<String, usize>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::domain::check::name::CheckId;
    use crate::domain::record::series::Zone;
    use crate::domain::record::standing::{Standing, Standings};
    use crate::domain::sql::Engine;
    use crate::engine::snapshot::GenerationHealth;
    use crate::ledger::SeriesRecord;
    use crate::manifest::{Text, World, parse};
    use crate::zones::Zones;

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_900_000_000 + secs, 0).unwrap()
    }

    fn checks() -> Vec<Arc<crate::domain::check::Check>> {
        let mut text =
            "version: 1\nowner: team\ndefaults: {source: db, schedule: {every: 1d}}\nchecks:\n"
                .to_owned();
        for (id, severity) in [("a", "critical"), ("b", "warning"), ("c", "critical")] {
            text.push_str(&format!(
                "  - {{id: {id}, why: As it is., severity: {severity}, sql: select 1 + 0 as n, expect: {{values: {{n: {{min: 1}}}}}}}}\n"
            ));
        }
        let engines = BTreeMap::from([(SourceName::parse("db").unwrap(), Engine::Sqlite)]);
        let texts = [Text { file: "checks.yaml".to_owned(), text }];
        let catalogue = parse(&texts, World::new(&engines, &Zones::open(None))).unwrap();
        catalogue.checks().to_vec()
    }

    /// What a series is made of: its check, how many of its rows are open, its lease, what began when.
    type Seed = (usize, u64, u64, Option<i64>, i64, bool);

    fn series(
        id: i64,
        seed: Seed,
        checks: &[Arc<crate::domain::check::Check>],
    ) -> Arc<SeriesHealth> {
        let (check, violated, unconfirmed, lease, since, is_over) = seed;
        let check = Arc::clone(&checks[check]);
        let standing = |open: u64| match open {
            0 => Standing::Calm,
            _ => Standing::Firing { since: at(since) },
        };
        let record = SeriesRecord {
            id,
            check: CheckId::parse(check.id.as_str()).unwrap(),
            tz: None,
            role: Role::Data,
            tz_release: String::new(),
            since: at(since),
            meaning_at: at(0),
            watermark: lease.map(|lease| at(lease * 2)),
            retired_at: is_over.then(|| at(0)),
            standings: Standings {
                violated: standing(violated),
                unconfirmed: standing(unconfirmed),
            },
            lease: lease.map_or(Lease::Never, |lease| Lease::Until(at(lease))),
            confirmed_at: None,
            open_violated: violated,
            open_unconfirmed: unconfirmed,
            waived: 0,
            last: None,
            totals: [0; 3],
            newest_violated: Vec::new(),
            newest_unconfirmed: Vec::new(),
            by_offset: Vec::new(),
            open_critical: [violated > 1, false],
            accepts_zones: false,
            zones_accepted_at: None,
            changed: None,
            thin: None,
            closed: None,
            is_waived: false,
            failing_since: None,
            fired_cause: None,
        };
        Arc::new(SeriesHealth {
            record: Arc::new(record),
            check,
            home: Zone::utc(),
            next_due: None,
            next_deadline: at(0),
            paused_until: (since == 7).then(|| at(1_000)),
        })
    }

    fn seed() -> impl Strategy<Value = Seed> {
        (
            0..3usize,
            0..3u64,
            0..3u64,
            prop::option::of(-200..200i64),
            0..10i64,
            prop::bool::weighted(0.1),
        )
    }

    /// What is counted, but for what no one sees.
    fn shown(tally: &Tally) -> impl PartialEq + std::fmt::Debug + use<> {
        let numbers = (tally.critical, tally.unwell, tally.ahead);
        let seen: Vec<Head> = tally.heads.clone();
        (tally.counts, numbers, seen, tally.owners.clone(), tally.sources.clone())
    }

    proptest! {
        #[test]
        fn following_what_changed_counts_as_counting_all_anew(
            first in prop::collection::vec(seed(), 1..12),
            steps in prop::collection::vec((0..12usize, seed(), -120..120i64), 1..12),
        ) {
            let checks = checks();
            let all = first.iter().zip(1..).map(|(seed, id)| series(id, *seed, &checks)).collect();
            let generation = GenerationHealth {
                id: 1,
                digest: String::new(),
                checks: 3,
                loaded_at: at(0),
                loaded_by: String::new(),
            };
            // Nothing is confirmed before a catalogue is there.
            let generation = Some(generation);
            let mut before = Snapshot { series: all, generation, ..Snapshot::empty(at(0)) };
            let mut tally = Tally::new(&before);
            for (place, seed, later) in steps {
                let mut picture = Snapshot { taken: Instant::now(), as_of: before.as_of + TimeDelta::seconds(later), ..before.clone() };
                let place = place % picture.series.len();
                picture.series[place] = series(picture.series[place].record.id, seed, &checks);
                let anew = Tally::new(&picture);
                let is_same = before.series[place].check.id == picture.series[place].check.id
                    && before.series[place].is_over() == picture.series[place].is_over();
                let is_same = is_same && later >= 0;
                let followed = tally.clone().after(&before, &picture);
                prop_assert_eq!(followed.is_some(), is_same);
                if let Some(followed) = followed {
                    prop_assert_eq!(shown(&followed), shown(&anew));
                }
                (tally, before) = (anew, picture);
            }
        }
    }
}
