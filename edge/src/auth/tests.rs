//! Tokens that must pass and tokens that must not, with keys made for the run. Rows of the negative tests are named by
//! their number.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use proptest::prelude::*;
use serde_json::{Value, json};
use switchyard_protocol::id::{TenantId, UserId};

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;
const NOW_S: u64 = NOW_MS / 1_000;
const SECRET: &[u8] = b"9f2c7d-a secret of this test run-51e8";

/// A key pair, and its public part as a JWK.
struct Pair {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Value,
}

impl Pair {
    fn rsa() -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("its encoding");
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            data_encoding::BASE64.encode(der.as_ref())
        );
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key of ours");
        let public = Jwk::from_encoding_key(&private, Algorithm::RS256).expect("a fresh key");
        Self { algorithm: Algorithm::RS256, private, public: serde_json::to_value(public).expect("a JWK is JSON") }
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        let der = pair.to_pkcs8().expect("its encoding");
        Self {
            algorithm: Algorithm::EdDSA,
            private: EncodingKey::from_ed_der(der.as_ref()),
            public: json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
        }
    }

    fn jwk(&self, kid: Option<&str>) -> Value {
        let mut jwk = self.public.clone();
        jwk["use"] = "sig".into();
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, &self.private, self.algorithm)
    }
}

static RSA: LazyLock<Pair> = LazyLock::new(Pair::rsa);
static ED: LazyLock<Pair> = LazyLock::new(Pair::ed25519);
static ED_OTHER: LazyLock<Pair> = LazyLock::new(Pair::ed25519);

fn part(json: &Value) -> String {
    BASE64URL_NOPAD.encode(json.to_string().as_bytes())
}

/// Signs whatever header and claims it is given, however wrong.
fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("a usable key");
    format!("{message}.{signature}")
}

fn hs256(header: &Value, claims: &Value) -> String {
    signed(header, claims, &EncodingKey::from_secret(SECRET), Algorithm::HS256)
}

fn tenant(text: &str) -> TenantId {
    TenantId::new(text).expect("a valid id")
}

fn shared(secret: &[u8], kid: Option<&str>) -> SharedSecret {
    SharedSecret { kid: kid.map(str::to_owned), secret: Secret::new(secret) }
}

fn issuer(iss: &str, tenant_name: &str, keys: IssuerKeys) -> IssuerConfig {
    IssuerConfig {
        issuer: Some(iss.to_owned()),
        tenant: TenantSource::Fixed(tenant(tenant_name)),
        audience: None,
        keys,
    }
}

fn config(issuers: Vec<IssuerConfig>) -> AuthConfig {
    AuthConfig { issuers, leeway: LEEWAY_DEFAULT, claims: ClaimNames::default() }
}

fn verifier(issuers: Vec<IssuerConfig>) -> Verifier {
    Verifier::new(&config(issuers)).expect("a good configuration")
}

/// One HS256 issuer `https://a.example`, with audience `switchyard`.
fn hs256_verifier() -> Verifier {
    let mut issuer = issuer("https://a.example", "tenant-a", IssuerKeys::Hs256(vec![shared(SECRET, None)]));
    issuer.audience = Some("switchyard".to_owned());
    verifier(vec![issuer])
}

fn jwks(dir: &tempfile::TempDir, name: &str, keys: Vec<Value>) -> IssuerKeys {
    let file = dir.path().join(name);
    std::fs::write(&file, json!({ "keys": keys }).to_string()).expect("the directory is ours");
    IssuerKeys::Jwks(file)
}

fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": "https://a.example", "aud": "switchyard", "sub": "alice", "exp": NOW_S + 900})
}

/// The good claims with some changed; `null` takes one away.
fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("an object of changes") {
        claims[name] = value.clone();
    }
    claims
}

fn refusal(verifier: &Verifier, token: &str) -> TokenRefusal {
    verifier.verify(token, NOW_MS).expect_err("the token must be refused")
}

#[test]
fn a_good_token_says_who() {
    let token = hs256(
        &header(),
        &with(&json!({"name": "Alice", "roles": ["admin", "support agent"], "jti": "t-1", "nbf": NOW_S})),
    );
    let verifier = hs256_verifier();
    let identity = verifier.verify(&token, NOW_MS).expect("a good token");
    assert_eq!(identity.tenant, tenant("tenant-a"));
    assert_eq!(identity.user.as_str(), "alice");
    assert_eq!(identity.name.as_deref(), Some("Alice"));
    assert!(identity.has_role("support agent") && !identity.has_role("support"));
    assert_eq!(identity.expires_at_ms, (NOW_S + 900) * 1_000);
    assert_eq!(identity.session.as_deref(), Some("t-1"));
    for prefix in ["Bearer ", "bearer  ", " BEARER "] {
        assert_eq!(verifier.verify(&format!("{prefix}{token}"), NOW_MS).as_ref(), Ok(&identity), "{prefix}");
    }
}

