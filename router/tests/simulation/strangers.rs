//! Who is no member, and conversations that are not in memory or cannot be read.

use std::time::Duration;

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::Held;

use crate::ask::What;
use crate::clients::{STRANGER, tenant};
use crate::desk::{Desk, code, role, send, sent};
use crate::old;

fn desk(head: u64, applied: u64) -> Desk {
    let desk = Desk::new(RouterConfig { idle_after: Duration::from_secs(1), ..RouterConfig::default() });
    old::put(&desk.disk, head, applied);
    desk
}

#[test]
fn what_only_strangers_ask_for_does_not_stay_in_memory() {
    let (mut desk, key) = (desk(1_500, 1_500), old::key());
    for _ in 0..2 {
        assert_eq!(code(&desk.ask(STRANGER, &key, &What::Get)), Some(ErrorCode::NotFound));
        assert_eq!(desk.held(), Held { idle: desk.held().idle, ..Held::default() });
        assert_eq!(desk.machine.loaded_conversations(), 0);
    }
    // A member who asks at the same time keeps it there, and a stranger who goes on asking does not.
    let strangers = desk.put(STRANGER, 0, &key, &What::Get);
    let members = desk.put("ana", 0, &key, &What::Get);
    desk.run();
    assert_eq!(desk.answer(strangers).as_ref().and_then(code), Some(ErrorCode::NotFound));
    assert!(desk.answer(members).as_ref().and_then(role).is_some());
    assert_eq!(desk.machine.loaded_conversations(), 1);
    for _ in 0..30 {
        desk.pass(Duration::from_millis(100));
        desk.ask(STRANGER, &key, &What::Get);
    }
    assert_eq!(desk.machine.loaded_conversations(), 0);
}

#[test]
fn readers_of_a_parked_conversation_keep_their_stream_whatever_strangers_ask() {
    let (mut desk, key) = (desk(1_500, 1_500), old::key());
    let subscribe = switchyard_cluster::link::SubscribeAsk { after: None, events_max: 9, bytes_max: 999 };
    desk.ask("ben", &key, &What::Subscribe(subscribe));
    desk.pass(Duration::from_secs(10));
    assert_eq!(desk.machine.loaded_conversations(), 0);
    assert_eq!(code(&desk.ask(STRANGER, &key, &What::Get)), Some(ErrorCode::NotFound));
    sent(&desk.ask("ana", &key, &send("a", "text", None)));
    assert_eq!(desk.published.len(), 1);
}

#[test]
fn damage_is_told_to_members_alone() {
    let nothing = ConversationKey { tenant: tenant("t"), conversation: ConversationId::from_bytes([0; 16]) };
    // The damaged row lies above the record, is the record's own, or lies far above.
    for (applied, damaged) in [(1_400, 1_450), (1_500, 1_500), (0, 700)] {
        let (mut desk, key) = (desk(1_500, applied), old::key());
        let mut inner = desk.disk.inner();
        let blob = &mut inner.rows.get_mut(&key).expect("it was put there").blobs[damaged];
        *blob = blob.slice(..blob.len() - 1);
        drop(inner);
        for asks in [What::Get, send("s", "text", None)] {
            let answers = [&key, &nothing].map(|key| format!("{:?}", desk.ask(STRANGER, key, &asks)));
            assert_eq!(answers[0], answers[1], "{applied} {damaged}");
            let member = desk.ask("cleo", &key, &asks);
            assert_eq!(code(&member), Some(ErrorCode::Internal), "{applied} {damaged}: {member:?}");
        }
        // Not even the list of members is there.
        desk.disk.inner().records.clear();
        desk.disk.inner().rows.get_mut(&key).expect("it was put there").blobs[0] = bytes::Bytes::from_static(b"x");
        assert_eq!(code(&desk.ask("cleo", &key, &What::Get)), Some(ErrorCode::NotFound));
    }
}
