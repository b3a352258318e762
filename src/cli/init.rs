//! `init`: settings, the script for a role, and a first check from what a database has; then the first look.
//!
//! It goes on from where it stopped: what is there already is left as it is.

mod tables;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Parser as _;

use crate::cli::args::{Args, Format, InitArgs, SuggestArgs, Verb};
use crate::cli::exit::Exit;
use crate::cli::init::tables::tables;
use crate::cli::suggest::proposed;
use crate::cli::validate::{refuse, zones};
use crate::cli::{complain, print, run};
use crate::domain::check::fault::Fault;
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::Cause;
use crate::domain::sql::Engine;
use crate::domain::time::zone::ZoneName;
use crate::dsn::{Dsn, Endpoint, Server};
use crate::manifest::Text;
use crate::settings::Settings;

const POSTGRES: &str = include_str!("../../deploy/roles/postgresql.sql");
const MYSQL: &str = include_str!("../../deploy/roles/mariadb.sql");
/// Where the password of the first source is expected.
const PASSWORD: &str = "ALLSWELL_PASSWORD";
/// How many tables are tried before another one has to be named.
const TRIED: usize = 8;

pub(super) fn init(args: &InitArgs) -> Exit {
    let config = PathBuf::from("allswell.yaml");
    let is_zone = ZoneName::parse(&args.zone).is_ok_and(|zone| zones().rules(&zone).is_some());
    if !is_zone {
        complain(&format!("allswell: no zone is called `{}`", args.zone));
        return Exit::Invalid;
    }
    let settings = match (config.exists(), &args.url) {
        (true, Some(url)) => match Settings::read(&config) {
            Ok(settings) if is_of(&settings, url) => Ok(settings),
            Ok(_) => {
                complain(
                    "allswell: allswell.yaml names another database: change its `url`, and `allswell init` goes on with it; or \
                     begin in an empty folder",
                );
                return Exit::Invalid;
            }
            Err(faults) => Err(faults),
        },
        (true, None) => Settings::read(&config),
        (false, Some(url)) => match begin(url, &config) {
            Ok(settings) => settings,
            Err(exit) => return exit,
        },
        (false, None) => {
            complain(
                "allswell: say which database: `allswell init postgres://allswell@localhost/shop`",
            );
            return Exit::Invalid;
        }
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults, Format::Text),
    };
    if !has_checks(&settings) {
        let missing = settings.missing_secrets();
        if !missing.is_empty() {
            let all = missing.join("\nallswell: ");
            complain(&format!("allswell: {all}\n`allswell init` goes on once it is there"));
            return Exit::Unconfirmed;
        }
        if let Err(exit) = first_check(args, &settings) {
            return exit;
        }
    }
    // From here on it is what everybody types.
    let typed = ["allswell", "run"];
    print("$ allswell run\n");
    match Args::try_parse_from(typed).map(|args| args.verb) {
        Ok(Verb::Run(args)) => {
            let exit = run::run(&args);
            print(
                "next: change the check (`why`, `owner`, limits), `allswell validate`, commit the folder, and `allswell \
                 serve` watches it\n",
            );
            exit
        }
        Ok(_) | Err(_) => Exit::Io,
    }
}

/// Says whether the first source of settings is at an address.
fn is_of(settings: &Settings, url: &str) -> bool {
    let dsn = Dsn::parse(url, Path::new(""));
    dsn.is_ok_and(|dsn| {
        settings.sources.first().is_some_and(|source| source.dsn.to_string() == dsn.to_string())
    })
}

