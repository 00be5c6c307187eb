//! The commands that do one thing and end. What they print on stdout is for scripts; all else goes to stderr.

mod store;

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use switchyard_edge::auth::{Claims, SharedSecret};
use switchyard_protocol::id::{TenantId, UserId};

use crate::cli::{ConfigArgs, TokenArgs, VersionArgs};
use crate::config::tokens::audience;
use crate::config::{DEFAULT_TOML, Overrides, Problem, Problems, Settings, Source, Tokens, secret};
use crate::exit::Failure;
use crate::version::{BUILD, COMMIT, VERSION};

pub use store::{cql_failure, dump, migrate, open_failure, verify};

/// Prints the configuration with its defaults.
pub fn default_config() -> Result<(), Failure> {
    print(DEFAULT_TOML)
}

/// Reads a configuration as a run would, and says whether it would do.
pub fn check_config(args: ConfigArgs) -> Result<(), Failure> {
    let settings = Settings::resolve(&Source::of_process(args.config), &Overrides::default())?;
    print_line(if settings.dev { "ok: development mode, on loopback only" } else { "ok" })
}

/// Prints which build this is.
pub fn version(args: &VersionArgs) -> Result<(), Failure> {
    if args.json {
        print_line(&serde_json::to_string(&BUILD).context("the version cannot be written")?)
    } else {
        print_line(&format!("switchyard {VERSION} ({COMMIT})"))
    }
}

/// Prints a token, signed with the configuration's own secret or a development directory's.
pub fn token(args: &TokenArgs) -> Result<(), Failure> {
    let overrides = Overrides { data: args.data.clone(), ..Overrides::default() };
    let settings = Settings::resolve(&Source::of_process(args.config.clone()), &overrides)?;
    let mut problems = Problems::default();
    let user = UserId::new(&args.user).map_err(|e| problems.add("--user", e.to_string())).ok();
    let tenant = args.tenant.as_deref().map(TenantId::new).transpose();
    let tenant = tenant.map_err(|e| problems.add("--tenant", e.to_string())).ok();
    if args.ttl.0.as_secs() == 0 {
        problems.add("--ttl", "must be a second at least");
    }
    let (Some(user), Some(tenant), true) = (user, tenant, problems.0.is_empty()) else {
        return Err(problems.into());
    };
    let claims = Claims {
        tenant,
        roles: args.roles.clone(),
        name: args.name.clone(),
        ttl: args.ttl.0,
        ..own_claims(&settings)(user)
    };
    let signing = if settings.dev {
        let secret = secret::dev(&settings.config.server.data).map_err(Problems::from)?;
        SharedSecret { kid: None, secret }
    } else {
        let none = "this configuration has no secret of its own to sign with; its issuers make the tokens";
        settings.tokens()?.signing.ok_or_else(|| Problems::from(Problem::new("auth.secret", none)))?
    };
    print_line(&signing.mint(claims, now_ms()).context("no token")?)
}

/// A token of development mode, for whoever has just started it.
pub fn dev_token(tokens: &Tokens, user: UserId) -> Result<String, Failure> {
    let signing = tokens.signing.as_ref().context("development has a secret of its own")?;
    Ok(signing.mint(Claims::for_user(user), now_ms()).context("no token")?)
}

/// What the own issuer's tokens say of a user.
pub(crate) fn own_claims(settings: &Settings) -> impl Fn(UserId) -> Claims + use<> {
    let auth = (!settings.dev).then(|| settings.config.auth.clone());
    move |user| {
        let claims = Claims::for_user(user);
        let Some(auth) = &auth else { return claims };
        Claims {
            issuer: Some(auth.issuer.clone()),
            audience: audience(&auth.audience),
            names: auth.claims.names(),
            tenant_claim: auth.tenant_claim.clone(),
            ..claims
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Prints one line on stdout.
pub fn print_line(line: &str) -> Result<(), Failure> {
    print(&format!("{line}\n"))
}

/// Prints on stdout. A reader that has gone away (`| head`) wants no more, which is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("stdout").into())
        }
        _ => Ok(()),
    }
}
