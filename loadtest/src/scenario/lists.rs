//! `lists`: users with many conversations each. What it takes until one of them is connected and reads all of them, has a
//! page of their list and the total of what is unread; and what a subscription costs in memory.
//!
//! One user at a time, so that the figures are the server's and not a queue's. The first round over all users stands apart:
//! after a restart it is the one that reads the store. Which run made the conversations is told in the result, so that a
//! second one can find them (`--again`).

use std::time::Instant;

use anyhow::{Context as _, bail};
use switchyard_protocol::limits::{MEMBERS_PER_REQUEST_MAX, POSITIONS_MAX};
use switchyard_protocol::v1::{self, client_frame::Request, reply};

use crate::args::Args;
use crate::desk::Desk;
use crate::measure::Latency;
use crate::oracle::{Fault, Verdict};
use crate::procfs::Server;
use crate::progress::Progress;
use crate::report::Metrics;
use crate::token::Tokens;

use super::{Outcome, REST, run_name, tokens};

/// Requests at once while conversations are made.
const AT_ONCE: usize = 32;

/// Conversations of a page of a list.
const PAGE: u32 = 50;

/// Rounds over all users after the first.
const ROUNDS: usize = 3;

struct Bench<'a> {
    args: &'a Args,
    tokens: Tokens,
    run: String,
    verdict: Verdict,
}

/// What one round over all users measured.
#[derive(Debug, Default)]
struct Round {
    all: Latency,
    list: Latency,
    total: Latency,
}

pub(super) fn lists(args: &Args) -> anyhow::Result<Outcome> {
    let run = args.again.clone().unwrap_or_else(run_name);
    let verdict = Verdict::of_mixed(0);
    let mut bench = Bench { args, tokens: tokens(args)?, run, verdict };
    let mut progress = Progress::new(args.quiet);
    let server = Server::new(args.server_pid.clone());
    let mut metrics = Metrics { run: Some(bench.run.clone()), ..Metrics::default() };
    if args.again.is_none() {
        progress.phase("making conversations");
        bench.make()?;
    }
    progress.phase("the first round");
    let first = bench.round(true)?;
    [metrics.first_all_p50_ms, metrics.first_all_p99_ms, ..] = first.all.quantiles();
    [metrics.first_list_p50_ms, metrics.first_list_p99_ms, ..] = first.list.quantiles();
    [metrics.first_total_p50_ms, metrics.first_total_p99_ms, ..] = first.total.quantiles();
    progress.phase("more rounds");
    let mut rounds = Round::default();
    for _ in 0..ROUNDS {
        bench.round_into(&mut rounds, true)?;
    }
    [metrics.all_p50_ms, metrics.all_p99_ms, ..] = rounds.all.quantiles();
    [metrics.list_p50_ms, metrics.list_p99_ms, ..] = rounds.list.quantiles();
    [metrics.total_p50_ms, metrics.total_p99_ms, ..] = rounds.total.quantiles();
    if server.is_known() {
        progress.phase("connections without subscriptions");
        let plain = bench.hold(false)?;
        let without = server.memory().context("--server-pid")?.resident;
        drop(plain);
        std::thread::sleep(REST);
        progress.phase("connections with subscriptions");
        let subscribed = bench.hold(true)?;
        let with = server.memory()?;
        metrics.rss_mb_empty = Some(without as f64 / 1024.0);
        metrics.rss_mb = Some(with.resident as f64 / 1024.0);
        metrics.rss_peak_mb = Some(with.peak as f64 / 1024.0);
        let subscriptions = (args.connections * args.conversations) as f64;
        metrics.bytes_per_subscription = Some((with.resident as f64 - without as f64) * 1024.0 / subscriptions);
        drop(subscribed);
    }
    bench.verdict.close();
    Ok(Outcome { metrics, verdict: Some(bench.verdict), ..Outcome::default() })
}

