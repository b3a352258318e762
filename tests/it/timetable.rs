//! Schedules look when they say, in every zone and year, through every clock change.

use std::time::{Duration, Instant};

use allswell::domain::time::crontab::Crontab;
use allswell::domain::time::timetable::{Fold, Gap, Happening, Timetable, What};
use allswell::domain::time::zone::{Change, Rules, ZoneName};
use allswell::zones::witness;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::dice::Dice;
use crate::tzif;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn line(text: &str) -> Crontab {
    Crontab::parse(text).unwrap()
}

/// Every clock change of the years that are tested, of one zone for each set of rules.
fn changes(rules: &Rules) -> &[Change] {
    rules.changes_within(at("1970-01-08T00:00:00Z"), at("2037-12-31T00:00:00Z"))
}

fn slots(table: Timetable<'_>, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Happening> {
    let happenings = table.after(from).take_while(|h| h.at <= to);
    happenings.filter(Happening::is_slot).collect()
}

#[test]
fn a_daily_schedule_looks_once_on_each_date_that_exists() {
    let lines =
        ["0 0 * * *", "30 0 * * *", "30 1 * * *", "30 2 * * *", "30 23 * * *", "59 23 * * *"];
    let mut dates = 0;
    for (name, rules) in tzif::distinct() {
        for change in changes(rules) {
            let middle = rules.date_at(change.at);
            let (first, last) = (middle - chrono::Days::new(3), middle + chrono::Days::new(3));
            let from = rules.day_start(first) - TimeDelta::days(2);
            let to = rules.day_start(last) + TimeDelta::days(3);
            let existing: Vec<NaiveDate> = first
                .iter_days()
                .take_while(|date| *date <= last)
                .filter(|date| !rules.leaves_out(*date))
                .collect();
            for text in lines {
                let line = line(text);
                for gap in [Gap::NextValid, Gap::Shift] {
                    let table = Timetable { line: &line, rules, gap, fold: Fold::First };
                    let found = slots(table, from, to);
                    assert!(found.is_sorted_by(|a, b| a.at < b.at), "{name} {text} {change}");
                    let mut looked: Vec<NaiveDate> = found.iter().map(|h| h.civil.date()).collect();
                    looked.retain(|date| (first..=last).contains(date));
                    // Where clocks go back across midnight, dates are shown in another order.
                    looked.sort();
                    assert_eq!(looked, existing, "{name} {text} {gap:?} {change}");
                }
                dates += existing.len();
            }
        }
    }
    assert!(dates > 100_000, "{dates}");
}

/// Which minutes of civil time a line names; written down again, without its parser.
type Names = fn(i64, i64) -> bool;

const NAMED: [(&str, i64, Names); 5] = [
    ("*/15 * * * *", 12, |_, minute| minute % 15 == 0),
    ("0 * * * *", 24, |_, minute| minute == 0),
    ("45 1,2 * * *", 72, |hour, minute| minute == 45 && (hour == 1 || hour == 2)),
    ("30 1 * * *", 72, |hour, minute| minute == 30 && hour == 1),
    ("30 2 * * *", 72, |hour, minute| minute == 30 && hour == 2),
];

/// Every minute whose civil time is named, by walking through the minutes.
fn walked(rules: &Rules, from: DateTime<Utc>, to: DateTime<Utc>, names: Names) -> Vec<i64> {
    let changes = rules.changes_within(from, to);
    let mut next = changes.iter().peekable();
    let mut offset = i64::from(rules.offset_at(from).secs());
    let mut found = Vec::new();
    let mut at = from.timestamp() + 60;
    while at <= to.timestamp() {
        while next.peek().is_some_and(|change| change.at.timestamp() <= at) {
            offset = i64::from(next.next().unwrap().after.secs());
        }
        let civil = at + offset;
        if names(civil.rem_euclid(86_400) / 3600, civil.rem_euclid(3600) / 60) {
            found.push(at);
        }
        at += 60;
    }
    found
}

