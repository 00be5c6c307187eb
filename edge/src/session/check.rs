//! From a client's request to a question for the owner of its conversation: every limit is checked here, and nothing
//! that fails it goes further. Pure; who asks is not decided here, but taken from the token.

mod decisions;
mod messages;

use switchyard_cluster::home::{HomeAsk, ListAsk, ListFilter};
use switchyard_cluster::link::{Ask, CreateAsk, HistoryAsk, MarkAsk, MarksAsk, PageFrom, Refusal, SendAsk, UpdateAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::cursor::Cursor;
use switchyard_protocol::hot::SendView;
use switchyard_protocol::id::{ConversationId, ConversationKey, MessageId, TenantId, UserId};
use switchyard_protocol::limits::{
    AVATAR_BYTES_MAX, CONTEXT_BYTES_MAX, ID_BYTES_MAX, INTEGER_MAX, LIST_DEFAULT, LIST_MAX, MARKS_PAGE_MAX,
    MEMBERS_PAGE_MAX, MEMBERS_PER_REQUEST_MAX, NAME_BYTES_MAX, PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX,
};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1;

pub(super) use decisions::{archive, block, blocks};
pub(super) use messages::{delete, edit, extra, pin, react};

/// The word for a kind in the hash of the id of a conversation of two. It is for ever.
fn word(kind: v1::ConversationKind) -> &'static str {
    match kind {
        v1::ConversationKind::Direct | v1::ConversationKind::Group => "direct",
        v1::ConversationKind::CustomerSeller => "customer_seller",
        v1::ConversationKind::CustomerSupport => "customer_support",
        v1::ConversationKind::SellerSupport => "seller_support",
        v1::ConversationKind::Internal => "internal",
    }
}

/// A question, and the conversation that it is about.
pub(super) type Checked = Result<(ConversationId, Ask), Refusal>;

pub(super) const fn bad(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, message)
}

/// A conversation's id. One that this server cannot have given out is answered as one that does not exist.
pub(super) fn conversation(text: &str) -> Result<ConversationId, Refusal> {
    ConversationId::parse(text).map_err(|_| Refusal::NOT_FOUND)
}

pub(super) fn integer(value: u64) -> Result<u64, Refusal> {
    if value > INTEGER_MAX { Err(bad("integers are at most 2^53 - 1")) } else { Ok(value) }
}

/// The direct conversation of these two, without a context.
pub(super) fn direct(tenant: &TenantId, a: &UserId, b: &UserId) -> ConversationId {
    ConversationId::direct(tenant, word(v1::ConversationKind::Direct), "", a, b)
}

fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

pub(super) fn user(text: &str) -> Result<UserId, Refusal> {
    match UserId::new(text) {
        Ok(user) if !has_nul(text) => Ok(user),
        _ => Err(bad("a user's id has 1 to 128 bytes and no NUL")),
    }
}

/// Users, each once, in the order of their ids.
fn users(texts: &[String]) -> Result<Vec<UserId>, Refusal> {
    if texts.len() > MEMBERS_PER_REQUEST_MAX {
        return Err(bad("too many members in one request"));
    }
    let mut users = texts.iter().map(|text| user(text)).collect::<Result<Vec<_>, _>>()?;
    users.sort_unstable();
    users.dedup();
    Ok(users)
}

fn optional(text: Option<String>, bytes_max: usize, problem: &'static str) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.len() > bytes_max || has_nul(&text) => Err(bad(problem)),
        text => Ok(text),
    }
}

fn name(text: Option<String>) -> Result<Option<String>, Refusal> {
    match optional(text, NAME_BYTES_MAX, "a name has 1 to 256 bytes and no NUL")? {
        Some(text) if text.is_empty() => Err(bad("a name has 1 to 256 bytes and no NUL")),
        text => Ok(text),
    }
}

fn avatar(text: Option<String>) -> Result<Option<String>, Refusal> {
    optional(text, AVATAR_BYTES_MAX, "an avatar's address has at most 2048 bytes and no NUL")
}

fn context(text: Option<String>) -> Result<Option<String>, Refusal> {
    optional(text, CONTEXT_BYTES_MAX, "a context has at most 256 bytes and no NUL")
}

/// A message to send.
pub(super) fn send(view: &SendView<'_>, roles: Roles) -> Checked {
    let conversation = conversation(view.conversation)?;
    if view.client_id.is_empty() || view.client_id.len() > ID_BYTES_MAX || has_nul(view.client_id) {
        return Err(bad("client_id has 1 to 128 bytes and no NUL"));
    }
    messages::text(view.text)?;
    let kind = match v1::MessageKind::try_from(view.kind) {
        Ok(v1::MessageKind::System) if !roles.is_service() => {
            return Err(Refusal::new(ErrorCode::Forbidden, "services send SYSTEM messages, and nobody else does"));
        }
        Ok(kind) => kind,
        Err(_) => return Err(bad("unknown kind of message")),
    };
    let since = view.since.map(integer).transpose()?;
    Ok((conversation, Ask::Send(SendAsk::new(view.client_id, view.text, kind, since))))
}

