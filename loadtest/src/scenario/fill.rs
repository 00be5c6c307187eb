//! `fill`: a long timeline and a short one, then pages of both at random positions: a page must not cost more for what
//! lies around it.

use crate::args::Args;
use crate::world::{Flow, Shape};

use super::{Bench, Outcome};

/// Messages of the short timeline.
const SHORT: u64 = 1_000;

/// Messages in a page.
const PAGE: u32 = 50;

/// Pages are read of one timeline and the other in turns, so that the machine's moods hit both.
const TURNS: u64 = 10;

pub(super) fn fill(args: &Args) -> anyhow::Result<Outcome> {
    let mut long = filled(args, args.messages)?;
    let mut short = filled(args, SHORT.min(args.messages))?;
    let (mut long_cpu, mut short_cpu) = (0.0, 0.0);
    let pages = args.pages.div_ceil(TURNS).max(1);
    for _ in 0..TURNS {
        long_cpu += read_pages(&mut long, pages)?;
        short_cpu += read_pages(&mut short, pages)?;
    }
    short.audit()?;
    long.audit()?;
    if long.server.is_known() {
        let all = (pages * TURNS) as f64;
        long.metrics.cpu_us_per_page = Some(long_cpu * 1e6 / all);
        long.metrics.cpu_us_per_page_small = Some(short_cpu * 1e6 / all);
        long.metrics.page_cost_ratio = (short_cpu > 0.0).then_some(long_cpu / short_cpu);
    }
    let short = short.finish()?;
    let mut outcome = long.finish()?;
    for (all, more) in [
        (&mut outcome.metrics.sent, short.metrics.sent),
        (&mut outcome.metrics.acked, short.metrics.acked),
        (&mut outcome.metrics.unacked, short.metrics.unacked),
    ] {
        *all = all.zip(more).map(|(all, more)| all + more);
    }
    outcome.unanswered += short.unanswered;
    if let (Some(all), Some(more)) = (outcome.verdict.as_mut(), short.verdict) {
        all.absorb(more);
    }
    Ok(outcome)
}

/// A timeline of so many messages, and what writing them cost.
fn filled(args: &Args, messages: u64) -> anyhow::Result<Bench<'_>> {
    let mut bench = Bench::new(args, Shape::pairs(1), Flow::Acks(args.window_or_default().unwrap_or(1)))?;
    bench.arrive()?;
    bench.join()?;
    bench.engine.say("filling");
    bench.engine.world.quota = messages;
    let now = bench.engine.now();
    let (from, before) = (bench.times()?, bench.engine.world.meter.tally);
    bench.engine.world.meter.open(now, u64::MAX);
    bench.engine.world.start_sending(&mut bench.engine.net, now);
    // As long as it takes, while it goes on.
    let mut acked = 0;
    while bench.engine.world.meter.tally.acked < messages {
        let done = bench.engine.run_until(args.drain(), |world| world.meter.tally.acked >= messages)?;
        let now_acked = bench.engine.world.meter.tally.acked;
        anyhow::ensure!(done || now_acked > acked, "no message was acknowledged in {:?}", args.drain());
        acked = now_acked;
    }
    let span = bench.span(now, from, before)?;
    bench.note_messages(&span);
    bench.drain()?;
    Ok(bench)
}

/// Reads pages at random positions, one after the other; the server's CPU seconds.
fn read_pages(bench: &mut Bench<'_>, pages: u64) -> anyhow::Result<f64> {
    bench.engine.say("reading pages");
    let from = bench.times()?;
    let now = bench.engine.now();
    bench.engine.world.start_pages(pages, PAGE, &mut bench.engine.net, now);
    let done = bench.engine.run_until(super::AUDIT, |world| world.pages_left() == 0)?;
    anyhow::ensure!(done, "{} pages were not answered in time", bench.engine.world.pages_left());
    Ok(bench.times()?.server - from.server)
}
