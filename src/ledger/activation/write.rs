//! What an activation writes of many series at once, and what has to be proved anew.

use crate::domain::check::reason::Cause;
use crate::domain::record::window_state::{State, WindowState};
use crate::ledger::activation::Activating;
use crate::ledger::cells::Arg;
use crate::ledger::conn::{Each, args, each};
use crate::ledger::entry::{Entry, columns};
use crate::ledger::events::add_events;
use crate::ledger::times::{Newest, Times};
use crate::ledger::{LedgerError, Terms};

impl Activating<'_> {
    /// Writes what is to be written, in the order in which one follows from the other.
    pub(in crate::ledger) async fn flush(&mut self) -> Result<(), LedgerError> {
        const ADD: Each = each!(
            ["INSERT INTO series (check_id, tz, role, meaning, presentation, tz_release, since, \
              changed_at) SELECT check_id, tz, role, meaning, presentation, tz_release, $2, $2 FROM"],
            (0 "check_id" "text", 1 "tz" "text", 2 "role" "text", 3 "meaning" "text",
             4 "presentation" "text", 5 "tz_release" "text"),
            [""]
        );
        const REVIVE: Each = each!(
            ["UPDATE series SET retired_at = NULL, since = $2, changed_at = $2, \
              tz_release = r.release FROM"],
            (0 "wanted" "bigint", 1 "release" "text"),
            ["WHERE id = r.wanted"]
        );
        // What was open of it when it was removed is open again, and looked at at once; what is waived is
        // vouched for still.
        const REOPEN: Each = each!(
            ["UPDATE entries SET ruling = CASE WHEN waiver IS NOT NULL AND EXISTS (SELECT 1 FROM waivers w \
              WHERE w.id = entries.waiver AND w.until_at > $2) THEN 'waived' ELSE 'standing' END, \
              waived_until = (SELECT w.until_at FROM waivers w WHERE w.id = entries.waiver \
              AND w.until_at > $2), live = 1, asked = 1, wake_at = $2, lapse_at = $2 FROM"],
            (0 "wanted" "bigint"),
            ["WHERE series = r.wanted AND ruling = 'removed' AND kind = 'window' \
              AND state = 'recorded' AND (said = 'violated' OR (said = 'unconfirmed' \
              AND (cause <> 'missed' OR recorded_at >= deadline)))"]
        );
        const ROLE: Each = each!(
            ["UPDATE series SET role = r.becomes, watermark = NULL FROM"],
            (0 "wanted" "bigint", 1 "becomes" "text"),
            ["WHERE id = r.wanted"]
        );
        const NAME: Each = each!(
            ["UPDATE series SET meaning_at = CASE WHEN meaning = r.means THEN meaning_at ELSE $2 END, \
              meaning = r.means, presentation = r.shown, changed_at = $2 FROM"],
            (0 "wanted" "bigint", 1 "means" "text", 2 "shown" "text"),
            ["WHERE id = r.wanted"]
        );
        const RESUME: Each = each!(
            ["UPDATE entries SET not_before = $2, wake_at = $2 FROM"],
            (0 "wanted" "bigint", 1 "means" "text", 2 "shown" "text"),
            ["WHERE series = r.wanted AND live = 1 AND state = 'waiting' AND waits_for = 'paused'"]
        );
        const ASK: Each = each!(
            ["UPDATE entries SET source = r.asks, priority = r.urgency FROM"],
            (0 "wanted" "bigint", 1 "asks" "text", 2 "urgency" "bigint"),
            ["WHERE series = r.wanted AND live = 1"]
        );
        const RETIRE: Each = each!(
            ["UPDATE series SET retired_at = $2, changed_at = $2 FROM"],
            (0 "wanted" "bigint"),
            ["WHERE id = r.wanted"]
        );
        let later = std::mem::take(&mut self.later);
        let now: &[Arg] = &[self.now.into()];
        let ids = |rows: &[Vec<Arg>]| rows.iter().map(|row| row[..1].to_vec()).collect::<Vec<_>>();
        self.conn.run_each(&ADD, &later.new, now).await?;
        self.conn.run_each(&REVIVE, &later.revived, now).await?;
        self.conn.run_each(&REOPEN, &ids(&later.revived), now).await?;
        self.conn.run_each(&ROLE, &later.reshaped, &[]).await?;
        self.conn.run_each(&NAME, &later.renamed, now).await?;
        self.conn.run_each(&RESUME, &later.renamed, now).await?;
        self.prove_again(&later.proved_again).await?;
        // Last, so that what is to be proved again is asked of the right source too.
        self.conn.run_each(&ASK, &later.asked, &[]).await?;
        self.conn.run_each(&RETIRE, &later.retired, now).await?;
        add_events(self.conn, &later.events).await
    }

    /// What is open is tried at once, and so is the last row that is not; until that is proved under
    /// the new meaning, the old proof speaks for no longer than a new one may take. Of each series until when that is.
    pub(super) async fn prove_again(&mut self, series: &[Vec<Arg>]) -> Result<(), LedgerError> {
        const RUNNING: Each = each!(
            ["SELECT ", columns!(), " FROM entries JOIN"],
            (0 "wanted" "bigint", 1 "until_at" "bigint"),
            ["ON series = r.wanted WHERE live = 1 AND state = 'running'"]
        );
        // What is past of the present cannot be looked at: of slots only the last one is.
        // How much a violated one was looked at says nothing of what its check looks at now.
        const OPEN: Each = each!(
            ["UPDATE entries SET asked = 1, wake_at = $2, evidence = NULL FROM"],
            (0 "wanted" "bigint", 1 "until_at" "bigint"),
            ["WHERE series = r.wanted AND live = 1 AND state = 'recorded' AND (kind = 'window' \
              OR (start_at = end_at AND start_at = (SELECT MAX(l.start_at) FROM entries l \
              WHERE l.series = entries.series AND l.kind = 'slot')))"]
        );
        // Once of each series, by its key: a series may have a year of minutes.
        const NEWEST: Each = each!(
            ["SELECT wanted, until_at, (SELECT l.start_at FROM entries l WHERE l.series = r.wanted \
              AND l.kind = 'window' AND l.state = 'recorded' ORDER BY l.start_at DESC LIMIT 1) AS newest_window, \
              (SELECT l.start_at FROM entries l WHERE l.series = r.wanted AND l.kind = 'slot' \
              AND l.state = 'recorded' ORDER BY l.start_at DESC LIMIT 1) AS newest_slot FROM"],
            (0 "wanted" "bigint", 1 "until_at" "bigint"),
            ["WHERE EXISTS (SELECT 1 FROM series s WHERE s.id = r.wanted AND s.watermark IS NOT NULL)"]
        );
        const LAST: Each = each!(
            ["UPDATE entries SET asked = 1, wake_at = $2, live = 1, reproof_by = r.until_at, \
              lapse_at = r.until_at FROM"],
            (0 "wanted" "bigint", 1 "until_at" "bigint", 2 "newest" "bigint"),
            ["WHERE series = r.wanted AND kind IN ('window', 'slot') AND start_at = r.newest \
              AND state = 'recorded' AND ruling <> 'removed' AND (kind = 'window' OR start_at = end_at)"]
        );
        const CAP: Each = each!(
            ["UPDATE series SET lease_until = CASE WHEN lease_until > r.until_at THEN r.until_at \
              ELSE lease_until END FROM"],
            (0 "wanted" "bigint", 1 "until_at" "bigint"),
            ["WHERE id = r.wanted"]
        );
        let mut values = Vec::new();
        for record in self.conn.all_each(&RUNNING, series, &[]).await? {
            // Whoever attempts it asks what is not asked any more: he is fenced off.
            let entry = Entry::read(&record)?;
            let row = &entry.row;
            let state = match row.recorded() {
                Some(before) => State::Recorded(before),
                None => State::Waiting { not_before: self.now, last: Some(Cause::Interrupted) },
            };
            let row = WindowState { state, epoch: row.epoch + 1, ..*row };
            let entry = Entry { row, owner: None, asked: true, evidence: None, ..entry };
            let times = Times::of(&entry, &Terms::gone(self.now), Newest::Yes, self.now);
            values.push(entry.values(&times));
        }
        Entry::write_each(self.conn, &values).await?;
        let now: &[Arg] = &[self.now.into()];
        self.conn.run_each(&OPEN, series, now).await?;
        let mut last = Vec::with_capacity(series.len());
        for row in self.conn.all_each(&NEWEST, series, &[]).await? {
            let newest = row.maybe_int("newest_window")?.max(row.maybe_int("newest_slot")?);
            if let Some(newest) = newest {
                last.push(args![row.int("wanted")?, row.int("until_at")?, newest]);
            }
        }
        self.conn.run_each(&LAST, &last, now).await?;
        self.conn.run_each(&CAP, series, &[]).await.map(drop)
    }
}
