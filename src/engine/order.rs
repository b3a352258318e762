//! What the engine is told to do, beside what its calendar says.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::check::succession::Removals;
use crate::engine::load::{Loaded, NotLoaded, Reading};
use crate::ledger::{LedgerError, Returned, Revocation, Selected, Waiver};
use crate::manifest::Text;

/// How many orders wait at once.
const ORDERS: usize = 64;

/// What became of an order that touches rows.
pub type Touched = Result<u64, HalfDone>;

/// An order that does not go on, because the ledger does not take the rest.
#[derive(Debug, thiserror::Error)]
#[error(
    "the order was carried out on {rows} rows, and on no others: {trouble}. Give it again: what is done stays done"
)]
pub struct HalfDone {
    /// How many rows it was carried out on.
    pub rows: u64,
    /// What was wrong.
    pub trouble: LedgerError,
}

/// An order, with a way to say what became of it.
#[derive(Debug)]
pub enum Order<Q> {
    /// Load a catalogue, and ask these databases.
    Load(Box<Load<Q>>, oneshot::Sender<Result<Loaded, NotLoaded>>),
    /// Take note that the catalogue could not even be read.
    Unreadable(String, oneshot::Sender<()>),
    /// Try rows again.
    Rerun(Selected, String, oneshot::Sender<Touched>),
    /// Take note that what was sent to an Alertmanager came back.
    Returned(Returned, oneshot::Sender<Result<(), LedgerError>>),
    /// Vouch for rows.
    Waive(Selected, Waiver, oneshot::Sender<Touched>),
    /// Take waivers back.
    Revoke(Selected, Revocation, oneshot::Sender<Touched>),
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

    /// Has rows tried again.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn rerun(&self, selected: Selected, by: String) -> Result<Touched, NotTaken> {
        self.give(|reply| Order::Rerun(selected, by, reply)).await
    }

    /// Vouches for rows.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn waive(&self, selected: Selected, waiver: Waiver) -> Result<Touched, NotTaken> {
        self.give(|reply| Order::Waive(selected, waiver, reply)).await
    }

    /// Takes waivers back.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn revoke(
        &self,
        selected: Selected,
        revocation: Revocation,
    ) -> Result<Touched, NotTaken> {
        self.give(|reply| Order::Revoke(selected, revocation, reply)).await
    }

    /// Takes note that what was sent to an Alertmanager came back.
    ///
    /// # Errors
    /// Where the engine takes no orders.
    pub async fn returned(&self, returned: Returned) -> Result<Result<(), LedgerError>, NotTaken> {
        self.give(|reply| Order::Returned(returned, reply)).await
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
