//! The files of a catalogue: which are read, and which ids they share.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::domain::check::fault::Fault;
use crate::domain::check::plain::line;
use crate::manifest::Text;

/// Folders below a folder of checks that are read, at most.
const DEPTH_MAX: usize = 16;
/// One byte more than is read of a file, so that a longer one is seen to be longer.
const BYTES_READ: u64 = (1 << 20) + 1;

/// Reads every `*.yaml` and `*.yml` under the given paths, in a stable order; files of tests are no checks.
pub(super) fn read(paths: &[impl AsRef<Path>], faults: &mut Vec<Fault>) -> Vec<Text> {
    let files = found(paths, faults);
    let checks = files.iter().filter(|file| !is_of_tests(file));
    checks.filter_map(|file| read_file(file, faults)).collect()
}

/// Reads every file of tests under the given paths, in a stable order.
pub(super) fn read_tests(paths: &[impl AsRef<Path>], faults: &mut Vec<Fault>) -> Vec<Text> {
    let files = found(paths, faults);
    let tests = files.iter().filter(|file| is_of_tests(file));
    tests.filter_map(|file| read_file(file, faults)).collect()
}

fn found(paths: &[impl AsRef<Path>], faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        find(path.as_ref(), &mut files, faults);
    }
    files.dedup();
    files
}

/// Says whether a file is one of tests: `billing.test.yaml`.
fn is_of_tests(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// Finds what to read at a path that was given.
fn find(path: &Path, files: &mut Vec<PathBuf>, faults: &mut Vec<Fault>) {
    let shown = shown(path);
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let before = files.len();
            let faults_before = faults.len();
            walk(path, 0, &mut BTreeMap::new(), files, faults);
            let checks = files[before..].iter().filter(|file| !is_of_tests(file)).count();
            if checks == 0 && faults.len() == faults_before {
                faults.push(Fault::of_file(
                    shown,
                    "there is not one *.yaml file in this folder",
                    "a folder without checks proves nothing; name another, or write a check",
                ));
            }
        }
        Ok(meta) if meta.is_file() => files.push(path.to_owned()),
        Ok(_) => faults.push(Fault::of_file(shown, "this is no file", "name a file or a folder")),
        Err(error) => faults.push(Fault::of_file(
            shown,
            format!("cannot be read: {error}"),
            "name a file or a folder of checks",
        )),
    }
}

/// A path within a line of a fault.
fn shown(path: &Path) -> String {
    line(&path.display().to_string()).into_owned()
}

/// Folders by what the file system calls them, and by which way each was read first.
type Walked = BTreeMap<(u64, u64), PathBuf>;

fn walk(
    folder: &Path,
    depth: usize,
    walked: &mut Walked,
    files: &mut Vec<PathBuf>,
    faults: &mut Vec<Fault>,
) {
    let shown = || shown(folder);
    // A link may lead back up, or two of them to one folder: a few of those make any number of ways.
    if let Ok(meta) = fs::metadata(folder)
        && let Some(first) = walked.insert((meta.dev(), meta.ino()), folder.to_owned())
    {
        let message = format!("this folder is read already, as {}", self::shown(&first));
        faults.push(Fault::of_file(shown(), message, "remove the link"));
        walked.insert((meta.dev(), meta.ino()), first);
        return;
    }
    if depth > DEPTH_MAX {
        let message = "folders are nested too deeply here";
        faults.push(Fault::of_file(shown(), message, "is this a link to a folder above?"));
        return;
    }
    let entries = fs::read_dir(folder).and_then(|e| e.collect::<Result<Vec<_>, _>>());
    let mut entries = match entries {
        Ok(entries) => entries.into_iter().map(|e| e.path()).collect::<Vec<_>>(),
        Err(error) => {
            let message = format!("cannot be read: {error}");
            faults.push(Fault::of_file(shown(), message, "look at its permissions"));
            return;
        }
    };
    entries.sort();
    for path in entries {
        let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
        let name = name.as_ref();
        if name.starts_with('.') {
            continue;
        }
        let file = || self::shown(&path);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => walk(&path, depth + 1, walked, files, faults),
            Ok(meta)
                if meta.is_file()
                    && matches!(
                        path.extension().and_then(|e| e.to_str()),
                        Some("yaml" | "yml")
                    ) =>
            {
                files.push(path);
            }
            Ok(_) if looks_like_checks(name) => faults.push(Fault::of_file(
                file(),
                "this looks like a file of checks, and is not read: only *.yaml and *.yml are",
                "rename it, or move it out of the folder",
            )),
            Ok(_) => {}
            // A link to nowhere, or a folder that hides its content, may hold checks.
            Err(error) => faults.push(Fault::of_file(
                file(),
                format!("cannot be looked at: {error}"),
                "look at its permissions, or where its link leads",
            )),
        }
    }
}

/// A slip in a file's name must not take its checks away: `b.YAML`, `c.yam`, `d.yaml.bak`.
fn looks_like_checks(name: &str) -> bool {
    const PUT_ASIDE: [&str; 10] =
        ["bak", "old", "orig", "rej", "save", "swp", "tmp", "txt", "off", "disabled"];
    let lowered = name.to_lowercase();
    let slip = |ending: &str| {
        let near = |word| strsim::damerau_levenshtein(ending, word) <= 1;
        ending.starts_with('y') && (near("yaml") || near("yml"))
    };
    match lowered.rsplit('.').collect::<Vec<_>>().as_slice() {
        [last, before, _, ..] if PUT_ASIDE.contains(last) => slip(before),
        [last, _, ..] => slip(last),
        _ => false,
    }
}

/// Opens a file; one that waits for a writer is an error, and is not waited for.
fn opened(path: &Path) -> std::io::Result<fs::File> {
    /// `O_NONBLOCK` (Linux).
    const AT_ONCE: i32 = 0o4000;
    fs::OpenOptions::new().read(true).custom_flags(AT_ONCE).open(path)
}

fn read_file(path: &Path, faults: &mut Vec<Fault>) -> Option<Text> {
    let file = shown(path);
    let mut bytes = Vec::new();
    let read = opened(path).and_then(|f| f.take(BYTES_READ).read_to_end(&mut bytes).map(|_| ()));
    if let Err(error) = read {
        let message = format!("cannot be read: {error}");
        faults.push(Fault::of_file(file, message, "look at its permissions"));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(Text { file, text }),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|b| **b == b'\n').count() + 1;
            let message = "from here on the file is not UTF-8";
            let mut fault = Fault::of_file(file, message, "save it as UTF-8");
            fault.line = u64::try_from(line).unwrap_or(0);
            fault.column = 1;
            faults.push(fault);
            None
        }
    }
}
