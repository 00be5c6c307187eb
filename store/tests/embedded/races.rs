//! Readers while rows move from memory to the engine: none sees a hole, or a row that it saw before gone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_executor::block_on;
use switchyard_store::embedded::{Embedded, verify};
use switchyard_store::{Direction, Log, ReadRange, Seq};

use crate::support::{append, batch, key, open, small, temp_dir};

/// So few bytes that every other batch leaves a segment, which is taken over at once.
const SEGMENT_BYTES: u64 = 3_000;

const CONVERSATIONS: usize = 3;
const BATCHES: u64 = 250;
const ROWS: u64 = 7;

/// Of this one the older rows are dropped all the time.
const TRIMMED: usize = 2;
const KEPT: u64 = 100;

fn range(from: Seq, to: Seq, direction: Direction, rows_max: usize) -> ReadRange {
    ReadRange { from, to, direction, rows_max, bytes_max: usize::MAX }
}

fn numbers(store: &Embedded, conversation: usize, range: ReadRange) -> Vec<Seq> {
    let rows = block_on(store.read(&key(conversation as u8), range));
    rows.unwrap_or_else(|error| panic!("{conversation} {range:?}: {error}")).into_iter().map(|(seq, _)| seq).collect()
}

/// Reads from all sides until the writer has ended.
fn read(store: &Embedded, stored: &[AtomicU64; CONVERSATIONS], done: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !done.load(Ordering::Acquire) {
        for (conversation, stored) in stored.iter().enumerate() {
            let stored = stored.load(Ordering::Acquire);
            let Some(last) = stored.checked_sub(1) else { continue };
            let head = block_on(store.head(&key(conversation as u8), last)).expect("nothing is damaged");
            assert!(head >= Some(last), "{last} was stored, and {head:?} is the head");
            let whole = numbers(store, conversation, range(1, Seq::MAX, Direction::Forward, usize::MAX));
            assert!(whole.windows(2).all(|pair| pair[1] == pair[0] + 1), "{conversation}: {whole:?}");
            assert!(whole.last() >= Some(&last) || last == 0, "{conversation}: {last} was stored: {whole:?}");
            if conversation != TRIMMED {
                assert!(whole.first() == Some(&1) || last == 0);
                let middle = numbers(store, conversation, range(last / 2, last, Direction::Forward, 20));
                assert_eq!(middle, (last / 2..=last).take(20).collect::<Vec<_>>());
            }
            let newest = numbers(store, conversation, range(0, last, Direction::Backward, 20));
            let expected: Vec<_> = (0..=last).rev().take(20).collect();
            if conversation == TRIMMED {
                // What was dropped since the look at `stored` is not there.
                let events: Vec<_> = newest.into_iter().filter(|seq| *seq > 0).collect();
                assert!(expected.starts_with(&events), "{events:?}");
            } else {
                assert_eq!(newest, expected);
            }
        }
        rounds += 1;
    }
    rounds
}

#[test]
fn no_reader_meets_a_hole_while_rows_move() {
    let dir = temp_dir();
    let store = Embedded::open(dir.path(), small(SEGMENT_BYTES)).expect("the store opens");
    let stored: [AtomicU64; CONVERSATIONS] = Default::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read(&store, &stored, &done))).collect();
        for round in 0..BATCHES {
            for (conversation, stored) in stored.iter().enumerate() {
                let first = round * ROWS;
                let rows = ROWS.min(1_000 - first % 1_000);
                let key = key(conversation as u8);
                append(&store, batch(&key, first, rows));
                if rows < ROWS {
                    append(&store, batch(&key, first + rows, ROWS - rows));
                }
                stored.store(first + ROWS, Ordering::Release);
                if conversation == TRIMMED && first > KEPT {
                    block_on(store.trim(&key, first - KEPT)).expect("nothing is damaged");
                }
            }
        }
        done.store(true, Ordering::Release);
        let rounds: u64 = readers.into_iter().map(|reader| reader.join().expect("no reader failed")).sum();
        assert!(rounds > 10, "{rounds} looks only");
    });
    drop(store);
    let report = verify(dir.path()).expect("it opens");
    assert!(report.ok, "{report:?}");
    let store = open(dir.path());
    let last = BATCHES * ROWS - 1;
    for conversation in 0..CONVERSATIONS {
        let from = if conversation == TRIMMED { last - 50 } else { 0 };
        let all = numbers(&store, conversation, range(from, Seq::MAX, Direction::Forward, usize::MAX));
        assert_eq!(all, (from..=last).collect::<Vec<_>>());
    }
}