/// Writes settings for an address, and the script for its role.
fn begin(url: &str, config: &Path) -> Result<Result<Settings, Vec<Fault>>, Exit> {
    if url::Url::parse(url).is_ok_and(|url| url.password().is_some()) {
        complain(&format!(
            "allswell: settings are committed, so a password does not belong there: write the address without it, and `export \
             {PASSWORD}=…`"
        ));
        return Err(Exit::Invalid);
    }
    let dsn = match Dsn::parse(url, Path::new("")) {
        Ok(dsn) => dsn,
        Err(rule) => {
            complain(&format!("allswell: {rule}"));
            return Err(Exit::Invalid);
        }
    };
    let text = settings(url, &dsn);
    let file = config.display().to_string();
    let read = Settings::parse(&Text { file, text: text.clone() }, Path::new(""));
    if read.is_err() {
        return Ok(read);
    }
    let mut files = vec![(config.to_owned(), text)];
    match dsn.engine() {
        Engine::Postgres => files.push((PathBuf::from("role.sql"), POSTGRES.to_owned())),
        Engine::MySql => files.push((PathBuf::from("role.sql"), MYSQL.to_owned())),
        Engine::Sqlite => {}
    }
    for (path, text) in files {
        if let Err(error) = write(&path, &text) {
            complain(&format!("allswell: {} cannot be written: {error}", path.display()));
            return Err(Exit::Io);
        }
        print(&format!("wrote {}\n", path.display()));
    }
    Ok(read)
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn settings(url: &str, dsn: &Dsn) -> String {
    let name = source_name(dsn);
    let mut text = format!(
        "# Which databases allswell may ask. Passwords are only ever references: ${{env:NAME}} or ${{file:PATH}}.\n\
         checks: [checks/]\nsources:\n  {name}:\n    url: {}\n",
        serde_json::Value::from(url)
    );
    match dsn {
        Dsn::Postgres(server) | Dsn::MySql(server) if by_network(server) => {
            text.push_str(&format!("    password: \"${{env:{PASSWORD}}}\"\n"));
        }
        Dsn::Postgres(_) | Dsn::MySql(_) => {}
        Dsn::Sqlite(_) => text.push_str(
            "    # instants: sql             # how it stores instants: sql, rfc3339, epoch_s or epoch_ms; windows need it\n",
        ),
    }
    text
}

fn by_network(server: &Server) -> bool {
    matches!(server.endpoint, Endpoint::Tcp { .. })
}

/// The name of a source: its database's, where that is one.
fn source_name(dsn: &Dsn) -> String {
    let name = match dsn {
        Dsn::Postgres(server) | Dsn::MySql(server) => server.database.clone(),
        Dsn::Sqlite(path) => {
            path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
        }
    };
    let name = name.to_lowercase();
    if SourceName::parse(&name).is_ok() { name } else { "db".to_owned() }
}

/// Says whether there are files of checks already.
fn has_checks(settings: &Settings) -> bool {
    let is_yaml = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.ends_with(".yaml") || name.ends_with(".yml")
    };
    let holds_some = |path: &PathBuf| match fs::read_dir(path) {
        Ok(entries) => entries.flatten().any(is_yaml),
        Err(_) => path.is_file(),
    };
    settings.checks.iter().any(holds_some)
}

/// Proposes rules for a table of the database, and writes them down.
fn first_check(args: &InitArgs, settings: &Settings) -> Result<(), Exit> {
    let Some(entry) = settings.sources.first() else { return Err(Exit::Invalid) };
    let found = match &args.table {
        Some(table) => vec![table.clone()],
        None => tables(entry).map_err(|reason| {
            complain(&format!("allswell: {}: {}", reason.cause, reason.note));
            complain(&what_next(&entry.dsn, reason.cause));
            Exit::Unconfirmed
        })?,
    };
    if found.is_empty() {
        complain(
            "allswell: the role may read no table with rows: grant it some (role.sql), and `allswell init` again",
        );
        return Err(Exit::Unconfirmed);
    }
    let zones = zones();
    let mut said = Vec::new();
    for table in found.iter().take(TRIED) {
        let suggest = SuggestArgs::of(table, entry.name.as_str(), &args.zone);
        match proposed(&suggest, settings, &zones) {
            Ok((text, Exit::Confirmed)) => {
                let slug = table.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
                let folder = settings.checks.first().cloned().unwrap_or_default();
                let path = folder.join(format!("{}.yaml", slug.to_lowercase()));
                if let Err(error) = write(&path, &text) {
                    complain(&format!("allswell: {} cannot be written: {error}", path.display()));
                    return Err(Exit::Io);
                }
                print(&format!("wrote {}, with rules that `{table}` keeps\n", path.display()));
                return Ok(());
            }
            Err((message, _)) if message.starts_with("stopped") => {
                complain("allswell: stopped: `allswell init` goes on");
                return Err(Exit::Unconfirmed);
            }
            Ok(_) => said.push(format!("`{table}`: nothing holds of it for sure")),
            Err((message, _)) => said.push(message),
        }
    }
    let tried = said.join("\n  ");
    complain(&format!(
        "allswell: no rules were found for a first check:\n  {tried}\nname a table with `--table`, or write one: README.md, \"A first \
         check\""
    ));
    Err(Exit::Unconfirmed)
}

/// What a person does about a database that did not let us in.
fn what_next(dsn: &Dsn, cause: Cause) -> String {
    const URL: &str = "is `url` in allswell.yaml right: host, port, name of the database? `allswell init` goes on then";
    match (dsn, cause) {
        (Dsn::Sqlite(_), _) | (_, Cause::Connect) => URL.to_owned(),
        (Dsn::Postgres(server), _) => format!(
            "is the role there, with this password? As an administrator: psql -v role={} -v password=\"${PASSWORD}\" -f role.sql \
             {}; then `allswell init` goes on",
            server.user, server.database
        ),
        (Dsn::MySql(_), _) => {
            "is the user there, with this password? role.sql says at its head how an administrator makes it; then `allswell \
             init` goes on"
                .to_owned()
        }
    }
}
