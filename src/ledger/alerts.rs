//! The alerts that stand and those that ended, with what each receiver acknowledged of them: written down, so
//! that the next process, or another replica, tells their ends, and tells nothing twice. And when the alert
//! path was last proved.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::alerting::alert::{Fingerprint, Labels};
use crate::domain::alerting::outbox::{Acknowledged, AlertId};
use crate::domain::record::standing::Alarm;
use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::{Adopted, LedgerError, Store};

/// An alert about a series, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Whom it is about.
    pub labels: Labels,
    /// Of which series.
    pub series: i64,
    /// Which of its two alerts.
    pub alarm: Alarm,
    /// Since when it stands.
    pub starts_at: DateTime<Utc>,
    /// When it ended, where it did.
    pub ended_at: Option<DateTime<Utc>>,
    /// Since when a receiver knows that it stands.
    pub told_at: Option<DateTime<Utc>>,
    /// What it was, where it stood before this ledger knew of it.
    pub adopted: Option<Adopted>,
}

/// An alert of a replica about itself, as it is written down: for the process that runs after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfAlert {
    /// Its labels.
    pub labels: Labels,
    /// What a person is told.
    pub annotations: BTreeMap<String, String>,
    /// Which replica it is of, by the name that it keeps.
    pub replica: String,
    /// Since when it stands.
    pub starts_at: DateTime<Utc>,
    /// When it ended, where it did.
    pub ended_at: Option<DateTime<Utc>>,
    /// When its replica was seen last, where that is another one that did not take its leave: it may live, and be cut
    /// off from the record.
    pub silent_since: Option<DateTime<Utc>>,
}

impl SelfAlert {
    /// Its name.
    pub fn id(&self) -> AlertId {
        (self.labels.fingerprint(), self.starts_at)
    }
}

/// What receivers acknowledged, by receiver and alert.
pub type Notified = BTreeMap<(String, AlertId), Acknowledged>;

/// What changes about the alerts that are written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertChanges {
    /// Those that begin.
    pub begin: Vec<AlertRow>,
    /// Those that end.
    pub end: Vec<AlertRow>,
    /// Those of which a receiver knows by now that they stand.
    pub told: Vec<AlertRow>,
    /// What receivers acknowledged.
    pub notified: Vec<((String, AlertId), Acknowledged)>,
    /// Alerts of this replica about itself, as they are now.
    pub own: Vec<SelfAlert>,
    /// Alerts about a replica that no receiver has to know of any more.
    pub own_over: Vec<AlertId>,
    /// Those that ended before this instant are forgotten, once everybody knows.
    pub forget_before: Option<DateTime<Utc>>,
}

impl AlertChanges {
    /// Says whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A proof of the way to an Alertmanager and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// Which Alertmanager.
    pub alertmanager: String,
    /// When that went out which came back last.
    pub sent_at: DateTime<Utc>,
    /// When it came back.
    pub received_at: DateTime<Utc>,
}

