//! What a list of members held that nobody reads any more does not stay on the disk.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::UserId;
use switchyard_store::embedded::{Embedded, verify};
use switchyard_store::{Mark, Marks, ProjectionWrite, Projections};

use crate::support::{batch, commit, key, small, temp_dir};

/// Commits after which the first of them must be in the engine: each begins a segment, and there are four.
const SEGMENTS: u64 = 8;

#[test]
fn a_dropped_list_goes_with_its_marks() {
    let dir = temp_dir();
    let store = Embedded::open(dir.path(), small(1)).expect("the store opens");
    let user = |name: &str| UserId::new(name).expect("a short name");
    let put = |store: &Embedded, list: u8, name: &str| {
        let value = Bytes::from_static(b"x");
        let listed = ProjectionWrite::Listed { list: key(list), user: user(name), at: 4, value: value.clone() };
        block_on(store.write(&[listed])).expect("there is room");
        let mark = Mark { key: key(list), user: user(name), kind: 0, at: 4, value };
        block_on(store.raise(&[mark])).expect("there is room");
    };
    let push = |store: &Embedded, first: u64| {
        (first..first + SEGMENTS).for_each(|first| commit(store, batch(&key(9), first, 1)));
    };
    for list in [1, 2, 3] {
        put(&store, list, "ann");
        put(&store, list, "bob");
    }
    push(&store, 0);
    // These lie in the engine's files by now; one more does not.
    put(&store, 2, "eve");
    block_on(store.drop_list(&key(2))).expect("there is room");
    push(&store, SEGMENTS);
    let found = |store: &Embedded, list| {
        let members = block_on(store.members(&key(list))).expect("nothing is damaged").len();
        (members, block_on(store.marks(&key(list))).expect("nothing is damaged").len())
    };
    assert_eq!([1, 2, 3].map(|list| found(&store, list)), [(2, 2), (0, 0), (2, 2)]);
    drop(store);
    let report = verify(dir.path()).expect("it opens");
    assert!(report.ok, "{report:?}");
}
