//! Files and dependencies that may break a rule, each with the reason. One that is needed no longer is a complaint too.

use super::SourceFile;
use super::files::{LINES_MAX, lines};

/// Rust files longer than [`LINES_MAX`], and why each is one idea all the same.
pub(super) const LONG_FILES: &[(&str, &str)] = &[];

/// Uses of a library outside of the crates that [`super::arrows`] lists for it: (crate, library, reason).
pub(super) const LIBRARIES: &[(&str, &str, &str)] = &[(
    "xtask",
    "tungstenite",
    "who probes a broker in a fault speaks as anybody could, with no code of ours that might hide what it says",
)];

/// Whether this file may be long.
pub(super) fn may_be_long(path: &str) -> bool {
    LONG_FILES.iter().any(|(listed, _)| *listed == path)
}

/// Whether this crate may use this library.
pub(super) fn may_use(package: &str, library: &str) -> bool {
    LIBRARIES.iter().any(|(listed, used, _)| (*listed, *used) == (package, library))
}

/// Exceptions for files that are short by now, or gone.
pub(super) fn stale(files: &[SourceFile]) -> Vec<String> {
    let long = |path: &str| files.iter().any(|file| file.path == path && lines(file) > LINES_MAX);
    let stale = LONG_FILES.iter().filter(|(path, _)| !long(path));
    stale.map(|(path, _)| format!("{path}: needs no exception for its length any more")).collect()
}
