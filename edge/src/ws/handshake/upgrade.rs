//! A request for a WebSocket (RFC 6455, section 4.2): its conditions, and the choice of the subprotocol.

use std::fmt;

use switchyard_protocol::frame::Form;

use super::fields::Fields;
use super::{Head, Refusal, accept_response};

/// What stands before a token in the list of subprotocols: the one place where a script in a browser can put it.
const BEARER_PREFIX: &str = "bearer.";

/// The version of the WebSocket protocol; there is no other.
const VERSION: &str = "13";

/// A valid request for a WebSocket. Who asks, and from where, is still to be judged.
#[derive(Clone)]
pub struct Upgrade {
    /// The request.
    pub head: Head,
    /// `Sec-WebSocket-Key`: 16 bytes in base64.
    pub key: String,
    /// The form chosen from the client's list of subprotocols; none if the list has no subprotocol.
    pub subprotocol: Option<Form>,
    /// The token among the subprotocols, without its prefix. Never echoed.
    pub subprotocol_bearer: Option<String>,
}

impl Upgrade {
    pub(super) fn new(head: Head, fields: &Fields<'_>) -> Result<Self, Refusal> {
        if head.method != "GET" || head.minor_version == 0 {
            return Err(Refusal::bad("an upgrade is a GET of HTTP/1.1"));
        }
        if !fields.has_token("connection", "upgrade") {
            return Err(Refusal::bad("Connection does not contain upgrade"));
        }
        if fields.single("sec-websocket-version")? != Some(VERSION) {
            return Err(Refusal::version());
        }
        let key = fields.single("sec-websocket-key")?.filter(|key| is_key(key));
        let key = key.ok_or(Refusal::bad("Sec-WebSocket-Key is not 16 bytes in base64"))?.to_owned();
        let (subprotocol, subprotocol_bearer) = choose_subprotocol(fields)?;
        Ok(Self { head, key, subprotocol, subprotocol_bearer })
    }

    /// The form of this connection's frames: JSON unless the client chose.
    pub fn form(&self) -> Form {
        self.subprotocol.unwrap_or(Form::Json)
    }

    /// The answer that makes the connection a WebSocket.
    pub fn accept(&self) -> Vec<u8> {
        accept_response(&self.key, self.subprotocol)
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("head", &self.head)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}

/// The first subprotocol of the client's list that is known, and the token in the list.
fn choose_subprotocol(fields: &Fields<'_>) -> Result<(Option<Form>, Option<String>), Refusal> {
    let mut chosen = None;
    let mut bearer = None;
    let mut has_unknown = false;
    for name in fields.elements("sec-websocket-protocol") {
        if let Some(token) = name.strip_prefix(BEARER_PREFIX) {
            if bearer.replace(token.to_owned()).is_some() {
                return Err(Refusal::bad("two tokens among the subprotocols"));
            }
        } else if let Some(form) = Form::of_subprotocol(name) {
            chosen = chosen.or(Some(form));
        } else {
            has_unknown = true;
        }
    }
    let known = || Form::ALL.map(Form::subprotocol).join(" or ");
    if chosen.is_none() && has_unknown {
        return Err(Refusal::bad(format!("subprotocol must be {}", known())));
    }
    if chosen.is_none() && bearer.is_some() {
        // The token is never echoed, and a browser fails without a reason when none of what it offered is chosen.
        return Err(Refusal::bad(format!("beside the token, offer the subprotocol {}", known())));
    }
    Ok((chosen, bearer))
}

/// Whether this is the base64 of 16 bytes. The unused bits of its last letter may be anything, as in the example of RFC 6455.
fn is_key(key: &str) -> bool {
    let letters = key.strip_suffix("==").map(str::as_bytes).unwrap_or_default();
    letters.len() == 22 && letters.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
