//! The rules of zones are those of the zone database, in every zone and year.

use std::path::Path;

use allswell::domain::time::zone::{Offset, Rules, ZoneName};
use allswell::zones::{Database, Origin, Zones, first_difference, witness};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;

use crate::servers::Folder;
use crate::tzif;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn start() -> DateTime<Utc> {
    at("1970-01-01T00:00:00Z")
}

fn end() -> DateTime<Utc> {
    at("2100-01-01T00:00:00Z")
}

/// Says where two tables differ from 1970 to 2100.
fn difference(a: &Rules, b: &Rules) -> Option<DateTime<Utc>> {
    first_difference(a, b, start()).filter(|at| *at < end())
}

#[test]
fn every_zone_is_what_zdump_says_from_1970_to_2100() {
    let said = tzif::zdump();
    let mut compared = 0;
    for (name, rules) in tzif::all() {
        match said.get(name.as_str()) {
            Some(said) => {
                assert_eq!(difference(rules, said), None, "{name}");
                compared += 1;
            }
            // zdump has nothing to say of zones that never change.
            None => assert_eq!(rules.changes_within(start(), end()), [], "{name}"),
        }
    }
    assert!(compared > 400, "{compared} zones");
}

#[test]
fn the_bundled_zones_are_those_of_the_folder() {
    let bundled = Database::bundled();
    assert_eq!(bundled.release.as_ref().unwrap().to_string(), tzif::RELEASE);
    let mut differ = Vec::new();
    for (name, rules) in tzif::all() {
        let ours = bundled.rules(name).unwrap_or_else(|| panic!("{name} is missing"));
        if difference(rules, &ours).is_some() {
            differ.push(name.as_str());
        }
    }
    // Debian keeps the old, separate rules of these bare names, which no check may use.
    assert!(differ.iter().all(|name| !name.contains('/')), "{differ:?}");
}

#[test]
fn what_chrono_tz_has_wrong_today_is_right_here() {
    let now = at("2026-11-23T14:00:00Z");
    for (name, ours, theirs) in [
        ("America/Vancouver", -7, -8),
        ("America/Edmonton", -6, -7),
        ("America/Winnipeg", -5, -6),
        ("America/Havana", -4, -5),
        ("Africa/Casablanca", 0, 1),
        ("Africa/El_Aaiun", 0, 1),
    ] {
        let zone = ZoneName::parse(name).unwrap();
        let hours = |hours: i32| Offset::of_secs(hours * 3600);
        assert_eq!(tzif::rules(name).offset_at(now), hours(ours), "{name}");
        assert_eq!(Zones::bundled().rules(&zone).unwrap().offset_at(now), hours(ours), "{name}");
        let witness = witness(&zone).unwrap();
        assert_eq!(witness.offset_at(now), hours(theirs), "{name}: the witness was updated");
        let first = first_difference(tzif::rules(name), &witness, at("2026-01-01T00:00:00Z"));
        assert!(first.is_some_and(|at| at <= now), "{name}");
    }
}

#[test]
fn the_newest_whole_database_is_used() {
    let folder = Folder::new("zoneinfo");
    let host = |release: Option<&str>, zones: &[&str]| {
        let path = folder.path().join(format!("{}-{}", release.unwrap_or("none"), zones.len()));
        std::fs::create_dir(&path).unwrap();
        if let Some(release) = release {
            std::fs::write(path.join("tzdata.zi"), format!("# version {release}\n")).unwrap();
        }
        for zone in zones {
            let file = path.join(zone);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::copy(tzif::folder().join(zone), file).unwrap();
        }
        Zones::of(Database::folder(&path))
    };
    let all: Vec<&str> = tzif::all().keys().map(ZoneName::as_str).collect();
    let used = |zones: &Zones| zones.chosen().origin != Origin::Bundled;
    assert!(used(&host(Some("2999a"), &all)), "newer and whole");
    assert!(!used(&host(Some("2025b"), &all)), "older");
    assert!(!used(&host(None, &all)), "no release");
    assert!(!used(&host(Some("garbage"), &all)), "no release");
    let few = host(Some("2999b"), &["Europe/Berlin", "UTC"]);
    assert!(!used(&few), "newer, and not whole");
    let unfit = few.databases()[0].unfit.clone().unwrap();
    assert!(unfit.starts_with("it has no Africa/"), "{unfit}");
    assert!(!used(&Zones::open(Some(Path::new("/nonexistent")))));
}

