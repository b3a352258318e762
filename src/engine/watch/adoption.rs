//! Alerts that stand outside and of which the ledger knows nothing: it is a new one, an older copy of itself, or another
//! installation writes under the same labels.
//!
//! What no daemon would keep up any more is adopted: it is kept up here, and ends by a fresh proof of its series or by an
//! operator's word. What another ledger keeps up is left to that one.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::seen::{FirstLook, SeenAlert, installation};
use crate::domain::record::standing::{Alarm, Standing};
use crate::engine::order::EndAdopted;
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{Adopted, AlertRow, Happened, LedgerError, RowOrder, Selected, Words};

/// How far another replica's attempts may be ahead of what was read of them.
const REPLICAS_AHEAD: TimeDelta = TimeDelta::seconds(60);

/// What was made of what Alertmanagers held at first.
#[derive(Debug, Default)]
pub(super) struct Adoption {
    /// When the newest attempt ended that was written down when this process began.
    resumed_at: Option<DateTime<Utc>>,
    /// When it was found that the ledger is older than it was.
    pub(super) went_back_at: Option<DateTime<Utc>>,
    /// Series of alerts that were adopted, of which windows are asked for.
    asked: Vec<i64>,
    /// First looks that were taken into account.
    done: Vec<Arc<FirstLook>>,
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Reads how far the ledger has come.
    pub(super) async fn resume_adoption(&mut self) -> Result<(), LedgerError> {
        self.adoption.resumed_at = self.store.newest_attempt().await?;
        self.adoption.went_back_at = self.store.went_back_at().await?;
        Ok(())
    }

    /// Up to when the ledger has attempts.
    pub(super) fn sequence(&self) -> Option<DateTime<Utc>> {
        let last = self.roster.members().filter_map(|member| Some(member.record.last.as_ref()?.at));
        last.max().max(self.adoption.resumed_at)
    }

    /// Takes over what stands outside and is not known here.
    pub(super) async fn adopt_alerts(&mut self) -> Result<(), LedgerError> {
        if self.generation.is_none() {
            return Ok(());
        }
        for look in self.notices.first_looks() {
            if self.adoption.done.iter().any(|done| Arc::ptr_eq(done, &look)) {
                continue;
            }
            self.take_first_look(&look).await?;
            self.adoption.done.push(look);
        }
        self.adoption.asked.clear();
        // Nothing ends by the proof of one window while another one of its series is to be proved again.
        if self.has_proved_adopted(self.now()) {
            let adopted = self.alerts.rows.iter().filter(|row| row.adopted.is_some());
            let series: Vec<i64> = adopted
                .map(|row| self.series_of(row.labels.get("check"), row.labels.get("tz")))
                .collect();
            self.adoption.asked = self.store.asked_for(&series).await?;
        }
        Ok(())
    }

    async fn take_first_look(&mut self, look: &FirstLook) -> Result<(), LedgerError> {
        let now = self.now();
        let ours = installation(&self.reading.labels);
        let id = self.store.id().to_owned();
        let known = |seen: &SeenAlert| {
            self.alerts.rows.iter().any(|row| {
                let is_later = row.starts_at + TimeDelta::seconds(1) >= seen.starts_at;
                row.labels == seen.labels && (row.ended_at.is_none() || is_later)
            })
        };
        let is_unknown = |seen: &&SeenAlert| !known(seen);
        let found = look.alerts.iter().filter(is_unknown);
        let found: Vec<AlertRow> =
            found.filter_map(|seen| self.adopted(seen, seen.ledger_in(&ours)?, now)).collect();
        let adopted = if found.is_empty() { 0 } else { self.store.adopt(&found).await? };
        let is_ours = |row: &AlertRow| row.adopted.as_ref().is_some_and(|a| a.ledger == id);
        let lost = adopted > 0 && found.iter().any(is_ours);
        let mine = look.alerts.iter().filter(|seen| seen.ledger_in(&ours) == Some(&id));
        let ahead = mine.filter_map(SeenAlert::sequence).max().filter(|at| self.is_ahead(*at));
        if adopted > 0 {
            tracing::warn!(
                "{adopted} alerts stand of which the ledger knows nothing: they are kept up"
            );
            self.events.push(event(format!("{adopted} alerts"), "adopted", String::new()));
            self.read_alerts().await?;
            self.shown_at = None;
        }
        if lost || ahead.is_some() {
            self.went_back(ahead, now).await?;
        } else if adopted > 0 && self.sequence().is_some() {
            // Another ledger was used since this one was: what it found, this one may have as confirmed.
            let foreign = found.iter().map(|row| row.series).collect();
            let words =
                "every window up to catch_up.age of the series of which another ledger alerted";
            self.prove_again_what_is(&foreign, words.to_owned(), now).await?;
        }
        Ok(())
    }

