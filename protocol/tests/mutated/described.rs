//! The document that describes the JSON form, held against frames of every kind: what is written is what it says.

use serde_json::{Value, json};
use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::frame;
use switchyard_protocol::json::ReplyKind;
use switchyard_protocol::limits;

use super::samples;

fn document() -> Value {
    serde_json::from_str(switchyard_protocol::ASYNCAPI).expect("JSON")
}

/// What a value has that its schema does not allow; nothing if it fits. As much of JSON Schema as the document uses.
fn misfit(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.strip_prefix('#')?);
        return match schema {
            Some(schema) => misfit(document, schema, value),
            None => Some(format!("{reference} leads nowhere")),
        };
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().filter(|choice| misfit(document, choice, value).is_none()).count();
        return (fits != 1).then(|| format!("{value} is {fits} of {schema}"));
    }
    let wrong = || Some(format!("{value} is not {schema}"));
    if let Some(constant) = schema.get("const") {
        return if value == constant { None } else { wrong() };
    }
    match &schema["type"] {
        kind if *kind == "object" => misfit_object(document, schema, value),
        kind if *kind == "array" => match value.as_array() {
            Some(items) => items.iter().find_map(|item| misfit(document, &schema["items"], item)),
            None => wrong(),
        },
        kind if *kind == "string" => match (value.as_str(), schema["enum"].as_array()) {
            (Some(_), None) => None,
            (Some(_), Some(names)) if names.contains(value) => None,
            _ => wrong(),
        },
        kind if *kind == "integer" && value.as_u64() <= schema["maximum"].as_u64() && value.is_u64() => None,
        kind if *kind == "boolean" && value.is_boolean() => None,
        kind if *kind == json!(["string", "integer"]) && (value.is_string() || value.is_u64()) => None,
        _ => wrong(),
    }
}

fn misfit_object(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let Some(object) = value.as_object() else { return Some(format!("{value} is no object")) };
    let required = schema["required"].as_array().into_iter().flatten();
    let mut missing = required.filter_map(Value::as_str).filter(|name| !object.contains_key(*name));
    if let Some(name) = missing.next() {
        return Some(format!("{name} is missing in {value}"));
    }
    object.iter().find_map(|(name, value)| match schema["properties"].get(name) {
        Some(schema) => misfit(document, schema, value).map(|wrong| format!("{name}: {wrong}")),
        None => Some(format!("{name} is not described")),
    })
}

/// The messages of the document whose names pass.
fn fits<'a>(document: &'a Value, passes: impl Fn(&str) -> bool + 'a, frame: &Value) -> Result<&'a str, Vec<String>> {
    let messages = document["components"]["messages"].as_object().expect("messages");
    let mut misfits = Vec::new();
    for (name, message) in messages.iter().filter(|(name, _)| passes(name)) {
        match misfit(document, &message["payload"], frame) {
            None => return Ok(name),
            Some(wrong) => misfits.push(format!("{name}: {wrong}")),
        }
    }
    Err(misfits)
}

#[test]
fn every_frame_of_the_server_is_described() {
    let document = document();
    for bytes in samples::server_json() {
        let frame: Value = serde_json::from_slice(&bytes).expect("JSON");
        let expected = |name: &str| match frame["event"].as_str() {
            Some(event) => name.strip_prefix("event.") == Some(event),
            None => name == "error" || name.ends_with(".reply"),
        };
        fits(&document, expected, &frame).unwrap_or_else(|wrong| panic!("{frame}: {wrong:?}"));
    }
}

#[test]
fn every_request_is_described_and_answered_as_the_code_says() {
    let document = document();
    let mut described: Vec<String> = Vec::new();
    for bytes in samples::client_json() {
        let frame: Value = serde_json::from_slice(&bytes).expect("JSON");
        let (_, request) = frame::decode_client_json(std::str::from_utf8(&bytes).expect("text")).expect("a request");
        let name = frame::request_name(&request);
        fits(&document, |message| message == name, &frame).unwrap_or_else(|wrong| panic!("{frame}: {wrong:?}"));
        let data = &document["components"]["messages"][format!("{name}.reply")]["payload"]["properties"]["data"];
        let answer = format!("{:?}", ReplyKind::of(&request));
        // Where request and reply go by one name, the reply's message has another.
        let answer = match &*answer {
            "Members" => "MemberPage",
            "Unread" => "UnreadCounts",
            "Marks" => "MarkPage",
            "Blocks" => "BlockPage",
            answer => answer,
        };
        assert_eq!(data["$ref"], format!("#/components/schemas/{answer}"), "{name}");
        described.push(name.to_owned());
    }
    for name in document["operations"].as_object().expect("operations").keys() {
        assert!(name.starts_with("event.") || described.contains(name), "{name} has no sample");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    let leads = |reference: &String| reference.strip_prefix('#').is_some_and(|path| document.pointer(path).is_some());
    let lost: Vec<&String> = found.iter().filter(|reference| !leads(reference)).collect();
    assert!(lost.is_empty() && found.len() > 100, "{lost:?}");
}

#[test]
fn codes_and_limits_are_described() {
    let document = document();
    for code in ErrorCode::ALL {
        let described = document["x-errors"].as_array().expect("a list").iter().find(|one| one["code"] == code.name());
        let described = described.unwrap_or_else(|| panic!("{} is missing", code.name()));
        assert_eq!((&described["number"], &described["retry"]), (&json!(code.number()), &json!(code.retry())));
        assert!(described["description"].as_str().is_some_and(|text| text.ends_with('.')), "{described}");
    }
    for code in CloseCode::ALL {
        let described =
            document["x-closes"].as_array().expect("a list").iter().find(|one| one["number"] == code.number());
        assert_eq!(described.expect("it is there")["reason"], code.reason());
    }
    let described = document["x-limits"].as_array().expect("a list");
    let value = |name: &str| described.iter().find(|one| one["name"] == name).map(|one| &one["value"]);
    assert_eq!(value("body_bytes_max"), Some(&json!(limits::BODY_BYTES_MAX)));
    assert_eq!(described.len(), limits::ALL.len());
    assert!(
        described.iter().all(|one| one["description"].as_str().is_some_and(|text| text.len() > 10)),
        "{described:?}"
    );
}

#[test]
fn what_does_not_fit_is_noticed() {
    let document = document();
    let is_ping = |frame: Value| fits(&document, |name| name == "ping", &frame).is_ok();
    assert!(is_ping(json!({"id": 1, "ping": {}})));
    for wrong in [json!({"ping": {}}), json!({"id": -1, "ping": {}}), json!({"id": 1, "ping": {"x": 1}}), json!([])] {
        assert!(!is_ping(wrong));
    }
}
