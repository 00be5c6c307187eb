//! Promises about storing rows: limits, atomicity, repetition, and that nothing wrong is ever served.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_protocol::limits::INTEGER_MAX;

use super::{Case, Subject, all, append, batch, conversation, head, range, read, row, wait};
use crate::log::{BATCH_BYTES_MAX, BUCKET_ROWS, Batch, Damage, Direction, Outcome, ROWS_MAX, ReadError, Refusal, Seq};
use crate::row::Row;

pub(super) const CASES: &[Case] = &[
    Case { name: "rows come back as they were", run: come_back },
    Case { name: "batches are judged one by one", run: judged_one_by_one },
    Case { name: "batches at their limits are stored", run: at_the_limits },
    Case { name: "a repeated batch changes nothing", run: repeated },
    Case { name: "a body can be overwritten", run: overwritten },
    Case { name: "what was overwritten stays so", run: overwritten_for_good },
    Case { name: "neighbouring keys do not mix", run: neighbours },
    Case { name: "a reader sees whole batches", run: whole_batches },
    Case { name: "an altered row is not served", run: altered },
    Case { name: "a row of another place is not served", run: misplaced },
];

fn come_back(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let bodies: [&[u8]; 4] = [b"", b"\0\xff", "größer".as_bytes(), &[7; 64 * 1024]];
    let rows = bodies.iter().zip(0..).map(|(body, seq)| row(&key, 9, 0, seq, body)).collect();
    append(subject, &[Batch { key: key.clone(), epoch: 9, first: 0, rows }]);
    let stored = read(subject, &key, range(0, 9, Direction::Forward, 9)).expect("the rows are intact");
    assert_eq!(stored.len(), bodies.len());
    for ((seq, blob), (body, expected)) in stored.iter().zip(bodies.iter().zip(0..)) {
        let row = Row::decode(&key, *seq, blob).expect("the row is intact");
        assert_eq!((*seq, &row.body[..], row.epoch, row.first), (expected, *body, 9, 0));
        assert_eq!((row.sender(), row.client_id(), row.kind), ("ann", &*format!("c{seq}"), 1));
    }
}

fn judged_one_by_one(subject: &mut dyn Subject, tenant: TenantId) {
    let keys: Vec<_> = (0..6).map(|number| conversation(&tenant, number)).collect();
    let large = |key: &ConversationKey| {
        let rows = (0..5).map(|seq| row(key, 1, 0, seq, &[1; BATCH_BYTES_MAX / 5])).collect();
        Batch { key: key.clone(), epoch: 1, first: 0, rows }
    };
    let batches = [
        batch(&keys[0], 0, 1),
        batch(&keys[1], 0, 0),
        batch(&keys[2], 0, ROWS_MAX as u64 + 1),
        large(&keys[3]),
        batch(&keys[4], BUCKET_ROWS - 1, 2),
        batch(&keys[5], 0, 2),
    ];
    let beyond = batch_at(&keys[1], INTEGER_MAX + 1);
    assert_eq!(wait(subject, subject.log().append(&[beyond])), [Outcome::Refused(Refusal::Malformed)]);
    let outcomes = wait(subject, subject.log().append(&batches));
    let refused = Outcome::Refused;
    assert_eq!(
        outcomes,
        [
            Outcome::Stored,
            refused(Refusal::Malformed),
            refused(Refusal::TooLarge),
            refused(Refusal::TooLarge),
            refused(Refusal::Malformed),
            Outcome::Stored
        ]
    );
    let heads: Vec<_> = keys.iter().map(|key| head(subject, key, 0).expect("nothing is damaged")).collect();
    assert_eq!(heads, [Some(0), None, None, None, None, Some(1)]);
    assert_eq!(wait(subject, subject.log().append(&[])), []);
}

