//! What was promised, looked at after every step.

use super::state::{Body, PAIRS, Phase, ROWS, Router, State};

/// A promise that was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// A number that was shown as one message is another one now, or none.
    Changed { number: usize },
    /// A message has two numbers.
    Twice { message: u8 },
    /// An answer lacks rows that were acknowledged before its fence read began.
    Stale { head: usize },
    /// An adoption does not find the row of its hint, though there is no newer hint: it could never serve.
    HeadMissing { head: usize },
    /// An epoch is owned twice.
    EpochAgain { epoch: u8 },
    /// A text that was said to be gone is read.
    TextBack { number: usize },
}

impl State {
    /// A router shows the rows that it holds: acknowledges them, or answers with them.
    pub(crate) fn show(&mut self, at: usize) -> Result<(), Broken> {
        let router = self.routers[at];
        let held = usize::from(router.held);
        for (row, cell) in router.log.iter().enumerate().take(held) {
            let message = cell.message();
            if row < usize::from(self.head) {
                if self.shown[row] != message {
                    return Err(Broken::Changed { number: row + 1 });
                }
            } else if self.shown[..usize::from(self.head)].contains(&message) {
                return Err(Broken::Twice { message });
            } else {
                self.shown[row] = message;
                self.head += 1;
            }
        }
        if held < usize::from(router.began) {
            return Err(Broken::Stale { head: held });
        }
        let mut log = router.log;
        for (row, cell) in log.iter_mut().enumerate() {
            *cell = if row < held { cell.bare() } else { Default::default() };
        }
        let Router { epoch, held: shown, drops, .. } = router;
        self.routers[at] = Router { phase: Phase::Ready, epoch, shown, held: shown, drops, log, ..Router::default() };
        Ok(())
    }

    /// Any quorum read of what was shown gives what was shown.
    pub(crate) fn stays(&self) -> Result<(), Broken> {
        for row in 0..usize::from(self.head).min(ROWS) {
            for (one, other) in PAIRS {
                let read = self.replicas[one][row].max(self.replicas[other][row]);
                let gone = matches!(read.body(), Body::Absent | Body::Dropped);
                if gone && row < usize::from(self.dropped) {
                    continue;
                }
                if gone || read.message() != self.shown[row] {
                    return Err(Broken::Changed { number: row + 1 });
                }
                if self.erased.has(row) && read.body() == Body::Text {
                    return Err(Broken::TextBack { number: row + 1 });
                }
            }
        }
        Ok(())
    }
}
