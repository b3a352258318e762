//! What was learnt of the catalogues of sources, kept with the generation for which it was learnt.

mod json;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::check::name::SourceName;
use crate::domain::dependency::SourceRelations;
use crate::ledger::conn::args;
use crate::ledger::{LedgerError, PATIENCE, Store};

pub use json::{engine_of, object_json, object_of, relations_json, relations_of};

/// What is kept of a source.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// When it was learnt.
    pub at: DateTime<Utc>,
    /// For which generation.
    pub generation: i64,
    /// What.
    pub relations: Arc<SourceRelations>,
}

impl Store {
    /// What is kept of each source. What does not read any more is learnt anew.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn learnt(&mut self) -> Result<BTreeMap<SourceName, Learnt>, LedgerError> {
        const ALL: &str = "SELECT source, at, generation, learnt FROM source_relations";
        self.on(PATIENCE, async |conn, _| {
            let mut all = BTreeMap::new();
            for row in conn.all(ALL, Vec::new()).await? {
                let read = serde_json::from_str(row.text("learnt")?).ok();
                let relations = read.and_then(|value| relations_of(&value));
                let name = SourceName::parse(row.text("source")?).ok();
                if let (Some(name), Some(relations)) = (name, relations) {
                    let (at, generation) = (row.at("at")?, row.int("generation")?);
                    let relations = Arc::new(relations);
                    all.insert(name, Learnt { at, generation, relations });
                }
            }
            Ok(all)
        })
        .await
    }

    /// Keeps what was learnt of a source, instead of what was known.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn keep_learnt(
        &mut self,
        source: &SourceName,
        learnt: &Learnt,
    ) -> Result<(), LedgerError> {
        const PUT: &str = "INSERT INTO source_relations (source, at, generation, learnt) \
            VALUES ($1, $2, $3, $4) ON CONFLICT (source) DO UPDATE SET at = excluded.at, \
            generation = excluded.generation, learnt = excluded.learnt";
        let text = relations_json(&learnt.relations).to_string();
        self.on(PATIENCE, async |conn, _| {
            let row = args![source.as_str(), learnt.at, learnt.generation, text.as_str()];
            conn.run(PUT, row).await.map(drop)
        })
        .await
    }
}
