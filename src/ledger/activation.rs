//! Series on their way from one generation to the next: new ones begin, renamed ones go on, those
//! that mean something else are proved again, those that are gone take their rows along.

mod write;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::check::name::CheckId;
use crate::domain::check::reason::Cause;
use crate::domain::check::succession::Succession;
use crate::domain::record::window_state::{Override, Recorded, State, VerdictKind, WindowState};
use crate::ledger::cells::Arg;
use crate::ledger::conn::{Conn, args};
use crate::ledger::entry::{Entry, columns};
use crate::ledger::events::{event_values, standing_event};
use crate::ledger::series_record::series_columns;
use crate::ledger::summary::recompute;
use crate::ledger::times::Times;
use crate::ledger::tx::Tx;
use crate::ledger::zones_accepted;
use crate::ledger::{
    Activation, Happened, LedgerError, Role, SeriesRecord, StandingChange, StoreSettings, Traits,
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
    reshaped: Vec<Vec<Arg>>,
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
            return row.int("id");
        }
        let (text, tz) = (activation.text.as_str(), activation.tz_release.as_str());
        let values = args![digest, text, tz, self.now, activation.loaded_by.as_str()];
        let row = self.conn.first(ADD, values).await?;
        row.ok_or_else(|| LedgerError::odd("a generation was not stored"))?.int("id")
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
        let reshaped = succession.reshaped.iter().map(|id| (id, None, false));
        for (id, because, is_gone) in gone.chain(reshaped) {
            for row in self.conn.all(OF_CHECK, args![id.as_str()]).await? {
                let series = row.int("id")?;
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

    /// Closes what is open of a series whose check is gone: an operator accepted that.
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
                id: row.int("id")?,
                role: row.text("role")?.to_owned(),
                meaning: row.text("meaning")?.to_owned(),
                presentation: row.text("presentation")?.to_owned(),
                retired: row.maybe_int("retired_at")?.is_some(),
            };
            Ok(((row.text("check_id")?.to_owned(), row.text("tz")?.to_owned()), known))
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
            self.later.reshaped.push(args![known.id, role]);
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
}

/// Brings the series of checks that fan out over lists to what the lists say.
pub(super) async fn settle_lists(tx: &mut Tx<'_>) -> Result<(), LedgerError> {
    let Tx { conn, settings, work, now, accepted, .. } = tx;
    let mut activating = Activating::new(conn, settings, *now);
    let mut changed: Vec<String> = Vec::new();
    // Whoever was fenced off read a list that may be an old one.
    for listing in work.listings.iter().filter(|listing| accepted.contains(&listing.key)) {
        let check = listing.check.as_str();
        let known = activating.known(Some(check)).await?;
        let zones: BTreeSet<&str> = listing.zones.iter().map(String::as_str).collect();
        for zone in &zones {
            let name = (check.to_owned(), (*zone).to_owned());
            let there = known.get(&name);
            if there.is_none_or(|known| known.retired) {
                activating.want(there, &name, Role::Data, &listing.traits, &work.tz_release);
                let note = "its list names it".to_owned();
                activating.remember("series", Some(check), Some(zone), "", "appeared", note);
                changed.push(check.to_owned());
            }
        }
        let vanished = known.iter().filter(|((_, tz), known)| {
            listing.whole && !known.retired && !tz.is_empty() && !zones.contains(tz.as_str())
        });
        for ((_, tz), known) in vanished {
            activating.retire(known.id);
            let note = "its list names it no more; what was due by now is looked at".to_owned();
            activating.remember("series", Some(check), Some(tz), "running", "vanished", note);
            changed.push(check.to_owned());
        }
        activating.flush().await?;
        if listing.whole {
            zones_accepted::taken(activating.conn, check, activating.now).await?;
            changed.push(check.to_owned());
        }
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