    /// Has every window of some series proved again, up to `catch_up.age`.
    async fn prove_again_what_is(
        &mut self,
        series: &BTreeSet<i64>,
        words: String,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let members = self.roster.members().filter(|member| series.contains(&member.record.id));
        let windows = members.filter(|member| member.series.window().is_some());
        let rows: Vec<_> =
            windows.map(|member| (member.record.id, now - member.terms.age, now)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let order = RowOrder::Rerun { by: "allswell".to_owned(), accepted: None };
        self.store_order(&order, &Selected { rows, words }).await.map(drop)
    }

    /// Says whether the ledger had attempts that it does not have any more.
    fn is_ahead(&self, sequence: DateTime<Utc>) -> bool {
        if self.store.is_shared() {
            // Other replicas go on writing, and say so outside before it is read here.
            return self.sequence().is_none_or(|known| sequence > known + REPLICAS_AHEAD);
        }
        self.adoption.resumed_at.is_none_or(|known| sequence > known)
    }

    /// An alert that was found, as it is written down; nothing where it is not about a series.
    fn adopted(&self, seen: &SeenAlert, ledger: &str, at: DateTime<Utc>) -> Option<AlertRow> {
        let told = |name: &str| seen.annotations.get(name).cloned().unwrap_or_default();
        let words = Words { summary: told("summary"), description: told("description") };
        Some(AlertRow {
            labels: seen.labels.clone(),
            series: self.series_of(seen.labels.get("check"), seen.labels.get("tz")),
            alarm: seen.alarm()?,
            starts_at: seen.starts_at,
            ended_at: None,
            told_at: None,
            adopted: Some(Adopted { at, ledger: ledger.to_owned(), words }),
        })
    }

    /// The series of a check in a zone; 0 where none is watched.
    fn series_of(&self, check: &str, tz: &str) -> i64 {
        let mut members = self.roster.members();
        let member = members.find(|member| {
            member.record.check.as_str() == check && member.record.tz.as_deref().unwrap_or("") == tz
        });
        member.map_or(0, |member| member.record.id)
    }

    /// The ledger is an older copy of itself: what it calls confirmed may have been found wrong since.
    async fn went_back(
        &mut self,
        ahead: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.store.put_went_back(now).await?;
        let all = self.roster.members().map(|member| member.record.id).collect();
        let words = "every window up to catch_up.age: the ledger went back".to_owned();
        self.prove_again_what_is(&all, words, now).await?;
        let known = self.adoption.resumed_at.map_or("none".to_owned(), |at| format!("{at:.0?}"));
        let had = ahead.map_or("more".to_owned(), |at| format!("{at:.0?}"));
        tracing::error!(
            "the ledger is older than it was: its newest attempt is {known}, and {had} was known outside"
        );
        self.events.push(event(had, &known, "the ledger is older than it was".to_owned()));
        self.adoption.went_back_at = Some(now);
        Ok(())
    }

    /// Says whether an alert that was adopted may end: its series was proved since, long enough after it was found that
    /// another ledger would have shown itself.
    pub(super) fn is_proved_since(
        &self,
        row: &AlertRow,
        adopted: &Adopted,
        now: DateTime<Utc>,
    ) -> bool {
        let (check, tz) = (row.labels.get("check"), row.labels.get("tz"));
        let series = self.series_of(check, tz);
        let is_asked = self.under_order.any || self.adoption.asked.contains(&series);
        if is_asked || self.notices.kept_by_another().contains(&row.labels.fingerprint()) {
            return false;
        }
        let member = self.roster.get(series);
        let calm = member.filter(|member| {
            let standings = member.record.standings;
            let standing = match row.alarm {
                Alarm::Violated => standings.violated,
                Alarm::Unconfirmed => standings.unconfirmed,
            };
            standing == Standing::Calm
        });
        let confirmed_at = calm.and_then(|member| member.record.confirmed_at);
        now >= adopted.at + self.notices.patience()
            && confirmed_at.is_some_and(|at| at > adopted.at)
    }

    /// Says whether an alert that was adopted may end.
    pub(super) fn has_proved_adopted(&self, now: DateTime<Utc>) -> bool {
        let standing = self.alerts.rows.iter().filter(|row| row.ended_at.is_none());
        let mut adopted = standing.filter_map(|row| Some((row, row.adopted.as_ref()?)));
        adopted.any(|(row, adopted)| self.is_proved_since(row, adopted, now))
    }

    /// A waiver of windows of a series covers what was adopted of it too.
    pub(super) async fn waive_adopted(&mut self, order: &RowOrder, selected: &Selected) {
        if !matches!(order, RowOrder::Waive(_)) {
            return;
        }
        let now = self.now();
        let is_meant = |row: &&AlertRow| {
            let series = self.series_of(row.labels.get("check"), row.labels.get("tz"));
            let is_selected = selected.rows.iter().any(|(selected, ..)| *selected == series);
            row.adopted.is_some() && row.ended_at.is_none() && is_selected
        };
        let ended = self.alerts.rows.iter().filter(is_meant).cloned();
        let ended: Vec<AlertRow> =
            ended.map(|row| AlertRow { ended_at: Some(now), ..row }).collect();
        if let (false, Err(trouble)) = (ended.is_empty(), self.end_alerts(ended).await) {
            tracing::warn!(%trouble, "alerts that were adopted and are waived did not end");
        }
    }

    /// Ends alerts that were adopted, by an operator's word; returns how many that were.
    pub(super) async fn end_adopted(&mut self, end: &EndAdopted) -> Result<usize, LedgerError> {
        let (now, EndAdopted { check, tz, by, because }) = (self.now(), end);
        let is_meant = |row: &&AlertRow| {
            let is = |name: &str, wanted: &Option<String>| {
                wanted.as_ref().is_none_or(|wanted| row.labels.get(name) == wanted)
            };
            row.adopted.is_some() && row.ended_at.is_none() && is("check", check) && is("tz", tz)
        };
        let ended: Vec<AlertRow> = self.alerts.rows.iter().filter(is_meant).cloned().collect();
        let ended: Vec<AlertRow> =
            ended.into_iter().map(|row| AlertRow { ended_at: Some(now), ..row }).collect();
        let count = ended.len();
        self.end_alerts(ended).await?;
        let note = format!("by {by}: {because}");
        self.events.push(event(format!("{count} adopted alerts"), "ended", note));
        Ok(count)
    }
}

fn event(was: String, becomes: &str, note: String) -> Happened {
    let becomes = becomes.to_owned();
    Happened { kind: "ledger", check: None, tz: None, was, becomes, note }
}
