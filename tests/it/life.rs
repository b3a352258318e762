//! The life of windows, leases and standings, through whatever may happen, beside a naive model that
//! remembers everything and computes all of it anew.

use allswell::domain::check::reason::Cause;
use allswell::domain::record::standing::{Alarm, Lease, Notice, Standing, Standings, lease};
use allswell::domain::record::window_state::{
    Override, Recorded, Stale, State, VerdictKind, WindowKind, WindowState,
};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

const WINDOWS: usize = 6;
const PATIENCE: TimeDelta = TimeDelta::minutes(60);
const LEASE: TimeDelta = TimeDelta::minutes(3);

fn start() -> DateTime<Utc> {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn due(place: usize) -> DateTime<Utc> {
    start() + TimeDelta::minutes(100 * (i64::try_from(place).unwrap() + 1))
}

fn row(kind: WindowKind, place: usize) -> WindowState {
    row_known_at(kind, place, due(place))
}

/// A row that came to be known at its due or later: its deadline counts from then.
fn row_known_at(kind: WindowKind, place: usize, known: DateTime<Utc>) -> WindowState {
    let (from, to) = match kind {
        WindowKind::Window => (due(place) - TimeDelta::minutes(100), due(place)),
        WindowKind::Slot => (due(place), due(place)),
    };
    WindowState {
        kind,
        start: from,
        end: to,
        due: due(place),
        deadline_nominal: due(place) + PATIENCE,
        deadline: due(place).max(known) + PATIENCE,
        state: State::Waiting { not_before: due(place), last: None },
        epoch: 0,
        failed_attempts: 0,
        overridden: Override::Standing,
    }
}

/// What may happen.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// Time passes, in minutes.
    Time(i64),
    /// A window is claimed, attempted, and the result is written down.
    Attempt(usize, VerdictKind),
    /// A window is claimed, and who claimed it dies.
    Crash(usize),
    /// Somebody who was fenced off writes after all.
    Ghost(usize, VerdictKind),
    /// The owner vouches for a window, for some minutes or for good.
    Waive(usize, Option<i64>),
    /// The waiver is revoked.
    Revoke(usize),
    /// New rules put others in the place of a window; they are all confirmed after some minutes.
    Supersede(usize, i64),
    /// A window is missed whose owner wants nothing caught up.
    Excuse(usize),
    /// The check is removed, and that is accepted.
    Remove,
}

fn said() -> impl Strategy<Value = VerdictKind> {
    prop_oneof![
        3 => Just(VerdictKind::Confirmed),
        2 => Just(VerdictKind::Violated),
        2 => prop_oneof![
            Just(Cause::Timeout), Just(Cause::NoEvidence), Just(Cause::Connect), Just(Cause::Busy)
        ].prop_map(VerdictKind::Unconfirmed),
        1 => prop_oneof![Just(Cause::QueryError), Just(Cause::Auth), Just(Cause::Refused)]
            .prop_map(VerdictKind::Unconfirmed),
    ]
}

fn happens() -> impl Strategy<Value = Happens> {
    let window = 0..WINDOWS;
    prop_oneof![
        10 => (1_i64..120).prop_map(Happens::Time),
        14 => (window.clone(), said()).prop_map(|(w, s)| Happens::Attempt(w, s)),
        3 => window.clone().prop_map(Happens::Crash),
        3 => (window.clone(), said()).prop_map(|(w, s)| Happens::Ghost(w, s)),
        2 => (window.clone(), proptest::option::of(1_i64..300)).prop_map(|(w, t)| Happens::Waive(w, t)),
        1 => window.clone().prop_map(Happens::Revoke),
        1 => (window, 1_i64..400).prop_map(|(w, t)| Happens::Supersede(w, t)),
        1 => (0..WINDOWS).prop_map(Happens::Excuse),
        1 => Just(Happens::Remove),
    ]
}

/// The model: everything that was ever accepted, and nothing computed.
#[derive(Debug, Default, Clone)]
struct History {
    /// Results in the order in which they were accepted.
    results: Vec<(DateTime<Utc>, VerdictKind)>,
    /// Claims that died before the deadline, with the end of their leases; later ones take nothing
    /// back that is recorded.
    crashes: Vec<DateTime<Utc>>,
    overridden: Option<Override>,
    /// How many results there were when it was waived, and what was recorded then.
    waived_at: Option<(usize, Option<VerdictKind>)>,
    /// By when its absence is an alarm; nothing before it came to be known.
    deadline: Option<DateTime<Utc>>,
    replaced_at: Option<DateTime<Utc>>,
}

