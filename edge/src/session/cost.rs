//! What requests cost: the work that they mean for owners and the store, in units of one plain request. So a budget in
//! requests holds however large they are. Estimates, made of what the request itself says.

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::link::Ask;
use switchyard_protocol::limits::{
    BLOCKED_MAX, MARKS_PAGE_MAX, MEMBERS_PAGE_MAX, PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX,
};
use switchyard_protocol::v1::{self, client_frame::Request};

/// Members or conversations that mean as much work as one plain request: the store takes them in batches.
const NAMES_PER_UNIT: usize = 16;

/// Rows of a page that do: they lie side by side.
const ROWS_PER_UNIT: usize = 100;

/// What a list counts, and so does the wish for all conversations: as if it named some hundred, for each is asked about.
const LIST_UNITS: usize = 8;

/// What a change counts that shows in the lists of all members, who are not known here: as a creation with some hundred.
const CHANGE_UNITS: u32 = 8;

/// What a request takes of its budgets.
pub(super) fn of(request: &Request) -> u64 {
    let names = |count: usize| count / NAMES_PER_UNIT;
    let rows = |limit: u32, default: usize, most: usize| {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        (if limit == 0 { default } else { limit.min(most) }) / ROWS_PER_UNIT
    };
    let more = match request {
        Request::Create(create) => names(create.members.len()),
        Request::Add(add) => names(add.members.len()),
        Request::Resume(resume) => names(resume.positions.len()),
        Request::Subscribe(v1::Subscribe { all: true, .. }) | Request::List(_) => LIST_UNITS,
        Request::Unread(v1::Unread { all: true, .. }) => LIST_UNITS,
        Request::Subscribe(subscribe) => names(subscribe.conversations.len()),
        Request::Unsubscribe(unsubscribe) => names(unsubscribe.conversations.len()),
        Request::Watch(watch) => names(watch.users.len()),
        Request::Unread(unread) => names(unread.conversations.len()),
        Request::History(history) => rows(history.limit, PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX),
        Request::Members(members) => rows(members.limit, MEMBERS_PAGE_MAX, MEMBERS_PAGE_MAX),
        Request::Blocks(blocks) => rows(blocks.limit, BLOCKED_MAX, BLOCKED_MAX),
        Request::Marks(marks) => rows(marks.limit, MARKS_PAGE_MAX, MARKS_PAGE_MAX),
        _ => 0,
    };
    1 + more as u64
}

/// What a question counts while it waits among its user's changes; `None` if it changes no list of conversations.
pub fn change_units(ask: &Ask) -> Option<u32> {
    let units = |members: usize| u32::try_from(1 + members / NAMES_PER_UNIT).unwrap_or(u32::MAX);
    match ask {
        Ask::Create(create) => Some(units(create.members.len())),
        Ask::Add(members) => Some(units(members.len())),
        Ask::Home(HomeAsk::Decide(_)) => Some(1),
        Ask::Remove(_) | Ask::Leave | Ask::Update(_) => Some(CHANGE_UNITS),
        Ask::Erase | Ask::Accept | Ask::Decline => Some(CHANGE_UNITS),
        Ask::Promote { .. } | Ask::Demote { .. } | Ask::Close | Ask::Reopen | Ask::Pin { .. } => Some(CHANGE_UNITS),
        _ => None,
    }
}
