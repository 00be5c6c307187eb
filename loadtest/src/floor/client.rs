//! The generator's side of the floor: the same windows and rates as the scenarios that it stands beside.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::args::Args;
use crate::engine::Pace;
use crate::letter::{Bodies, MessageKey};
use crate::measure::Meter;
use crate::net::alarm::Alarm;
use crate::procfs::Server;
use crate::report::Metrics;

use super::child::Process;
use super::pipe::{Pipe, READ_BYTES};
use super::{ACK, EVENT, HELLO, SEND, put};

/// Connections made before their hellos are let go: fewer than a listener's queue holds.
const DIALS_AT_ONCE: usize = 200;

/// The longest turn without a look at the time.
const TURN_MAX: Duration = Duration::from_millis(10);

/// The alarm's token; numbers of connections are far below.
const ALARM: Token = Token(usize::MAX);

/// One sender's messages under way: when due, readers to come, whether acknowledged.
#[derive(Debug, Default)]
struct Sender {
    first: u64,
    open: VecDeque<(u64, u32, bool)>,
}

struct Client {
    poll: Poll,
    alarm: Alarm,
    pipes: Vec<Pipe>,
    dirty: Vec<usize>,
    senders: Vec<Sender>,
    /// Connections from one sender to the next.
    stride: usize,
    /// Each sender has a window of its own, where a room's share one.
    own_windows: bool,
    readers: u32,
    turn: usize,
    by_delivery: bool,
    timed: bool,
    sending: bool,
    bodies: Bodies,
    meter: Meter,
    origin: Instant,
}

/// Measures the floor under pairs, or under a room if there are members.
pub fn run(args: &Args) -> anyhow::Result<Metrics> {
    let process = Process::start(args)?;
    let server = Server::new(vec![process.id()]);
    let (connections, senders, stride, readers) = match args.members {
        Some(members) => (members, args.publishers.clamp(1, members), 1, members as u32),
        None if args.both => (args.pairs * 2, args.pairs * 2, 1, 2),
        None => (args.pairs * 2, args.pairs, 2, 1),
    };
    let poll = Poll::new()?;
    let mut client = Client {
        alarm: Alarm::new(poll.registry(), ALARM)?,
        poll,
        pipes: Vec::with_capacity(connections),
        dirty: Vec::new(),
        senders: (0..senders).map(|_| Sender::default()).collect(),
        stride,
        own_windows: args.members.is_none(),
        readers,
        turn: 0,
        by_delivery: args.by_delivery,
        timed: args.rate.is_some(),
        sending: true,
        bodies: Bodies::new(args.seed, args.size),
        meter: Meter::default(),
        origin: Instant::now(),
    };
    let mut metrics =
        Metrics { latency_from: Some(if client.timed { "intended" } else { "send" }), ..Metrics::default() };
    client.connect_all(process.addr, connections, &server, &mut metrics)?;
    let windows = if client.own_windows { senders } else { 1 };
    let started = args.window_or_default().unwrap_or(0) * windows;
    let now = client.now();
    for _ in 0..started {
        client.launch_next(now);
    }
    let mut pace = args.rate.map(|rate| Pace::new(rate, now));
    client.run(args.warm(), &mut pace)?;
    client.measure(args, &server, &mut pace, &mut metrics)?;
    Ok(metrics)
}

impl Client {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn connect_all(
        &mut self,
        addr: SocketAddr,
        connections: usize,
        server: &Server,
        metrics: &mut Metrics,
    ) -> anyhow::Result<()> {
        let (empty, before, began) = (server.memory()?, server.times()?, Instant::now());
        for number in 0..connections {
            // Blocking: on loopback, the kernel has answered when the call returns.
            let tcp = std::net::TcpStream::connect(addr).context("floor-serve")?;
            tcp.set_nonblocking(true)?;
            tcp.set_nodelay(true)?;
            let mut tcp = TcpStream::from_std(tcp);
            self.poll.registry().register(&mut tcp, Token(number), Interest::READABLE | Interest::WRITABLE)?;
            let mut pipe = Pipe::new(tcp);
            put(HELLO, number as u32, 0, &[], &mut pipe.out);
            pipe.flush()?;
            self.pipes.push(pipe);
            if number % DIALS_AT_ONCE == DIALS_AT_ONCE - 1 {
                self.echo(number)?;
            }
        }
        self.echo(connections - 1)?;
        let (full, after) = (server.memory()?, server.times()?);
        let each = connections as f64;
        metrics.connects_per_s = Some(each / began.elapsed().as_secs_f64());
        metrics.cpu_ms_per_connect = Some((after.server - before.server) * 1e3 / each);
        metrics.rss_mb_empty = Some(empty.resident as f64 / 1024.0);
        metrics.rss_mb = Some(full.resident as f64 / 1024.0);
        metrics.rss_kb_per_conn = Some((full.resident as f64 - empty.resident as f64) / each);
        Ok(())
    }

    /// Sends a message on a connection and waits for its ack: all that was said before has been heard.
    fn echo(&mut self, number: usize) -> anyhow::Result<()> {
        let pipe = &mut self.pipes[number];
        put(SEND, u32::MAX - 1, 0, &[], &mut pipe.out);
        pipe.flush()?;
        let mut buffer = [0; 64];
        let mut acked = false;
        while !acked {
            self.poll.poll(&mut Events::with_capacity(64), Some(Duration::from_millis(1)))?;
            let alive = self.pipes[number].read(&mut buffer, |frame| acked |= frame.kind == ACK)?;
            anyhow::ensure!(alive, "floor-serve hung up");
        }
        Ok(())
    }