fn has_seconds(rules: &Rules, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
    let odd = |secs: i32| secs % 60 != 0;
    let within = rules.changes_within(from, to);
    within.iter().any(|c| odd(c.before.secs()) || odd(c.after.secs()))
        || odd(rules.offset_at(from).secs())
}

#[test]
fn slots_are_the_minutes_whose_civil_time_is_named() {
    let lines = NAMED.map(|(text, hours, names)| (line(text), hours, names));
    let (mut compared, mut skipped) = (0, 0);
    for (name, rules) in tzif::distinct() {
        for change in changes(rules) {
            for (line, hours, names) in &lines {
                let around = TimeDelta::hours(*hours);
                let minute = change.at.timestamp().div_euclid(60) * 60;
                let minute = DateTime::from_timestamp(minute, 0).unwrap();
                let (from, to) = (minute - around, minute + around);
                // A walk by minutes cannot see offsets with seconds; they ended in 1972.
                if has_seconds(rules, from, to) {
                    skipped += 1;
                    continue;
                }
                let table = Timetable { line, rules, gap: Gap::Skip, fold: Fold::Both };
                let found = slots(table, from, to);
                let found: Vec<i64> = found.iter().map(|h| h.at.timestamp()).collect();
                assert_eq!(found, walked(rules, from, to, *names), "{name} {line} {change}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50_000 && skipped < 100, "{compared} compared, {skipped} skipped");
}

#[test]
fn two_zones_are_walked_through_for_thirty_years() {
    let (from, to) = (at("2005-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z"));
    for name in ["America/St_Johns", "Australia/Lord_Howe"] {
        let rules = tzif::rules(name);
        let line = line("30 2 * * *");
        let table = Timetable { line: &line, rules, gap: Gap::Skip, fold: Fold::Both };
        let found: Vec<i64> = slots(table, from, to).iter().map(|h| h.at.timestamp()).collect();
        assert_eq!(
            found,
            walked(rules, from, to, |hour, minute| hour == 2 && minute == 30),
            "{name}"
        );
    }
}

#[test]
fn a_restart_at_any_instant_goes_on_with_the_same_list() {
    let policies = [
        (Gap::NextValid, Fold::First),
        (Gap::Skip, Fold::Both),
        (Gap::Shift, Fold::Second),
        (Gap::NextValid, Fold::Both),
    ];
    let lines = ["*/20 * * * *", "30 2 * * *", "0 0 1 * *", "15,45 0-3 * * *"].map(line);
    let mut dice = Dice(3);
    let mut restarts = 0;
    for (name, rules) in tzif::distinct() {
        // Each change is one of the list for some line and policy; all of them would take minutes.
        for change in changes(rules) {
            let line = &lines[dice.below(lines.len())];
            let (gap, fold) = policies[dice.below(policies.len())];
            let table = Timetable { line, rules, gap, fold };
            let (from, to) = (change.at - TimeDelta::hours(8), change.at + TimeDelta::hours(8));
            let all: Vec<Happening> = table.after(from).take_while(|h| h.at <= to).collect();
            for _ in 0..3 {
                let secs = i64::try_from(dice.below(16 * 3600)).unwrap();
                let restart = from + TimeDelta::seconds(secs);
                let rest: Vec<Happening> =
                    table.after(restart).take_while(|h| h.at <= to).collect();
                let wanted: Vec<Happening> =
                    all.iter().copied().filter(|h| h.at > restart).collect();
                assert_eq!(rest, wanted, "{name} {line} {gap:?} {fold:?} {change} from {restart}");
                restarts += 1;
            }
        }
    }
    assert!(restarts > 29_000, "{restarts}");
}

/// What happens to a line on the days around a date, as somebody would tell it.
fn told(zone: &str, text: &str, from: &str, to: &str) -> Vec<String> {
    let rules = tzif::rules(zone);
    let line = line(text);
    let (gap, fold) = (Gap::implied(line.hours()), Fold::implied(line.hours()));
    told_with(rules, &line, gap, fold, from, to)
}

fn told_with(
    rules: &Rules,
    line: &Crontab,
    gap: Gap,
    fold: Fold,
    from: &str,
    to: &str,
) -> Vec<String> {
    let civil = |text: &str| {
        let civil = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        rules.day_start(civil.date()) + (civil - civil.date().and_hms_opt(0, 0, 0).unwrap())
    };
    let table = Timetable { line, rules, gap, fold };
    let all = table.after(civil(from) - TimeDelta::seconds(1)).take_while(|h| h.at < civil(to));
    let tell = |h: Happening| {
        let offset = rules.offset_at(h.at);
        let shown = offset.civil(h.at).format("%d %H:%M");
        match (h.what, h.to_string()) {
            (What::Slot(_), note) if note.is_empty() => format!("{shown} {offset}"),
            (What::Slot(_), note) => format!("{shown} {offset}, {note}"),
            (What::Dropped(_), note) => note,
        }
    };
    all.map(tell).collect()
}

#[test]
fn new_york_skips_no_night_and_repeats_none() {
    assert_eq!(
        told("America/New_York", "30 2 * * *", "2026-03-07 00:00", "2026-03-10 00:00"),
        [
            "07 02:30 -05:00",
            "08 03:00 -04:00, 02:30 does not exist (02:00 → 03:00): at the end of the gap",
            "09 02:30 -04:00",
        ]
    );
    assert_eq!(
        told("America/New_York", "30 1 * * *", "2026-11-01 00:00", "2026-11-03 00:00"),
        [
            "01 01:30 -04:00, 01:30 comes twice: the first",
            "01:30 comes twice: the second is dropped",
            "02 01:30 -05:00",
        ]
    );
    assert_eq!(
        told("America/New_York", "0 * * * *", "2026-03-08 01:00", "2026-03-08 04:00"),
        [
            "08 01:00 -05:00",
            "02:00 does not exist (02:00 → 03:00): skipped",
            "08 03:00 -04:00",
            "08 04:00 -04:00"
        ]
    );
    // The look at 03:00 stands for the one that does not exist.
    assert_eq!(
        told("America/New_York", "0,30 2,3 * * *", "2026-03-08 00:00", "2026-03-09 00:00"),
        [
            "02:00 does not exist (02:00 → 03:00): merged with another look",
            "02:30 does not exist (02:00 → 03:00): merged with another look",
            "08 03:00 -04:00",
            "08 03:30 -04:00",
        ]
    );
    let rules = tzif::rules("America/New_York");
    let shift = |text| {
        told_with(
            rules,
            &line(text),
            Gap::Shift,
            Fold::Second,
            "2026-03-08 00:00",
            "2026-03-09 00:00",
        )
    };
    assert_eq!(
        shift("30 2 * * *"),
        ["08 03:30 -04:00, 02:30 does not exist (02:00 → 03:00): shifted"]
    );
    assert_eq!(shift("30 2,3 * * *").last().unwrap(), "08 03:30 -04:00", "merged, not doubled");
    let second = told_with(
        rules,
        &line("30 1 * * *"),
        Gap::Skip,
        Fold::Second,
        "2026-11-01 00:00",
        "2026-11-02 00:00",
    );
    assert_eq!(
        second,
        [
            "01:30 comes twice: the first is dropped",
            "01 01:30 -05:00, 01:30 comes twice: the second"
        ]
    );
}

#[test]
fn a_midnight_that_does_not_exist_is_looked_at_when_it_ends() {
    for (zone, from, to, looked) in [
        (
            "Africa/Cairo",
            "2026-04-24 00:00",
            "2026-04-25 00:00",
            "24 01:00 +03:00, 00:00 does not exist (2026-04-24 00:00 → 2026-04-24 01:00)",
        ),
        (
            "America/Santiago",
            "2026-09-06 00:00",
            "2026-09-07 00:00",
            "06 01:00 -03:00, 00:00 does not exist",
        ),
        (
            "America/Havana",
            "2026-03-08 00:00",
            "2026-03-09 00:00",
            "08 01:00 -04:00, 00:00 does not exist",
        ),
        (
            "Asia/Beirut",
            "2026-03-29 00:00",
            "2026-03-30 00:00",
            "29 01:00 +03:00, 00:00 does not exist",
        ),
        (
            "Atlantic/Azores",
            "2026-03-29 00:00",
            "2026-03-30 00:00",
            "29 01:00 +00:00, 00:00 does not exist",
        ),
        (
            "America/Sao_Paulo",
            "2018-11-04 00:00",
            "2018-11-05 00:00",
            "04 01:00 -02:00, 00:00 does not exist",
        ),
    ] {
        let told = told(zone, "@daily", from, to);
        let looked = looked.replace("2026-04-24 00:00 → 2026-04-24 01:00", "00:00 → 01:00");
        assert_eq!(told.len(), 1, "{zone}: {told:?}");
        assert!(told[0].starts_with(&looked), "{zone}: {told:?}");
    }
    // Every Sunday, and every month: one look is not two weeks or 61 days late.
    let weekly = told("Atlantic/Azores", "0 0 * * SUN", "2026-03-28 00:00", "2026-04-01 00:00");
    assert!(weekly[0].starts_with("29 01:00 +00:00"), "{weekly:?}");
    let monthly = told("America/Asuncion", "0 0 1 * *", "2017-10-01 00:00", "2017-10-02 00:00");
    assert!(monthly[0].starts_with("01 01:00 -03:00"), "{monthly:?}");
}

#[test]
fn half_hours_and_double_hours_are_gaps_and_folds_too() {
    assert_eq!(
        told("Australia/Lord_Howe", "15 2 * * *", "2026-10-04 00:00", "2026-10-05 00:00"),
        ["04 02:30 +11:00, 02:15 does not exist (02:00 → 02:30): at the end of the gap"]
    );
    let fold = told("Australia/Lord_Howe", "*/15 * * * *", "2026-04-05 01:15", "2026-04-05 02:20");
    assert_eq!(
        fold,
        [
            "05 01:15 +11:00",
            "05 01:30 +11:00, 01:30 comes twice: the first",
            "05 01:45 +11:00, 01:45 comes twice: the first",
            "05 01:30 +10:30, 01:30 comes twice: the second",
            "05 01:45 +10:30, 01:45 comes twice: the second",
        ]
    );
    let gap = told("Antarctica/Troll", "30 1,2 * * *", "2026-03-29 00:00", "2026-03-30 00:00");
    assert_eq!(
        gap,
        [
            "29 03:00 +02:00, 01:30 does not exist (01:00 → 03:00): at the end of the gap",
            "02:30 does not exist (01:00 → 03:00): merged with another look",
        ]
    );
    let hourly = told("Antarctica/Troll", "0 * * * *", "2026-10-25 00:00", "2026-10-25 05:00");
    let shown: Vec<&str> = hourly.iter().map(|told| &told[3..15]).collect();
    let wanted = ["00:00 +02:00", "01:00 +02:00", "02:00 +02:00", "01:00 +00:00", "02:00 +00:00"];
    assert_eq!(shown, wanted);
}

#[test]
fn a_date_that_samoa_left_out_is_not_looked_at_and_told() {
    assert_eq!(
        told("Pacific/Apia", "0 12 * * *", "2011-12-29 00:00", "2012-01-01 00:00"),
        [
            "29 12:00 -10:00",
            "2011-12-30 does not exist (2011-12-30 00:00 → 2011-12-31 00:00): skipped",
            "31 12:00 +14:00",
        ]
    );
}

#[test]
fn dates_that_come_back_and_winters_that_are_the_exception_are_looked_at_once() {
    // At 00:01 on the 7th clocks went back to 23:01 on the 6th.
    assert_eq!(
        told("America/St_Johns", "30 23 * * *", "2010-11-06 00:00", "2010-11-08 00:00"),
        [
            "06 23:30 -02:30, 23:30 comes twice: the first",
            "23:30 comes twice: the second is dropped",
            "07 23:30 -03:30",
        ]
    );
    assert_eq!(
        told("America/St_Johns", "0 0 * * *", "2010-11-07 00:00", "2010-11-08 00:00"),
        [
            "07 00:00 -02:30, 00:00 comes twice: the first",
            "00:00 comes twice: the second is dropped"
        ]
    );
    for (text, from, to) in [
        ("30 1 * * *", "2026-03-28 00:00", "2026-03-31 00:00"),
        ("30 1 * * *", "2026-10-24 00:00", "2026-10-27 00:00"),
    ] {
        assert_eq!(told("Europe/Dublin", text, from, to), told("Europe/London", text, from, to));
    }
    assert_eq!(
        told("Africa/Casablanca", "30 2 * * *", "2026-02-15 00:00", "2026-02-16 00:00"),
        [
            "15 02:30 +01:00, 02:30 comes twice: the first",
            "02:30 comes twice: the second is dropped"
        ]
    );
    assert_eq!(
        told("Africa/Casablanca", "30 2 * * *", "2026-03-22 00:00", "2026-03-23 00:00"),
        ["22 03:00 +01:00, 02:30 does not exist (02:00 → 03:00): at the end of the gap"]
    );
}

/// croner's list of instants after one, computed with the same table.
fn croner(
    zone: chrono_tz::Tz,
    text: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<i64>, String> {
    let cron: croner::Cron = text.parse().map_err(|e: croner::errors::CronError| e.to_string())?;
    let (mut found, mut last) = (Vec::new(), from.with_timezone(&zone));
    loop {
        let next = cron.find_next_occurrence(&last, false).map_err(|e| e.to_string())?;
        if next > to {
            return Ok(found);
        }
        found.push(next.timestamp());
        last = next;
    }
}

#[test]
fn croner_agrees_where_its_rule_is_the_same() {
    // Its fixed-time jobs are those with one minute and one hour; all others it takes for rhythms.
    // Ours are told by the hour alone, as in cronie, and are what is written where that differs.
    let same = [
        ("30 1 * * *", None),
        ("30 2 * * *", None),
        ("0 0 * * *", None),
        ("0 * * * *", None),
        ("*/15 * * * *", None),
        ("*/15 */2 * * *", None),
        ("45 1,2 * * *", Some((Gap::Skip, Fold::Both))),
        ("*/20 2 * * *", Some((Gap::Skip, Fold::Both))),
        ("30 0-3 * * *", Some((Gap::Skip, Fold::Both))),
    ];
    let zones = [
        "America/New_York",
        "Europe/Berlin",
        "Europe/Dublin",
        "Australia/Lord_Howe",
        "Antarctica/Troll",
        "Africa/Casablanca",
        "Africa/Cairo",
        "America/Havana",
        "America/Santiago",
        "Asia/Beirut",
        "Atlantic/Azores",
        "America/St_Johns",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "Asia/Kolkata",
        "Antarctica/Casey",
        "Pacific/Chatham",
        "America/Scoresbysund",
        "Asia/Gaza",
        "America/Asuncion",
    ];
    let (mut compared, mut given_up) = (0, Vec::new());
    for name in zones {
        // It reads zones of chrono-tz only, so ours are read from there too.
        let zone: chrono_tz::Tz = name.parse().unwrap();
        let rules = witness(&ZoneName::parse(name).unwrap()).unwrap();
        for change in rules.changes_within(at("2000-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")) {
            for (text, policy) in same {
                let line = line(text);
                let implied = (Gap::implied(line.hours()), Fold::implied(line.hours()));
                let (gap, fold) = policy.unwrap_or(implied);
                let (from, to) =
                    (change.at - TimeDelta::hours(30), change.at + TimeDelta::hours(30));
                let table = Timetable { line: &line, rules: &rules, gap, fold };
                let ours: Vec<i64> =
                    slots(table, from, to).iter().map(|h| h.at.timestamp()).collect();
                compared += 1;
                match croner(zone, text, from, to) {
                    Ok(theirs) => assert_eq!(theirs, ours, "{name} {} {text}", change.at),
                    Err(_) => given_up.push((name, change.to_string(), text)),
                }
            }
        }
    }
    assert!(compared > 6_000, "{compared}");
    // Every difference: it gives up where a fixed time falls into a gap that is longer than two hours.
    let samoa = "2011-12-30 00:00 → 2011-12-31 00:00";
    let casey = |change: &'static str| ("Antarctica/Casey", change, "30 2 * * *");
    let known = [
        ("Pacific/Apia", samoa, "30 1 * * *"),
        ("Pacific/Apia", samoa, "30 2 * * *"),
        ("Pacific/Apia", samoa, "0 0 * * *"),
        casey("02:00 → 05:00"),
        casey("02:00 → 05:00"),
        ("Antarctica/Casey", "00:00 → 03:00", "0 0 * * *"),
    ];
    assert_eq!(given_up, known.map(|(zone, change, text)| (zone, change.to_owned(), text)));
}

#[test]
fn croner_differs_where_an_hour_is_written_out_and_a_minute_is_not() {
    // It takes lines with several minutes or hours for rhythms: they are skipped in a gap and come
    // twice in a fold. An hour that is written out is meant here, as in cronie.
    let zone = chrono_tz::America::New_York;
    let rules = witness(&ZoneName::parse("America/New_York").unwrap()).unwrap();
    let shown = |at: i64| DateTime::from_timestamp(at, 0).unwrap().format("%H:%M").to_string();
    for (text, from, ours, theirs) in [
        ("45 1,2 * * *", "2026-03-08T05:00:00Z", &["06:45", "07:00"][..], &["06:45"][..]),
        ("*/20 2 * * *", "2026-03-08T05:00:00Z", &["07:00"], &[]),
        ("45 1,2 * * *", "2026-11-01T04:00:00Z", &["05:45", "07:45"], &["05:45", "06:45", "07:45"]),
        (
            "30 0-3 * * *",
            "2026-03-08T05:00:00Z",
            &["05:30", "06:30", "07:00", "07:30"],
            &["05:30", "06:30", "07:30"],
        ),
    ] {
        let line = line(text);
        let (gap, fold) = (Gap::implied(line.hours()), Fold::implied(line.hours()));
        let table = Timetable { line: &line, rules: &rules, gap, fold };
        let (from, to) = (at(from), at(from) + TimeDelta::hours(5));
        let found: Vec<String> =
            slots(table, from, to).iter().map(|h| shown(h.at.timestamp())).collect();
        assert_eq!(found, ours, "{text} {from}");
        let found: Vec<String> =
            croner(zone, text, from, to).unwrap().into_iter().map(shown).collect();
        assert_eq!(found, theirs, "{text} {from}");
    }
}

#[test]
fn nonsense_lines_end_soon() {
    let started = Instant::now();
    let mut dice = Dice(8);
    for _ in 0..3_000 {
        let alphabet: Vec<char> = "0123456789*/,- ?LW#@MONFRIjan".chars().collect();
        let text: String =
            (0..dice.below(30)).map(|_| alphabet[dice.below(alphabet.len())]).collect();
        if let Ok(line) = Crontab::parse(&text) {
            let rules = tzif::rules("America/New_York");
            let table = Timetable { line: &line, rules, gap: Gap::NextValid, fold: Fold::First };
            assert!(table.after(at("2026-01-01T00:00:00Z")).next().is_some(), "{text}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
