//! The folder of a process for files that go with it, also where it is killed: the next one takes them away.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::source::scratch::writer::ScratchError;

/// How the folders are called.
const PREFIX: &str = "allswell-test-";
/// The file that is locked as long as its process lives.
const LOCK: &str = "lock";
/// Which folder of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder that is ours.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes one, and takes away those of processes that are gone.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn make() -> Result<Self, ScratchError> {
        let base = base();
        sweep(&base);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        let failed = |error: std::io::Error| {
            ScratchError::new(
                format!("{} cannot be made: {error}", path.display()),
                "set TMPDIR to a folder that can be written",
            )
        };
        drop(fs::remove_dir_all(&path));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        Ok(Self { path: path.clone(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Memory where the host has a folder in it, for files that no one keeps.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let probe = memory.join(format!("{PREFIX}{}-probe", std::process::id()));
    let writable = File::create(&probe).is_ok();
    drop(fs::remove_file(&probe));
    if writable { memory.to_owned() } else { std::env::temp_dir() }
}

/// Takes away what processes left that are gone: no one holds their lock.
fn sweep(base: &Path) {
    let ours = fs::metadata("/proc/self").map(|meta| meta.uid()).ok();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let is_one = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let owner = entry.metadata().map(|meta| meta.uid()).ok();
        if !is_one || owner.is_none() || owner != ours {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
