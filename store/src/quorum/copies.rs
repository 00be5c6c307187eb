//! How many replicas a statement of the log, and the fence read, ask before they are answered. Whoever carries statements out
//! takes it from here.

use crate::rules::{Rule, Rules};

/// So many of a row's replicas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copies {
    /// Any one.
    One,
    /// More than half: of any two quorums one replica is the same.
    Quorum,
}

/// What a statement does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It writes.
    Write,
    /// It reads what was written.
    Read,
    /// It reads the row of a router.
    FenceRead,
}

impl Copies {
    /// How many are asked by a statement of this kind.
    pub fn of(kind: Kind, rules: Rules) -> Self {
        let rule = match kind {
            Kind::Write => Rule::WriteAtQuorum,
            Kind::Read => Rule::ReadAtQuorum,
            Kind::FenceRead => Rule::BarrierAtQuorum,
        };
        if rules.has(rule) { Self::Quorum } else { Self::One }
    }
}