impl Store {
    /// Reads all alerts that are written down.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn alerts(&mut self) -> Result<Vec<AlertRow>, LedgerError> {
        const ALL: &str = "SELECT labels, series, alarm, starts_at, ended_at, told_at, adopted_at, \
            adopted_from, adopted_words FROM alerts ORDER BY starts_at, fingerprint";
        self.on(super::PATIENCE, async |conn, _| {
            let rows = conn.all(ALL, Vec::new()).await?;
            rows.iter().map(AlertRow::read).collect()
        })
        .await
    }

    /// Writes down what changes; what is there already stays as it is. Returns which of those that
    /// begin or end this call wrote, and not another replica before it.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn change_alerts(
        &mut self,
        changes: &AlertChanges,
    ) -> Result<BTreeSet<AlertId>, LedgerError> {
        const BEGIN: Each = each!(
            ["INSERT INTO alerts (fingerprint, labels, series, alarm, starts_at) \
              SELECT fingerprint, labels, series, alarm, starts_at FROM"],
            (0 "fingerprint" "text", 1 "labels" "text", 2 "series" "bigint", 3 "alarm" "text",
             4 "starts_at" "bigint"),
            ["WHERE true ON CONFLICT (fingerprint, starts_at) DO UPDATE SET ended_at = NULL \
              WHERE alerts.ended_at IS NOT NULL RETURNING fingerprint, starts_at"]
        );
        const END: Each = each!(
            ["UPDATE alerts SET ended_at = r.ended_at FROM"],
            (0 "fingerprint" "text", 1 "starts_at" "bigint", 2 "ended_at" "bigint"),
            ["WHERE alerts.fingerprint = r.fingerprint AND alerts.starts_at = r.starts_at \
              AND alerts.ended_at IS NULL RETURNING alerts.fingerprint AS fingerprint, alerts.starts_at AS starts_at"]
        );
        const TOLD: Each = each!(
            ["UPDATE alerts SET told_at = r.told_at FROM"],
            (0 "fingerprint" "text", 1 "starts_at" "bigint", 2 "told_at" "bigint"),
            ["WHERE alerts.fingerprint = r.fingerprint AND alerts.starts_at = r.starts_at \
              AND alerts.told_at IS NULL"]
        );
        const FORGET: &str = "DELETE FROM alerts WHERE ended_at < $1";
        const FORGET_OWN: &str = "DELETE FROM self_alerts WHERE ended_at < $1";
        const UNKNOWN: &str = "DELETE FROM notified WHERE NOT EXISTS (SELECT 1 FROM alerts a \
            WHERE a.fingerprint = notified.fingerprint AND a.starts_at = notified.starts_at) \
            AND NOT EXISTS (SELECT 1 FROM self_alerts a \
            WHERE a.fingerprint = notified.fingerprint AND a.starts_at = notified.starts_at)";
        self.on(super::LONG, async |conn, _| {
            conn.begin().await?;
            let mut begin = Vec::new();
            for row in &changes.begin {
                let (name, labels) = (row.labels.fingerprint().to_string(), text_of(&row.labels)?);
                begin.push(args![name, labels, row.series, alarm_word(row.alarm), row.starts_at]);
            }
            let mut here = conn.all_each(&BEGIN, &begin, &[]).await?;
            let named = |row: &AlertRow, at: Option<DateTime<Utc>>| {
                args![row.labels.fingerprint().to_string(), row.starts_at, at]
            };
            let end: Vec<_> = changes.end.iter().map(|row| named(row, row.ended_at)).collect();
            here.extend(conn.all_each(&END, &end, &[]).await?);
            let here = here.iter().map(read_id).collect::<Result<_, _>>()?;
            let told: Vec<_> = changes.told.iter().map(|row| named(row, row.told_at)).collect();
            conn.run_each(&TOLD, &told, &[]).await?;
            put_notified(conn, &changes.notified).await?;
            put_own(conn, changes).await?;
            if let Some(before) = changes.forget_before {
                conn.run(FORGET, args![before]).await?;
                conn.run(FORGET_OWN, args![before]).await?;
                conn.run(UNKNOWN, Vec::new()).await?;
            }
            conn.commit().await?;
            Ok(here)
        })
        .await
    }

    /// Reads what receivers acknowledged.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn notified(&mut self) -> Result<Notified, LedgerError> {
        const ALL: &str = "SELECT receiver, fingerprint, starts_at, process, begun_at, ended_at \
            FROM notified";
        self.on(super::PATIENCE, async |conn, _| {
            let rows = conn.all(ALL, Vec::new()).await?;
            let read = |row: &Record| {
                let id = (read_fingerprint(row.text("fingerprint")?)?, row.at("starts_at")?);
                let acknowledged = Acknowledged {
                    process: row.text("process")?.to_owned(),
                    begun_at: row.maybe_at("begun_at")?,
                    ended_at: row.maybe_at("ended_at")?,
                    doubted: false,
                };
                Ok(((row.text("receiver")?.to_owned(), id), acknowledged))
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    /// Reads the alerts of this replica about itself, and those of replicas that are not seen any more: where those
    /// are gone, no other process says that they ended.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn self_alerts(
        &mut self,
        host_now: DateTime<Utc>,
    ) -> Result<Vec<SelfAlert>, LedgerError> {
        const ALL: &str = "SELECT labels, annotations, replica, starts_at, ended_at \
            FROM self_alerts ORDER BY starts_at, fingerprint";
        const SEEN: &str = "SELECT id, seen_at FROM replicas";
        self.on(super::PATIENCE, async |conn, settings| {
            let rows = conn.all(ALL, Vec::new()).await?;
            let mut all = rows.iter().map(SelfAlert::read).collect::<Result<Vec<_>, _>>()?;
            if all.is_empty() || !conn.is_server() {
                return Ok(all);
            }
            let recent = conn.now(host_now).await? - super::transaction::lease(settings) * 2;
            let mut seen: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
            for row in conn.all(SEEN, Vec::new()).await? {
                let at = seen.entry(lasting_name(row.text("id")?).to_owned()).or_default();
                *at = (*at).max(row.at("seen_at")?);
            }
            seen.remove(lasting_name(&settings.replica));
            for alert in &mut all {
                alert.silent_since = seen.get(&alert.replica).copied();
            }
            all.retain(|alert| alert.silent_since.is_none_or(|at| at < recent));
            Ok(all)
        })
        .await
    }

    /// Reads when the ways to the Alertmanagers were proved last.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn returned(&mut self) -> Result<Vec<Returned>, LedgerError> {
        const ALL: &str = "SELECT alertmanager, sent_at, received_at FROM watchdogs";
        self.on(super::PATIENCE, async |conn, _| {
            let rows = conn.all(ALL, Vec::new()).await?;
            let returned = |row: &Record| {
                Ok(Returned {
                    alertmanager: row.text("alertmanager")?.to_owned(),
                    sent_at: row.at("sent_at")?,
                    received_at: row.at("received_at")?,
                })
            };
            rows.iter().map(returned).collect()
        })
        .await
    }

    /// Writes down that what went out came back; what went out earlier changes nothing, unless what is known
    /// lies in the future: a replica's clock was ahead.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn has_returned(&mut self, returned: &Returned) -> Result<(), LedgerError> {
        const PUT: &str = "INSERT INTO watchdogs (alertmanager, sent_at, received_at) \
            VALUES ($1, $2, $3) ON CONFLICT (alertmanager) DO UPDATE SET \
            sent_at = excluded.sent_at, received_at = excluded.received_at \
            WHERE watchdogs.sent_at < excluded.sent_at \
            OR watchdogs.sent_at > excluded.received_at + 60000000";
        let Returned { alertmanager, sent_at, received_at } = returned;
        self.on(super::PATIENCE, async |conn, _| {
            conn.run(PUT, args![alertmanager.as_str(), *sent_at, *received_at]).await.map(drop)
        })
        .await
    }
}

