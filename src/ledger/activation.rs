//! Series on their way from one generation to the next: new ones begin, renamed ones go on, those
//! that mean something else are proved again, those that are gone take their rows along.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::check::name::CheckId;
use crate::domain::check::reason::Cause;
use crate::domain::check::succession::Succession;
use crate::domain::record::window_state::{Override, Recorded, State, VerdictKind, WindowState};
use crate::ledger::conn::{Arg, Conn, Each, args, each};
use crate::ledger::entry::{Entry, Newest, Times, columns};
use crate::ledger::memory::{add_events, event_values, standing_event};
use crate::ledger::series_record::series_columns;
use crate::ledger::summary::recompute;
use crate::ledger::tx::Tx;
use crate::ledger::{
    Activation, Happened, LedgerError, Role, SeriesRecord, StandingChange, StoreSettings, Terms,
    Traits,
};

/// Series that are on their way from one generation to the next.
pub(super) struct Activating<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) settings: &'a StoreSettings,
    pub(super) now: DateTime<Utc>,
    /// What is written of many series at once.
    later: Later,
}

/// What is to be written of many series: one statement for all that are written alike.
#[derive(Debug, Default)]
struct Later {
    new: Vec<Vec<Arg>>,
    revived: Vec<Vec<Arg>>,
    turned: Vec<Vec<Arg>>,
    renamed: Vec<Vec<Arg>>,
    proved_again: Vec<Vec<Arg>>,
    asked: Vec<Vec<Arg>>,
    retired: Vec<Vec<Arg>>,
    events: Vec<Vec<Arg>>,
}

/// A series as it stands before the move.
struct Known {
    id: i64,
    role: String,
    meaning: String,
    presentation: String,
    retired: bool,
}

impl<'a> Activating<'a> {
    pub(super) fn new(conn: &'a mut Conn, settings: &'a StoreSettings, now: DateTime<Utc>) -> Self {
        Self { conn, settings, now, later: Later::default() }
    }

    pub(super) fn remember(
        &mut self,
        kind: &'static str,
        check: Option<&str>,
        tz: Option<&str>,
        was: &str,
        becomes: &str,
        note: String,
    ) {
        let (was, becomes) = (was.to_owned(), becomes.to_owned());
        let (check, tz) = (check.map(str::to_owned), tz.map(str::to_owned));
        let happened = Happened { kind, check, tz, was, becomes, note };
        self.later.events.push(event_values(self.settings, self.now, happened, None));
    }

    pub(super) async fn store(&mut self, activation: &Activation) -> Result<i64, LedgerError> {
        const AGAIN: &str = "UPDATE generations SET active = 1 WHERE id = \
            (SELECT MAX(id) FROM generations WHERE digest = $1) RETURNING id";
        const ADD: &str = "INSERT INTO generations (digest, text, tz_release, loaded_at, \
            loaded_by, active) VALUES ($1, $2, $3, $4, $5, 1) RETURNING id";
        let digest = activation.digest.as_str();
        if let Some(row) = self.conn.first(AGAIN, args![digest]).await? {
            return row.int(0);
        }
        let (text, tz) = (activation.text.as_str(), activation.tz_release.as_str());
        let values = args![digest, text, tz, self.now, activation.loaded_by.as_str()];
        let row = self.conn.first(ADD, values).await?;
        row.ok_or_else(|| LedgerError::odd("a generation was not stored"))?.int(0)
    }

    /// Renames, removes and turns checks.
    pub(super) async fn succeed(&mut self, succession: &Succession) -> Result<(), LedgerError> {
        const RENAME: &str = "UPDATE series SET check_id = $1, changed_at = $2 WHERE check_id = $3";
        // Those that vanished may have open rows.
        const OF_CHECK: &str = "SELECT id FROM series WHERE check_id = $1";
        // An id that was used before: its history stays under another name.
        const ASIDE: &str = "UPDATE series SET check_id = 'retired-' || CAST(id AS TEXT), \
            changed_at = $1 WHERE check_id = $2";
        const ANEW: &str = "UPDATE series SET watermark = NULL, since = $1, confirmed_at = NULL, \
            confirmed_slot = NULL, lease_until = NULL, changed_at = $1 WHERE id = $2";
        for (was, id) in &succession.renamed {
            self.conn.run(ASIDE, args![self.now, id.as_str()]).await?;
            self.conn.run(RENAME, args![id.as_str(), self.now, was.as_str()]).await?;
            self.remember(
                "check",
                Some(id.as_str()),
                None,
                was.as_str(),
                id.as_str(),
                String::new(),
            );
        }
        let gone = succession.gone.iter().map(|(id, because)| (id, because.clone(), true));
        let turned = succession.turned.iter().map(|id| (id, None, false));
        for (id, because, is_gone) in gone.chain(turned) {
            for row in self.conn.all(OF_CHECK, args![id.as_str()]).await? {
                let series = row.int(0)?;
                self.remove_rows(series).await?;
                // Should it come back, it begins anew.
                self.conn.run(ANEW, args![self.now, series]).await?;
                if is_gone {
                    self.retire(series);
                }
            }
            let becomes = if is_gone { "removed" } else { "turned" };
            let note = because.unwrap_or_default();
            self.remember("check", Some(id.as_str()), None, "running", becomes, note);
        }
        self.flush().await
    }

