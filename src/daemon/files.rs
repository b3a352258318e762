//! Watching files: what they are now, in one number that changes with them.
//!
//! They are looked at, not listened to: notices of the kernel miss network file systems, and the link
//! that Kubernetes moves when a `ConfigMap` changes. Two equal looks in a row say that what writes
//! has finished.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How deep folders are followed; the manifest refuses deeper ones.
const DEPTH_MAX: usize = 16;

/// A number for what files and folders hold: names, sizes, times and numbers of inodes, links
/// followed. What cannot be read is part of it too.
pub(super) fn fingerprint(paths: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(path, 0, &mut hasher);
    }
    hasher.finish()
}

fn add(path: &Path, depth: usize, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    let Ok(meta) = fs::metadata(path) else {
        "cannot be read".hash(hasher);
        return;
    };
    if meta.is_dir() {
        if depth > DEPTH_MAX {
            return;
        }
        let Ok(entries) = fs::read_dir(path) else { return };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let hidden = |path: &&PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with('.'))
        };
        for path in paths.iter().filter(|path| !hidden(path)) {
            add(path, depth + 1, hasher);
        }
    } else {
        (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime_nsec()).hash(hasher);
    }
}
