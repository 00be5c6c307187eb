//! Judges of tokens: of the text as it comes, and of headers and claims that are signed with the right secret after they
//! were spoilt, so that they reach what lies behind the signature.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use switchyard_edge::auth::{
    AuthConfig, ClaimNames, IssuerConfig, IssuerKeys, LEEWAY_DEFAULT, Secret, SharedSecret, TenantSource, Verifier,
};
use switchyard_protocol::id::TenantId;
use switchyard_protocol::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};

const NOW_S: u64 = 1_800_000_000;
const SECRET: &[u8] = b"9f2c7d-a secret of these tests-51e8";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What means something in JSON, and in a token's text.
pub(crate) const TOKENS: &[&[u8]] = &[
    b".",
    b"=",
    b" ",
    b"Bearer ",
    b"null",
    b"true",
    b"1e400",
    b"-1",
    b"18446744073709551616",
    b"\"\\ud800\"",
    b"\\u0000",
    b"[[[[[[[[[[",
    b"[\"a\",{}]",
    b"\"",
    b",",
    b"}",
    b"\"sub\":\"eve\",",
    b"\"jwk\":{},",
    b"\"kid\":\"a\",",
    b"\"none\"",
    b"\"typ\":\"refresh\",",
];

/// Keys of the two issuers, and a verifier that knows both.
struct Keys {
    secret: hmac::Key,
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed will do");
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    std::fs::write(&file, format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"{x}"}}]}}"#))
        .expect("room");
    let issuer = |issuer: Option<&str>, keys| IssuerConfig {
        issuer: issuer.map(str::to_owned),
        tenant: TenantSource::Claim { name: "tenant".into(), default: Some(TenantId::new("t").expect("an id")) },
        audience: None,
        keys,
    };
    let shared = SharedSecret { kid: Some("a".into()), secret: Secret::new(SECRET) };
    let issuers = vec![issuer(None, IssuerKeys::Hs256(vec![shared])), issuer(Some("ed"), IssuerKeys::Jwks(file))];
    let config = AuthConfig { issuers, leeway: LEEWAY_DEFAULT, claims: ClaimNames::default() };
    let verifier = Verifier::new(&config).expect("a good configuration");
    Keys { secret: hmac::Key::new(hmac::HMAC_SHA256, SECRET), pair, verifier }
});

fn message(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(claims))
}

fn by_secret(header: &[u8], claims: &[u8]) -> String {
    let message = message(header, claims);
    let signature = hmac::sign(&KEYS.secret, message.as_bytes());
    format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

/// Claims that pass.
pub(crate) fn claims() -> Vec<Vec<u8>> {
    let exp = NOW_S + 60;
    [
        format!(r#"{{"sub":"ann","exp":{exp}}}"#),
        format!(
            r#"{{"sub":7,"exp":{exp}.5,"nbf":1,"tenant":"u","name":"Ann","roles":["a","b"],"sid":"s","x":{{"y":[1]}}}}"#
        ),
        format!(
            r#"{{"exp":{exp},"iat":1,"sub":"k\u00fc","roles":"a b","jti":"j","typ":"access","aud":["z"],"name":null}}"#
        ),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// Headers that pass.
pub(crate) fn headers() -> Vec<Vec<u8>> {
    [
        HEADER,
        r#"{"kid":"a","alg":"HS256"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","x":[{}]}"#,
        r#"{"alg":"H\u00532\u003556"}"#,
    ]
    .map(|header| header.as_bytes().to_vec())
    .to_vec()
}

/// Tokens that pass.
pub(crate) fn tokens() -> Vec<Vec<u8>> {
    static TOKENS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let mut tokens: Vec<String> = claims().iter().map(|claims| by_secret(HEADER.as_bytes(), claims)).collect();
        let claims = format!(r#"{{"iss":"ed","sub":"bob","exp":{}}}"#, NOW_S + 60);
        let message = message(br#"{"alg":"EdDSA","kid":"ed"}"#, claims.as_bytes());
        let signature = KEYS.pair.sign(message.as_bytes());
        tokens.push(format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref())));
        tokens.into_iter().map(String::into_bytes).collect()
    });
    TOKENS.clone()
}

/// Whether the verifier takes it; the identity is within its limits then.
fn verify(token: &str) -> Option<switchyard_edge::auth::Identity> {
    let identity = KEYS.verifier.verify(token, NOW_S * 1_000).ok()?;
    assert!(identity.expires_at_ms > NOW_S * 1_000 - 5_000);
    assert!(identity.name.as_ref().is_none_or(|name| name.len() <= NAME_BYTES_MAX));
    assert!(identity.session.as_ref().is_none_or(|session| session.len() <= ID_BYTES_MAX));
    Some(identity)
}

/// A token's text. There is one way to write a token, and no other text passes.
pub(crate) fn token(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    if verify(&text).is_none() {
        return false;
    }
    let bare = text.trim_ascii();
    let bare = match bare.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("Bearer ") => rest.trim_ascii(),
        _ => bare,
    };
    assert!(tokens().iter().any(|token| token == bare.as_bytes()), "a token that nobody signed");
    true
}

/// A rightly signed token with any claims: the user is the one that a plain reader of JSON finds.
pub(crate) fn claim_set(input: &[u8]) -> bool {
    let Some(identity) = verify(&by_secret(HEADER.as_bytes(), input)) else { return false };
    // What nobody reads may be odd: then there is no second reader.
    if let Ok(plain) = serde_json::from_slice::<Value>(input) {
        let sub = &plain["sub"];
        let user = sub.as_str().map_or_else(|| sub.to_string(), str::to_owned);
        assert_eq!(identity.user.as_str(), user);
        let tenant = plain["tenant"].as_str().unwrap_or("t");
        assert!(identity.tenant.as_str() == tenant || plain["tenant"].is_number());
    }
    true
}

/// A rightly signed token with any header: it names this secret's algorithm and key, and brings no key of its own.
pub(crate) fn header(input: &[u8]) -> bool {
    static CLAIMS: LazyLock<Vec<u8>> = LazyLock::new(|| claims().swap_remove(0));
    if verify(&by_secret(input, &CLAIMS)).is_none() {
        return false;
    }
    if let Ok(plain) = serde_json::from_slice::<Value>(input)
        && plain.is_object()
    {
        assert_eq!(plain["alg"], "HS256");
        assert!(plain["kid"].is_null() || plain["kid"] == "a");
        assert!(["jwk", "jku", "x5u", "x5c", "crit"].iter().all(|field| plain[field].is_null()));
    }
    true
}