#[test]
fn only_names_that_mean_one_thing_may_stand_in_a_check() {
    let zones = Zones::bundled();
    for name in ["Europe/Berlin", "America/Argentina/Buenos_Aires", "UTC", "Europe/Amsterdam"] {
        let named = zones.named(name).unwrap();
        assert_eq!((named.name.as_str(), named.present), (name, None));
    }
    for (old, present) in [
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("US/Eastern", "America/New_York"),
        ("America/Buenos_Aires", "America/Argentina/Buenos_Aires"),
    ] {
        assert_eq!(zones.named(old).unwrap().present.as_deref(), Some(present), "{old}");
    }
    for (name, rule, hint) in [
        ("CET", "abbreviation", "`Europe/Brussels`"),
        ("EST5EDT", "abbreviation", "`Area/City`"),
        ("GMT", "abbreviation", "`UTC`"),
        ("Etc/UTC", "abbreviation", "`UTC`"),
        ("Cuba", "abbreviation", "`America/Havana`"),
        ("Etc/GMT+5", "west of Greenwich", "`Area/City`"),
        ("Etc/GMT-14", "east of Greenwich", "`Area/City`"),
        ("europe/berlin", "spelt `Europe/Berlin`", "`Europe/Berlin`"),
        ("Berlin", "no zone", "`Europe/Berlin`"),
        ("New York", "no zone", "`America/New_York`"),
        ("Europe/Berln", "no zone", "`Europe/Berlin`"),
        ("+05:30", "is an offset", "`Area/City`"),
        ("UTC+5", "is an offset", "`Area/City`"),
        ("Local", "no zone", "`Area/City`"),
        ("", "no zone", "`Area/City`"),
        ("posix/Europe/Berlin", "no zone", ""),
        ("../../etc/passwd", "no zone", ""),
        ("Mars/Olympus", "no zone", ""),
    ] {
        let refused = zones.named(name).expect_err(name);
        assert!(refused.message.contains(rule), "{name}: {}", refused.message);
        assert!(refused.hint.contains(hint), "{name}: {}", refused.hint);
    }
    let host = Zones::only(Database::folder(&tzif::folder()));
    for name in ["localtime", "posixrules", "Factory", "../tzif", "tzdata.zi"] {
        assert!(ZoneName::parse(name).ok().and_then(|name| host.rules(&name)).is_none(), "{name}");
    }
}

proptest! {
    #[test]
    fn no_name_panics_and_each_refusal_says_what_to_write(
        noise in "\\PC{0,80}",
        near in "(Europe|America|Etc|GMT|UTC|posix)[/+:a-zA-Z_0-9-]{0,20}",
    ) {
        let zones = Zones::bundled();
        for name in [noise, near] {
            if let Err(refused) = zones.named(&name) {
                prop_assert!(!refused.message.is_empty() && !refused.hint.is_empty());
            }
        }
    }
}

