//! The environment: what of it must not reach a watched database.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What the PostgreSQL driver reads on its own and cannot be told to forget
/// (docs/internals/databases.md, "What drivers read on their own"): an ambient variable would silently change how safely we ask. The
/// others, like PGHOST, are overruled where the driver is given its options.
const AMBIENT: [&str; 4] = ["PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGOPTIONS"];

/// Starts the program anew without the variables that the driver would obey, if there are any.
///
/// A process cannot safely take variables out of its own environment; it can hand on less.
pub(super) fn forget_postgres() -> io::Result<()> {
    if !AMBIENT.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    let mut anew = Command::new(std::env::current_exe()?);
    anew.args(std::env::args_os().skip(1));
    for name in AMBIENT {
        anew.env_remove(name);
    }
    Err(anew.exec())
}
