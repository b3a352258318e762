//! What the engine calls, so that it can be watched at work without databases.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::domain::alerting::alert::Fingerprint;
use crate::domain::alerting::outbox::{Acknowledged, AlertId};
use crate::domain::alerting::seen::FirstLook;
use crate::domain::check::Check;
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::dependency::SourceRelations;
use crate::domain::record::standing::Notice;
use crate::domain::sql::instant_form::InstantForm;
use crate::domain::time::window::ZonesFrom;
use crate::engine::asking::{Look, Sources};
use crate::engine::attempt::{Attempted, attempt};
use crate::engine::progress::{Progress, Watching};
use crate::engine::zone_list::{Listed, list};
use crate::ledger::{SelfAlert, SeriesRecord};
use crate::source::protections::Protection;
use crate::zones::Zones;

/// What is asked of watched databases. Futures are never dropped: `stop` ends them.
pub trait Queries: Send + Sync + 'static {
    /// How many attempts a source takes at once; nothing where there is no such source.
    fn places(&self, source: &SourceName) -> Option<usize>;

    /// What had better be otherwise at a source: what its role could do beyond reading, how far its clock is off.
    fn remark(&self, source: &SourceName) -> Option<String>;

    /// What protects a source from its checks.
    fn protections(&self, source: &SourceName) -> Vec<Protection>;

    /// Where a source is, for people.
    fn place(&self, source: &SourceName) -> Option<String>;

    /// How instants are written in the SQL of a person who asks a source.
    fn instant_form(&self, source: &SourceName) -> InstantForm;

    /// Which database a source is, as it says itself; nothing where that is not known.
    fn identity(&self, source: &SourceName) -> Option<String>;

    /// Makes one attempt, and shows how far it is.
    fn attempt(
        &self,
        check: Arc<Check>,
        look: Look,
        progress: Progress,
        stop: CancellationToken,
    ) -> impl Future<Output = Attempted> + Send;

    /// Reads a list of zones.
    fn list(
        &self,
        check: Arc<Check>,
        from: ZonesFrom,
        stop: CancellationToken,
    ) -> impl Future<Output = Listed> + Send;

    /// Asks whether a source answers at all.
    fn probe(
        &self,
        source: SourceName,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Asks the catalogue of a source for its relations, and for what each of them reads.
    fn learn(
        &self,
        source: SourceName,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<SourceRelations, Reason>> + Send;
}

/// Whoever is told what stands.
pub trait Notices: Send + 'static {
    /// Takes note of a standing that changed, with what the ledger says of the series.
    fn changed(&mut self, check: &Check, series: &SeriesRecord, notice: Notice);

    /// What each receiver acknowledged.
    fn acknowledged(&self) -> Vec<Receipts>;

    /// What each Alertmanager held before this process sent anything to it, of those that were reached.
    fn first_looks(&self) -> Vec<Arc<FirstLook>>;

    /// Alerts under the labels of this installation that another ledger keeps up.
    fn kept_by_another(&self) -> Arc<BTreeSet<Fingerprint>>;

    /// How long to wait until another daemon that writes under the same labels has shown itself.
    fn patience(&self) -> TimeDelta;

    /// The earliest end of an alert of which not every receiver knows.
    fn unsettled(&self) -> Option<DateTime<Utc>>;

    /// The alerts of this replica about itself that stand or ended a while ago; nothing before what is written
    /// down of them was taken over.
    fn own(&self) -> Option<Arc<Vec<SelfAlert>>>;
}

/// A receiver of alerts by its name, and what it acknowledged.
pub type Receipts = (String, Arc<BTreeMap<AlertId, Acknowledged>>);

/// The watched databases themselves.
#[derive(Debug)]
pub struct Watched {
    sources: Sources,
    zones: Arc<Zones>,
}

impl Watched {
    /// Watches these databases.
    pub fn new(sources: Sources, zones: Arc<Zones>) -> Self {
        Self { sources, zones }
    }
}

impl Queries for Watched {
    fn places(&self, source: &SourceName) -> Option<usize> {
        self.sources.get(source).map(|source| source.connections())
    }

    fn remark(&self, source: &SourceName) -> Option<String> {
        self.sources.get(source).and_then(|source| source.remark())
    }

    fn protections(&self, source: &SourceName) -> Vec<Protection> {
        self.sources.get(source).map(|source| source.protections()).unwrap_or_default()
    }

    fn place(&self, source: &SourceName) -> Option<String> {
        self.sources.get(source).map(|source| source.place())
    }

    fn instant_form(&self, source: &SourceName) -> InstantForm {
        self.sources.get(source).map(|source| source.instant_form()).unwrap_or_default()
    }

    fn identity(&self, source: &SourceName) -> Option<String> {
        self.sources.get(source).and_then(|source| source.identity())
    }

    async fn attempt(
        &self,
        check: Arc<Check>,
        look: Look,
        progress: Progress,
        stop: CancellationToken,
    ) -> Attempted {
        let watching = Watching { progress, ..Watching::default() };
        attempt(&check, &look, &self.sources, &watching, &stop).await
    }

    async fn list(&self, check: Arc<Check>, from: ZonesFrom, stop: CancellationToken) -> Listed {
        list(&check, &from, &self.zones, &self.sources, &stop).await
    }

    async fn probe(&self, source: SourceName, stop: CancellationToken) -> Result<(), Reason> {
        match self.sources.get(&source) {
            Some(source) => source.probe(&stop).await,
            None => Ok(()),
        }
    }

    async fn learn(
        &self,
        source: SourceName,
        stop: CancellationToken,
    ) -> Result<SourceRelations, Reason> {
        let gone = || Reason::new(Cause::Interrupted, "there is no such source any more");
        self.sources.get(&source).ok_or_else(gone)?.learn(&stop).await
    }
}
