//! What breaks. Each begins with a broker that serves, and ends with the oracle's verdict; the nodes sync their logs before
//! they answer.

use std::time::Duration;

use anyhow::bail;

use super::Ground;
use super::broker::{Broker, Lack, Way, is_refused, say_schema};
use super::door::Door;
use super::load::{BUSY, Expected, Load, MANY, STEADY, Verdict};
use super::network::Cut;
use super::prober::Prober;

/// One of them.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) expected: Expected,
    /// The node whose disk can be filled.
    pub(super) small_disk: Option<u8>,
    /// What the broker lacks that is replaced.
    pub(super) lacks: Option<Lack>,
    pub(super) play: Play,
}

type Play = fn(&mut Ground) -> anyhow::Result<Verdict>;

impl Scenario {
    /// One that clients may notice.
    const fn new(name: &'static str, about: &'static str, play: Play) -> Self {
        Self { name, about, expected: Expected::Right, small_disk: None, lacks: None, play }
    }

    /// Of which clients must see something else.
    const fn expecting(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    /// In which this node's disk can be filled.
    const fn with_small_disk(self, node: u8) -> Self {
        Self { small_disk: Some(node), ..self }
    }

    /// With a broker of the test build.
    const fn lacking(self, lack: Lack) -> Self {
        Self { lacks: Some(lack), ..self }
    }
}

/// All of them, in the order in which they are played.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("nothing", "nothing breaks", nothing).expecting(Expected::Unseen),
    Scenario::new("killed", "the broker is killed and started again, ten times", killed),
    Scenario::new("take-over", "the broker of 5,000 conversations is killed, and the next one takes over", take_over),
    Scenario::new("zombie", "the broker is stopped, another takes over, and the first goes on", zombie),
    Scenario::new("fence-alone", "the same, and nothing but its fence tells the first one in time", zombie)
        .lacking(Lack::Hints),
    Scenario::new("no-fence", "the same, with the fence read switched off: messages must be lost", zombie)
        .lacking(Lack::HintsAndFence)
        .expecting(Expected::Wrong),
    Scenario::new(
        "schema",
        "another schema is said to be there, to which no broker comes that does not know it",
        schema,
    )
    .expecting(Expected::Unseen),
    Scenario::new("one-node", "one node is killed and comes back", one_node).expecting(Expected::Unseen),
    Scenario::new("two-nodes", "two nodes are killed and come back", two_nodes),
    Scenario::new("all-nodes", "all nodes are killed at once and come back", all_nodes),
    Scenario::new("slow-node", "one node answers after five seconds, again and again", slow_node)
        .expecting(Expected::Unseen),
    Scenario::new("disk-full", "one node's disk is full, and has room again", disk_full)
        .with_small_disk(3)
        .expecting(Expected::Unseen),
    Scenario::new("hung", "no node goes on for 20 seconds", hung),
    Scenario::new("cut", "the network between the broker and all nodes is cut for 20 seconds", cut),
    Scenario::new(
        "clock",
        "the broker's clock is an hour slow, then an hour fast, each after one whose clock was right, and before another",
        clock,
    ),
];

/// Messages after which the load is under way.
const UNDER_WAY: u64 = 500;

/// The same where each of 5,000 conversations has one by then.
const MANY_UNDER_WAY: u64 = 5_500;

/// Messages that the second broker stores before the first goes on: some in each conversation.
const WRITTEN_MEANWHILE: u64 = 500;

const SECOND: Duration = Duration::from_secs(1);

/// How a broker ends that finds another schema.
const WRONG_SCHEMA: i32 = 4;

/// A broker, and senders for so many seconds.
fn begin(ground: &Ground, secs: u32) -> anyhow::Result<(Broker, Door, Load)> {
    begin_with(ground, &Way::default(), BUSY, secs)
}

