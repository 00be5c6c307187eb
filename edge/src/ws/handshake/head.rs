//! What a request head says about the request and who sends it. Must not print what it holds of secrets.

use std::fmt;

use super::Refusal;
use super::fields::Fields;

/// The parts of a request head that the edge looks at.
#[derive(Clone)]
pub struct Head {
    /// The method, such as `GET`.
    pub method: String,
    /// The target without authority and query, as it was sent.
    pub path: String,
    /// The target behind its first `?`.
    pub query: Option<String>,
    /// The minor version: 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor_version: u8,
    /// `Host`; always there in HTTP/1.1.
    pub host: Option<String>,
    /// `Origin`: the site whose script asks; browsers always send it.
    pub origin: Option<String>,
    /// The token of `Authorization: Bearer`; other schemes are ignored.
    pub bearer: Option<String>,
    /// `Cookie`, raw.
    pub cookie: Option<String>,
    /// `X-Forwarded-For`, raw; several fields are joined in their order.
    pub forwarded_for: Option<String>,
}

impl Head {
    pub(super) fn new(method: &str, target: &str, minor_version: u8, fields: &Fields<'_>) -> Result<Self, Refusal> {
        let host = fields.single("host")?;
        if host.is_none() && minor_version > 0 {
            return Err(Refusal::bad("Host is missing"));
        }
        let (path, query) = split_target(target);
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            minor_version,
            host: host.map(str::to_owned),
            origin: fields.single("origin")?.map(str::to_owned),
            bearer: fields.single("authorization")?.and_then(bearer_token).map(str::to_owned),
            cookie: fields.joined("cookie", "; "),
            forwarded_for: fields.joined("x-forwarded-for", ", "),
        })
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Query, bearer and cookie may hold tokens.
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("host", &self.host)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Path and query of a request target, which may be a path or, for a proxy, a whole URL.
fn split_target(target: &str) -> (&str, Option<&str>) {
    let from_path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find(['/', '?']).map_or("", |at| rest.get(at..).unwrap_or_default())
        }
        _ => target,
    };
    let (path, query) = match from_path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (from_path, None),
    };
    (if path.is_empty() { "/" } else { path }, query)
}

fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (target, path, query) in [
            ("/v1/ws", "/v1/ws", None),
            ("/v1/ws?a=1?2", "/v1/ws", Some("a=1?2")),
            ("http://a.example:80/v1/ws?", "/v1/ws", Some("")),
            ("http://a.example", "/", None),
            ("http://a.example?q", "/", Some("q")),
            ("/redirect?to=http://b.example/", "/redirect", Some("to=http://b.example/")),
            ("/a://b/c", "/a://b/c", None),
            ("*", "*", None),
        ] {
            assert_eq!(split_target(target), (path, query), "{target}");
        }
    }

    #[test]
    fn authorizations() {
        assert_eq!(bearer_token("Bearer a.b.c"), Some("a.b.c"));
        assert_eq!(bearer_token("bearer  a.b.c "), Some("a.b.c"));
        assert_eq!(bearer_token("Basic YTpi"), None);
        assert_eq!(bearer_token("Bearer"), None);
    }
}
