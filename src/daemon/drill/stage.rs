//! The databases of a drill: scratch databases, behind a relay that fails where they are servers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::daemon::drill::relay::{self, Mode};
use crate::domain::alerting::drill::Failure;
use crate::domain::check::Check;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::dependency::SourceRelations;
use crate::domain::sql::Engine;
use crate::domain::sql::instant_form::InstantForm;
use crate::domain::time::window::ZonesFrom;
use crate::dsn::{Dsn, Endpoint};
use crate::engine::asking::{Look, Sources};
use crate::engine::attempt::Attempted;
use crate::engine::ports::{Queries, Watched};
use crate::engine::progress::Progress;
use crate::engine::zone_list::Listed;
use crate::source::protections::Protection;
use crate::source::{Source, SourceSettings};
use crate::zones::Zones;

/// How long a statement may run in a drill: failures are to show within seconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How a source of a drill is reached.
#[derive(Debug, Clone)]
pub(super) struct Prop {
    /// What opens the scratch database; the watched one only lends its engine where there is none.
    pub(super) settings: SourceSettings,
    /// Whether there is a scratch database.
    pub(super) is_there: bool,
}

/// Says whether a failure is one that a source of this kind can have.
pub(super) fn applies(failure: Failure, prop: &Prop) -> Result<(), String> {
    let is_file = prop.settings.dsn.engine() == Engine::Sqlite;
    match failure {
        Failure::Reset | Failure::Slow | Failure::WrongPassword if is_file => {
            Err("its source is a file".to_owned())
        }
        Failure::Slow | Failure::WrongPassword if !prop.is_there => {
            Err(format!("source `{}` has no scratch database", prop.settings.name))
        }
        Failure::Violated
        | Failure::NoData
        | Failure::Refuse
        | Failure::Stall
        | Failure::Reset
        | Failure::Slow
        | Failure::WrongPassword
        | Failure::Frozen
        | Failure::AlertmanagerAway
        | Failure::ClockBack => Ok(()),
    }
}

/// Opens the sources of a drill, failing as they are to.
pub(super) async fn sources(
    props: &BTreeMap<SourceName, Prop>,
    failure: Failure,
    nowhere: &Path,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> std::io::Result<Sources> {
    let mut sources = Sources::new();
    for (name, prop) in props {
        let mut settings = SourceSettings { timeout: TIMEOUT, ..prop.settings.clone() };
        let mode = match failure {
            Failure::Refuse | Failure::AlertmanagerAway => Mode::Refuse,
            Failure::Stall => Mode::Stall,
            Failure::Reset => Mode::Reset,
            Failure::Slow => Mode::Slow,
            Failure::Violated
            | Failure::NoData
            | Failure::WrongPassword
            | Failure::Frozen
            | Failure::ClockBack => Mode::Through,
        };
        match &mut settings.dsn {
            Dsn::Sqlite(path) => {
                if mode == Mode::Refuse {
                    nowhere.join("gone.db").clone_into(path);
                }
            }
            // Without a scratch database there is no one behind the relay: nothing watched is asked.
            Dsn::Postgres(server) | Dsn::MySql(server) => {
                let (to, mode) = match (&server.endpoint, prop.is_there) {
                    (Endpoint::Tcp { host, port }, true) => ((host.clone(), *port), mode),
                    (Endpoint::Tcp { .. } | Endpoint::Socket { .. }, false) => {
                        let mode = if mode == Mode::Through { Mode::Refuse } else { mode };
                        ((String::new(), 0), mode)
                    }
                    // A socket has no network before it.
                    (Endpoint::Socket { .. }, true) if mode == Mode::Through => {
                        sources.insert(name.clone(), Arc::new(Source::new(settings)));
                        continue;
                    }
                    (Endpoint::Socket { .. }, true) => ((String::new(), 0), mode),
                };
                let port = relay::open(to, mode, stop.clone(), tasks).await?;
                server.endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port };
                server.others.clear();
            }
        }
        if failure == Failure::WrongPassword {
            settings.password = Ok(Some(SecretString::from("allswell-drill-wrong")));
            settings.password_from = crate::secret::PasswordFrom::Nowhere;
        }
        sources.insert(name.clone(), Arc::new(Source::new(settings)));
    }
    Ok(sources)
}

/// The scratch databases as what is asked: by the checks that are drilled, and statements have less time than their
/// checks say.
#[derive(Debug)]
pub(super) struct Staged {
    watched: Watched,
    drilled: BTreeSet<CheckId>,
}

impl Staged {
    pub(super) fn new(sources: Sources, zones: Arc<Zones>, checks: &[Arc<Check>]) -> Self {
        let drilled = checks.iter().map(|check| check.id.clone()).collect();
        Self { watched: Watched::new(sources, zones), drilled }
    }
}

/// What comes of a check that is not drilled.
fn left_out() -> Attempted {
    let reason = Reason::new(Cause::Interrupted, "it is no part of this drill");
    Attempted::unconfirmed(reason, Duration::ZERO)
}

impl Queries for Staged {
    fn places(&self, source: &SourceName) -> Option<usize> {
        self.watched.places(source)
    }

    fn remark(&self, _: &SourceName) -> Option<String> {
        None
    }

    fn protections(&self, source: &SourceName) -> Vec<Protection> {
        self.watched.protections(source)
    }

    fn place(&self, source: &SourceName) -> Option<String> {
        self.watched.place(source)
    }

    fn instant_form(&self, source: &SourceName) -> InstantForm {
        self.watched.instant_form(source)
    }

    fn identity(&self, _: &SourceName) -> Option<String> {
        None
    }

    async fn attempt(
        &self,
        check: Arc<Check>,
        look: Look,
        progress: Progress,
        stop: CancellationToken,
    ) -> Attempted {
        if !self.drilled.contains(&check.id) {
            return left_out();
        }
        let check = Check { timeout: Some(TIMEOUT), ..(*check).clone() };
        self.watched.attempt(Arc::new(check), look, progress, stop).await
    }

    async fn list(&self, check: Arc<Check>, from: ZonesFrom, stop: CancellationToken) -> Listed {
        if !self.drilled.contains(&check.id) {
            return Listed { zones: Vec::new(), whole: false, attempted: left_out() };
        }
        self.watched.list(check, from, stop).await
    }

    async fn probe(&self, source: SourceName, stop: CancellationToken) -> Result<(), Reason> {
        self.watched.probe(source, stop).await
    }

    async fn learn(
        &self,
        source: SourceName,
        stop: CancellationToken,
    ) -> Result<SourceRelations, Reason> {
        self.watched.learn(source, stop).await
    }
}
