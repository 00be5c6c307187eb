//! Checks tokens against the configured issuers. Everything is prepared when the configuration is loaded: a check reads
//! JSON, computes one signature and compares; it does no input or output and reads no clock.
//!
//! Order: form, issuer, key and algorithm, signature, type, time, audience, identity. Nothing of a token has any effect
//! before its signature was found good.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use switchyard_protocol::id::{TenantId, UserId};
use switchyard_protocol::limits::{ID_BYTES_MAX, NAME_BYTES_MAX, TOKEN_BYTES_MAX};

use super::claims::{ClaimValues, Plan, Slot, Value, is_access_type};
use super::config::{
    AuthConfig, AuthConfigError, ISSUERS_MAX, IssuerConfig, IssuerKeys, SECRET_BYTES_MIN, SECRETS_MAX, SharedSecret,
    TenantSource,
};
use super::header::Header;
use super::jwks::{self, PinnedKey};
use super::refusal::TokenRefusal;

/// Roles of one user. More are refused, not cut: half of a list of rights is worse than an error.
const ROLES_MAX: usize = 64;

/// Bytes of a role's name.
const ROLE_BYTES_MAX: usize = 128;

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose data it may touch.
    pub tenant: TenantId,
    /// Which user.
    pub user: UserId,
    /// The user's name for display, cut to what a name may have.
    pub name: Option<Box<str>>,
    /// The user's roles in the whole tenant.
    pub roles: Box<[Box<str>]>,
    /// When the token ends, in milliseconds since 1970, without leeway.
    pub expires_at_ms: u64,
    /// When it was issued, as far as it says: else from when on it is good, or now. Never in the future.
    pub issued_at_ms: u64,
    /// The login session or, failing that, the token's own id; what a revocation names.
    pub session: Option<Box<str>>,
}

impl Identity {
    /// Whether the token gives this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| &**held == role)
    }
}

/// Where each claim is found.
#[derive(Debug)]
struct Slots {
    iss: Slot,
    aud: Slot,
    exp: Slot,
    nbf: Slot,
    iat: Slot,
    jti: Slot,
    types: [Slot; 3],
    user: Slot,
    name: Slot,
    roles: Slot,
    session: Slot,
}

#[derive(Debug)]
enum Tenant {
    Fixed(TenantId),
    Claim { slot: Slot, default: Option<TenantId> },
}

#[derive(Debug)]
struct Issuer {
    iss: Option<Box<str>>,
    tenant: Tenant,
    audience: Option<Box<str>>,
    keys: Vec<PinnedKey>,
}

/// Checks tokens. Made once for a configuration and shared by all threads.
#[derive(Debug)]
pub struct Verifier {
    issuers: Vec<Issuer>,
    leeway_ms: u64,
    plan: Plan,
    slots: Slots,
}

impl Verifier {
    /// Prepares everything, reading the key files; reports all errors at once.
    pub fn new(config: &AuthConfig) -> Result<Self, Vec<AuthConfigError>> {
        let mut errors = Vec::new();
        match config.issuers.len() {
            0 => errors.push(AuthConfigError::NoIssuer),
            1..=ISSUERS_MAX => {}
            count => return Err(vec![AuthConfigError::TooManyIssuers { count }]),
        }
        let mut plan = Plan::default();
        let slots = plan_slots(&mut plan, config, &mut errors);
        let mut issuers: Vec<Issuer> = Vec::with_capacity(config.issuers.len());
        for issuer in &config.issuers {
            let name = display_name(issuer);
            if issuers.iter().any(|other| other.iss.as_deref() == issuer.issuer.as_deref()) {
                errors.push(AuthConfigError::DuplicateIssuer { issuer: name.clone() });
            }
            let keys = load_keys(issuer, &name, &mut errors);
            let Some(tenant) = plan_tenant(&mut plan, &issuer.tenant) else {
                errors.push(AuthConfigError::ClaimNames { problem: "too many different ones, or an empty one" });
                continue;
            };
            issuers.push(Issuer {
                iss: issuer.issuer.as_deref().map(Box::from),
                tenant,
                audience: issuer.audience.as_deref().map(Box::from),
                keys,
            });
        }
        match slots {
            Some(slots) if errors.is_empty() => Ok(Self { issuers, leeway_ms: millis(config.leeway), plan, slots }),
            _ => Err(errors),
        }
    }

