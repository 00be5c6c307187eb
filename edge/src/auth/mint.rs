//! Makes HS256 tokens: for the `token` command, for load and for tests. An edge never signs anything.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};
use switchyard_protocol::id::{TenantId, UserId};

use super::config::{ClaimNames, DEV_ISSUER, DEV_TENANT_CLAIM, SharedSecret};

/// How long a token lasts unless told otherwise: what the contract gives access tokens.
const TTL_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// What a token shall say. The default names are those of development.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Who.
    pub user: UserId,
    /// Of which tenant; left out when `None`.
    pub tenant: Option<TenantId>,
    /// Roles in the tenant.
    pub roles: Vec<String>,
    /// Name for display.
    pub name: Option<String>,
    /// How long it lasts.
    pub ttl: Duration,
    /// `iss`; left out when `None`.
    pub issuer: Option<String>,
    /// `aud`; left out when `None`.
    pub audience: Option<String>,
    /// The login session; left out when `None`.
    pub session: Option<String>,
    /// The header's `kid`; left out when `None`.
    pub kid: Option<String>,
    /// How the claims are called.
    pub names: ClaimNames,
    /// How the tenant's claim is called.
    pub tenant_claim: String,
}

impl Claims {
    /// A token of development for a user.
    pub fn for_user(user: UserId) -> Self {
        Self {
            user,
            tenant: None,
            roles: Vec::new(),
            name: None,
            ttl: TTL_DEFAULT,
            issuer: Some(DEV_ISSUER.to_owned()),
            audience: None,
            session: None,
            kid: None,
            names: ClaimNames::default(),
            tenant_claim: DEV_TENANT_CLAIM.to_owned(),
        }
    }
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed: {0}")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

/// Makes a token that starts now. It carries `iat` and `exp` in whole seconds.
pub fn mint(secret: &[u8], claims: &Claims, now_ms: u64) -> Result<String, MintError> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    let issued_s = now_ms / 1_000;
    put("iat", issued_s.into());
    put("exp", issued_s.saturating_add(claims.ttl.as_secs()).into());
    put(&claims.names.user, claims.user.as_str().into());
    if let Some(tenant) = &claims.tenant {
        put(&claims.tenant_claim, tenant.as_str().into());
    }
    if !claims.roles.is_empty() {
        put(&claims.names.roles, claims.roles.clone().into());
    }
    let texts = [
        (claims.names.name.as_str(), &claims.name),
        (claims.names.session.as_str(), &claims.session),
        ("iss", &claims.issuer),
        ("aud", &claims.audience),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            put(name, text.as_str().into());
        }
    }
    let mut header = Header::new(Algorithm::HS256);
    header.kid.clone_from(&claims.kid);
    Ok(jsonwebtoken::encode(&header, &body, &EncodingKey::from_secret(secret))?)
}

impl SharedSecret {
    /// The same under this secret: a token of it says the secret's name, if it has one.
    pub fn mint(&self, claims: Claims, now_ms: u64) -> Result<String, MintError> {
        mint(self.secret.expose(), &Claims { kid: self.kid.clone(), ..claims }, now_ms)
    }
}
