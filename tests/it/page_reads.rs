//! What pages read of the ledger, on both kinds of store.

use allswell::clock;
use allswell::domain::check::reason::Cause;
use allswell::domain::record::window_state::{VerdictKind, WindowKind};
use allswell::domain::time::zone::Offset;
use allswell::ledger::{EventQuery, HistoryQuery};
use chrono::TimeDelta;

use crate::ledger::{Bench, ENGINES};

#[tokio::test]
async fn windows_are_counted_by_offset_and_day_on_both_stores() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine).await;
        bench
            .activate(
                "a",
                &[("it", "m")],
                allswell::domain::check::succession::Succession::default(),
            )
            .await;
        let (ago, deadline) = (TimeDelta::days, TimeDelta::hours(1));
        for (days, said) in [
            (3, VerdictKind::Confirmed),
            (2, VerdictKind::Violated),
            (1, VerdictKind::Unconfirmed(Cause::NoEvidence)),
        ] {
            let key = bench.due_batch("it", WindowKind::Window, ago(days), deadline).await;
            bench.say(key, said).await;
        }
        let (reader, now) = (bench.store.reader(), clock::now());
        let bounds = [now - ago(10), now + ago(1)];
        let matrix = reader.matrix("it", WindowKind::Window, bounds, now).await.unwrap();
        let cells: Vec<_> = matrix.values().flat_map(|cells| cells.values()).collect();
        assert_eq!(cells.iter().map(|cell| cell.all).sum::<u64>(), 3, "{engine:?}: {matrix:?}");
        assert_eq!(
            cells.iter().map(|cell| cell.confirmed).sum::<u64>(),
            1,
            "{engine:?}: {matrix:?}"
        );
        assert_eq!(
            cells.iter().map(|cell| cell.violated).sum::<u64>(),
            1,
            "{engine:?}: {matrix:?}"
        );
        let rest: u64 = cells.iter().map(|cell| cell.unconfirmed + cell.waiting).sum();
        assert_eq!(rest, 1, "{engine:?}: {matrix:?}");
        // Each cell lies on the local date of its first window.
        for (secs, cells) in &matrix {
            for (date, cell) in cells {
                assert_eq!(Offset::of_secs(*secs).civil(cell.first.1).date(), *date, "{engine:?}");
            }
        }
        let series = bench.record("it").await.id;
        let open = reader.open_windows("it", now, 10).await.unwrap();
        assert!(open.iter().any(|one| one.open.is_some()), "{engine:?}: {open:?}");
        let days = reader.open_days(&["other", "it"], now - ago(10), now).await.unwrap();
        assert!(days[0].is_empty() && days[1].values().any(|(wrong, _)| *wrong == 1), "{engine:?}");
        let attempts = reader.attempts_of_check("it", now - ago(10), 20).await.unwrap();
        assert_eq!(attempts.len(), 3, "{engine:?}");
        assert!(attempts.windows(2).all(|two| two[0].ran.1 >= two[1].ran.1), "{engine:?}");
        let alone = reader.attempts_of_window(open[0].entry.key(), 5).await.unwrap();
        assert_eq!(alone.len(), 1, "{engine:?}");
        let line = reader.attempts_of_series(series, now - ago(10), 60).await.unwrap();
        assert!(!line.is_empty() && line.windows(2).all(|two| two[0].bounds.0 >= two[1].bounds.0));
        let generations = reader.generations(10).await.unwrap();
        assert_eq!(generations.len(), 1, "{engine:?}");
        let id = generations[0].id;
        let two = reader.generation_and_before(id).await.unwrap();
        assert_eq!((two.len(), two[0].id), (1, id), "{engine:?}");
        // Of one window, of one kind, of one offset.
        let start = open[0].entry.row.start;
        let events = reader.events_of_window("it", None, start, 50).await.unwrap();
        assert!(events.iter().all(|event| event.bounds.is_some_and(|(at, _)| at == start)));
        assert!(!events.is_empty(), "{engine:?}");
        let kind = EventQuery { kind: Some("nothing".into()), ..EventQuery::default() };
        assert!(reader.events(&kind, 50).await.unwrap().items.is_empty(), "{engine:?}");
        let offset = HistoryQuery { utc_offset: Some(7), ..HistoryQuery::default() };
        assert!(reader.windows("it", &offset, now, 10).await.unwrap().items.is_empty());
    }
}
