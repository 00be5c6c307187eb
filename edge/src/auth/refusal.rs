//! Why a token was refused. For metrics alone: a client is told `AUTH_INVALID` and nothing else, so that nobody can feel
//! their way to a token that passes. Only that a token with a good signature is over shows, in the code that closes: its
//! holder, who was let in before, is to come again with a new one.

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenRefusal {
    /// No token at all.
    #[error("no token was given")]
    Missing,
    /// Longer than [`TOKEN_BYTES_MAX`](switchyard_protocol::limits::TOKEN_BYTES_MAX).
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url with JSON in the first two.
    #[error("not a signed JWT")]
    Malformed,
    /// An algorithm other than the one that belongs to the key; `none` is one of them.
    #[error("the algorithm is not the issuer's")]
    Algorithm,
    /// The key that it names is not the issuer's, or it brings a key or a key's address of its own.
    #[error("the key is not one of the issuer's")]
    Key,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Signature,
    /// Its issuer is not configured.
    #[error("the issuer is not configured")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the audience is another")]
    Audience,
    /// A refresh or identity token, or one of an unknown type, in place of an access token.
    #[error("not an access token")]
    Type,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim that is needed is absent, of the wrong type or too large.
    #[error("a claim is absent or unusable")]
    Claims,
}

impl TokenRefusal {
    /// Every value, so that each label of the metric exists before its first event.
    pub const ALL: [Self; 12] = [
        Self::Missing,
        Self::TooLong,
        Self::Malformed,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Issuer,
        Self::Audience,
        Self::Type,
        Self::Expired,
        Self::NotYetValid,
        Self::Claims,
    ];

    /// The value of the label `reason` in metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Key => "kid",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Type => "type",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Claims => "claims",
        }
    }
}
