//! The sections of the configuration file and their defaults. Data only: `default.toml` explains each key to people, and
//! a test holds the two together.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;
use switchyard_edge::admission::config::Budgets;
use switchyard_edge::auth::{ClaimNames, DEV_TENANT, DEV_TENANT_CLAIM, LEEWAY_DEFAULT};

use super::cql::Cql;
use super::secret::SecretText;
use super::units::{Size, Span};

/// All of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[ops]`
    pub ops: Ops,
    /// `[auth]`
    pub auth: Auth,
    /// `[origins]`
    pub origins: Origins,
    /// `[proxies]`
    pub proxies: Proxies,
    /// `[budgets]`: the edge's own.
    pub budgets: Budgets,
    /// `[store]`
    pub store: Store,
    /// `[retention]`
    pub retention: Retention,
    /// `[sessions]`
    pub sessions: Sessions,
    /// `[conversations]`
    pub conversations: Conversations,
    /// `[presence]`
    pub presence: Presence,
    /// `[dev]`
    pub dev: Dev,
    /// `[log]`
    pub log: Log,
}

/// `[server]`: where it listens, where it keeps things, how it ends.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address for clients.
    pub listen: SocketAddr,
    /// Address for health and metrics; not for the public.
    pub ops_listen: SocketAddr,
    /// Data directory.
    pub data: PathBuf,
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// From the first SIGTERM to the end, at most.
    pub drain_deadline: Span,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 7401)),
            data: PathBuf::from("./switchyard-data"),
            workers: 0,
            drain_deadline: Span::secs(20),
        }
    }
}

/// `[ops]`: the operations port.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Ops {
    /// Whether it may listen where others than this machine reach it.
    pub public: bool,
}

/// `[auth]`: whose tokens are good.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Secret of the own issuer (HS256); empty means none.
    pub secret: SecretText,
    /// File with that secret, and on further lines older ones that are still good; empty means none.
    pub secret_file: PathBuf,
    /// `iss` of the own issuer's tokens, where they have one.
    pub issuer: String,
    /// `aud` of the own issuer's tokens; empty or `*` means that any will do.
    pub audience: String,
    /// Tenant of the own issuer's users whose token names none.
    pub tenant: String,
    /// The claim in which the own issuer's tokens name a tenant.
    pub tenant_claim: String,
    /// How far clocks may differ.
    pub leeway: Span,
    /// Which claim says what.
    #[serde(skip)]
    pub claims: Claims,
    /// The HttpOnly cookie that may hold a token; it counts from an allowed origin alone.
    pub cookie: String,
    /// Other issuers.
    pub issuers: Vec<Issuer>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            secret: SecretText::default(),
            secret_file: PathBuf::new(),
            issuer: "switchyard".to_owned(),
            audience: String::new(),
            tenant: DEV_TENANT.to_owned(),
            tenant_claim: DEV_TENANT_CLAIM.to_owned(),
            leeway: Span(LEEWAY_DEFAULT),
            claims: Claims::default(),
            cookie: "switchyard_token".to_owned(),
            issuers: Vec::new(),
        }
    }
}

/// `[auth.claims]`: the names of the claims that are read.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Claims {
    /// The user's id.
    pub user: String,
    /// The user's name.
    pub name: String,
    /// The user's roles.
    pub roles: String,
    /// The login session, by which it can be revoked.
    pub session: String,
}

impl Claims {
    /// The same, as the edge takes it.
    pub fn names(&self) -> ClaimNames {
        ClaimNames {
            user: self.user.clone(),
            name: self.name.clone(),
            roles: self.roles.clone(),
            session: self.session.clone(),
        }
    }
}

impl Default for Claims {
    fn default() -> Self {
        let ClaimNames { user, name, roles, session } = ClaimNames::default();
        Self { user, name, roles, session }
    }
}

/// One of `[[auth.issuers]]`: a user system whose tokens are good, and the tenant its users belong to.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Issuer {
    /// `iss`, compared byte by byte.
    pub issuer: String,
    /// The tenant of all its users; with a claim, of those whose token names none.
    pub tenant: String,
    /// The claim in which it may name any tenant; empty means that it may not.
    pub tenant_claim: String,
    /// `aud` that its tokens must have; `*` means that any will do, and so does empty, but not with `jwks_file`.
    pub audience: String,
    /// File with its secrets for HS256, one a line.
    pub secret_file: PathBuf,
    /// File with its public keys for RS256 and EdDSA, a JWKS.
    pub jwks_file: PathBuf,
}