#[test]
fn keys_of_a_file_check_their_own_algorithm() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = jwks(&dir, "keys.json", vec![RSA.jwk(Some("r")), ED.jwk(Some("e"))]);
    let verifier = verifier(vec![issuer("https://a.example", "tenant-a", keys)]);
    for (pair, alg, kid) in [(&*RSA, "RS256", "r"), (&*ED, "EdDSA", "e"), (&*ED, "Ed25519", "e")] {
        let token = pair.token(&json!({"alg": alg, "kid": kid, "typ": "at+jwt"}), &claims());
        assert_eq!(verifier.verify(&token, NOW_MS).expect("a good token").user.as_str(), "alice");
    }
    // One key for the algorithm: no name is needed.
    let unnamed = ED.token(&json!({"alg": "EdDSA"}), &claims());
    assert!(verifier.verify(&unnamed, NOW_MS).is_ok());
    let crossed = ED.token(&json!({"alg": "EdDSA", "kid": "r"}), &claims());
    assert_eq!(refusal(&verifier, &crossed), TokenRefusal::Algorithm);
    let others = ED_OTHER.token(&json!({"alg": "EdDSA", "kid": "e"}), &claims());
    assert_eq!(refusal(&verifier, &others), TokenRefusal::Signature);
}

#[test]
fn n04_wrong_algorithms_and_keys_of_the_tokens_own_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = jwks(&dir, "keys.json", vec![RSA.jwk(Some("r")), ED.jwk(Some("e")), ED_OTHER.jwk(Some("f"))]);
    let public = verifier(vec![issuer("https://a.example", "tenant-a", keys)]);
    let secret = hs256_verifier();

    for alg in ["none", "None", "NONE", "", "HS384", "HS512", "PS256", "ES256", "RS512", "hs256"] {
        let unsigned = format!("{}.{}.", part(&json!({ "alg": alg })), part(&claims()));
        let signed = hs256(&json!({ "alg": alg }), &claims());
        for verifier in [&public, &secret] {
            assert_eq!(refusal(verifier, &unsigned), TokenRefusal::Algorithm, "{alg}");
            assert_eq!(refusal(verifier, &signed), TokenRefusal::Algorithm, "{alg}");
        }
    }
    // The public key as an HMAC secret, in the forms an attacker has it.
    let forms = [RSA.public["n"].to_string(), RSA.jwk(Some("r")).to_string(), ED.public["x"].to_string()];
    for form in forms {
        for kid in ["r", "e", "unknown"] {
            let key = EncodingKey::from_secret(form.as_bytes());
            let forged = signed(&json!({"alg": "HS256", "kid": kid}), &claims(), &key, Algorithm::HS256);
            assert_eq!(refusal(&public, &forged), TokenRefusal::Algorithm);
        }
    }
    for kid in ["unknown", "", "../../etc/passwd", "e\u{0}", "' OR 1=1"] {
        let token = ED.token(&json!({"alg": "EdDSA", "kid": kid}), &claims());
        assert_eq!(refusal(&public, &token), TokenRefusal::Key, "{kid}");
        // What a secret is called by its issuer is nothing to look up; it alone counts.
        let (header, key) = (json!({"alg": "HS256", "kid": kid}), EncodingKey::from_secret(&[7; 32]));
        assert!(secret.verify(&hs256(&header, &claims()), NOW_MS).is_ok(), "{kid}");
        let forged = signed(&header, &claims(), &key, Algorithm::HS256);
        assert_eq!(refusal(&secret, &forged), TokenRefusal::Signature, "{kid}");
    }
    // Two keys of the algorithm: without a name neither is tried.
    assert_eq!(refusal(&public, &ED.token(&json!({"alg": "EdDSA"}), &claims())), TokenRefusal::Key);

    // A listener stands in for the attacker's host: it must never be asked.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket option");
    let url = format!("http://{}/keys.json", listener.local_addr().expect("it is bound"));
    let attacker = Pair::ed25519();
    for (name, value) in
        [("jku", json!(url)), ("x5u", json!(url)), ("jwk", attacker.jwk(Some("e"))), ("x5c", json!(["MIIB"]))]
    {
        for pair in [&attacker, &*ED] {
            let token = pair.token(&json!({"alg": "EdDSA", "kid": "e", (name): value}), &claims());
            assert_eq!(refusal(&public, &token), TokenRefusal::Key, "{name}");
        }
    }
    assert!(listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

#[test]
fn n05_a_token_of_one_tenant_is_nothing_to_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let verifier = verifier(vec![
        issuer("https://a.example", "tenant-a", jwks(&dir, "a.json", vec![ED.jwk(Some("k1"))])),
        issuer("https://b.example", "tenant-b", jwks(&dir, "b.json", vec![ED_OTHER.jwk(Some("k1"))])),
    ]);
    let header = json!({"alg": "EdDSA", "kid": "k1"});
    let as_b = with(&json!({"iss": "https://b.example"}));
    let good = verifier.verify(&ED.token(&header, &claims()), NOW_MS).expect("A's own");
    assert_eq!(good.tenant, tenant("tenant-a"));
    // A's key under the same kid, with B's name on it: B's key is the one that counts.
    assert_eq!(refusal(&verifier, &ED.token(&header, &as_b)), TokenRefusal::Signature);
    // Claims about the tenant are nothing when the issuer's tenant is fixed.
    let claimed = with(&json!({"tenant": "tenant-b", "tenant_id": "tenant-b", "tid": "tenant-b"}));
    let identity = verifier.verify(&ED.token(&header, &claimed), NOW_MS).expect("A's own");
    assert_eq!(identity.tenant, tenant("tenant-a"));
}

