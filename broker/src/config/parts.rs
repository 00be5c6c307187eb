//! The configuration as each role takes it. Values only: what a value means is the role's business.

use std::net::SocketAddr;
use std::time::Duration;

use switchyard_edge::admission::origin::OriginPolicy;
use switchyard_edge::admission::proxy::TrustedProxies;
use switchyard_edge::config::{EdgeConfig, Room, Timing};
use switchyard_edge::session::SessionConfig;
use switchyard_router::config::{READERS_SHARED, Retention, RetentionRule, RouterConfig};
use switchyard_store::cql;
use switchyard_store::embedded::Options;

use super::problem::Problems;
use super::sections::{RetentionLimits, StoreKind, Switch};
use super::settings::Settings;

impl Settings {
    /// For the edge, whose clients come to this address.
    pub fn edge(&self, public: SocketAddr) -> Result<EdgeConfig, Problems> {
        let mut problems = Problems::default();
        let origins = OriginPolicy::new(&self.config.origins.allow)
            .map_err(|errors| errors.iter().for_each(|e| problems.add("origins.allow", e.to_string())));
        let proxies = TrustedProxies::new(&self.config.proxies.trusted)
            .map_err(|errors| errors.iter().for_each(|e| problems.add("proxies.trusted", e.to_string())));
        let (Ok(origins), Ok(proxies)) = (origins, proxies) else { return Err(problems) };
        let sessions = &self.config.sessions;
        let defaults = EdgeConfig::default();
        Ok(EdgeConfig {
            // In development the pages of this machine are its developer's, and demo users come by the page alone.
            origins: if self.dev || self.demo_users() { origins.with_page_at(public) } else { origins },
            proxies,
            proxy_protocol: self.config.proxies.proxy_protocol,
            token_cookie: self.config.auth.cookie.clone(),
            budgets: self.budgets(),
            session: SessionConfig { heartbeat_ms: millis(sessions.heartbeat.0), ..defaults.session },
            timing: Timing {
                handshake: sessions.handshake_timeout.0,
                hello: sessions.hello_timeout.0,
                heartbeat: sessions.heartbeat.0,
                idle: sessions.idle_timeout.0,
                slow: sessions.slow_timeout.0,
                ..defaults.timing
            },
            room: Room {
                connections_max: sessions.connections_max,
                half_open_max: sessions.half_open_max,
                queue_bytes_max: usize::try_from(sessions.queue_bytes_max.0).unwrap_or(usize::MAX),
            },
        })
    }

    /// For the router.
    pub fn router(&self) -> RouterConfig {
        let conversations = &self.config.conversations;
        RouterConfig {
            idle_after: conversations.idle_after.0,
            retention: Retention {
                direct: rule(&self.config.retention.direct),
                group: rule(&self.config.retention.group),
            },
            members_add: conversations.members_add,
            requests: conversations.requests == Switch::On,
            unknown_after: conversations.unknown_after.0,
            offline_after: self.config.presence.offline_after.0,
            readers: match self.config.store.kind {
                StoreKind::Embedded => RouterConfig::default().readers,
                StoreKind::Cql => READERS_SHARED,
            },
            ..RouterConfig::default()
        }
    }

    /// For the embedded store.
    pub fn store(&self) -> Options {
        let store = &self.config.store;
        Options {
            free_bytes_min: store.free_bytes_min.0,
            segment_bytes: store.segment_bytes.0,
            cache_bytes: store.cache_bytes.0,
            ..Options::default()
        }
    }

    /// For the CQL store.
    pub fn cql(&self) -> Result<cql::Options, Problems> {
        let mut problems = Problems::default();
        let options = self.config.store.cql.options(&mut problems);
        problems.or(options)
    }

    /// How many worker threads.
    pub fn workers(&self) -> usize {
        match self.config.server.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }
}

fn rule(limits: &RetentionLimits) -> RetentionRule {
    RetentionRule {
        events_max: (limits.events_max > 0).then_some(limits.events_max),
        age_max: (!limits.age_max.0.is_zero()).then_some(limits.age_max.0),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Source};

    /// What the printed defaults say is what the roles have as theirs: nobody has to look into the code for them.
    #[test]
    fn the_defaults_are_the_roles_own() {
        let settings = Settings::resolve(&Source::default(), &Overrides::default()).expect("the defaults will do");
        let edge = settings.edge(settings.config.server.listen).expect("the defaults will do");
        let expected = EdgeConfig::default();
        assert_eq!(format!("{:?}", edge.timing), format!("{:?}", expected.timing));
        assert_eq!(format!("{:?}", edge.room), format!("{:?}", expected.room));
        assert_eq!(format!("{:?}", edge.session), format!("{:?}", expected.session));
        assert_eq!((edge.token_cookie, edge.proxy_protocol), (expected.token_cookie, expected.proxy_protocol));
        assert_eq!(format!("{:?}", settings.router()), format!("{:?}", RouterConfig::default()));
        assert_eq!(format!("{:?}", settings.store()), format!("{:?}", Options::default()));
    }
}
