//! Windows tile, stretches have one offset, and every window is due once, through clock changes,
//! restarts, sleeps and outages.

use std::collections::BTreeSet;
use std::sync::Arc;

use allswell::domain::record::series::Series;
use allswell::domain::sql::Engine;
use allswell::domain::time::agenda::{Entry, Omission, Target};
use allswell::domain::time::owed::{Fate, Watermark};
use allswell::domain::time::period::{DayStart, MonthStart, Period};
use allswell::domain::time::schedule::Except;
use allswell::domain::time::window::{Frame, GridStep, Span, Split, Window};
use allswell::domain::time::zone::Rules;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc, Weekday};

use crate::dice::Dice;
use crate::{lab, tzif};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The series of a check with the given window, schedule and more, in flow style.
fn series(window: &str, more: &str) -> Vec<Series> {
    let yaml = format!(
        "version: 1\nowner: t\nchecks:\n  - id: it\n    why: w\n    source: db\n    window: {window}\n    \
         sql: select count(*) as n from t where z = :zone and at >= :window_start and at < :window_end\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n{more}"
    );
    let check = Arc::clone(&lab::checks(Engine::Postgres, &yaml)[0]);
    Series::of(&check, &|zone| lab::zones().rules(zone)).unwrap()
}

fn snapshot(more: &str) -> Series {
    let yaml = format!(
        "version: 1\nowner: t\nchecks:\n  - id: it\n    why: w\n    source: db\n    sql: select 1 + 0 as n\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n{more}"
    );
    let check = Arc::clone(&lab::checks(Engine::Postgres, &yaml)[0]);
    Series::of(&check, &|zone| lab::zones().rules(zone)).unwrap().remove(0)
}

/// Periods as calendars have them, and those that begin otherwise.
fn periods() -> Vec<Period> {
    let day = |text: &str| Period::Day(DayStart::parse(text).unwrap());
    let month = |day| Period::Month(MonthStart::new(day).unwrap());
    let own = [
        day("06:00"),
        day("23:30"),
        Period::Week(Weekday::Sun),
        Period::Week(Weekday::Thu),
        month(31),
        month(15),
    ];
    Period::WORDS.into_iter().map(|(_, period)| period).chain(own).collect()
}

/// Walks through periods and holds each against its neighbour and its stretches.
fn tile(name: &str, rules: &Rules, frame: Frame, from: NaiveDate, to: NaiveDate) -> usize {
    let mut span = frame.span_of(rules, from);
    let mut walked = 0;
    while span.date < to {
        let next = frame.next(rules, &span);
        assert!(span.start <= span.end, "{name} {frame} {}", span.date);
        assert_eq!(span.end, next.start, "{name} {frame} {}", span.date);
        assert_eq!(frame.previous(rules, &next), span, "{name} {frame} {}", span.date);
        stretches_tile(name, rules, &span);
        walked += 1;
        span = next;
    }
    walked
}

fn stretches_tile(name: &str, rules: &Rules, span: &Span) {
    let stretches = span.windows(rules, Split::UtcOffset);
    assert_eq!(stretches.is_empty(), span.is_empty(), "{name} {}", span.date);
    let Some(last) = stretches.last() else { return };
    assert_eq!((stretches[0].start, last.end), (span.start, span.end), "{name} {}", span.date);
    for pair in stretches.windows(2) {
        assert_eq!(pair[0].end, pair[1].start, "{name} {}", span.date);
        assert_ne!(pair[0].utc_offset, pair[1].utc_offset, "{name} {}", span.date);
    }
    for stretch in &stretches {
        assert!(stretch.start < stretch.end, "{name} {}", span.date);
        let last = stretch.end - TimeDelta::seconds(1);
        let offsets = [rules.offset_at(stretch.start), rules.offset_at(last)];
        assert_eq!(offsets, [stretch.utc_offset; 2], "{name} {}", span.date);
        let inside = stretch.start + TimeDelta::seconds(1);
        assert_eq!(rules.changes_within(inside, stretch.end), [], "{name} {}", span.date);
    }
}

