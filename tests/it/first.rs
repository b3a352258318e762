//! A newcomer's first commands: `init` in an empty folder, `list`, `completions`.

use std::fs;
use std::path::Path;
use std::process::Output;

use allswell::domain::sql::Engine;
use serde_json::Value;

use crate::cli::{code, command, err, out};
use crate::lab::{Database, ENGINES};
use crate::servers::Folder;

fn typed(folder: &Path, args: &[&str], password: Option<&str>) -> Output {
    let mut command = command(folder, args);
    match password {
        Some(password) => command.env("ALLSWELL_PASSWORD", password),
        None => command.env_remove("ALLSWELL_PASSWORD"),
    };
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", out(output), err(output))
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_folder_one_command_ends_with_a_first_proof_on_three_engines() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table small (id integer primary key)").await;
        db.prepare("create table orders (id integer primary key, state varchar(20), cents integer not null)").await;
        for id in 1..=60 {
            let state = ["open", "paid", "void"][id % 3];
            db.prepare(&format!("insert into orders values ({id}, '{state}', {id})")).await;
        }
        let folder = Folder::new("first");
        let path = folder.path();
        let url = db.url();
        if engine != Engine::Sqlite {
            // Without the password it stops, and says what to do.
            let output = typed(path, &["init", &url], None);
            assert_eq!(code(&output), 2, "{engine}: {}", said(&output));
            assert!(said(&output).contains("ALLSWELL_PASSWORD"), "{engine}: {}", said(&output));
            assert!(path.join("role.sql").exists());
            let output = typed(path, &["init"], Some("wrong"));
            assert_eq!(code(&output), 2, "{engine}: {}", said(&output));
            assert!(said(&output).contains("role.sql"), "{engine}: {}", said(&output));
        } else {
            let output = typed(path, &["init", &url, "--table", "ordrs"], None);
            assert_eq!(code(&output), 2, "{engine}: {}", said(&output));
        }
        let output = typed(path, &["init"], Some("watch"));
        let first = said(&output);
        assert_eq!(code(&output), 0, "{engine}: {first}");
        assert!(first.contains("wrote") && first.contains("orders.yaml"), "{engine}: {first}");
        assert!(first.contains("confirmed    orders-rows  looked at 60"), "{engine}: {first}");
        let settings = fs::read_to_string(path.join("allswell.yaml")).unwrap();
        assert!(
            !settings.contains("watch\"") && engine == Engine::Sqlite
                || settings.contains("${env:"),
            "{settings}"
        );
        // What is there is left as it is.
        let again = typed(path, &["init"], Some("watch"));
        assert!(code(&again) == 0 && !said(&again).contains("wrote"), "{}", said(&again));
        let again = typed(path, &["init", &url], Some("watch"));
        assert!(code(&again) == 0 && !said(&again).contains("wrote"), "{}", said(&again));
        let other = typed(path, &["init", "sqlite:other.db"], Some("watch"));
        assert!(code(&other) == 64 && said(&other).contains("names another"), "{}", said(&other));
        let list = typed(path, &["list"], None);
        assert!(code(&list) == 0 && out(&list).contains("orders-rows"), "{}", said(&list));
    }
}

#[test]
fn what_is_no_address_or_holds_a_password_is_refused_and_nothing_is_written() {
    let folder = Folder::new("first");
    for (url, words) in [
        ("postgres://allswell:s3cr3t@localhost/shop", "ALLSWELL_PASSWORD"),
        ("oracle://allswell@localhost/shop", "postgres"),
        ("shop", "postgres"),
        ("sqlite::memory:", "an SQLite source is a file"),
    ] {
        let output = typed(folder.path(), &["init", url], None);
        assert_eq!(code(&output), 64, "{url}: {}", said(&output));
        assert!(
            said(&output).contains(words) && !said(&output).contains("s3cr3t"),
            "{}",
            said(&output)
        );
    }
    let output = typed(folder.path(), &["init", "sqlite:a.db", "--zone", "Mars/X"], None);
    assert!(code(&output) == 64 && said(&output).contains("`Mars/X`"), "{}", said(&output));
    let output = typed(folder.path(), &["init"], None);
    assert!(
        code(&output) == 64 && said(&output).contains("say which database"),
        "{}",
        said(&output)
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_declared_is_listed_with_owner_source_calendar_and_file() {
    let folder = Folder::new("list");
    fs::write(
        folder.path().join("allswell.yaml"),
        "sources: {db: {url: \"sqlite:a.db\", instants: sql}, other: {url: \"sqlite:b.db\", instants: sql}}\n",
    )
    .unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    fs::write(
        folder.path().join("checks/all.yaml"),
        "version: 1\nowner: shop\nchecks:\n  - id: gas\n    why: w\n    source: db\n    \
         window: {period: day, from: '06:00', zone: Europe/Berlin, settle: 2h}\n    \
         sql: select count(*) as n from t where at >= :window_start and at < :window_end\n    \
         expect: {values: {n: {min: 1}}}\n  - id: rows\n    why: w\n    owner: till\n    source: other\n    \
         schedule: {cron: '0 4 * * SAT#1', zone: UTC}\n    table: t\n    rows: {min: 1}\n",
    )
    .unwrap();
    let list = |args: &[&str]| {
        let output = command(folder.path(), &[&["list"], args].concat()).output().unwrap();
        (code(&output), out(&output))
    };
    let (code, all) = list(&[]);
    assert_eq!((code, all.lines().count()), (0, 2), "{all}");
    assert!(all.contains("each local day from 06:00 in Europe/Berlin, 2h after its end"), "{all}");
    assert!(all.contains("by the crontab line `0 4 * * SAT#1` in UTC"), "{all}");
    assert!(all.contains("checks/all.yaml:4"), "{all}");
    assert_eq!(list(&["--owner", "till"]).1.lines().count(), 1);
    assert!(list(&["--source", "db"]).1.starts_with("gas "));
    assert!(list(&["--owner", "nix"]).1.contains("no check is like that"));
    let json: Value = serde_json::from_str(&list(&["--output", "json"]).1).unwrap();
    assert_eq!(json["checks"][1]["owner"], "till", "{json:#}");
    for shell in ["bash", "zsh", "fish"] {
        let output = command(folder.path(), &["completions", shell]).output().unwrap();
        assert!(out(&output).contains("rollback"), "{shell}: {}", err(&output));
    }
}
