//! What the operator says about tokens: issuers, their keys, whose tenant they speak for, and the names of claims.
//! Checked as a whole by [`Verifier::new`](super::Verifier::new), which reports every error at once.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use switchyard_protocol::id::TenantId;

use super::jwks::JwksError;

/// How far issuers' clocks may be off. The same five seconds that a live session has left after its token's expiry, so
/// that a token admits for exactly as long as it keeps a session alive. A longer one lengthens that, too.
pub const LEEWAY_DEFAULT: Duration = Duration::from_secs(5);

/// The `iss` of tokens made for development.
pub const DEV_ISSUER: &str = "switchyard-dev";

/// The claim that names the tenant in development.
pub const DEV_TENANT_CLAIM: &str = "tenant";

/// The tenant in development when the token names none.
pub const DEV_TENANT: &str = "default";

/// Bytes of an HS256 secret at least: RFC 7518 asks for as many as the hash has.
pub(super) const SECRET_BYTES_MIN: usize = 32;

/// Secrets of one issuer, old and new while they are changed. A token without `kid` is tried with each.
pub(super) const SECRETS_MAX: usize = 4;

/// Issuers of one server. They are looked through one by one.
pub(super) const ISSUERS_MAX: usize = 64;

/// Parts of secrets that stand in manuals, and that nobody may run with.
const EXAMPLE_SECRETS: [&str; 8] = [
    "change-me",
    "change_me",
    "changeme",
    "example",
    "your-secret",
    "your_secret",
    "a-string-secret-at-least-256-bits-long",
    "0123456789abcdef0123456789abcdef",
];

/// A secret that does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes as they are; their length is checked with the rest of the configuration.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for signing and checking only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is one out of a manual, or one byte over and over.
    pub(super) fn is_example(&self) -> bool {
        let text = String::from_utf8_lossy(&self.0).to_ascii_lowercase();
        let monotonous = self.0.windows(2).all(|pair| pair.first() == pair.last());
        monotonous || EXAMPLE_SECRETS.iter().any(|example| text.contains(example))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// A secret of an issuer, with the name that tokens may give it.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    /// What tokens say in `kid`. A secret without one is tried whatever they say there.
    pub kid: Option<String>,
    /// At least 32 bytes.
    pub secret: Secret,
}

/// An issuer's keys, and with them the algorithms that are pinned to it.
#[derive(Debug, Clone)]
pub enum IssuerKeys {
    /// HS256 alone.
    Hs256(Vec<SharedSecret>),
    /// A JWKS file of public keys, each pinned to RS256 or EdDSA. It is read at start and at reload, never fetched.
    Jwks(PathBuf),
}

/// Where a token's tenant comes from.
#[derive(Debug, Clone)]
pub enum TenantSource {
    /// Every token of the issuer is of this tenant.
    Fixed(TenantId),
    /// The issuer is trusted to name any tenant.
    Claim {
        /// The claim's name.
        name: String,
        /// The tenant of tokens without it; without a default they are refused.
        default: Option<TenantId>,
    },
}

/// One issuer of tokens.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// Compared byte by byte with `iss`. `None` is for tokens without `iss`, and for those alone.
    pub issuer: Option<String>,
    /// Whose users they are.
    pub tenant: TenantSource,
    /// When set, `aud` must be or contain it.
    pub audience: Option<String>,
    /// What its signatures are checked with.
    pub keys: IssuerKeys,
}

/// Names of the claims that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user's id; a number becomes its decimal text. Default `sub`.
    pub user: String,
    /// The user's name for display. Default `name`.
    pub name: String,
    /// Roles: a list of texts, or one text with spaces between them. Default `roles`.
    pub roles: String,
    /// The login session, by which it can be revoked. Default `sid`; a token without it is known by its `jti`.
    pub session: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { user: "sub".into(), name: "name".into(), roles: "roles".into(), session: "sid".into() }
    }
}

/// All about tokens.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Who may issue.
    pub issuers: Vec<IssuerConfig>,
    /// Allowed difference of clocks, for `exp` and `nbf`. Default [`LEEWAY_DEFAULT`].
    pub leeway: Duration,
    /// How claims are named.
    pub claims: ClaimNames,
}

impl AuthConfig {
    /// Development: tokens under one random secret, of [`DEV_ISSUER`] or without an issuer, for any tenant they name.
    pub fn development(secret: Secret) -> Self {
        let issuer = |issuer: Option<&str>| IssuerConfig {
            issuer: issuer.map(str::to_owned),
            tenant: TenantSource::Claim {
                name: DEV_TENANT_CLAIM.to_owned(),
                default: Some(TenantId::new(DEV_TENANT).expect("the constant is a valid id")),
            },
            audience: None,
            keys: IssuerKeys::Hs256(vec![SharedSecret { kid: None, secret: secret.clone() }]),
        };
        Self {
            issuers: vec![issuer(Some(DEV_ISSUER)), issuer(None)],
            leeway: LEEWAY_DEFAULT,
            claims: ClaimNames::default(),
        }
    }
}

/// What is wrong with the configuration; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AuthConfigError {
    /// Nobody could ever log in.
    #[error("no issuer is configured; name at least one")]
    NoIssuer,
    /// More than can be looked through for each token.
    #[error("{count} issuers are configured; the most is {ISSUERS_MAX}")]
    TooManyIssuers {
        /// How many.
        count: usize,
    },
    /// One would never be used.
    #[error("issuer {issuer} is configured twice")]
    DuplicateIssuer {
        /// Which.
        issuer: String,
    },
    /// Nothing to check signatures with, or too much.
    #[error("issuer {issuer} has {count} secrets; 1 to {SECRETS_MAX} are needed")]
    SecretCount {
        /// Whose.
        issuer: String,
        /// How many.
        count: usize,
    },
    /// Could be guessed.
    #[error(
        "issuer {issuer}: secret {index} has {bytes} bytes, at least {SECRET_BYTES_MIN} are needed; \
         make one with: openssl rand -hex 32"
    )]
    ShortSecret {
        /// Whose.
        issuer: String,
        /// Which, from 1.
        index: usize,
        /// Its length.
        bytes: usize,
    },
    /// Known to everybody.
    #[error("issuer {issuer}: secret {index} is an example from a manual; make one with: openssl rand -hex 32")]
    ExampleSecret {
        /// Whose.
        issuer: String,
        /// Which, from 1.
        index: usize,
    },
    /// Two keys of one name: which one is meant cannot be known.
    #[error("issuer {issuer}: two secrets are named {kid}")]
    DuplicateKid {
        /// Whose.
        issuer: String,
        /// Which name.
        kid: String,
    },
    /// The key file is unusable.
    #[error("issuer {issuer}: {error}")]
    Jwks {
        /// Whose.
        issuer: String,
        /// Why.
        error: JwksError,
    },
    /// A claim's name is empty, or there are too many different ones.
    #[error("claim names: {problem}")]
    ClaimNames {
        /// What is wrong.
        problem: &'static str,
    },
}
