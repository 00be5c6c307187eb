//! The origin allow-list: which web pages may open a connection. A browser tells the truth about the page and sends the
//! user's cookies whatever page asks, so that a cookie counts only together with an origin that is on the list.
//!
//! Clients that are no browsers send no origin and bring their token themselves; they are let through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of an `Origin` header: a name has at most 253, and scheme and port come to it.
const ORIGIN_BYTES_MAX: usize = 512;

/// What the check of the `Origin` header found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginVerdict {
    /// There was none: not a browser, or not a page.
    Absent,
    /// A page on the list.
    Allowed,
    /// Anything else; the upgrade is answered with 403.
    Refused,
}

impl OriginVerdict {
    /// Whether the upgrade may go on.
    pub const fn admits(self) -> bool {
        matches!(self, Self::Absent | Self::Allowed)
    }

    /// Whether a token from a cookie counts. Not without an origin: nothing then tells whose page sent the cookie.
    pub const fn cookie_counts(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// An entry of the list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is not an origin: {problem}; write https://host, https://host:port or https://*.host")]
pub struct OriginError {
    /// As it was configured.
    pub entry: String,
    /// What is wrong.
    pub problem: &'static str,
}

/// An origin taken apart; borrowed from the header.
#[derive(Debug, Clone, Copy)]
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// `null`: sandboxed frames and local files. Any page can make one, so it must be asked for.
    Null,
    /// One origin.
    Exact { scheme: Box<str>, host: Box<str>, port: Option<u16> },
    /// Every name below `suffix`, which begins with a dot; not the name itself.
    Below { scheme: Box<str>, suffix: Box<str>, port: Option<u16> },
}

/// The allow-list.
#[derive(Debug, Clone, Default)]
pub struct OriginPolicy {
    entries: Vec<Entry>,
    page_at: Option<SocketAddr>,
}

impl OriginPolicy {
    /// Reads the list; reports all entries that cannot be used. An empty list admits no browser.
    pub fn new<T: AsRef<str>>(allowed: &[T]) -> Result<Self, Vec<OriginError>> {
        let mut entries = Vec::with_capacity(allowed.len());
        let mut errors = Vec::new();
        for text in allowed {
            match entry(text.as_ref()) {
                Ok(entry) => entries.push(entry),
                Err(problem) => errors.push(OriginError { entry: text.as_ref().to_owned(), problem }),
            }
        }
        if errors.is_empty() { Ok(Self { entries, page_at: None }) } else { Err(errors) }
    }

    /// Development and demonstration: the page that is served at this address is allowed too, where that is loopback, under
    /// every name that the machine has for itself.
    #[must_use]
    pub fn with_page_at(mut self, address: SocketAddr) -> Self {
        self.page_at = Some(address);
        self
    }

    /// Judges all `Origin` headers of a request; more than one is refused, as two readers might take different ones.
    pub fn check<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>) -> OriginVerdict {
        let mut headers = headers.into_iter();
        match (headers.next(), headers.next()) {
            (None, _) => OriginVerdict::Absent,
            (Some(value), None) if self.allows(value) => OriginVerdict::Allowed,
            _ => OriginVerdict::Refused,
        }
    }

    fn allows(&self, value: &[u8]) -> bool {
        if value == b"null" {
            return self.entries.contains(&Entry::Null);
        }
        let Some(origin) = std::str::from_utf8(value).ok().and_then(|text| parse(text).ok()) else {
            return false;
        };
        self.entries.iter().any(|entry| entry.matches(&origin)) || self.is_own_page(&origin)
    }

    fn is_own_page(&self, origin: &Origin<'_>) -> bool {
        let Some(page) = self.page_at else { return false };
        let known_scheme = default_port(origin.scheme).is_some();
        let our_port = origin.port.or(default_port(origin.scheme)) == Some(page.port());
        let our_address = page.ip().is_loopback() && origin.host.parse() == Ok(page.ip());
        known_scheme && our_port && (our_address || is_loopback(origin.host))
    }
}

