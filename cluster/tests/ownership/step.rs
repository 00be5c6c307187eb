//! What can happen, as it is told in a story.

use std::fmt;

use super::promises::Broken;
use super::state::{State, Write};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Arrives { write: Write, replica: usize },
    LearnsOfFence { replica: usize, router: usize },
    LivesAgain { router: usize },
    SendsClaim { router: usize, by: usize, epoch: u8 },
    Claims { router: usize, epoch: u8 },
    Stops { router: usize },
    GoesOn { router: usize },
    Adopts { router: usize, epoch: u8, hint: usize },
    ReadsRows { router: usize, replica: usize },
    AdoptsAgain { router: usize, hint: usize },
    ReadsFence { router: usize, replica: usize },
    Appends { router: usize, messages: [u8; 2] },
    Acknowledges { router: usize },
    GivesUp { router: usize },
    Answers { router: usize },
    StoresHint { router: usize },
    Drops { router: usize, rows: usize },
    Erases { router: usize, row: usize },
}

const NAMES: [&str; 3] = ["X", "Y", "Z"];

impl fmt::Display for Step {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |router: usize| NAMES[router];
        match *self {
            Self::Arrives { write, replica } => {
                write!(to, "a write of epoch {} reaches replica {replica}:", write.epoch)?;
                let cells = write.cells.iter().take(usize::from(write.count)).enumerate();
                cells.into_iter().try_for_each(|(at, cell)| {
                    write!(to, " {}=m{} ({:?})", usize::from(write.start) + at + 1, cell.message(), cell.body())
                })
            }
            Self::LearnsOfFence { replica, router } => {
                write!(to, "replica {replica} learns that {} is fenced", name(router))
            }
            Self::LivesAgain { router } => {
                write!(to, "the row of {} is deleted, and a late insert makes it live", name(router))
            }
            Self::SendsClaim { router, by, epoch } => {
                write!(to, "{} claims the shard for {}, ending epoch {epoch}", name(by), name(router))
            }
            Self::Claims { router, epoch } => write!(to, "a claim is carried out: {} owns epoch {epoch}", name(router)),
            Self::Stops { router } => write!(to, "{} stops for a planned move", name(router)),
            Self::GoesOn { router } => write!(to, "{} goes on in its epoch, for it still owns it", name(router)),
            Self::Adopts { router, epoch, hint } => {
                write!(to, "{} learns that it owns epoch {epoch}, and reads hint {hint}", name(router))
            }
            Self::ReadsRows { router, replica } => write!(to, "{} reads at replica {replica}", name(router)),
            Self::AdoptsAgain { router, hint } => {
                write!(to, "{} adopts again in its epoch, from hint {hint}", name(router))
            }
            Self::ReadsFence { router, replica } => {
                write!(to, "{} reads at replica {replica} that it is live", name(router))
            }
            Self::Appends { router, messages: [one, 0] } => write!(to, "{} appends m{one}", name(router)),
            Self::Appends { router, messages: [one, two] } => write!(to, "{} appends m{one} and m{two}", name(router)),
            Self::Acknowledges { router } => write!(to, "{} acknowledges", name(router)),
            Self::GivesUp { router } => {
                write!(to, "{} takes its write for refused, and uses the number again", name(router))
            }
            Self::Answers { router } => write!(to, "{} answers a reader", name(router)),
            Self::StoresHint { router } => write!(to, "{} has its hint at a quorum", name(router)),
            Self::Drops { router, rows } => write!(to, "{} drops the first {rows} rows", name(router)),
            Self::Erases { router, row } => write!(to, "{} erases the text of row {}", name(router), row + 1),
        }
    }
}

/// Where steps lead to.
pub(crate) type Outcomes = Vec<(Step, Result<State, Broken>)>;