/// A conversation to create; `fresh` gives a group its id.
pub(super) fn create(
    create: v1::Create,
    tenant: &TenantId,
    asker: &UserId,
    fresh: impl FnOnce() -> [u8; 16],
) -> Checked {
    let kind = v1::ConversationKind::try_from(create.kind).map_err(|_| bad("unknown kind of conversation"))?;
    let mut members = users(&create.members)?;
    if let Err(at) = members.binary_search(asker) {
        members.insert(at, asker.clone());
    }
    let name = name(create.name)?;
    let avatar = avatar(create.avatar)?;
    let context = context(create.context)?;
    let ask = CreateAsk { kind, members, name, avatar, context };
    let conversation = match pair(&ask, asker)? {
        Some((a, b)) => ConversationId::direct(tenant, word(kind), ask.context.as_deref().unwrap_or_default(), a, b),
        None => ConversationId::from_bytes(fresh()),
    };
    Ok((conversation, Ask::Create(Box::new(ask))))
}

/// The two whom the conversation is of for good, so that there is one of them; nothing for a group. One that a customer or
/// seller has with the support, and with nobody in particular, is of them alone.
fn pair<'a>(ask: &'a CreateAsk, asker: &'a UserId) -> Result<Option<(&'a UserId, &'a UserId)>, Refusal> {
    use v1::ConversationKind::{CustomerSeller, CustomerSupport, Direct, Group, Internal, SellerSupport};
    match (ask.kind, ask.members.as_slice()) {
        (Group, _) => Ok(None),
        (Direct | CustomerSeller, [_, _]) if !ask.is_pair() => Err(bad("only a group has a name and an avatar")),
        (Direct | CustomerSeller | CustomerSupport | SellerSupport, [a, b]) => Ok(Some((a, b))),
        (Direct | CustomerSeller, _) => Err(bad("a direct conversation is with exactly one other user")),
        (CustomerSupport | SellerSupport, [_]) => Ok(Some((asker, asker))),
        (CustomerSupport | SellerSupport, _) => Err(bad("a support conversation begins with one other user at most")),
        (Internal, [a, b]) if ask.is_pair() => Ok(Some((a, b))),
        (Internal, _) if ask.name.is_none() => Err(bad("an internal conversation is with one other, or has a name")),
        (Internal, _) => Ok(None),
    }
}

/// A page of a timeline.
pub(super) fn history(history: &v1::History) -> Checked {
    const ONE: Refusal = bad("a page has one position");
    let limit = match history.limit as usize {
        0 => PAGE_MESSAGES_DEFAULT,
        limit => limit.min(PAGE_MESSAGES_MAX),
    };
    let positions = [
        history.before.map(PageFrom::Before),
        history.after.map(PageFrom::After),
        history.before_time_ms.map(PageFrom::BeforeTime),
        history.after_time_ms.map(PageFrom::AfterTime),
    ];
    for value in [history.before, history.after, history.before_time_ms, history.after_time_ms].into_iter().flatten() {
        integer(value)?;
    }
    let mut given = positions.into_iter().flatten();
    let (from, more) = (given.next(), given.next());
    if more.is_some() {
        return Err(ONE);
    }
    let (conversation, from) = match &history.id {
        None => (conversation(&history.conversation)?, from.unwrap_or(PageFrom::Newest)),
        Some(_) if from.is_some() => return Err(ONE),
        Some(id) => {
            let id = message(&history.conversation, id)?;
            (id.conversation, PageFrom::Before(id.seq))
        }
    };
    Ok((conversation, Ask::History(HistoryAsk { from, limit })))
}

/// A message's id in place of a conversation and a number.
fn message(conversation: &str, id: &str) -> Result<MessageId, Refusal> {
    let id = MessageId::parse(id).map_err(|_| Refusal::NOT_FOUND)?;
    if !conversation.is_empty() && conversation != id.conversation.text().as_str() {
        return Err(Refusal::NOT_FOUND);
    }
    Ok(id)
}

/// How far the asker has come.
pub(super) fn mark(mark: &v1::Mark) -> Checked {
    let (conversation, read) = match &mark.id {
        None => (conversation(&mark.conversation)?, mark.read),
        Some(_) if mark.read.is_some() => return Err(bad("a mark is a number or a message's id")),
        Some(id) => {
            let id = message(&mark.conversation, id)?;
            (id.conversation, Some(id.seq))
        }
    };
    let ask = MarkAsk { read: read.map(integer).transpose()?, delivered: mark.delivered.map(integer).transpose()? };
    if ask.read.is_none() && ask.delivered.is_none() {
        return Err(bad("nothing to mark"));
    }
    Ok((conversation, Ask::Mark(ask)))
}