impl Entry {
    fn matches(&self, origin: &Origin<'_>) -> bool {
        let same = |scheme: &str, port: Option<u16>| origin.scheme.eq_ignore_ascii_case(scheme) && origin.port == port;
        match self {
            Self::Null => false,
            Self::Exact { scheme, host, port } => same(scheme, *port) && origin.host.eq_ignore_ascii_case(host),
            Self::Below { scheme, suffix, port } => {
                // A host with an empty label was refused when it was read, so that a name stands before the dot.
                let tail = origin.host.len().checked_sub(suffix.len()).and_then(|at| origin.host.get(at..));
                same(scheme, *port) && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
            }
        }
    }
}

/// The port that browsers leave out.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Some(80),
        _ if scheme.eq_ignore_ascii_case("https") => Some(443),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse() == Ok(Ipv4Addr::LOCALHOST)
        || host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).and_then(|host| host.parse().ok())
            == Some(IpAddr::V6(Ipv6Addr::LOCALHOST))
}

/// Reads an entry of the list.
fn entry(text: &str) -> Result<Entry, &'static str> {
    if text == "null" {
        return Ok(Entry::Null);
    }
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let below = rest.strip_prefix("*.").map(|rest| format!("{scheme}://{rest}"));
    let origin = parse(below.as_deref().unwrap_or(text))?;
    let (scheme, host, port) = (lower(origin.scheme), lower(origin.host), origin.port);
    if below.is_none() {
        return Ok(Entry::Exact { scheme, host, port });
    }
    if !host.contains('.') || host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        return Err("a wildcard needs a name of two labels at least behind it");
    }
    Ok(Entry::Below { scheme, suffix: format!(".{host}").into_boxed_str(), port })
}

fn lower(text: &str) -> Box<str> {
    text.to_ascii_lowercase().into_boxed_str()
}

