//! What lies beside trimmed rows does not stay on the disk.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::UserId;
use switchyard_store::embedded::{Embedded, verify};
use switchyard_store::{Log, ProjectionWrite, Projections, Seq};

use crate::support::{batch, commit, key, small, temp_dir};

/// Commits after which the first of them must be in the engine: each begins a segment, and there are four.
const SEGMENTS: u64 = 8;

#[test]
fn overlays_of_trimmed_rows_go_with_them() {
    let dir = temp_dir();
    let store = Embedded::open(dir.path(), small(1)).expect("the store opens");
    let ann = UserId::new("ann").expect("a short name");
    for first in (0..2_000).step_by(100) {
        commit(&store, batch(&key(1), first, 100));
    }
    let annotate = |store: &Embedded, number: u8, target: Seq| {
        let (key, value) = (key(number), Bytes::from_static(b"x"));
        let reactor = Some(value.clone());
        let overlay = ProjectionWrite::Overlay { key: key.clone(), target, at: 1_999, value };
        let reactor = ProjectionWrite::Reactor { key, target, user: ann.clone(), at: 1_999, value: reactor };
        block_on(store.write(&[overlay, reactor])).expect("there is room");
    };
    let push = |store: &Embedded, first: u64| {
        (first..first + SEGMENTS).for_each(|first| commit(store, batch(&key(2), first, 1)));
    };
    for target in [10, 999, 1_000] {
        annotate(&store, 1, target);
    }
    annotate(&store, 2, 10);
    push(&store, 0);
    // These lie in the engine's files by now; one more does not.
    annotate(&store, 1, 20);
    assert_eq!(block_on(store.trim(&key(1), 1_000)), Ok(1_000));
    push(&store, SEGMENTS);
    let listed = |store: &Embedded, number| {
        let overlays = block_on(store.overlays(&key(number), 0, Seq::MAX)).expect("nothing is damaged");
        let targets: Vec<Seq> = overlays.iter().map(|overlay| overlay.target).collect();
        let reactors = block_on(store.reactors(&key(number), &ann, &[10, 20, 999, 1_000])).expect("nothing is damaged");
        (targets, reactors.iter().map(Option::is_some).collect::<Vec<_>>())
    };
    assert_eq!(listed(&store, 1), (vec![1_000], vec![false, false, false, true]));
    assert_eq!(listed(&store, 2), (vec![10], vec![true, false, false, false]), "another conversation's stay");
    drop(store);
    let report = verify(dir.path()).expect("it opens");
    assert!(report.ok, "{report:?}");
}