/// A page of members' marks.
pub(super) fn marks(marks: &v1::Marks) -> Checked {
    let limit = match marks.limit as usize {
        0 => MARKS_PAGE_MAX,
        limit => limit.min(MARKS_PAGE_MAX),
    };
    let after = marks.after.as_deref().map(user).transpose()?;
    let (conversation, passed) = match &marks.id {
        None => (conversation(&marks.conversation)?, marks.seq.map(integer).transpose()?),
        Some(_) if marks.seq.is_some() => return Err(bad("a message is a number or an id")),
        Some(id) => {
            let id = message(&marks.conversation, id)?;
            (id.conversation, Some(id.seq))
        }
    };
    Ok((conversation, Ask::Marks(Box::new(MarksAsk { passed, after, limit }))))
}

/// A page of the asker's conversations.
pub(super) fn list(list: &v1::List, tenant: &TenantId, asker: &UserId) -> Checked {
    let limit = match list.limit as usize {
        0 => LIST_DEFAULT,
        limit => limit.min(LIST_MAX),
    };
    let kind = list.kind.map(v1::ConversationKind::try_from).transpose();
    let state = list.state.map(v1::ConversationState::try_from).transpose();
    let filter = ListFilter {
        kind: kind.map_err(|_| bad("unknown kind of conversation"))?,
        name: name(list.name.clone())?.map(|name| name.to_lowercase()),
        state: state.map_err(|_| bad("unknown state"))?,
        archived: list.archived,
    };
    let number = list_number(&filter);
    let after = match &list.cursor {
        None => None,
        Some(text) => match Cursor::parse(text, tenant, asker) {
            Some(cursor) if cursor.list == number => Some(cursor.place),
            Some(_) => return Err(bad("the cursor belongs to a list that was narrowed in another way")),
            None => return Err(bad("the cursor is none that this server gave you")),
        },
    };
    let home = ConversationKey::home(tenant, asker).conversation;
    Ok((home, Ask::Home(HomeAsk::List(Box::new(ListAsk { filter, limit, after, list: number })))))
}

/// What tells one list from another that is narrowed in another way.
fn list_number(filter: &ListFilter) -> u64 {
    let ListFilter { kind, name, state, archived } = filter;
    Cursor::list_number(&format!("{kind:?} {state:?} {archived} {name:?}"))
}

/// A page of members.
pub(super) fn members(members: &v1::Members) -> Checked {
    let limit = match members.limit as usize {
        0 => MEMBERS_PAGE_MAX,
        limit => limit.min(MEMBERS_PAGE_MAX),
    };
    let after = members.after.as_deref().map(user).transpose()?;
    Ok((conversation(&members.conversation)?, Ask::Members { after, limit }))
}

/// Members to add.
pub(super) fn add(add: &v1::Add) -> Checked {
    let members = users(&add.members)?;
    if members.is_empty() {
        return Err(bad("nobody to add"));
    }
    Ok((conversation(&add.conversation)?, Ask::Add(members)))
}

/// A member to put out.
pub(super) fn remove(remove: &v1::Remove) -> Checked {
    let member = user(&remove.member)?;
    Ok((conversation(&remove.conversation)?, Ask::Remove(member)))
}

/// A new name, avatar or context. An empty avatar or context means none.
pub(super) fn update(update: v1::Update) -> Checked {
    let ask = UpdateAsk { name: name(update.name)?, avatar: avatar(update.avatar)?, context: context(update.context)? };
    if ask == UpdateAsk::default() {
        return Err(bad("nothing to update"));
    }
    Ok((conversation(&update.conversation)?, Ask::Update(Box::new(ask))))
}

/// A member to give a higher role.
pub(super) fn promote(promote: &v1::Promote) -> Checked {
    let member = user(&promote.member)?;
    let role = match promote.role.map(v1::Role::try_from) {
        None => v1::Role::Moderator,
        Some(Ok(role @ (v1::Role::Moderator | v1::Role::Admin))) => role,
        Some(Ok(v1::Role::Member)) => return Err(bad("promote makes a moderator or an admin")),
        Some(Err(_)) => return Err(bad("unknown role")),
    };
    Ok((conversation(&promote.conversation)?, Ask::Promote { member, role }))
}

/// A member to give a lower role.
pub(super) fn demote(demote: &v1::Demote) -> Checked {
    let member = user(&demote.member)?;
    let role = match demote.role.map(v1::Role::try_from) {
        None => v1::Role::Member,
        Some(Ok(role @ (v1::Role::Member | v1::Role::Moderator))) => role,
        Some(Ok(v1::Role::Admin)) => return Err(bad("demote makes a moderator or a plain member")),
        Some(Err(_)) => return Err(bad("unknown role")),
    };
    Ok((conversation(&demote.conversation)?, Ask::Demote { member, role }))
}