/// Takes `scheme://host[:port]` apart. Strict: no path, no user, no spaces, no empty label, no odd port. A port that is
/// the scheme's own is the same as none.
fn parse(text: &str) -> Result<Origin<'_>, &'static str> {
    if text.len() > ORIGIN_BYTES_MAX {
        return Err("it is too long");
    }
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let scheme_ok = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme_ok {
        return Err("its scheme is not one");
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(parse_port(port)?)),
        _ => (rest, None),
    };
    if !is_host(host) {
        return Err("its host is not a name or an address");
    }
    Ok(Origin { scheme, host, port: port.filter(|port| default_port(scheme) != Some(*port)) })
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    let canonical = !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical).ok_or("its port is not a number from 1 to 65535")
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let label_ok = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.split('.').all(label_ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(allowed: &[&str]) -> OriginPolicy {
        OriginPolicy::new(allowed).expect("good entries")
    }

    fn check(policy: &OriginPolicy, origin: &str) -> OriginVerdict {
        policy.check([origin.as_bytes()])
    }

    #[test]
    fn listed_pages_are_allowed() {
        let policy = policy(&[
            "https://app.example.com",
            "http://Host:8080",
            "https://*.example.org",
            "capacitor://localhost",
            "http://[2001:db8::1]:81",
        ]);
        for good in [
            "https://app.example.com",
            "HTTPS://APP.example.com",
            "https://app.example.com:443",
            "http://host:8080",
            "https://a.example.org",
            "https://a.b.EXAMPLE.org",
            "capacitor://localhost",
            "http://[2001:db8::1]:81",
        ] {
            assert_eq!(check(&policy, good), OriginVerdict::Allowed, "{good}");
        }
        assert_eq!(policy.check([]), OriginVerdict::Absent);
    }

    #[test]
    fn n01_foreign_null_and_lookalike_origins_are_refused() {
        let policy = policy(&["https://app.example.com", "https://*.example.org"]);
        for bad in [
            "https://evil.example",
            "null",
            "",
            " ",
            "https://app.example.com.evil",
            "https://app.example.com.",
            "https://app.example.com/",
            "https://app.example.com:444",
            "https://app.example.com:0443",
            "https://app.example.com:",
            "https://app.example.com@evil.example",
            "https://evil.example#app.example.com",
            "https://evil.example/https://app.example.com",
            "https://evil.example https://app.example.com",
            "https://app.example.com https://evil.example",
            "https://app.example.com\r\n",
            "https://app.example.com\0",
            "http://app.example.com",
            "https://xapp.example.com",
            "https://example.com",
            "https://example.org",
            "https://.example.org",
            "https://evilexample.org",
            "https://a.example.org.evil",
            "https://evil.example/.example.org",
            "https://a..example.org",
            "https://*.example.org",
            "//app.example.com",
            "app.example.com",
            "https://аpp.example.com",
        ] {
            assert_eq!(check(&policy, bad), OriginVerdict::Refused, "{bad:?}");
        }
        assert_eq!(policy.check([&b"https://app.example.com\xff"[..]]), OriginVerdict::Refused);
        let good = &b"https://app.example.com"[..];
        assert_eq!(policy.check([good, good]), OriginVerdict::Refused, "two headers");
        assert!(!OriginVerdict::Refused.admits());
        assert_eq!(check(&OriginPolicy::default(), "https://app.example.com"), OriginVerdict::Refused);
    }

    #[test]
    fn n02_a_cookie_counts_only_from_an_allowed_page() {
        let policy = policy(&["https://app.example.com"]);
        assert!(check(&policy, "https://app.example.com").cookie_counts());
        assert!(!check(&policy, "https://evil.example").cookie_counts());
        assert!(!check(&policy, "null").cookie_counts());
        let absent = policy.check([]);
        assert!(absent.admits() && !absent.cookie_counts());
    }

    #[test]
    fn null_is_allowed_only_when_listed() {
        assert_eq!(check(&policy(&["null"]), "null"), OriginVerdict::Allowed);
        assert_eq!(check(&policy(&["null"]), "https://evil.example"), OriginVerdict::Refused);
    }

    #[test]
    fn development_allows_pages_of_its_own_address_and_port() {
        let at = |address: &str| OriginPolicy::default().with_page_at(address.parse().expect("an address"));
        let policy = at("127.0.0.1:7400");
        for good in ["http://127.0.0.1:7400", "http://localhost:7400", "http://[::1]:7400", "https://localhost:7400"] {
            assert_eq!(check(&policy, good), OriginVerdict::Allowed, "{good}");
        }
        for bad in [
            "http://127.0.0.1:7401",
            "http://127.0.0.1",
            "http://localhost.evil:7400",
            "http://127.0.0.1.evil:7400",
            "http://127.0.0.2:7400",
            "file://localhost:7400",
            "null",
        ] {
            assert_eq!(check(&policy, bad), OriginVerdict::Refused, "{bad}");
        }
        assert_eq!(check(&at("127.0.0.1:80"), "http://localhost"), OriginVerdict::Allowed);
        assert_eq!(check(&at("127.0.0.2:7400"), "http://127.0.0.2:7400"), OriginVerdict::Allowed);
        assert_eq!(check(&at("192.0.2.1:7400"), "http://192.0.2.1:7400"), OriginVerdict::Refused);
    }

    #[test]
    fn all_unusable_entries_are_reported() {
        let bad = ["*", "https://*", "https://*.com", "https://a/", "a.example", "https://a b", "https://*.1.2.3.4"];
        let errors = OriginPolicy::new(&bad).expect_err("none of it is an origin");
        let entries: Vec<&str> = errors.iter().map(|error| error.entry.as_str()).collect();
        assert_eq!(entries, bad);
    }

    proptest! {
        /// Only the listed text passes, whatever stands around it.
        #[test]
        fn nothing_else_passes(before in "\\PC{0,8}", after in "\\PC{0,8}") {
            let policy = policy(&["https://app.example.com:8443"]);
            let text = format!("{before}https://app.example.com:8443{after}");
            let exact = before.is_empty() && after.is_empty();
            prop_assert_eq!(check(&policy, &text) == OriginVerdict::Allowed, exact);
        }
    }
}
