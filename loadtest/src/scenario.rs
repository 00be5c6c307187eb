//! The scenarios, and the steps that they share: arrive, warm up, measure, drain, audit.

mod chat;
mod fill;
mod lists;
mod storm;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use switchyard_protocol::frame::Form;

use crate::args::{Args, Scenario, UsageError};
use crate::engine::Engine;
use crate::floor;
use crate::measure::Tally;
use crate::net::Target;
use crate::oracle::Verdict;
use crate::procfs::{Server, Times};
use crate::progress::Progress;
use crate::report::Metrics;
use crate::token::Tokens;
use crate::world::{Flow, Plan, Shape, Stage};

/// Time that users have to arrive, and as much again for each thousand of them.
const ARRIVE: Duration = Duration::from_secs(60);

/// Time that timelines may take to be read, and as much again for each million messages.
const AUDIT: Duration = Duration::from_secs(120);

/// A server gives back what connecting took once it comes to rest, which is after six seconds without work and a few of its
/// store's: what it holds then is its memory.
const REST: Duration = Duration::from_secs(12);

/// Above this share of its core the generator measures itself as much as the server.
const CLIENT_CPU_MAX_PCT: f64 = 95.0;

/// An open loop that is later than this did not keep its rate.
const LAG_MAX_MS: f64 = 10.0;

/// What a scenario brings home.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was measured.
    pub metrics: Metrics,
    /// What the oracle says; `floor` has none.
    pub verdict: Option<Verdict>,
    /// The rate was not kept by the generator's fault.
    pub rate_missed: bool,
    /// Messages that the server has left without an answer on connections that stand.
    pub unanswered: u64,
    /// The errors that messages and changes were answered with, and how often.
    pub refusals: BTreeMap<String, u64>,
}

/// Runs what was asked for.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.check()?;
    match args.scenario {
        Scenario::Pairs => chat::pairs(args),
        Scenario::Room => chat::room(args),
        Scenario::Idle => chat::idle(args),
        Scenario::Reconnect => storm::reconnect(args),
        Scenario::Fill => fill::fill(args),
        Scenario::Lists => lists::lists(args),
        Scenario::Floor => Ok(Outcome { metrics: floor::run(args)?, ..Outcome::default() }),
        Scenario::FloorServe => bail!(UsageError("floor-serve is started by floor")),
    }
}

/// What happened between two points of a run.
#[derive(Clone, Copy, Debug)]
struct Span {
    secs: f64,
    times: (Times, Times),
    tally: (Tally, Tally),
}

impl Span {
    fn server_cpu(&self) -> f64 {
        self.times.1.server - self.times.0.server
    }

    fn acked(&self) -> u64 {
        self.tally.1.acked - self.tally.0.acked
    }

    fn changes(&self) -> u64 {
        self.tally.1.changes - self.tally.0.changes
    }

    fn deliveries(&self) -> u64 {
        self.tally.1.deliveries - self.tally.0.deliveries
    }
}

/// A run of the engine's with what stands around it.
struct Bench<'a> {
    args: &'a Args,
    engine: Engine,
    server: Server,
    metrics: Metrics,
    open_loop: bool,
}

impl<'a> Bench<'a> {
    fn new(args: &'a Args, shape: Shape, flow: Flow) -> anyhow::Result<Self> {
        let form = Form::from(args.form);
        let target = Target::new(&args.target, form)?;
        let tokens = tokens(args)?;
        let plan =
            Plan { shape, flow, size: args.size, seed: args.seed, run: run_name(), form, mix: args.mix(), tokens };
        let engine = Engine::new(target, plan, Progress::new(args.quiet))?;
        let server = Server::new(args.server_pid.clone());
        let open_loop = flow == Flow::Timed;
        let mut bench = Self { args, engine, server, metrics: Metrics::default(), open_loop };
        if let Some(handshakes) = args.handshakes {
            bench.engine.world.connecting_max = handshakes.max(1);
        }
        bench.metrics.latency_from = Some(if open_loop { "intended" } else { "send" });
        Ok(bench)
    }

    fn users(&self) -> usize {
        self.engine.world.users()
    }

    fn patience(&self) -> Duration {
        ARRIVE * (1 + self.users() as u32 / 1_000)
    }

