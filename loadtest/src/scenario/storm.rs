//! `reconnect`: what a connection costs, and how long it takes until all are back that were cut off at once.

use anyhow::Context as _;

use crate::args::Args;
use crate::world::{Flow, Shape};

use super::{Bench, Outcome};

/// Connections in their handshake at once during the storm, unless told otherwise: with more, a listener's queue
/// overflows, and the kernel's second between two attempts would be measured instead of the server.
const STORM_HANDSHAKES: usize = 1_000;

pub(super) fn reconnect(args: &Args) -> anyhow::Result<Outcome> {
    let pairs = args.connections.div_ceil(2).max(1);
    let mut bench = Bench::new(args, Shape::both_ways(pairs), Flow::Acks(1))?;
    let users = bench.users();
    bench.arrive()?;
    bench.join()?;
    bench.engine.say("something to miss");
    for _ in 0..args.behind.div_ceil(2) {
        let now = bench.engine.now();
        bench.engine.world.launch_one_each(now, &mut bench.engine.net);
        bench.drain()?;
    }
    bench.engine.run_for(args.warm())?;
    if bench.server.is_known() {
        bench.metrics.rss_mb = Some(bench.server.memory()?.resident as f64 / 1024.0);
    }

    bench.engine.say("reconnecting");
    bench.engine.world.connecting_max = args.handshakes.unwrap_or(STORM_HANDSHAKES);
    let from = bench.times()?;
    let now = bench.engine.now();
    bench.engine.world.cut_all(args.behind, &mut bench.engine.net, now);
    let patience = bench.patience();
    let back = bench.engine.run_until(patience, |world| world.joined() == users)?;
    bench.expect_all(back, "come back")?;
    let took = (bench.engine.now() - now) as f64 / 1e9;
    let to = bench.times()?;
    bench.metrics.all_back_s = Some(took);
    if bench.server.is_known() {
        let cpu = to.server - from.server;
        bench.metrics.server_cpu_s = Some(cpu);
        bench.metrics.cpu_ms_per_reconnect = Some(cpu * 1e3 / users as f64);
    }
    bench.metrics.client_cpu_pct = Some((to.own - from.own) / took * 100.0);
    bench.audit().context("after the storm")?;
    bench.finish()
}
