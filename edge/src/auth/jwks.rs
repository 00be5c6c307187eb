//! Public keys from a JWKS file (RFC 7517). Read when the configuration is loaded, never while a token is checked.
//!
//! Each key is pinned to one algorithm: RSA to RS256, Ed25519 to EdDSA. Keys for encryption and of other kinds are passed
//! over, as identity providers publish them beside; a key that is ours but unusable is an error with its name.

use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// Bytes of a JWKS file. A key has about 1 KB with its certificate chain.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Keys of one issuer; providers publish two or three.
const KEYS_MAX: usize = 64;

/// Bytes of an RSA modulus: 2,048 to 8,192 bits, as the verification accepts.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

/// Bytes of an RSA exponent; 3 are usual.
const EXPONENT_BYTES_MAX: usize = 8;

/// Bytes of an Ed25519 public key.
const ED25519_BYTES: usize = 32;

/// Why a key file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// It cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is far larger than key files are.
    #[error("{file}: larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// Which file.
        file: PathBuf,
    },
    /// It is no JSON object with a list `keys`.
    #[error("{file}: not a JWKS: {problem}")]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// What the parser says.
        problem: String,
    },
    /// One of its keys is unusable.
    #[error("{file}: key {key}: {problem}")]
    Key {
        /// Which file.
        file: PathBuf,
        /// Its `kid`, or its place counted from 1.
        key: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// It holds no key for RS256 or EdDSA signatures.
    #[error("{file}: holds no key for RS256 or EdDSA signatures")]
    NoKey {
        /// Which file.
        file: PathBuf,
    },
}