impl History {
    /// Long after everything, for what is not known yet.
    fn deadline(&self) -> DateTime<Utc> {
        self.deadline.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// What is recorded by now, by the words of the design.
    fn recorded(&self, now: DateTime<Utc>) -> Option<VerdictKind> {
        let fact = self.results.iter().rev().find(|(_, said)| said.is_fact());
        if let Some((_, said)) = fact {
            return Some(*said);
        }
        let deadline = self.deadline();
        let recorded_at_once = self.results.iter().any(|(at, said)| match said {
            VerdictKind::Unconfirmed(cause) => !cause.may_pass() || *at >= deadline,
            VerdictKind::Confirmed | VerdictKind::Violated => false,
        });
        let last = self.results.last();
        if recorded_at_once {
            return last.map(|(_, said)| *said);
        }
        // Past the deadline it is recorded, whoever holds it.
        if now < deadline {
            return None;
        }
        let crashed = self.crashes.iter().rfind(|until| **until <= deadline);
        Some(match (last, crashed) {
            // A claim that runs out says something later than the last result.
            (Some((at, _)), Some(crash)) if crash > at => {
                VerdictKind::Unconfirmed(Cause::Interrupted)
            }
            (Some((_, said)), _) => *said,
            (None, Some(_)) => VerdictKind::Unconfirmed(Cause::Interrupted),
            (None, None) => VerdictKind::Unconfirmed(Cause::Missed),
        })
    }

    fn is_settled(&self, now: DateTime<Utc>) -> bool {
        match self.overridden {
            Some(Override::Removed) => true,
            // That nobody looked is excused; what is wrong is not.
            Some(Override::Excused) => self.recorded(now) != Some(VerdictKind::Violated),
            Some(Override::Waived { until }) => {
                until.is_none_or(|until| until > now) && self.waiver_covers()
            }
            Some(Override::Superseded { .. }) => self.replaced_at.is_some_and(|at| at <= now),
            Some(Override::Standing) | None => false,
        }
    }

    /// A waiver covers what was known when it was given: no violation after a proof, and no violation
    /// where nothing was known.
    fn waiver_covers(&self) -> bool {
        let Some((given, known)) = self.waived_at else { return true };
        let later: Vec<VerdictKind> = self.results[given..].iter().map(|(_, said)| *said).collect();
        let ends = |said: &VerdictKind| match said {
            VerdictKind::Confirmed => true,
            VerdictKind::Violated => known != Some(VerdictKind::Violated),
            VerdictKind::Unconfirmed(_) => false,
        };
        !later.iter().any(ends)
    }

    fn open(&self, now: DateTime<Utc>) -> Option<Alarm> {
        if self.is_settled(now) {
            return None;
        }
        match self.recorded(now)? {
            VerdictKind::Confirmed => None,
            VerdictKind::Violated => Some(Alarm::Violated),
            VerdictKind::Unconfirmed(_) if now < self.deadline() => None,
            VerdictKind::Unconfirmed(_) => Some(Alarm::Unconfirmed),
        }
    }
}

struct World {
    kind: WindowKind,
    after: u32,
    now: DateTime<Utc>,
    rows: Vec<WindowState>,
    history: Vec<History>,
    epoch: u64,
    standings: Standings,
    /// Who fired, in the model: by counting.
    fired: [bool; 2],
}

impl World {
    fn new(kind: WindowKind, after: u32) -> Self {
        Self {
            kind,
            after,
            now: start(),
            rows: Vec::new(),
            history: vec![History::default(); WINDOWS],
            epoch: 0,
            standings: Standings::default(),
            fired: [false; 2],
        }
    }

    /// Rows come into being as they fall due, each once.
    fn materialise(&mut self) {
        while self.rows.len() < WINDOWS && due(self.rows.len()) <= self.now {
            let row = row_known_at(self.kind, self.rows.len(), self.now);
            self.history[self.rows.len()].deadline = Some(row.deadline);
            self.rows.push(row);
        }
    }

