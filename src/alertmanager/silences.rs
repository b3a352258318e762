//! Silences: those that keep a check quiet by an operator's word, and those that hold back what stands.
//!
//! What is to be silent is a state too: a silence that was lost is made again, and one of ours that the ledger does not
//! want any more is expired. Each names in its comment what it follows from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use tokio::time::Instant;

use crate::alertmanager::{Alertmanager, LIST_EACH, payload};
use crate::board::{Board, QuietBoard};
use crate::domain::alerting::outbox::Sight;
use crate::domain::alerting::quiet::{HELD, Quiet, Silence};

/// How often it is asked for a silence that another member of its cluster makes.
const SOON: Duration = Duration::from_millis(500);
/// For how long what is new is tried as often as that.
const NEWS: Duration = Duration::from_secs(20);
/// How many silences that are not ours are looked at.
const LOOKED_AT: usize = 20;
/// How long before its end a silence is over that a person ended: clocks are not that far apart.
const ENDED_EARLY: TimeDelta = TimeDelta::seconds(60);
/// How old a silence of ours is that no record knows, before it is taken to be left over.
const LEFT_OVER: TimeDelta = TimeDelta::seconds(60);

/// Which checks are kept quiet, and whether that holds.
pub(super) type QuietNow = Vec<(i64, bool)>;

impl Alertmanager {
    /// Makes the silences that are wanted and are not there, expires those of ours that are wanted no more, and looks at
    /// those that hold back what stands.
    pub(super) async fn keep_silences(&mut self, board: &Board) {
        let now = self.now();
        let all = board.quiet.all.iter();
        let wanted: QuietNow = all.map(|quiet| (quiet.id, quiet.holds(now))).collect();
        let is_due = Instant::now() >= self.silences_at || wanted != self.quiet_before;
        if self.first_tries.is_some() || Instant::now() < self.again_at || !is_due {
            return;
        }
        self.silences_at = Instant::now() + LIST_EACH;
        if wanted != self.quiet_before {
            (self.quiet_before, self.quiet_since) = (wanted, Instant::now());
        }
        let is_new = self.quiet_since.elapsed() < NEWS;
        let (quiets, ours) = match self.list_ours().await {
            Ok((listed, over)) => (self.settle_quiets(board, &listed, &over).await, listed),
            Err(why) => {
                let holding = board.quiet.all.iter().filter(|quiet| quiet.holds(now));
                (holding.map(|quiet| (quiet.id, Err(why.clone()))).collect(), Vec::new())
            }
        };
        if is_new && quiets.values().any(Result::is_err) {
            self.silences_at = Instant::now() + SOON;
        }
        let silences = self.hold_back(ours).await;
        self.health.send_if_modified(|health| {
            let same = *health.quiets == quiets && *health.silences == silences;
            (health.quiets, health.silences) = (Arc::new(quiets), Arc::new(silences));
            !same
        });
    }

    /// The silences that keep a check quiet, of this installation and of others: those that hold, and those that are
    /// over.
    async fn list_ours(&self) -> Result<(Vec<Silence>, Vec<Silence>), String> {
        let query = [("filter", format!("alertname=~\"{HELD}\""))];
        match self.peer.get("/api/v2/silences", &query).await {
            Ok((200, Value::Array(all))) => Ok((
                all.iter().filter_map(payload::silence).collect(),
                all.iter().filter_map(payload::ended_silence).collect(),
            )),
            Ok((status, _)) => Err(format!("it lists no silences: status {status}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Holds what is there against what is wanted. Returns what became of each check that is to be quiet.
    async fn settle_quiets(
        &self,
        board: &Board,
        listed: &[Silence],
        over: &[Silence],
    ) -> BTreeMap<i64, Result<(), String>> {
        let QuietBoard { ledger, labels, makes_silences, .. } = &board.quiet;
        let now = self.now();
        let mut settled = BTreeMap::new();
        for quiet in board.quiet.all.iter().filter(|quiet| quiet.holds(now)) {
            let is_of = |silence: &&Silence| silence.quiet(ledger) == Some(quiet.id);
            let is_there = listed.iter().any(|silence| is_of(&silence));
            let end = quiet.until + self.ahead() - ENDED_EARLY;
            let is_ended = over.iter().filter(is_of).any(|silence| silence.until < end);
            let made = match (is_there, is_ended, *makes_silences) {
                (true, ..) => Ok(()),
                // What a person ended there is not made again behind their back.
                (false, true, _) => {
                    Err("a person ended the silence there: `allswell quiet --end` ends it here"
                        .to_owned())
                }
                (false, false, true) => self.silence(quiet, (ledger, labels)).await,
                (false, false, false) => {
                    Err("another member of its cluster makes the silence".to_owned())
                }
            };
            settled.insert(quiet.id, made);
        }
        // A record that is not read says nothing of what is not wanted.
        if board.sight() == Sight::Clear && !ledger.is_empty() {
            let theirs = now + self.ahead() - self.skew;
            for silence in listed {
                let Some(id) = silence.quiet(ledger) else { continue };
                let known = board.quiet.all.iter().find(|quiet| quiet.id == id);
                let is_left_over = match known {
                    Some(quiet) => !quiet.holds(now),
                    None => silence.updated_at + LEFT_OVER < theirs,
                };
                if is_left_over {
                    let expired =
                        self.peer.remove(&format!("/api/v2/silence/{}", silence.id)).await;
                    if let Err(why) = expired {
                        let known = self.health.borrow().quiets.get(&id).cloned();
                        if known != Some(Err(why.clone())) {
                            tracing::warn!("Alertmanager {} keeps a silence: {why}", self.name);
                        }
                        settled.insert(id, Err(why));
                    }
                }
            }
        }
        settled
    }

    async fn silence(
        &self,
        quiet: &Quiet,
        origin: (&str, &BTreeMap<String, String>),
    ) -> Result<(), String> {
        let (now, ahead) = (self.clock.now() + self.ahead(), self.ahead() - self.skew);
        let body = payload::silence_of(quiet, origin, (now, ahead)).to_string();
        match self.peer.deliver("/api/v2/silences", body).await {
            Ok(receipt) if (200..300).contains(&receipt.status) => {
                tracing::info!("Alertmanager {} is silent about {}", self.name, quiet.check);
                Ok(())
            }
            Ok(receipt) => Err(format!("it refuses the silence: status {}", receipt.status)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The silences that hold back what stands, and those that keep a check quiet.
    async fn hold_back(&self, ours: Vec<Silence>) -> BTreeMap<String, Silence> {
        let by_id = |silence: Silence| (silence.id.clone(), silence);
        let mut all: BTreeMap<String, Silence> = ours.into_iter().map(by_id).collect();
        let seen = self.health.borrow().seen.clone();
        let seen = seen.iter().flat_map(|(_, alerts)| alerts.iter());
        let ids: BTreeSet<String> =
            seen.flat_map(|alert| alert.handling.silenced_by.iter().cloned()).collect();
        let missing = ids.into_iter().filter(|id| !all.contains_key(id));
        for id in missing.take(LOOKED_AT).collect::<Vec<_>>() {
            let answer = self.peer.get(&format!("/api/v2/silence/{id}"), &[]).await;
            let Ok((_, silence)) = answer else { break };
            if let Some(silence) = payload::silence(&silence) {
                all.insert(id, silence);
            }
        }
        all
    }
}
