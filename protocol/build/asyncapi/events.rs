//! The shape of events in JSON, which is written by hand in `src/json.rs`, too.

use serde_json::{Map, Value, json};

use super::Missing;
use super::schemas::{self, Definitions};

/// How an event is written.
pub(super) struct Event {
    /// What `event` says.
    pub(super) name: &'static str,
    /// Its field in the definition.
    field: &'static str,
    shape: Shape,
}

enum Shape {
    /// With a place in its conversation's timeline, and its fields under this name.
    Numbered(&'static str),
    /// Of a conversation, its fields beside the name.
    Of,
    /// Of a conversation, its fields under this name.
    In(&'static str),
    /// Of no conversation, its fields beside the name.
    Bare,
}

const fn event(name: &'static str, field: &'static str, shape: Shape) -> Event {
    Event { name, field, shape }
}

/// All of them.
pub(super) const EVENTS: &[Event] = &[
    event("message", "message", Shape::Numbered("message")),
    event("updated", "updated", Shape::Numbered("message")),
    event("deleted", "deleted", Shape::Numbered("deleted")),
    event("reacted", "reacted", Shape::Numbered("reacted")),
    event("members", "members", Shape::Numbered("members")),
    event("conversation", "change", Shape::Numbered("change")),
    event("typing", "typing", Shape::Of),
    event("presence", "presence", Shape::Bare),
    event("marks", "marks", Shape::Of),
    event("listed", "listed", Shape::In("listed")),
    event("head", "head", Shape::Of),
    event("gap", "gap", Shape::Of),
    event("drain", "drain", Shape::Bare),
    event("token_expiring", "token_expiring", Shape::Bare),
];

/// Any of them, as pages of resume hold them.
pub(super) fn any(definitions: &Definitions) -> Value {
    let refer = |event: &Event| json!({"$ref": format!("#/components/messages/event.{}/payload", event.name)});
    let description = definitions.described(&json!({"$ref": "#/components/schemas/Event"}));
    json!({"description": description, "oneOf": EVENTS.iter().map(refer).collect::<Vec<_>>()})
}

impl Event {
    /// The message that it is in the document.
    pub(super) fn message(&self, definitions: &Definitions) -> Result<Value, Missing> {
        let choice = definitions.choice("Event", "body")?;
        let schema = choice.into_iter().find(|(field, _)| field == self.field).map(|(_, schema)| schema);
        let schema = schema.ok_or_else(|| format!("there is no event {}", self.field))?;
        let mut properties = Map::from_iter([("event".to_owned(), json!({"const": self.name}))]);
        let mut required = vec!["event"];
        if !matches!(self.shape, Shape::Bare) {
            properties.insert("conversation".to_owned(), json!({"type": "string"}));
            required.push("conversation");
        }
        if let Shape::Numbered(under) | Shape::In(under) = self.shape {
            properties.insert(under.to_owned(), schema.clone());
            required.push(under);
        } else {
            properties.extend(definitions.properties(&schema)?);
        }
        if let Shape::Numbered(_) = self.shape {
            properties.insert("seq".to_owned(), schemas::integer("Its place in the conversation's timeline."));
            required.push("seq");
        }
        Ok(json!({
            "name": self.name,
            "summary": definitions.described(&schema),
            "payload": {"type": "object", "required": required, "properties": properties},
        }))
    }
}
