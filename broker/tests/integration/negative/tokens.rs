//! Rows 4 to 8: tokens that are forged, borrowed, misdirected or over. None gets in by any door, and nobody is asked.

use std::io::ErrorKind;
use std::net::TcpListener;

use aws_lc_rs::signature::KeyPair as _;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use crate::demo;
use crate::keys::Key;
use crate::plain::{JSON, Plain};
use crate::site::{ISSUER, Setup, Site, TENANT, fresh, now, sign};

/// Neither the upgrade nor hello takes it, and nobody is to come again with it.
fn refused(site: &Site, token: &str, why: &str) {
    refused_with(site, token, 4501, why);
}

fn refused_with(site: &Site, token: &str, code: u16, why: &str) {
    let header = format!("Bearer {token}");
    if !token.contains(['\r', '\n']) {
        let (status, body) = Plain::upgrade(site.address(), &[JSON], &[("Authorization", &header)]).err().expect(why);
        assert_eq!((status, &body["error"]["code"]), (401, &json!("AUTH_INVALID")), "{why}");
    }
    let mut plain = Plain::connect(site);
    assert_eq!(plain.refused("hello", &json!({"token": token})), "AUTH_INVALID", "{why}");
    assert_eq!(plain.goodbye(), code, "{why}");
}

fn admitted(site: &Site, token: &str) -> (Value, Value) {
    let welcome = Plain::connect(site).done("hello", &json!({"token": token}));
    (welcome["tenant"].clone(), welcome["user"].clone())
}

/// A token whose header is no library's.
fn by_hand(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    format!("{}.{}.{}", part(header.to_string().as_bytes()), part(claims.to_string().as_bytes()), part(signature))
}

/// Two issuers with a key each under the same name, and an RSA key beside one of them.
struct Issuers {
    site: Site,
    a: Key,
    b: Key,
    modulus: Vec<u8>,
}

impl Issuers {
    fn start() -> Self {
        let (a, b) = (Key::new(), Key::new());
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
        let rsa = json!({"kty": "RSA", "kid": "r1", "n": BASE64URL_NOPAD.encode(&modulus), "e": "AQAB"});
        let site = Site::start(&Setup {
            config: Some(
                "[auth]\nsecret = \"\"\n\
                 [[auth.issuers]]\nissuer = \"https://a.example\"\ntenant = \"A\"\naudience = \"chat\"\n\
                 jwks_file = \"DIR/a.json\"\n\
                 [[auth.issuers]]\nissuer = \"https://b.example\"\ntenant = \"B\"\naudience = \"*\"\n\
                 jwks_file = \"DIR/b.json\"\n",
            ),
            files: &[
                ("a.json", &json!({"keys": [a.jwk("k1"), rsa]}).to_string()),
                ("b.json", &json!({"keys": [b.jwk("k1")]}).to_string()),
            ],
            ..Setup::default()
        });
        Self { site, a, b, modulus }
    }
}

fn claims(issuer: &str) -> Value {
    json!({"sub": "alice", "iss": issuer, "aud": "chat", "exp": now() + 600})
}

#[test]
fn n04_forged_algorithms_and_keys_of_the_tokens_own_get_nobody_in_and_fetch_nothing() {
    let Issuers { mut site, a, modulus, .. } = Issuers::start();
    assert_eq!(admitted(&site, &a.sign("k1", &claims("https://a.example"))), (json!("A"), json!("alice")));
    let claims = claims("https://a.example");
    for alg in ["none", "None", "NONE", ""] {
        refused(&site, &by_hand(&json!({"alg": alg, "typ": "JWT"}), &claims, b""), "no signature");
        refused(&site, &by_hand(&json!({"alg": alg, "typ": "JWT", "kid": "k1"}), &claims, b"x"), "no algorithm");
    }
    // What everybody knows of a public key, taken for a shared secret.
    let hs256 = |kid: &str| Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&modulus));
    for secret in [&modulus, pem.as_bytes(), &a.public, BASE64URL_NOPAD.encode(&a.public).as_bytes()] {
        refused(&site, &sign(&hs256("r1"), &claims, secret), "the RSA key as a secret");
        refused(&site, &sign(&hs256("k1"), &claims, secret), "the Ed25519 key as a secret");
    }
    refused(&site, &a.sign("k2", &claims), "unknown kid");
    refused(&site, &a.sign("r1", &claims), "another key's name");
    refused(&site, &a.sign("../../etc/passwd", &claims), "a path for a name");

    // A key that the token brings, or says where to get, is not looked at: nobody calls this listener.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/jwks.json", listener.local_addr().expect("bound"));
    let own = Key::new();
    for (field, value) in [("jku", json!(url)), ("x5u", json!(url)), ("jwk", own.jwk("k1")), ("x5c", json!(["MA=="]))] {
        let mut header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "k1"});
        header[field] = value;
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(header.to_string().as_bytes()),
            BASE64URL_NOPAD.encode(claims.to_string().as_bytes())
        );
        for key in [&own, &a] {
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key.signing, Algorithm::EdDSA);
            refused(&site, &format!("{signed}.{}", signature.expect("it can be signed")), field);
        }
    }
    listener.set_nonblocking(true).expect("a socket");
    assert_eq!(listener.accept().expect_err("nobody came").kind(), ErrorKind::WouldBlock);
    still_admits(&mut site, &a, "https://a.example");
}

