//! The readable protocol page, which is made from the document of the protocol.

use serde_json::{Value, json};
use switchyard_protocol::ASYNCAPI;

use super::Browser;
use crate::site::Site;

#[test]
fn the_protocol_page_shows_all_that_the_document_says() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    window.click(".links a[href='/protocol']");
    window.until("document.querySelectorAll('article').length > 0", &[]);
    let shown = window.script("return document.getElementById('content').textContent", &[]);
    let shown = shown.as_str().expect("text");
    let document: Value = serde_json::from_str(ASYNCAPI).expect("JSON");
    let ids = "return [...document.querySelectorAll('[id]')].map((one) => one.id)";
    let ids: Vec<String> = serde_json::from_value(window.script(ids, &[])).expect("texts");
    let mut expected: Vec<String> = Vec::new();
    for name in document["operations"].as_object().expect("operations").keys() {
        expected
            .push(name.strip_prefix("event.").map_or(format!("requests-{name}"), |event| format!("events-{event}")));
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        expected.push(format!("types-{name}"));
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(shown.contains(field.as_str()), "{name}.{field}");
            let about = schema["description"].as_str().unwrap_or_default().replace('`', "");
            assert!(shown.contains(&about), "{name}.{field}: {about}");
        }
    }
    for (list, key) in [("errors", "code"), ("closes", "reason"), ("limits", "name")] {
        for one in document[format!("x-{list}")].as_array().expect("a list") {
            expected.push(format!("{list}-{}", one[key].as_str().expect("a name")));
            assert!(shown.contains(&one["description"].as_str().expect("text").replace('`', "")), "{one}");
        }
    }
    let missing: Vec<&String> = expected.iter().filter(|id| !ids.contains(id)).collect();
    assert!(missing.is_empty() && expected.len() > 100, "{missing:?}");
    let broken = "return [...document.querySelectorAll('a[href^=\"#\"]')].map((one) => one.getAttribute('href').slice(1)) \
                  .filter((id) => !document.getElementById(id))";
    assert_eq!(window.script(broken, &[]), json!([]), "each link leads somewhere");

    window.type_into("#find", "resume_events_max");
    let found = "[...document.querySelectorAll('#limits tr[id], article')].filter((one) => one.checkVisibility()).map((one) => one.id)";
    window.until(&format!("{found}.join() === 'types-Limits,limits-resume_events_max' || {found}.includes('limits-resume_events_max') && {found}.length < 5"), &[]);
    assert_eq!(window.script("return document.getElementById('requests').checkVisibility()", &[]), false);
    window.resize(390, 844);
    window.script(
        "document.getElementById('find').value = ''; document.getElementById('find').dispatchEvent(new Event('input'))",
        &[],
    );
    assert_eq!(
        window.script("return document.documentElement.scrollWidth > document.documentElement.clientWidth", &[]),
        false
    );
}
