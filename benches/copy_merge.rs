//! The floor under a reconciliation of rows: two `COPY … TO STDOUT (FORMAT binary)` streams in the order of
//! their key, decoded and compared, and nothing else: no snapshot, no limit, no progress, no second look.
//!
//! `cargo bench --bench copy_merge -- URL URL 'select id, account, amount, at from t order by id'`: the first
//! column is the key, a bigint; the others are compared by their bytes. `tests/reconcile` runs it.

use futures_util::TryStreamExt;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Rows of one batch: keys, and where in the bytes the rest of each row ends.
#[derive(Default)]
struct Batch {
    keys: Vec<i64>,
    rest: Vec<u8>,
    ends: Vec<usize>,
}

async fn stream(url: String, sql: String, out: mpsc::Sender<Batch>) -> Result<(), sqlx::Error> {
    let mut conn = PgConnection::connect(&url).await?;
    let copy = format!("COPY ({sql}) TO STDOUT (FORMAT binary)");
    let mut chunks = conn.copy_out_raw(&copy).await?;
    let mut batch = Batch::default();
    let mut head = true;
    while let Some(chunk) = chunks.try_next().await? {
        let mut bytes = &chunk[..];
        if head {
            // Signature, flags, and the length of an extension that there is not.
            bytes = &bytes[19..];
            head = false;
        }
        // Number of fields, then the length of the first, which is the key; -1 fields end the stream.
        if bytes.len() < 14 {
            continue;
        }
        let key = bytes[6..14].try_into().map(i64::from_be_bytes).unwrap_or_default();
        batch.keys.push(key);
        batch.rest.extend_from_slice(&bytes[14..]);
        batch.ends.push(batch.rest.len());
        if batch.keys.len() == 4_096 && out.send(std::mem::take(&mut batch)).await.is_err() {
            return Ok(());
        }
    }
    drop(out.send(batch).await);
    Ok(())
}

/// One side, as it is read.
struct Side {
    rows: mpsc::Receiver<Batch>,
    batch: Batch,
    at: usize,
}

impl Side {
    async fn next(&mut self) -> Option<(i64, &[u8])> {
        while self.at >= self.batch.keys.len() {
            self.batch = self.rows.recv().await?;
            self.at = 0;
        }
        let begin = if self.at == 0 { 0 } else { self.batch.ends[self.at - 1] };
        Some((self.batch.keys[self.at], &self.batch.rest[begin..self.batch.ends[self.at]]))
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [left, right, sql] = args.as_slice() else {
        return Ok(());
    };
    let started = Instant::now();
    let mut sides = Vec::new();
    let mut tasks = JoinSet::new();
    for url in [left, right] {
        let (out, rows) = mpsc::channel(16);
        tasks.spawn(stream(url.clone(), sql.clone(), out));
        sides.push(Side { rows, batch: Batch::default(), at: 0 });
    }
    let (Some(mut right), Some(mut left)) = (sides.pop(), sides.pop()) else { return Ok(()) };
    let (mut rows, mut differ) = (0_u64, 0_u64);
    loop {
        let (step_left, step_right) = match (left.next().await, right.next().await) {
            (None, None) => break,
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
            (Some((l, _)), Some((r, _))) if l < r => (true, false),
            (Some((l, _)), Some((r, _))) if l > r => (false, true),
            (Some((_, l)), Some((_, r))) => {
                rows += 1;
                differ += u64::from(l != r);
                left.at += 1;
                right.at += 1;
                continue;
            }
        };
        (rows, differ) = (rows + 1, differ + 1);
        left.at += usize::from(step_left);
        right.at += usize::from(step_right);
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let took = started.elapsed().as_secs_f64();
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    {
        println!("{rows} rows, {differ} differ, {took:.2} s");
    }
    Ok(())
}
