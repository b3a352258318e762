//! `deps`: what checks stand on, what goes dark, and which tables no check reaches.

mod drawn;
mod external;
mod json;
mod learn;
mod read;
mod text;

use std::collections::BTreeMap;

use crate::cli::args::{DepsArgs, DepsFormat, Format};
use crate::cli::deps::learn::learn;
use crate::cli::deps::read::read;
use crate::cli::exit::Exit;
use crate::cli::remote::Daemon;
use crate::cli::validate::{load, refuse};
use crate::cli::{complain, print};
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::nearest::suggestion;
use crate::domain::dependency::answer::{Ignored, Target};
use crate::domain::dependency::graph::Dependencies;

/// What is known.
pub(super) struct Known {
    pub(super) dependencies: Dependencies,
    /// How many series each check has, and how many are proved now; nothing where no daemon was asked.
    pub(super) proved: BTreeMap<CheckId, (u64, u64)>,
    /// Tables that need no check.
    pub(super) ignored: BTreeMap<SourceName, Vec<Ignored>>,
    /// Sources of which nothing was learnt, and why.
    pub(super) unlearnt: BTreeMap<SourceName, String>,
}

pub(super) fn deps(args: &DepsArgs) -> Exit {
    if args.external {
        return external::external(args);
    }
    let form = match args.output {
        DepsFormat::Json => Format::Json,
        DepsFormat::Text | DepsFormat::Dot | DepsFormat::Mermaid => Format::Text,
    };
    let known = if args.connect || !args.from.paths.is_empty() {
        let loaded = match load(&args.from) {
            Ok(loaded) => loaded,
            Err(faults) => return refuse(&faults, form),
        };
        learn(&loaded)
    } else {
        let daemon = Daemon::new(&args.remote());
        let answer = daemon.and_then(|daemon| daemon.get("/api/v1/deps", &[]));
        if answer.is_err() {
            complain("`--connect` asks the sources of the settings instead, without a daemon");
        }
        answer.map(|value| read(&value))
    };
    let known = match known {
        Ok(known) => known,
        Err(exit) => return exit,
    };
    let mut exit = Exit::Confirmed;
    for (source, why) in &known.unlearnt {
        let told = match known.dependencies.sources.get(source) {
            Some(known) => {
                let at = known.learnt_at.format("%Y-%m-%d %H:%M UTC");
                format!("nothing new was learnt of `{source}` since {at}: {why}")
            }
            None => {
                exit = Exit::Unconfirmed;
                format!("nothing was learnt of `{source}`: {why}")
            }
        };
        complain(&format!("allswell: {told}"));
    }
    let told = match told(args, &known) {
        Ok(told) => told,
        Err(why) => {
            complain(&format!("allswell: {why}"));
            return Exit::Invalid;
        }
    };
    exit.after(print(&told))
}

/// Answers what is asked; says what is wrong with the question.
fn told(args: &DepsArgs, known: &Known) -> Result<String, String> {
    let all = &known.dependencies;
    if let Some(id) = &args.check
        && !all.checks.iter().any(|check| check.id.as_str() == id)
    {
        let ids: Vec<&str> = all.checks.iter().map(|check| check.id.as_str()).collect();
        let hint = suggestion(id, &ids).unwrap_or_else(|| "there is no check at all".to_owned());
        return Err(format!("no check is called `{id}`; {hint}"));
    }
    if let Some(word) = &args.table {
        let Target::Object(node) = all.find(word)? else {
            return Err(format!("`{word}` is no table: `--dead` takes sources and servers too"));
        };
        return Ok(match args.output {
            DepsFormat::Text => text::table(known, &node),
            DepsFormat::Json => json::table(known, &node),
            DepsFormat::Dot | DepsFormat::Mermaid => {
                let wanted = all.looked_at_by(&node).into_iter().map(|(check, _)| check);
                drawn::draw(all, &wanted.collect::<Vec<_>>(), args.output)
            }
        });
    }
    if let Some(word) = &args.dead {
        // A source of the settings is one, whatever was learnt.
        let unlearnt = known.unlearnt.keys().find(|source| source.as_str() == word);
        let target = unlearnt.map_or_else(|| all.find(word), |s| Ok(Target::Source(s.clone())))?;
        let dead = all.dead(&target);
        return Ok(match args.output {
            DepsFormat::Text => text::dead(&dead, word),
            DepsFormat::Json => json::dead(known, &dead, word),
            DepsFormat::Dot | DepsFormat::Mermaid => drawn::draw(all, &dead.dark, args.output),
        });
    }
    if args.uncovered {
        return match args.output {
            DepsFormat::Text => Ok(text::uncovered(known)),
            DepsFormat::Json => Ok(json::uncovered(known)),
            DepsFormat::Dot | DepsFormat::Mermaid => {
                Err("a list of tables is no graph: `--output text` or `json`".to_owned())
            }
        };
    }
    let is_asked = |check: &&std::sync::Arc<_>| {
        let check: &crate::domain::dependency::graph::CheckUses = check;
        args.check.as_deref().is_none_or(|id| check.id.as_str() == id)
    };
    let checks: Vec<_> = all.checks.iter().filter(is_asked).cloned().collect();
    Ok(match args.output {
        DepsFormat::Text => text::tree(all, &checks),
        DepsFormat::Json => json::all(known, &checks),
        DepsFormat::Dot | DepsFormat::Mermaid => drawn::draw(all, &checks, args.output),
    })
}
