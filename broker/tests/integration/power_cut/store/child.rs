//! The process that works on the store, because a power cut ends it: this test binary, started again with an environment
//! variable. It says what it did in lines, which `campaign.rs` reads.
//!
//! ```text
//! epoch <number>                           it opened an epoch
//! confirmed <conversation> <seq> <hash>    a barrier confirmed this row
//! row <conversation> <seq> <hash>          it read this row
//! recorded <conversation> <seq>            a barrier confirmed the record of this event, or it read one
//! refused <text>                           it found the store damaged
//! ```

use std::fmt::Display;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::Arc;

use bytes::Bytes;
use futures_executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_store::embedded::{Embedded, OpenError, Options, verify};
use switchyard_store::{
    BUCKET_ROWS, Batch, Direction, Epochs, Log, Outcome, ProjectionWrite, Projections, ReadRange, RowRef, Seq,
};

const JOB_VARIABLE: &str = "SWITCHYARD_POWER_CUT_JOB";

/// Threads that append and wait for the barrier, as shards do.
const WRITERS: u8 = 16;

/// Conversations of each.
const CONVERSATIONS: u8 = 4;

/// Most rows of a batch; a few at a time is what a loaded shard commits.
const ROWS_MAX: u64 = 8;

/// Most bytes of a body: some fit in one sector, some cross many pages.
const BODY_BYTES_MAX: usize = 6_000;

/// So small that segments of the journal are left, and rows sorted to disk and merged, within every round.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// The conversation whose only batch is stored again and again, to fill segments. Nothing else grows by it.
const FILLER: u8 = WRITERS * CONVERSATIONS;

/// Rows and bytes of each in that batch: nearly as much as a batch may have.
const FILLER_ROWS: u64 = 5;
const FILLER_BYTES: usize = 50_000;

/// Rows read at a time.
const PAGE_ROWS: usize = 256;

/// What the process is to do.
pub(super) enum Job {
    /// Open the store and write until it is killed.
    Load { seed: u64, sync: bool, fill: bool },
    /// Check the store and say every row.
    Check,
}

