//! Whether a configuration makes sense: what types cannot say. Adds to the problems and never stops at the first.

use std::net::SocketAddr;
use std::time::Duration;

use switchyard_edge::admission::origin::OriginPolicy;
use switchyard_edge::admission::proxy::TrustedProxies;
use switchyard_edge::auth::LEEWAY_DEFAULT;
use switchyard_protocol::limits::{DEDUPE_RECENT, FRAME_BYTES_MAX};
use tracing_subscriber::EnvFilter;

use super::problem::Problems;
use super::sections::{Config, StoreKind};
use super::units::Span;

/// Checks everything but the issuers of `[auth]`, which are [`super::tokens`]'.
pub fn check(config: &Config, dev: bool, problems: &mut Problems) {
    if dev {
        loopback("server.listen", config.server.listen, problems);
        loopback("server.ops_listen", config.server.ops_listen, problems);
    } else if !config.ops.public && !config.server.ops_listen.ip().is_loopback() {
        ops_public(config.server.ops_listen, problems);
    }
    if config.dev.demo_users && !config.server.listen.ip().is_loopback() {
        let text = format!("anybody could come in as one of them at {}, which is not loopback", config.server.listen);
        problems.add("dev.demo_users", text);
    }
    let (listen, ops) = (config.server.listen, config.server.ops_listen);
    if listen == ops && listen.port() != 0 {
        problems.add("server.ops_listen", format!("{ops} is server.listen already; take another port"));
    }
    positive("server.drain_deadline", config.server.drain_deadline.0, problems);
    leeway(config.auth.leeway, problems);
    admission(config, problems);
    sessions(config, problems);
    retention("retention.direct.events_max", config.retention.direct.events_max, problems);
    retention("retention.group.events_max", config.retention.group.events_max, problems);
    positive("conversations.idle_after", config.conversations.idle_after.0, problems);
    positive("conversations.unknown_after", config.conversations.unknown_after.0, problems);
    positive("presence.offline_after", config.presence.offline_after.0, problems);
    if config.store.kind == StoreKind::Cql {
        config.store.cql.options(problems);
    }
    if let Err(error) = EnvFilter::try_new(&config.log.level) {
        problems.add("log.level", format!("{error}; write error, warn, info, debug or trace"));
    }
}

fn sessions(config: &Config, problems: &mut Problems) {
    let sessions = &config.sessions;
    positive("sessions.handshake_timeout", sessions.handshake_timeout.0, problems);
    positive("sessions.heartbeat", sessions.heartbeat.0, problems);
    positive("sessions.hello_timeout", sessions.hello_timeout.0, problems);
    positive("sessions.slow_timeout", sessions.slow_timeout.0, problems);
    if sessions.idle_timeout.0 <= 2 * sessions.heartbeat.0 {
        problems.add("sessions.idle_timeout", "must be more than two heartbeats, or a lost probe ends a connection");
    }
    if sessions.half_open_max == 0 {
        problems.add("sessions.half_open_max", "must be at least 1, or nobody could come in");
    }
    let least = FRAME_BYTES_MAX as u64;
    if sessions.queue_bytes_max.0 < least {
        problems.add("sessions.queue_bytes_max", format!("must be at least {least} bytes, so that one frame fits"));
    }
}

/// A send that names no head is compared with the newest events: they must be there.
fn retention(key: &str, events_max: u64, problems: &mut Problems) {
    if (1..DEDUPE_RECENT).contains(&events_max) {
        let text = format!(
            "must be at least {DEDUPE_RECENT}, among which a message that is sent again is looked for, or 0 to keep all"
        );
        problems.add(key, text);
    }
}

fn loopback(key: &str, address: SocketAddr, problems: &mut Problems) {
    if !address.ip().is_loopback() {
        let text = format!(
            "{address} is not loopback, and without a configuration nothing else is served; write one with \
             `switchyard default-config > switchyard.toml`, put a secret of your own in it and name it with --config"
        );
        problems.add(key, text);
    }
}

fn ops_public(address: SocketAddr, problems: &mut Problems) {
    let text = format!(
        "{address} is not loopback, and this port asks nobody for a token; keep it on loopback, or, when the network keeps \
         strangers from it, set ops.public = true"
    );
    problems.add("server.ops_listen", text);
}

/// A session lives on for no longer than the default after its token's end.
fn leeway(leeway: Span, problems: &mut Problems) {
    let most = Span(LEEWAY_DEFAULT);
    if leeway.0 > most.0 {
        let text = format!(
            "{leeway} is more than {most}, and sessions end within {most} of their token's end: those it lets in would end at once"
        );
        problems.add("auth.leeway", text);
    }
}

fn positive(key: &str, duration: Duration, problems: &mut Problems) {
    if duration.is_zero() {
        problems.add(key, "must be more than nothing");
    }
}

/// Origins and proxies are read by the edge, which names the entries that it cannot use.
fn admission(config: &Config, problems: &mut Problems) {
    if let Err(errors) = OriginPolicy::new(&config.origins.allow) {
        errors.iter().for_each(|error| problems.add("origins.allow", error.to_string()));
    }
    if let Err(errors) = TrustedProxies::new(&config.proxies.trusted) {
        errors.iter().for_each(|error| problems.add("proxies.trusted", error.to_string()));
    }
    if config.proxies.proxy_protocol && config.proxies.trusted.is_empty() {
        problems.add("proxies.proxy_protocol", "names no proxy to be believed; list their networks in proxies.trusted");
    }
    for error in config.budgets.errors() {
        problems.add(format!("budgets.{}", error.key), error.problem);
    }
}

#[cfg(test)]
mod tests;
