//! JSON schemas of the messages and enums of a definition, with its comments as descriptions.

use std::collections::BTreeMap;

use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use serde_json::{Map, Value, json};

use super::Missing;

/// The largest integer on the wire.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Messages whose JSON is written by hand, and that are not schemas of their own.
const FRAMES: [&str; 4] = ["ClientFrame", "ServerFrame", "Reply", "Event"];

/// Fields that hold users' ids, which a client may write as numbers.
const USER_IDS: [&str; 11] = [
    "Create.members",
    "Add.members",
    "Remove.member",
    "Promote.member",
    "Demote.member",
    "Members.after",
    "Send.mentions",
    "Edit.mentions",
    "Mark.user",
    "Watch.users",
    "Unwatch.users",
];

/// An integer of the wire.
pub(super) fn integer(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": INTEGER_MAX, "description": description})
}

/// The comments of a definition, by the path of what they stand before.
pub(super) struct Comments(BTreeMap<Vec<i32>, String>);

/// Numbers of fields in the descriptor of a file and a message, as paths have them.
const MESSAGES: i32 = 4;
const ENUMS: i32 = 5;
const FIELDS: i32 = 2;

impl Comments {
    pub(super) fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations.filter_map(|location| {
            let text = location.leading_comments.as_deref()?;
            Some((location.path.clone(), text.split_whitespace().collect::<Vec<_>>().join(" ")))
        });
        Self(comments.collect())
    }

    fn at(&self, path: &[i32]) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

/// All that a definition defines.
pub(super) struct Definitions<'a> {
    file: &'a FileDescriptorProto,
    comments: Comments,
}

impl<'a> Definitions<'a> {
    pub(super) fn new(file: &'a FileDescriptorProto, comments: Comments) -> Self {
        Self { file, comments }
    }

    fn message(&self, name: &str) -> Result<(i32, &'a DescriptorProto), Missing> {
        let found = (0..).zip(&self.file.message_type).find(|(_, message)| message.name() == name);
        found.ok_or_else(|| format!("there is no message {name}"))
    }

    /// The fields of a choice, each with its schema.
    pub(super) fn choice(&self, message: &str, choice: &str) -> Result<Vec<(String, Value)>, Missing> {
        let (_, message) = self.message(message)?;
        let place = (0..).zip(&message.oneof_decl).find(|(_, oneof)| oneof.name() == choice).map(|(at, _)| at);
        let fields = message.field.iter().filter(|field| field.oneof_index == place && !field.proto3_optional());
        Ok(fields.map(|field| (field.name().to_owned(), refer(field.type_name()))).collect())
    }

    /// The first sentences of what a reference refers to.
    pub(super) fn described(&self, schema: &Value) -> String {
        let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let place = self.message(name).ok().map(|(at, _)| at);
        place.and_then(|at| self.comments.at(&[MESSAGES, at])).unwrap_or(name).to_owned()
    }

    /// The properties of what a reference refers to.
    pub(super) fn properties(&self, schema: &Value) -> Result<Map<String, Value>, Missing> {
        let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let (at, message) = self.message(name)?;
        Ok((0..)
            .zip(&message.field)
            .map(|(place, field)| {
                let comment = self.comments.at(&[MESSAGES, at, FIELDS, place]);
                (field.name().to_owned(), of_field(name, field, comment))
            })
            .collect())
    }

    /// The schemas of all messages and enums.
    pub(super) fn schemas(&self) -> Map<String, Value> {
        let mut schemas = Map::new();
        for (at, message) in (0..).zip(&self.file.message_type) {
            let name = message.name();
            if FRAMES.contains(&name) {
                continue;
            }
            let schema = if name == "Subscriptions" {
                json!({"oneOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}}]})
            } else {
                let properties = self.properties(&refer(name)).unwrap_or_default();
                json!({"type": "object", "properties": properties})
            };
            schemas.insert(name.to_owned(), described(schema, self.comments.at(&[MESSAGES, at])));
        }
        for (at, kinds) in (0..).zip(&self.file.enum_type) {
            // Kinds of messages are written as they are defined, all others in small letters.
            let spelt = |name: &str| if kinds.name() == "MessageKind" { name.to_owned() } else { name.to_lowercase() };
            let names: Vec<String> = kinds.value.iter().map(|value| spelt(value.name())).collect();
            let schema = json!({"type": "string", "enum": names});
            schemas.insert(kinds.name().to_owned(), described(schema, self.comments.at(&[ENUMS, at])));
        }
        schemas
    }
}

fn refer(type_name: &str) -> Value {
    let name = type_name.rsplit('.').next().unwrap_or_default();
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn described(mut schema: Value, comment: Option<&str>) -> Value {
    if let (Some(comment), Some(schema)) = (comment, schema.as_object_mut()) {
        schema.insert("description".to_owned(), comment.into());
    }
    schema
}

fn of_field(message: &str, field: &FieldDescriptorProto, comment: Option<&str>) -> Value {
    let is_user = USER_IDS.contains(&&*format!("{message}.{}", field.name()));
    let one = match field.r#type() {
        Type::String if is_user => json!({"type": ["string", "integer"]}),
        Type::String => json!({"type": "string"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Message | Type::Enum => refer(field.type_name()),
        _ => json!({"type": "integer", "minimum": 0, "maximum": INTEGER_MAX}),
    };
    let schema = if field.label() == Label::Repeated { json!({"type": "array", "items": one}) } else { one };
    described(schema, comment)
}
