//! The company of the demo: accounts in a dozen zones, a month of usage, and its invoices.

use std::io;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

/// Everything, in the order in which it is made. The amounts follow from the numbers of account and
/// hour, so that each demo is the same.
const STEPS: [&str; 10] = [
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, time_zone TEXT NOT NULL,
       plan TEXT NOT NULL, closed_on TEXT)",
    "CREATE TABLE usage (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts,
       day TEXT NOT NULL, hour INTEGER NOT NULL, amount_cents INTEGER NOT NULL)",
    "CREATE TABLE invoice_lines (id INTEGER PRIMARY KEY,
       account_id INTEGER NOT NULL REFERENCES accounts, day TEXT NOT NULL,
       amount_cents INTEGER NOT NULL)",
    "CREATE TABLE refunds (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, approved_by TEXT)",
    "CREATE TABLE chargebacks (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL,
       answered_by TEXT)",
    "INSERT INTO accounts (id, name, time_zone, plan, closed_on)
     WITH zones (place, zone) AS (VALUES
       (0, 'America/Los_Angeles'), (1, 'America/New_York'), (2, 'America/St_Johns'),
       (3, 'America/Sao_Paulo'), (4, 'Europe/London'), (5, 'Europe/Berlin'),
       (6, 'Africa/Johannesburg'), (7, 'Asia/Kolkata'), (8, 'Asia/Kathmandu'), (9, 'Asia/Tokyo'),
       (10, 'Australia/Adelaide'), (11, 'Pacific/Chatham')),
     numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 36)
     SELECT n, 'Customer ' || n, zone,
       CASE n % 3 WHEN 0 THEN 'basic' WHEN 1 THEN 'plus' ELSE 'business' END,
       CASE WHEN n = 36 THEN '2026-01-31' END
     FROM numbers JOIN zones ON place = n % 12",
    "INSERT INTO usage (account_id, day, hour, amount_cents)
     WITH days (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM days WHERE n < 27),
     hours (h) AS (SELECT 0 UNION ALL SELECT h + 1 FROM hours WHERE h < 23)
     SELECT a.id, date('2026-02-01', '+' || n || ' days'), h,
       40 + (a.id * 7 + n * 11 + h * 13) % 60
     FROM accounts a, days, hours WHERE a.closed_on IS NULL",
    "INSERT INTO invoice_lines (account_id, day, amount_cents)
     SELECT account_id, day, sum(amount_cents) FROM usage GROUP BY account_id, day",
    // The defect: in one zone the first hour of a day was billed with the day before.
    "UPDATE invoice_lines SET amount_cents = amount_cents
       + (SELECT amount_cents FROM usage u WHERE u.account_id = invoice_lines.account_id
            AND u.day = '2026-02-16' AND u.hour = 0)
     WHERE day = '2026-02-15' AND account_id IN (10, 22)",
    "UPDATE invoice_lines SET amount_cents = amount_cents
       - (SELECT amount_cents FROM usage u WHERE u.account_id = invoice_lines.account_id
            AND u.day = '2026-02-16' AND u.hour = 0)
     WHERE day = '2026-02-16' AND account_id IN (10, 22)",
];

/// Makes the database; it appears whole or not at all.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    drop(std::fs::remove_file(&unfinished));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill(&unfinished)).map_err(io::Error::other)?;
    std::fs::rename(&unfinished, path)
}

async fn fill(path: &Path) -> Result<(), sqlx::Error> {
    let mut conn: SqliteConnection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Delete)
        .connect()
        .await?;
    let mut transaction = conn.begin().await?;
    for step in STEPS {
        sqlx::query(step).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    conn.close().await
}
