//! Promises about reading: pages in both directions, their limits, heads, and that no hole is passed over.

use switchyard_protocol::id::TenantId;

use super::{Case, Subject, append, batch, conversation, fill, head, page, range, read, row};
use crate::log::{BUCKET_ROWS, Damage, Direction, ReadError, ReadRange, Seq};

pub(super) const CASES: &[Case] = &[
    Case { name: "pages go both ways", run: both_ways },
    Case { name: "pages cross buckets", run: cross_buckets },
    Case { name: "pages keep their limits", run: limits },
    Case { name: "an empty range is an empty page", run: empty },
    Case { name: "the head is the highest number", run: heads },
    Case { name: "a hole is reported", run: holes },
    Case { name: "a missing founding row is reported", run: unfounded },
];

use Direction::{Backward, Forward};

fn both_ways(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 30);
    assert_eq!(page(subject, &key, range(5, 9, Forward, 99)), [5, 6, 7, 8, 9]);
    assert_eq!(page(subject, &key, range(5, 9, Backward, 99)), [9, 8, 7, 6, 5]);
    assert_eq!(page(subject, &key, range(5, 9, Forward, 2)), [5, 6]);
    assert_eq!(page(subject, &key, range(5, 9, Backward, 2)), [9, 8]);
    assert_eq!(page(subject, &key, range(29, Seq::MAX, Forward, 99)), [29, 30]);
    assert_eq!(page(subject, &key, range(29, 99, Forward, 99)), [29, 30]);
    assert_eq!(page(subject, &key, range(0, Seq::MAX, Backward, 2)), [30, 29]);
    assert_eq!(page(subject, &key, range(0, 99, Backward, 2)), [30, 29]);
    assert_eq!(page(subject, &key, range(0, 2, Backward, 99)), [2, 1, 0]);
    assert_eq!(page(subject, &key, range(0, 0, Backward, 99)), [0]);
    assert_eq!(page(subject, &key, range(0, 0, Forward, 99)), [0]);
    let mut walked = Vec::new();
    let mut next = 0;
    loop {
        let part = page(subject, &key, range(next, Seq::MAX, Forward, 7));
        let Some(last) = part.last() else { break };
        next = last + 1;
        walked.extend(part);
    }
    assert_eq!(walked, (0..=30).collect::<Vec<_>>());
}

fn cross_buckets(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 2 * BUCKET_ROWS + 5);
    let across = (BUCKET_ROWS - 3..BUCKET_ROWS + 3).collect::<Vec<_>>();
    assert_eq!(page(subject, &key, range(BUCKET_ROWS - 3, Seq::MAX, Forward, 6)), across);
    let mut backward = page(subject, &key, range(0, BUCKET_ROWS + 2, Backward, 6));
    backward.reverse();
    assert_eq!(backward, across);
    assert_eq!(super::all(subject, &key).len() as u64, 2 * BUCKET_ROWS + 6);
    assert_eq!(head(subject, &key, 0), Ok(Some(2 * BUCKET_ROWS + 5)));
}

fn limits(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 9);
    let size = row(&key, 1, 0, 5, b"body 5").len();
    let limited = |bytes_max, direction| ReadRange { from: 3, to: 7, direction, rows_max: 99, bytes_max };
    assert_eq!(page(subject, &key, limited(2 * size, Forward)), [3, 4]);
    assert_eq!(page(subject, &key, limited(2 * size, Backward)), [7, 6]);
    assert_eq!(page(subject, &key, limited(3 * size - 1, Forward)), [3, 4]);
    // One row is always returned, or a reader would stand still.
    assert_eq!(page(subject, &key, limited(0, Forward)), [3]);
    assert_eq!(page(subject, &key, limited(1, Backward)), [7]);
    assert!(page(subject, &key, range(3, 7, Forward, 0)).is_empty());
}

fn empty(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    assert!(page(subject, &key, range(0, Seq::MAX, Forward, 9)).is_empty());
    assert!(page(subject, &key, range(0, Seq::MAX, Backward, 9)).is_empty());
    fill(subject, &key, 0, 3);
    assert!(page(subject, &key, range(4, Seq::MAX, Forward, 9)).is_empty());
    assert!(page(subject, &key, range(4, 9, Backward, 9)).is_empty());
    assert!(page(subject, &key, range(2, 1, Forward, 9)).is_empty());
}

fn heads(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    assert_eq!(head(subject, &key, 0), Ok(None));
    append(subject, &[batch(&key, 0, 1)]);
    assert_eq!(head(subject, &key, 0), Ok(Some(0)));
    fill(subject, &key, 1, BUCKET_ROWS + 7);
    for at_least in [0, 1, BUCKET_ROWS, BUCKET_ROWS + 7] {
        assert_eq!(head(subject, &key, at_least), Ok(Some(BUCKET_ROWS + 7)));
    }
    let missing = ReadError::Corrupt { key: key.clone(), seq: BUCKET_ROWS + 8, reason: Damage::Missing };
    assert_eq!(head(subject, &key, BUCKET_ROWS + 8), Err(missing));
}

fn holes(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 10);
    fill(subject, &key, 12, 20);
    let missing = Err(ReadError::Corrupt { key: key.clone(), seq: 11, reason: Damage::Missing });
    for (from, to, direction) in [
        (5, 15, Forward),
        (5, 15, Backward),
        (11, 15, Forward),
        (11, 15, Backward),
        (5, 11, Forward),
        (5, 11, Backward),
        (11, 11, Forward),
        (11, 11, Backward),
    ] {
        let found = read(subject, &key, range(from, to, direction, 99));
        assert_eq!(found, missing, "{from} to {to} {direction:?}");
    }
    assert_eq!(page(subject, &key, range(5, 15, Forward, 6)), [5, 6, 7, 8, 9, 10]);
    assert_eq!(page(subject, &key, range(5, 15, Backward, 4)), [15, 14, 13, 12]);
}

fn unfounded(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 1, 3);
    let missing = Err(ReadError::Corrupt { key: key.clone(), seq: 0, reason: Damage::Missing });
    assert_eq!(read(subject, &key, range(0, 9, Forward, 9)), missing);
    assert_eq!(page(subject, &key, range(1, 9, Forward, 9)), [1, 2, 3]);
}
