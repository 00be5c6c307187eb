//! Promises about a conversation's first touch in an epoch: what was committed is there, and goes on.

use switchyard_protocol::id::{ConversationKey, TenantId};

use super::{Case, Subject, all, append, barrier, batch, conversation, fill, head, row, wait};
use crate::log::{BUCKET_ROWS, Batch, Damage, ReadError, Seq};

pub(super) const CASES: &[Case] = &[
    Case { name: "adoption of nothing is nothing", run: nothing },
    Case { name: "what was committed is adopted", run: committed },
    Case { name: "an adopted conversation goes on", run: goes_on },
    Case { name: "adoption finds its way over buckets", run: over_buckets },
    Case { name: "a trimmed conversation is adopted", run: trimmed },
    Case { name: "adoption misses what must be there", run: missing },
];

fn adopt(subject: &dyn Subject, key: &ConversationKey, epoch: u64, at_least: Seq) -> Option<Seq> {
    wait(subject, subject.log().adopt(key, epoch, at_least)).expect("nothing is damaged")
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
