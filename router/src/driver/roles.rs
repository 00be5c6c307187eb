//! What users are in the tenant, where it is stored: a mark of each user's home.

use futures_executor::block_on;
use switchyard_protocol::id::{ConversationKey, TenantId, UserId};
use switchyard_store::{ProjectionError, ReadError, StoredMark};

use super::{Timelines, rows};
use crate::machine::{ReadFailed, ReadResult, ToldRoles, known_roles};

/// What is known of these users.
pub(super) fn of(store: &dyn Timelines, tenant: &TenantId, users: Vec<UserId>) -> Result<ReadResult, ReadError> {
    let known = users.into_iter().map(|user| {
        let marks = marks(store, &ConversationKey::home(tenant, &user))?;
        Ok((user, known_roles(&marks)))
    });
    Ok(ReadResult::Roles(known.collect::<Result<_, ReadError>>()?))
}

/// Writes what is news, and confirms it.
pub fn keep(store: &dyn Timelines, told: &[ToldRoles]) -> Result<(), ReadFailed> {
    let unavailable = |error: ProjectionError| rows::failed(&ReadError::Unavailable(error.to_string()));
    let mut news = Vec::new();
    for told in told {
        let stored = marks(store, &told.home.key).map_err(|error| rows::failed(&error))?;
        news.extend(told.mark(&stored));
    }
    if news.is_empty() {
        return Ok(());
    }
    match block_on(store.raise(&news)) {
        // One damaged mark does not take the others' from them; it stays until somebody sees to the store.
        Err(ProjectionError::Corrupt { .. }) => {
            for mark in &news {
                match block_on(store.raise(std::slice::from_ref(mark))) {
                    Ok(()) | Err(ProjectionError::Corrupt { .. }) => {}
                    Err(error) => return Err(unavailable(error)),
                }
            }
        }
        raised => raised.map_err(unavailable)?,
    }
    block_on(store.barrier()).map_err(|error| rows::failed(&ReadError::Unavailable(error.to_string())))
}

/// The marks of a home. Damaged ones are as good as none.
fn marks(store: &dyn Timelines, home: &ConversationKey) -> Result<Vec<StoredMark>, ReadError> {
    match block_on(store.marks(home)) {
        Ok(marks) => Ok(marks),
        Err(error @ ProjectionError::Corrupt { .. }) => {
            tracing::error!(%error, "what a user is cannot be read; it counts as a customer's");
            Ok(Vec::new())
        }
        Err(error) => Err(ReadError::Unavailable(error.to_string())),
    }
}