fn at_the_limits(subject: &mut dyn Subject, tenant: TenantId) {
    let (rows, bytes) = (conversation(&tenant, 1), conversation(&tenant, 2));
    append(subject, &[batch(&rows, 0, ROWS_MAX as u64)]);
    assert_eq!(all(subject, &rows).len(), ROWS_MAX);
    let overhead = row(&bytes, 1, 0, 3, &[1; 60_000]).len() - 60_000;
    let body = vec![1; BATCH_BYTES_MAX / 4 - overhead];
    let batch = Batch {
        key: bytes.clone(),
        epoch: 1,
        first: 0,
        rows: (0..4).map(|seq| row(&bytes, 1, 0, seq, &body)).collect(),
    };
    let size: usize = batch.rows.iter().map(|row| row.len()).sum();
    assert!(size <= BATCH_BYTES_MAX && size > BATCH_BYTES_MAX - 64, "{size}");
    append(subject, &[batch]);
    assert_eq!(head(subject, &bytes, 0), Ok(Some(3)));
    // The last row of a bucket, and the last number there is.
    append(subject, &[batch_at(&rows, BUCKET_ROWS - 1)]);
    append(subject, &[batch_at(&conversation(&tenant, 3), INTEGER_MAX)]);
}

fn batch_at(key: &ConversationKey, seq: Seq) -> Batch {
    Batch { key: key.clone(), epoch: 1, first: seq, rows: vec![row(key, 1, seq, seq, b"x")] }
}

fn repeated(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let batches = [batch(&key, 0, 5)];
    append(subject, &batches);
    append(subject, &batches);
    append(subject, &[batch(&key, 5, 2)]);
    append(subject, &batches);
    assert_eq!(all(subject, &key), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(head(subject, &key, 0), Ok(Some(6)));
}

fn overwritten(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    append(subject, &[batch(&key, 0, 3)]);
    overwrite(subject, &[Batch { key: key.clone(), epoch: 1, first: 1, rows: vec![row(&key, 1, 0, 1, b"")] }]);
    let rows = read(subject, &key, range(0, 9, Direction::Forward, 9)).expect("the rows are intact");
    let bodies: Vec<_> =
        rows.iter().map(|(seq, blob)| Row::decode(&key, *seq, blob).expect("the row is intact").body).collect();
    assert_eq!(bodies, [&b"body 0"[..], b"", b"body 2"]);
}

/// Whatever the bytes are, in whatever epoch, however often, also the first row of a batch, which tells nobody by itself that
/// it is not appended.
fn overwritten_for_good(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    append(subject, &[batch(&key, 0, 1), batch(&key, 1, 2)]);
    let body = |subject: &dyn Subject, seq| {
        let page = read(subject, &key, range(seq, seq, Direction::Forward, 1)).expect("the row is intact");
        let (_, blob) = page.first().expect("the row is there");
        let row = Row::decode(&key, seq, blob).expect("the row is intact");
        assert_eq!(row.epoch, 1, "the epoch in which it was appended stays");
        row.body
    };
    let rewrite = |subject: &dyn Subject, body: &'static [u8]| {
        let rows = vec![row(&key, 1, 1, 1, body)];
        overwrite(subject, &[Batch { key: key.clone(), epoch: 1, first: 1, rows }]);
    };
    for text in [&b"z"[..], b"", b"a longer text than that", b"\xff\xff", b"\0"] {
        rewrite(subject, text);
        assert_eq!(body(subject, 1), text);
    }
    // A later owner has it as it is, and may overwrite it as well.
    let adopted = wait(subject, subject.log().adopt(&key, 5, 0)).expect("nothing is damaged");
    assert_eq!((adopted.map(|adopted| adopted.head), body(subject, 1)), (Some(2), Bytes::from_static(b"\0")));
    for text in [&b""[..], b"zzz", b""] {
        rewrite(subject, text);
        assert_eq!(body(subject, 1), text);
    }
    assert_eq!(body(subject, 2), &b"body 2"[..]);
    wait(subject, subject.log().barrier()).expect("nothing fails here");
    subject.reopen();
    assert_eq!((body(subject, 1), body(subject, 0)), (Bytes::new(), Bytes::from_static(b"body 0")));
}