    /// How far the clocks of issuers may be off.
    pub fn leeway(&self) -> Duration {
        Duration::from_millis(self.leeway_ms)
    }

    /// Checks a token as a client sent it, with or without a leading `Bearer `.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, TokenRefusal> {
        let token = without_bearer(token);
        if token.is_empty() {
            return Err(TokenRefusal::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefusal::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenRefusal::Malformed)?;

        let mut json = Vec::with_capacity(message.len());
        let header_len = decode_onto(&mut json, header)?;
        decode_onto(&mut json, claims)?;
        let (header, claims) = json.split_at_checked(header_len).ok_or(TokenRefusal::Malformed)?;
        let header = Header::parse(header)?;
        let claims = self.plan.read(claims)?;

        let iss = claims.text(self.slots.iss).map_err(|_| TokenRefusal::Issuer)?;
        let issuer = self.issuers.iter().find(|issuer| issuer.iss.as_deref() == iss).ok_or(TokenRefusal::Issuer)?;
        issuer.check_signature(&header, message, signature)?;
        self.check_type(&claims)?;
        let expires_at_ms = self.check_times(&claims, now_ms)?;
        if issuer.audience.as_deref().is_some_and(|audience| !claims.contains(self.slots.aud, audience)) {
            return Err(TokenRefusal::Audience);
        }
        let said = |slot| claims.time_ms(slot).ok().flatten();
        let issued_at_ms = said(self.slots.iat).or_else(|| said(self.slots.nbf)).unwrap_or(now_ms).min(now_ms);
        self.identity(issuer, &claims, (issued_at_ms, expires_at_ms))
    }

    fn check_type(&self, claims: &ClaimValues<'_>) -> Result<(), TokenRefusal> {
        for slot in self.slots.types {
            match claims.get(slot) {
                None => {}
                Some(Value::Text(typ)) if is_access_type(typ) => {}
                Some(_) => return Err(TokenRefusal::Type),
            }
        }
        Ok(())
    }

    fn check_times(&self, claims: &ClaimValues<'_>, now_ms: u64) -> Result<u64, TokenRefusal> {
        let exp = claims.time_ms(self.slots.exp)?.ok_or(TokenRefusal::Claims)?;
        if now_ms >= exp.saturating_add(self.leeway_ms) {
            return Err(TokenRefusal::Expired);
        }
        let nbf = claims.time_ms(self.slots.nbf)?.unwrap_or(0);
        if nbf > now_ms.saturating_add(self.leeway_ms) {
            return Err(TokenRefusal::NotYetValid);
        }
        Ok(exp)
    }

    fn identity(
        &self,
        issuer: &Issuer,
        claims: &ClaimValues<'_>,
        (issued_at_ms, expires_at_ms): (u64, u64),
    ) -> Result<Identity, TokenRefusal> {
        let user = claims.id(self.slots.user)?.ok_or(TokenRefusal::Claims)?;
        let tenant = match &issuer.tenant {
            Tenant::Fixed(tenant) => tenant.clone(),
            Tenant::Claim { slot, default } => match claims.id(*slot)? {
                Some(text) => TenantId::new(&text).map_err(|_| TokenRefusal::Claims)?,
                None => default.clone().ok_or(TokenRefusal::Claims)?,
            },
        };
        let session = match claims.id(self.slots.session)? {
            Some(session) => Some(session),
            None => claims.id(self.slots.jti)?,
        };
        if session.as_ref().is_some_and(|session| session.len() > ID_BYTES_MAX) {
            return Err(TokenRefusal::Claims);
        }
        Ok(Identity {
            tenant,
            user: UserId::new(&user).map_err(|_| TokenRefusal::Claims)?,
            // A name is for display: one of an odd type is left out, it does not lock the user out.
            name: claims.text(self.slots.name).ok().flatten().map(|name| cut(name, NAME_BYTES_MAX).into()),
            roles: roles(claims.get(self.slots.roles))?,
            expires_at_ms,
            issued_at_ms,
            session: session.map(Cow::into_owned).map(String::into_boxed_str),
        })
    }
}

