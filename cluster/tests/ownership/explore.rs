//! Looks at every state that can be reached, nearest first, so that the first broken promise has the shortest story.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::promises::Broken;
use super::rules::Protocol;
use super::state::State;
use super::step::{Outcomes, Step};

/// What came of it.
pub(crate) enum Verdict {
    /// All states were looked at.
    Holds { states: usize },
    /// So many were looked at, and nothing was broken.
    Unfinished { states: usize, depth: usize },
    /// This is how.
    Breaks { broken: Broken, story: Vec<Step>, states: usize },
}

impl fmt::Display for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds { states } => write!(to, "holds: all {states} states were looked at"),
            Self::Unfinished { states, depth } => {
                write!(to, "nothing broken in {states} states, and so in no story of {depth} steps")
            }
            Self::Breaks { broken, story, states } => {
                writeln!(to, "{broken:?} after {} steps, {states} states:", story.len())?;
                story.iter().enumerate().try_for_each(|(at, step)| writeln!(to, "  {:2}. {step}", at + 1))
            }
        }
    }
}

/// Looks at no more than so many states.
pub(crate) fn explore(protocol: &Protocol, states_max: usize) -> Verdict {
    let mut out = Outcomes::new();
    let start = protocol.tidied(State::start());
    let first = name(protocol, &start);
    let mut parents: HashMap<u64, u64, FixedState> = HashMap::default();
    parents.insert(first, first);
    let mut waiting = VecDeque::from([(start, first)]);
    let (mut depth, mut left) = (0, 1);
    while let Some((state, own)) = waiting.pop_front() {
        protocol.next(&state, &mut out);
        for (step, outcome) in out.drain(..) {
            match outcome {
                Err(broken) => {
                    let states = parents.len();
                    let mut story = retold(protocol, start, path(&parents, own));
                    story.push(step);
                    return Verdict::Breaks { broken, story, states };
                }
                Ok(after) => {
                    let after = protocol.tidied(after);
                    let its = name(protocol, &after);
                    if let std::collections::hash_map::Entry::Vacant(new) = parents.entry(its) {
                        new.insert(own);
                        waiting.push_back((after, its));
                    }
                }
            }
        }
        left -= 1;
        if left == 0 {
            depth += 1;
            left = waiting.len();
        }
        if parents.len() > states_max {
            return Verdict::Unfinished { states: parents.len(), depth };
        }
    }
    Verdict::Holds { states: parents.len() }
}

/// States are known by 64 bits of their canonical form; two of ten million share a name once in 370,000 runs.
fn name(protocol: &Protocol, state: &State) -> u64 {
    FixedState::default().hash_one(protocol.canonical(state))
}

/// The names of the states on the way here, without the first.
fn path(parents: &HashMap<u64, u64, FixedState>, mut last: u64) -> Vec<u64> {
    let mut names = Vec::new();
    while parents[&last] != last {
        names.push(last);
        last = parents[&last];
    }
    names.reverse();
    names
}

/// Goes that way once more, and tells the steps.
fn retold(protocol: &Protocol, mut state: State, path: Vec<u64>) -> Vec<Step> {
    let mut out = Outcomes::new();
    path.into_iter()
        .map(|next| {
            protocol.next(&state, &mut out);
            let found = out.drain(..).find_map(|(step, outcome)| {
                let after = protocol.tidied(outcome.ok()?);
                (name(protocol, &after) == next).then_some((step, after))
            });
            let (step, after) = found.expect("the way was gone before");
            state = after;
            step
        })
        .collect()
}
