//! What the document says beside AsyncAPI's own words: error codes, close codes and limits, from the crate's own tables.

use serde_json::{Value, json};

use crate::code::{CloseCode, ErrorCode};
use crate::limits::ALL;

pub(super) fn errors() -> Vec<Value> {
    let error = |code: &ErrorCode| json!({"code": code.name(), "number": code.number(), "retry": code.retry(), "description": code.about()});
    ErrorCode::ALL.iter().map(error).collect()
}

pub(super) fn closes() -> Vec<Value> {
    let close = |code: &CloseCode| {
        let retry = CloseCode::retry(code.number());
        json!({"number": code.number(), "reason": code.reason(), "retry": retry, "description": code.about()})
    };
    CloseCode::ALL.iter().map(close).collect()
}

pub(super) fn limits() -> Vec<Value> {
    let limit = |(name, value, about): &(&str, u64, &str)| json!({"name": name.to_lowercase(), "value": value, "description": about.trim()});
    ALL.iter().map(limit).collect()
}