    fn attempt(&mut self, place: usize) -> Option<u64> {
        self.epoch += 1;
        let row = self.rows.get_mut(place)?;
        match row.claim(self.epoch, self.now + LEASE, self.now) {
            Ok(claimed) => {
                *row = claimed;
                Some(self.epoch)
            }
            Err(Stale) => None,
        }
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Time(minutes) => self.now += TimeDelta::minutes(minutes),
            Happens::Attempt(place, said) => {
                if let Some(epoch) = self.attempt(place) {
                    let ended = self.rows[place].ended(epoch, said, self.now).unwrap();
                    self.rows[place] = ended;
                    self.history[place].results.push((self.now, said));
                }
            }
            Happens::Crash(place) => {
                if self.attempt(place).is_some() && self.now < self.history[place].deadline() {
                    self.history[place].crashes.push(self.now + LEASE);
                }
            }
            Happens::Ghost(place, said) => {
                if let Some(row) = self.rows.get(place) {
                    for epoch in [self.epoch + 7, row.epoch.wrapping_sub(1)] {
                        let ghost = row.ended(epoch, said, self.now);
                        assert_eq!(ghost, Err(Stale), "a stale write is fenced off");
                    }
                    let again = row.claim(row.epoch, self.now + LEASE, self.now);
                    assert_eq!(again, Err(Stale), "a number is given out once");
                }
            }
            Happens::Waive(place, minutes) => {
                let until = minutes.map(|minutes| self.now + TimeDelta::minutes(minutes));
                let open = self.rows.get(place).is_some_and(|row| row.open(self.now).is_some());
                if open {
                    let known = self.history[place].recorded(self.now);
                    let given = self.history[place].results.len();
                    self.history[place].waived_at = Some((given, known));
                    self.rule(place, Override::Waived { until });
                }
            }
            Happens::Revoke(place) => {
                let waived = self.rows.get(place).map(|row| row.overridden);
                if let Some(Override::Waived { .. }) = waived {
                    self.rule(place, Override::Standing);
                }
            }
            Happens::Supersede(place, minutes) => {
                self.rule(place, Override::Superseded { replaced: false });
                self.history[place].replaced_at = Some(self.now + TimeDelta::minutes(minutes));
            }
            Happens::Excuse(place) => self.rule(place, Override::Excused),
            Happens::Remove => (0..self.rows.len()).for_each(|p| self.rule(p, Override::Removed)),
        }
        self.materialise();
        for (row, history) in self.rows.iter_mut().zip(&self.history) {
            if let (Override::Superseded { .. }, Some(at)) = (row.overridden, history.replaced_at) {
                row.overridden = Override::Superseded { replaced: at <= self.now };
            }
            *row = row.at(self.now);
        }
    }

    fn rule(&mut self, place: usize, overridden: Override) {
        if let Some(row) = self.rows.get_mut(place) {
            // Nobody can vouch for what is gone.
            if row.overridden != Override::Removed {
                row.overridden = overridden;
                self.history[place].overridden = Some(overridden);
            }
        }
    }

    /// The model's bad rows: a later confirmed slot closes earlier ones, and any later result those without one.
    fn model_bad(&self) -> Vec<Option<Alarm>> {
        let is_fact = |p: usize| {
            matches!(
                self.history[p].recorded(self.now),
                Some(VerdictKind::Confirmed | VerdictKind::Violated)
            )
        };
        let answered =
            |p: usize| self.kind == WindowKind::Slot && (p + 1..self.rows.len()).any(is_fact);
        let open = |(p, alarm): (usize, Option<Alarm>)| {
            alarm.filter(|alarm| *alarm == Alarm::Violated || !answered(p))
        };
        self.model_unproved().into_iter().enumerate().map(open).collect()
    }

    fn model_unproved(&self) -> Vec<Option<Alarm>> {
        let confirmed =
            |p: usize| self.history[p].recorded(self.now) == Some(VerdictKind::Confirmed);
        let places = 0..self.rows.len();
        let open = |p: usize| {
            let later = (p + 1..self.rows.len()).any(confirmed);
            let closed = self.kind == WindowKind::Slot && later;
            self.history[p].open(self.now).filter(|_| !closed)
        };
        places.map(open).collect()
    }

