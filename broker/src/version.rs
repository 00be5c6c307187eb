//! Which build this is: what `version --json`, the ready line and `switchyard_build_info` say.

use serde::Serialize;

/// The version of the product.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, or `unknown` when there was no git.
pub const COMMIT: &str = env!("SWITCHYARD_COMMIT");

/// The compiler that built it.
pub const RUSTC: &str = env!("SWITCHYARD_RUSTC");

/// All of it, as `version --json` prints it.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Build {
    /// See [`VERSION`].
    pub version: &'static str,
    /// See [`COMMIT`].
    pub commit: &'static str,
    /// See [`RUSTC`].
    pub rustc: &'static str,
}

/// This build.
pub const BUILD: Build = Build { version: VERSION, commit: COMMIT, rustc: RUSTC };
