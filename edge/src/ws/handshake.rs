//! The begin of a connection: an HTTP/1.1 request head from bytes as they arrive, and what it asks for.
//!
//! [`HeadReader`] gives an [`Upgrade`] to WebSocket, an ordinary request that another server takes over with the bytes read so far,
//! or a [`Refusal`] whose answer is written before the connection is closed. Whatever two HTTP servers could read in two
//! ways is refused for both kinds, since a proxy may stand before and another server behind. Must not judge who is asking:
//! tokens and origins are only read, and never printed.

mod answer;
mod fields;
mod head;
mod upgrade;

pub use answer::{Refusal, accept_response, refuse};
pub use head::Head;
pub use upgrade::Upgrade;

use fields::Fields;

/// Bytes of a request head. A token in it may have 6 KiB, and what browsers and proxies add fits in the rest; common servers take 8 KiB
/// too.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Fields of a request head; browsers behind two proxies send about thirty.
pub const HEADERS_MAX: usize = 64;

/// A whole request head, judged.
#[derive(Debug)]
pub enum Request {
    /// A valid request for a WebSocket.
    Upgrade(Box<Upgrade>),
    /// Any other request.
    Http(Box<Http>),
}

/// An ordinary request, for a server that speaks all of HTTP.
pub struct Http {
    /// What is asked for.
    pub head: Head,
    /// Everything read of the connection so far: the head, and what came with it of the body or of further requests.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes may hold a token.
        f.debug_struct("Http").field("head", &self.head).field("bytes", &self.bytes.len()).finish()
    }
}

/// Collects a request head. Every byte is looked at once, however finely the head is cut.
#[derive(Default)]
pub struct HeadReader {
    bytes: Vec<u8>,
    scan: Scan,
    refusal: Option<Refusal>,
}

/// Where in the head's lines the next byte stands.
#[derive(Default)]
struct Scan {
    /// Whether a line with something in it has come: empty ones before the request are skipped.
    begun: bool,
    /// Whether the present line has something in it.
    in_line: bool,
    after_cr: bool,
}

impl HeadReader {
    /// A reader at the begin of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the connection; a request once its head is whole. To be called no more after one was returned. A
    /// refusal is final, and further calls return it again.
    pub fn feed(&mut self, input: &[u8]) -> Result<Option<Request>, Refusal> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let result = self.take(input);
        if let Err(refusal) = &result {
            self.bytes = Vec::new();
            self.refusal = Some(refusal.clone());
        }
        result
    }

    /// Bytes of memory held for a head that is not whole.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn take(&mut self, input: &[u8]) -> Result<Option<Request>, Refusal> {
        let room = HEAD_BYTES_MAX - self.bytes.len().min(HEAD_BYTES_MAX);
        // What lies beyond the limit is not even looked at.
        let within = input.get(..room).unwrap_or(input);
        let Some(end) = self.scan.find_end(within)? else {
            if input.len() > room {
                return Err(Refusal::bad("request head is too large"));
            }
            self.keep(input);
            return Ok(None);
        };
        let head_size = self.bytes.len() + end;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.reserve_exact(input.len());
        bytes.extend_from_slice(input);
        parse(bytes, head_size).map(Some)
    }

    /// Keeps a piece of a head; memory grows with what arrived, up to the limit.
    fn keep(&mut self, input: &[u8]) {
        let needed = self.bytes.len() + input.len();
        if needed > self.bytes.capacity() {
            let target = needed.max(HEAD_BYTES_MAX.min(2 * needed));
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(input);
    }
}

impl Scan {
    /// The place behind the empty line that ends the head, if it is in `input`. Refuses line ends that are not CR LF, and control
    /// characters, which also turns away clients that speak something else (TLS) at their first byte.
    fn find_end(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        for (at, &byte) in input.iter().enumerate() {
            if (byte == b'\n') != self.after_cr {
                return Err(Refusal::bad("line does not end in CR LF"));
            }
            match byte {
                b'\r' => self.after_cr = true,
                b'\n' => {
                    self.after_cr = false;
                    if !self.in_line && self.begun {
                        return Ok(Some(at + 1));
                    }
                    self.begun |= self.in_line;
                    self.in_line = false;
                }
                b'\t' | 0x20..=0x7e | 0x80..=0xff => self.in_line = true,
                _ => return Err(Refusal::bad("control character in the request head")),
            }
        }
        Ok(None)
    }
}

/// Judges a connection's first bytes, `head_size` of which are a head.
fn parse(bytes: Vec<u8>, head_size: usize) -> Result<Request, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head_bytes = bytes.get(..head_size).unwrap_or_default();
    match request.parse(head_bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::bad("too many header fields")),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Refusal::bad("malformed request head")),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::bad("malformed request line"));
    };
    let fields = Fields::new(request.headers);
    let has_body = fields.has_body(minor)?;
    let head = Head::new(method, target, minor, &fields)?;
    if !fields.has_token("upgrade", "websocket") {
        return Ok(Request::Http(Box::new(Http { head, bytes })));
    }
    if has_body || bytes.len() > head_size {
        // A client waits for the answer before it sends frames, so whatever follows is meant for somebody else's parser.
        return Err(Refusal::bad("an upgrade has no body"));
    }
    Upgrade::new(head, &fields).map(|upgrade| Request::Upgrade(Box::new(upgrade)))
}

#[cfg(test)]
mod tests;
