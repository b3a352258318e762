//! The company of the demo: accounts in a dozen zones, a year of usage, and its invoices, with the
//! defect that this program was made for; and the billing system's own database.
//!
//! On 1 October 2025 the company moved to a new billing job, which keeps the offset from UTC that an
//! account had when it was created there. When clocks changed, it went on to cut days by the old
//! offset: the hour around midnight was billed on the wrong day, for accounts of some offsets only.
//! What a day lost, its neighbour got, so that every total is right. On 14 December it was mended.
//!
//! The billing system prices each hour by what its clock shows there, nights at half; with the same offset of
//! old it took an evening's hour for a night's, and a night's for a morning's.

use std::io;
use std::path::Path;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

use crate::domain::time::zone::{Rules, ZoneName};
use crate::zones::Zones;

/// The year of the demo.
pub(super) const YEAR: i32 = 2025;

/// Where customers live: whole hours, half hours and three quarters from UTC.
const ZONES: [&str; 12] = [
    "America/Los_Angeles",
    "America/New_York",
    "America/St_Johns",
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Johannesburg",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
];
const ACCOUNTS: i64 = 24;
const PLANS: [&str; 3] = ["basic", "plus", "business"];

const TABLES: [&str; 6] = [
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, time_zone TEXT NOT NULL,
       plan TEXT NOT NULL, created_at TEXT NOT NULL, utc_offset INTEGER NOT NULL, closed_on TEXT)",
    "CREATE TABLE usage (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts,
       at TEXT NOT NULL, amount_cents INTEGER NOT NULL)",
    "CREATE TABLE invoice_lines (id INTEGER PRIMARY KEY,
       account_id INTEGER NOT NULL REFERENCES accounts, day TEXT NOT NULL,
       amount_cents INTEGER NOT NULL)",
    "CREATE TABLE refunds (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, approved_by TEXT)",
    "CREATE TABLE chargebacks (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL,
       answered_by TEXT)",
    // What clocks show in each zone; gone with the connection.
    "CREATE TEMP TABLE clocks (time_zone TEXT, starts TEXT, ends TEXT, secs INTEGER)",
];

/// Usage at a quarter past each hour, for as long as the local year lasts; and the invoices of the
/// two billing jobs. The amounts follow from account and hour, so that each demo is the same.
const DATA: [&str; 4] = [
    "INSERT INTO usage (account_id, at, amount_cents)
     WITH hours (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM hours WHERE n < 8807),
     clock (n, at) AS (SELECT n, datetime('2024-12-31 00:15:00', '+' || n || ' hours') FROM hours)
     SELECT a.id, c.at, 40 + (a.id * 7919 + c.n * 104729 + (c.n / 7) * 1299709) % 61
     FROM clock c, accounts a
     JOIN (SELECT time_zone, min(starts) AS starts, max(ends) AS ends
           FROM clocks GROUP BY time_zone) year ON year.time_zone = a.time_zone
     WHERE c.at >= year.starts AND c.at < year.ends",
    "CREATE INDEX usage_at ON usage (at)",
    "INSERT INTO invoice_lines (account_id, day, amount_cents)
     SELECT account_id, date(at, CASE WHEN shown BETWEEN '2025-10-01' AND '2025-12-13'
                                 THEN frozen ELSE secs END || ' seconds') AS day, sum(amount_cents)
     FROM (SELECT u.account_id, u.at, u.amount_cents, c.secs, a.utc_offset AS frozen,
                  date(u.at, c.secs || ' seconds') AS shown
           FROM usage u JOIN accounts a ON a.id = u.account_id
           JOIN clocks c ON c.time_zone = a.time_zone AND u.at >= c.starts AND u.at < c.ends)
     GROUP BY account_id, day",
    "CREATE INDEX invoice_lines_day ON invoice_lines (day)",
];

/// The billing system's database: what it knows of accounts and usage is gone with the connection.
const BILLING_TABLES: [&str; 4] = [
    "CREATE TEMP TABLE accounts (id INTEGER PRIMARY KEY, name TEXT, time_zone TEXT, plan TEXT,
       created_at TEXT, utc_offset INTEGER, closed_on TEXT)",
    "CREATE TEMP TABLE usage (id INTEGER PRIMARY KEY, account_id INTEGER, at TEXT,
       amount_cents INTEGER)",
    "CREATE TABLE billed_hours (account_id INTEGER NOT NULL, time_zone TEXT NOT NULL,
       at TEXT NOT NULL, cents INTEGER NOT NULL)",
    "CREATE TEMP TABLE clocks (time_zone TEXT, starts TEXT, ends TEXT, secs INTEGER)",
];