#[test]
fn periods_and_stretches_tile_in_every_zone() {
    let date = |text: &str| text.parse::<NaiveDate>().unwrap();
    let mut walked = 0;
    for (name, rules) in tzif::distinct() {
        let name = name.as_str();
        for period in periods().into_iter().filter(|p| p.days() > 1) {
            walked +=
                tile(name, rules, Frame::Calendar(period), date("1970-02-01"), date("2038-01-01"));
        }
        // Days differ only around clock changes.
        for change in rules.changes_within(at("1970-02-01T00:00:00Z"), at("2038-01-01T00:00:00Z")) {
            let middle = change.at.date_naive();
            let (from, to) = (middle - Days::new(3), middle + Days::new(4));
            for period in periods().into_iter().filter(|p| p.days() == 1) {
                let frame = Frame::Calendar(period);
                walked += tile(name, rules, frame, from, to);
                // A week earlier it is the same weekday, with its own bounds.
                let span = frame.span_of(rules, middle);
                let past = frame.earlier(rules, span, 7);
                assert_eq!(past, frame.span_of(rules, middle - Days::new(7)), "{name} {middle}");
            }
        }
    }
    assert!(walked > 1_000_000, "{walked}");
}

#[test]
fn periods_with_a_beginning_of_their_own_begin_when_another_library_says() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/calendar/bounds.txt");
    let text = std::fs::read_to_string(path).unwrap();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (rules, date) = (tzif::rules(words[0]), words[1].parse::<NaiveDate>().unwrap());
        let frame = |period| Frame::Calendar(period);
        let day = frame(Period::Day(DayStart::parse("06:00").unwrap())).span_of(rules, date);
        let week = frame(Period::Week(Weekday::Sun)).span_of(rules, date);
        let month = frame(Period::Month(MonthStart::new(31).unwrap())).span_of(rules, date);
        let whole = frame(Period::DAY);
        let past = whole.earlier(rules, whole.span_of(rules, date), 7);
        let begins = [day, week, month, past].map(|span| span.start.timestamp().to_string());
        assert_eq!(begins.join(" "), words[2..].join(" "), "{line}");
    }
    assert!(text.lines().count() > 700);
}

#[test]
fn anniversary_billing_begins_on_the_customers_day_or_the_last_of_the_month() {
    let month = Frame::Calendar(Period::Month(MonthStart::new(31).unwrap()));
    let berlin = tzif::rules("Europe/Berlin");
    let mut span = month.span_of(berlin, "2027-12-31".parse().unwrap());
    let mut begins = Vec::new();
    for _ in 0..14 {
        begins.push(span.date.format("%m-%d").to_string());
        span = month.next(berlin, &span);
    }
    // 2028 is a leap year: whoever began on 31 January is billed on 29 February, and on the 31st again.
    assert_eq!(
        begins.join(" "),
        "12-31 01-31 02-29 03-31 04-30 05-31 06-30 07-31 08-31 09-30 10-31 11-30 12-31 01-31"
    );
    let of_february = Frame::Calendar(Period::Month(MonthStart::new(29).unwrap()));
    let span = of_february.span_at(berlin, at("2026-03-01T12:00:00Z"));
    assert_eq!(span.date.to_string(), "2026-02-28");
    assert_eq!(of_february.next(berlin, &span).date.to_string(), "2026-03-29");
    let span = of_february.span_at(berlin, at("2028-02-28T12:00:00Z"));
    assert_eq!(span.date.to_string(), "2028-01-29");
    // Midnight of the 31st does not exist where clocks go forward then: the month begins with the end of the gap.
    let cairo = tzif::rules("Africa/Cairo");
    let last_friday = Frame::Calendar(Period::Month(MonthStart::new(24).unwrap()));
    let span = last_friday.span_of(cairo, "2026-04-24".parse().unwrap());
    assert_eq!(span.start, at("2026-04-23T22:00:00Z"));
    assert_eq!(last_friday.previous(cairo, &span).end, span.start);
}

#[test]
fn a_gas_day_has_the_hours_that_clocks_give_it_and_a_date_that_is_left_out_has_none() {
    let day = Frame::Calendar(Period::Day(DayStart::parse("06:00").unwrap()));
    let hours = |zone: &str, date: &str| {
        let span = day.span_of(tzif::rules(zone), date.parse().unwrap());
        (span.end - span.start).num_hours()
    };
    // Clocks change at 02:00, within the day that began the evening before.
    assert_eq!(hours("Europe/Berlin", "2026-03-28"), 23);
    assert_eq!(hours("Europe/Berlin", "2026-03-29"), 24);
    assert_eq!(hours("Europe/Berlin", "2026-10-24"), 25);
    assert_eq!(hours("Pacific/Apia", "2011-12-29"), 24);
    assert_eq!(hours("Pacific/Apia", "2011-12-30"), 0);
    assert_eq!(hours("Pacific/Apia", "2011-12-31"), 24);
}