    /// Closes what is open of a series whose check is gone: somebody accepted that.
    async fn remove_rows(&mut self, series: i64) -> Result<(), LedgerError> {
        const LIVE: &str =
            concat!("SELECT ", columns!(), " FROM entries WHERE series = $1 AND live = 1");
        const QUIET: &str = "UPDATE entries SET wake_at = NULL, lapse_at = NULL WHERE series = $1 \
            AND (wake_at IS NOT NULL OR lapse_at IS NOT NULL)";
        for record in self.conn.all(LIVE, args![series]).await? {
            let entry = Entry::read(&record)?;
            let said = VerdictKind::Unconfirmed(Cause::Missed);
            let missed = Recorded { said, at: self.now, tried: self.now };
            let recorded = entry.row.recorded().unwrap_or(missed);
            let (state, overridden) = (State::Recorded(recorded), Override::Removed);
            let row = WindowState { state, overridden, epoch: entry.row.epoch + 1, ..entry.row };
            let entry = Entry { row, owner: None, asked: false, reproof_by: None, ..entry };
            let times = Times { wake_at: None, lapse_at: None, live: false };
            entry.write(self.conn, &times).await?;
        }
        self.conn.run(QUIET, args![series]).await?;
        let mut told: Vec<StandingChange> = Vec::new();
        recompute(self.conn, series, None, self.now, &mut told).await?;
        for told in told {
            standing_event(self.conn, self.settings, self.now, series, told.notice).await?;
        }
        Ok(())
    }

    fn retire(&mut self, series: i64) {
        self.later.retired.push(args![series]);
    }

    async fn known(
        &mut self,
        check: Option<&str>,
    ) -> Result<BTreeMap<(String, String), Known>, LedgerError> {
        const ALL: &str =
            "SELECT check_id, tz, id, role, meaning, presentation, retired_at FROM series";
        const ONE: &str = "SELECT check_id, tz, id, role, meaning, presentation, retired_at \
                           FROM series WHERE check_id = $1";
        let rows = match check {
            Some(check) => self.conn.all(ONE, args![check]).await?,
            None => self.conn.all(ALL, Vec::new()).await?,
        };
        let known = rows.iter().map(|row| {
            let known = Known {
                id: row.int(2)?,
                role: row.text(3)?.to_owned(),
                meaning: row.text(4)?.to_owned(),
                presentation: row.text(5)?.to_owned(),
                retired: row.maybe_int(6)?.is_some(),
            };
            Ok(((row.text(0)?.to_owned(), row.text(1)?.to_owned()), known))
        });
        known.collect()
    }

    /// Brings the series of the store to those that are declared.
    pub(super) async fn settle(&mut self, activation: &Activation) -> Result<(), LedgerError> {
        let known = self.known(None).await?;
        let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
        for planned in &activation.series {
            let name = (planned.check.as_str().to_owned(), planned.tz.clone().unwrap_or_default());
            if let Some(traits) = activation.checks.get(&planned.check) {
                let tz_release = &activation.tz_release;
                self.want(known.get(&name), &name, planned.role, traits, tz_release);
            }
            wanted.insert(name);
        }
        for ((check, tz), known) in known.iter().filter(|(name, _)| !wanted.contains(name)) {
            let traits = CheckId::parse(check).ok().and_then(|id| activation.checks.get(&id));
            match traits {
                // Its list will say whether it is still there.
                Some(traits) if traits.list_source.is_some() && !tz.is_empty() => {
                    if !known.retired {
                        self.refresh(known, traits);
                    }
                }
                Some(_) if !known.retired => {
                    // A list that is not read any more says nothing that could be open.
                    if known.role == "list" {
                        self.remove_rows(known.id).await?;
                    }
                    self.retire(known.id);
                    let note =
                        "its check names it no more; what is open of it stays open".to_owned();
                    self.remember("series", Some(check), Some(tz), "running", "vanished", note);
                }
                Some(_) | None => {}
            }
        }
        self.flush().await
    }

    /// Makes sure that a series is there, and means what it should.
    fn want(
        &mut self,
        known: Option<&Known>,
        (check, tz): &(String, String),
        role: Role,
        traits: &Traits,
        tz_release: &str,
    ) {
        let role = if role == Role::List { "list" } else { "data" };
        let Some(known) = known else {
            let (meaning, presentation) = (traits.meaning.as_str(), traits.presentation.as_str());
            let (check, tz) = (check.as_str(), tz.as_str());
            self.later.new.push(args![check, tz, role, meaning, presentation, tz_release]);
            return;
        };
        if known.retired {
            self.later.revived.push(args![known.id, tz_release]);
        }
        if known.role != role {
            self.later.turned.push(args![known.id, role]);
        }
        self.refresh(known, traits);
    }

