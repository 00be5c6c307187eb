//! Other services: what they post, and that they do nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::v1::{MessageKind, ServerFrame, reply, server_frame};
use switchyard_client::{Client, ClientConfig, Draft, StaticToken};
use switchyard_loadtest::proxy::Proxy;
use tokio::sync::mpsc;

use super::{client_as, make, open_as};
use crate::features::sdk::in_both_forms;
use crate::plain::{GUARD, Plain, error_code, keys};
use crate::site::Site;

fn system(conversation: &str, client_id: &str, text: &str) -> Value {
    json!({"conversation": conversation, "client_id": client_id, "kind": "SYSTEM", "text": text})
}

/// How many messages of this one the user has not read.
fn unread(plain: &mut Plain, conversation: &str) -> Value {
    plain.done("unread", &json!({"conversations": [conversation]}))["total"].take()
}

#[test]
fn h4_a_service_posts_once_into_any_conversation_of_its_tenant_and_nobody_has_it_unread() {
    let mut site = Site::dev();
    let (mut ann, mut sue) = (Plain::open(&site, "ann"), open_as(&site, "sue", "SELLER"));
    let mut orders = open_as(&site, "orders", "SERVICE");
    let conversations = [ann.direct("bob"), ann.group("room", &["bob"]), make(&mut sue, "customer_seller", &["ann"])];
    for conversation in &conversations {
        ann.done("subscribe", &json!({"conversations": [conversation]}));
        let sent = orders.done("send", &system(conversation, "s1", "order 7 was shipped"));
        let message = &sent["message"];
        assert_eq!((&message["sender"], &message["kind"]), (&json!("orders"), &json!("SYSTEM")));
        assert_eq!((&message["seq"], &message["ordinal"], &sent["duplicate"]), (&json!(1), &json!(0), &json!(false)));
        assert_eq!(&ann.event("message")["message"], message);
        let again = orders.done("send", &system(conversation, "s1", "order 7 was shipped"));
        assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), message));
        assert_eq!(unread(&mut ann, conversation), 0);
    }
    // Between people's messages it counts for nothing, and it is the last one in a list.
    let mut bob = Plain::open(&site, "bob");
    ann.send(&conversations[0], "a1", "did it come?");
    orders.done("send", &system(&conversations[0], "s2", "order 7 has arrived"));
    assert_eq!(unread(&mut bob, &conversations[0]), 1);
    bob.done("mark", &json!({"conversation": conversations[0], "read": 2}));
    assert_eq!(unread(&mut bob, &conversations[0]), 0);
    let entry = bob.done("list", &json!({"kind": "direct"}))["conversations"][0].take();
    assert_eq!(entry["last"]["text"], "order 7 has arrived");
    let entry = bob.done("list", &json!({"kind": "group"}))["conversations"][0].take();
    assert_eq!(entry["last"]["text"], "order 7 was shipped");

    site.kill();
    site.start_again();
    let (mut bob, mut orders) = (Plain::open(&site, "bob"), open_as(&site, "orders", "SERVICE"));
    assert_eq!(orders.done("send", &system(&conversations[0], "s2", "order 7 has arrived"))["duplicate"], true);
    // Of three messages one counts, if his word that he has read it was not stored yet.
    assert!(unread(&mut bob, &conversations[0]).as_u64() <= Some(1));
    bob.done("mark", &json!({"conversation": conversations[0], "read": 2}));
    assert_eq!(unread(&mut bob, &conversations[0]), 0);
    bob.done("close", &json!({"conversation": conversations[0]}));
    assert_eq!(orders.refused("send", &system(&conversations[0], "s3", "too late")), "CLOSED");
    assert_eq!(orders.refused("send", &system(&"5".repeat(26), "s3", "nowhere")), "NOT_FOUND");
    let mut elsewhere = Plain::open_with(&site, &site.token_in("elsewhere", "orders", &["SERVICE"]));
    assert_eq!(elsewhere.refused("send", &system(&conversations[1], "s1", "foreign")), "NOT_FOUND");
}

