//! Too little of what a machine has: room on disk, and file descriptors. Nothing is lost or cut by it, and it passes.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::plain::{JSON, Plain, code};
use crate::process::get;
use crate::raw::{Raw, upgrade_head};
use crate::site::{Setup, Site, Store};

/// A disk of 64 MiB, gone when it is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), c"size=64m")
            .expect("only root may mount a small disk, which this test needs");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn free(&self) -> u64 {
        let stat = statvfs(self.path()).expect("it is mounted");
        stat.f_bavail * stat.f_frsize
    }

    /// Takes all room but so much.
    fn fill(&self, leave: u64) {
        let mut ballast = File::create(self.path().join("ballast")).expect("there is room");
        let block = vec![0; 64 * 1024];
        while self.free() > leave + block.len() as u64 {
            ballast.write_all(&block).expect("there is room");
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

/// Asks both ports until both say this; gives what they say. The disk is looked at once a second.
fn wait_for_readiness(site: &Site, status: u16) -> Value {
    let mut said = String::new();
    for address in [site.address(), site.ops()] {
        loop {
            let (found, body) = get(&address.to_string(), "/readyz");
            if found == status {
                said = body;
                break;
            }
        }
    }
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn on_a_full_disk_sends_are_refused_reads_go_on_and_it_heals() {
    let disk = SmallDisk::mount();
    let data = disk.path().join("data");
    let mut site = Site::start(&Setup {
        env: &[("SWITCHYARD__STORE__FREE_BYTES_MIN", "8MiB"), ("SWITCHYARD__STORE__SEGMENT_BYTES", "1MiB")],
        data: Some(&data),
        store: Store::Embedded,
        ..Setup::default()
    });
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    let message = |n: u32| json!({"conversation": conversation, "client_id": format!("a{n}"), "text": "hello"});
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    alice.done("send", &message(0));
    bob.event("message");

    disk.fill(7 * 1024 * 1024);
    // What was measured a moment ago may still let some through: those are stored like any other.
    let mut stored = 1;
    let refusal = loop {
        let reply = alice.ask("send", &message(stored));
        if reply["ok"] == false {
            break reply;
        }
        stored += 1;
    };
    assert_eq!(code(&refusal), "OVERLOADED");
    assert!(refusal["error"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{refusal}");
    for _ in 0..50 {
        assert_eq!(alice.refused("send", &message(stored)), "OVERLOADED");
    }
    assert_eq!(bob.refused("create", &json!({"kind": "group", "members": []})), "OVERLOADED");
    // Reading, live sessions and newcomers are not concerned.
    let page = alice.done("history", &json!({"conversation": conversation, "limit": 1}));
    assert_eq!((&page["messages"][0]["seq"], &page["head"]), (&json!(stored), &json!(stored)));
    let mut tablet = Plain::open(&site, "bob");
    let data = tablet.done("resume", &json!({"positions": [{"conversation": conversation, "seq": stored - 1}]}));
    assert_eq!(data["conversations"][0]["events"][0]["seq"], stored);
    let known = alice.done("send", &message(0));
    assert_eq!(known["duplicate"], true, "what is stored is acknowledged again");
    assert_eq!(get(&site.address().to_string(), "/healthz").0, 200);
    let why = wait_for_readiness(&site, 503);
    assert!(why["reasons"]["store"].as_str().is_some_and(|reason| reason.contains("full")), "{why}");
    let metrics = get(&site.ops().to_string(), "/metrics").1;
    assert!(
        metrics.contains("\nstore_free_bytes_min 8388608\n") && metrics.contains("\nstore_free_bytes "),
        "{metrics}"
    );

    disk.make_room();
    wait_for_readiness(&site, 200);
    let sent = loop {
        let reply = alice.ask("send", &message(stored));
        if reply["ok"] == true {
            break reply;
        }
    };
    assert_eq!(sent["data"]["message"]["seq"], stored + 1, "nothing that was refused has a number");
    for seq in 2..=stored + 1 {
        assert_eq!(bob.event("message")["seq"], seq);
    }
    site.still_serves();
    // It is all there after a restart.
    site.kill();
    site.start_again();
    let page = Plain::open(&site, "bob").done("history", &json!({"conversation": conversation, "limit": 1}));
    assert_eq!(page["messages"][0], sent["data"]["message"]);
}

#[test]
fn a_broker_starts_on_a_full_disk_and_serves_what_is_there() {
    let disk = SmallDisk::mount();
    let data = disk.path().join("data");
    let mut site = Site::start(&Setup {
        env: &[("SWITCHYARD__STORE__FREE_BYTES_MIN", "8MiB"), ("SWITCHYARD__STORE__SEGMENT_BYTES", "1MiB")],
        data: Some(&data),
        store: Store::Embedded,
        ..Setup::default()
    });
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    alice.send(&conversation, "a1", "hello");
    site.kill();
    disk.fill(7 * 1024 * 1024);
    site.start_again();
    assert_eq!(get(&site.address().to_string(), "/readyz").0, 503, "from the first moment on");
    let mut alice = Plain::open(&site, "alice");
    let page = alice.done("history", &json!({"conversation": conversation}));
    assert_eq!(page["messages"][0]["text"], "hello");
    let message = json!({"conversation": conversation, "client_id": "a2", "text": "more"});
    assert_eq!(alice.refused("send", &message), "OVERLOADED");
    disk.make_room();
    while alice.ask("send", &message)["ok"] == false {}
    site.still_serves();
}

#[test]
fn out_of_file_descriptors_old_sessions_work_and_newcomers_wait_their_turn() {
    const FILES: u32 = 96;
    let mut site = Site::start(&Setup { open_files: Some(FILES), ..Setup::default() });
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    bob.done("subscribe", &json!({"conversations": [conversation]}));

    // More than it can take: the rest waits in the kernel.
    let lines = format!("Sec-WebSocket-Protocol: {JSON}\r\nAuthorization: Bearer {}\r\n", site.token("carol"));
    let crowd: Vec<Raw> = (0..2 * FILES)
        .map(|_| {
            let mut raw = Raw::on(TcpStream::connect(site.address()).expect("the kernel takes it"));
            assert!(raw.send(upgrade_head(&lines).as_bytes()));
            raw
        })
        .collect();
    while !site.log().contains("accepting connections pauses") {
        std::thread::yield_now();
    }
    for n in 0..20 {
        alice.send(&conversation, &format!("a{n}"), "we are fine");
        assert_eq!(bob.event("message")["seq"], n + 1);
    }
    let page = bob.done("history", &json!({"conversation": conversation}));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(20));
    // Who waits comes in when others leave. Each thread is let in and leaves.
    std::thread::scope(|scope| {
        for mut raw in crowd {
            scope.spawn(move || {
                let answer = raw.head();
                assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
            });
        }
    });
    site.still_serves();
}
