//! Where sources are, and who we are there: certificates, secrets in addresses, schemas, limits of a role, and servers
//! that only look alike.

use std::fs;
use std::path::Path;

use allswell::domain::check::name::SourceName;
use allswell::domain::sql::Engine;
use allswell::dsn::Dsn;
use allswell::manifest::Text;
use allswell::secret::{PasswordFrom, Reference};
use allswell::settings::Settings;
use allswell::source::{Source, SourceSettings};

use crate::cli::{allswell, code, err, out, project};
use crate::guards::COUNTED;
use crate::lab::{self, Database, shown, source_at, verdict};
use crate::servers::{Folder, MariaDb, Postgres, openssl, signed};

const ONE: &str = "select 1 + 0 as n";

fn settings(url: &str) -> SourceSettings {
    let dsn = Dsn::parse(url, Path::new("/")).unwrap();
    SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_taken_is_answered_with_what_helps() {
    let (mut server, ca) = Postgres::start_with_tls();
    let db = Database::postgres(&server).await;
    let (name, port, folder) = (db.name(), server.port, ca.parent().unwrap().to_owned());
    let said = async |rest: &str| {
        let url = format!("postgres://{name}@localhost:{port}/{name}?{rest}");
        verdict(source_at(&url, 1), ONE, COUNTED).await
    };
    let of_ca = format!("sslmode=verify-full&sslrootcert={}", ca.display());
    assert!(said("sslmode=verify-full").await.contains("`sslrootcert=FILE`"));
    signed(&folder, "other", "db.internal");
    server.show_certificate(&folder, "other");
    let wrong_name = said(&of_ca).await;
    assert!(
        wrong_name.contains("for another name") && wrong_name.contains("verify-ca"),
        "{wrong_name}"
    );
    // As `openssl req -x509` makes it: the certificate of an authority.
    openssl(
        &folder,
        "req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost -keyout self.key -out self.crt",
    );
    server.show_certificate(&folder, "self");
    let pinned = format!("sslmode=verify-full&sslrootcert={}", folder.join("self.crt").display());
    let own = said(&pinned).await;
    assert!(own.contains("CA:FALSE"), "{own}");
    assert_eq!(said("sslmode=require").await, "confirmed");
    // As that message says.
    openssl(
        &folder,
        "req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout self.key -out self.crt",
    );
    server.show_certificate(&folder, "self");
    assert_eq!(said(&pinned).await, "confirmed");
    openssl(
        &folder,
        "req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout v1.key -out v1.csr",
    );
    openssl(
        &folder,
        "x509 -req -in v1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out v1.crt",
    );
    server.show_certificate(&folder, "v1");
    for rest in [of_ca.as_str(), "sslmode=require"] {
        let old = said(rest).await;
        assert!(old.contains("X.509 version 1") && !old.contains("Other("), "{old}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_known_by_its_certificate() {
    let (mut server, ca) = Postgres::start_with_tls();
    let db = Database::postgres(&server).await;
    let (name, port, folder) = (db.name(), server.port, ca.parent().unwrap().to_owned());
    server.ask_for_certificates(&ca);
    signed(&folder, "client", name);
    let url = |rest: &str| {
        let ca = ca.display();
        format!(
            "postgres://{name}@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={ca}{rest}"
        )
    };
    let with = format!("&sslcert={0}/client.crt&sslkey={0}/client.key", folder.display());
    let source = |rest: &str| Source::new(settings(&url(rest)));
    assert_eq!(verdict(source(&with), ONE, COUNTED).await, "confirmed");
    let without = verdict(source(""), ONE, COUNTED).await;
    assert!(without.starts_with("auth") || without.starts_with("connect"), "{without}");
    // What does not fit is named, and a file that is not there by its path.
    signed(&folder, "other", "another");
    let mixed = format!("&sslcert={0}/client.crt&sslkey={0}/other.key", folder.display());
    let said = verdict(source(&mixed), ONE, COUNTED).await;
    assert!(said.contains("the key under `sslkey` is not that of the certificate"), "{said}");
    let gone = format!("&sslcert={0}/client.crt&sslkey={0}/gone.key", folder.display());
    let said = verdict(source(&gone), ONE, COUNTED).await;
    assert!(
        said.contains("`sslkey` of the address cannot be read: ") && said.contains("gone.key"),
        "{said}"
    );
    openssl(
        &folder,
        "req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=ca -keyout same.key -out same.pem",
    );
    let url = format!(
        "postgres://{name}@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={}",
        folder.join("same.pem").display()
    );
    let said = verdict(Source::new(settings(&url)), ONE, COUNTED).await;
    assert!(said.contains("a new authority of the same name"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_is_read_again() {
    let server = Postgres::shared();
    let db = Database::postgres(server).await;
    let folder = Folder::new("secret");
    let file = folder.path().join("password");
    let address = folder.path().join("address");
    let write = |password: &str| {
        fs::write(&file, format!("{password}\n")).unwrap();
        let (name, port) = (db.name(), server.port);
        fs::write(&address, format!("postgres://{name}:{password}@127.0.0.1:{port}/{name}\n"))
            .unwrap();
    };
    write("watch");
    let from = |from: PasswordFrom| {
        let settings = settings(&db.url());
        Source::new(SourceSettings { password: from.read(), password_from: from, ..settings })
    };
    let checks = lab::checks(Engine::Postgres, &lab::one_check(ONE, COUNTED));
    for source in [
        from(PasswordFrom::Reference(Reference::File(file.clone()))),
        from(PasswordFrom::Address {
            reference: Reference::File(address.clone()),
            folder: folder.path().to_owned(),
        }),
        from(PasswordFrom::Beside {
            password: Reference::File(file.clone()),
            address: Reference::File(address.clone()),
            folder: folder.path().to_owned(),
        }),
    ] {
        let sources =
            allswell::engine::asking::Sources::from([(source.name().clone(), source.into())]);
        let sources = std::sync::Arc::new(sources);
        let look = async || {
            let (tasks, stop) = (lab::tasks(&checks), tokio_util::sync::CancellationToken::new());
            let now = allswell::clock::now();
            let seen = allswell::engine::round::round(&tasks, &sources, now, &stop, |_| {}).await;
            shown(&seen[0].judgement.verdict)
        };
        assert_eq!(look().await, "confirmed");
        db.admin().await.run(&format!("alter role {} password 'new'", db.name())).await.unwrap();
        db.end_sessions().await;
        assert!(look().await.starts_with("auth"), "nothing else is known yet");
        write("new");
        assert_eq!(look().await, "confirmed");
        write("watch");
        db.admin().await.run(&format!("alter role {} password 'watch'", db.name())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_be_a_secret_with_a_password_in_it() {
    let db = Database::new(Engine::Postgres).await;
    let Database::Postgres { port, name } = &db else { unreachable!("a PostgreSQL") };
    let folder = project("sqlite:x.db", &lab::one_check(ONE, COUNTED));
    let settings = "sources: {db: {url: \"${file:address}\"}}\n";
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    let write = |text: &str| fs::write(folder.path().join("address"), text).unwrap();
    write(&format!("postgres://{name}:watch@127.0.0.1:{port}/{name}"));
    let run = allswell(folder.path(), &["run"]);
    assert_eq!(code(&run), 0, "{}{}", out(&run), err(&run));
    for (text, wanted) in [
        ("postgres://a:hunter2@h/d?sslmod=x", "did you mean `sslmode`"),
        ("postgres://:hunter2@h/d", "no user"),
        ("hunter2", "not an address"),
        ("", "is empty"),
    ] {
        write(text);
        let run = allswell(folder.path(), &["run"]);
        let said = err(&run);
        assert!(code(&run) != 0 && said.contains(wanted), "{text}: {said}");
        assert!(!said.contains("hunter2") && !out(&run).contains("hunter2"), "{said}");
    }
    let text = Text {
        file: "allswell.yaml".into(),
        text: "sources: {db: {url: \"${file:address}\", password: \"${env:X}\"}}".into(),
    };
    write("postgres://a:b@h/d");
    let faults = Settings::parse(&text, folder.path()).unwrap_err();
    assert!(faults[0].to_string().contains("has a password already"), "{}", faults[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_a_schema_are_looked_for_where_the_settings_say() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare(
        "create schema \"a \"\" b\"; create table \"a \"\" b\".t (n integer, at timestamptz)",
    )
    .await;
    db.prepare("insert into \"a \"\" b\".t values (1, '2026-03-09 12:00:00+00')").await;
    let yaml = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: It.\n    \
        window: {period: day, zone: America/New_York}\n    \
        sql: select n from t where at >= :window_start and at < :window_end\n    \
        expect: {values: {n: {equals: 1}}}\n";
    let look = async |search_path: Vec<String>| {
        let password = Ok(Some(secrecy::SecretString::from("watch")));
        let source = Source::new(SourceSettings { password, search_path, ..settings(&db.url()) });
        crate::bounds::look(source, yaml, "2026-03-09").await.remove(0)
    };
    assert!(look(Vec::new()).await.starts_with("query_error"));
    assert_eq!(look(vec!["a \" b".into(), "public".into()]).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_that_an_administrator_gave_a_role_is_not_made_longer() {
    for engine in [Engine::Postgres, Engine::MySql] {
        let db = Database::new(engine).await;
        let (limit, slow) = match engine {
            Engine::MySql => (
                format!("alter user '{}'@'%' with max_statement_time 0.3", db.name()),
                "with recursive r (n) as (select 1 union all select n + 1 from r where n < 100000000) select count(*) as n from r",
            ),
            Engine::Postgres | Engine::Sqlite => (
                format!("alter role {} set statement_timeout = '300ms'", db.name()),
                "select count(*) as n from generate_series(1, 100000) a, generate_series(1, 100000) b",
            ),
        };
        db.admin().await.run(&limit).await.unwrap();
        let started = std::time::Instant::now();
        let source = source_at(&db.url(), 1);
        let yaml = lab::one_check(
            slow,
            "expect: {rows: {min: 1}}\nevidence: {min: 0, because: it is slow}",
        )
        .replace("timeout: 2s", "timeout: 20s");
        let said = shown(&lab::look(source, &yaml).await[0].judgement.verdict);
        assert!(said.starts_with("timeout"), "{engine:?}: {said}");
        assert!(started.elapsed().as_secs() < 5, "{engine:?}: {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_looks_like_mysql_is_refused_by_its_name() {
    let server = MariaDb::start_as("8.0.11-TiDB-v7.5.0");
    let db = Database::mariadb(&server).await;
    let said = verdict(source_at(&db.url(), 1), ONE, COUNTED).await;
    assert!(said.starts_with("refused: this is TiDB, which is not watched"), "{said}");
}