impl Issuer {
    /// Public keys without a name are not among them: those have to be named by whoever names one.
    fn unnamed_secrets(&self) -> impl Iterator<Item = &PinnedKey> {
        self.keys.iter().filter(|key| key.kid.is_none() && key.algorithm == Algorithm::HS256)
    }

    /// Only keys of this very issuer come into question, and each only for its own algorithm.
    fn check_signature(&self, header: &Header<'_>, message: &str, signature: &str) -> Result<(), TokenRefusal> {
        if self.keys.iter().all(|key| key.algorithm != header.algorithm) {
            return Err(TokenRefusal::Algorithm);
        }
        let fits = |key: &PinnedKey| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, key.algorithm).unwrap_or(false)
        };
        let good = match header.kid.as_deref() {
            Some(kid) => {
                match self.keys.iter().find(|key| key.kid.as_deref() == Some(kid)) {
                    Some(key) if key.algorithm != header.algorithm => return Err(TokenRefusal::Algorithm),
                    Some(key) => fits(key),
                    // What the issuer calls a secret that has no name here is its own affair.
                    None if self.unnamed_secrets().next().is_some() => self.unnamed_secrets().any(fits),
                    None => return Err(TokenRefusal::Key),
                }
            }
            // Secrets are few and cheap to try; public keys are neither, so that a choice among them needs a name.
            None if header.algorithm == Algorithm::HS256 => self.keys.iter().any(fits),
            None => {
                let mut candidates = self.keys.iter().filter(|key| key.algorithm == header.algorithm);
                match (candidates.next(), candidates.next()) {
                    (Some(key), None) => fits(key),
                    _ => return Err(TokenRefusal::Key),
                }
            }
        };
        if good { Ok(()) } else { Err(TokenRefusal::Signature) }
    }
}

/// The verifier in force: all connections look here, and a reload puts a new one in place.
#[derive(Debug)]
pub struct SharedVerifier(RwLock<Arc<Verifier>>);

impl SharedVerifier {
    /// Starts with this one.
    pub fn new(verifier: Verifier) -> Self {
        Self(RwLock::new(Arc::new(verifier)))
    }

    /// The one in force now.
    pub fn current(&self) -> Arc<Verifier> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in force; tokens that were admitted stay so until they expire.
    pub fn replace(&self, verifier: Verifier) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(verifier);
    }
}

fn plan_slots(plan: &mut Plan, config: &AuthConfig, errors: &mut Vec<AuthConfigError>) -> Option<Slots> {
    let names = &config.claims;
    if [&names.user, &names.name, &names.roles, &names.session].iter().any(|name| name.is_empty()) {
        errors.push(AuthConfigError::ClaimNames { problem: "one of them is empty" });
        return None;
    }
    Some(Slots {
        iss: plan.slot("iss")?,
        aud: plan.slot("aud")?,
        exp: plan.slot("exp")?,
        nbf: plan.slot("nbf")?,
        iat: plan.slot("iat")?,
        jti: plan.slot("jti")?,
        types: [plan.slot("typ")?, plan.slot("token_type")?, plan.slot("token_use")?],
        user: plan.slot(&names.user)?,
        name: plan.slot(&names.name)?,
        roles: plan.slot(&names.roles)?,
        session: plan.slot(&names.session)?,
    })
}

fn plan_tenant(plan: &mut Plan, source: &TenantSource) -> Option<Tenant> {
    match source {
        TenantSource::Fixed(tenant) => Some(Tenant::Fixed(tenant.clone())),
        TenantSource::Claim { name, .. } if name.is_empty() => None,
        TenantSource::Claim { name, default } => {
            Some(Tenant::Claim { slot: plan.slot(name)?, default: default.clone() })
        }
    }
}

