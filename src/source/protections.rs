//! What stands between a check and the database that it asks, in words for people.

use crate::domain::sql::Engine;
use crate::source::{Keeper, Source};

/// Something that protects a database from its checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// Who sees to it: the server, allswell, or the role alone.
    pub by: &'static str,
    /// What it is.
    pub what: String,
}

impl Source {
    /// What protects it from its checks, and who sees to each; the last rests on what its role may do, once that is
    /// known.
    pub fn protections(&self) -> Vec<Protection> {
        let role = match &self.opened().keeper {
            Keeper::Postgres(keeper) => keeper.role.rests_on(),
            Keeper::MySql(keeper) => keeper.role.rests_on(),
            Keeper::Sqlite(_) => Some("who may read the file".to_owned()),
        };
        let enforced = enforced(self.engine());
        let enforced = enforced.map(|(by, what)| Protection { by, what: what.to_owned() });
        let role = role.map(|what| Protection { by: "rests on the role", what });
        enforced.into_iter().chain(role).collect()
    }
}

fn enforced(engine: Engine) -> [(&'static str, &'static str); 2] {
    match engine {
        Engine::Postgres => [
            (
                "the server enforces",
                "read-only transactions; limits of each statement in time, of waits for locks and of idling; \
                 rows that row-level security hides are an error",
            ),
            (
                "allswell enforces",
                "rows and bytes of a result; cancels at its own limit, and gives way to sessions that wait",
            ),
        ],
        Engine::MySql => [
            (
                "the server enforces",
                "read-only transactions; limits of each statement in time and of waits for locks",
            ),
            (
                "allswell enforces",
                "rows and bytes of a result; ends the connection at its own limit, and gives way to sessions that wait, given \
                 PROCESS",
            ),
        ],
        Engine::Sqlite => [
            ("the server enforces", "there is none: the file is opened read-only"),
            ("allswell enforces", "rows, bytes and memory; stops a query from inside at its limit"),
        ],
    }
}