    /// Holds rows, standings and lease against the model and the laws.
    fn check(&mut self) {
        for (place, row) in self.rows.iter().enumerate() {
            let model = self.history[place].recorded(self.now);
            assert_eq!(row.recorded().map(|r| r.said), model, "window {place}: {row:?}");
            // Law 4: past its deadline everything is recorded, whoever holds it.
            assert!(row.recorded().is_some() || self.now < row.deadline, "{row:?}");
        }
        let bad = self.model_bad();
        let before = self.standings;
        let (next, notices) = self.standings.after(&self.rows, self.after, self.now);
        for (place, alarm) in [Alarm::Violated, Alarm::Unconfirmed].into_iter().enumerate() {
            let any = bad.contains(&Some(alarm));
            let runs = self.longest_run(&self.model_unproved(), alarm);
            let fired = any && (self.fired[place] || runs >= self.after);
            let standing = [next.violated, next.unconfirmed][place];
            assert_eq!(standing != Standing::Calm, fired, "{alarm:?} of {bad:?}");
            // Law 2: it ends only where nothing of its kind is open.
            let resolved = notices.contains(&Notice::Resolved(alarm));
            assert_eq!(resolved, self.fired[place] && !any);
            assert!(!(resolved && any));
            self.fired[place] = fired;
        }
        let firing = notices.iter().position(|n| matches!(n, Notice::Firing(_)));
        let resolved = notices.iter().position(|n| matches!(n, Notice::Resolved(_)));
        if let (Some(firing), Some(resolved)) = (firing, resolved) {
            assert!(firing < resolved, "first what begins, then what ends");
        }
        let (again, nothing) = next.after(&self.rows, self.after, self.now);
        assert_eq!((again, nothing), (next, Vec::new()), "what was said is not said twice");
        if let (Standing::Firing { since }, Standing::Firing { since: still }) =
            (before.violated, next.violated)
        {
            assert_eq!(since, still, "an alert keeps its beginning");
        }
        self.standings = next;
        self.check_lease();
    }

    fn longest_run(&self, bad: &[Option<Alarm>], alarm: Alarm) -> u32 {
        // Every run of bad windows, by trying all of them.
        let recorded = |p: usize| self.history[p].recorded(self.now).is_some();
        let known: Vec<usize> =
            (0..bad.len()).filter(|p| bad[*p].is_some() || recorded(*p)).collect();
        let mut longest = 0;
        for from in 0..known.len() {
            for to in from..known.len() {
                let run = &known[from..=to];
                let all_bad = run.iter().all(|p| bad[*p].is_some());
                if all_bad && run.iter().any(|p| bad[*p] == Some(alarm)) {
                    longest = longest.max(u32::try_from(run.len()).unwrap());
                }
            }
        }
        longest
    }