/// A key that signatures are checked with, pinned to its algorithm.
#[derive(Debug)]
pub(super) struct PinnedKey {
    pub(super) kid: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct KeyFields {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

/// Reads a file of keys.
pub(super) fn load(file: &Path) -> Result<Vec<PinnedKey>, JwksError> {
    let read = |source| JwksError::Read { file: file.to_owned(), source };
    if std::fs::metadata(file).map_err(read)?.len() > FILE_BYTES_MAX {
        return Err(JwksError::TooLarge { file: file.to_owned() });
    }
    parse(&std::fs::read(file).map_err(read)?, file)
}

/// Reads the content of a file of keys; `file` is for messages alone.
fn parse(json: &[u8], file: &Path) -> Result<Vec<PinnedKey>, JwksError> {
    let malformed = |problem: String| JwksError::Malformed { file: file.to_owned(), problem };
    let set: KeySet = serde_json::from_slice(json).map_err(|error| malformed(error.to_string()))?;
    if set.keys.len() > KEYS_MAX {
        return Err(malformed(format!("{} keys, the most is {KEYS_MAX}", set.keys.len())));
    }
    let mut keys: Vec<PinnedKey> = Vec::with_capacity(set.keys.len());
    for (index, value) in set.keys.into_iter().enumerate() {
        let kid = value.get("kid").and_then(|kid| kid.as_str()).map(str::to_owned);
        let name = kid.unwrap_or_else(|| (index + 1).to_string());
        let error = |problem| JwksError::Key { file: file.to_owned(), key: name.clone(), problem };
        let fields = KeyFields::deserialize(value).map_err(|_| error("its fields are not those of a JWK"))?;
        let Some(key) = pinned(fields).map_err(&error)? else { continue };
        if key.kid.is_some() && keys.iter().any(|other| other.kid == key.kid) {
            return Err(error("another key has the same kid"));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(JwksError::NoKey { file: file.to_owned() });
    }
    Ok(keys)
}

/// The key, `None` for one that is not for our signatures, or what is wrong with it.
fn pinned(fields: KeyFields) -> Result<Option<PinnedKey>, &'static str> {
    if fields.kty == "oct" {
        return Err("a shared secret does not belong into a file of public keys");
    }
    if fields.d.is_some() {
        return Err("it holds the private part; give the public part alone");
    }
    let for_signatures = fields.usage.as_deref().is_none_or(|usage| usage == "sig")
        && fields.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    let alg = fields.alg.as_deref();
    let (algorithm, key) = match fields.kty.as_str() {
        "RSA" if for_signatures && alg.is_none_or(|alg| alg == "RS256") => (Algorithm::RS256, rsa(&fields)?),
        "OKP"
            if for_signatures
                && fields.crv.as_deref() == Some("Ed25519")
                && alg.is_none_or(|alg| alg == "EdDSA" || alg == "Ed25519") =>
        {
            (Algorithm::EdDSA, ed25519(&fields)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(PinnedKey { kid: fields.kid.map(String::into_boxed_str), algorithm, key }))
}

fn rsa(fields: &KeyFields) -> Result<DecodingKey, &'static str> {
    let part = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_deref().unwrap_or_default().as_bytes());
    let modulus = part(&fields.n).map_err(|_| "n is not base64url")?;
    let exponent = part(&fields.e).map_err(|_| "e is not base64url")?;
    // Some writers put a zero before a modulus whose first bit is set.
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(&modulus);
    if !MODULUS_BYTES.contains(&modulus.len()) {
        return Err("n must have 2048 to 8192 bits");
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || exponent.len() > EXPONENT_BYTES_MAX || exponent == [1] {
        return Err("e is not a usable exponent");
    }
    Ok(DecodingKey::from_rsa_raw_components(modulus, &exponent))
}

fn ed25519(fields: &KeyFields) -> Result<DecodingKey, &'static str> {
    let x = BASE64URL_NOPAD.decode(fields.x.as_deref().unwrap_or_default().as_bytes());
    let x = x.map_err(|_| "x is not base64url")?;
    if x.len() != ED25519_BYTES {
        return Err("x must have 32 bytes");
    }
    Ok(DecodingKey::from_ed_der(&x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> String {
        parse(json.as_bytes(), Path::new("keys.json")).expect_err("must be refused").to_string()
    }

    fn x() -> String {
        BASE64URL_NOPAD.encode(&[7; ED25519_BYTES])
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        let cases = [
            ("nonsense", "keys.json: not a JWKS"),
            (r#"{"keys":[]}"#, "keys.json: holds no key"),
            (r#"{"keys":[{"kid":"a","kty":"RSA","n":"!","e":"AQAB"}]}"#, "keys.json: key a: n is not base64url"),
            (r#"{"keys":[{"kid":"a","kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, "key a: n must have 2048"),
            (r#"{"keys":[{"kty":"EC"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#, "key 2: x must have 32 bytes"),
            (r#"{"keys":[{"kid":"s","kty":"oct","k":"AA"}]}"#, "key s: a shared secret"),
            (r#"{"keys":[{"kid":"s","kty":"RSA","d":"AA"}]}"#, "key s: it holds the private part"),
            (r#"{"keys":[{"kid":"s"}]}"#, "key s: its fields"),
            (r#"{"keys":[7]}"#, "key 1: its fields"),
        ];
        for (json, expected) in cases {
            assert!(problem(json).contains(expected), "{json}: {}", problem(json));
        }
        let twice = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{}"}}"#, x());
        assert!(problem(&format!(r#"{{"keys":[{twice},{twice}]}}"#)).contains("key k: another key has the same kid"));
        assert!(load(Path::new("/nonexistent/keys.json")).is_err_and(|e| e.to_string().contains("keys.json")));
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let json = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"ec"}},{{"kty":"RSA","use":"enc","kid":"enc"}},
                {{"kty":"RSA","alg":"PS256","kid":"ps"}},{{"kty":"OKP","crv":"X25519","kid":"dh"}},
                {{"kty":"OKP","crv":"Ed25519","kid":"ours","x":"{}"}}]}}"#,
            x()
        );
        let keys = parse(json.as_bytes(), Path::new("keys.json")).expect("one is usable");
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].kid.as_deref(), Some("ours"));
        assert_eq!(keys[0].algorithm, Algorithm::EdDSA);
    }
}
