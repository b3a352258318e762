//! What the engine is told to do, beside what its calendar says.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::check::fault::Fault;
use crate::domain::check::name::CheckId;
use crate::domain::check::succession::Removals;
use crate::engine::load::{Loaded, NotLoaded, Reading};
use crate::engine::shadow::Shadowed;
use crate::ledger::{
    DrillKind, EndQuiet, Fate, KeepQuiet, LedgerError, Returned, RowOrder, Selected,
};
use crate::manifest::Text;

/// How many orders wait at once.
const ORDERS: usize = 64;

/// An order, with a way to say what became of it.
#[derive(Debug)]
pub enum Order<Q> {
    /// Load a catalogue, and ask these databases.
    Load(Box<Load<Q>>, oneshot::Sender<Result<Loaded, NotLoaded>>),
    /// Take note that the catalogue could not even be read.
    Unreadable(String, oneshot::Sender<()>),
    /// Store an order about rows, which is carried out slice by slice from then on.
    Rows(Selected, RowOrder, oneshot::Sender<Result<i64, LedgerError>>),
    /// Take the next list of zones of a check as it is.
    AcceptZones(AcceptZones, oneshot::Sender<Result<(), LedgerError>>),
    /// End alerts that were adopted.
    EndAdopted(EndAdopted, oneshot::Sender<Result<usize, LedgerError>>),
    /// Keep a check quiet; the answer is the number of the row.
    KeepQuiet(KeepQuiet, oneshot::Sender<Result<i64, LedgerError>>),
    /// Keep a check quiet no longer; the answer says how many rows that ended.
    EndQuiet(EndQuiet, oneshot::Sender<Result<u64, LedgerError>>),
    /// Forget the values that are kept of a check: which, by whose word, and why; the answer says of how many attempts.
    Forget([String; 3], oneshot::Sender<Result<u64, LedgerError>>),
    /// Take a word for or against a catalogue that waits; the answer says whether it waited.
    Decide(Decide, oneshot::Sender<Result<bool, LedgerError>>),
    /// Go back to a catalogue that is kept; the answer is its generation.
    RollBack(RollBack, oneshot::Sender<Result<Loaded, NotLoaded>>),
    /// Look in shadow at what differs between two catalogues; the answer comes when that is done.
    Compare(Box<Compare>, oneshot::Sender<Compared>),
    /// Take note of a drill that was begun or proved.
    Drill(Drill, oneshot::Sender<Result<(), LedgerError>>),
    /// Take note that what was sent to an Alertmanager came back.
    Returned(Returned, oneshot::Sender<Result<(), LedgerError>>),
}

/// Whose next list of zones is taken as it is, by whose word.
#[derive(Debug)]
pub struct AcceptZones {
    /// Of which check.
    pub check: CheckId,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

/// Which alerts that were adopted are to end, by whose word.
#[derive(Debug)]
pub struct EndAdopted {
    /// Of which check; of all where none is named.
    pub check: Option<String>,
    /// In which zone; in all where none is named.
    pub tz: Option<String>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

/// A drill that was begun or proved.
#[derive(Debug)]
pub struct Drill {
    /// The receiver, or the failure.
    pub name: String,
    /// What it is.
    pub kind: DrillKind,
    /// The word that was sent along.
    pub word: String,
    /// Who says so.
    pub by: String,
    /// Whether that it was heard, or rang in time.
    pub is_proved: bool,
    /// What came of it, for the record.
    pub note: String,
}

/// A word for or against a catalogue that waits.
#[derive(Debug)]
pub struct Decide {
    /// Which.
    pub id: i64,
    /// What becomes of it.
    pub fate: Fate,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

/// Which catalogue to go back to, by whose word.
#[derive(Debug)]
pub struct RollBack {
    /// Its generation; the one before where none is named.
    pub id: Option<i64>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

/// Two catalogues that are compared in shadow.
#[derive(Debug)]
pub struct Compare {
    /// The files as they are.
    pub was: Vec<Text>,
    /// The files as they are to be.
    pub now: Vec<Text>,
    /// How many windows of each series are looked at.
    pub windows: usize,
}

/// What was seen of each check that differs.
pub type Compared = Result<Vec<Shadowed>, NotCompared>;

/// Why nothing was compared.
#[derive(Debug)]
pub enum NotCompared {
    /// Another comparison is under way.
    Busy,
    /// The files as they are to be are not valid.
    Faulty(Vec<Fault>),
    /// The files as they are do not read with the settings as they are.
    Unread,
    /// It broke off.
    Broken,
}

/// A catalogue that is to be loaded.
#[derive(Debug)]
pub struct Load<Q> {
    /// Its files.
    pub texts: Vec<Text>,
    /// What they are read with.
    pub reading: Arc<Reading>,
    /// Who is asked from now on.
    pub queries: Arc<Q>,
    /// Whether an operator vouches for what goes.
    pub removals: Removals,
    /// Who loads it.
    pub by: String,
}

impl<Q> Clone for Load<Q> {
    fn clone(&self) -> Self {
        Self {
            texts: self.texts.clone(),
            reading: Arc::clone(&self.reading),
            queries: Arc::clone(&self.queries),
            removals: self.removals,
            by: self.by.clone(),
        }
    }
}

/// A way to order.
#[derive(Debug)]
pub struct Orders<Q>(mpsc::Sender<Order<Q>>);

impl<Q> Clone for Orders<Q> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Why an order came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("the engine does not take orders: it is busy or stopping")]
pub struct NotTaken;

/// Makes a way to order, and its other end.
pub fn orders<Q>() -> (Orders<Q>, mpsc::Receiver<Order<Q>>) {
    let (sender, inbox) = mpsc::channel(ORDERS);
    (Orders(sender), inbox)
}

impl<Q> Orders<Q> {
    /// Has a catalogue loaded.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn load(&self, load: Load<Q>) -> Result<Result<Loaded, NotLoaded>, NotTaken> {
        self.give(|reply| Order::Load(Box::new(load), reply)).await
    }