fn load_keys(issuer: &IssuerConfig, name: &str, errors: &mut Vec<AuthConfigError>) -> Vec<PinnedKey> {
    match &issuer.keys {
        IssuerKeys::Hs256(secrets) => {
            check_secrets(secrets, name, errors);
            let pin = |secret: &SharedSecret| PinnedKey {
                kid: secret.kid.as_deref().map(Box::from),
                algorithm: Algorithm::HS256,
                key: DecodingKey::from_secret(secret.secret.expose()),
            };
            secrets.iter().map(pin).collect()
        }
        IssuerKeys::Jwks(file) => jwks::load(file).unwrap_or_else(|error| {
            errors.push(AuthConfigError::Jwks { issuer: name.to_owned(), error });
            Vec::new()
        }),
    }
}

fn check_secrets(secrets: &[SharedSecret], issuer: &str, errors: &mut Vec<AuthConfigError>) {
    let issuer = || issuer.to_owned();
    if secrets.is_empty() || secrets.len() > SECRETS_MAX {
        errors.push(AuthConfigError::SecretCount { issuer: issuer(), count: secrets.len() });
    }
    for (at, SharedSecret { kid, secret }) in secrets.iter().enumerate() {
        let (index, bytes) = (at + 1, secret.expose().len());
        if bytes < SECRET_BYTES_MIN {
            errors.push(AuthConfigError::ShortSecret { issuer: issuer(), index, bytes });
        } else if secret.is_example() {
            errors.push(AuthConfigError::ExampleSecret { issuer: issuer(), index });
        }
        if let Some(kid) = kid
            && secrets.iter().take(at).any(|other| other.kid.as_ref() == Some(kid))
        {
            errors.push(AuthConfigError::DuplicateKid { issuer: issuer(), kid: kid.clone() });
        }
    }
}

fn display_name(issuer: &IssuerConfig) -> String {
    issuer.issuer.as_ref().map_or_else(|| "(none)".to_owned(), |name| format!("{name:?}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Drops spaces around the token and the scheme's name before it, in any case, as HTTP has it.
fn without_bearer(token: &str) -> &str {
    const SCHEME: &str = "Bearer ";
    let token = token.trim_ascii();
    match token.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest.trim_ascii_start(),
        _ if token.eq_ignore_ascii_case(SCHEME.trim_ascii_end()) => "",
        _ => token,
    }
}

/// Appends what a part of a token decodes to, and says how many bytes that were.
fn decode_onto(buffer: &mut Vec<u8>, part: &str) -> Result<usize, TokenRefusal> {
    let start = buffer.len();
    let most = BASE64URL_NOPAD.decode_len(part.len()).map_err(|_| TokenRefusal::Malformed)?;
    buffer.resize(start + most, 0);
    let target = buffer.get_mut(start..).ok_or(TokenRefusal::Malformed)?;
    let len = BASE64URL_NOPAD.decode_mut(part.as_bytes(), target).map_err(|_| TokenRefusal::Malformed)?;
    buffer.truncate(start + len);
    Ok(len)
}

/// The longest beginning of whole characters within so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = text.floor_char_boundary(bytes_max);
    text.get(..end).unwrap_or_default()
}

fn roles(value: Option<&Value<'_>>) -> Result<Box<[Box<str>]>, TokenRefusal> {
    let roles: Box<[Box<str>]> = match value {
        None => return Ok(Box::default()),
        Some(Value::Text(text)) => text.split_ascii_whitespace().map(Box::from).collect(),
        Some(Value::List(texts)) => texts.iter().map(|text| Box::from(&**text)).collect(),
        Some(_) => return Err(TokenRefusal::Claims),
    };
    if roles.len() > ROLES_MAX || roles.iter().any(|role| role.len() > ROLE_BYTES_MAX) {
        return Err(TokenRefusal::Claims);
    }
    Ok(roles)
}
