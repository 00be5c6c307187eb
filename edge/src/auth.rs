//! Who a client is: tokens of configured issuers are checked here, and tokens for development and tests are made.
//!
//! Everything comes from the token's signature and the configuration: nothing is fetched, whatever a token asks for, and
//! no clock is read, `now` is always an argument. No token ever reaches a log or an error from here; a client only
//! learns `AUTH_INVALID`, the reason is for metrics.

mod claims;
mod config;
mod header;
mod jwks;
mod mint;
mod refusal;
mod verifier;

#[cfg(test)]
mod tests;

pub use config::{
    AuthConfig, AuthConfigError, ClaimNames, DEV_ISSUER, DEV_TENANT, DEV_TENANT_CLAIM, IssuerConfig, IssuerKeys,
    LEEWAY_DEFAULT, Secret, SharedSecret, TenantSource,
};
pub use jwks::JwksError;
pub use mint::{Claims, MintError, mint};
pub use refusal::TokenRefusal;
pub use verifier::{Identity, SharedVerifier, Verifier};
