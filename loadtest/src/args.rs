//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use switchyard_protocol::limits::SUBSCRIPTIONS_MAX;

use crate::letter::EDITED_SIZE_MIN;
use crate::mix::Mix;

/// What to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Connections that do nothing, after one message each way: memory and idle CPU.
    Idle,
    /// Pairs of users, one of each sending to the other.
    Pairs,
    /// One group, everybody connected.
    Room,
    /// Everybody connects, is cut off at once and comes back.
    Reconnect,
    /// A long timeline and a short one, then pages of both at random positions.
    Fill,
    /// Users with many conversations each: connecting to all of them, a page of a list, the total of what is unread.
    Lists,
    /// Raw TCP with batched writes and no promises: the least that pairs or a room can cost on this machine.
    Floor,
    /// The server side of `floor`, which starts it by itself.
    #[value(hide = true)]
    FloorServe,
}

/// The form of frames on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FormArg {
    /// Protobuf in binary messages.
    #[default]
    Proto,
    /// JSON in text messages.
    Json,
}

impl From<FormArg> for switchyard_protocol::frame::Form {
    fn from(form: FormArg) -> Self {
        match form {
            FormArg::Proto => Self::Proto,
            FormArg::Json => Self::Json,
        }
    }
}

/// Measures a Switchyard from outside and checks what it promised.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadtest", version, after_help = EXIT_CODES)]
pub struct Args {
    /// What to measure.
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// The server, as ws://HOST:PORT/v1/ws.
    #[arg(long, default_value = "ws://127.0.0.1:7400/v1/ws")]
    pub target: String,
    /// Sign tokens with the secret in this file (HS256).
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Sign tokens with the private key in this PEM file (EdDSA).
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    pub key_file: Option<PathBuf>,
    /// The key's name in the server's key set.
    #[arg(long, requires = "key_file")]
    pub kid: Option<String>,
    /// Ask this command for each token, as COMMAND --user ID [--tenant T].
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["secret_file", "key_file"])]
    pub token_command: Option<String>,
    /// The tenant that tokens name; none unless given.
    #[arg(long)]
    pub tenant: Option<String>,
    /// The issuer that signed tokens name; none unless given.
    #[arg(long)]
    pub issuer: Option<String>,
    /// Connections (idle, reconnect, lists).
    #[arg(long, default_value_t = 1_000)]
    pub connections: usize,
    /// Pairs of users (pairs, floor).
    #[arg(long, default_value_t = 200)]
    pub pairs: usize,
    /// Both of each pair send, and read what either sends (pairs, floor); a window is then each one's own.
    #[arg(long)]
    pub both: bool,
    /// Members of the room (room; floor, then in place of pairs).
    #[arg(long)]
    pub members: Option<usize>,
    /// Members of the room that send, in turns.
    #[arg(long, default_value_t = 8)]
    pub publishers: usize,
    /// Only those who send connect, and nobody reads (room).
    #[arg(long)]
    pub absent: bool,
    /// Conversations of each user (lists).
    #[arg(long, default_value_t = 1_000)]
    pub conversations: usize,
    /// All users are in the same conversations (lists).
    #[arg(long)]
    pub shared: bool,
    /// The users and conversations that an earlier run has made, by the name in its result (lists).
    #[arg(long, value_name = "RUN")]
    pub again: Option<String>,
    /// Messages of the long timeline (fill).
    #[arg(long, default_value_t = 100_000)]
    pub messages: u64,
    /// Pages that are read of each timeline (fill).
    #[arg(long, default_value_t = 10_000)]
    pub pages: u64,
    /// Messages a second in all, whatever becomes of them.
    #[arg(long, conflicts_with = "window")]
    pub rate: Option<f64>,
    /// Messages under way in each conversation; the next one follows an ack.
    #[arg(long)]
    pub window: Option<usize>,
    /// A message is under way until its last reader has it.
    #[arg(long)]
    pub by_delivery: bool,
    /// People do more than write (pairs, room, reconnect): --edits 5 --deletes 2 --reactions 10 --marks --lists, but what
    /// is given of these.
    #[arg(long)]
    pub mix: bool,
    /// Percent of a sender's operations that edit an own message.
    #[arg(long, value_name = "PERCENT")]
    pub edits: Option<f64>,
    /// Percent that delete one.
    #[arg(long, value_name = "PERCENT")]
    pub deletes: Option<f64>,
    /// Percent that give a message of the conversation an emoji, or take it away.
    #[arg(long, value_name = "PERCENT")]
    pub reactions: Option<f64>,
    /// Readers say once a second how far they have read.
    #[arg(long)]
    pub marks: bool,
    /// Readers list their conversations now and then.
    #[arg(long)]
    pub lists: bool,
    /// Bytes of a body.
    #[arg(long, default_value_t = 200)]
    pub size: usize,
    /// Seconds before measuring begins.
    #[arg(long, default_value_t = 2.0)]
    pub warm: f64,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 5.0)]
    pub secs: f64,
    /// Bodies and choices follow from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The form of frames.
    #[arg(long, value_enum, default_value_t)]
    pub form: FormArg,
    /// The server's processes, for their CPU and memory.
    #[arg(long, value_name = "PID[+PID]", value_delimiter = '+')]
    pub server_pid: Vec<u32>,
    /// Where the result goes as JSON; - is standard output.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
    /// No progress line and no table.
    #[arg(long)]
    pub quiet: bool,
    /// What must hold, such as cpu_us_per_msg<=10 or acked_per_s>=80000; may be given more than once.
    #[arg(long, value_name = "FIELD<=N|FIELD>=N")]
    pub limit: Vec<String>,
    /// Seconds that the last acks and deliveries may take after sending has ended.
    #[arg(long, default_value_t = 30.0)]
    pub drain: f64,
    /// Messages that each reader has missed when it comes back (reconnect).
    #[arg(long, default_value_t = 3)]
    pub behind: u64,
    /// Connections in their handshake at once: 256 while a run is set up, 1000 in a reconnect storm.
    #[arg(long)]
    pub handshakes: Option<usize>,
    /// The core that the floor's server runs on.
    #[arg(long)]
    pub server_core: Option<usize>,
}

