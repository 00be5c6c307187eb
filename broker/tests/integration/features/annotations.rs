//! What becomes of messages: edits, deletions, emoji, answers, mentions and pins.

mod kill;
mod present;
mod rights;

use serde_json::{Value, json};

use crate::plain::Plain;

/// The newest page, oldest first.
fn page(plain: &mut Plain, conversation: &str) -> Vec<Value> {
    let mut page = plain.done("history", &json!({"conversation": conversation, "limit": 200}));
    let mut messages: Vec<Value> = page["messages"].as_array_mut().map(std::mem::take).expect("a list");
    messages.reverse();
    messages
}

/// All events from the beginning, by resume, as often as it says that there are more.
fn resumed(plain: &mut Plain, conversation: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let seq = events.last().map_or(0, |event| event["seq"].as_u64().expect("a number"));
        let positions = json!({"positions": [{"conversation": conversation, "seq": seq}]});
        let mut resumed = plain.done("resume", &positions);
        let resumed = &mut resumed["conversations"][0];
        events.extend(resumed["events"].as_array_mut().map(std::mem::take).expect("a list"));
        if resumed["more"] == false {
            return events;
        }
    }
}

/// The id of a message that was sent.
fn id(sent: &Value) -> Value {
    sent["message"]["id"].clone()
}
