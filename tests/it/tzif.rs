//! A folder of compiled zones of a stated release, and what `zdump` says of it: an oracle that shares no
//! line with what reads zones here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use allswell::domain::time::zone::{Offset, Rules, ZoneName};
use allswell::zones::Database;
use chrono::{DateTime, NaiveDateTime, Utc};

use crate::servers::Folder;

/// The release that the tests are about.
pub(crate) const RELEASE: &str = "2026f";

/// The unpacked folder, for as long as the tests run.
static FOLDER: LazyLock<Folder> = LazyLock::new(|| {
    let folder = Folder::new("tzif");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tzif-2026f-debian.tar.gz");
    let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()).status();
    assert!(status.unwrap().success());
    folder
});

pub(crate) fn folder() -> PathBuf {
    FOLDER.path().to_owned()
}

/// Every zone of the folder with the rules that are read of it.
pub(crate) fn all() -> &'static BTreeMap<ZoneName, Arc<Rules>> {
    static ALL: LazyLock<BTreeMap<ZoneName, Arc<Rules>>> = LazyLock::new(|| {
        let database = Database::folder(&folder());
        assert_eq!(database.release.as_ref().unwrap().to_string(), RELEASE);
        assert_eq!(database.unfit, None);
        let names = database.names().into_iter();
        let rules = names.filter_map(|name| Some((name.clone(), Arc::new(database.rules(&name)?))));
        rules.collect()
    });
    assert!(ALL.len() > 590, "{} zones", ALL.len());
    &ALL
}

/// One zone of each set of rules.
pub(crate) fn distinct() -> Vec<(&'static ZoneName, &'static Rules)> {
    let mut seen = BTreeMap::new();
    for (name, rules) in all() {
        seen.entry(&**rules).or_insert(name);
    }
    let mut all: Vec<_> = seen.into_iter().map(|(rules, name)| (name, rules)).collect();
    all.sort_by_key(|(name, _)| *name);
    all
}

pub(crate) fn rules(name: &str) -> &'static Rules {
    &all()[&ZoneName::parse(name).unwrap()]
}

/// What `zdump` says of all zones: each offset at 1970 and each instant of another, to 2100.
pub(crate) fn zdump() -> BTreeMap<String, Rules> {
    let names: Vec<&str> = all().keys().map(ZoneName::as_str).collect();
    let paths = names.iter().map(|name| folder().join(name));
    let output =
        Command::new("zdump").args(["-v", "-c", "1969,2101"]).args(paths).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: BTreeMap<String, Vec<(DateTime<Utc>, Offset)>> = BTreeMap::new();
    for line in text.lines() {
        // /…/Europe/Berlin  Sun Mar 29 01:00:00 2026 UT = Sun Mar 29 03:00:00 2026 CEST isdst=1 gmtoff=7200
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(offset), 16) = (words.last().unwrap().strip_prefix("gmtoff="), words.len())
        else {
            continue;
        };
        let civil = words[2..6].join(" ");
        let Ok(at) = NaiveDateTime::parse_from_str(&civil, "%b %d %H:%M:%S %Y") else { continue };
        let name = Path::new(words[0]).strip_prefix(folder()).unwrap().to_str().unwrap().to_owned();
        let offset = Offset::of_secs(offset.parse().unwrap());
        lines.entry(name).or_default().push((at.and_utc(), offset));
    }
    let start: DateTime<Utc> = "1970-01-01T00:00:00Z".parse().unwrap();
    let mut said = BTreeMap::new();
    for name in names {
        // Pairs of lines stand around each change; before the first, its first line holds.
        let all = lines.remove(name).unwrap_or_default();
        let before = all.iter().rfind(|(at, _)| *at <= start).or(all.first());
        let Some((_, first)) = before else { continue };
        let later = all.iter().filter(|(at, _)| *at > start).copied();
        said.insert(name.to_owned(), Rules::new(*first, later));
    }
    said
}