#[test]
fn n06_odd_issuers_and_audiences_simply_do_not_match() {
    let verifier = hs256_verifier();
    let odd = [
        json!("https://a.example/"),
        json!("https://a.example/../a.example"),
        json!("https://a.example\r\nHost: b"),
        json!("https://A.example"),
        json!(" https://a.example"),
        json!("http://127.0.0.1:1/keys"),
        json!("file:///etc/passwd"),
        json!(""),
        json!(7),
        json!({"https://a.example": 1}),
        json!(true),
        Value::Null,
    ];
    for value in &odd {
        assert_eq!(
            refusal(&verifier, &hs256(&header(), &with(&json!({"iss": value})))),
            TokenRefusal::Issuer,
            "{value}"
        );
        let token = hs256(&header(), &with(&json!({"aud": value})));
        assert_eq!(refusal(&verifier, &token), TokenRefusal::Audience, "{value}");
    }
    let listed = hs256(&header(), &with(&json!({"iss": ["https://a.example"]})));
    assert_eq!(refusal(&verifier, &listed), TokenRefusal::Issuer);
}

#[test]
fn n07_tokens_for_others_of_other_times_and_other_kinds_are_refused() {
    let verifier = hs256_verifier();
    let leeway_s = LEEWAY_DEFAULT.as_secs();
    let cases = [
        (json!({"aud": "somebody-else"}), Some(TokenRefusal::Audience)),
        (json!({"aud": ["x", "switchyard2"]}), Some(TokenRefusal::Audience)),
        (json!({"aud": ["x", 7, "switchyard"]}), Some(TokenRefusal::Audience)),
        (json!({"aud": ["x", "switchyard"]}), None),
        (json!({"exp": null}), Some(TokenRefusal::Claims)),
        (json!({"exp": "never"}), Some(TokenRefusal::Claims)),
        (json!({"exp": NOW_S - leeway_s}), Some(TokenRefusal::Expired)),
        (json!({"exp": NOW_S - leeway_s + 1}), None),
        (json!({"exp": 0}), Some(TokenRefusal::Expired)),
        (json!({"exp": -5}), Some(TokenRefusal::Expired)),
        (json!({"nbf": NOW_S + leeway_s + 1}), Some(TokenRefusal::NotYetValid)),
        (json!({"nbf": NOW_S + leeway_s}), None),
        (json!({"nbf": "soon"}), Some(TokenRefusal::Claims)),
        (json!({"typ": "refresh"}), Some(TokenRefusal::Type)),
        (json!({"typ": "Refresh"}), Some(TokenRefusal::Type)),
        (json!({"typ": 1}), Some(TokenRefusal::Type)),
        (json!({"typ": "access"}), None),
        (json!({"typ": "Bearer"}), None),
        (json!({"token_type": "refresh"}), Some(TokenRefusal::Type)),
        (json!({"token_use": "id"}), Some(TokenRefusal::Type)),
        (json!({"sub": null}), Some(TokenRefusal::Claims)),
        (json!({"sub": ""}), Some(TokenRefusal::Claims)),
        (json!({"sub": "x".repeat(129)}), Some(TokenRefusal::Claims)),
    ];
    for (changes, expected) in cases {
        let result = verifier.verify(&hs256(&header(), &with(&changes)), NOW_MS);
        assert_eq!(result.err(), expected, "{changes}");
    }
    for typ in ["refresh", "refresh+jwt", "rt+jwt", "JOSE", ""] {
        let token = hs256(&json!({"alg": "HS256", "typ": typ}), &claims());
        assert_eq!(refusal(&verifier, &token), TokenRefusal::Type, "{typ}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let verifier = hs256_verifier();
    let good = hs256(&header(), &claims());
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    for missing in ["", "  ", "Bearer", "Bearer ", "bearer   "] {
        assert_eq!(refusal(&verifier, missing), TokenRefusal::Missing, "{missing:?}");
    }
    for malformed in ["x", "a.b", "..", "a.b.c.d.e", "Bearer Bearer x", "é.é.é", &format!("{good}.{good}")] {
        assert_eq!(refusal(&verifier, malformed), TokenRefusal::Malformed, "{malformed:?}");
    }
    for bad in ["", "AA", "*", &signature[1..], &format!("{signature}="), &signature.to_lowercase()] {
        assert_eq!(refusal(&verifier, &format!("{message}.{bad}")), TokenRefusal::Signature, "{bad:?}");
    }
    let crit = hs256(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &claims());
    assert_eq!(refusal(&verifier, &crit), TokenRefusal::Malformed);
    let long = hs256(&header(), &with(&json!({"pad": "x".repeat(6 * 1024)})));
    assert_eq!(refusal(&verifier, &long), TokenRefusal::TooLong);
    let roles: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    assert_eq!(refusal(&verifier, &hs256(&header(), &with(&json!({ "roles": roles })))), TokenRefusal::Claims);
}

#[test]
fn claims_are_found_by_their_configured_names() {
    let mut config = config(vec![IssuerConfig {
        tenant: TenantSource::Claim { name: "https://x/tenant".into(), default: None },
        ..issuer("https://a.example", "unused", IssuerKeys::Hs256(vec![shared(SECRET, None)]))
    }]);
    config.claims =
        ClaimNames { user: "user_id".into(), name: "email".into(), roles: "scope".into(), session: "login".into() };
    let verifier = Verifier::new(&config).expect("a good configuration");
    let token = hs256(
        &header(),
        &with(&json!({"user_id": 42, "email": "a@b", "scope": "read  admin", "login": 9, "https://x/tenant": "t"})),
    );
    let identity = verifier.verify(&token, NOW_MS).expect("a good token");
    assert_eq!(identity.user.as_str(), "42", "a number becomes its decimal text");
    assert_eq!(identity.tenant, tenant("t"));
    assert_eq!(identity.name.as_deref(), Some("a@b"));
    assert!(identity.has_role("read") && identity.has_role("admin"));
    assert_eq!(identity.session.as_deref(), Some("9"));
    let without_tenant = hs256(&header(), &with(&json!({"user_id": 42})));
    assert_eq!(refusal(&verifier, &without_tenant), TokenRefusal::Claims);
}

#[test]
fn minted_tokens_pass_until_they_expire() {
    let verifier = Verifier::new(&AuthConfig::development(Secret::new(SECRET))).expect("a good configuration");
    let mut wish = Claims::for_user(UserId::new("bob").expect("a valid id"));
    let token = mint(SECRET, &wish, NOW_MS).expect("a token");
    let identity = verifier.verify(&token, NOW_MS).expect("a fresh token");
    assert_eq!((identity.tenant, identity.user.as_str()), (tenant(DEV_TENANT), "bob"));
    let end_ms = NOW_MS + 900_000 + LEEWAY_DEFAULT.as_millis() as u64;
    assert!(verifier.verify(&token, end_ms - 1).is_ok());
    assert_eq!(verifier.verify(&token, end_ms), Err(TokenRefusal::Expired));

    wish.tenant = Some(tenant("acme"));
    wish.roles = vec!["admin".into()];
    wish.name = Some("Bob".into());
    wish.session = Some("s-1".into());
    wish.audience = Some("switchyard".into());
    wish.ttl = Duration::from_secs(60);
    let identity = verifier.verify(&mint(SECRET, &wish, NOW_MS).expect("a token"), NOW_MS).expect("a fresh token");
    assert_eq!(identity.tenant, tenant("acme"));
    assert_eq!(identity.name.as_deref(), Some("Bob"));
    assert_eq!(identity.session.as_deref(), Some("s-1"));
    assert!(identity.has_role("admin"));
    assert_eq!(identity.expires_at_ms, NOW_MS + 60_000);

    // In development a token made by hand needs no issuer, but another one is still another one.
    wish.issuer = None;
    assert!(verifier.verify(&mint(SECRET, &wish, NOW_MS).expect("a token"), NOW_MS).is_ok());
    wish.issuer = Some("https://a.example".into());
    assert_eq!(refusal(&verifier, &mint(SECRET, &wish, NOW_MS).expect("a token")), TokenRefusal::Issuer);
    wish.issuer = None;
    let other = mint(b"another secret, also long enough to pass", &wish, NOW_MS).expect("a token");
    assert_eq!(refusal(&verifier, &other), TokenRefusal::Signature);
}

#[test]
fn a_reload_changes_the_keys_in_force() {
    let old = SECRET;
    let new: &[u8] = b"the next secret of this test run, 77a0";
    let with_secrets = |secrets: Vec<SharedSecret>| {
        verifier(vec![issuer("https://a.example", "tenant-a", IssuerKeys::Hs256(secrets))])
    };
    let by =
        |secret: &[u8], header: &Value| signed(header, &claims(), &EncodingKey::from_secret(secret), Algorithm::HS256);
    let named = json!({"alg": "HS256", "kid": "2"});
    let shared_verifier = SharedVerifier::new(with_secrets(vec![shared(old, None)]));
    assert!(shared_verifier.current().verify(&by(old, &header()), NOW_MS).is_ok());
    assert_eq!(refusal(&shared_verifier.current(), &by(new, &named)), TokenRefusal::Signature);

    shared_verifier.replace(with_secrets(vec![shared(new, Some("2")), shared(old, None)]));
    for good in [by(old, &header()), by(new, &header()), by(new, &named)] {
        assert!(shared_verifier.current().verify(&good, NOW_MS).is_ok());
    }
    assert_eq!(refusal(&shared_verifier.current(), &by(old, &named)), TokenRefusal::Signature);

    shared_verifier.replace(with_secrets(vec![shared(new, Some("2"))]));
    assert_eq!(refusal(&shared_verifier.current(), &by(old, &header())), TokenRefusal::Signature);
}

#[test]
fn all_configuration_errors_are_reported_at_once() {
    let hs256 = |secrets| IssuerKeys::Hs256(secrets);
    let errors = Verifier::new(&config(vec![
        issuer("short", "t", hs256(vec![shared(b"secret", None)])),
        issuer("example", "t", hs256(vec![shared(b"please-change-me-please-change-me-please", None)])),
        issuer("example", "t", hs256(vec![shared(&[b'x'; 40], None)])),
        issuer("none", "t", hs256(vec![])),
        issuer("twice", "t", hs256(vec![shared(SECRET, Some("k")), shared(SECRET, Some("k"))])),
        issuer("file", "t", IssuerKeys::Jwks("/nonexistent/keys.json".into())),
    ]))
    .expect_err("all of it is wrong");
    let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for expected in [
        "issuer \"short\": secret 1 has 6 bytes, at least 32 are needed",
        "issuer \"example\": secret 1 is an example",
        "issuer \"example\" is configured twice",
        "issuer \"none\" has 0 secrets",
        "issuer \"twice\": two secrets are named k",
        "issuer \"file\": /nonexistent/keys.json: cannot be read",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert_eq!(errors.len(), 7, "{text}");
    assert!(Verifier::new(&config(vec![])).is_err());
}

#[test]
fn a_secret_does_not_show_itself() {
    let debug = format!("{:?}", AuthConfig::development(Secret::new(SECRET)));
    assert!(!debug.contains("9f2c7d") && debug.contains("Secret(37 bytes)"), "{debug}");
    let verifier = hs256_verifier();
    assert!(!format!("{verifier:?}").contains("9f2c7d"));
}

proptest! {
    /// Whatever one changes in a good token, it is refused, and nothing panics.
    #[test]
    fn a_changed_token_is_refused(at in 0..1_000_usize, byte in 0x20..0x7f_u8) {
        static VERIFIER: LazyLock<Verifier> = LazyLock::new(hs256_verifier);
        let good = hs256(&header(), &claims());
        let at = at % good.len();
        let mut bytes = good.clone().into_bytes();
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).expect("still ASCII");
        // A space at either end is not part of the token.
        prop_assert_eq!(VERIFIER.verify(&changed, NOW_MS).is_ok(), changed == good);
    }

    /// No input panics.
    #[test]
    fn any_text_is_refused(text in "\\PC{0,200}", header in "\\PC{0,60}", claims in "\\PC{0,60}") {
        let verifier = hs256_verifier();
        prop_assert!(verifier.verify(&text, NOW_MS).is_err());
        let parts = [header, claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
        let token = format!("{}.{}.AA", parts[0], parts[1]);
        prop_assert!(verifier.verify(&token, NOW_MS).is_err());
    }
}
