//! A file that is ours: no other process writes into it as long as this one lives, and it stays the file that it
//! was.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::ledger::errors::LedgerError;

/// A file that is ours.
pub(super) struct LockFile {
    /// Held as long as the file is ours: the file beside it, and the file itself, which may have other names.
    locks: [File; 2],
    path: PathBuf,
    /// Which file that was, whatever is called by its name later.
    inode: Option<(u64, u64)>,
}

impl LockFile {
    /// Takes the file for ourselves, as long as we live: the kernel gives it back when we do not.
    pub(super) fn take(path: &Path) -> Result<Self, LedgerError> {
        let path = real(path)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock_path = PathBuf::from(name);
        let beside = File::create(&lock_path).map_err(|e| failed(&lock_path, e))?;
        locked(&beside, &lock_path, &path)?;
        // A hard link is another name with another lock beside it, and a lock may be deleted. SQLite's own
        // locks are of another kind. It is never closed before we end: that would give those back too.
        let file = open_private(&path)?;
        locked(&file, &path, &path)?;
        Ok(Self { locks: [beside, file], path, inode: None })
    }

    /// Copies the file. It is read by the descriptor that is open: to close another one would give back the locks that
    /// SQLite holds on it in this process.
    pub(super) async fn copy_to(&self, name: &Path) -> Result<(), LedgerError> {
        let [_, file] = &self.locks;
        let mut copy = open_private(name)?;
        let (mut chunk, mut at) = (vec![0; 8 << 20], 0);
        loop {
            let read = file.read_at(&mut chunk, at).map_err(|e| failed(&self.path, e))?;
            if read == 0 {
                break;
            }
            copy.write_all(&chunk[..read]).map_err(|e| failed(name, e))?;
            at += u64::try_from(read).unwrap_or(u64::MAX);
            // The start asks for time meanwhile.
            tokio::task::yield_now().await;
        }
        copy.sync_all().map_err(|e| failed(name, e))
    }

    /// Makes sure that what is written goes where people look for it.
    pub(super) fn is_still_there(&mut self) -> Result<(), LedgerError> {
        let meta = std::fs::metadata(&self.path).map_err(|e| {
            if e.kind() == std::io::ErrorKind::NotFound {
                LedgerError::Gone(self.path.display().to_string())
            } else {
                failed(&self.path, e)
            }
        })?;
        let inode = (meta.dev(), meta.ino());
        if *self.inode.get_or_insert(inode) == inode {
            Ok(())
        } else {
            Err(LedgerError::Replaced(self.path.display().to_string()))
        }
    }
}

impl Drop for LockFile {
    /// Gives it back at once: a process that was begun a moment ago holds it too, until it runs its own program.
    fn drop(&mut self) {
        for file in &self.locks {
            drop(file.unlock());
        }
    }
}

/// Opens a file, and makes it for its owner alone where there is none: findings hold values of rows. The files that SQLite
/// makes beside it take its rights.
pub(super) fn open_private(path: &Path) -> Result<File, LedgerError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|e| failed(path, e))
}

/// Locks a file, as long as it is open here.
fn locked(file: &File, name: &Path, ledger: &Path) -> Result<(), LedgerError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(LedgerError::Taken(ledger.display().to_string()))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(failed(name, error)),
    }
}

/// The path without links: a file has one owner by whatever name it is called.
fn real(path: &Path) -> Result<PathBuf, LedgerError> {
    if let Ok(path) = path.canonicalize() {
        return Ok(path);
    }
    // It is not there yet; its folder is.
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(path.to_owned());
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok(folder.canonicalize().map_err(|e| failed(folder, e))?.join(name))
}

fn failed(path: &Path, error: std::io::Error) -> LedgerError {
    LedgerError::File { path: path.display().to_string(), error }
}
