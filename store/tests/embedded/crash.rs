//! SIGKILL while rows are being stored: what a barrier confirmed is there, batches are whole, and it goes on.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use futures_executor::block_on;
use switchyard_store::embedded::{Embedded, Options, verify};
use switchyard_store::{Log, Outcome, Seq};

use crate::support::{append, batch, key, open, options, rows, temp_dir};

const CHILD_DIR: &str = "SWITCHYARD_STORE_TEST_CHILD";
const CONVERSATIONS: u8 = 3;
const ROWS: u64 = 7;
const ROUNDS: usize = 6;

/// Stores for ever, and tells each barrier: the round is confirmed in all conversations.
fn child(dir: &Path) -> ! {
    // Small enough that the engine writes out and merges all the time.
    let store = Embedded::open(dir, Options { segment_bytes: 60_000, ..options().0 }).expect("the store opens");
    let after_head = |number| {
        let head = block_on(store.head(&key(number), 0)).expect("nothing is damaged");
        head.map_or(0, |head| head + 1)
    };
    // A round that was killed half-way is repeated, byte for byte.
    let mut next = (0..CONVERSATIONS).map(after_head).min().expect("there are conversations");
    loop {
        // A batch does not cross a bucket.
        let count = ROWS.min(1_000 - next % 1_000);
        for number in 0..CONVERSATIONS {
            assert_eq!(append(&store, batch(&key(number), next, count)), Outcome::Stored);
        }
        block_on(store.barrier()).expect("the disk works");
        next += count;
        println!("confirmed {next}");
        std::io::stdout().flush().expect("the parent reads");
    }
}

#[test]
fn what_a_barrier_confirmed_survives_a_kill() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        child(Path::new(&dir));
    }
    let dir = temp_dir();
    let mut confirmed: Seq = 0;
    for round in 0..ROUNDS {
        let mut process = Command::new(std::env::current_exe().expect("a test runs from a file"))
            .args(["crash::what_a_barrier_confirmed_survives_a_kill", "--exact", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let wanted = 15 + 40 * round;
        let told = lines.filter_map(|line| line.expect("it is text").strip_prefix("confirmed ")?.parse().ok());
        confirmed = told.take(wanted).last().expect("it confirms before it is killed");
        process.kill().expect("it runs");
        process.wait().expect("it ends");

        let store = open(dir.path());
        for number in 0..CONVERSATIONS {
            let found = rows(&store, &key(number)).expect("nothing is damaged");
            let seqs: Vec<Seq> = found.iter().map(|(seq, _)| *seq).collect();
            assert!(seqs.len() as u64 >= confirmed, "{} rows, {confirmed} confirmed", seqs.len());
            assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
            let row = |(seq, blob): &(Seq, bytes::Bytes)| {
                switchyard_store::Row::decode(&key(number), *seq, blob).expect("nothing is damaged")
            };
            assert!(found.iter().all(|found| row(found).body == crate::support::body(&key(number), found.0)));
        }
    }
    let report = verify(dir.path()).expect("it opens");
    assert!(report.ok, "{report:?}");
    assert_eq!(report.conversations, u64::from(CONVERSATIONS));
    assert!(report.events >= (confirmed - 1) * u64::from(CONVERSATIONS));
}
