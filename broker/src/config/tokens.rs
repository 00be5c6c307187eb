//! `[auth]`, as the edge takes it: reads the secrets, and reports all that is wrong with issuers and keys by key.

use std::collections::BTreeSet;
use std::path::Path;

use switchyard_edge::auth::{
    AuthConfig, AuthConfigError, ClaimNames, IssuerConfig, IssuerKeys, SharedSecret, TenantSource, Verifier,
};
use switchyard_protocol::id::TenantId;

use super::problem::Problems;
use super::secret::{self, NEXT_STEP};
use super::secret_file;
use super::sections::{Auth, Issuer};

/// Written for an audience, it says that any will do.
const ANY_AUDIENCE: &str = "*";

/// How tokens are checked and, where there is an own issuer, signed.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For the edge.
    pub config: AuthConfig,
    /// The own issuer's secret that signs.
    pub signing: Option<SharedSecret>,
}

/// Reads and checks all of `[auth]`.
pub fn tokens(auth: &Auth, problems: &mut Problems) -> Option<Tokens> {
    let before = problems.0.len();
    let mut issuers = Vec::new();
    let own = own_secrets(auth, problems);
    let tenant = tenant("auth.tenant", &auth.tenant, problems);
    for (key, text) in [("auth.issuer", &auth.issuer), ("auth.tenant_claim", &auth.tenant_claim)] {
        required(key, text, problems);
    }
    let named = match (&own, tenant) {
        (Some(secrets), Some(tenant)) => Some(IssuerConfig {
            issuer: Some(auth.issuer.clone()),
            tenant: TenantSource::Claim { name: auth.tenant_claim.clone(), default: Some(tenant) },
            audience: audience(&auth.audience),
            keys: IssuerKeys::Hs256(secrets.clone()),
        }),
        _ => None,
    };
    issuers.extend(named.clone());
    let mut seen = BTreeSet::from([auth.issuer.as_str()]);
    for (i, entry) in auth.issuers.iter().enumerate() {
        let key = |name: &str| format!("auth.issuers[{i}].{name}");
        if !entry.issuer.is_empty() && !seen.insert(&entry.issuer) {
            problems.add(key("issuer"), "stands here twice, or is auth.issuer; tokens could not tell which is meant");
        }
        issuers.extend(issuer(entry, &key, problems));
    }
    let claims = claim_names(auth, problems);
    if problems.0.len() > before {
        return None;
    }
    let mut config = AuthConfig { issuers, leeway: auth.leeway.0, claims };
    usable(&config, problems)?;
    // A team that signs with the secret itself may leave `iss` out: the signature says whose it is. It is an issuer more.
    config.issuers.extend(named.map(|own| IssuerConfig { issuer: None, ..own }));
    usable(&config, problems)?;
    Some(Tokens { config, signing: own.and_then(|secrets| secrets.into_iter().next()) })
}

/// Whether the edge takes it.
fn usable(config: &AuthConfig, problems: &mut Problems) -> Option<()> {
    let add = |errors: Vec<AuthConfigError>| {
        errors.iter().for_each(|error| problems.add(key_of(error), error.to_string()));
    };
    Verifier::new(config).map_err(add).ok().map(drop)
}

fn own_secrets(auth: &Auth, problems: &mut Problems) -> Option<Vec<SharedSecret>> {
    let (key, read) = match (!auth.secret.0.is_empty(), is_set(&auth.secret_file)) {
        (true, true) => {
            problems.add("auth.secret_file", "auth.secret is set too; set one of them");
            return None;
        }
        (true, false) => {
            ("auth.secret", secret::from_text(&auth.secret.0).map(|secret| vec![SharedSecret { kid: None, secret }]))
        }
        (false, true) => ("auth.secret_file", secret_file::read(&auth.secret_file)),
        (false, false) => {
            if auth.issuers.is_empty() {
                problems.add("auth.secret", format!("there is no key to check tokens with; {NEXT_STEP}"));
            }
            return None;
        }
    };
    read.map_err(|text| problems.add(key, text)).ok()
}

fn issuer(entry: &Issuer, key: &dyn Fn(&str) -> String, problems: &mut Problems) -> Option<IssuerConfig> {
    required(&key("issuer"), &entry.issuer, problems);
    let fixed = match (entry.tenant.is_empty(), entry.tenant_claim.is_empty()) {
        (true, true) => {
            problems.add(key("tenant"), "must name the tenant of this issuer's users");
            None
        }
        (true, false) => None,
        (false, _) => tenant(&key("tenant"), &entry.tenant, problems),
    };
    let keys = match (is_set(&entry.secret_file), is_set(&entry.jwks_file)) {
        (true, false) => match secret_file::read(&entry.secret_file) {
            Ok(secrets) => IssuerKeys::Hs256(secrets),
            Err(text) => {
                problems.add(key("secret_file"), text);
                return None;
            }
        },
        (false, true) => {
            if entry.audience.is_empty() {
                // A secret is shared with us alone; a login service signs for everybody with the same key.
                let text = "must be set with jwks_file, or tokens that this issuer made for others are good here; name the \
                            `aud` of tokens for this service, or \"*\" to take any";
                problems.add(key("audience"), text);
            }
            IssuerKeys::Jwks(entry.jwks_file.clone())
        }
        _ => {
            problems.add(key("jwks_file"), "set this or secret_file, and not both");
            return None;
        }
    };
    let tenant = match optional(&entry.tenant_claim) {
        Some(name) => TenantSource::Claim { name, default: fixed },
        None => TenantSource::Fixed(fixed?),
    };
    Some(IssuerConfig { issuer: optional(&entry.issuer), tenant, audience: audience(&entry.audience), keys })
}

fn claim_names(auth: &Auth, problems: &mut Problems) -> ClaimNames {
    let names = &auth.claims;
    for (key, text) in [
        ("auth.claims.user", &names.user),
        ("auth.claims.name", &names.name),
        ("auth.claims.roles", &names.roles),
        ("auth.claims.session", &names.session),
    ] {
        required(key, text, problems);
    }
    names.names()
}

/// The section that an error of the edge's belongs to; its text names the issuer.
fn key_of(error: &AuthConfigError) -> &'static str {
    match error {
        AuthConfigError::ClaimNames { .. } => "auth.claims",
        AuthConfigError::Jwks { .. } => "auth.issuers.jwks_file",
        AuthConfigError::SecretCount { .. } | AuthConfigError::DuplicateKid { .. } => "auth.secret_file",
        AuthConfigError::ShortSecret { .. } | AuthConfigError::ExampleSecret { .. } => "auth.secret",
        AuthConfigError::NoIssuer
        | AuthConfigError::TooManyIssuers { .. }
        | AuthConfigError::DuplicateIssuer { .. } => "auth.issuers",
    }
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The `aud` that tokens must have, if any.
pub(crate) fn audience(text: &str) -> Option<String> {
    optional(text).filter(|text| text != ANY_AUDIENCE)
}

fn required(key: &str, text: &str, problems: &mut Problems) {
    if text.is_empty() {
        problems.add(key, "must not be empty");
    }
}

fn tenant(key: &str, text: &str, problems: &mut Problems) -> Option<TenantId> {
    TenantId::new(text).map_err(|why| problems.add(key, why.to_string())).ok()
}
