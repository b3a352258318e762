//! A series with weeks of minutes on the record costs no more than one without.

use std::time::{Duration, Instant};

use allswell::domain::check::succession::Succession;
use allswell::domain::record::window_state::{VerdictKind, WindowKind};
use chrono::TimeDelta;

use crate::ledger::{Bench, ENGINES};

/// A week of minutes.
const SLOTS: u32 = 10_080;

#[tokio::test(flavor = "multi_thread")]
async fn a_check_with_a_week_of_minutes_behind_it_is_changed_as_fast_as_a_new_one() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench.activate("a", &[("it", "m")], Succession::default()).await;
        let hour = TimeDelta::hours(1);
        let key = bench.due_batch("it", WindowKind::Slot, TimeDelta::seconds(9), hour).await;
        bench.say(key, VerdictKind::Confirmed).await;
        let mut owner = bench.owner().await;
        let columns = owner
            .texts(match engine {
                allswell::domain::sql::Engine::Postgres => {
                    "select column_name::text from information_schema.columns where table_name = 'entries'"
                }
                allswell::domain::sql::Engine::Sqlite | allswell::domain::sql::Engine::MySql => {
                    "select name from pragma_table_info('entries')"
                }
            })
            .await;
        let earlier = |column: &String| match column.as_str() {
            "start_at" | "end_at" | "period_start" | "due" | "recorded_at" | "tried_at" => {
                format!("{column} - n * 60000000")
            }
            "live" => "0".to_owned(),
            "wake_at" | "lapse_at" => "null".to_owned(),
            other => other.to_owned(),
        };
        let values: Vec<String> = columns.iter().map(earlier).collect();
        let sql = format!(
            "insert into entries ({}) with recursive m (n) as (select cast(1 as bigint) union all select n + 1 from m where n < {SLOTS}) \
             select {} from entries, m",
            columns.join(", "),
            values.join(", ")
        );
        owner.run(&sql).await.unwrap();
        owner.close().await;
        let began = Instant::now();
        bench.activate("b", &[("it", "another")], Succession::default()).await;
        let took = began.elapsed();
        // Each row was held against all others: 37 s on this many.
        assert!(took < Duration::from_secs(5), "{engine:?}: {took:?}");
        // The newest one is proved anew, and no other.
        let again = bench.claim(key).await.expect("the newest is asked again");
        assert_eq!(again.entry.row.start, key.start, "{engine:?}");
        let mut owner = bench.owner().await;
        let asked =
            owner.texts("select cast(count(*) as varchar(9)) from entries where asked = 1").await;
        assert_eq!(asked, ["1"], "{engine:?}");
        owner.close().await;
    }
}
