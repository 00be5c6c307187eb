//! Cut after cut on one data directory, and the comparison of what is there with what was confirmed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, mpsc};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::disk::{Disk, Plan, Survival};
use super::super::fs::{Mount, SharedDisk, lock};
use super::super::process::{End, Event, Process};
use super::child::Job;

/// Changes and syncs of the disk before a cut under load. Making a store takes a few hundred of them, opening one fewer.
const STEPS_UNDER_LOAD: Range<u64> = 300..3_000;

/// The same for cuts that shall hit the making of the store, or the opening and what it mends.
const STEPS_WHILE_MAKING: Range<u64> = 0..500;
const STEPS_WHILE_OPENING: Range<u64> = 0..100;

/// Segments of the journal that are made while there is load, and the steps from the moment at which one begins to be made.
const SEGMENTS_MADE: [&str; 3] = ["1.new", "2.new", "3.new"];
const STEPS_AROUND_SEGMENTS: Range<u64> = 0..50;

/// Takes the seed of a failed run, to see much the same again. The order of threads is not in it.
const SEED_VARIABLE: &str = "SWITCHYARD_POWER_CUT_SEED";

/// What is done.
#[derive(Debug)]
pub(super) struct Campaign {
    seed: u64,
    /// Cuts under load.
    pub(super) cuts: u32,
    survival: Survival,
    target: Target,
    /// Whether the store syncs.
    sync: bool,
}

/// When the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// At any moment, and now and then while the store opens.
    Anywhere,
    /// The first time when a segment of the journal is made, then while segments are filled again all the time.
    Segments,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) verdict: Verdict,
    pub(super) cuts_under_load: u32,
    #[expect(dead_code, reason = "it is shown when something is wrong")]
    pub(super) cuts_while_opening: u32,
    pub(super) confirmed: usize,
    /// Changes that were not synced when the power went.
    pub(super) changes_lost: u64,
}

/// What the comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing wrong.
    AllThere,
    /// So many confirmed rows are not there as they were written; this is the first.
    Missing { rows: usize, first: (u8, u64) },
    /// The record of a conversation is older than one that was confirmed.
    OldRecord { conversation: u8, confirmed: u64 },
    /// An epoch was given out twice.
    OldEpoch(u64),
    /// The store does not open, or finds damage in itself.
    Damaged(String),
}

/// Everything that was confirmed.
#[derive(Default)]
struct Ledger {
    rows: BTreeMap<(u8, u64), u64>,
    recorded: BTreeMap<u8, u64>,
    epoch: u64,
    verdict: Option<Verdict>,
}

impl Ledger {
    fn wrong(&mut self, verdict: Verdict) {
        self.verdict.get_or_insert(verdict);
    }

    /// Reads a line of a process that writes.
    fn confirm(&mut self, line: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["confirmed", conversation, seq, hash] => {
                let place = (conversation.parse()?, seq.parse()?);
                // A number that is given out again had lost its row.
                if self.rows.insert(place, hash.parse()?).is_some() {
                    self.wrong(Verdict::Missing { rows: 1, first: place });
                }
            }
            ["recorded", conversation, seq] => {
                let recorded = self.recorded.entry(conversation.parse()?).or_default();
                *recorded = seq.parse::<u64>()?.max(*recorded);
            }
            ["epoch", number] => {
                let number = number.parse()?;
                if number <= self.epoch {
                    self.wrong(Verdict::OldEpoch(number));
                }
                self.epoch = number;
            }
            ["refused", ..] => self.wrong(Verdict::Damaged(line.to_owned())),
            // The test harness talks, too.
            _ => {}
        }
        Ok(())
    }
}

/// What a process read.
#[derive(Default)]
struct Found {
    rows: BTreeMap<(u8, u64), u64>,
    recorded: BTreeMap<u8, u64>,
    refused: Option<String>,
}