    /// Has a series proved again where it means something else, and asked anew where it is asked
    /// otherwise.
    fn refresh(&mut self, known: &Known, traits: &Traits) {
        if known.meaning == traits.meaning && known.presentation == traits.presentation {
            return;
        }
        let (meaning, presentation) = (traits.meaning.as_str(), traits.presentation.as_str());
        self.later.renamed.push(args![known.id, meaning, presentation]);
        if known.meaning != traits.meaning {
            self.later.proved_again.push(args![known.id, self.now + traits.patience]);
        }
        let source = match &traits.list_source {
            Some(source) if known.role == "list" => source.as_str(),
            Some(_) | None => traits.source.as_str(),
        };
        self.later.asked.push(args![known.id, source, traits.priority]);
    }

    /// Writes what is to be written, in the order in which one follows from the other.
    pub(super) async fn flush(&mut self) -> Result<(), LedgerError> {
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
        // What was open of it when it was removed is open again, and looked at at once; what somebody vouched for is
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
            ["UPDATE series SET meaning = r.means, presentation = r.shown, changed_at = $2 FROM"],
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
        self.conn.run_each(&ROLE, &later.turned, &[]).await?;
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
    async fn prove_again(&mut self, series: &[Vec<Arg>]) -> Result<(), LedgerError> {
        const RUNNING: Each = each!(
            ["SELECT ", columns!(), " FROM entries JOIN"],
            (0 "wanted" "bigint", 1 "until_at" "bigint"),
            ["ON series = r.wanted WHERE live = 1 AND state = 'running'"]
        );
        // What is past of the present cannot be looked at: of slots only the last one is.
        const OPEN: Each = each!(
            ["UPDATE entries SET asked = 1, wake_at = $2 FROM"],
            (0 "wanted" "bigint", 1 "until_at" "bigint"),
            ["WHERE series = r.wanted AND live = 1 AND state = 'recorded' AND (kind = 'window' \
              OR (start_at = end_at AND start_at = (SELECT MAX(l.start_at) FROM entries l \
              WHERE l.series = entries.series AND l.kind = 'slot')))"]
        );
        const LAST: Each = each!(
            ["UPDATE entries SET asked = 1, wake_at = $2, live = 1, reproof_by = r.until_at, \
              lapse_at = r.until_at FROM"],
            (0 "wanted" "bigint", 1 "until_at" "bigint"),
            ["WHERE series = r.wanted AND EXISTS (SELECT 1 FROM series s WHERE s.id = entries.series \
              AND s.watermark IS NOT NULL) AND state = 'recorded' AND ruling <> 'removed' \
              AND (kind = 'window' OR start_at = end_at) AND start_at = (SELECT MAX(l.start_at) \
              FROM entries l WHERE l.series = entries.series AND l.state = 'recorded')"]
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
            let entry = Entry { row, owner: None, asked: true, ..entry };
            let times = Times::of(&entry, &Terms::gone(self.now), Newest::Yes, self.now);
            values.push(entry.values(&times));
        }
        Entry::write_each(self.conn, &values).await?;
        let now: &[Arg] = &[self.now.into()];
        self.conn.run_each(&OPEN, series, now).await?;
        self.conn.run_each(&LAST, series, now).await?;
        self.conn.run_each(&CAP, series, &[]).await.map(drop)
    }
}

/// Brings the series of checks that fan out over lists to what the lists say.
pub(super) async fn settle_lists(tx: &mut Tx<'_>) -> Result<(), LedgerError> {
    let Tx { conn, settings, work, now, accepted, .. } = tx;
    let mut moving = Activating::new(conn, settings, *now);
    let mut changed: Vec<String> = Vec::new();
    // Whoever was fenced off read a list that may be an old one.
    for listing in work.listings.iter().filter(|listing| accepted.contains(&listing.key)) {
        let check = listing.check.as_str();
        let known = moving.known(Some(check)).await?;
        let zones: BTreeSet<&str> = listing.zones.iter().map(String::as_str).collect();
        for zone in &zones {
            let name = (check.to_owned(), (*zone).to_owned());
            let there = known.get(&name);
            if there.is_none_or(|known| known.retired) {
                moving.want(there, &name, Role::Data, &listing.traits, &work.tz_release);
                let note = "its list names it".to_owned();
                moving.remember("series", Some(check), Some(zone), "", "appeared", note);
                changed.push(check.to_owned());
            }
        }
        let vanished = known.iter().filter(|((_, tz), known)| {
            listing.whole && !known.retired && !tz.is_empty() && !zones.contains(tz.as_str())
        });
        for ((_, tz), known) in vanished {
            moving.retire(known.id);
            let note = "its list names it no more; what was due by now is looked at".to_owned();
            moving.remember("series", Some(check), Some(tz), "running", "vanished", note);
            changed.push(check.to_owned());
        }
        moving.flush().await?;
    }
    const OF_CHECK: &str =
        concat!("SELECT ", series_columns!(), " FROM series WHERE check_id = $1");
    changed.dedup();
    for check in changed {
        for record in tx.conn.all(OF_CHECK, args![check]).await? {
            tx.done.series.push(SeriesRecord::read(&record)?);
        }
    }
    Ok(())
}