async fn put_notified(
    conn: &mut Conn,
    notified: &[((String, AlertId), Acknowledged)],
) -> Result<(), LedgerError> {
    const PUT: Each = each!(
        ["INSERT INTO notified (receiver, fingerprint, starts_at, process, begun_at, ended_at) \
          SELECT receiver, fingerprint, starts_at, process, begun_at, ended_at FROM"],
        (0 "receiver" "text", 1 "fingerprint" "text", 2 "starts_at" "bigint", 3 "process" "text",
         4 "begun_at" "bigint", 5 "ended_at" "bigint"),
        ["WHERE true ON CONFLICT (receiver, fingerprint, starts_at) DO UPDATE SET \
          begun_at = CASE WHEN notified.process = excluded.process \
          THEN COALESCE(excluded.begun_at, notified.begun_at) ELSE excluded.begun_at END, \
          ended_at = COALESCE(excluded.ended_at, notified.ended_at), process = excluded.process \
          WHERE excluded.begun_at IS NOT NULL OR excluded.ended_at IS NOT NULL"]
    );
    const DOUBTED: Each = each!(
        ["UPDATE notified SET process = r.process, begun_at = r.begun_at, ended_at = r.ended_at FROM"],
        (0 "receiver" "text", 1 "fingerprint" "text", 2 "starts_at" "bigint", 3 "process" "text",
         4 "begun_at" "bigint", 5 "ended_at" "bigint"),
        ["WHERE notified.receiver = r.receiver AND notified.fingerprint = r.fingerprint \
          AND notified.starts_at = r.starts_at"]
    );
    let row =
        |((receiver, (fingerprint, starts_at)), known): &((String, AlertId), Acknowledged)| {
            args![
                receiver.as_str(),
                fingerprint.to_string(),
                *starts_at,
                known.process.as_str(),
                known.begun_at,
                known.ended_at,
            ]
        };
    let rows: Vec<_> = notified.iter().map(row).collect();
    conn.run_each(&PUT, &rows, &[]).await?;
    let doubted: Vec<_> = notified.iter().filter(|(_, known)| known.doubted).map(row).collect();
    conn.run_each(&DOUBTED, &doubted, &[]).await.map(drop)
}