const EXIT_CODES: &str = "Exit: 0 ok; 1 the run failed, messages were never answered, or not all was looked at; 2 usage; \
3 the oracle found a violation; 4 the generator itself was saturated; 5 a limit was missed.";

/// Seconds of any phase: a day.
const SECS_MAX: f64 = 86_400.0;

/// Percent of operations that may be no messages.
const CHANGES_MAX: f64 = 90.0;

/// Members of a room unless told otherwise.
const MEMBERS: usize = 1_000;

/// Messages under way in a conversation unless told otherwise.
const WINDOW: usize = 4;

/// The same while a timeline is filled; the server may allow fewer.
const WINDOW_FILL: usize = 200;

/// A command line that makes no sense in a way that its parser does not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub &'static str);

impl Args {
    /// What the parser cannot see.
    pub fn check(&self) -> Result<(), UsageError> {
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(UsageError("--rate is a number above 0"));
        }
        if self.conversations == 0 || self.conversations > SUBSCRIPTIONS_MAX {
            return Err(UsageError("--conversations is at least 1, and at most 1000"));
        }
        if self.absent && (self.scenario != Scenario::Room || self.by_delivery || self.mix().is_some()) {
            return Err(UsageError("--absent is for a room, without --by-delivery and --mix"));
        }
        if self.pairs == 0 || self.connections == 0 || self.members == Some(0) {
            return Err(UsageError("--pairs, --connections and --members are at least 1"));
        }
        let has_pairs = match self.scenario {
            Scenario::Pairs => true,
            Scenario::Floor | Scenario::FloorServe => self.members.is_none(),
            Scenario::Idle | Scenario::Room | Scenario::Reconnect | Scenario::Fill | Scenario::Lists => false,
        };
        if self.both && !has_pairs {
            return Err(UsageError("--both is for pairs, and for floor without --members"));
        }
        self.check_mix()?;
        let times = [self.warm, self.secs, self.drain];
        if times.iter().any(|secs| !(0.0..=SECS_MAX).contains(secs)) {
            return Err(UsageError("--warm, --secs and --drain are at most a day"));
        }
        Ok(())
    }

    fn check_mix(&self) -> Result<(), UsageError> {
        let Some(mix) = self.mix() else { return Ok(()) };
        if !matches!(self.scenario, Scenario::Pairs | Scenario::Room | Scenario::Reconnect) {
            return Err(UsageError("--mix and its parts are for pairs, room and reconnect"));
        }
        let shares = [mix.edits, mix.deletes, mix.reactions];
        // Changes need messages to be made of.
        if shares.iter().any(|share| !(0.0..=CHANGES_MAX).contains(share)) || mix.changes() > CHANGES_MAX {
            return Err(UsageError("--edits, --deletes and --reactions are at most 90 percent together"));
        }
        if mix.edits > 0.0 && self.size < EDITED_SIZE_MIN {
            return Err(UsageError("a body that is edited has at least 16 bytes (--size)"));
        }
        Ok(())
    }

    /// What is done beside writing, if anything is.
    pub fn mix(&self) -> Option<Mix> {
        let usual = if self.mix { Mix::USUAL } else { Mix::default() };
        let mix = Mix {
            edits: self.edits.unwrap_or(usual.edits),
            deletes: self.deletes.unwrap_or(usual.deletes),
            reactions: self.reactions.unwrap_or(usual.reactions),
            marks: self.marks || usual.marks,
            lists: self.lists || usual.lists,
        };
        (!mix.is_off()).then_some(mix)
    }

    /// Members of the room.
    pub fn room_members(&self) -> usize {
        self.members.unwrap_or(MEMBERS)
    }

    /// Messages under way in a conversation; none with a rate.
    pub fn window_or_default(&self) -> Option<usize> {
        let usual = if self.scenario == Scenario::Fill { WINDOW_FILL } else { WINDOW };
        self.rate.is_none().then(|| self.window.unwrap_or(usual).max(1))
    }

    /// Time before measuring.
    pub fn warm(&self) -> Duration {
        Duration::from_secs_f64(self.warm)
    }

    /// Time of measuring.
    pub fn secs(&self) -> Duration {
        Duration::from_secs_f64(self.secs)
    }

    /// Time for what is under way at the end.
    pub fn drain(&self) -> Duration {
        Duration::from_secs_f64(self.drain)
    }
}
