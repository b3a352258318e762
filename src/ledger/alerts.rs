//! The alerts that stand and those that ended: written down, so that whoever comes after us tells their
//! ends too. And when the alert path was last proved.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::alert::Labels;
use crate::domain::standing::Alarm;
use crate::ledger::conn::{Record, args};
use crate::ledger::{Store, Trouble};

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
    /// Since when somebody outside knows that it stands.
    pub told_at: Option<DateTime<Utc>>,
}

/// What changes about the alerts that are written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertChanges {
    /// Those that begin.
    pub begin: Vec<AlertRow>,
    /// Those that end.
    pub end: Vec<AlertRow>,
    /// Those of which somebody outside knows by now that they stand.
    pub told: Vec<AlertRow>,
    /// Those that ended before this instant are forgotten, once everybody knows.
    pub forget_before: Option<DateTime<Utc>>,
}

impl AlertChanges {
    /// Says whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let none = self.begin.is_empty() && self.end.is_empty() && self.told.is_empty();
        none && self.forget_before.is_none()
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
    pub async fn alerts(&mut self) -> Result<Vec<AlertRow>, Trouble> {
        const ALL: &str = "SELECT labels, series, alarm, starts_at, ended_at, told_at FROM alerts \
            ORDER BY starts_at, fingerprint";
        self.on(super::PATIENCE, async |conn, _| {
            let rows = conn.all(ALL, Vec::new()).await?;
            rows.iter().map(AlertRow::read).collect()
        })
        .await
    }

    /// Writes down which alerts begin and end; what is there already stays as it is.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn change_alerts(&mut self, changes: &AlertChanges) -> Result<(), Trouble> {
        const BEGIN: &str = "INSERT INTO alerts (fingerprint, labels, series, alarm, starts_at) \
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (fingerprint, starts_at) \
            DO UPDATE SET ended_at = NULL";
        const END: &str = "UPDATE alerts SET ended_at = $1 WHERE fingerprint = $2 \
            AND starts_at = $3 AND ended_at IS NULL";
        const TOLD: &str = "UPDATE alerts SET told_at = $1 WHERE fingerprint = $2 \
            AND starts_at = $3 AND told_at IS NULL";
        const FORGET: &str = "DELETE FROM alerts WHERE ended_at < $1";
        self.on(super::LONG, async |conn, _| {
            conn.begin().await?;
            for row in &changes.begin {
                let labels = serde_json::to_string(row.labels.all());
                let labels = labels.map_err(|_| Trouble::odd("labels that are no text"))?;
                let fingerprint = row.labels.fingerprint().to_string();
                let alarm = alarm_word(row.alarm);
                conn.run(BEGIN, args![fingerprint, labels, row.series, alarm, row.starts_at])
                    .await?;
            }
            for row in &changes.end {
                let fingerprint = row.labels.fingerprint().to_string();
                conn.run(END, args![row.ended_at, fingerprint, row.starts_at]).await?;
            }
            for row in &changes.told {
                let fingerprint = row.labels.fingerprint().to_string();
                conn.run(TOLD, args![row.told_at, fingerprint, row.starts_at]).await?;
            }
            if let Some(before) = changes.forget_before {
                conn.run(FORGET, args![before]).await?;
            }
            conn.commit().await
        })
        .await
    }

    /// Reads when the ways to the Alertmanagers were proved last.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn returned(&mut self) -> Result<Vec<Returned>, Trouble> {
        const ALL: &str = "SELECT alertmanager, sent_at, received_at FROM watchdogs";
        self.on(super::PATIENCE, async |conn, _| {
            let rows = conn.all(ALL, Vec::new()).await?;
            let returned = |row: &Record| {
                Ok(Returned {
                    alertmanager: row.text(0)?.to_owned(),
                    sent_at: row.at(1)?,
                    received_at: row.at(2)?,
                })
            };
            rows.iter().map(returned).collect()
        })
        .await
    }

    /// Writes down that what went out came back; what went out earlier changes nothing, unless what is known
    /// lies in the future: somebody's clock was ahead.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn has_returned(&mut self, returned: &Returned) -> Result<(), Trouble> {
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

impl AlertRow {
    fn read(record: &Record) -> Result<Self, Trouble> {
        let labels: BTreeMap<String, String> = serde_json::from_str(record.text(0)?)
            .map_err(|_| Trouble::odd("labels that do not read"))?;
        Ok(Self {
            labels: Labels::new(labels),
            series: record.int(1)?,
            alarm: match record.text(2)? {
                "violated" => Alarm::Violated,
                "unconfirmed" => Alarm::Unconfirmed,
                _ => return Err(Trouble::odd("an unknown alarm")),
            },
            starts_at: record.at(3)?,
            ended_at: record.maybe_at(4)?,
            told_at: record.maybe_at(5)?,
        })
    }
}

fn alarm_word(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Violated => "violated",
        Alarm::Unconfirmed => "unconfirmed",
    }
}