impl Found {
    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["row", conversation, seq, hash] => {
                self.rows.insert((conversation.parse()?, seq.parse()?), hash.parse()?);
            }
            ["recorded", conversation, seq] => {
                self.recorded.insert(conversation.parse()?, seq.parse()?);
            }
            ["refused", ..] => self.refused = Some(line.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn compare(self, ledger: &mut Ledger) {
        if let Some(reason) = self.refused {
            return ledger.wrong(Verdict::Damaged(reason));
        }
        let mut missing = ledger.rows.iter().filter(|(place, hash)| self.rows.get(place) != Some(hash));
        if let Some((first, _)) = missing.next() {
            let verdict = Verdict::Missing { rows: 1 + missing.count(), first: *first };
            return ledger.wrong(verdict);
        }
        let old = |(conversation, confirmed): (&u8, &u64)| {
            let found = self.recorded.get(conversation);
            found.is_none_or(|found| found < confirmed).then_some((*conversation, *confirmed))
        };
        if let Some((conversation, confirmed)) = ledger.recorded.iter().find_map(old) {
            ledger.wrong(Verdict::OldRecord { conversation, confirmed });
        }
    }
}

impl Campaign {
    /// With a new seed, and syncing.
    pub(super) fn new(cuts: u32, survival: Survival, target: Target) -> Self {
        let seed = std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok());
        Self { seed: seed.unwrap_or_else(rand::random), cuts, survival, target, sync: true }
    }

    /// The same on a store that does not sync.
    pub(super) fn without_syncs(self) -> Self {
        Self { sync: false, ..self }
    }

    /// Cuts and checks, until something is wrong or all is done.
    pub(super) fn run(&self) -> anyhow::Result<Results> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let disk: SharedDisk = Arc::new(Mutex::new(Disk::new(rng.random(), self.survival)));
        let mut ledger = Ledger::default();
        let (mut cuts_under_load, mut cuts_while_opening, mut changes_lost) = (0, 0, 0);
        while cuts_under_load < self.cuts && ledger.verdict.is_none() {
            let confirmed = ledger.rows.len();
            let plan = match self.target {
                Target::Anywhere if rng.random() => Plan::AfterSteps(rng.random_range(match ledger.epoch {
                    0 => STEPS_WHILE_MAKING,
                    _ => STEPS_WHILE_OPENING,
                })),
                Target::Segments if ledger.epoch == 0 => {
                    let segment = SEGMENTS_MADE[rng.random_range(0..SEGMENTS_MADE.len())];
                    Plan::AfterName(segment, rng.random_range(STEPS_AROUND_SEGMENTS))
                }
                _ => Plan::AfterSteps(rng.random_range(STEPS_UNDER_LOAD)),
            };
            let lost = self.load(&disk, plan, rng.random(), &mut ledger);
            changes_lost += lost.with_context(|| format!("{plan:?}, {cuts_under_load} cuts before"))?;
            if ledger.rows.len() > confirmed {
                cuts_under_load += 1;
            } else {
                cuts_while_opening += 1;
            }
            // Not each time: opening for a check mends what the next load shall meet.
            if ledger.verdict.is_none() && (rng.random() || cuts_under_load == self.cuts) {
                check(&disk, &mut ledger).with_context(|| format!("check after {cuts_under_load} cuts"))?;
            }
        }
        Ok(Results {
            verdict: ledger.verdict.unwrap_or(Verdict::AllThere),
            cuts_under_load,
            cuts_while_opening,
            confirmed: ledger.rows.len(),
            changes_lost,
        })
    }

    /// Writes until the power goes, and brings it back. Returns how many changes were at stake.
    fn load(&self, disk: &SharedDisk, plan: Plan, seed: u64, ledger: &mut Ledger) -> anyhow::Result<u64> {
        let (sender, events) = mpsc::channel();
        let mount = Mount::new(disk, sender.clone(), Event::Cut)?;
        lock(disk).plan_cut(plan);
        let job = Job::Load { seed, sync: self.sync, fill: self.target == Target::Segments };
        let process = Process::start(&mut job.command(mount.path())?, (sender, events))?;
        let end = process.listen(|line| ledger.confirm(line))?;
        mount.unmount()?;
        // A store that refuses to open ends by itself.
        anyhow::ensure!(end == End::Cut || ledger.verdict.is_some(), "it ended before the cut");
        Ok(lock(disk).restore())
    }
}

/// Reads everything from the disk and compares.
fn check(disk: &SharedDisk, ledger: &mut Ledger) -> anyhow::Result<()> {
    let (sender, events) = mpsc::channel();
    let mount = Mount::new(disk, sender.clone(), Event::Cut)?;
    let process = Process::start(&mut Job::Check.command(mount.path())?, (sender, events))?;
    let mut found = Found::default();
    let end = process.listen(|line| found.add(line))?;
    mount.unmount()?;
    anyhow::ensure!(end == End::Well, "the power went during a check");
    found.compare(ledger);
    Ok(())
}
