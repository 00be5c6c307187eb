//! The first part of a token: which algorithm and which key it claims. It is a stranger's wish, used only to choose
//! among what the configuration holds.

use std::borrow::Cow;

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::is_access_type;
use super::refusal::TokenRefusal;

/// Borrows from the decoded JSON unless the text has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields that matter; a field given twice is an error, as two readers might take different ones.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    alg: Text<'a>,
    #[serde(borrow)]
    kid: Option<Text<'a>>,
    #[serde(borrow)]
    typ: Option<Text<'a>>,
    jku: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
}

/// A header that may go on to have its signature checked.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// One of the three algorithms known here.
    pub(super) algorithm: Algorithm,
    /// The key it names.
    pub(super) kid: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// Reads decoded JSON.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, TokenRefusal> {
        let fields: Fields<'a> = serde_json::from_slice(json).map_err(|_| TokenRefusal::Malformed)?;
        let algorithm = match &*fields.alg.0 {
            "HS256" => Algorithm::HS256,
            "RS256" => Algorithm::RS256,
            // RFC 9864 gave the curve's own name to what was always meant.
            "EdDSA" | "Ed25519" => Algorithm::EdDSA,
            _ => return Err(TokenRefusal::Algorithm),
        };
        if fields.jku.is_some() || fields.jwk.is_some() || fields.x5u.is_some() || fields.x5c.is_some() {
            return Err(TokenRefusal::Key);
        }
        // RFC 7515, 4.1.11: extensions marked critical must be understood, and none is.
        if fields.crit.is_some() {
            return Err(TokenRefusal::Malformed);
        }
        if fields.typ.is_some_and(|typ| !is_access_type(&typ.0)) {
            return Err(TokenRefusal::Type);
        }
        Ok(Self { algorithm, kid: fields.kid.map(|kid| kid.0) })
    }
}