fn begin_with(ground: &Ground, way: &Way, kind: &[&str], secs: u32) -> anyhow::Result<(Broker, Door, Load)> {
    let broker = Broker::start_in(ground, "broker.log", way)?;
    let door = Door::open(broker.clients())?;
    let load = Load::start(ground, door.address(), kind, secs)?;
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

/// Without a door in between: for so many there would be too many threads in it. What is wanted of its times is told beside them and
/// fails nothing: here nodes, broker and load share one machine.
fn take_over(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let first = Broker::start(ground, "broker.log")?;
    let address = first.clients();
    let mut load = Load::start(ground, address, MANY, 60)?;
    first.stores(MANY_UNDER_WAY)?;
    load.goes_on(SECOND)?;
    drop(first);
    let second = Broker::start_in(ground, "second.log", &Way { listens: Some(address), ..Way::default() })?;
    let mut verdict = load.ended()?;
    verdict.tell(format!(
        "all shards were the next one's {:.2} s after its start (bar 2 s); the last first ack took {:.2} s (bar 1 s)",
        second.took().as_secs_f64(),
        verdict.last_first_ack().as_secs_f64()
    ));
    Ok(verdict)
}

/// One of each pair stays with the first broker: what they send while that is stopped waits in its sockets, and it reads it when it
/// goes on. The other one comes to the second broker and writes in the same conversation, so the numbers that the first would
/// give are given. Whoever was removed from a group meanwhile asks the first one, too.
fn zombie(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (first, door, mut load) = begin_with(ground, &Way { lacks: ground.lacks, ..Way::default() }, STEADY, 45)?;
    let mut prober = Prober::begin(ground, first.clients())?;
    load.goes_on(4 * SECOND)?;
    first.stop()?;
    prober.asks()?;
    let second = Broker::start(ground, "second.log")?;
    door.lead_to(second.clients());
    door.cut_half();
    prober.is_removed(ground, second.clients())?;
    second.stores(WRITTEN_MEANWHILE)?;
    load.goes_on(SECOND)?;
    first.go_on()?;
    // Now that it goes on, too; if it is gone by then, nobody is told anything.
    let _ = prober.asks();
    first.replaced()?;
    let told = prober.told();
    let has_fence = ground.lacks != Some(Lack::HintsAndFence);
    if has_fence && !(told.bob.is_empty() && told.ann.is_empty()) {
        bail!("who was removed was told {:?}, and what came too late was acknowledged: {:?}", told.bob, told.ann);
    }
    if !has_fence && (told.bob.is_empty() || told.ann.is_empty()) {
        bail!("without its fence a broker must answer whoever was removed, and acknowledge what comes too late");
    }
    let mut verdict = load.ended()?;
    let [bob, ann] = [told.bob.len(), told.ann.len()];
    verdict.tell(format!(
        "the first broker has answered {bob} requests of who was removed, and acknowledged {ann} messages there"
    ));
    Ok(verdict)
}

/// A schema that no broker has, of which one that comes must not become the owner of anything.
const LATER_SCHEMA: [u32; 2] = [99, 99];

/// One that every broker would have to raise first.
const EARLIER_SCHEMA: [u32; 2] = [1, 1];

fn schema(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (first, _door, mut load) = begin(ground, 30)?;
    load.goes_on(4 * SECOND)?;
    let right = say_schema(ground, LATER_SCHEMA)?;
    is_refused(ground, WRONG_SCHEMA, "run the version that has raised it")?;
    load.goes_on(2 * SECOND)?;
    say_schema(ground, EARLIER_SCHEMA)?;
    is_refused(ground, WRONG_SCHEMA, "switchyard migrate")?;
    load.goes_on(2 * SECOND)?;
    say_schema(ground, right)?;
    let verdict = load.ended()?;
    let second = Broker::start(ground, "second.log")?;
    first.replaced()?;
    drop(second);
    Ok(verdict)
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
    load.ended()?.felt()
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
    load.ended()?.felt()
}

fn slow_node(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 40)?;
    for _ in 0..4 {
        load.goes_on(2 * SECOND)?;
        ground.cluster.pause(3)?;
        load.goes_on(5 * SECOND)?;
        ground.cluster.go_on(3)?;
    }
    load.ended()?.felt()
}

/// A node of this store maps the files of its log, which have holes, into memory: the first write to one that there is no room for ends
/// its process with SIGBUS, whatever its policies for failures of disks say.
fn disk_full(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 75)?;
    load.goes_on(4 * SECOND)?;
    let filled = ground.cluster.small_disk()?.fill()?;
    load.goes_on(30 * SECOND)?;
    let serves = ground.cluster.serves(3)?;
    ground.cluster.small_disk()?.free()?;
    if serves {
        bail!("the node goes on without the last {} MB of its disk: it has not felt it", filled / 1_000_000);
    }
    ground.cluster.kill(3)?;
    ground.cluster.start_again(3)?;
    let mut verdict = load.ended()?;
    verdict.tell(format!(
        "the node stopped when the last {} MB of its disk were taken, and was started again",
        filled / 1_000_000
    ));
    Ok(verdict)
}

fn hung(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 40)?;
    load.goes_on(4 * SECOND)?;
    for node in 1..=3 {
        ground.cluster.pause(node)?;
    }
    load.goes_on(20 * SECOND)?;
    for node in 1..=3 {
        ground.cluster.go_on(node)?;
    }
    load.ended()?.felt()
}

fn cut(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (_broker, _door, mut load) = begin(ground, 40)?;
    load.goes_on(4 * SECOND)?;
    let cut = Cut::from_the_store()?;
    load.goes_on(20 * SECOND)?;
    drop(cut);
    let verdict = load.ended()?.felt()?;
    if verdict.disconnects() > 0 {
        bail!("the broker has lost {} of its clients, who had a network", verdict.disconnects());
    }
    Ok(verdict)
}

fn clock(ground: &mut Ground) -> anyhow::Result<Verdict> {
    let (mut broker, door, mut load) = begin(ground, 40)?;
    for offset in ["-1h", "+0", "+1h", "+0"] {
        load.goes_on(3 * SECOND)?;
        let is_wrong = offset == "+0";
        if broker.has_a_wrong_clock()? != is_wrong {
            bail!("a broker whose clock is {} says another thing", if is_wrong { "an hour off" } else { "right" });
        }
        drop(broker);
        broker = Broker::start_in(ground, "broker.log", &Way { clock: Some(offset), ..Way::default() })?;
        door.lead_to(broker.clients());
    }
    load.ended()
}
