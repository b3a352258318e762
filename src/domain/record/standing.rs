//! What has been said about a series, and what is to be said next; and how long its proofs speak for
//! it.
//!
//! An alert begins when enough windows in a row are bad. It ends only when the series has no open
//! window of its kind: not because nothing is known any more, and not because today is fine.

use chrono::{DateTime, Utc};

use crate::domain::record::window_state::{VerdictKind, WindowKind, WindowState};

/// The two kinds of alert that a series can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Something is wrong.
    Violated,
    /// Nothing is known, and it should be.
    Unconfirmed,
}

/// What has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Nothing.
    #[default]
    Calm,
    /// That something is not well.
    Firing {
        /// Since when.
        since: DateTime<Utc>,
    },
}

/// What has been said about a series, of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standings {
    /// About data that is wrong.
    pub violated: Standing,
    /// About proofs that did not come.
    pub unconfirmed: Standing,
}

/// Something to be told outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// An alert begins.
    Firing(Alarm),
    /// An alert ends.
    Resolved(Alarm),
}

/// The rows of a series that are bad by now, each with its kind; nothing for the others. A slot is
/// closed by a later confirmed one, and one without a result by a later one that has a result.
pub fn bad(rows: &[WindowState], now: DateTime<Utc>) -> Vec<Option<Alarm>> {
    let fact = |row: &WindowState| row.recorded().is_some_and(|r| r.said.is_fact());
    let last = rows.iter().rposition(|row| row.kind == WindowKind::Slot && fact(row));
    let is_answered = |place: usize| {
        rows[place].kind == WindowKind::Slot && last.is_some_and(|last| place < last)
    };
    let mut all = unproved(rows, now);
    for (place, alarm) in all.iter_mut().enumerate() {
        if *alarm == Some(Alarm::Unconfirmed) && is_answered(place) {
            *alarm = None;
        }
    }
    all
}

/// The rows that are not proved by now, each with what it is in want of: a slot by a later confirmed one alone.
fn unproved(rows: &[WindowState], now: DateTime<Utc>) -> Vec<Option<Alarm>> {
    let confirmed =
        |row: &WindowState| row.recorded().is_some_and(|r| r.said == VerdictKind::Confirmed);
    let last = rows.iter().rposition(|row| row.kind == WindowKind::Slot && confirmed(row));
    let alarm = |(place, row): (usize, &WindowState)| {
        let closed = row.kind == WindowKind::Slot && last.is_some_and(|last| place < last);
        match row.open(now).filter(|_| !closed)? {
            VerdictKind::Confirmed => None,
            VerdictKind::Violated => Some(Alarm::Violated),
            VerdictKind::Unconfirmed(_) => Some(Alarm::Unconfirmed),
        }
    };
    rows.iter().enumerate().map(alarm).collect()
}

impl Standings {
    /// What is to be said to a receiver that knows only an earlier standing.
    pub fn since(self, before: Self) -> Vec<Notice> {
        let pairs = [
            (Alarm::Violated, before.violated, self.violated),
            (Alarm::Unconfirmed, before.unconfirmed, self.unconfirmed),
        ];
        let notice = |(alarm, before, now)| match (before, now) {
            (Standing::Calm, Standing::Firing { .. }) => Some(Notice::Firing(alarm)),
            (Standing::Firing { .. }, Standing::Calm) => Some(Notice::Resolved(alarm)),
            (Standing::Calm, Standing::Calm)
            | (Standing::Firing { .. }, Standing::Firing { .. }) => None,
        };
        pairs.into_iter().filter_map(notice).collect()
    }

    /// Says what is to be said now that the series has these rows, in the order of time.
    ///
    /// What begins comes before what ends: from unconfirmed to violated, the receiver is told without a
    /// moment in between in which all seems well.
    pub fn after(
        self,
        rows: &[WindowState],
        after: u32,
        now: DateTime<Utc>,
    ) -> (Self, Vec<Notice>) {
        let (bad, unproved) = (bad(rows, now), unproved(rows, now));
        let mut notices = Vec::new();
        let mut next = self;
        for (alarm, standing) in
            [(Alarm::Violated, &mut next.violated), (Alarm::Unconfirmed, &mut next.unconfirmed)]
        {
            let any = bad.contains(&Some(alarm));
            match *standing {
                Standing::Calm if any && in_a_row(rows, &unproved, alarm) >= after => {
                    *standing = Standing::Firing { since: now };
                    notices.push(Notice::Firing(alarm));
                }
                Standing::Firing { .. } if !any => {
                    *standing = Standing::Calm;
                    notices.push(Notice::Resolved(alarm));
                }
                Standing::Calm | Standing::Firing { .. } => {}
            }
        }
        notices.sort_by_key(|notice| match notice {
            Notice::Firing(_) => 0,
            Notice::Resolved(_) => 1,
        });
        (next, notices)
    }
}

/// The most windows in a row that are bad, this kind among them. What nothing is recorded of yet
/// neither counts nor interrupts.
fn in_a_row(rows: &[WindowState], bad: &[Option<Alarm>], alarm: Alarm) -> u32 {
    let (mut most, mut run, mut of_kind) = (0, 0, false);
    for (row, bad) in rows.iter().zip(bad) {
        match bad {
            Some(kind) => {
                run += 1;
                of_kind |= *kind == alarm;
                if of_kind {
                    most = most.max(run);
                }
            }
            None if row.recorded().is_some() => (run, of_kind) = (0, false),
            None => {}
        }
    }
    most
}

/// How long a series is healthy by what is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lease {
    /// It never was.
    Never,
    /// Until then, and not at that instant any more.
    Until(DateTime<Utc>),
}

/// The lease of health of a series.
///
/// It ends with the nominal deadline of the earliest row that is neither confirmed nor settled, the
/// next one included that is not due yet; from a violation on, it ended when that was recorded.
pub fn lease(rows: &[WindowState], next_deadline: DateTime<Utc>, now: DateTime<Utc>) -> Lease {
    let said = |row: &WindowState| row.recorded().map(|recorded| recorded.said);
    if !rows.iter().any(|row| said(row) == Some(VerdictKind::Confirmed)) {
        return Lease::Never;
    }
    let last = rows
        .iter()
        .rposition(|row| row.kind == WindowKind::Slot && said(row) == Some(VerdictKind::Confirmed));
    let ends = rows.iter().enumerate().filter_map(|(place, row)| {
        let closed = row.kind == WindowKind::Slot && last.is_some_and(|last| place < last);
        if closed || row.is_settled(now) {
            return None;
        }
        match row.recorded() {
            Some(recorded) => match recorded.said {
                VerdictKind::Confirmed => None,
                VerdictKind::Violated => Some(recorded.at),
                VerdictKind::Unconfirmed(_) => Some(row.deadline_nominal),
            },
            None => Some(row.deadline_nominal),
        }
    });
    Lease::Until(ends.chain([next_deadline]).min().unwrap_or(next_deadline))
}