async fn put_own(conn: &mut Conn, changes: &AlertChanges) -> Result<(), LedgerError> {
    const PUT: Each = each!(
        ["INSERT INTO self_alerts (fingerprint, labels, annotations, replica, starts_at, ended_at) \
          SELECT fingerprint, labels, annotations, replica, starts_at, ended_at FROM"],
        (0 "fingerprint" "text", 1 "labels" "text", 2 "annotations" "text", 3 "replica" "text",
         4 "starts_at" "bigint", 5 "ended_at" "bigint"),
        ["WHERE true ON CONFLICT (fingerprint, starts_at) DO UPDATE SET \
          annotations = excluded.annotations, ended_at = excluded.ended_at"]
    );
    const OVER: Each = each!(
        ["DELETE FROM self_alerts WHERE (fingerprint, starts_at) IN (SELECT fingerprint, starts_at FROM"],
        (0 "fingerprint" "text", 1 "starts_at" "bigint"),
        [")"]
    );
    let mut rows = Vec::new();
    for own in &changes.own {
        let annotations = serde_json::to_string(&own.annotations);
        let annotations =
            annotations.map_err(|_| LedgerError::odd("annotations that are no text"))?;
        let (name, labels) = (own.labels.fingerprint().to_string(), text_of(&own.labels)?);
        let replica = own.replica.as_str();
        rows.push(args![name, labels, annotations, replica, own.starts_at, own.ended_at]);
    }
    conn.run_each(&PUT, &rows, &[]).await?;
    let named = |(name, at): &AlertId| args![name.to_string(), *at];
    let over: Vec<_> = changes.own_over.iter().map(named).collect();
    conn.run_each(&OVER, &over, &[]).await.map(drop)
}

/// The part of a replica's name that it keeps when it is started anew: what stands before its process and a
/// random number.
pub fn lasting_name(replica: &str) -> &str {
    replica.rsplitn(3, '-').last().unwrap_or(replica)
}

pub(super) fn text_of(labels: &Labels) -> Result<String, LedgerError> {
    serde_json::to_string(labels.all()).map_err(|_| LedgerError::odd("labels that are no text"))
}

fn read_labels(text: &str) -> Result<Labels, LedgerError> {
    let labels: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_| LedgerError::odd("labels that do not read"))?;
    Ok(Labels::new(labels))
}

fn read_fingerprint(text: &str) -> Result<Fingerprint, LedgerError> {
    Fingerprint::parse(text).ok_or_else(|| LedgerError::odd("a fingerprint that does not read"))
}

fn read_id(record: &Record) -> Result<AlertId, LedgerError> {
    Ok((read_fingerprint(record.text("fingerprint")?)?, record.at("starts_at")?))
}

impl SelfAlert {
    fn read(record: &Record) -> Result<Self, LedgerError> {
        Ok(Self {
            labels: read_labels(record.text("labels")?)?,
            annotations: serde_json::from_str(record.text("annotations")?)
                .map_err(|_| LedgerError::odd("annotations that do not read"))?,
            replica: record.text("replica")?.to_owned(),
            starts_at: record.at("starts_at")?,
            ended_at: record.maybe_at("ended_at")?,
            silent_since: None,
        })
    }
}

impl AlertRow {
    /// Its name.
    pub fn id(&self) -> AlertId {
        (self.labels.fingerprint(), self.starts_at)
    }

    fn read(record: &Record) -> Result<Self, LedgerError> {
        Ok(Self {
            labels: read_labels(record.text("labels")?)?,
            series: record.int("series")?,
            alarm: match record.text("alarm")? {
                "violated" => Alarm::Violated,
                "unconfirmed" => Alarm::Unconfirmed,
                _ => return Err(LedgerError::odd("an unknown alarm")),
            },
            starts_at: record.at("starts_at")?,
            ended_at: record.maybe_at("ended_at")?,
            told_at: record.maybe_at("told_at")?,
            adopted: Adopted::read(record)?,
        })
    }
}

pub(super) fn alarm_word(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Violated => "violated",
        Alarm::Unconfirmed => "unconfirmed",
    }
}
