//! The answers to a request for a WebSocket: the one that makes it one, and those that refuse it.
//!
//! Texts are fixed or of the server's own making: nothing of a request is repeated.

use std::borrow::Cow;

use data_encoding::BASE64;
use sha1::{Digest, Sha1};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame::Form;

/// What a server appends to the client's key to show that it speaks WebSocket (RFC 6455, section 1.3).
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a request is turned away before anybody knows who sent it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{status}: {message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, for the person who wrote the client.
    pub message: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 400, message: message.into() }
    }

    pub(super) fn version() -> Self {
        Self { status: 426, message: "Sec-WebSocket-Version must be 13".into() }
    }

    /// The answer to write before the connection is closed.
    pub fn response(&self) -> Vec<u8> {
        refuse(self.status, ErrorCode::BadRequest, &self.message)
    }
}

/// The answer that makes the connection a WebSocket; `subprotocol` is named only if the client offered it. No extension is ever
/// accepted.
pub fn accept_response(key: &str, subprotocol: Option<Form>) -> Vec<u8> {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX).finalize();
    let mut out = String::with_capacity(192);
    out.push_str(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    BASE64.encode_append(&digest, &mut out);
    if let Some(form) = subprotocol {
        out.push_str("\r\nSec-WebSocket-Protocol: ");
        out.push_str(form.subprotocol());
    }
    out.push_str("\r\n\r\n");
    out.into_bytes()
}

/// An answer that ends the connection, with the error as JSON in the form of the live protocol.
pub fn refuse(status: u16, code: ErrorCode, message: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "ok": false,
        "error": {"code": code.name(), "number": code.number(), "message": message},
    })
    .to_string();
    let (phrase, extra) = match status {
        400 => ("Bad Request", ""),
        401 => ("Unauthorized", "WWW-Authenticate: Bearer\r\n"),
        403 => ("Forbidden", ""),
        404 => ("Not Found", ""),
        405 => ("Method Not Allowed", "Allow: GET\r\n"),
        408 => ("Request Timeout", ""),
        426 => ("Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
        429 => ("Too Many Requests", ""),
        431 => ("Request Header Fields Too Large", ""),
        500 => ("Internal Server Error", ""),
        503 => ("Service Unavailable", ""),
        _ => ("Refused", ""),
    };
    let connection = if status == 426 { "close, Upgrade" } else { "close" };
    format!(
        "HTTP/1.1 {status} {phrase}\r\n{extra}Content-Type: application/json\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: {connection}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_of_the_rfc() {
        let response = String::from_utf8(accept_response("dGhlIHNhbXBsZSBub25jZQ==", None)).expect("text");
        assert!(response.starts_with("HTTP/1.1 101 "));
        assert!(response.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{response}");
        assert!(!response.contains("Sec-WebSocket-Protocol"), "none was offered: {response}");
        assert!(response.ends_with("\r\n\r\n"));
        let response = accept_response("dGhlIHNhbXBsZSBub25jZQ==", Some(Form::Proto));
        let response = String::from_utf8(response).expect("text");
        assert!(response.contains("\r\nSec-WebSocket-Protocol: switchyard.v1.proto\r\n"), "{response}");
    }

    #[test]
    fn refusals_are_json_of_the_length_they_say() {
        let response = refuse(403, ErrorCode::Forbidden, "say \"please\"\r\n");
        let response = String::from_utf8(response).expect("text");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("\r\nConnection: close"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["ok"], false);
        assert_eq!(body["error"]["code"], "FORBIDDEN");
        assert_eq!(body["error"]["message"], "say \"please\"\r\n");
    }
}