impl Bench<'_> {
    fn user(&self, number: usize) -> String {
        format!("{}-{number}", self.run)
    }

    fn writer(&self, number: usize) -> String {
        format!("{}-writer-{number}", self.run)
    }

    fn enter(&self, user: &str, subscribe_all: bool) -> anyhow::Result<(Desk, v1::Welcome)> {
        let mut desk = Desk::connect(&self.args.target)?;
        let welcome = desk.hello(self.tokens.token(user)?, subscribe_all)?;
        Ok((desk, welcome))
    }

    /// A writer makes the conversations and says one thing in each: one set for everybody, or one for each user.
    fn make(&self) -> anyhow::Result<()> {
        let users: Vec<String> = (0..self.args.connections).map(|number| self.user(number)).collect();
        let sets: Vec<&[String]> = if self.args.shared { vec![&users] } else { users.chunks(1).collect() };
        for (number, members) in sets.into_iter().enumerate() {
            let (mut desk, _) = self.enter(&self.writer(number), false)?;
            let mut made = 0;
            while made < self.args.conversations {
                let count = AT_ONCE.min(self.args.conversations - made);
                make_some(&mut desk, made, count, members)?;
                made += count;
            }
        }
        Ok(())
    }

    fn round(&mut self, checked: bool) -> anyhow::Result<Round> {
        let mut round = Round::default();
        self.round_into(&mut round, checked)?;
        Ok(round)
    }

    /// Each user connects, reads all, lists, counts, and goes.
    fn round_into(&mut self, round: &mut Round, checked: bool) -> anyhow::Result<()> {
        let due = self.args.conversations;
        for number in 0..self.args.connections {
            let user = self.user(number);
            let mut desk = Desk::connect(&self.args.target)?;
            let token = self.tokens.token(&user)?;
            let began = Instant::now();
            let welcome = desk.hello(token, true)?;
            round.all.record(nanos(began));
            let named: Vec<String> = welcome
                .subscribed
                .iter()
                .filter(|one| one.error.is_none())
                .map(|one| one.conversation.clone())
                .collect();

            let began = Instant::now();
            let listed = desk.ask(Request::List(v1::List { limit: PAGE, ..v1::List::default() }))?;
            round.list.record(nanos(began));

            let counts = named
                .chunks(POSITIONS_MAX)
                .map(|part| Request::Unread(v1::Unread { conversations: part.to_vec(), all: false }));
            let counts: Vec<Request> = counts.collect();
            let began = Instant::now();
            let counted = desk.ask_all(counts)?;
            round.total.record(nanos(began));
            if checked {
                self.check(&user, due, welcome.all.as_ref().map_or(0, |all| all.total), &named, &listed, &counted);
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        user: &str,
        due: usize,
        total: u64,
        named: &[String],
        listed: &reply::Result,
        counted: &[reply::Result],
    ) {
        let verdict = &mut self.verdict;
        *verdict.lists_checked.get_or_insert_default() += 1;
        *verdict.unread_checked.get_or_insert_default() += 1;
        let missing = named.len() < due || total < due as u64;
        verdict.add(Fault::Listing, u64::from(missing), || {
            format!("{user} reads {} of {total} conversations, and has {due}", named.len())
        });
        let right = match listed {
            reply::Result::Listed(page) => {
                let whole = page.conversations.len() == due.min(PAGE as usize);
                let newest_first = page.conversations.is_sorted_by(|a, b| a.activity_ms >= b.activity_ms);
                let shown = |entry: &v1::Listing| entry.last.as_ref().is_some_and(|last| !last.text.is_empty());
                whole && newest_first && page.conversations.iter().all(shown)
            }
            _ => false,
        };
        verdict.add(Fault::Listing, u64::from(!right), || format!("{user} lists {listed:?}"));
        let unread: u64 = counted
            .iter()
            .map(|counts| if let reply::Result::Unread(counts) = counts { counts.total } else { 0 })
            .sum();
        verdict.add(Fault::Unread, u64::from(unread != due as u64), || {
            format!("{user} has {unread} unread messages, there are {due}")
        });
    }

    /// Connects everybody and keeps them, at rest.
    fn hold(&self, subscribe_all: bool) -> anyhow::Result<Vec<Desk>> {
        let users = 0..self.args.connections;
        let desks = users.map(|number| Ok(self.enter(&self.user(number), subscribe_all)?.0));
        let desks = desks.collect::<anyhow::Result<Vec<_>>>()?;
        std::thread::sleep(REST);
        Ok(desks)
    }
}

fn make_some(desk: &mut Desk, from: usize, count: usize, members: &[String]) -> anyhow::Result<()> {
    let (first, rest) = members.split_at(members.len().min(MEMBERS_PER_REQUEST_MAX));
    let create = |number| {
        let name = Some(format!("conversation {number}"));
        let kind = v1::ConversationKind::Group.into();
        Request::Create(v1::Create { kind, members: first.to_vec(), name, ..v1::Create::default() })
    };
    let mut ids = Vec::with_capacity(count);
    for created in desk.ask_all((from..from + count).map(create))? {
        let reply::Result::Created(v1::Created { conversation: Some(created), .. }) = created else {
            bail!("a conversation was not made: {created:?}");
        };
        ids.push(created.id);
    }
    for part in rest.chunks(MEMBERS_PER_REQUEST_MAX) {
        let add = |id: &String| Request::Add(v1::Add { conversation: id.clone(), members: part.to_vec() });
        desk.ask_all(ids.iter().map(add))?;
    }
    let send = |id: &String| {
        Request::Send(v1::Send {
            conversation: id.clone(),
            client_id: "first".to_owned(),
            text: "the first word of this conversation".to_owned(),
            ..v1::Send::default()
        })
    };
    desk.ask_all(ids.iter().map(send))?;
    Ok(())
}

fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}
