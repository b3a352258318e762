//! Learning at once, without a daemon: the sources of the settings are asked for their catalogues.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::deps::Known;
use crate::cli::exit::Exit;
use crate::cli::validate::Loaded;
use crate::cli::{complain, stop};
use crate::domain::check::name::SourceName;
use crate::domain::dependency::graph::{Asked, Dependencies};
use crate::source::Source;

/// Asks every source that a check asks.
pub(super) fn learn(loaded: &Loaded) -> Result<Known, Exit> {
    let checks = loaded.catalogue.checks();
    let entries = loaded.settings.sources.iter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        complain(&format!("allswell: cannot start: {error}"));
        Exit::Io
    })?;
    let cancelled = CancellationToken::new();
    let mut asking = JoinSet::new();
    let learnt = runtime.block_on(async {
        for entry in entries.clone() {
            let (name, stop) = (entry.name.clone(), cancelled.clone());
            let source = Source::new(entry.open());
            asking.spawn(async move { (name, source.learn(&stop).await) });
        }
        let all = async {
            let mut all = Vec::new();
            while let Some(one) = asking.join_next().await {
                all.extend(one.ok());
            }
            all
        };
        tokio::select! {
            all = all => Ok(all),
            () = stop::on_signal(cancelled.clone()) => Err(Exit::Unconfirmed),
        }
    });
    runtime.shutdown_background();
    let (mut sources, mut unlearnt) = (BTreeMap::new(), BTreeMap::new());
    for (name, answer) in learnt? {
        match answer {
            Ok(relations) => drop(sources.insert(name, Arc::new(relations))),
            Err(reason) => {
                drop(unlearnt.insert(name, format!("{}: {}", reason.cause, reason.note)));
            }
        }
    }
    let asked: Asked<'_> = entries
        .clone()
        .filter_map(|entry| Some((entry.name.clone(), entry.complete_until()?)))
        .collect();
    let ignored = entries.map(|entry| (entry.name.clone(), entry.ignored.clone()));
    let ignored: BTreeMap<SourceName, _> = ignored.collect();
    let dependencies = Dependencies::of(checks.iter(), &asked, sources);
    Ok(Known { dependencies, proved: BTreeMap::new(), ignored, unlearnt })
}
