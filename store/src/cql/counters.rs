//! Numbers that only rise, whoever raises them: a row each, touched by transactions alone.

use std::time::Duration;

use crate::epoch::EpochError;

use super::Inner;
use super::applied::{self, Transaction};
use super::requests::{Failed, Requests};
use super::statements::Statements;

/// The name of the number of the newest epoch.
const EPOCH: &str = "epoch";

/// Attempts before it is given up: others who raise the same one at the same time may be first some times.
const ATTEMPTS_MAX: u32 = 16;

/// How long a process waits for a number of its own.
const NUMBERED_WITHIN: Duration = Duration::from_secs(60);

/// How much longer each attempt waits than the one before.
const PAUSE: Duration = Duration::from_millis(20);

/// Raises a number to what `next` makes of it, and returns that; or what is stored, where `next` has nothing to raise it to.
pub(super) async fn raise(
    requests: &Requests,
    statements: &Statements,
    name: &str,
    next: impl Fn(Option<i64>) -> Option<i64>,
) -> Result<i64, Failed> {
    let mut failed = Failed::form("others were always first");
    for attempt in 0..ATTEMPTS_MAX {
        // Those who were in each other's way come back at different times.
        tokio::time::sleep(PAUSE * attempt).await;
        // As a transaction: one whose outcome is unknown is carried out by it, or loses against ours.
        let stored = match requests.one::<(i64,)>(&statements.counter, (name,)).await {
            Ok(stored) => stored.map(|(stored,)| stored),
            Err(error) => {
                failed = error;
                continue;
            }
        };
        let Some(wanted) = next(stored) else { return Ok(stored.unwrap_or_default()) };
        let answer = match stored {
            None => requests.execute(&statements.first_count, (name, wanted)).await,
            Some(stored) => requests.execute(&statements.next_count, (wanted, name, stored)).await,
        };
        match answer.and_then(applied::read) {
            Ok(Transaction::Applied) => return Ok(wanted),
            Ok(Transaction::Refused(_)) => {}
            // It may have been carried out: then this number is skipped.
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl Inner {
    pub(super) async fn raise_epoch(&self) -> Result<u64, EpochError> {
        let next = |stored: Option<i64>| Some(stored.map_or(1, |stored| stored.saturating_add(1)));
        let raised = raise(&self.requests, &self.statements, EPOCH, next);
        let late = |_| EpochError::Unavailable(format!("no answer within {} s", NUMBERED_WITHIN.as_secs()));
        let raised = tokio::time::timeout(NUMBERED_WITHIN, raised).await.map_err(late)?;
        raised.map(|epoch| epoch as u64).map_err(|error| EpochError::Unavailable(error.to_string()))
    }
}
