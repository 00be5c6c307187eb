//! What breaks. Each begins with a broker that serves, and ends with the oracle's verdict; the nodes sync their logs before
//! they answer.

use std::time::Duration;

use rustix::process::Signal;

use super::Ground;
use super::broker::Broker;
use super::door::Door;
use super::load::{Load, Verdict};

/// One of them.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Whether clients must not notice.
    pub(super) unseen: bool,
    pub(super) play: fn(&mut Ground) -> anyhow::Result<Verdict>,
}

/// All of them, in the order in which they are played.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "nothing", about: "nothing breaks", unseen: true, play: nothing },
    Scenario {
        name: "killed",
        about: "the broker is killed and started again, ten times",
        unseen: false,
        play: killed,
    },
    Scenario {
        name: "zombie",
        about: "the broker is stopped, another takes over, and the first goes on",
        unseen: false,
        play: zombie,
    },
    Scenario { name: "one-node", about: "one node is killed and comes back", unseen: true, play: one_node },
    Scenario { name: "two-nodes", about: "two nodes are killed and come back", unseen: false, play: two_nodes },
    Scenario { name: "all-nodes", about: "all nodes are killed at once and come back", unseen: false, play: all_nodes },
    Scenario {
        name: "slow-node",
        about: "one node answers after five seconds, again and again",
        unseen: false,
        play: slow_node,
    },
    Scenario { name: "cut", about: "no node answers for 20 seconds", unseen: false, play: cut },
    Scenario {
        name: "clock",
        about: "the broker's clock is an hour slow, after one whose clock was right, and before another",
        unseen: false,
        play: clock,
    },
];

/// Messages after which the load is under way.
const UNDER_WAY: u64 = 500;

const SECOND: Duration = Duration::from_secs(1);

/// A broker, and senders for so many seconds.
fn begin(ground: &Ground, secs: u32) -> anyhow::Result<(Broker, Door, Load)> {
    let broker = Broker::start(ground, "broker.log")?;
    let door = Door::open(broker.clients())?;
    let load = Load::start(ground, &door, secs)?;
    broker.stores(UNDER_WAY)?;
    Ok((broker, door, load))
}

fn nothing(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, load) = begin(ground, 10)?;
    load.ended()
}

fn killed(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (mut broker, door, mut load) = begin(ground, 60)?;
    for _ in 0..10 {
        load.goes_on(3 * SECOND)?;
        drop(broker);
        broker = Broker::start(ground, "broker.log")?;
        door.lead_to(broker.clients());
    }
    load.ended()
}

fn zombie(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (first, door, mut load) = begin(ground, 20)?;
    load.goes_on(4 * SECOND)?;
    first.signal(Signal::STOP)?;
    let second = Broker::start(ground, "second.log")?;
    door.lead_to(second.clients());
    load.goes_on(5 * SECOND)?;
    first.signal(Signal::CONT)?;
    first.replaced()?;
    let verdict = load.ended();
    drop(second);
    verdict
}

fn one_node(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 45)?;
    load.goes_on(4 * SECOND)?;
    ground.cluster.kill(2)?;
    load.goes_on(8 * SECOND)?;
    ground.cluster.start_again(2)?;
    load.ended()
}

fn two_nodes(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 45)?;
    load.goes_on(4 * SECOND)?;
    ground.cluster.kill(2)?;
    ground.cluster.kill(3)?;
    load.goes_on(10 * SECOND)?;
    ground.cluster.start_again(2)?;
    ground.cluster.start_again(3)?;
    load.ended()
}

fn all_nodes(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 45)?;
    load.goes_on(4 * SECOND)?;
    for node in 1..=3 {
        ground.cluster.kill(node)?;
    }
    for node in 1..=3 {
        ground.cluster.start_again(node)?;
    }
    load.ended()
}

fn slow_node(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 40)?;
    for _ in 0..4 {
        load.goes_on(2 * SECOND)?;
        ground.cluster.pause(3)?;
        load.goes_on(5 * SECOND)?;
        ground.cluster.go_on(3)?;
    }
    load.ended()
}

fn cut(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 40)?;
    load.goes_on(4 * SECOND)?;
    for node in 1..=3 {
        ground.cluster.pause(node)?;
    }
    load.goes_on(20 * SECOND)?;
    for node in 1..=3 {
        ground.cluster.go_on(node)?;
    }
    load.ended()
}

fn clock(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (mut broker, door, mut load) = begin(ground, 40)?;
    for offset in ["-1h", "+0", "-1h", "+0"] {
        load.goes_on(3 * SECOND)?;
        drop(broker);
        broker = Broker::start_at(ground, "broker.log", Some(offset))?;
        door.lead_to(broker.clients());
    }
    load.ended()
}
