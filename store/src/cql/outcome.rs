//! What an error of the driver says about a write: whether it may have reached a replica, and if not, whether it may another time.
//! This is the only rule for unknown outcomes; the driver repeats nothing.

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use crate::quorum::Reached;

/// Judges an error. Whatever is not surely the one is the other, also what later versions of the driver bring.
pub(super) fn reached(error: &ExecutionError) -> Reached {
    match error {
        ExecutionError::BadQuery(_) => Reached::Never,
        ExecutionError::EmptyPlan | ExecutionError::PrepareError(_) | ExecutionError::ConnectionPoolError(_) => {
            Reached::Nobody
        }
        ExecutionError::LastAttemptError(error) => match error {
            RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
                Reached::Never
            }
            RequestAttemptError::UnableToAllocStreamId => Reached::Nobody,
            RequestAttemptError::DbError(error, _) => refused(error),
            _ => Reached::Perhaps,
        },
        _ => Reached::Perhaps,
    }
}

/// What a coordinator says. An overloaded one may have sent some of its copies before it found that it is.
fn refused(error: &DbError) -> Reached {
    match error {
        DbError::Unavailable { .. } | DbError::IsBootstrapping | DbError::Unprepared { .. } => Reached::Nobody,
        DbError::SyntaxError | DbError::Invalid | DbError::Unauthorized | DbError::ConfigError => Reached::Never,
        _ => Reached::Perhaps,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    use super::*;

    fn of(error: DbError) -> Reached {
        reached(&ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, String::new())))
    }

    #[test]
    fn only_what_surely_reached_nobody_is_definite() {
        let consistency = Consistency::LocalQuorum;
        assert_eq!(of(DbError::Unavailable { consistency, required: 2, alive: 1 }), Reached::Nobody);
        assert_eq!(of(DbError::IsBootstrapping), Reached::Nobody);
        for error in [DbError::SyntaxError, DbError::Invalid, DbError::Unauthorized, DbError::ConfigError] {
            assert_eq!(of(error), Reached::Never);
        }
        assert_eq!(reached(&ExecutionError::EmptyPlan), Reached::Nobody);
        let timed_out = |write_type| DbError::WriteTimeout { consistency, received: 0, required: 2, write_type };
        assert_eq!(of(timed_out(WriteType::Simple)), Reached::Perhaps);
        assert_eq!(of(timed_out(WriteType::UnloggedBatch)), Reached::Perhaps);
        let failed = DbError::WriteFailure {
            consistency,
            received: 0,
            required: 2,
            numfailures: 2,
            write_type: WriteType::Simple,
        };
        assert_eq!(of(failed), Reached::Perhaps);
        for error in [DbError::Overloaded, DbError::ServerError, DbError::ProtocolError, DbError::Other(0x1600)] {
            assert_eq!(of(error), Reached::Perhaps);
        }
        assert_eq!(reached(&ExecutionError::RequestTimeout(Duration::from_secs(1))), Reached::Perhaps);
        let unread = RequestAttemptError::NonfinishedPagingState;
        assert_eq!(reached(&ExecutionError::LastAttemptError(unread)), Reached::Perhaps);
    }
}