    fn measure(
        &mut self,
        args: &Args,
        server: &Server,
        pace: &mut Option<Pace>,
        metrics: &mut Metrics,
    ) -> anyhow::Result<()> {
        let now = self.now();
        self.meter.open(now, now + args.secs().as_nanos() as u64);
        let (from, before) = (server.times()?, self.meter.tally);
        self.run(args.secs(), pace)?;
        let (to, after) = (server.times()?, self.meter.tally);
        let secs = (self.now() - now) as f64 / 1e9;
        self.sending = false;
        self.run(Duration::from_millis(200), pace)?;
        let acked = (after.acked - before.acked) as f64;
        let deliveries = (after.deliveries - before.deliveries) as f64;
        let cpu = to.server - from.server;
        let own = to.own - from.own;
        metrics.sent = Some(self.meter.tally.sent);
        metrics.acked = Some(self.meter.tally.acked);
        metrics.unacked = Some(self.meter.tally.open);
        metrics.acked_per_s = Some(acked / secs);
        metrics.deliveries_per_s = Some(deliveries / secs);
        metrics.server_cpu_s = Some(cpu);
        metrics.cpu_us_per_msg = Some(cpu * 1e6 / acked.max(1.0));
        metrics.cpu_us_per_delivery = Some(cpu * 1e6 / deliveries.max(1.0));
        metrics.client_cpu_pct = Some(own / secs * 100.0);
        metrics.other_cpu_pct = Some((to.all - from.all - own - cpu).max(0.0) / secs * 100.0);
        [metrics.ack_p50_ms, metrics.ack_p99_ms, metrics.ack_p999_ms, metrics.ack_max_ms] = self.meter.ack.quantiles();
        [metrics.delivery_p50_ms, metrics.delivery_p99_ms, metrics.delivery_p999_ms, metrics.delivery_max_ms] =
            self.meter.delivery.quantiles();
        metrics.client_lag_p99_ms = self.meter.lag.quantile_ms(0.99);
        metrics.rss_peak_mb = Some(server.memory()?.peak as f64 / 1024.0);
        Ok(())
    }

    /// Turns for so long. With a pace, messages are due by the clock.
    fn run(&mut self, time: Duration, pace: &mut Option<Pace>) -> io::Result<()> {
        let until = self.now() + time.as_nanos() as u64;
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while let Some(at) = self.dirty.pop() {
                self.pipes[at].flush()?;
            }
            let now = self.now();
            if now >= until {
                return Ok(());
            }
            let due = pace.filter(|_| self.sending).map(|pace| pace.due());
            if let Some(due) = due {
                self.alarm.set(due, now)?;
            }
            let timeout = if due.is_some_and(|due| due <= now) { Duration::ZERO } else { TURN_MAX };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in events.iter().filter(|event| event.token() != ALARM) {
                self.on_ready(event.token().0, event.is_writable(), &mut buffer)?;
            }
            let now = self.now();
            while let Some(due) = pace.filter(|_| self.sending).map(|pace| pace.due()).filter(|&due| due <= now)
                && let Some(pace) = pace.as_mut()
            {
                pace.launched += 1;
                if self.meter.counts(due) {
                    self.meter.lag.record(now - due);
                }
                self.launch_next(due);
            }
        }
    }

    fn on_ready(&mut self, at: usize, writable: bool, buffer: &mut [u8]) -> io::Result<()> {
        let now = self.now();
        if writable && !self.pipes[at].out.is_empty() {
            self.pipes[at].flush()?;
        }
        let mut heard = Vec::new();
        let alive = self.pipes[at].read(buffer, |frame| heard.push((frame.kind, frame.sender, frame.count)))?;
        if !alive {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "floor-serve hung up"));
        }
        for (kind, sender, count) in heard {
            self.on_frame(kind, sender as usize / self.stride, count, now);
        }
        Ok(())
    }

    fn on_frame(&mut self, kind: u8, number: usize, count: u64, now: u64) {
        let Some(sender) = self.senders.get_mut(number) else { return };
        let Some(at) = count.checked_sub(sender.first) else { return };
        let Some((due, remaining, acked)) = sender.open.get_mut(at as usize) else { return };
        let due = *due;
        match kind {
            ACK => {
                *acked = true;
                self.meter.tally.open -= 1;
                self.meter.acked(due, now);
            }
            EVENT => {
                *remaining -= 1;
                self.meter.tally.deliveries += 1;
                self.meter.delivered(due, now);
            }
            _ => return,
        }
        let over = *acked && *remaining == 0;
        while sender.open.front().is_some_and(|(_, remaining, acked)| *acked && *remaining == 0) {
            sender.open.pop_front();
            sender.first += 1;
        }
        let finished = if self.by_delivery { over } else { kind == ACK };
        if finished && !self.timed && self.sending {
            if self.own_windows { self.launch(number, now) } else { self.launch_next(now) }
        }
    }

    fn launch_next(&mut self, due: u64) {
        let number = self.turn;
        self.turn = (number + 1) % self.senders.len();
        self.launch(number, due);
    }

    fn launch(&mut self, number: usize, due: u64) {
        let sender = &mut self.senders[number];
        let count = sender.first + sender.open.len() as u64;
        sender.open.push_back((due, self.readers, false));
        let at = number * self.stride;
        let pipe = &mut self.pipes[at];
        let mut body = Vec::with_capacity(self.bodies.size());
        self.bodies.write(MessageKey::new(number as u32, count), &mut body);
        put(SEND, at as u32, count, &body, &mut pipe.out);
        self.meter.tally.sent += 1;
        self.meter.tally.open += 1;
        if !std::mem::replace(&mut pipe.queued, true) {
            self.dirty.push(at);
        }
    }
}