/// Where secrets have names, one of them is to be said; the product's own tokens say theirs.
#[test]
fn n04_a_token_under_a_named_secret_is_refused_if_it_says_another_name() {
    let (new, old) = ([1, 2].repeat(16), [3, 4].repeat(16));
    let key = |kid: &str, k: &[u8]| json!({"kty": "oct", "kid": kid, "k": BASE64URL_NOPAD.encode(k)});
    let site = Site::start(&Setup {
        config: Some("[auth]\nsecret_file = \"DIR/secrets.json\"\n[dev]\ndemo_users = true\n"),
        files: &[("secrets.json", &json!({"keys": [key("new", &new), key("old", &old)]}).to_string())],
        ..Setup::default()
    });
    let claims = json!({"sub": "alice", "tenant": TENANT, "iss": "switchyard", "exp": now() + 600});
    let by = |kid: Option<&str>, secret: &[u8]| {
        sign(&Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) }, &claims, secret)
    };
    let alice = || (json!(TENANT), json!("alice"));
    for (kid, secret) in [(Some("new"), &new), (Some("old"), &old), (None, &new), (None, &old)] {
        assert_eq!(admitted(&site, &by(kid, secret)), alice(), "{kid:?}");
    }
    for kid in ["old", "unknown", "", "../../etc/passwd"] {
        refused(&site, &by(Some(kid), &new), kid);
    }
    let of_page = demo::token(site.address(), "alice").1["token"].as_str().expect("a token").to_owned();
    let header = jsonwebtoken::decode_header(&of_page).expect("a token");
    assert_eq!(header.kid.as_deref(), Some("new"));
    assert_eq!(admitted(&site, &of_page), alice());
}

/// Issuers name their keys as they like; where a secret has no name here, none is asked for.
#[test]
fn n04_a_token_under_the_shared_secret_may_call_it_what_it_likes() {
    let mut site = Site::dev();
    let claims = json!({"sub": "alice", "tenant": TENANT, "iss": ISSUER, "exp": now() + 600});
    for kid in ["2024-05", "", "../../etc/passwd"] {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        assert_eq!(admitted(&site, &sign(&header, &claims, site.secret())), (json!(TENANT), json!("alice")), "{kid}");
        refused(&site, &sign(&header, &claims, &[7; 32]), "another secret");
    }
    site.still_serves();
}

/// The process is the same, and an honest user of that issuer can work.
fn still_admits(site: &mut Site, key: &Key, issuer: &str) {
    let user = fresh("honest");
    let token = key.sign("k1", &json!({"sub": user, "iss": issuer, "aud": "chat", "exp": now() + 600}));
    let mut plain = Plain::open_with(site, &token);
    let conversation = plain.direct("other");
    plain.send(&conversation, "a", "still there?");
    assert!(std::path::Path::new(&format!("/proc/{}", site.pid())).exists());
}

#[test]
fn n05_a_token_of_one_issuer_does_not_speak_for_another() {
    let Issuers { mut site, a, b, .. } = Issuers::start();
    assert_eq!(admitted(&site, &b.sign("k1", &claims("https://b.example"))), (json!("B"), json!("alice")));
    refused(&site, &a.sign("k1", &claims("https://b.example")), "A's key, B's name");
    refused(&site, &b.sign("k1", &claims("https://a.example")), "B's key, A's name");
    // What a token says of its tenant does not count where an issuer has one.
    let mut claims = claims("https://a.example");
    claims["tenant"] = json!("B");
    claims["tid"] = json!("B");
    assert_eq!(admitted(&site, &a.sign("k1", &claims)), (json!("A"), json!("alice")));
    still_admits(&mut site, &a, "https://a.example");
}

