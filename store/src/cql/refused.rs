//! Why a statement of a start was not carried out, by what would mend it. Those of a store that is open are told apart in `outcome.rs`.

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::statement::{Consistency, Statement};

use super::options::{OpenError, Options};
use super::requests::Failed;
use super::statements::Unprepared;

/// Whether there is a table of this name.
const TABLE: &str = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";

/// Of whatever is not known better: the cluster.
pub(super) fn unreachable(error: impl ToString) -> OpenError {
    OpenError::Unreachable(error.to_string())
}

/// Of a statement.
pub(super) fn refused(error: &ExecutionError) -> OpenError {
    match error {
        ExecutionError::LastAttemptError(error) => attempt(error),
        error => unreachable(error),
    }
}

/// Of one that was sent in its turn.
pub(super) fn failed(error: &Failed) -> OpenError {
    match error {
        Failed::Execution(error) => refused(error),
        error => unreachable(error),
    }
}

/// Of an attempt at something.
pub(super) fn attempt(error: &RequestAttemptError) -> OpenError {
    match error {
        RequestAttemptError::DbError(DbError::Unauthorized, text) => OpenError::Forbidden(text.clone()),
        error => unreachable(error),
    }
}

/// What does not go with the schema, of statements that are not prepared for that; nothing if they are not for another reason.
pub(super) fn unknown(error: &PrepareError) -> Option<&str> {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt: RequestAttemptError::DbError(DbError::Invalid, text) } => {
            Some(text)
        }
        _ => None,
    }
}

/// Of a statement that is not prepared. What is there and does not go with it is somebody else's; nothing if there is no such table.
pub(super) async fn unprepared(
    session: &Session,
    options: &Options,
    Unprepared { table, error }: Unprepared,
) -> Result<Option<OpenError>, OpenError> {
    let Some(reason) = unknown(&error) else {
        return Ok(Some(match &error {
            PrepareError::AllAttemptsFailed { first_attempt } => attempt(first_attempt),
            error => unreachable(error),
        }));
    };
    let mut statement = Statement::new(TABLE);
    // Such a table is the node's own, and has one copy.
    statement.set_consistency(Consistency::One);
    let place = (options.keyspace.to_ascii_lowercase(), table.name());
    let found = session.query_unpaged(statement, place).await.map_err(|error| refused(&error))?;
    let is_there = found.into_rows_result().map_err(unreachable)?.rows_num() > 0;
    let (keyspace, reason) = (options.keyspace.clone(), reason.to_owned());
    Ok(is_there.then(|| OpenError::Foreign { keyspace, table: table.name(), reason }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: DbError) -> OpenError {
        failed(&ExecutionError::from(RequestAttemptError::DbError(error, "says why".to_owned())).into())
    }

    #[test]
    fn what_a_role_may_not_do_is_told_as_that() {
        assert!(matches!(of(DbError::Unauthorized), OpenError::Forbidden(text) if text == "says why"));
        assert!(matches!(of(DbError::ServerError), OpenError::Unreachable(_)));
        assert!(matches!(failed(&Failed::Busy), OpenError::Unreachable(_)));
    }
}
