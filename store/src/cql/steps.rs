//! What a step of the schema has to do with what is stored. May be done again, and by several at once.

use scylla::deserialize::row::DeserializeRow;
use scylla::response::PagingState;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

use super::parts::List;
use super::requests::{Failed, Requests};
use super::statements::{Statement, Statements};

/// The schema before which the first part of a list does not say which part is the last.
pub(super) const THIRD: u32 = 3;

/// Lets the first parts of lists say which one is the last. The second schema said it in `bounds`, where a home does not tell whose it
/// is. Which parts there are, the tables of parts say: of one that was begun and in which nothing lies yet nobody need know. It is done
/// whenever a schema is to be made: so once more, if a broker of before had not ended the first time.
pub(super) async fn say_last_parts(requests: &Requests, statements: &Statements) -> Result<(), Failed> {
    let mut from = Some(PagingState::start());
    while let Some(at) = from {
        let (rows, next) = page::<(String, String, i64)>(requests, &statements.parts_of_conversations, at).await?;
        for (tenant, user, part) in rows {
            let tenant = TenantId::new(&tenant).map_err(Failed::form)?;
            let user = UserId::new(&user).map_err(Failed::form)?;
            List::Conversations(&tenant, &user).say_last(part, requests, statements).await?;
        }
        from = next;
    }
    let mut from = Some(PagingState::start());
    while let Some(at) = from {
        let (rows, next) = page::<(String, Vec<u8>, i64)>(requests, &statements.parts_of_decisions, at).await?;
        for (tenant, home, part) in rows {
            let tenant = TenantId::new(&tenant).map_err(Failed::form)?;
            let home = <[u8; 16]>::try_from(home).map_err(|_| Failed::form("not the name of a home"))?;
            let home = ConversationKey { tenant, conversation: ConversationId::from_bytes(home) };
            List::Decisions(&home).say_last(part, requests, statements).await?;
        }
        from = next;
    }
    Ok(())
}

/// One page of a table, and where the next one begins.
async fn page<Row>(
    requests: &Requests,
    statement: &Statement,
    at: PagingState,
) -> Result<(Vec<Row>, Option<PagingState>), Failed>
where
    Row: for<'frame> DeserializeRow<'frame, 'frame>,
{
    let (page, next) = requests.page(statement, (), at).await?;
    let rows = page.rows::<Row>().map_err(Failed::form)?;
    Ok((rows.collect::<Result<_, _>>().map_err(Failed::form)?, next))
}
