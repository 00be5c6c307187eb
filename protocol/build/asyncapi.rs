//! The AsyncAPI 3 document of the live protocol's JSON form, made from the one definition of the frames and its comments. What
//! is said by hand here is only what is said by hand in `src/json.rs`: the shape of frames that hold a choice. A test holds
//! real frames against the document.

mod events;
mod schemas;
mod tables;

use protox::prost_reflect::prost_types::FileDescriptorProto;
use serde_json::{Map, Value, json};

use events::EVENTS;
use schemas::{Comments, Definitions};

/// What each request is answered with if it succeeds: the reply's field in the definition. The same as `ReplyKind::of`, as a
/// test sees to.
const ANSWERS: &[(&str, &str)] = &[
    ("hello", "welcome"),
    ("resume", "resumed"),
    ("create", "created"),
    ("send", "sent"),
    ("history", "page"),
    ("subscribe", "subscribed"),
    ("unsubscribe", "done"),
    ("get", "detail"),
    ("members", "members"),
    ("renew", "renewed"),
    ("ping", "pong"),
    ("open", "opened"),
    ("typing", "done"),
    ("mark", "marked"),
    ("unread", "unread"),
    ("watch", "watched"),
    ("unwatch", "done"),
    ("list", "listed"),
    ("marks", "marks"),
    ("archive", "done"),
    ("unarchive", "done"),
    ("block", "done"),
    ("unblock", "done"),
    ("blocks", "blocks"),
];

/// What all others are answered with.
const CHANGED: &str = "changed";

/// The document of this definition.
pub(crate) fn document(file: &FileDescriptorProto) -> Result<String, Missing> {
    Ok(format!("{:#}\n", of_frames(file)?))
}

/// Something that the document speaks of and the definition has not.
pub(crate) type Missing = String;

fn of_frames(file: &FileDescriptorProto) -> Result<Value, Missing> {
    let definitions = Definitions::new(file, Comments::of(file));
    let mut messages = Map::new();
    let mut operations = Map::new();
    let replies: Map<String, Value> = definitions.choice("Reply", "result")?.into_iter().collect();
    for (name, schema) in definitions.choice("ClientFrame", "request")? {
        let answer = ANSWERS.iter().find(|(request, _)| *request == name).map_or(CHANGED, |(_, answer)| answer);
        let data = replies.get(answer).ok_or_else(|| format!("{name} is answered by nothing"))?;
        messages.insert(name.clone(), request(&name, &schema, &definitions));
        messages.insert(format!("{name}.reply"), reply(&name, data));
        operations.insert(
            name.clone(),
            json!({
                "action": "receive",
                "channel": {"$ref": "#/channels/live"},
                "messages": [{"$ref": format!("#/channels/live/messages/{name}")}],
                "reply": {"channel": {"$ref": "#/channels/live"}, "messages": [
                    {"$ref": format!("#/channels/live/messages/{name}.reply")},
                    {"$ref": "#/channels/live/messages/error"},
                ]},
            }),
        );
    }
    messages.insert("error".to_owned(), error());
    let mut schemas = definitions.schemas();
    schemas.insert("Event".to_owned(), events::any(&definitions));
    for event in EVENTS {
        messages.insert(format!("event.{}", event.name), event.message(&definitions)?);
        let message = format!("#/channels/live/messages/event.{}", event.name);
        operations.insert(
            format!("event.{}", event.name),
            json!({"action": "send", "channel": {"$ref": "#/channels/live"}, "messages": [{"$ref": message}]}),
        );
    }
    let refer = |name: &String| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")}));
    let referred: Map<String, Value> = messages.keys().map(refer).collect();
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Switchyard live protocol",
            "version": "1",
            "description": "The JSON form: one frame in each text message, subprotocol switchyard.v1.json. The binary form, \
                switchyard.v1.proto, has the same fields. Every request carries an id and gets exactly one reply with it; \
                events come unasked. Fields that are not known are to be skipped.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"development": {"host": "127.0.0.1:7400", "protocol": "ws"}},
        "channels": {"live": {
            "address": "/v1/ws",
            "description": "One WebSocket for each device. The token comes with hello, or with the upgrade: as \
                Authorization: Bearer, or as subprotocol bearer.<jwt>.",
            "messages": referred,
        }},
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
        "x-errors": tables::errors(),
        "x-closes": tables::closes(),
        "x-limits": tables::limits(),
    }))
}

fn request(name: &str, schema: &Value, definitions: &Definitions) -> Value {
    json!({
        "name": name,
        "summary": definitions.described(schema),
        "payload": {
            "type": "object",
            "required": ["id", name],
            "properties": {"id": schemas::integer("Chosen by the client; the reply has the same."), name: schema},
        },
    })
}

fn reply(name: &str, data: &Value) -> Value {
    json!({
        "name": format!("{name}.reply"),
        "summary": format!("What {name} is answered with if it succeeds."),
        "payload": {
            "type": "object",
            "required": ["id", "ok", "data"],
            "properties": {"id": schemas::integer("The request's."), "ok": {"const": true}, "data": data},
        },
    })
}

fn error() -> Value {
    json!({
        "name": "error",
        "summary": "What any request is answered with if it fails.",
        "payload": {
            "type": "object",
            "required": ["id", "ok", "error"],
            "properties": {
                "id": schemas::integer("The request's; 0 if it could not be read."),
                "ok": {"const": false},
                "error": {"$ref": "#/components/schemas/Error"},
            },
        },
    })
}