#[test]
fn the_same_day_last_week_is_no_fixed_number_of_hours_away() {
    let rules = tzif::rules("America/New_York");
    let day = Frame::Calendar(Period::DAY);
    let span = day.span_of(rules, "2026-03-12".parse().unwrap());
    let past = day.earlier(rules, span, 7);
    assert_eq!(past.date.to_string(), "2026-03-05");
    assert_eq!((span.start - past.start).num_hours(), 7 * 24 - 1);
    let yaml = "version: 1\nowner: t\nchecks:\n  - id: it\n    why: w\n    source: db\n    \
                window: {period: day, zone: America/New_York, past: 7}\n    sql: |\n      \
                select count(*) as n from t where (at >= :window_start and at < :window_end)\n      \
                or (at >= :past_start and at < :past_end)\n    expect: {values: {n: {min: 1}}}\n";
    let check = Arc::clone(&lab::checks(Engine::Postgres, yaml)[0]);
    let check = Series::of(&check, &|zone| lab::zones().rules(zone)).unwrap().remove(0);
    let change = day.span_of(rules, "2026-03-08".parse().unwrap());
    let window = change.windows(rules, Split::Whole)[0];
    let beside = check.bounds(window).past.unwrap();
    assert_eq!(beside.date.to_string(), "2026-03-01");
    assert_eq!((beside.end - beside.start).num_hours(), 24, "the day of the change itself has 23");
}

#[test]
fn each_instant_lies_in_its_period() {
    let mut dice = Dice(5);
    let step = GridStep::new(std::time::Duration::from_secs(420 * 60)).unwrap();
    for (name, rules) in tzif::distinct() {
        for frame in periods().into_iter().map(Frame::Calendar).chain([Frame::Grid(step)]) {
            for _ in 0..20 {
                let secs = i64::try_from(dice.below(65 * 365 * 86_400)).unwrap() + 86_400 * 800;
                let instant = DateTime::from_timestamp(secs, 0).unwrap();
                let span = frame.span_at(rules, instant);
                assert!(span.start <= instant && instant < span.end, "{name} {frame} {instant}");
                let closed = frame.last_closed(rules, instant).unwrap();
                assert!(closed.end <= instant && !closed.is_empty(), "{name} {frame} {instant}");
                let mut next = frame.next(rules, &closed);
                while next.is_empty() {
                    next = frame.next(rules, &next);
                }
                assert!(next.end > instant, "{name} {frame} {instant}");
            }
        }
    }
}

#[test]
fn a_check_can_neither_skip_a_window_nor_see_it_before_it_has_settled() {
    let series = |from: &str, schedule: &str| {
        let window = format!("{{period: day{from}, zone: America/New_York, settle: 3h}}");
        series(&window, schedule).remove(0)
    };
    let schedules = [
        "",
        "    schedule: {cron: \"30 2 * * *\"}\n",
        "    schedule: {cron: \"0 6 * * MON\", zone: Asia/Kolkata}\n",
        "    schedule: {every: 7h}\n",
        "    schedule: {cron: \"0 0 29 2 *\"}\n",
    ];
    let counts = [1..=1, 1..=2, 7..=7, 0..=1, 1461..=1461];
    let all = schedules.into_iter().zip(counts).map(|(text, count)| ("", text, count));
    let gas =
        [(", from: '06:00'", "", 1..=1), (", from: '02:30'", "    schedule: {every: 7h}\n", 0..=1)];
    for (begins, text, per_due) in all.chain(gas) {
        let series = series(begins, text);
        let from = at("2024-03-01T12:00:00Z");
        let mut seen = Vec::new();
        let mut dues = BTreeSet::new();
        for entry in series.agenda_after(from).take(3_000) {
            let Entry::Due(due) = entry else { panic!("{entry:?}") };
            let Target::Window(window) = due.target else { panic!("{due:?}") };
            let settled = window.end + TimeDelta::hours(3);
            assert!(due.at >= settled, "{text}: {due:?}");
            if !text.is_empty() {
                let schedule = &series.check.schedule;
                let rules = &series.clock.rules;
                let first = schedule.slot_after(rules, settled - TimeDelta::seconds(1)).unwrap();
                assert_eq!(due.at, first.at, "{text}");
            }
            dues.insert(due.at);
            seen.push(window);
        }
        assert!(seen.windows(2).all(|pair| pair[0].end == pair[1].start), "{text}: they tile");
        let last = *dues.last().unwrap();
        for due in dues.iter().filter(|due| **due != last) {
            let together = series.agenda_after(*due - TimeDelta::seconds(1));
            let count = together.take_while(|entry| entry.at() == *due).count();
            assert!(per_due.contains(&count), "{text}: {count} windows at {due}");
        }
    }
}

