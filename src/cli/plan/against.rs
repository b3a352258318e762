//! What checks are compared with: the daemon's active generation, another one, a commit, a folder.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cli::args::{Format, Output, PlanArgs, Remote};
use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::cli::remote::{Daemon, text};
use crate::cli::validate::{config, refuse};
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::fault::Fault;
use crate::manifest::{self, Text, World};
use crate::settings::{Settings, Shared};
use crate::zones::Zones;

/// What is named after `--against`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Against {
    /// The generation that a daemon runs.
    Active,
    /// One that it ran.
    Generation(u64),
    /// A commit, a branch, a tag.
    Git(String),
    /// A file or folder.
    Path(PathBuf),
}

impl Against {
    pub(super) fn read(text: Option<&str>) -> Result<Self, Box<Fault>> {
        let Some(text) = text else { return Ok(Self::Active) };
        let fault =
            |message: String, hint: &str| Box::new(Fault::of_file("--against", message, hint));
        if let Some(number) = text.strip_prefix("generation:") {
            let number = number.parse().map_err(|_| {
                fault(format!("`{number}` is no number of a generation"), "like generation:41")
            })?;
            return Ok(Self::Generation(number));
        }
        match text.strip_prefix("git:") {
            // What begins with a dash would be an option of git.
            Some(name) if name.is_empty() || name.starts_with('-') => {
                Err(fault(format!("`{name}` names no commit"), "like git:origin/main"))
            }
            Some(name) => Ok(Self::Git(name.to_owned())),
            None => Ok(Self::Path(PathBuf::from(text))),
        }
    }
}

/// What checks are compared with.
pub(super) struct Other {
    pub(super) catalogue: Catalogue,
    /// What it is, for people.
    pub(super) name: String,
    /// The settings that teams share beside it; why there are none, where there are none.
    pub(super) settings: Result<Shared, String>,
    /// What changed underneath the checks that a daemon runs, since their catalogue is active.
    pub(super) underneath: Vec<String>,
}

/// Why there is nothing to compare with.
pub(super) enum Missing {
    /// It is not valid.
    Faults(Vec<Fault>),
    /// It was told already.
    Printed(Exit),
}

impl Missing {
    /// Tells it, and how that ends.
    pub(super) fn told(self, form: Format) -> Exit {
        match self {
            Self::Faults(faults) => refuse(&faults, form),
            Self::Printed(exit) => exit,
        }
    }
}

/// Reads what checks are compared with, by the sources of the settings.
pub(super) fn other(
    args: &PlanArgs,
    against: &Against,
    settings: &Settings,
    zones: &Zones,
) -> Result<Other, Missing> {
    let paths = if args.from.paths.is_empty() { &settings.checks } else { &args.from.paths };
    let (texts, name) = match against {
        Against::Path(path) => {
            let texts = manifest::texts(&[path]).map_err(Missing::Faults)?;
            (texts, path.display().to_string())
        }
        Against::Git(name) => {
            let texts = of_git(name, paths).map_err(|fault| Missing::Faults(vec![*fault]))?;
            (texts, format!("git:{name}"))
        }
        Against::Active => of_daemon(args, "active").map_err(Missing::Printed)?,
        Against::Generation(id) => of_daemon(args, &id.to_string()).map_err(Missing::Printed)?,
    };
    let (engines, without_instants) = (settings.engines(), settings.without_instants());
    let world =
        World { engines: &engines, without_instants: &without_instants, zones, stored: true };
    let catalogue = manifest::parse(&texts, world).map_err(|faults| {
        let of = |fault: Fault| Fault { file: format!("{name}: {}", fault.file), ..fault };
        Missing::Faults(faults.into_iter().map(of).collect())
    })?;
    let settings = match against {
        // Neither has any: that goes without saying.
        Against::Path(_) | Against::Generation(_) => Err(String::new()),
        Against::Active => settings_of_daemon(args)?,
        Against::Git(name) => settings_of_git(name, args),
    };
    let underneath = match against {
        Against::Active => underneath(args)?,
        Against::Path(_) | Against::Generation(_) | Against::Git(_) => Vec::new(),
    };
    Ok(Other { catalogue, name, settings, underneath })
}

/// The settings that a daemon runs; one that is older does not say them.
fn settings_of_daemon(args: &PlanArgs) -> Result<Result<Shared, String>, Missing> {
    let daemon = daemon(args).map_err(Missing::Printed)?;
    let mut answer = daemon.try_get("/api/v1/settings");
    let settings = answer.get_mut("settings").map(Value::take).unwrap_or_default();
    let settings = serde_json::from_value::<Shared>(settings).ok();
    Ok(settings.ok_or_else(|| "the daemon does not say them".to_owned()))
}

/// What changed underneath the checks that a daemon runs; one that is older does not say.
fn underneath(args: &PlanArgs) -> Result<Vec<String>, Missing> {
    let daemon = daemon(args).map_err(Missing::Printed)?;
    let answer = daemon.try_get("/api/v1/deps");
    let changed = answer["changed"].as_array().into_iter().flatten();
    let line = |one: &Value| {
        let [at, source, what] = ["at", "source", "what"].map(|key| text(one, key));
        format!("{at} {source}: {what}")
    };
    Ok(changed.map(line).collect())
}

