//! Large conversations, several of them at once in one process.

use std::time::Duration;

use switchyard_cluster::link::SubscribeAsk;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_router::config::RouterConfig;

use crate::ask::What;
use crate::clients::tenant;
use crate::desk::{Desk, group, send, sent};

/// The longest that one message of a paced conversation waits for what is no fan-out of its own: pacing's own limit.
const PACE_MAX: Duration = Duration::from_millis(20);

/// A group large enough to be paced, with a reader.
fn crowd(desk: &mut Desk, byte: u8) -> ConversationKey {
    let key = ConversationKey { tenant: tenant("t"), conversation: ConversationId::from_bytes([byte; 16]) };
    let names: Vec<String> = (0..64).map(|at| format!("user{at}")).collect();
    desk.ask("user0", &key, &group(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    desk.ask("user0", &key, &What::Subscribe(SubscribeAsk { after: None, events_max: 9, bytes_max: 999 }));
    key
}

#[test]
fn a_large_conversation_goes_on_while_others_fan_out_in_every_turn() {
    let mut desk = Desk::new(RouterConfig::default());
    let rooms: Vec<_> = (0..60).map(|byte| crowd(&mut desk, byte)).collect();
    desk.pass(Duration::from_secs(1));
    sent(&desk.ask("user0", &rooms[0], &send("first", "text", Some(0))));
    let second = desk.put("user0", 0, &rooms[0], &send("second", "text", Some(0)));
    let asked = desk.now.mono;
    // One other room's batch is committed in each turn from here on.
    for room in &rooms[1..] {
        let other = desk.put("user0", 0, room, &send("other", "text", Some(0)));
        desk.now.mono += Duration::from_millis(1);
        desk.run();
        sent(&desk.answer(other).expect("it is stored"));
        if desk.now.mono - asked > PACE_MAX {
            break;
        }
    }
    let answer = desk.answer(second).expect("its wait was over long ago");
    assert_eq!(sent(&answer).0.seq, 2);
}
