//! From the configuration to what each role takes. Nothing is decided here but how one says what the other means.

use std::net::SocketAddr;

use switchyard_edge::admission::origin::OriginPolicy;
use switchyard_edge::admission::proxy::TrustedProxies;
use switchyard_edge::auth::Verifier;
use switchyard_edge::config::EdgeConfig;
use switchyard_router::config::{Retention, RetentionRule, RouterConfig};
use switchyard_store::embedded::{Embedded, OpenError, Options};

use crate::config::{Config, Problem, Problems, RetentionLimits, Settings, Tokens};
use crate::exit::Failure;

/// Opens the embedded store of the data directory.
pub(super) fn open_store(config: &Config) -> Result<Embedded, Failure> {
    let options = Options {
        free_bytes_min: config.store.free_bytes_min.0,
        cache_bytes: config.store.cache_bytes.0,
        ..Options::default()
    };
    Embedded::open(&config.server.data, options).map_err(|error| store_failure(config, &error))
}

/// What went wrong, and what to do next.
fn store_failure(config: &Config, error: &OpenError) -> Failure {
    let data = config.server.data.display();
    let next = match error {
        OpenError::Locked { .. } => "stop that process, or name another directory with --data".to_owned(),
        OpenError::Schema { .. } => "run the version that wrote it, or name another directory with --data".to_owned(),
        OpenError::Corrupt(_) => format!("see what is damaged with `switchyard verify --data {data} --json`"),
        OpenError::Absent(_) => "name another directory with --data".to_owned(),
        OpenError::Io { .. } => format!("check that {data} is there, writable and has room"),
    };
    Failure::Store(format!("{error}; {next}"))
}

/// What checks tokens. The configuration was checked when it was read; a file may have changed since.
pub(super) fn verifier(tokens: &Tokens) -> Result<Verifier, Failure> {
    Verifier::new(&tokens.config).map_err(|errors| {
        let problems = errors.iter().map(|error| Problem::new("auth", error.to_string()));
        Failure::Usage(Problems(problems.collect()))
    })
}

/// The edge's part.
pub(super) fn edge_config(settings: &Settings, public: SocketAddr) -> Result<EdgeConfig, Failure> {
    let config = &settings.config;
    let mut problems = Problems::default();
    let origins = OriginPolicy::new(&config.origins.allow).unwrap_or_else(|errors| {
        errors.iter().for_each(|error| problems.add("origins.allow", error.to_string()));
        OriginPolicy::default()
    });
    let trusted: Vec<String> = config.proxies.trusted.iter().map(ToString::to_string).collect();
    let proxies = TrustedProxies::new(&trusted).unwrap_or_else(|errors| {
        errors.iter().for_each(|error| problems.add("proxies.trusted", error.to_string()));
        TrustedProxies::default()
    });
    let mut edge = EdgeConfig {
        origins: if settings.dev { origins.with_loopback_port(public.port()) } else { origins },
        proxies,
        proxy_protocol: config.proxies.proxy_protocol,
        budgets: settings.budgets(),
        ..EdgeConfig::default()
    };
    edge.timing.heartbeat = config.sessions.heartbeat.0;
    edge.timing.hello = config.sessions.hello_timeout.0;
    edge.timing.idle = config.sessions.idle_timeout.0;
    edge.timing.slow = config.sessions.slow_timeout.0;
    edge.session.heartbeat_ms = u64::try_from(config.sessions.heartbeat.0.as_millis()).unwrap_or(u64::MAX);
    edge.room.queue_bytes_max = usize::try_from(config.sessions.queue_bytes_max.0).unwrap_or(usize::MAX);
    Ok(problems.or(edge)?)
}

/// The router's part.
pub(super) fn router_config(config: &Config) -> RouterConfig {
    let rule = |limits: &RetentionLimits| RetentionRule {
        events_max: (limits.events_max > 0).then_some(limits.events_max),
        age_max: (!limits.age_max.0.is_zero()).then_some(limits.age_max.0),
    };
    RouterConfig {
        retention: Retention { direct: rule(&config.retention.direct), group: rule(&config.retention.group) },
        ..RouterConfig::default()
    }
}