#[test]
fn h4_people_send_no_system_messages_and_services_do_nothing_else() {
    let site = Site::dev();
    let mut people: Vec<Plain> = ["USER", "SELLER", "SUPPORT", "MANAGER", "ADMIN"]
        .iter()
        .map(|role| open_as(&site, &format!("one-{role}"), role))
        .collect();
    let mut ann = Plain::open(&site, "ann");
    let group = ann.group("room", &["one-USER", "one-SELLER", "one-SUPPORT", "one-MANAGER", "one-ADMIN", "orders"]);
    ann.send(&group, "a1", "secret");
    let support = make(&mut ann, "customer_support", &[]);
    for plain in &mut people {
        for conversation in [&group, &support] {
            assert_eq!(plain.refused("send", &system(conversation, "x", "forged")), "FORBIDDEN");
        }
    }
    // Whatever else its token says, and though somebody has made it a member.
    for roles in [&["SERVICE"][..], &["SERVICE", "ADMIN", "SUPPORT", "SELLER", "USER"]] {
        let mut orders = Plain::connect(&site);
        let data = orders.done("hello", &json!({"token": site.token_as("orders", roles), "subscribe": "all"}));
        assert_eq!(error_code(&data["all"]["error"]), "FORBIDDEN");
        let person = json!({"conversation": group, "client_id": "p", "text": "as a person"});
        assert_eq!(orders.refused("send", &person), "FORBIDDEN");
        for kind in ["direct", "group", "customer_support"] {
            assert_eq!(orders.refused("create", &json!({"kind": kind, "members": ["ann"]})), "FORBIDDEN", "{kind}");
        }
        assert_eq!(orders.refused("list", &json!({})), "FORBIDDEN");
        let message = format!("{group}.1");
        for (name, body) in [
            ("members", json!({"conversation": group})),
            ("history", json!({"conversation": group})),
            ("marks", json!({"conversation": group})),
            ("mark", json!({"conversation": group, "read": 1})),
            ("leave", json!({"conversation": group})),
            ("close", json!({"conversation": group})),
            ("update", json!({"conversation": group, "name": "mine"})),
            ("add", json!({"conversation": group, "members": ["eve"]})),
            ("remove", json!({"conversation": group, "member": "ann"})),
            ("promote", json!({"conversation": group, "member": "orders"})),
            ("edit", json!({"id": message, "text": "mine"})),
            ("delete", json!({"id": message})),
            ("react", json!({"id": message, "emoji": "+1"})),
            ("pin", json!({"id": message})),
            ("typing", json!({"conversation": group, "on": true})),
        ] {
            for conversation in [&group, &support] {
                let text = body.to_string().replace(&group, conversation);
                let body = serde_json::from_str(&text).expect("JSON");
                assert_eq!(orders.refused(name, &body), "NOT_FOUND", "{name}");
            }
        }
        for (name, under, body) in [
            ("subscribe", "subscribed", json!({"conversations": [group]})),
            ("open", "opened", json!({"conversations": [group]})),
            ("unread", "conversations", json!({"conversations": [group]})),
            ("resume", "conversations", json!({"positions": [{"conversation": group, "seq": 0}]})),
        ] {
            assert_eq!(error_code(&orders.done(name, &body)[under][0]["error"]), "NOT_FOUND", "{name}");
        }
        orders.done("send", &system(&group, "s1", "this it may"));
        for (conversation, kind, head) in [(&group, "group", 2), (&support, "customer_support", 0)] {
            let told = orders.done("get", &json!({"conversation": conversation}))["conversation"].take();
            let plain = &told;
            let empty =
                |name: &&str| plain[name].as_u64() == Some(0) || plain[name] == json!([]) || plain[name] == false;
            let said = keys(plain).into_iter().filter(|name| !empty(name)).collect::<BTreeSet<_>>();
            let extent = ["id", "kind", "head", "first_available", "role"];
            assert!(said.iter().all(|name| extent.contains(name)), "of what is in it, it is told nothing: {told}");
            assert_eq!(
                (&told["kind"], &told["head"], &told["first_available"]),
                (&json!(kind), &json!(head), &json!(1))
            );
        }
        orders.done("ping", &json!({}));
        assert!(!orders.has_event(), "it hears nothing, not even of what it sent");
    }
}

fn system_draft(conversation: &str, text: &str) -> Draft {
    Draft { kind: MessageKind::System, ..Draft::text(conversation, text) }
}

#[test]
fn h4_a_service_posts_by_the_sdk() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let mut ann = Plain::open(&site, "ann");
        let (pair, elsewhere) = (ann.direct("bob"), "5".repeat(26));
        ann.send(&pair, "a1", "where is it?");
        let orders = client_as(&site, form, "orders", "SERVICE").await;
        let sent = orders.send_with(system_draft(&pair, "order 7 was shipped")).await.expect("stored");
        assert_eq!((sent.message.seq, sent.message.kind(), sent.duplicate), (2, MessageKind::System, false));
        let chosen = || system_draft(&pair, "order 7 has arrived").client_id("order-7-arrived");
        let first = orders.send_with(chosen()).await.expect("stored");
        // Another process of the service says it again.
        orders.close().await;
        let orders = client_as(&site, form, "orders", "SERVICE").await;
        let again = orders.send_with(chosen()).await.expect("known");
        assert_eq!((again.duplicate, &again.message), (true, &first.message));

        let code =
            |result: Result<switchyard_client::Sent, switchyard_client::Error>| result.expect_err("refused").code();
        let refused = orders.send(&pair, "as a person").await;
        assert_eq!(code(refused), Some(ErrorCode::Forbidden));
        assert_eq!(code(orders.send_with(system_draft(&elsewhere, "nowhere")).await), Some(ErrorCode::NotFound));
        ann.done("close", &json!({"conversation": pair}));
        assert_eq!(code(orders.send_with(system_draft(&pair, "too late")).await), Some(ErrorCode::Closed));
        let known = orders.send_with(chosen()).await.expect("it was stored before the end");
        assert_eq!((known.duplicate, known.message.seq), (true, first.message.seq));
    });
}

