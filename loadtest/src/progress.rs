//! One line on standard error that says how far a run is; silent where nobody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::world::World;

/// How often the line changes.
const EVERY_NS: u64 = 250_000_000;

/// The line.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    next: u64,
    last: (u64, u64),
}

impl Progress {
    /// Shown unless `quiet`, and only on a terminal.
    pub fn new(quiet: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {prefix}: {msg}") {
            bar.set_style(style);
        }
        Self { bar, next: 0, last: (0, 0) }
    }

    /// What is going on.
    pub fn phase(&mut self, phase: &'static str) {
        self.bar.set_prefix(phase);
    }

    /// A turn is over.
    pub fn tick(&mut self, now: u64, world: &World) {
        if now < self.next || self.bar.is_hidden() {
            return;
        }
        self.next = now + EVERY_NS;
        let tally = world.meter.tally;
        let (before, at) = self.last;
        let per_second = (tally.acked - before) as f64 * 1e9 / now.saturating_sub(at).max(1) as f64;
        self.last = (tally.acked, now);
        self.bar.set_message(format!(
            "{} of {} connected, {} acknowledged ({per_second:.0}/s), {} delivered, {} lost connections, {} timelines read",
            world.joined(),
            world.users(),
            tally.acked,
            tally.deliveries,
            tally.disconnects,
            world.verdict.timelines_read,
        ));
        self.bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
