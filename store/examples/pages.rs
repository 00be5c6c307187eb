//! What a page of 50 costs in a conversation of 1,000,000 messages against one of 1,000, at any position: prints CPU
//! microseconds per page and their ratio. Arguments: messages in the large one, pages per measurement.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_store::embedded::{Embedded, Options};
use switchyard_store::{BUCKET_ROWS, Batch, Direction, Log, Outcome, ROWS_MAX, ReadRange, RowRef, Seq};

const SMALL: u64 = 1_000;
const PAGE_ROWS: usize = 50;
const BODY_BYTES: usize = 200;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let large = arguments.next().transpose()?.unwrap_or(1_000_000);
    let pages = arguments.next().transpose()?.unwrap_or(30_000);
    let dir = tempfile::tempdir()?;
    let store = Embedded::open(dir.path(), Options { free_bytes_min: 0, ..Options::default() })?;
    let started = Instant::now();
    let cpu = cpu_us("/proc/self/schedstat")?;
    // The small conversation is written between the others, as in life; a hundred more surround them.
    fill(&store, 1, large)?;
    for number in 2..102 {
        fill(&store, number, SMALL)?;
    }
    let messages = large + 100 * SMALL;
    println!("stored {messages} messages in {:.1} s", started.elapsed().as_secs_f64());
    println!("writing thread: {:.2} us of CPU a message", (cpu_us("/proc/self/schedstat")? - cpu) / messages as f64);
    measure(&store, large, pages, "just written")?;
    drop(store);
    let started = Instant::now();
    let store = Embedded::open(dir.path(), Options { free_bytes_min: 0, ..Options::default() })?;
    println!("opened again in {} ms", started.elapsed().as_millis());
    measure(&store, large, pages, "opened again")
}

fn key(number: u8) -> Result<ConversationKey> {
    Ok(ConversationKey { tenant: TenantId::new("tenant")?, conversation: ConversationId::from_bytes([number; 16]) })
}

fn fill(store: &Embedded, number: u8, messages: u64) -> Result<()> {
    let key = key(number)?;
    let body: Vec<u8> = (0..BODY_BYTES as u64).map(|at| (at * at * 31 / 7) as u8).collect();
    let mut first = 0;
    while first <= messages {
        let count = (ROWS_MAX as u64).min(BUCKET_ROWS - first % BUCKET_ROWS).min(messages + 1 - first);
        let encode = |seq: Seq| {
            let row = RowRef {
                epoch: 1,
                first,
                ordinal: seq,
                kind: 1,
                sender: "somebody",
                client_id: "0123456789abcdef",
                time_ms: 1_700_000_000_000 + seq,
                body: &body,
            };
            row.encode(&key, seq)
        };
        let rows = (first..first + count).map(encode).collect();
        let outcome = block_on(store.append(&[Batch { key: key.clone(), epoch: 1, first, rows }]));
        ensure!(outcome == [Outcome::Stored], "{outcome:?}");
        first += count;
    }
    block_on(store.barrier()).context("a barrier")
}

fn measure(store: &Embedded, large: u64, pages: u64, when: &str) -> Result<()> {
    for (name, direction) in [("forward", Direction::Forward), ("backward", Direction::Backward)] {
        let mut cost = [0.0; 2];
        for (cost, (number, messages)) in cost.iter_mut().zip([(50, SMALL), (1, large)]) {
            let key = key(number)?;
            let mut position = 1;
            let mut read = || -> Result<()> {
                position = (position * 48_271) % 2_147_483_647;
                let from = position % (messages - PAGE_ROWS as u64);
                let to = from + PAGE_ROWS as u64 - 1;
                let range = ReadRange { from, to, direction, rows_max: PAGE_ROWS, bytes_max: usize::MAX };
                ensure!(block_on(store.read(&key, range))?.len() == PAGE_ROWS);
                Ok(())
            };
            (0..pages / 10).try_for_each(|_| read())?;
            let before = cpu_us("/proc/thread-self/schedstat")?;
            (0..pages).try_for_each(|_| read())?;
            *cost = (cpu_us("/proc/thread-self/schedstat")? - before) / pages as f64;
        }
        let [of_small, of_large] = cost;
        println!(
            "{when}, {name}: {of_small:.1} us of 1,000, {of_large:.1} us of {large}: {:.2} x",
            of_large / of_small
        );
    }
    Ok(())
}

/// CPU time so far; of a process it is that of its first thread.
fn cpu_us(path: &str) -> Result<f64> {
    let text = std::fs::read_to_string(path).context("this example needs Linux")?;
    let ns: f64 = text.split_whitespace().next().context("schedstat has three numbers")?.parse()?;
    Ok(ns / 1_000.0)
}