#[test]
fn n06_issuers_and_audiences_that_look_like_addresses_are_only_compared() {
    let Issuers { mut site, a, .. } = Issuers::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/.well-known/openid-configuration", listener.local_addr().expect("bound"));
    for issuer in [
        url.as_str(),
        "https://a.example/",
        "https://a.example/../b.example",
        "https://A.example",
        "https://a.example\r\nHost: evil",
        "../../a",
        "https://a.example@evil.example",
        "",
    ] {
        refused(&site, &a.sign("k1", &claims(issuer)), issuer);
    }
    let mut of_audience = claims("https://a.example");
    for audience in
        [json!(url), json!("../chat"), json!("chat\r\n"), json!(["x", "chat/"]), json!({"chat": 1}), json!(7)]
    {
        of_audience["aud"] = audience.clone();
        refused(&site, &a.sign("k1", &of_audience), &audience.to_string());
    }
    let mut odd = claims("https://a.example");
    odd["iss"] = json!(["https://a.example"]);
    refused(&site, &a.sign("k1", &odd), "a list of issuers");
    listener.set_nonblocking(true).expect("a socket");
    assert_eq!(listener.accept().expect_err("nobody came").kind(), ErrorKind::WouldBlock);
    still_admits(&mut site, &a, "https://a.example");
}

#[test]
fn n07_tokens_for_others_without_an_end_too_early_too_late_or_of_another_kind() {
    let Issuers { mut site, a, .. } = Issuers::start();
    let with = |name: &str, value: Value| {
        let mut claims = claims("https://a.example");
        claims[name] = value;
        a.sign("k1", &claims)
    };
    let without = |name: &str| {
        let mut claims = claims("https://a.example");
        claims.as_object_mut().expect("an object").remove(name);
        a.sign("k1", &claims)
    };
    refused(&site, &with("aud", json!("mail")), "aud");
    refused(&site, &without("aud"), "no aud");
    refused(&site, &without("exp"), "no exp");
    refused(&site, &without("sub"), "no sub");
    refused(&site, &without("iss"), "no iss");
    for exp in [json!("tomorrow"), json!(null), json!([now() + 600])] {
        refused(&site, &with("exp", exp.clone()), &format!("exp {exp}"));
    }
    for over in [json!(0), json!(-1), json!(now() - 60)] {
        // It was good: its owner may come again, with a new one.
        refused_with(&site, &with("exp", over.clone()), 4006, &format!("exp {over}"));
    }
    refused(&site, &with("nbf", json!(now() + 600)), "nbf");
    for (name, value) in [("typ", "refresh"), ("token_type", "refresh"), ("token_use", "id"), ("typ", "Refresh")] {
        refused(&site, &with(name, json!(value)), value);
    }
    for user in [json!(""), json!("x".repeat(129)), json!("a\u{0}b"), json!({"a": 1}), json!(true), json!(null)] {
        refused(&site, &with("sub", user.clone()), &format!("sub {user}"));
    }
    assert_eq!(admitted(&site, &with("nbf", json!(now() - 1))).1, "alice");
    assert_eq!(admitted(&site, &with("exp", json!(now() - 2))).1, "alice", "clocks may differ a little");
    still_admits(&mut site, &a, "https://a.example");
}

#[test]
fn n08_a_token_that_ends_is_warned_of_and_ends_its_session_unless_renewed() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    let ending = |user: &str| site.sign(&json!({"sub": user, "tenant": TENANT, "iss": ISSUER, "exp": now() + 1}));
    let mut stays = Plain::open_with(&site, &ending("alice"));
    let mut goes = Plain::open_with(&site, &ending("bob"));
    stays.event("token_expiring");
    goes.event("token_expiring");
    stays.done("renew", &json!({"token": site.token("alice")}));
    assert_eq!(goes.goodbye(), 4006, "come again with a new one");
    assert_eq!(stays.done("create", &json!({"kind": "direct", "members": ["bob"]}))["created"], true);
    site.unharmed(memory);
}
