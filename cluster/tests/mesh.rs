//! The in-process link when one end is behind: what gives way, what never does, and that its counts come back.

use std::sync::Arc;

use bytes::Bytes;
use switchyard_cluster::link::{Delivery, EdgeId, EdgeLink as _, LiveEvent, RouterLink as _};
use switchyard_cluster::mailbox::Bell;
use switchyard_cluster::mesh::{EVENT_BYTES_WAITING_MAX, MeshEdge, MeshRouter, join};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

fn ends() -> (MeshEdge, MeshRouter) {
    let poll = mio::Poll::new().expect("a poll");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
    join(&[Arc::new(Bell::new(waker))]).remove(0)
}

fn key() -> ConversationKey {
    ConversationKey {
        tenant: TenantId::new("t").expect("a valid id"),
        conversation: ConversationId::from_bytes([7; 16]),
    }
}

fn event(seq: u64, frame: &Bytes, removed: &[&str]) -> Delivery {
    let removed = removed.iter().map(|user| UserId::new(user).expect("a valid id")).collect();
    Delivery::Event(LiveEvent { key: key(), seq, frame: frame.clone(), removed })
}

/// Kinds and numbers of what the edge receives, and who is put out by it.
fn received(edge: &mut MeshEdge) -> Vec<(&'static str, u64, usize)> {
    let mut deliveries = Vec::new();
    edge.receive(&mut deliveries);
    let told = |delivery: &Delivery| match delivery {
        Delivery::Event(event) => ("event", event.seq, event.removed.len()),
        Delivery::Head { head, .. } => ("head", *head, 0),
        Delivery::Answer { .. } => ("answer", 0, 0),
    };
    deliveries.iter().map(told).collect()
}

#[test]
fn n14_an_event_that_puts_somebody_out_never_gives_way() {
    let (mut edge, mut router) = ends();
    let large = Bytes::from(vec![0; EVENT_BYTES_WAITING_MAX + 1]);
    router.send(EdgeId(0), event(1, &large, &[]));
    router.send(EdgeId(0), event(2, &large, &[]));
    router.send(EdgeId(0), event(3, &large, &["bob"]));
    router.send(EdgeId(0), event(4, &large, &[]));
    router.flush();
    let all = received(&mut edge);
    assert_eq!(all, [("event", 1, 0), ("head", 2, 0), ("event", 3, 1), ("head", 4, 0)], "no hole without a mark");
    router.send(EdgeId(0), event(5, &large, &[]));
    router.flush();
    assert_eq!(received(&mut edge), [("event", 5, 0)], "there is room again");
}