    /// Everybody connects and says hello; what that costs.
    fn arrive(&mut self) -> anyhow::Result<()> {
        self.engine.say("connecting");
        let users = self.users();
        let now = self.engine.now();
        let from = self.times()?;
        self.engine.world.connect(0..users, &mut self.engine.net, now);
        let there = self.engine.run_until(self.patience(), |world| world.greeted() == users)?;
        self.expect_all(there, "connect")?;
        let took = (self.engine.now() - now) as f64 / 1e9;
        self.metrics.connects_per_s = Some(users as f64 / took);
        if self.server.is_known() {
            let to = self.times()?;
            self.metrics.cpu_ms_per_connect = Some((to.server - from.server) * 1e3 / users as f64);
        }
        Ok(())
    }

    /// Everybody finds their conversation and subscribes.
    fn join(&mut self) -> anyhow::Result<()> {
        self.engine.say("joining");
        let users = self.users();
        self.engine.world.set_stage(Stage::Join, &mut self.engine.net);
        let there = self.engine.run_until(self.patience(), |world| world.joined() == users)?;
        self.expect_all(there, "join")
    }

    fn expect_all(&self, there: bool, what: &str) -> anyhow::Result<()> {
        if !there {
            let (missing, why) = self.engine.world.absent();
            let why = why.map(|why| format!("; the last connection that ended said: {why}")).unwrap_or_default();
            bail!("{missing} of {} users did not {what} in time{why}", self.users());
        }
        Ok(())
    }

    /// Without a server's process there is still the generator's own share to know.
    fn times(&self) -> anyhow::Result<Times> {
        self.server.times().context("--server-pid")
    }

    /// Lets the run go on for its measured time.
    fn measure(&mut self) -> anyhow::Result<Span> {
        self.engine.say("measuring");
        let now = self.engine.now();
        let length = self.args.secs();
        self.engine.world.meter.open(now, now + length.as_nanos() as u64);
        let (from, before) = (self.times()?, self.engine.world.meter.tally);
        self.engine.run_for(length)?;
        self.span(now, from, before)
    }

    /// What has happened since.
    fn span(&self, since: u64, from: Times, before: Tally) -> anyhow::Result<Span> {
        let secs = (self.engine.now() - since) as f64 / 1e9;
        Ok(Span { secs, times: (from, self.times()?), tally: (before, self.engine.world.meter.tally) })
    }

    /// Who used the processors.
    fn note_shares(&mut self, span: &Span) {
        let (from, to) = span.times;
        let (own, cpu) = (to.own - from.own, span.server_cpu());
        self.metrics.client_cpu_pct = Some(own / span.secs * 100.0);
        self.metrics.other_cpu_pct = Some((to.all - from.all - own - cpu).max(0.0) / span.secs * 100.0);
        if self.server.is_known() {
            self.metrics.server_cpu_s = Some(cpu);
        }
    }

    /// The same, and what came of it, per second and per message.
    fn note_messages(&mut self, span: &Span) {
        self.note_shares(span);
        let (metrics, cpu) = (&mut self.metrics, span.server_cpu());
        metrics.acked_per_s = Some(span.acked() as f64 / span.secs);
        metrics.deliveries_per_s = Some(span.deliveries() as f64 / span.secs);
        if self.server.is_known() {
            metrics.cpu_us_per_msg = (span.acked() > 0).then(|| cpu * 1e6 / span.acked() as f64);
            metrics.cpu_us_per_delivery = (span.deliveries() > 0).then(|| cpu * 1e6 / span.deliveries() as f64);
        }
        if self.args.mix().is_some() {
            metrics.changes_per_s = Some(span.changes() as f64 / span.secs);
            let ops = span.acked() + span.changes();
            metrics.cpu_us_per_op = (self.server.is_known() && ops > 0).then(|| cpu * 1e6 / ops as f64);
        }
    }

    /// Waits for what is under way.
    fn drain(&mut self) -> anyhow::Result<()> {
        self.engine.say("draining");
        self.engine.world.stop_sending();
        self.engine.run_until(self.args.drain(), |world| world.under_way() == 0)?;
        Ok(())
    }

