//! Messages between users: `pairs`, `room` and `idle`.

use crate::args::Args;
use crate::world::{Flow, Shape};

use super::{Bench, Outcome, REST};

/// Pairs that warm a fresh server up before its memory is taken for empty.
const WARM_PAIRS: usize = 4;

fn flow(args: &Args) -> Flow {
    match args.window_or_default() {
        None => Flow::Timed,
        Some(window) if args.by_delivery => Flow::Deliveries(window),
        Some(window) => Flow::Acks(window),
    }
}

/// Each sender writes to one reader, or both write to each other.
pub(super) fn pairs(args: &Args) -> anyhow::Result<Outcome> {
    let shape = if args.both { Shape::both_ways(args.pairs) } else { Shape::pairs(args.pairs) };
    talk(Bench::new(args, shape, flow(args))?)
}

/// A few write to all.
pub(super) fn room(args: &Args) -> anyhow::Result<Outcome> {
    let members = args.room_members();
    let publishers = args.publishers.clamp(1, members);
    let shape = if args.absent { Shape::absent(members, publishers) } else { Shape::room(members, publishers) };
    talk(Bench::new(args, shape, flow(args))?)
}

fn talk(mut bench: Bench<'_>) -> anyhow::Result<Outcome> {
    bench.arrive()?;
    bench.join()?;
    bench.engine.say("warming up");
    if let Some(rate) = bench.args.rate {
        bench.engine.set_rate(rate);
    }
    let now = bench.engine.now();
    bench.engine.world.start_sending(&mut bench.engine.net, now);
    bench.engine.run_for(bench.args.warm())?;
    let span = bench.measure()?;
    bench.note_messages(&span);
    bench.drain()?;
    bench.audit()?;
    bench.finish()
}

/// Everybody has said one thing, and then nothing happens.
pub(super) fn idle(args: &Args) -> anyhow::Result<Outcome> {
    let mut warm = Bench::new(args, Shape::both_ways(WARM_PAIRS), Flow::Acks(1))?;
    say_one_thing(&mut warm)?;
    let empty = warm.server.memory()?;
    drop(warm);

    let mut bench = Bench::new(args, Shape::both_ways(args.connections.div_ceil(2).max(1)), Flow::Acks(1))?;
    say_one_thing(&mut bench)?;
    bench.engine.say("coming to rest");
    bench.engine.run_for(args.warm())?;
    if bench.server.is_known() {
        bench.engine.run_for(REST)?;
        let full = bench.server.memory()?;
        bench.metrics.rss_mb_empty = Some(empty.resident as f64 / 1024.0);
        bench.metrics.rss_mb = Some(full.resident as f64 / 1024.0);
        let more = full.resident as f64 - empty.resident as f64;
        bench.metrics.rss_kb_per_conn = Some(more / bench.users() as f64);
    }
    let span = bench.measure()?;
    bench.note_shares(&span);
    if bench.server.is_known() {
        bench.metrics.idle_cpu_ms_per_s = Some(span.server_cpu() * 1e3 / span.secs);
    }
    bench.audit()?;
    bench.finish()
}

fn say_one_thing(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    bench.arrive()?;
    bench.join()?;
    bench.engine.say("one message each way");
    let now = bench.engine.now();
    bench.engine.world.launch_one_each(now, &mut bench.engine.net);
    bench.drain()
}
