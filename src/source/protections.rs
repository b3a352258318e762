//! What stands between a check and the database that it asks, in words for people.

use crate::domain::sql::Engine;

/// What protects a database from its checks, and who sees to it.
pub fn protections(engine: Engine) -> [(&'static str, &'static str); 2] {
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
