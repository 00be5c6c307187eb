//! Who may depend on whom: the arrows between our crates, and which of them may name a library that speaks to the
//! outside. Read from `cargo metadata`, so that no import can go around it.

use anyhow::Context;
use serde::Deserialize;

use super::exceptions::may_use;

/// A crate of ours and what its manifest names.
#[derive(Deserialize)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// What it names.
    pub(super) dependencies: Vec<Dependency>,
}

/// One thing that a manifest names.
#[derive(Deserialize)]
pub(super) struct Dependency {
    /// The crate's name.
    pub(super) name: String,
    /// `dev` or `build`; nothing for a dependency of the library itself.
    pub(super) kind: Option<String>,
}

/// For each of our crates those of ours that it may use. A crate that is not here may use none.
const ARROWS: &[(&str, &[&str])] = &[
    ("switchyard-protocol", &[]),
    ("switchyard-store", &["switchyard-protocol"]),
    ("switchyard-cluster", &["switchyard-protocol"]),
    ("switchyard-router", &["switchyard-protocol", "switchyard-cluster", "switchyard-store"]),
    ("switchyard-edge", &["switchyard-protocol", "switchyard-cluster"]),
    ("switchyard-client", &["switchyard-protocol"]),
    ("switchyard-loadtest", &["switchyard-protocol", "switchyard-client"]),
    (
        "switchyard-broker",
        &["switchyard-protocol", "switchyard-store", "switchyard-cluster", "switchyard-router", "switchyard-edge"],
    ),
    // It feeds their decoders.
    (
        "switchyard-fuzz",
        &[
            "switchyard-protocol",
            "switchyard-store",
            "switchyard-cluster",
            "switchyard-router",
            "switchyard-edge",
            "switchyard-loadtest",
        ],
    ),
    ("xtask", &[]),
];

/// What the tests of our crates may use beside that: they play clients.
const TEST_ARROWS: &[&str] = &["switchyard-client", "switchyard-loadtest"];

/// What the tests of one crate may use beside that: what they drive.
const TESTED: &[(&str, &str)] = &[
    // The routers that it simulates keep a log, by the protocol that the store has for it, and ask it about owners as the driver does.
    ("switchyard-cluster", "switchyard-store"),
    ("switchyard-cluster", "switchyard-router"),
];

/// Libraries that speak to the outside, and the only crates of ours that may name them. Tests may name any.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("fjall", &["switchyard-store"]),
    ("scylla", &["switchyard-store"]),
    ("redis", &["switchyard-cluster"]),
    ("quinn", &["switchyard-edge", "switchyard-client"]),
    ("tungstenite", &["switchyard-client", "switchyard-loadtest"]),
    ("tokio-tungstenite", &["switchyard-client", "switchyard-loadtest"]),
    ("tokio-websockets", &["switchyard-client", "switchyard-loadtest"]),
    ("jsonwebtoken", &["switchyard-edge", "switchyard-loadtest"]),
    ("axum", &["switchyard-broker"]),
];

/// The protocol is pure: neither runtime nor clock nor input and output.
const NOT_IN_PROTOCOL: &[&str] = &["tokio", "mio", "futures-util", "socket2", "rustix", "rand", "tracing"];

/// What `cargo metadata --no-deps` says.
pub(super) fn packages(metadata: &str) -> anyhow::Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let metadata: Metadata = serde_json::from_str(metadata).context("cargo metadata is not understood")?;
    Ok(metadata.packages)
}

/// Every arrow that should not be.
pub(super) fn complaints(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let Some((_, arrows)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            found.push(format!("{}: is not in the list of crates; say what it may depend on", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            let in_tests = dependency.kind.as_deref() == Some("dev");
            let ours = packages.iter().any(|other| other.name == to);
            let allowed = arrows.contains(&to)
                || (in_tests && (from == to || TEST_ARROWS.contains(&to) || TESTED.contains(&(from, to))));
            if ours && !allowed {
                found.push(format!("{from} -> {to}: the design has no such arrow"));
            }
            let reserved = LIBRARIES.iter().find(|(library, _)| *library == to);
            if reserved.is_some_and(|(_, users)| !users.contains(&from)) && !in_tests && !may_use(from, to) {
                found.push(format!("{from} -> {to}: another crate of ours speaks to it"));
            }
            if from == "switchyard-protocol" && !in_tests && NOT_IN_PROTOCOL.contains(&to) {
                found.push(format!("{from} -> {to}: the protocol is pure"));
            }
        }
    }
    found
}