    fn check_lease(&self) {
        let next = due(self.rows.len()) + PATIENCE;
        let Lease::Until(until) = lease(&self.rows, next, self.now) else {
            let confirmed =
                |p: usize| self.history[p].recorded(self.now) == Some(VerdictKind::Confirmed);
            assert!(!(0..self.rows.len()).any(confirmed), "something was proved");
            return;
        };
        // Law 1: healthy now means that everything whose deadline has passed is proved or settled,
        // and that nothing is known to be wrong.
        if until > self.now {
            for place in 0..self.rows.len() {
                let later =
                    |p: usize| self.history[p].recorded(self.now) == Some(VerdictKind::Confirmed);
                let closed =
                    self.kind == WindowKind::Slot && (place + 1..self.rows.len()).any(later);
                let said = self.history[place].recorded(self.now);
                let fine = closed
                    || self.history[place].is_settled(self.now)
                    || said == Some(VerdictKind::Confirmed);
                assert!(fine || said != Some(VerdictKind::Violated), "violated, and healthy");
                assert!(fine || due(place) + PATIENCE > self.now, "late, and healthy");
            }
        } else {
            let fine = |p: usize| {
                let later =
                    |q: usize| self.history[q].recorded(self.now) == Some(VerdictKind::Confirmed);
                let closed = self.kind == WindowKind::Slot && (p + 1..self.rows.len()).any(later);
                closed
                    || self.history[p].is_settled(self.now)
                    || self.history[p].recorded(self.now) == Some(VerdictKind::Confirmed)
            };
            let all_fine = (0..self.rows.len()).all(fine);
            assert!(!all_fine || next <= self.now, "all is proved, and not healthy");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_happens_the_rows_are_what_the_model_says(
        events in proptest::collection::vec(happens(), 1..60),
        slots in any::<bool>(),
        after in 1_u32..4,
    ) {
        let mut world = World::new(if slots { WindowKind::Slot } else { WindowKind::Window }, after);
        for event in events {
            world.happen(event);
            world.check();
        }
        // In the end, whatever was left hanging is recorded.
        for _ in 0..2 {
            world.happen(Happens::Time(10_000));
            world.check();
        }
        prop_assert_eq!(world.rows.len(), WINDOWS);
        prop_assert!(world.rows.iter().all(|row| matches!(row.state, State::Recorded(_))));
    }
}

#[test]
fn no_violation_after_a_proof_is_settled_by_a_waiver_given_before_it() {
    let mut world = World::new(WindowKind::Window, 1);
    world.happen(Happens::Time(100));
    world.happen(Happens::Attempt(0, VerdictKind::Violated));
    world.happen(Happens::Waive(0, None));
    world.check();
    assert_eq!(world.rows[0].open(world.now), None, "it was known, and is waived");
    world.happen(Happens::Attempt(0, VerdictKind::Violated));
    world.check();
    assert_eq!(world.rows[0].open(world.now), None, "nothing new is known");
    world.happen(Happens::Attempt(0, VerdictKind::Confirmed));
    world.happen(Happens::Attempt(0, VerdictKind::Violated));
    world.check();
    assert_eq!(world.rows[0].open(world.now), Some(VerdictKind::Violated));
    // What nobody could look at and was waived, and is found wrong later, is wrong.
    world.happen(Happens::Time(400));
    world.happen(Happens::Time(100));
    assert!(matches!(world.rows[1].open(world.now), Some(VerdictKind::Unconfirmed(_))));
    world.happen(Happens::Waive(1, Some(200)));
    world.check();
    assert_eq!(world.rows[1].open(world.now), None);
    world.happen(Happens::Attempt(1, VerdictKind::Violated));
    world.check();
    assert_eq!(world.rows[1].open(world.now), Some(VerdictKind::Violated));
}

#[test]
fn a_bad_window_is_not_healed_by_a_good_one() {
    let mut world = World::new(WindowKind::Window, 1);
    world.happen(Happens::Time(100));
    world.happen(Happens::Attempt(0, VerdictKind::Violated));
    world.check();
    assert!(matches!(world.standings.violated, Standing::Firing { .. }));
    world.happen(Happens::Time(100));
    world.happen(Happens::Attempt(1, VerdictKind::Confirmed));
    world.check();
    assert!(
        matches!(world.standings.violated, Standing::Firing { .. }),
        "yesterday is still wrong"
    );
    world.happen(Happens::Attempt(0, VerdictKind::Unconfirmed(Cause::Connect)));
    world.check();
    assert!(
        matches!(world.standings.violated, Standing::Firing { .. }),
        "nothing known is no proof"
    );
    world.happen(Happens::Attempt(0, VerdictKind::Confirmed));
    world.check();
    assert_eq!(world.standings.violated, Standing::Calm);
}

#[test]
fn a_window_that_nobody_could_look_at_is_tried_on_ever_more_rarely() {
    let mut row = row(WindowKind::Window, 0);
    let (mut now, mut epoch) = (due(0), 0);
    let age = TimeDelta::days(2);
    let mut pauses = Vec::new();
    while let Some(wake) = row.wake_at(None, age) {
        assert!(wake >= now);
        pauses.push((wake - now).num_seconds());
        now = wake.max(now);
        epoch += 1;
        row = row.claim(epoch, now + LEASE, now).unwrap();
        row = row.ended(epoch, VerdictKind::Unconfirmed(Cause::Connect), now).unwrap();
        assert!(pauses.len() < 500, "it ends");
    }
    assert_eq!(pauses[..8], [0, 1, 2, 4, 8, 16, 32, 60]);
    // From the deadline on they begin with a minute again.
    let late = pauses.iter().skip(8).position(|pause| *pause == 120).unwrap() + 8;
    assert_eq!(pauses[late..late + 4], [120, 240, 480, 960]);
    assert_eq!(*pauses.last().unwrap(), 3_600);
    assert!(now - due(0) <= age && now - due(0) > age - TimeDelta::hours(2));
    let recorded = Recorded {
        said: VerdictKind::Unconfirmed(Cause::Connect),
        at: due(0) + PATIENCE,
        tried: now,
    };
    assert_eq!(row.recorded(), Some(recorded), "open since its deadline");
}

#[test]
fn an_attempt_that_outlasts_the_deadline_is_an_alarm_while_it_runs_and_begins_the_count_anew() {
    let mut row = row(WindowKind::Window, 0);
    let late = row.deadline;
    // Seven attempts in vain, and one that begins in time and ends too late.
    let mut now = due(0);
    for epoch in 1..8 {
        row = row.claim(epoch, now + LEASE, now).unwrap();
        row = row.ended(epoch, VerdictKind::Unconfirmed(Cause::Busy), now).unwrap();
        now = row.wake_at(None, PATIENCE).unwrap();
    }
    let begun = late - TimeDelta::minutes(1);
    row = row.claim(8, begun + LEASE, begun).unwrap();
    assert_eq!(row.open(begun), None);
    assert_eq!(row.at(late).open(late), Some(VerdictKind::Unconfirmed(Cause::Busy)));
    let ended = late + TimeDelta::minutes(1);
    let tried = row.ended(8, VerdictKind::Unconfirmed(Cause::Timeout), ended).unwrap();
    assert_eq!(tried.open(ended), Some(VerdictKind::Unconfirmed(Cause::Timeout)));
    let age = TimeDelta::days(35);
    assert_eq!(tried.wake_at(None, age), Some(ended + TimeDelta::minutes(1)));
}

#[test]
fn a_window_in_whose_place_others_were_proved_or_that_is_waived_for_ever_is_not_tried() {
    let waiting = row(WindowKind::Window, 0);
    let claimed = waiting.claim(1, due(0) + LEASE, due(0)).unwrap();
    let bad = claimed.ended(1, VerdictKind::Violated, due(0)).unwrap();
    let silent = waiting.at(waiting.deadline);
    let age = TimeDelta::days(35);
    let left_alone = [
        Override::Superseded { replaced: true },
        Override::Waived { until: None },
        Override::Removed,
    ];
    for row in [waiting, bad, silent] {
        assert!(row.wake_at(Some(due(1)), age).is_some());
        for overridden in left_alone {
            let row = WindowState { overridden, ..row };
            assert_eq!(row.wake_at(Some(due(1)), age), None, "{row:?}");
        }
        for overridden in
            [Override::Waived { until: Some(due(9)) }, Override::Superseded { replaced: false }]
        {
            assert!(WindowState { overridden, ..row }.wake_at(Some(due(1)), age).is_some());
        }
    }
}

#[test]
fn a_violated_window_is_tried_again_with_the_next_due_and_ever_more_rarely() {
    let row = row(WindowKind::Window, 0);
    let claimed = row.claim(1, due(0) + LEASE, due(0)).unwrap();
    let bad = claimed.ended(1, VerdictKind::Violated, due(0)).unwrap();
    let age = TimeDelta::days(35);
    assert_eq!(bad.wake_at(Some(due(1)), age), Some(due(1)));
    let soon = due(0) + TimeDelta::minutes(5);
    assert_eq!(bad.wake_at(Some(soon), age), Some(due(0) + TimeDelta::hours(1)));
    assert_eq!(bad.wake_at(None, age), None);
    // Once an hour, then after as long as it is violated by now, and once a day at least.
    let mut pauses = Vec::new();
    let (mut late, mut now) = (bad, due(0));
    for epoch in 2..9 {
        let wake = late.wake_at(Some(now), age).unwrap();
        pauses.push((wake - now).num_hours());
        now = wake;
        let claimed = late.claim(epoch, now + LEASE, now).unwrap();
        late = claimed.ended(epoch, VerdictKind::Violated, now).unwrap();
    }
    assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 24]);
    // An attempt that says nothing is made up for soon, however long it has been violated.
    let claimed = late.claim(9, now + LEASE, now).unwrap();
    let silent = claimed.ended(9, VerdictKind::Unconfirmed(Cause::Connect), now).unwrap();
    let soon = silent.wake_at(Some(now), age).unwrap() - now;
    assert!(soon <= TimeDelta::minutes(2), "{soon}");
    let good = bad
        .claim(2, due(1) + LEASE, due(1))
        .unwrap()
        .ended(2, VerdictKind::Confirmed, due(1))
        .unwrap();
    assert_eq!(good.wake_at(Some(due(2)), age), None);
}