impl Job {
    /// The command that starts it.
    pub(super) fn command(&self, data: &Path) -> anyhow::Result<Command> {
        let module = module_path!().split_once("::").map_or("", |(_, path)| path);
        let test = module.replace("::child", "::what_was_confirmed_survives_on_a_disk_that_forgets_all_else");
        let job = match self {
            Self::Load { seed, sync, fill } => format!("load {seed} {sync} {fill}"),
            Self::Check => "check".to_owned(),
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", &test, "--nocapture"]).env(JOB_VARIABLE, job).current_dir(data);
        Ok(command)
    }
}

/// Does not return in a process that was started for a job.
pub(super) fn run_if_asked() {
    let Ok(job) = std::env::var(JOB_VARIABLE) else { return };
    // The test harness has begun a line.
    println!();
    let words: Vec<&str> = job.split(' ').collect();
    match words[..] {
        ["load", seed, sync, fill] => {
            let flag = |word: &str| word.parse().expect("true or false");
            load(seed.parse().expect("a number"), flag(sync), flag(fill));
        }
        ["check"] => check(),
        _ => panic!("unknown job {job}"),
    }
    exit(0);
}

fn key(conversation: u8) -> ConversationKey {
    let tenant = TenantId::new("tenant").expect("a short name");
    ConversationKey { tenant, conversation: ConversationId::from_bytes([conversation; 16]) }
}

fn hash(blob: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(blob);
    hasher.finish()
}

/// Says one line or several, wholly: whoever was told has been told.
fn say(lines: &str) {
    std::io::stdout().lock().write_all(lines.as_bytes()).unwrap_or_else(|error| give_up(error));
}

/// Ends the process. After a cut this is what happens to it, sooner or later.
fn give_up(reason: impl Display) -> ! {
    eprintln!("{reason}");
    exit(1);
}

fn load(seed: u64, sync: bool, fill: bool) {
    let options = Options { segment_bytes: SEGMENT_BYTES, sync, ..Options::default() };
    let store = match Embedded::open(Path::new("store"), options) {
        Ok(store) => Arc::new(store),
        Err(OpenError::Corrupt(reason)) => return say(&format!("refused {reason}\n")),
        Err(error) => give_up(error),
    };
    let epoch = block_on(store.open_epoch()).unwrap_or_else(|error| give_up(error));
    say(&format!("epoch {epoch}\n"));
    let filler = fill.then(|| {
        let store = Arc::clone(&store);
        std::thread::spawn(move || fill_segments(&store))
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            let rng = StdRng::seed_from_u64(seed ^ u64::from(writer));
            std::thread::spawn(move || write(&store, writer, epoch, rng))
        })
        .collect();
    for writer in writers.into_iter().chain(filler) {
        writer.join().unwrap_or_else(|_| give_up("a writer panicked"));
    }
}

/// Appends to its conversations for ever, and says what was confirmed.
fn write(store: &Embedded, writer: u8, epoch: u64, mut rng: StdRng) {
    let mut conversations: Vec<(u8, ConversationKey, Seq)> = (writer * CONVERSATIONS..(writer + 1) * CONVERSATIONS)
        .map(|conversation| {
            let key = key(conversation);
            let head = block_on(store.head(&key, 0)).unwrap_or_else(|error| give_up(error));
            (conversation, key, head.map_or(0, |head| head + 1))
        })
        .collect();
    loop {
        let index = rng.random_range(0..conversations.len());
        let (conversation, key, first) = &mut conversations[index];
        let rows = rng.random_range(1..=ROWS_MAX).min(BUCKET_ROWS - *first % BUCKET_ROWS);
        let batch = batch(key, epoch, *first, rows, &mut rng);
        let last = *first + rows - 1;
        let mut lines = String::new();
        for (seq, row) in (*first..).zip(&batch.rows) {
            lines += &format!("confirmed {conversation} {seq} {}\n", hash(row));
        }
        if block_on(store.append(&[batch])) != [Outcome::Stored] {
            give_up("not stored");
        }
        if rng.random() {
            let record = ProjectionWrite::Conversation { key: key.clone(), at: last, record: Bytes::from_static(b"x") };
            block_on(Projections::write(store, &[record])).unwrap_or_else(|error| give_up(error));
            lines += &format!("recorded {conversation} {last}\n");
        }
        block_on(store.barrier()).unwrap_or_else(|error| give_up(error));
        say(&lines);
        *first = last + 1;
    }
}

/// Stores one batch for ever, the same in every process.
fn fill_segments(store: &Embedded) {
    let key = key(FILLER);
    let mut rng = StdRng::seed_from_u64(0);
    let row = |seq| {
        let mut body = vec![0; FILLER_BYTES];
        rng.fill_bytes(&mut body);
        let row =
            RowRef { epoch: 1, first: 0, ordinal: seq, kind: 3, sender: "", client_id: "", time_ms: 7, body: &body };
        row.encode(&key, seq)
    };
    let rows = (0..FILLER_ROWS).map(row).collect();
    let batch = Batch { key: key.clone(), epoch: 1, first: 0, rows };
    loop {
        if block_on(store.append(std::slice::from_ref(&batch))) != [Outcome::Stored] {
            give_up("not stored");
        }
    }
}

fn batch(key: &ConversationKey, epoch: u64, first: Seq, rows: u64, rng: &mut StdRng) -> Batch {
    let row = |seq| {
        // Mostly short ones.
        let len = rng.random_range(0..=BODY_BYTES_MAX) >> rng.random_range(0..8);
        let mut body = vec![0; len];
        rng.fill_bytes(&mut body);
        let row = RowRef {
            epoch,
            first,
            ordinal: seq,
            kind: 3,
            sender: "ann",
            client_id: &seq.to_string(),
            time_ms: 7,
            body: &body,
        };
        row.encode(key, seq)
    };
    Batch { key: key.clone(), epoch, first, rows: (first..first + rows).map(row).collect() }
}

/// Looks at everything: by the store's own tool, and by reading.
fn check() {
    let dir = Path::new("store");
    match verify(dir) {
        Ok(report) if report.ok => {}
        Ok(report) => say(&format!("refused {:?}\n", report.corrupt)),
        // The power was cut before there was one.
        Err(OpenError::Absent(_)) => return,
        Err(OpenError::Corrupt(reason)) => return say(&format!("refused {reason}\n")),
        Err(error) => give_up(error),
    }
    let store = Embedded::open(dir, Options::default()).unwrap_or_else(|error| give_up(error));
    for conversation in 0..WRITERS * CONVERSATIONS {
        let key = key(conversation);
        let mut from = 0;
        loop {
            let range = ReadRange {
                from,
                to: Seq::MAX,
                direction: Direction::Forward,
                rows_max: PAGE_ROWS,
                bytes_max: usize::MAX,
            };
            let rows = match block_on(store.read(&key, range)) {
                Ok(rows) => rows,
                Err(error) => return say(&format!("refused {error}\n")),
            };
            let Some((last, _)) = rows.last() else { break };
            from = last + 1;
            let lines: String =
                rows.iter().map(|(seq, row)| format!("row {conversation} {seq} {}\n", hash(row))).collect();
            say(&lines);
        }
        match block_on(store.load(&key)) {
            Ok(Some(record)) => say(&format!("recorded {conversation} {}\n", record.applied)),
            Ok(None) => {}
            Err(error) => say(&format!("refused {error}\n")),
        }
    }
}
