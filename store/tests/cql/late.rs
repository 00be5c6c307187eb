//! Writes that come late, from owners that were replaced meanwhile, and from before something was erased.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_store::{
    Batch, Log, Mark, Marks, Outcome, Overlay, ProjectionWrite, Projections, RowRef, Seq, StoredMark,
};

use crate::support::{adopt, append, batch, bodies, conversation, row, store};

/// With a column for each field, half of one would stay: the fields that only the late one has.
#[test]
fn rows_of_an_earlier_epoch_lose_with_more_fields_and_with_fewer() {
    let store = store();
    let key = conversation("late rows");
    append(&store, batch(&key, 2, 0, 3, "second owner"));
    let fewer = RowRef { epoch: 1, first: 0, ordinal: 0, kind: 0, sender: "", client_id: "", time_ms: 0, body: b"" };
    let more = RowRef {
        epoch: 1,
        first: 0,
        ordinal: u64::MAX,
        kind: u32::MAX,
        sender: "zoe",
        client_id: "zzz",
        time_ms: u64::MAX,
        body: &[0xff; 5_000],
    };
    for late in [fewer, more] {
        let rows = (0..3).map(|seq| late.encode(&key, seq)).collect();
        // It is stored, and hidden: nobody is told that it lost but by the fence.
        append(&store, Batch { key: key.clone(), epoch: 1, first: 0, rows });
        assert_eq!(bodies(&store, &key), ["second owner 0", "second owner 1", "second owner 2"]);
    }
    // The other way round the later one wins, whatever its bytes are.
    append(&store, batch(&key, 3, 2, 1, "!"));
    assert_eq!(bodies(&store, &key), ["second owner 0", "second owner 1", "! 2"]);
}

#[test]
fn what_was_erased_is_not_brought_back_by_a_late_repetition() {
    let store = store();
    let key = conversation("late texts");
    append(&store, batch(&key, 1, 0, 2, "secret"));
    let erased =
        |seq, first| Batch { key: key.clone(), epoch: 1, first: seq, rows: vec![row(&key, 1, first, seq, "")] };
    assert_eq!(block_on(store.overwrite(&[erased(0, 0), erased(1, 0)])), [Outcome::Stored; 2]);
    append(&store, batch(&key, 1, 0, 2, "secret"));
    assert_eq!(bodies(&store, &key), ["", ""]);
    // Nor by an owner that reads before and is late: it adopts what there is.
    assert_eq!(adopt(&store, &key, 2, 0), Ok(Some(1)));
    append(&store, batch(&key, 1, 0, 2, "secret"));
    assert_eq!(bodies(&store, &key), ["", ""]);
    // Of what is not there nothing is made.
    assert_eq!(block_on(store.overwrite(&[erased(7, 7)])), [Outcome::Stored]);
    assert_eq!(block_on(store.head(&key, 0)), Ok(Some(1)));
}

/// Whoever reads a list that is gone, for it has been away for long, finds nothing of it, nor what comes late.
#[test]
fn a_list_that_was_dropped_is_not_brought_back() {
    let store = store();
    let key = conversation("late members");
    let other = conversation("others");
    let user = |name: &str| UserId::new(name).expect("a short name");
    let listed = |list: &ConversationKey, name: &str, at| ProjectionWrite::Listed {
        list: list.clone(),
        user: user(name),
        at,
        value: Bytes::from_static(b"in"),
    };
    let mark = |list: &ConversationKey, at| Mark {
        key: list.clone(),
        user: user("ann"),
        kind: 0,
        at,
        value: Bytes::from_static(b"read"),
    };
    for list in [&key, &other] {
        block_on(store.write(&[listed(list, "ann", 4), listed(list, "bob", 4)])).expect("nothing fails here");
        block_on(store.raise(&[mark(list, 7)])).expect("nothing fails here");
    }
    block_on(store.drop_list(&key)).expect("nothing fails here");
    block_on(store.write(&[listed(&key, "eve", 99)])).expect("nothing fails here");
    block_on(store.raise(&[mark(&key, 99)])).expect("nothing fails here");
    assert_eq!(block_on(store.members(&key)), Ok(Vec::new()));
    assert_eq!(block_on(store.marks(&key)), Ok(Vec::new()));
    assert_eq!(block_on(store.members(&other)).map(|found| found.len()), Ok(2));
    assert_eq!(block_on(store.marks(&other)).map(|found| found.len()), Ok(1));
}

#[test]
fn what_was_dropped_is_not_brought_back() {
    let store = store();
    let key = conversation("late drops");
    for first in (0..1_100).step_by(100) {
        append(&store, batch(&key, 1, first, 100, "kept"));
    }
    let user = UserId::new("ann").expect("a short name");
    let overlay = |target: Seq, at| {
        [
            ProjectionWrite::Overlay { key: key.clone(), target, at, value: Bytes::from_static(b"gone") },
            ProjectionWrite::Reactor { key: key.clone(), target, user: user.clone(), at, value: Some(Bytes::new()) },
        ]
    };
    let targets = |overlays: Vec<Overlay>| overlays.into_iter().map(|overlay| overlay.target).collect::<Vec<_>>();
    for target in [5, 999, 1_000] {
        block_on(store.write(&overlay(target, 2_000))).expect("nothing fails here");
    }
    assert_eq!(block_on(store.trim(&key, 1_050)), Ok(1_000));
    append(&store, batch(&key, 1, 100, 100, "late"));
    append(&store, batch(&key, 9, 900, 100, "late, and of a later epoch"));
    for target in [5, 999] {
        block_on(store.write(&overlay(target, 3_000))).expect("nothing fails here");
    }
    assert_eq!(bodies(&store, &key).len(), 101, "row 0 and those from 1,000 on");
    assert_eq!(targets(block_on(store.overlays(&key, 0, Seq::MAX)).expect("nothing is damaged")), [1_000]);
    let reactors = block_on(store.reactors(&key, &user, &[5, 999, 1_000])).expect("nothing is damaged");
    assert_eq!(reactors.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn numbers_that_would_reach_above_what_is_gone_are_refused() {
    let store = store();
    let key = conversation("late numbers");
    let user = UserId::new("ann").expect("a short name");
    let mark = |at| Mark { key: key.clone(), user: user.clone(), kind: 0, at, value: Bytes::new() };
    assert!(block_on(store.raise(&[mark(1 << 50)])).is_err());
    block_on(store.raise(&[mark((1 << 50) - 1)])).expect("nothing fails here");
    let found: Vec<StoredMark> = block_on(store.marks(&key)).expect("nothing is damaged");
    assert_eq!(found.len(), 1);
    block_on(store.forget(&key)).expect("nothing fails here");
    assert_eq!(block_on(store.marks(&key)), Ok(Vec::new()));
    let record = |at| ProjectionWrite::Conversation { key: key.clone(), at, record: Bytes::new() };
    assert!(block_on(store.write(&[record(1 << 50)])).is_err());
    let outcomes = block_on(store.append(&[batch(&key, 1 << 30, 0, 1, "x"), batch(&key, (1 << 30) - 1, 0, 1, "x")]));
    assert!(matches!(outcomes[..], [Outcome::Refused(_), Outcome::Stored]), "{outcomes:?}");
}