#[test]
fn the_agenda_is_the_same_from_any_instant_on() {
    let mut dice = Dice(7);
    let more = [
        "",
        "    schedule: {cron: \"30 1,2 * * *\", gap: next_valid, fold: both}\n",
        "    schedule: {cron: \"*/20 * * * *\"}\n",
        "    schedule: {cron: \"*/20 0-3 * * *\", gap: skip, fold: second}\n",
        "    schedule: {every: 90m}\n    except: {dates: [2026-03-29, 2026-10-25], because: moving}\n",
    ];
    let windows = [
        "{period: day, zones: [Europe/Berlin, Africa/Cairo, Australia/Lord_Howe], split: utc_offset}",
        "{period: 6h, zones: [America/Havana, Antarctica/Troll], split: utc_offset, settle: 20m}",
        "{period: week, zones: [Atlantic/Azores], settle: 1d}",
        "{period: month, zones: [Asia/Beirut, America/Santiago], split: utc_offset}",
        "{period: day, from: '06:00', zones: [Europe/Berlin, Africa/Cairo], split: utc_offset}",
        "{period: week, from: sunday, zones: [Asia/Beirut], settle: 1d}",
        "{period: month, from: 31, zones: [America/Santiago], split: utc_offset}",
    ];
    for window in windows {
        for more in more {
            // Those dates begin no week and no month.
            if more.contains("except") && !window.contains("day") && !window.contains("6h") {
                continue;
            }
            for series in series(window, more) {
                let (from, to) = (at("2026-03-20T00:00:00Z"), at("2026-05-05T00:00:00Z"));
                let all: Vec<Entry> =
                    series.agenda_after(from).take_while(|entry| entry.at() <= to).collect();
                assert!(all.is_sorted_by_key(Entry::at), "{window} {more}");
                for _ in 0..12 {
                    let secs = i64::try_from(dice.below(46 * 86_400)).unwrap();
                    // At the very instants of dues as well.
                    let restart = match dice.below(3) {
                        0 if !all.is_empty() => all[dice.below(all.len())].at(),
                        _ => from + TimeDelta::seconds(secs),
                    };
                    let rest: Vec<Entry> =
                        series.agenda_after(restart).take_while(|entry| entry.at() <= to).collect();
                    let wanted: Vec<Entry> =
                        all.iter().copied().filter(|entry| entry.at() > restart).collect();
                    assert_eq!(rest, wanted, "{window} {more} {restart}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_due_is_an_event() {
    let apia = &series("{period: day, zones: [Pacific/Apia]}", "")[0];
    let entries: Vec<Entry> = apia.agenda_after(at("2011-12-29T12:00:00Z")).take(3).collect();
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| match entry {
            Entry::Due(due) => match due.target {
                Target::Window(window) => format!("due {}", window.span.date),
                Target::Slot(_) => panic!("a window"),
            },
            Entry::Event(event) => format!("{:?}", event.what),
        })
        .collect();
    assert_eq!(shown, ["due 2011-12-29", "NoSuchDate(2011-12-30)", "due 2011-12-31"]);

    let except = "    except: {dates: [2026-12-25], because: closed}\n";
    let closed = &series("{period: day, zones: [Europe/Berlin], split: utc_offset}", except)[0];
    let christmas = closed.agenda_after(at("2026-12-25T20:00:00Z")).next().unwrap();
    let Entry::Event(event) = christmas else { panic!("{christmas:?}") };
    assert_eq!(event.what, Omission::Excepted("2026-12-25".parse().unwrap()));

    let daily = snapshot("    schedule: {cron: \"30 2 * * *\", zone: Europe/Berlin, gap: skip}\n");
    let gap = daily.agenda_after(at("2026-03-28T12:00:00Z")).next().unwrap();
    assert!(
        matches!(gap, Entry::Event(event) if matches!(event.what, Omission::Civil(_))),
        "{gap:?}"
    );
}

/// What a store would hold: windows with what became of them.
#[derive(Default)]
struct Store {
    windows: Vec<(Window, Fate)>,
    watermark: Option<DateTime<Utc>>,
}

impl Store {
    /// Writes down what is owed, in batches of a few, until nothing is.
    fn catch_up(
        &mut self,
        series: &Series,
        loaded: DateTime<Utc>,
        now: DateTime<Utc>,
        most: usize,
    ) {
        loop {
            let since = self.watermark.map_or(Watermark::New { loaded }, Watermark::Through);
            let batch = series.owed(since, now, most);
            for owed in batch.owed {
                let Target::Window(window) = owed.due.target else { panic!("a window") };
                assert!(owed.deadline >= owed.due.at && owed.deadline >= owed.deadline_nominal);
                assert!(owed.due.at <= now && window.end <= now, "before its time");
                self.windows.push((window, owed.fate));
            }
            assert!(self.watermark.is_none_or(|before| batch.watermark >= before));
            self.watermark = Some(batch.watermark);
            if batch.complete {
                return;
            }
        }
    }
}

#[test]
fn every_window_is_owed_once_however_often_the_daemon_stops() {
    let mut dice = Dice(11);
    for round in 0..60 {
        let window = [
            "{period: day, zones: [America/New_York], split: utc_offset, settle: 1h}",
            "{period: 1h, zones: [UTC]}",
            "{period: week, zones: [Africa/Cairo]}",
        ][round % 3];
        let more = ["", "    schedule: {cron: \"15 */6 * * *\"}\n"][dice.below(2)];
        let series = &series(window, more)[0];
        let rule = series.window().unwrap();
        let loaded = at("2026-02-01T10:00:00Z")
            + TimeDelta::minutes(i64::try_from(dice.below(2_000)).unwrap());
        let mut store = Store::default();
        let mut now = loaded;
        store.catch_up(series, loaded, now, 10);
        assert!(!store.windows.is_empty(), "a new series owes its last window at once");
        while now < at("2026-04-20T00:00:00Z") {
            // From a minute to days asleep; sometimes the clock is set back.
            now += TimeDelta::minutes(i64::try_from(1 + dice.below(4_000)).unwrap());
            let seen = if dice.once_in(4) { now - TimeDelta::minutes(90) } else { now };
            store.catch_up(series, loaded, seen, 1 + dice.below(5));
        }
        store.catch_up(series, loaded, now, 5);
        let all: Vec<Window> = store.windows.iter().map(|(window, _)| *window).collect();
        for pair in all.windows(2) {
            assert_eq!(pair[0].end, pair[1].start, "{window} {more}: one lost or doubled");
        }
        let due = series.agenda_after(now).find_map(|entry| match entry {
            Entry::Due(due) => Some(due.target),
            Entry::Event(_) => None,
        });
        let Some(Target::Window(next)) = due else { panic!("there is always a next one") };
        assert_eq!(all.last().unwrap().end, next.start, "{window} {more}: all that is due is owed");
        assert!(all.iter().all(|w| w.span.windows(&series.home.rules, rule.split).contains(w)));
    }
}

#[test]
fn what_nobody_looked_at_in_time_is_caught_up_or_missed_as_its_owner_says() {
    let fates = |catch_up: &str| {
        let more = format!("    catch_up: {catch_up}\n    result_by: 45m\n");
        let series = series("{period: day, zones: [UTC]}", &more).remove(0);
        let since = Watermark::Through(at("2026-05-01T00:00:00Z"));
        let now = at("2026-05-20T00:10:00Z");
        let batch = series.owed(since, now, 1_000);
        let count = |fate| batch.owed.iter().filter(|owed| owed.fate == fate).count();
        (count(Fate::Wait), count(Fate::Missed { open: false }), count(Fate::Missed { open: true }))
    };
    assert_eq!(fates("{policy: all}"), (19, 0, 0));
    // The newest is not late yet: it waits under any policy.
    assert_eq!(fates("{policy: latest}"), (1, 18, 0));
    assert_eq!(fates("{policy: none}"), (1, 18, 0));
    assert_eq!(fates("{policy: all, age: 7d}"), (7, 0, 12));
    assert_eq!(fates("{policy: none, age: 7d}"), (1, 6, 12));

    let slots = snapshot("    schedule: {every: 1h}\n");
    let (since, now) = (at("2026-05-01T00:00:00Z"), at("2026-05-02T12:00:00Z"));
    let batch = slots.owed(Watermark::Through(since), now, 1_000);
    assert_eq!(batch.owed.len(), 1, "one look now");
    let (first, last) = batch.missed_slots.unwrap();
    assert_eq!(last - first, TimeDelta::hours(34), "and one hole");
    assert_eq!(batch.owed[0].due.at - last, TimeDelta::hours(1));
}

#[test]
fn the_newest_window_waits_whatever_the_schedule_is() {
    for (window, more) in [
        ("{period: week, zones: [UTC]}", "    schedule: {cron: \"0 6 * * *\"}\n"),
        ("{period: month, zones: [UTC]}", "    schedule: {every: 1h}\n"),
        ("{period: day, zones: [UTC]}", "    except: {dates: [2026-11-18], because: closed}\n"),
        ("{period: day, zones: [America/New_York], split: utc_offset}", ""),
    ] {
        let more = format!("{more}    catch_up: {{policy: latest}}\n    result_by: 1h\n");
        let series = series(window, &more).remove(0);
        let (since, now) = (at("2026-09-28T12:00:00Z"), at("2026-11-19T12:00:00Z"));
        let batch = series.owed(Watermark::Through(since), now, 1_000);
        let newest = batch.owed.last().unwrap().due.at;
        for owed in &batch.owed {
            let waits = owed.fate == Fate::Wait;
            assert_eq!(waits, owed.due.at == newest, "{window} {more}: {owed:?}");
        }
        assert!(batch.owed.len() > 1, "{window} {more}");
        // In small batches it is the same.
        let small = series.owed(Watermark::Through(since), now, 1);
        assert_eq!(small.owed[0], batch.owed[0], "{window} {more}");
    }
}

#[test]
fn dropped_times_are_told_once_and_hold_nothing_up() {
    let more = "    schedule: {cron: \"*/20 2 * * *\", gap: skip}\n";
    let series = series("{period: day, zones: [America/New_York]}", more).remove(0);
    let (mut through, now) = (at("2026-03-08T06:00:00Z"), at("2026-03-10T12:00:00Z"));
    let (mut events, mut windows) = (Vec::new(), 0);
    for _ in 0..20 {
        let batch = series.owed(Watermark::Through(through), now, 1);
        assert!(batch.watermark > through, "it goes on");
        through = batch.watermark;
        windows += batch.owed.len();
        events.extend(batch.events);
        if batch.complete {
            break;
        }
    }
    assert_eq!((windows, events.len()), (3, 3), "{events:?}");
    assert_eq!(through, now);
}

#[test]
fn when_a_grid_over_utc_is_looked_at_does_not_move_it() {
    let yaml = "version: 1\nowner: t\nchecks:\n  - id: it\n    why: w\n    source: db\n    window: {period: 6h}\n    \
                schedule: {cron: \"0 6 * * *\", zone: Pacific/Auckland}\n    sql: select count(*) as n from t \
                where at >= :window_start and at < :window_end\n    expect: {values: {n: {min: 1}}}\n";
    let check = Arc::clone(&lab::checks(Engine::Postgres, yaml)[0]);
    let series = Series::of(&check, &|zone| lab::zones().rules(zone)).unwrap().remove(0);
    assert_eq!(
        (series.home.name.as_str(), series.clock.name.as_str()),
        ("UTC", "Pacific/Auckland")
    );
    let rule = series.window().unwrap();
    let span = rule.frame.span_of(&series.home.rules, "2026-06-01".parse().unwrap());
    assert_eq!(span.start, at("2026-06-01T00:00:00Z"));
    assert_eq!(span.windows(&series.home.rules, rule.split)[0].utc_offset.secs(), 0);
}

#[test]
fn the_days_of_thirty_years_tile_and_begin_when_clocks_say() {
    for name in ["America/St_Johns", "Australia/Lord_Howe"] {
        let rules = tzif::rules(name);
        let day = Frame::Calendar(Period::DAY);
        let (from, to) = ("2005-01-01".parse().unwrap(), "2035-01-01".parse().unwrap());
        let walked = tile(name, rules, day, from, to);
        assert_eq!(walked, 10_957, "{name}");
        // The first minute at which each date is shown, by walking through all of them.
        let (mut minute, end) =
            (rules.day_start(from).timestamp(), rules.day_start(to).timestamp());
        let started = minute;
        let later = rules.changes().iter().skip_while(|c| c.at.timestamp() <= started);
        let mut changes = later.peekable();
        let mut offset = i64::from(rules.offset_at(rules.day_start(from)).secs());
        let mut tomorrow = (minute + offset).div_euclid(86_400) + 1;
        while minute < end {
            while changes.peek().is_some_and(|change| change.at.timestamp() <= minute) {
                offset = i64::from(changes.next().unwrap().after.secs());
            }
            if minute + offset >= tomorrow * 86_400 {
                let date = DateTime::from_timestamp(tomorrow * 86_400, 0).unwrap().date_naive();
                assert_eq!(rules.day_start(date).timestamp(), minute, "{name} {date}");
                tomorrow += 1;
            }
            minute += 60;
        }
    }
}

#[test]
fn a_pause_makes_windows_wait_and_loses_none() {
    let more = "    pause: {until: 2026-05-20, because: moving}\n    catch_up: {policy: none}\n    result_by: 1h\n";
    let series = series("{period: day, zones: [America/New_York]}", more).remove(0);
    let now = at("2026-05-18T12:00:00Z");
    let until = at("2026-05-20T04:00:00Z");
    assert_eq!(series.paused_until(now), Some(until), "the day begins where the check lives");
    let batch = series.owed(Watermark::Through(at("2026-05-10T00:00:00Z")), now, 100);
    assert_eq!(batch.owed.len(), 9);
    assert!(batch.owed.iter().all(|owed| owed.fate == Fate::Wait));
    assert!(batch.owed.iter().all(|owed| owed.deadline == until + TimeDelta::hours(1)));
    assert_eq!(series.paused_until(until), None);
}

#[test]
fn a_pause_that_is_over_is_no_reason_for_an_alarm() {
    let more = "    pause: {until: 2026-05-20, because: moving}\n    catch_up: {policy: all, age: 2d}\n    result_by: 1h\n";
    let series = series("{period: day, zones: [UTC]}", more).remove(0);
    let since = Watermark::Through(at("2026-05-10T00:00:00Z"));
    for now in ["2026-05-19T23:59:00Z", "2026-05-20T00:00:00Z", "2026-05-20T00:30:00Z"] {
        let batch = series.owed(since, at(now), 100);
        assert!(batch.owed.iter().all(|owed| owed.fate == Fate::Wait), "{now}");
    }
    // Slots in a pause are no slots: neither looked at in a heap, nor a hole.
    let paused =
        snapshot("    schedule: {every: 5m}\n    pause: {until: 2026-05-20, because: moving}\n");
    let batch = paused.owed(since, at("2026-05-19T12:00:00Z"), 10_000);
    assert_eq!((batch.owed.len(), batch.missed_slots), (0, None));
    let batch = paused.owed(since, at("2026-05-20T00:07:00Z"), 10_000);
    assert_eq!(batch.owed.len(), 1);
    assert!(batch.missed_slots.is_none_or(|(first, _)| first >= at("2026-05-20T00:00:00Z")));
}

#[test]
fn a_new_series_is_given_its_time() {
    let loaded = at("2026-05-01T06:59:59Z");
    let hourly = snapshot("    schedule: {cron: \"0 * * * *\", zone: UTC}\n");
    let daily =
        series("{period: day, zones: [UTC]}", "    schedule: {cron: \"0 7 * * *\"}\n").remove(0);
    for series in [hourly, daily] {
        let batch = series.owed(Watermark::New { loaded }, loaded, 10);
        assert_eq!(batch.owed.len(), 1);
        assert_eq!(batch.owed[0].deadline - loaded, TimeDelta::hours(1));
    }
    let closed = snapshot("    except: {dates: [2026-05-01], because: closed}\n");
    assert_eq!(closed.owed(Watermark::New { loaded }, loaded, 10).owed, []);
}

#[test]
fn patience_is_an_hour_or_the_time_to_the_next() {
    let patience = |series: &Series| {
        let mut dues = series.agenda_after(at("2026-03-28T00:30:00Z"));
        let due = dues.find_map(|entry| match entry {
            Entry::Due(due) => Some(due),
            Entry::Event(_) => None,
        });
        series.patience(&due.unwrap()).num_minutes()
    };
    assert_eq!(patience(&series("{period: day, zones: [UTC]}", "")[0]), 60);
    assert_eq!(patience(&series("{period: 5m, zones: [UTC]}", "")[0]), 5);
    assert_eq!(patience(&series("{period: day, zones: [UTC]}", "    result_by: 3h\n")[0]), 180);
    let cron = "    schedule: {cron: \"*/20 * * * *\"}\n";
    assert_eq!(patience(&series("{period: day, zones: [UTC]}", cron)[0]), 20);
    assert_eq!(patience(&snapshot("    schedule: {every: 10m}\n")), 10);
    assert_eq!(patience(&snapshot("")), 60);
}

#[test]
fn new_rules_put_new_windows_in_the_place_of_those_that_they_move() {
    // chrono-tz's rules have Vancouver go back on 2026-11-01; today's have it stay.
    let vancouver =
        series("{period: day, zones: [America/Vancouver], split: utc_offset}", "").remove(0);
    let name = &vancouver.home.name;
    let mut old = vancouver.clone();
    old.home.rules = Arc::new(allswell::zones::witness(name).unwrap());
    let (from, now) = (at("2026-10-30T00:00:00Z"), at("2026-11-06T00:00:00Z"));
    let recorded: Vec<(DateTime<Utc>, DateTime<Utc>)> = old
        .agenda_after(from)
        .take_while(|entry| entry.at() <= now)
        .filter_map(|entry| match entry {
            Entry::Due(due) => match due.target {
                Target::Window(window) => Some((window.start, window.end)),
                Target::Slot(_) => None,
            },
            Entry::Event(_) => None,
        })
        .collect();
    assert_eq!(recorded.len(), 8, "seven days, one of them in two stretches");
    assert_eq!(
        vancouver.superseded(&recorded[..3], recorded[2].1, now),
        None,
        "what is not moved stays"
    );
    let moved = vancouver.superseded(&recorded, now, now).unwrap();
    let old_bounds: Vec<_> = moved.old.iter().map(|(bounds, _)| *bounds).collect();
    assert_eq!(old_bounds, recorded[3..]);
    for ((start, end), by) in &moved.old {
        // Every instant of an old window is in one that stands for it, over or not.
        assert!(by[0].start <= *start && by.last().unwrap().end >= *end);
        assert!(by.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
    assert!(moved.new.windows(2).all(|pair| pair[0].end == pair[1].start), "they tile");
    assert!(moved.new.iter().all(|window| window.end <= now), "and are over");
    // What an owner takes out later, or lets settle longer, moves no window.
    let mut check = (*vancouver.check).clone();
    let dates = vec!["2026-10-30".parse().unwrap()];
    check.except = Some(Except { dates, because: "closed".into() });
    check.window.as_mut().unwrap().settle = std::time::Duration::from_secs(2 * 86_400);
    let changed = Series { check: Arc::new(check), ..vancouver.clone() };
    assert_eq!(changed.superseded(&recorded[..3], recorded[2].1, now), None);
    assert_eq!(old.superseded(&recorded, now, now), None);

    // Today's rules end 1 November at 07:00Z, an hour before the old ones: stopped between the two, the
    // record would never come back to it.
    let watermark = at("2026-11-02T07:30:00Z");
    let before: Vec<_> = recorded.iter().copied().filter(|(_, end)| *end <= watermark).collect();
    assert_eq!(
        before.last().unwrap().1,
        at("2026-11-01T09:00:00Z"),
        "half of the day by the old rules"
    );
    let found = vancouver.superseded(&before[..3], watermark, now).unwrap();
    assert_eq!(found.old, []);
    let days: Vec<NaiveDate> = found.new.iter().map(|window| window.span.date).collect();
    assert_eq!(days, ["2026-11-01".parse().unwrap()]);
    let rest = vancouver.owed(Watermark::Through(watermark), now, 100);
    let Target::Window(next) = rest.owed[0].due.target else { panic!("a window") };
    assert_eq!(next.start, found.new[0].end, "and from there on all is owed");
}