/// Its answers are lost for longer than a send without `since` is remembered, and the broker is killed meanwhile.
#[test]
fn h4_what_a_service_posts_by_the_sdk_is_stored_once_however_long_the_answer_is_lost() {
    let mut site = Site::dev();
    let mut ann = Plain::open(&site, "ann");
    let room = ann.group("room", &["bob"]);
    ann.send(&room, "a1", "where is it?");
    let mute = Arc::new(AtomicBool::new(true));
    let (lose, mut lost) = mpsc::unbounded_channel();
    let is_mute = Arc::clone(&mute);
    let proxy = Proxy::start(&site.url(), move |_: usize, frame: ServerFrame| {
        let Some(server_frame::Frame::Reply(reply)) = &frame.frame else { return vec![frame] };
        let is_sent = matches!(reply.result, Some(reply::Result::Sent(_)));
        if !is_sent || !is_mute.load(Ordering::SeqCst) {
            return vec![frame];
        }
        // Nobody may be there any more who would hear of it.
        let _ = lose.send(());
        Vec::new()
    });
    let proxy = proxy.expect("a free port");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (orders, sent) = runtime.block_on(async {
        let mut config = ClientConfig::new(proxy.url(), StaticToken::new(site.token_as("orders", &["SERVICE"])));
        config.settings.request_timeout = Duration::from_millis(100);
        let orders = Client::connect(config).expect("a good address");
        let sent = orders.post(system_draft(&room, "order 7 was shipped"));
        tokio::time::timeout(GUARD, lost.recv()).await.expect("an answer").expect("the proxy works");
        (orders, sent)
    });
    ann.send_many(&room, 1_050);
    site.kill();
    site.start_again();
    mute.store(false, Ordering::SeqCst);
    let sent = runtime.block_on(async { tokio::time::timeout(GUARD, sent).await.expect("it hangs") }).expect("stored");
    assert_eq!((sent.message.seq, sent.duplicate), (2, true), "it is the first result");
    let mut ann = Plain::open(&site, "ann");
    let told = ann.done("get", &json!({"conversation": room}))["conversation"].take();
    assert_eq!(told["head"], 1_052, "and nothing was stored after it");
    drop(orders);
}

#[test]
fn n40_what_services_and_the_support_write_is_data() {
    let mut site = Site::with_env(&[("SWITCHYARD__LOG__LEVEL", "trace")]);
    let memory = site.memory_kib();
    let (mut ann, mut dan) = (Plain::open(&site, "ann"), open_as(&site, "dan", "SUPPORT"));
    let traps =
        ["<script>alert(1)</script>", "\u{1b}]0;title\u{7}\u{1b}[2J", "\u{202e}gpj.exe", "x\r\nERROR forged log line"];
    for trap in traps {
        let body = json!({"kind": "customer_support", "name": trap, "context": trap});
        let made = ann.done("create", &body)["conversation"].take();
        assert_eq!((&made["name"], &made["context"]), (&json!(trap), &json!(trap)));
        let id = made["id"].as_str().expect("an id").to_owned();
        let mut service = Plain::open_with(&site, &site.token_as(trap, &["SERVICE", trap]));
        let sent = service.done("send", &system(&id, trap, trap));
        assert_eq!((&sent["message"]["sender"], &sent["message"]["text"]), (&json!(trap), &json!(trap)));
        let page = dan.done("history", &json!({"conversation": id}));
        assert_eq!(page["messages"][0], sent["message"]);
        dan.done("update", &json!({"conversation": id, "name": "plain", "avatar": trap}));
        assert_eq!(ann.done("get", &json!({"conversation": id}))["conversation"]["avatar"], trap);
    }
    site.unharmed(memory);
    let log = site.log();
    for harmful in ["<script>", "\u{1b}]0;", "\u{1b}[2J", "\u{202e}", "\nERROR forged"] {
        assert!(!log.contains(harmful), "{harmful:?} is in the log");
    }
}
