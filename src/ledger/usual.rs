//! How much evidence is usual: what earlier windows of a series had, held against what was looked at now.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::domain::check::reason::Cause;
use crate::domain::record::usual::{Earlier, Usual, compare, usual};
use crate::domain::record::window_state::{VerdictKind, WindowKind};
use crate::ledger::conn::{Each, args, each};
use crate::ledger::tx::Tx;
use crate::ledger::{Ended, LedgerError, RowKey};

/// What is usual for windows of this transaction.
pub(super) type UsualOf = BTreeMap<RowKey, u64>;

impl Tx<'_> {
    /// Reads what is usual for the windows that were confirmed.
    pub(super) async fn read_usual(&mut self) -> Result<UsualOf, LedgerError> {
        const EARLIER: Each = each!(
            ["SELECT r.place AS place, e.evidence AS evidence, e.end_at - e.start_at AS lasts FROM"],
            (0 "place" "bigint", 1 "wanted" "bigint", 2 "began" "bigint"),
            ["CROSS JOIN entries e CROSS JOIN series s WHERE e.series = r.wanted AND e.kind = 'window' \
              AND e.start_at = r.began AND s.id = e.series AND e.said = 'confirmed' \
              AND e.ruling = 'standing' AND e.evidence IS NOT NULL AND e.recorded_at >= s.meaning_at"]
        );
        let mut rows = Vec::new();
        for (place, ended) in self.work.ended.iter().enumerate() {
            let starts = ended.compared.iter().flat_map(|compared| &compared.starts);
            let place = i64::try_from(place).unwrap_or(i64::MAX);
            rows.extend(starts.map(|at| args![place, ended.key.series, *at]));
        }
        let mut earlier: BTreeMap<usize, Vec<Earlier>> = BTreeMap::new();
        for row in self.conn.all_each(&EARLIER, &rows, &[]).await? {
            let Ok(place) = usize::try_from(row.int("place")?) else { continue };
            let one = Earlier {
                evidence: row.count("evidence")?,
                lasts: TimeDelta::microseconds(row.int("lasts")?),
            };
            earlier.entry(place).or_default().push(one);
        }
        let of = |(place, earlier): (usize, Vec<Earlier>)| {
            let key = self.work.ended.get(place)?.key;
            Some((key, usual(key.end - key.start, &earlier)?))
        };
        Ok(earlier.into_iter().filter_map(of).collect())
    }

    /// Holds a proof against what is usual. Returns the attempt as one that said nothing, where it is on too little;
    /// where it is on little, that is told.
    pub(super) fn hold_against_usual(&mut self, ended: &Ended, all: &UsualOf) -> Option<Ended> {
        let usual = all.get(&ended.key).copied();
        let (Some(compared), Some(evidence), Some(usual)) =
            (ended.compared.as_ref(), ended.evidence, usual)
        else {
            // What is held against nothing is not thin any more.
            if ended.said == VerdictKind::Confirmed && ended.key.kind == WindowKind::Window {
                self.note_thin(ended.key, None);
            }
            return None;
        };
        let note =
            format!("{evidence} looked at, where {usual} are usual at this time of the week");
        match compare(evidence, usual, compared.wanted) {
            Usual::TooThin => {
                let wanted = compared.wanted.map(|share| share.to_string()).unwrap_or_default();
                let note = format!("{note}: `evidence: {{history: {wanted}}}` wants more");
                let said = VerdictKind::Unconfirmed(Cause::NoEvidence);
                return Some(Ended { said, note: Some(note), ..ended.clone() });
            }
            Usual::Thin => {
                self.remember(ended.key, "evidence", "usual", "thin", note.clone());
                self.note_thin(ended.key, Some(note));
            }
            Usual::Enough => self.note_thin(ended.key, None),
        }
        None
    }

    fn note_thin(&mut self, key: RowKey, note: Option<String>) {
        let noted = self.noted.entry(key.series).or_default();
        if noted.thin.as_ref().is_none_or(|(at, _)| *at <= key.start) {
            let day = key.start.format("%Y-%m-%dT%H:%MZ");
            let note = note.map(|note| format!("the window of {day}: {note}"));
            noted.thin = Some((key.start, note));
        }
    }
}
