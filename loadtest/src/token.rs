//! Where users' tokens come from: signed here with the server's secret, or given out by a command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// How long a token lasts: longer than a run, for a run measures messages, not renewals.
const TTL: Duration = Duration::from_secs(2 * 60 * 60);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The secret cannot be read.
    #[error("{}: {}", .0.display(), .1)]
    Secret(PathBuf, std::io::Error),
    /// Nothing in it.
    #[error("{}: holds no secret", .0.display())]
    Empty(PathBuf),
    /// It is a JWK set.
    #[error("{}: holds secrets with names; take --token-command \"switchyard token --config FILE\"", .0.display())]
    Named(PathBuf),
    /// Signing failed, or the key is none.
    #[error("the token could not be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    /// The command did not give one.
    #[error("{0}: {1}")]
    Command(String, String),
}

/// Gives out tokens.
pub struct Tokens {
    source: Source,
    tenant: Option<String>,
    issuer: Option<String>,
}

enum Source {
    Key { header: Box<Header>, key: Box<EncodingKey> },
    Command(String),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    iat: u64,
    exp: u64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Signs with HS256 and the first line of the file, as the server reads it.
    pub fn from_secret_file(path: &Path, tenant: Option<String>, issuer: Option<String>) -> Result<Self, TokenError> {
        let text = fs::read_to_string(path).map_err(|error| TokenError::Secret(path.to_owned(), error))?;
        let secret = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .ok_or_else(|| TokenError::Empty(path.to_owned()))?;
        if secret.starts_with('{') {
            return Err(TokenError::Named(path.to_owned()));
        }
        let key = Box::new(EncodingKey::from_secret(secret.as_bytes()));
        Ok(Self { source: Source::Key { header: Box::new(Header::new(Algorithm::HS256)), key }, tenant, issuer })
    }

    /// Signs with EdDSA and a private key in PEM; `kid` names it to the server.
    pub fn from_key_file(
        path: &Path,
        kid: Option<String>,
        tenant: Option<String>,
        issuer: Option<String>,
    ) -> Result<Self, TokenError> {
        let pem = fs::read(path).map_err(|error| TokenError::Secret(path.to_owned(), error))?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = kid;
        let key = Box::new(EncodingKey::from_ed_pem(&pem)?);
        Ok(Self { source: Source::Key { header: Box::new(header), key }, tenant, issuer })
    }

    /// Runs `command --user ID [--tenant T]` for each token, and takes what it prints. The command's words are split at
    /// spaces.
    pub fn from_command(command: String, tenant: Option<String>) -> Self {
        Self { source: Source::Command(command), tenant, issuer: None }
    }

    /// A token for a user, good for the whole run.
    pub fn token(&self, user: &str) -> Result<String, TokenError> {
        let command = match &self.source {
            Source::Command(command) => command,
            Source::Key { header, key } => {
                let iat = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let (tenant, iss) = (self.tenant.as_deref(), self.issuer.as_deref());
                let claims = Claims { sub: user, tenant, iss, iat, exp: iat + TTL.as_secs() };
                return Ok(jsonwebtoken::encode(header, &claims, key)?);
            }
        };
        let failed = |why: String| TokenError::Command(command.clone(), why);
        let mut words = command.split_whitespace();
        let mut run = Command::new(words.next().ok_or_else(|| failed("no command".to_owned()))?);
        run.args(words).args(["--user", user]);
        if let Some(tenant) = &self.tenant {
            run.args(["--tenant", tenant]);
        }
        let output = run.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if token.is_empty() { Err(failed("it printed nothing".to_owned())) } else { Ok(token) }
    }
}