/// The settings of a commit, where they are beside the checks.
fn settings_of_git(name: &str, args: &PlanArgs) -> Result<Shared, String> {
    let path = config(&args.from);
    let folder = path.parent().unwrap_or(Path::new(""));
    let (top, commit) = commit(name).map_err(|fault| fault.message.clone())?;
    let inside = inside(&top, &path).ok_or_else(|| format!("{} is not in it", path.display()))?;
    let text = git(name, &top, &["show", "--no-textconv", &format!("{commit}:{inside}")]);
    let text = text.map_err(|_| format!("it has no {}", path.display()))?;
    let file = path.display().to_string();
    let settings = Settings::parse(&Text { file, text }, folder);
    let settings = settings.map_err(|_| format!("{} of it does not read", path.display()))?;
    Ok(settings.shared(folder))
}

/// The daemon that is asked.
pub(super) fn daemon(args: &PlanArgs) -> Result<Daemon, Exit> {
    let remote = Remote {
        url: args.url.clone(),
        token_file: args.token_file.clone(),
        cacert: args.cacert.clone(),
        output: Output::Text,
    };
    Daemon::new(&remote)
}

/// The files of a generation, as a daemon has them.
fn of_daemon(args: &PlanArgs, id: &str) -> Result<(Vec<Text>, String), Exit> {
    let daemon = daemon(args)?;
    let answer = daemon.get(&format!("/api/v1/generations/{id}"), &[])?;
    let text = |file: &Value| {
        let of = |key: &str| file.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Text { file: of("file")?, text: of("text")? })
    };
    let files = answer.get("files").and_then(Value::as_array);
    let texts: Option<Vec<Text>> = files.and_then(|files| files.iter().map(text).collect());
    match (texts, answer.get("id").and_then(Value::as_i64)) {
        (Some(texts), Some(id)) => Ok((texts, format!("generation {id} of {}", daemon.name()))),
        _ => {
            complain(&format!(
                "allswell: {} answered without the files of a generation",
                daemon.name()
            ));
            Err(Exit::Io)
        }
    }
}

/// The files of checks in a commit, at the paths at which they are read here.
fn of_git(name: &str, paths: &[PathBuf]) -> Result<Vec<Text>, Box<Fault>> {
    let fault = |message: String, hint: &str| {
        Box::new(Fault::of_file(format!("git:{name}"), message, hint))
    };
    let (top, commit) = commit(name)?;
    let mut texts = Vec::new();
    for path in paths {
        let inside = inside(&top, path).ok_or_else(|| {
            let message =
                format!("{} is not in the repository at {}", path.display(), top.display());
            fault(message, "run it where the checks are, or name a folder under `--against`")
        })?;
        let wanted = if inside.is_empty() { "." } else { inside.as_str() };
        let names = git(
            name,
            &top,
            &["ls-tree", "-r", "-z", "--name-only", "--full-tree", &commit, "--", wanted],
        )?;
        for file in names.split('\0').filter(|file| is_of_checks(file, &inside)) {
            let text = git(name, &top, &["show", "--no-textconv", &format!("{commit}:{file}")])?;
            let below = Path::new(file).strip_prefix(&inside).unwrap_or(Path::new(file));
            let shown = if below.as_os_str().is_empty() { path.clone() } else { path.join(below) };
            texts.push(Text { file: shown.display().to_string(), text });
        }
    }
    if texts.is_empty() {
        let hint = "a tree without checks would make everything new; name a commit that has some";
        return Err(fault("there is not one file of checks in it".to_owned(), hint));
    }
    Ok(texts)
}

/// The repository that we are in, and the commit that is named.
fn commit(name: &str) -> Result<(PathBuf, String), Box<Fault>> {
    let top = git(name, Path::new("."), &["rev-parse", "--show-toplevel"])?;
    let top = PathBuf::from(top.trim_end_matches('\n'));
    let commit = git(
        name,
        &top,
        &["rev-parse", "--verify", "--end-of-options", &format!("{name}^{{commit}}")],
    )?;
    Ok((top, commit.trim().to_owned()))
}

/// Where a path is inside of a repository.
fn inside(top: &Path, path: &Path) -> Option<String> {
    let whole = plain(&std::path::absolute(path).ok()?);
    Some(whole.strip_prefix(top).ok()?.to_string_lossy().into_owned())
}

/// Says whether a file of a tree is one of checks: YAML, not hidden, and no tests.
fn is_of_checks(file: &str, inside: &str) -> bool {
    let below = file.strip_prefix(inside).unwrap_or(file);
    let is_yaml = file.ends_with(".yaml") || file.ends_with(".yml");
    let is_tests = file.ends_with(".test.yaml") || file.ends_with(".test.yml");
    let is_hidden = below.split('/').any(|part| part.starts_with('.'));
    is_yaml && !is_tests && !is_hidden
}

/// A path without `.` and `..`; links are git's to follow.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

/// Asks git for something in a repository.
fn git(name: &str, folder: &Path, args: &[&str]) -> Result<String, Box<Fault>> {
    let fault = |message: String, hint: &str| {
        Box::new(Fault::of_file(format!("git:{name}"), message, hint))
    };
    let asked = Command::new("git").arg("-C").arg(folder).args(args).output();
    let asked = asked.map_err(|error| {
        fault(
            format!("git cannot be run: {error}"),
            "install git, or name a folder under `--against`",
        )
    })?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        let said = said.lines().next().unwrap_or("it gave no reason").trim_start_matches("fatal: ");
        return Err(fault(
            format!("git says: {said}"),
            "a shallow clone has few commits: fetch that one first",
        ));
    }
    String::from_utf8(asked.stdout).map_err(|_| fault("a file of it is no UTF-8".to_owned(), ""))
}