fn overwrite(subject: &dyn Subject, batches: &[Batch]) {
    let outcomes = wait(subject, subject.log().overwrite(batches));
    assert_eq!(outcomes, vec![Outcome::Stored; batches.len()]);
    wait(subject, subject.log().barrier()).expect("nothing fails here");
}

fn neighbours(subject: &mut dyn Subject, tenant: TenantId) {
    let longer = TenantId::new(&format!("{tenant}x")).expect("a short name");
    let mut keys = vec![conversation(&tenant, 1), conversation(&longer, 1)];
    for last in [0, 2, 0xff] {
        let mut id = [1; 16];
        id[15] = last;
        keys.push(ConversationKey { tenant: tenant.clone(), conversation: ConversationId::from_bytes(id) });
    }
    for (key, rows) in keys.iter().zip(1..) {
        append(subject, &[batch(key, 0, rows)]);
    }
    for (key, rows) in keys.iter().zip(1..) {
        assert_eq!(all(subject, key), (0..rows).collect::<Vec<_>>());
        assert_eq!(head(subject, key, 0), Ok(Some(rows - 1)));
    }
}

fn whole_batches(subject: &mut dyn Subject, tenant: TenantId) {
    const ROWS: u64 = 20;
    const BATCHES: u64 = 50;
    let subject = &*subject;
    let key = &conversation(&tenant, 1);
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..BATCHES {
                append(subject, &[batch(key, number * ROWS, ROWS)]);
            }
            done.store(true, Ordering::Release);
        });
        let mut highest = 0;
        loop {
            let last_look = done.load(Ordering::Acquire);
            let seen = all(subject, key);
            assert_eq!(seen.len() as u64 % ROWS, 0, "a batch was seen in part");
            assert!(seen.len() >= highest, "rows that were seen are gone");
            highest = seen.len();
            if last_look {
                break;
            }
        }
        assert_eq!(highest as u64, ROWS * BATCHES);
    });
}

fn altered(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    append(subject, &[batch(&key, 0, 2)]);
    let mut blob = row(&key, 1, 2, 2, b"body 2").to_vec();
    let last = blob.last_mut().expect("a row has bytes");
    *last ^= 1;
    append(subject, &[Batch { key: key.clone(), epoch: 1, first: 2, rows: vec![blob.into()] }]);
    append(subject, &[batch(&key, 3, 2)]);
    let corrupt = Err(ReadError::Corrupt { key: key.clone(), seq: 2, reason: Damage::Checksum });
    assert_eq!(read(subject, &key, range(0, 9, Direction::Forward, 9)), corrupt);
    assert_eq!(read(subject, &key, range(0, 9, Direction::Backward, 9)), corrupt);
    assert_eq!(super::page(subject, &key, range(0, 1, Direction::Forward, 9)), [0, 1]);
    assert_eq!(super::page(subject, &key, range(3, 9, Direction::Backward, 9)), [4, 3]);
}

fn misplaced(subject: &mut dyn Subject, tenant: TenantId) {
    let (key, other) = (conversation(&tenant, 1), conversation(&tenant, 2));
    append(subject, &[Batch { key: key.clone(), epoch: 1, first: 0, rows: vec![row(&other, 1, 0, 0, b"body 0")] }]);
    append(subject, &[Batch { key: key.clone(), epoch: 1, first: 1, rows: vec![row(&key, 1, 1, 2, b"body 2")] }]);
    for seq in [0, 1] {
        let corrupt = Err(ReadError::Corrupt { key: key.clone(), seq, reason: Damage::Checksum });
        assert_eq!(read(subject, &key, range(seq, seq, Direction::Forward, 1)), corrupt);
    }
}