    /// Takes note that a catalogue could not even be read.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn unreadable(&self, why: String) -> Result<(), NotTaken> {
        self.give(|reply| Order::Unreadable(why, reply)).await
    }

    /// Has an order about rows stored; returns its number.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn rows(
        &self,
        selected: Selected,
        order: RowOrder,
    ) -> Result<Result<i64, LedgerError>, NotTaken> {
        self.give(|reply| Order::Rows(selected, order, reply)).await
    }

    /// Has the next list of zones of a check taken as it is.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn accept_zones(
        &self,
        accept: AcceptZones,
    ) -> Result<Result<(), LedgerError>, NotTaken> {
        self.give(|reply| Order::AcceptZones(accept, reply)).await
    }

    /// Ends alerts that were adopted; returns how many those were.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn end_adopted(
        &self,
        end: EndAdopted,
    ) -> Result<Result<usize, LedgerError>, NotTaken> {
        self.give(|reply| Order::EndAdopted(end, reply)).await
    }

    /// Keeps a check quiet; returns the number of the row.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn keep_quiet(&self, keep: KeepQuiet) -> Result<Result<i64, LedgerError>, NotTaken> {
        self.give(|reply| Order::KeepQuiet(keep, reply)).await
    }

    /// Keeps a check quiet no longer; returns how many rows that ended.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn end_quiet(&self, end: EndQuiet) -> Result<Result<u64, LedgerError>, NotTaken> {
        self.give(|reply| Order::EndQuiet(end, reply)).await
    }

    /// The same, without waiting for an answer.
    pub fn end_quiet_later(&self, end: EndQuiet) {
        let (reply, _) = oneshot::channel();
        drop(self.0.try_send(Order::EndQuiet(end, reply)));
    }

    /// Takes note of a drill.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn drill(&self, drill: Drill) -> Result<Result<(), LedgerError>, NotTaken> {
        self.give(|reply| Order::Drill(drill, reply)).await
    }

    /// Forgets the values that are kept of a check, by whose word and why; returns of how many attempts.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn forget(
        &self,
        check: &str,
        (by, because): (&str, &str),
    ) -> Result<Result<u64, LedgerError>, NotTaken> {
        let forget = [check, by, because].map(str::to_owned);
        self.give(|reply| Order::Forget(forget, reply)).await
    }

    /// Takes a word for or against a catalogue that waits; returns whether it waited.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn decide(&self, decide: Decide) -> Result<Result<bool, LedgerError>, NotTaken> {
        self.give(|reply| Order::Decide(decide, reply)).await
    }

    /// Goes back to a catalogue that is kept.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn roll_back(&self, back: RollBack) -> Result<Result<Loaded, NotLoaded>, NotTaken> {
        self.give(|reply| Order::RollBack(back, reply)).await
    }

    /// Takes note that what was sent to an Alertmanager came back.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn returned(&self, returned: Returned) -> Result<Result<(), LedgerError>, NotTaken> {
        self.give(|reply| Order::Returned(returned, reply)).await
    }

    /// Has what differs between two catalogues looked at in shadow; what was seen comes when that is done.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub fn compare(&self, compare: Compare) -> Result<oneshot::Receiver<Compared>, NotTaken> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Compare(Box::new(compare), reply);
        self.0.try_send(order).map_err(|_| NotTaken)?;
        Ok(answer)
    }

    async fn give<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order<Q>,
    ) -> Result<T, NotTaken> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(order(reply)).map_err(|_| NotTaken)?;
        answer.await.map_err(|_| NotTaken)
    }
}
