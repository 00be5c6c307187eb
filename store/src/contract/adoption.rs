//! Promises about a conversation's first touch in an epoch: what was committed is there, and goes on; and what is given beside
//! the head is what a read gives.

use switchyard_protocol::id::{ConversationKey, TenantId};

use super::{Case, Subject, all, append, barrier, batch, conversation, fill, head, range, read, row, wait};
use crate::log::{BATCH_BYTES_MAX, BUCKET_ROWS, Batch, Damage, Direction, ReadError, Seq};

pub(super) const CASES: &[Case] = &[
    Case { name: "adoption of nothing is nothing", run: nothing },
    Case { name: "what was committed is adopted", run: committed },
    Case { name: "an adopted conversation goes on", run: goes_on },
    Case { name: "adoption finds its way over buckets", run: over_buckets },
    Case { name: "a trimmed conversation is adopted", run: trimmed },
    Case { name: "adoption misses what must be there", run: missing },
    Case { name: "what is given of large rows is bounded", run: large },
    Case { name: "late rows of an earlier epoch are not given", run: late },
];

/// Adopts, and holds what is given against what is read then: the newest rows, whole, up to the head.
fn adopt(subject: &dyn Subject, key: &ConversationKey, epoch: u64, at_least: Seq) -> Option<Seq> {
    let adopted = wait(subject, subject.log().adopt(key, epoch, at_least)).expect("nothing is damaged")?;
    let newest = range(0, adopted.head, Direction::Backward, adopted.newest.len());
    let mut found = read(subject, key, newest).expect("the rows are intact");
    found.reverse();
    assert!(adopted.newest == found, "what is given in epoch {epoch} from {at_least} on is not what is stored");
    Some(adopted.head)
}

/// Rows of a batch of this epoch, with bodies as [`batch`] has them.
fn of_epoch(key: &ConversationKey, epoch: u64, first: Seq, rows: u64) -> Batch {
    let rows = (first..first + rows).map(|seq| row(key, epoch, first, seq, format!("body {seq}").as_bytes())).collect();
    Batch { key: key.clone(), epoch, first, rows }
}

fn nothing(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    assert_eq!(adopt(subject, &key, 2, 0), None);
    append(subject, &[of_epoch(&key, 2, 0, 1)]);
    barrier(subject);
    assert_eq!((adopt(subject, &key, 3, 0), all(subject, &key)), (Some(0), vec![0]));
}

fn committed(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 150);
    barrier(subject);
    for (epoch, at_least) in [(2, 0), (2, 0), (3, 100), (3, 150), (9, 7)] {
        assert_eq!(adopt(subject, &key, epoch, at_least), Some(150));
        assert_eq!(all(subject, &key), (0..=150).collect::<Vec<_>>());
    }
    subject.reopen();
    assert_eq!((adopt(subject, &key, 10, 0), head(subject, &key, 150)), (Some(150), Ok(Some(150))));
}

fn goes_on(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let mut next: Seq = 0;
    for epoch in 1..8 {
        assert_eq!(adopt(subject, &key, epoch, 0), next.checked_sub(1));
        for rows in [1, 3, 40] {
            append(subject, &[of_epoch(&key, epoch, next, rows)]);
            barrier(subject);
            next += rows;
        }
    }
    assert_eq!((adopt(subject, &key, 8, 0), all(subject, &key)), (Some(next - 1), (0..next).collect()));
}

fn over_buckets(subject: &mut dyn Subject, tenant: TenantId) {
    let (long, full) = (conversation(&tenant, 1), conversation(&tenant, 2));
    fill(subject, &long, 0, 2 * BUCKET_ROWS + 7);
    fill(subject, &full, 0, BUCKET_ROWS - 1);
    barrier(subject);
    for at_least in [0, 1, BUCKET_ROWS - 1, BUCKET_ROWS, 2 * BUCKET_ROWS + 7] {
        assert_eq!(adopt(subject, &long, 2, at_least), Some(2 * BUCKET_ROWS + 7));
    }
    assert_eq!(adopt(subject, &full, 2, 0), Some(BUCKET_ROWS - 1));
    append(subject, &[of_epoch(&full, 2, BUCKET_ROWS, 1)]);
    barrier(subject);
    assert_eq!(adopt(subject, &full, 3, BUCKET_ROWS - 1), Some(BUCKET_ROWS));
}

fn trimmed(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 2 * BUCKET_ROWS + 3);
    barrier(subject);
    let first = wait(subject, subject.log().trim(&key, 2 * BUCKET_ROWS)).expect("nothing is damaged");
    barrier(subject);
    assert_eq!(adopt(subject, &key, 2, 0), Some(2 * BUCKET_ROWS + 3));
    let rows = (first..=2 * BUCKET_ROWS + 3).collect::<Vec<_>>();
    assert_eq!(all(subject, &key), [&[0], &rows[..]].concat());
}

fn missing(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    append(subject, &[batch(&key, 0, 3)]);
    barrier(subject);
    let found = wait(subject, subject.log().adopt(&key, 2, 3));
    assert_eq!(found, Err(ReadError::Corrupt { key: key.clone(), seq: 3, reason: Damage::Missing }));
    assert_eq!(adopt(subject, &key, 2, 2), Some(2));
}

/// However large the rows are, who adopts gets a bounded part of them, which ends with the head.
fn large(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let body = vec![b'x'; BATCH_BYTES_MAX / 4];
    for seq in 0..40 {
        let rows = vec![row(&key, 1, seq, seq, &body)];
        append(subject, &[Batch { key: key.clone(), epoch: 1, first: seq, rows }]);
    }
    barrier(subject);
    let adopted = wait(subject, subject.log().adopt(&key, 2, 0)).expect("nothing is damaged").expect("rows are there");
    let bytes: usize = adopted.newest.iter().map(|(_, row)| row.len()).sum();
    assert!(bytes <= 4 * BATCH_BYTES_MAX, "{bytes} bytes are given");
    assert_eq!(adopt(subject, &key, 2, 0), Some(39));
    assert_eq!(adopt(subject, &key, 3, 38), Some(39));
}

/// Whoever was replaced writes what it had under way: neither the next owner nor the one after it is given any of it.
fn late(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 40);
    barrier(subject);
    assert_eq!(adopt(subject, &key, 3, 0), Some(40));
    append(subject, &[of_epoch(&key, 3, 41, 3)]);
    barrier(subject);
    if subject.log().is_shared() {
        // It had adopted what was committed, so it writes above that alone.
        for (first, rows) in [(41, 2), (43, 5)] {
            let late = (first..first + rows).map(|seq| row(&key, 2, first, seq, b"late")).collect();
            append(subject, &[Batch { key: key.clone(), epoch: 2, first, rows: late }]);
        }
    }
    for (epoch, at_least) in [(3, 43), (4, 0), (4, 43), (5, 20), (6, 43)] {
        assert_eq!(adopt(subject, &key, epoch, at_least), Some(43));
        assert_eq!(super::page(subject, &key, range(0, 43, Direction::Forward, 99)), (0..=43).collect::<Vec<_>>());
    }
}
