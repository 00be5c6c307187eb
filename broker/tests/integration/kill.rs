//! `kill -9` of the broker at random moments under 200 senders who also edit, delete, give emoji, mark and list, and again on
//! the same directory and port. The senders reconnect, resume and send again; the oracle then reads every timeline from its
//! begin, asks what is unread and for lists, and must find nothing wrong.
//!
//! The moment of each kill is a random number of messages stored since the start. The seed is printed; with
//! `SWITCHYARD_SEED` it is played again. `SWITCHYARD_LONG=1` kills 20 times instead of 3.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::process::{get, said};
use crate::site::Site;

/// Pairs of users; one of each sends to the other.
const PAIRS: &str = "200";
const USERS: u64 = 400;

/// Messages stored between a start and the next kill, at most.
const MESSAGES_MAX: u64 = 3_000;

/// The load harness, killed when a test fails in between.
struct Load(Child);

impl Load {
    fn start(site: &Site, secs: u64, seed: u64, json: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_switchyard")).with_file_name("loadtest");
        let child = Command::new(&program)
            .args(["pairs", "--pairs", PAIRS, "--window", "1", "--warm", "0", "--drain", "120", "--quiet", "--mix"])
            .args(["--secs", &secs.to_string(), "--seed", &seed.to_string(), "--target", &site.url()])
            .arg("--secret-file")
            .arg(site.data().join("dev-secret"))
            .arg("--json")
            .arg(json)
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build -p switchyard-loadtest` makes it", program.display())
        }))
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Messages stored since the broker was started, and the connections that it has.
fn stored(site: &Site) -> [u64; 2] {
    let metrics = get(&site.ops().to_string(), "/metrics").1;
    ["chat_messages_created_total ", "websocket_connections_active "].map(|name| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |count| count.parse().expect("a number"))
    })
}

fn seed() -> u64 {
    let given = std::env::var("SWITCHYARD_SEED").ok().map(|text| text.parse().expect("SWITCHYARD_SEED is a number"));
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    })
}

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed_under_load() {
    let long = std::env::var_os("SWITCHYARD_LONG").is_some();
    let (rounds, secs) = if long { (20, 120) } else { (3, 30) };
    let seed = seed();
    println!("SWITCHYARD_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);

    let mut site = Site::dev();
    let json: PathBuf = site.dir().join("load.json");
    let mut load = Load::start(&site, secs, seed % 1_000_000, &json);
    for round in 1..=rounds {
        let moment = random.random_range(1..=MESSAGES_MAX);
        let (mut seen, mut there) = (0, 0);
        // Half of the users are back at least.
        while seen < moment || there < USERS / 2 {
            [seen, there] = stored(&site);
            assert!(load.runs(), "the load ended before kill {round} of {rounds}: {seen} of {moment} messages");
        }
        site.kill();
        println!("kill {round}: after {seen} messages, with {there} of {USERS} there");
        site.start_again();
    }
    let ended = load.0.wait().expect("it ends");
    let text = std::fs::read_to_string(&json).unwrap_or_default();
    let result: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no result, but {ended}: {text}"));
    let (oracle, metrics) = (&result["oracle"], &result["metrics"]);
    assert!(ended.success(), "seed {seed}: {ended}: {oracle} {metrics}");
    assert_eq!(oracle["ok"], true, "seed {seed}: {oracle}");
    let checked = oracle["acked_checked"].as_u64().expect("a number");
    assert!(checked > 1_000, "{checked} acknowledged messages were checked");
    for violation in ["lost", "duplicates", "out_of_order", "gaps", "altered", "stale", "foreign"] {
        assert_eq!(oracle[violation], 0, "seed {seed}: {oracle}");
    }
    for violation in ["resurrected", "miscounted", "marks_back", "unread_wrong", "lists_wrong"] {
        assert_eq!(oracle[violation], 0, "seed {seed}: {oracle}");
    }
    let changes = oracle["changes_checked"].as_u64().expect("a number");
    assert!(changes > 100 && metrics["changes_unanswered"] == 0, "{changes} changes were checked: {metrics}");
    for count in ["marks_checked", "unread_checked", "lists_checked"] {
        assert!(oracle[count].as_u64() > Some(200), "{count}: {oracle}");
    }
    // The first kill cut all of them off, each of the others half of them, and nothing was given up.
    assert!(metrics["disconnects"].as_u64().is_some_and(|cut| cut >= USERS / 2 * rounds), "{metrics}");
    assert_eq!(metrics["unknown"], 0, "{metrics}");
    site.still_serves();
    site.kill();
    let Some(data) = site.on_disk() else { return };
    let report: Value = serde_json::from_str(&said(&["verify", "--data", data, "--json"])).expect("JSON");
    assert_eq!(report["ok"], true, "seed {seed}: {report}");
}