    /// Reads every timeline, and closes the books.
    fn audit(&mut self) -> anyhow::Result<()> {
        self.engine.say("reading timelines");
        let messages = self.engine.world.meter.tally.sent;
        let patience = AUDIT * (1 + (messages / 1_000_000) as u32);
        let mixed = self.args.mix().is_some();
        if mixed {
            // History is compared with what readers were told by then.
            self.engine.run_until(self.args.drain(), |world| world.readers_have_all())?;
        }
        self.engine.world.start_audit(&mut self.engine.net);
        self.engine.run_until(patience, |world| world.is_audited())?;
        self.engine.run_until(self.args.drain(), |world| world.readers_are_done())?;
        if mixed {
            self.engine.say("asking what is unread");
            self.engine.world.start_last_asks(&mut self.engine.net);
            self.engine.run_until(patience, |world| world.has_asked_all())?;
        }
        self.engine.world.close_books();
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<Outcome> {
        let now = self.engine.now();
        let world = &mut self.engine.world;
        world.measure_open(now);
        let unanswered = world.unanswered();
        let (meter, tally) = (&world.meter, world.meter.tally);
        let metrics = &mut self.metrics;
        metrics.sent = Some(tally.sent);
        metrics.acked = Some(tally.acked);
        metrics.unacked = Some(tally.open);
        metrics.unknown = Some(world.unsure());
        metrics.refused = Some(tally.refused);
        metrics.disconnects = Some(tally.disconnects);
        metrics.retries = Some(tally.retries);
        [metrics.ack_p50_ms, metrics.ack_p99_ms, metrics.ack_p999_ms, metrics.ack_max_ms] = meter.ack.quantiles();
        [metrics.delivery_p50_ms, metrics.delivery_p99_ms, metrics.delivery_p999_ms, metrics.delivery_max_ms] =
            meter.delivery.quantiles();
        [metrics.connect_p50_ms, metrics.connect_p99_ms, metrics.connect_p999_ms, metrics.connect_max_ms] =
            meter.connect.quantiles();
        [metrics.back_p50_ms, metrics.back_p99_ms, metrics.back_p999_ms, metrics.back_max_ms] = meter.back.quantiles();
        metrics.back_acks = Some(meter.back_ack.count()).filter(|count| *count > 0);
        metrics.back_ack_min_ms = meter.back_ack.quantile_ms(0.0);
        [metrics.back_ack_p50_ms, metrics.back_ack_p99_ms, _, metrics.back_ack_max_ms] = meter.back_ack.quantiles();
        if self.args.mix().is_some() {
            metrics.changes = Some(tally.changes);
            metrics.changes_refused = Some(tally.changes_refused);
            metrics.changes_unanswered = Some(tally.changes_open);
            metrics.marks = Some(tally.marks);
            [metrics.change_p50_ms, metrics.change_p99_ms, ..] = meter.change.quantiles();
            [metrics.list_p50_ms, metrics.list_p99_ms, ..] = meter.list.quantiles();
        }
        [metrics.page_p50_ms, metrics.page_p99_ms, ..] = meter.page.quantiles();
        metrics.client_lag_p99_ms = meter.lag.quantile_ms(0.99);
        let late = metrics.client_lag_p99_ms.is_some_and(|lag| lag > LAG_MAX_MS);
        let busy = metrics.client_cpu_pct.is_some_and(|share| share > CLIENT_CPU_MAX_PCT);
        metrics.generator_saturated = Some(late || busy);
        if self.server.is_known() {
            let memory = self.server.memory().context("--server-pid")?;
            metrics.rss_mb_after = Some(memory.resident as f64 / 1024.0);
            metrics.rss_peak_mb = Some(memory.peak as f64 / 1024.0);
            metrics.rss_mb.get_or_insert(memory.resident as f64 / 1024.0);
        }
        let verdict = Some(std::mem::take(&mut world.verdict));
        let rate_missed = self.open_loop && (late || busy);
        let refusals = std::mem::take(&mut world.refusals);
        Ok(Outcome { metrics: self.metrics, verdict, rate_missed, unanswered, refusals })
    }
}

fn tokens(args: &Args) -> anyhow::Result<Tokens> {
    let (tenant, issuer) = (args.tenant.clone(), args.issuer.clone());
    if let Some(path) = &args.secret_file {
        return Ok(Tokens::from_secret_file(path, tenant, issuer)?);
    }
    if let Some(path) = &args.key_file {
        return Ok(Tokens::from_key_file(path, args.kid.clone(), tenant, issuer)?);
    }
    match &args.token_command {
        Some(command) => Ok(Tokens::from_command(command.clone(), tenant)),
        None => bail!(UsageError("one of --secret-file, --key-file and --token-command is needed")),
    }
}

/// Begins the ids of a run's users: another one each time, so that a server that was measured before has no
/// conversations of theirs. Runs of one process may begin in the same moment.
fn run_name() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    format!("load-{:x}-{:x}-{run:x}", now.as_nanos(), std::process::id())
}
