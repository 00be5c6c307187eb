//! How statements are sent: so many at a time, each counted, and what became of each told apart.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::batch::BatchValues;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::Batch;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::quorum::{Failure, Reached};

use super::outcome::reached;
use super::statements::Statement;

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// It waited too long for its turn and was not sent.
    #[error("too many requests are under way")]
    Busy,
    /// The driver's error.
    #[error(transparent)]
    Execution(Box<ExecutionError>),
    /// The answer is not of the form that the statement has.
    #[error("an answer is not understood: {0}")]
    Form(String),
}

impl From<ExecutionError> for Failed {
    fn from(error: ExecutionError) -> Self {
        Self::Execution(Box::new(error))
    }
}

impl Failure for Failed {
    fn reached(&self) -> Reached {
        match self {
            Self::Busy => Reached::Nobody,
            Self::Execution(error) => reached(error),
            Self::Form(_) => Reached::Perhaps,
        }
    }
}

impl Failed {
    /// An answer of another form.
    pub(super) fn form(error: impl ToString) -> Self {
        Self::Form(error.to_string())
    }
}

/// Statements about owners, that are under way at a time: claims of all cells, and the fence read.
const CONTROL_REQUESTS_MAX: usize = 96;

/// The session, with a bound on what is under way.
pub(super) struct Requests {
    session: Session,
    turns: Semaphore,
    /// What is asked about owners stands in no line with what it decides: with so many batches waiting that the fence read came too
    /// late, each of them would be unknown although it is stored.
    control: Semaphore,
    wait: Duration,
}

impl Requests {
    pub(super) fn new(session: Session, at_a_time: usize, wait: Duration) -> Self {
        Self { session, turns: Semaphore::new(at_a_time), control: Semaphore::new(CONTROL_REQUESTS_MAX), wait }
    }

    async fn turn(&self, statement: &Statement) -> Result<SemaphorePermit<'_>, Failed> {
        let turns = if statement.is_control() { &self.control } else { &self.turns };
        let turn = match turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => match tokio::time::timeout(self.wait, turns.acquire()).await {
                Ok(Ok(turn)) => turn,
                _ => return Err(Failed::Busy),
            },
        };
        statement.is_sent();
        Ok(turn)
    }

    /// A statement whose answer is none, or short.
    pub(super) async fn execute(
        &self,
        statement: &Statement,
        values: impl SerializeRow,
    ) -> Result<QueryResult, Failed> {
        let _turn = self.turn(statement).await?;
        Ok(self.session.execute_unpaged(statement, values).await?)
    }

    /// A batch, which is of one partition, and counts as one of this statement.
    pub(super) async fn batch(
        &self,
        statement: &Statement,
        batch: &Batch,
        values: impl BatchValues,
    ) -> Result<QueryResult, Failed> {
        let _turn = self.turn(statement).await?;
        Ok(self.session.batch(batch, values).await?)
    }

    /// A change of the schema.
    pub(super) async fn alter(&self, cql: String) -> Result<(), Failed> {
        self.session.query_unpaged(cql, ()).await?;
        Ok(())
    }

    /// One page of an answer, and where the next one begins.
    pub(super) async fn page(
        &self,
        statement: &Statement,
        values: impl SerializeRow,
        state: PagingState,
    ) -> Result<(QueryRowsResult, Option<PagingState>), Failed> {
        let _turn = self.turn(statement).await?;
        let (result, next) = self.session.execute_single_page(statement, values, state).await?;
        let next = match next {
            PagingStateResponse::HasMorePages { state } => Some(state),
            PagingStateResponse::NoMorePages => None,
        };
        Ok((result.into_rows_result().map_err(Failed::form)?, next))
    }

    /// All rows of an answer of any length, each made by `each`.
    pub(super) async fn all<Row, T>(
        &self,
        statement: &Statement,
        values: impl SerializeRow + Clone,
        each: impl FnMut(Row) -> T,
    ) -> Result<Vec<T>, Failed>
    where
        Row: for<'frame> scylla::deserialize::row::DeserializeRow<'frame, 'frame>,
    {
        self.first(statement, values, usize::MAX, each).await
    }

    /// The first so many rows of an answer of any length, and no page more than it takes.
    pub(super) async fn first<Row, T>(
        &self,
        statement: &Statement,
        values: impl SerializeRow + Clone,
        rows_max: usize,
        mut each: impl FnMut(Row) -> T,
    ) -> Result<Vec<T>, Failed>
    where
        Row: for<'frame> scylla::deserialize::row::DeserializeRow<'frame, 'frame>,
    {
        let mut found = Vec::new();
        let mut state = PagingState::start();
        loop {
            let (rows, next) = self.page(statement, values.clone(), state).await?;
            for row in rows.rows::<Row>().map_err(Failed::form)? {
                found.push(each(row.map_err(Failed::form)?));
            }
            match next {
                Some(next) if found.len() < rows_max => state = next,
                _ => {
                    found.truncate(rows_max);
                    return Ok(found);
                }
            }
        }
    }

    /// How many rows an answer has that comes in one piece.
    pub(super) async fn count(&self, statement: &Statement, values: impl SerializeRow) -> Result<usize, Failed> {
        let result = self.execute(statement, values).await?.into_rows_result().map_err(Failed::form)?;
        Ok(result.rows_num())
    }

    /// The one row of an answer, if there is one.
    pub(super) async fn one<Row>(&self, statement: &Statement, values: impl SerializeRow) -> Result<Option<Row>, Failed>
    where
        Row: for<'frame> scylla::deserialize::row::DeserializeRow<'frame, 'frame>,
    {
        let result = self.execute(statement, values).await?.into_rows_result().map_err(Failed::form)?;
        result.maybe_first_row::<Row>().map_err(Failed::form)
    }
}