/// What was billed for each hour: at the price of another one, where the old offset shows a night that is
/// none, or none that is one.
const BILLING_DATA: [&str; 3] = [
    DATA[0],
    "INSERT INTO billed_hours (account_id, time_zone, at, cents)
     SELECT account_id, time_zone, at,
            CASE WHEN shown NOT BETWEEN '2025-10-01' AND '2025-12-13' OR taken = night THEN cents
                 WHEN taken THEN cents / 2 ELSE cents * 2 END
     FROM (SELECT u.account_id, a.time_zone, u.at, u.amount_cents AS cents,
                  date(u.at, c.secs || ' seconds') AS shown,
                  strftime('%H', u.at, c.secs || ' seconds') < '06' AS night,
                  strftime('%H', u.at, a.utc_offset || ' seconds') < '06' AS taken
           FROM usage u JOIN accounts a ON a.id = u.account_id
           JOIN clocks c ON c.time_zone = a.time_zone AND u.at >= c.starts AND u.at < c.ends)",
    "CREATE INDEX billed_hours_at ON billed_hours (time_zone, at)",
];

/// Makes the company's database; it appears whole or not at all.
pub(super) fn make(path: &Path, zones: &Zones) -> io::Result<()> {
    whole(path, zones, &TABLES, &DATA)
}

/// Makes the billing system's database; it appears whole or not at all.
pub(super) fn make_billing(path: &Path, zones: &Zones) -> io::Result<()> {
    whole(path, zones, &BILLING_TABLES, &BILLING_DATA)
}

fn whole(
    path: &Path,
    zones: &Zones,
    tables: &[&'static str],
    data: &[&'static str],
) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    drop(std::fs::remove_file(&unfinished));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill(&unfinished, zones, tables, data)).map_err(io::Error::other)?;
    std::fs::rename(&unfinished, path)
}

async fn fill(
    path: &Path,
    zones: &Zones,
    tables: &[&'static str],
    data: &[&'static str],
) -> Result<(), sqlx::Error> {
    let mut conn: SqliteConnection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Delete)
        .connect()
        .await?;
    let mut transaction = conn.begin().await?;
    for table in tables {
        sqlx::query(*table).execute(&mut *transaction).await?;
    }
    let rules: Vec<_> = ZONES
        .iter()
        .filter_map(|zone| Some((*zone, zones.rules(&ZoneName::parse(zone).ok()?)?)))
        .collect();
    for (zone, rules) in &rules {
        for (starts, ends, secs) in clocks(rules) {
            let row = sqlx::query("INSERT INTO clocks VALUES (?, ?, ?, ?)");
            let row = row.bind(*zone).bind(starts).bind(ends).bind(secs);
            row.execute(&mut *transaction).await?;
        }
    }
    for (id, (zone, rules)) in (1..=ACCOUNTS).zip(rules.iter().cycle()) {
        let plan =
            PLANS.into_iter().cycle().nth(usize::try_from(id).unwrap_or(0)).unwrap_or_default();
        let created = created(id);
        let insert = "INSERT INTO accounts VALUES (?, 'Customer ' || ?, ?, ?, ?, ?, NULL)";
        let row = sqlx::query(insert).bind(id).bind(id).bind(*zone).bind(plan).bind(text(created));
        row.bind(rules.offset_at(created).secs()).execute(&mut *transaction).await?;
    }
    for step in data {
        sqlx::query(*step).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    conn.close().await
}

/// When an account was created: in the week before the new billing job went live.
fn created(id: i64) -> DateTime<Utc> {
    let first = first_of(YEAR).with_month(9).unwrap_or(first_of(YEAR));
    first.and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::hours(20 * 24 + id * 7)
}

fn first_of(year: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default()
}

fn text(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The parts of the local year with one offset each.
fn clocks(rules: &Rules) -> Vec<(String, String, i32)> {
    let (from, to) = (rules.day_start(first_of(YEAR)), rules.day_start(first_of(YEAR + 1)));
    let changes = rules.changes_within(from + TimeDelta::seconds(1), to);
    let starts: Vec<_> = std::iter::once(from).chain(changes.iter().map(|c| c.at)).collect();
    let ends = starts.iter().skip(1).copied().chain([to]);
    let part = |(start, end)| (text(start), text(end), rules.offset_at(start).secs());
    starts.iter().copied().zip(ends).map(part).collect()
}
