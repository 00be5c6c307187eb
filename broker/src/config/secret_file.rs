//! Files of secrets for HS256: one a line, or a JWK set of symmetric keys (RFC 7517; RFC 7518 section 6.4) where they have
//! names. A token that names a key has to name one of those; a secret without a name is tried whatever a token calls it, as
//! login services name their keys as they like.

use std::fs;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use switchyard_edge::auth::{Secret, SharedSecret};

use super::secret::{NEXT_STEP, from_bytes, from_text};

/// What a key of the set may say of its algorithm.
const ALGORITHM: &str = "HS256";

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: String,
    alg: Option<String>,
    k: String,
}

/// The secrets in a file. The first one signs.
pub(super) fn read(path: &Path) -> Result<Vec<SharedSecret>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let secrets = if text.trim_start().starts_with('{') { set(&text) } else { lines(&text) }
        .map_err(|why| format!("a secret in {} {why}", path.display()))?;
    if secrets.is_empty() { Err(format!("{} is empty; {NEXT_STEP}", path.display())) } else { Ok(secrets) }
}

fn lines(text: &str) -> Result<Vec<SharedSecret>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| from_text(line).map(|secret| SharedSecret { kid: None, secret })).collect()
}

fn set(json: &str) -> Result<Vec<SharedSecret>, String> {
    // What the parser says may hold a piece of a secret.
    let place = |e: &serde_json::Error| format!("cannot be read, at line {} column {}", e.line(), e.column());
    let wanted = r#"a JWK set of secrets is {"keys": [{"kty": "oct", "kid": NAME, "k": BASE64URL}, …]}"#;
    let set: KeySet = serde_json::from_str(json).map_err(|e| format!("{}; {wanted}", place(&e)))?;
    set.keys.into_iter().map(named).collect()
}

fn named(Key { kty, kid, alg, k }: Key) -> Result<SharedSecret, String> {
    let called = |why: String| format!("(kid {kid:?}) {why}");
    if kty != "oct" || alg.is_some_and(|alg| alg != ALGORITHM) {
        return Err(called(format!(
            "is no {ALGORITHM} secret: its kty must be \"oct\"; public keys go into a jwks_file"
        )));
    }
    let secret: Secret = BASE64URL_NOPAD
        .decode(k.trim_end_matches('=').as_bytes())
        .map_err(|_| called("has a k that is not base64url".to_owned()))
        .and_then(|bytes| from_bytes(&bytes).map_err(called))?;
    Ok(SharedSecret { kid: Some(kid), secret })
}