/// `[origins]`: pages of which sites may connect.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Origins {
    /// Origins: `https://app.example.com`, `https://*.example.com`.
    pub allow: Vec<String>,
}

/// `[proxies]`: who may say where a client comes from.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Proxies {
    /// Networks and addresses whose `X-Forwarded-For` (and PROXY header) is believed.
    pub trusted: Vec<String>,
    /// Whether those proxies begin each connection with a PROXY protocol header.
    pub proxy_protocol: bool,
}

/// `[store]`: where everything is kept.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// In which store.
    pub kind: StoreKind,
    /// Sends are refused while the disk has less room than this; reads go on.
    pub free_bytes_min: Size,
    /// Memory for what was read lately.
    pub cache_bytes: Size,
    /// A segment of the journal. What was written lately lies in at most four, on disk and in memory, before it is sorted.
    pub segment_bytes: Size,
    /// `[store.cql]`: the cluster.
    #[serde(skip)]
    pub cql: Cql,
}

/// The stores that there are.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// On this machine, in the data directory.
    Embedded,
    /// In a cluster of ScyllaDB or Cassandra.
    Cql,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            kind: StoreKind::Embedded,
            free_bytes_min: Size::mib(256),
            cache_bytes: Size::mib(16),
            segment_bytes: Size::mib(16),
            cql: Cql::default(),
        }
    }
}

/// `[retention]`: how much of a conversation is kept, for each kind.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// `[retention.direct]`: conversations of two.
    #[serde(skip)]
    pub direct: RetentionLimits,
    /// `[retention.group]`: groups.
    #[serde(skip)]
    pub group: RetentionLimits,
}

/// What is kept of one conversation; older events are dropped, and readers are told of the gap.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionLimits {
    /// The newest so many events, at least 1,000; 0 keeps all.
    pub events_max: u64,
    /// Events no older than this; `"0s"` keeps all.
    pub age_max: Span,
}

impl Default for RetentionLimits {
    fn default() -> Self {
        Self { events_max: 0, age_max: Span::secs(0) }
    }
}

/// `[sessions]`: live connections.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Connections in all; 0 leaves it to the limit of open files.
    pub connections_max: usize,
    /// Connections that have not said who they are yet.
    pub half_open_max: usize,
    /// From the connection to the end of its HTTP request head, at most.
    pub handshake_timeout: Span,
    /// From the upgrade to a good `hello`, at most.
    pub hello_timeout: Span,
    /// How often an idle connection is probed.
    pub heartbeat: Span,
    /// A connection from which nothing came for so long is closed.
    pub idle_timeout: Span,
    /// A reader that takes nothing of what waits for it for so long is closed.
    pub slow_timeout: Span,
    /// Bytes waiting for one connection, at most.
    pub queue_bytes_max: Size,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            connections_max: 0,
            half_open_max: 10_000,
            handshake_timeout: Span::secs(10),
            hello_timeout: Span::secs(10),
            heartbeat: Span::secs(25),
            idle_timeout: Span::secs(60),
            slow_timeout: Span::secs(30),
            queue_bytes_max: Size::kib(256),
        }
    }
}

/// `[conversations]`: their owners.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Conversations {
    /// A conversation that nobody touched for so long leaves memory.
    pub idle_after: Span,
    /// Whether plain members may add others to a group.
    pub members_add: bool,
    /// Whether a direct conversation is a request until the other one accepts it.
    pub requests: Switch,
    /// A request without an outcome for so long is answered `UNKNOWN_OUTCOME`.
    pub unknown_after: Span,
}

impl Default for Conversations {
    fn default() -> Self {
        Self { idle_after: Span::secs(120), members_add: false, requests: Switch::On, unknown_after: Span::secs(8) }
    }
}

/// Whether something is done.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// `[presence]`: who is online.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// How long after a user's last session has ended others are told.
    pub offline_after: Span,
}

impl Default for Presence {
    fn default() -> Self {
        Self { offline_after: Span::secs(15) }
    }
}

/// `[dev]`: what only serves for trying things out.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Dev {
    /// Whether anybody on this machine may come in by the page as one of the demo users.
    pub demo_users: bool,
}

/// `[log]`: what is logged, and how it looks.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or directives such as `info,switchyard_edge=debug`.
    pub level: String,
    /// For people or for programs.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Human }
    }
}

/// How a log line looks.
#[derive(Deserialize, ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}
