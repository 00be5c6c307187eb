//! Judge of files of public keys. Whoever runs the server writes them; still a spoilt one is refused with a reason, and none
//! is taken that holds what must be secret.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value;
use switchyard_edge::auth::{AuthConfig, ClaimNames, IssuerConfig, IssuerKeys, LEEWAY_DEFAULT, TenantSource, Verifier};
use switchyard_protocol::id::TenantId;

/// Keys of one file, at most.
const KEYS_MAX: usize = 64;

/// What means something in such a file.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"null",
    b"[[[[[[[[[[",
    b"\"kty\":\"oct\",",
    b"\"kty\":\"RSA\",",
    b"\"kty\":\"OKP\",",
    b"\"d\":\"AA\",",
    b"\"d\":null,",
    b"\"kid\":\"a\",",
    b"\"kid\":7,",
    b"\"use\":\"enc\",",
    b"\"alg\":\"RS256\",",
    b"\"key_ops\":[\"verify\"],",
    b"\"e\":\"AQ\",",
    b"\"x\":\"\",",
    b"\"\\ud800\"",
    b",{}",
    b"=",
];

/// In memory: a million are written.
static FILE: LazyLock<Mutex<File>> =
    LazyLock::new(|| Mutex::new(memfd_create("keys", MemfdFlags::CLOEXEC).expect("a file in memory").into()));

fn rsa(kid: &str, more: &str) -> String {
    let modulus = BASE64URL_NOPAD.encode(&[0xa5; 256]);
    format!(r#"{{"kty":"RSA","kid":"{kid}","n":"{modulus}","e":"AQAB"{more}}}"#)
}

fn ed25519(kid: &str, more: &str) -> String {
    let x = BASE64URL_NOPAD.encode(&[7; 32]);
    format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"{more}}}"#)
}

/// Files that are taken.
pub(crate) fn files() -> Vec<Vec<u8>> {
    let sets = [
        ed25519("ed", ""),
        format!("{},{}", ed25519("a", r#","use":"sig","alg":"EdDSA""#), ed25519("b", r#","key_ops":["verify"]"#)),
        rsa("r", r#","alg":"RS256""#),
        format!(r#"{{"kty":"EC","crv":"P-256"}},{}"#, ed25519("k\\u00fc", "")),
    ];
    sets.map(|keys| format!(r#"{{"keys":[{keys}]}}"#).into_bytes()).to_vec()
}

/// A file with this in it.
pub(crate) fn key_file(input: &[u8]) -> bool {
    let file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    file.set_len(0).and_then(|()| file.write_all_at(input, 0)).expect("room");
    let issuer = IssuerConfig {
        issuer: Some("a".into()),
        tenant: TenantSource::Fixed(TenantId::new("t").expect("an id")),
        audience: None,
        keys: IssuerKeys::Jwks(path.clone()),
    };
    let config = AuthConfig { issuers: vec![issuer], leeway: LEEWAY_DEFAULT, claims: ClaimNames::default() };
    let errors = match Verifier::new(&config) {
        Err(errors) => errors,
        Ok(_) => {
            let plainly: Value = serde_json::from_slice(input).expect("only JSON is taken");
            let keys = plainly["keys"].as_array().expect("a list of keys");
            assert!((1..=KEYS_MAX).contains(&keys.len()), "{}", keys.len());
            for key in keys {
                assert!(key["kty"].is_string() && key["kty"] != "oct" && key["d"].is_null(), "{key}");
            }
            return true;
        }
    };
    let path = path.display().to_string();
    assert!(errors.len() == 1 && errors[0].to_string().contains(&path), "{errors:?}");
    false
}
