//! From a connection's first byte to its upgrade: a PROXY header where one is awaited, the request head, and the
//! judgement of who asks. What is no WebSocket goes to another server.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use switchyard_cluster::link::EdgeLink;
use switchyard_cluster::now::Now;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;

use super::Door;
use super::connection::{Open, Passage, Place, Stage, moment, plain};
use crate::admission::budget;
use crate::admission::proxy::{ProxyHeader, read_proxy_header};
use crate::auth::{Identity, TokenRefusal};
use crate::metrics::{Ended, Refused};
use crate::session::Session;
use crate::ws::Decoder;
use crate::ws::handshake::{Head, Http, Request, Upgrade, refuse};

/// Where WebSockets are.
const PATH: &str = "/v1/ws";

/// A refusal before the upgrade: status, code, words, and the reason for metrics.
struct Rejection(u16, ErrorCode, &'static str, Refused);

impl<L: EdgeLink> Door<L> {
    /// Takes bytes of a connection that is opening; `input` is the begin of the read buffer.
    pub(super) fn on_opening(&mut self, slot: u32, size: usize, now: Now) {
        let Some(from) = self.after_proxy_header(slot, size, now) else { return };
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let Stage::Opening(opening) = &mut connection.stage else { return };
        let input = self.read_buffer.get(from..size).unwrap_or_default();
        match opening.head.feed(input) {
            Ok(None) => {}
            Ok(Some(request)) => self.on_request_head(slot, request, now),
            Err(refusal) => {
                self.metrics.refused(Refused::Malformed);
                self.refuse_with(slot, &refusal.response(), now);
            }
        }
    }

    /// Where in the read buffer the client's own bytes begin; `None` if none have come or the connection is gone.
    fn after_proxy_header(&mut self, slot: u32, size: usize, now: Now) -> Option<usize> {
        let Stage::Opening(opening) = &mut self.connections.get_mut(slot as usize)?.stage else { return None };
        let Some(kept) = &mut opening.proxy_header else { return Some(0) };
        let before = kept.len();
        kept.extend_from_slice(self.read_buffer.get(..size)?);
        match read_proxy_header(kept) {
            ProxyHeader::Partial => None,
            ProxyHeader::Complete { client, bytes } => {
                opening.proxy_header = None;
                if let Some(client) = client {
                    opening.client = SocketAddr::new(plain(client.ip()), client.port());
                    let address = opening.client.ip();
                    if self.knock(slot, address, now).is_err() {
                        self.remove(slot, Ended::Refused, now);
                        return None;
                    }
                }
                Some(bytes.saturating_sub(before)).filter(|from| *from < size)
            }
            ProxyHeader::Invalid => {
                self.metrics.refused(Refused::Proxy);
                self.remove(slot, Ended::Refused, now);
                None
            }
        }
    }

    fn knock(&mut self, slot: u32, client: std::net::IpAddr, now: Now) -> Result<(), budget::Refusal> {
        let result = self.shared.admission.knock(client, moment(now));
        match result {
            Ok(knocking) => {
                if let Some(connection) = self.connections.get_mut(slot as usize) {
                    connection.passage = Passage::Knocking(knocking);
                }
                Ok(())
            }
            Err(refusal) => {
                self.metrics.over_budget(refusal.limit);
                self.metrics.refused(Refused::Budget);
                Err(refusal)
            }
        }
    }

    fn on_request_head(&mut self, slot: u32, request: Request, now: Now) {
        let upgrade = match request {
            Request::Http(http) => {
                return match self.count_client(slot, &http.head, now) {
                    Ok(()) => self.hand_over(slot, *http, now),
                    Err(rejection) => self.reject(slot, rejection, now),
                };
            }
            Request::Upgrade(upgrade) => upgrade,
        };
        match self.judge(slot, &upgrade, now) {
            Ok(identity) => self.open(slot, &upgrade, identity, now),
            Err(rejection) => self.reject(slot, rejection, now),
        }
    }

    fn reject(&mut self, slot: u32, rejection: Rejection, now: Now) {
        let Rejection(status, code, message, why) = rejection;
        self.metrics.refused(why);
        self.refuse_with(slot, &refuse(status, code, message), now);
    }

    /// Whether this client may have a WebSocket, and who it is, if it brought a token already.
    fn judge(&mut self, slot: u32, upgrade: &Upgrade, now: Now) -> Result<Option<Identity>, Rejection> {
        let head = &upgrade.head;
        if head.path != PATH {
            return Err(Rejection(404, ErrorCode::NotFound, "WebSockets are at /v1/ws", Refused::Path));
        }
        let shared = std::sync::Arc::clone(&self.shared);
        let origin = shared.config.origins.check(head.origin.as_deref().map(str::as_bytes));
        if !origin.admits() {
            let message = "pages of this origin may not connect";
            return Err(Rejection(403, ErrorCode::Forbidden, message, Refused::Origin));
        }
        self.count_client(slot, head, now)?;
        let cookie = origin.cookie_counts().then(|| cookie(head, &shared.config.token_cookie)).flatten();
        let said = head.bearer.as_deref().or(upgrade.subprotocol_bearer.as_deref());
        let Some(token) = said.or(cookie) else { return Ok(None) };
        let identity = self.desk.verifier.verify(token, now.wall_ms).and_then(|identity| {
            let nul = [identity.user.as_str(), identity.tenant.as_str()].iter().any(|id| id.as_bytes().contains(&0));
            if nul { Err(TokenRefusal::Claims) } else { Ok(identity) }
        });
        let identity = match identity {
            Ok(identity) => identity,
            Err(reason) => {
                self.metrics.token_refused(reason);
                // A browser adds its cookie, old or not, to all that a page asks; the page's own word comes in hello.
                return match said {
                    None => Ok(None),
                    Some(_) => {
                        let message = "the token is missing or not valid";
                        Err(Rejection(401, ErrorCode::AuthInvalid, message, Refused::Token))
                    }
                };
            }
        };
        let entered = shared.admission.enter(&identity.tenant, &identity.user, moment(now)).map_err(|refusal| {
            self.metrics.over_budget(refusal.limit);
            Rejection(429, ErrorCode::RateLimited, "too many connections", Refused::Budget)
        })?;
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            connection.entered = Some(entered);
        }
        Ok(Some(identity))
    }

    /// Counts a client for whom a trusted proxy speaks in its headers.
    fn count_client(&mut self, slot: u32, head: &Head, now: Now) -> Result<(), Rejection> {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return Ok(()) };
        let (Passage::None, Stage::Opening(opening)) = (&connection.passage, &mut connection.stage) else {
            return Ok(());
        };
        let headers = head.forwarded_for.as_deref().map(str::as_bytes);
        let client = self.shared.config.proxies.client_address(opening.client.ip(), headers);
        if client == opening.client.ip() {
            return Ok(());
        }
        opening.client = SocketAddr::new(client, 0);
        let refused = |_| Rejection(429, ErrorCode::RateLimited, "too many connections", Refused::Budget);
        self.knock(slot, client, now).map_err(refused)
    }

    fn open(&mut self, slot: u32, upgrade: &Upgrade, identity: Option<Identity>, now: Now) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let session = Session::new(upgrade.form(), identity.as_ref());
        connection.stage = Stage::Open(Open { decoder: Decoder::new(), session });
        connection.since = now.mono.into();
        self.metrics.active.increment(1);
        let answer = self.outbox.put_raw(&upgrade.accept());
        self.push(slot, answer);
        if identity.is_some() {
            self.admitted(slot);
        }
        self.arm(slot, now);
    }

    /// It is known who this is.
    pub(super) fn admitted(&mut self, slot: u32) {
        self.not_half_open(slot);
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.passage.establish();
        let id = connection.id;
        if let Stage::Open(open) = &mut connection.stage
            && let Some(tenant) = open.session.tenant()
        {
            // The set is small in honest use; whoever makes up tenants (in development) only empties it.
            if self.tenants.len() >= TENANTS_SHARED_MAX {
                self.tenants.clear();
            }
            let shared = match self.tenants.get(tenant) {
                Some(shared) => shared.clone(),
                None => {
                    self.tenants.insert(tenant.clone());
                    tenant.clone()
                }
            };
            open.session.share_tenant(shared);
            if let (Some(tenant), Some(user)) = (open.session.tenant(), open.session.user()) {
                let (home, user) = (ConversationKey::home(tenant, user), user.clone());
                self.count_session(home, user, 1);
            }
        }
        self.log_begun(id);
    }

    /// Gives the socket to the server that speaks all of HTTP.
    fn hand_over(&mut self, slot: u32, http: Http, now: Now) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let Stage::Opening(opening) = &connection.stage else { return };
        let client = opening.client;
        if self.registry.deregister(&mut connection.socket).is_err() {
            return self.remove(slot, Ended::Lost, now);
        }
        if let Some(connection) = self.take_out(slot, Ended::Http) {
            let socket = std::net::TcpStream::from(OwnedFd::from(connection.socket));
            (self.shared.handover)(socket, http.bytes, client, Place(connection.passage));
        }
    }
}

/// Tenants whose ids are shared among their sessions.
const TENANTS_SHARED_MAX: usize = 10_000;

/// The value of a cookie.
fn cookie<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    let pairs = head.cookie.as_deref()?.split(';').filter_map(|pair| pair.split_once('='));
    let mut values =
        pairs.filter(|(key, _)| key.trim_matches(' ') == name).map(|(_, value)| value.trim_matches([' ', '"']));
    values.next()
}