#[test]
fn days_begin_where_a_walk_through_the_minutes_first_shows_them() {
    const DAY: i64 = 86_400;
    let mut begun = 0;
    for (name, rules) in tzif::distinct() {
        let changes = rules.changes_within(at("1970-01-08T00:00:00Z"), at("2037-12-31T00:00:00Z"));
        for change in changes {
            let (from, to) = (change.at - TimeDelta::days(3), change.at + TimeDelta::days(3));
            // A walk by minutes cannot see offsets with seconds; they ended in 1972.
            let within = rules.changes_within(from, to);
            if within.iter().any(|c| c.before.secs() % 60 != 0 || c.after.secs() % 60 != 0) {
                continue;
            }
            let mut next = within.iter().peekable();
            let mut offset = i64::from(rules.offset_at(from).secs());
            let mut minute = from.timestamp();
            let mut tomorrow = ((minute + offset).div_euclid(DAY) + 1) * DAY;
            while minute < to.timestamp() {
                while next.peek().is_some_and(|change| change.at.timestamp() <= minute) {
                    offset = i64::from(next.next().unwrap().after.secs());
                }
                while minute + offset >= tomorrow {
                    let date = DateTime::from_timestamp(tomorrow, 0).unwrap().date_naive();
                    assert_eq!(rules.day_start(date).timestamp(), minute, "{name} {date}");
                    tomorrow += DAY;
                    begun += 1;
                }
                minute += 60;
            }
        }
    }
    assert!(begun > 80_000, "{begun}");
}

#[test]
fn midnights_that_do_not_exist_or_come_twice_begin_their_day_once() {
    for (zone, day, starts, hours) in [
        // Midnight is left out: the day begins at 01:00.
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", 23.0),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z", 23.0),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00:00Z", 23.0),
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z", 23.0),
        ("Atlantic/Azores", "2026-03-29", "2026-03-29T01:00:00Z", 23.0),
        // 23:00 to midnight comes twice: the day before is longer.
        ("Africa/Cairo", "2026-10-29", "2026-10-28T21:00:00Z", 25.0),
        ("America/Santiago", "2026-04-04", "2026-04-04T03:00:00Z", 25.0),
        ("Asia/Beirut", "2026-10-24", "2026-10-23T21:00:00Z", 25.0),
        // Midnight comes twice: the day begins with the first, and holds both.
        ("Atlantic/Azores", "2026-10-25", "2026-10-25T00:00:00Z", 25.0),
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00Z", 25.0),
        // Half an hour, and two.
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30:00Z", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", 24.5),
        ("Antarctica/Troll", "2026-03-29", "2026-03-29T00:00:00Z", 22.0),
        ("Antarctica/Troll", "2026-10-25", "2026-10-24T22:00:00Z", 26.0),
        // Negative DST: Dublin's winter is the exception, and its days are London's.
        ("Europe/Dublin", "2026-03-29", "2026-03-29T00:00:00Z", 23.0),
        ("Europe/London", "2026-03-29", "2026-03-29T00:00:00Z", 23.0),
        ("Europe/Dublin", "2026-10-25", "2026-10-24T23:00:00Z", 25.0),
        // Ramadan: clocks go back for it, and forward after it.
        ("Africa/Casablanca", "2026-02-15", "2026-02-14T23:00:00Z", 25.0),
        ("Africa/Casablanca", "2026-03-22", "2026-03-22T00:00:00Z", 23.0),
        // The date that Samoa left out.
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", 24.0),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", 0.0),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", 24.0),
        // Clocks went back at 00:01, into the day before: the first midnight counts.
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z", 25.0),
        ("America/St_Johns", "2010-11-06", "2010-11-06T02:30:00Z", 24.0),
    ] {
        let rules = tzif::rules(zone);
        let (from, to) =
            (rules.day_start(date(day)), rules.day_start(date(day).succ_opt().unwrap()));
        assert_eq!(from, at(starts), "{zone} {day}");
        let minutes = i32::try_from((to - from).num_minutes()).unwrap();
        let wanted = hours * 60.0;
        assert!((f64::from(minutes) - wanted).abs() < 0.01, "{zone} {day}: {minutes} minutes");
    }
    let same = |a: &str, b: &str| {
        first_difference(tzif::rules(a), tzif::rules(b), at("1972-01-01T00:00:00Z"))
    };
    assert_eq!(same("Europe/Dublin", "Europe/London"), None);
}
