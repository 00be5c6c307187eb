//! What a user decides for oneself: from a client's request to a question for the user's home.

use switchyard_cluster::home::{BlocksAsk, Decision, HomeAsk};
use switchyard_cluster::link::Ask;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::limits::BLOCKED_MAX;
use switchyard_protocol::v1;

use super::{Checked, bad, conversation, user};

fn ask(ask: HomeAsk, tenant: &TenantId, asker: &UserId) -> Checked {
    Ok((ConversationKey::home(tenant, asker).conversation, Ask::Home(ask)))
}

/// A user to block, or to block no more.
pub(in crate::session) fn block(
    text: &str,
    decision: fn(UserId) -> Decision,
    tenant: &TenantId,
    asker: &UserId,
) -> Checked {
    let other = user(text)?;
    if other == *asker {
        return Err(bad("nobody blocks oneself"));
    }
    ask(HomeAsk::Decide(decision(other)), tenant, asker)
}

/// A conversation to archive, or to take from the archive.
pub(in crate::session) fn archive(
    text: &str,
    decision: fn(ConversationId) -> Decision,
    tenant: &TenantId,
    asker: &UserId,
) -> Checked {
    ask(HomeAsk::Decide(decision(conversation(text)?)), tenant, asker)
}

/// A page of those whom the asker has blocked.
pub(in crate::session) fn blocks(blocks: &v1::Blocks, tenant: &TenantId, asker: &UserId) -> Checked {
    let limit = match blocks.limit as usize {
        0 => BLOCKED_MAX,
        limit => limit.min(BLOCKED_MAX),
    };
    let after = blocks.after.as_deref().map(user).transpose()?;
    ask(HomeAsk::Blocks(Box::new(BlocksAsk { after, limit })), tenant, asker)
}
