//! The table of rights as the judge knows it: what may be refused, and what may not have been written.

use prost::Message as _;
use switchyard_cluster::link::Annotation;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::Role;

use crate::ask::{Asked, What};
use crate::present::DELETE;
use crate::timeline::{CHANGE, ERASE, Entry, MEMBERS, Standing, form};

/// The table of rights: whether a member in this state may not do this.
pub(super) fn forbidden(entry: &Entry, asked: &Asked, members_add: bool) -> bool {
    let Some(role) = entry.role(&asked.user) else { return false };
    let direct = entry.direct();
    match &asked.what {
        What::Add(_) => direct || (role == Role::Member && !members_add),
        What::Remove(user) => {
            direct || role == Role::Member || (role == Role::Moderator && entry.role(user) == Some(Role::Admin))
        }
        What::Leave => direct,
        What::Update { .. } => direct || role == Role::Member,
        What::Promote { .. } | What::Demote { .. } => direct || role != Role::Admin,
        What::Close | What::Reopen => !direct && role != Role::Admin,
        What::Erase => direct || role != Role::Admin,
        What::Accept | What::Decline => !direct || entry.profile.maker.as_ref() == Some(&asked.user),
        What::Annotate(ask) if ask.change == Annotation::Delete => false,
        What::Send(_) | What::Annotate(_) | What::Pin { .. } => entry.profile.declines(&asked.user),
        _ => false,
    }
}

/// Whether what is asked comes too late: it was accepted.
pub(super) fn settled(entry: &Entry, asked: &Asked) -> bool {
    matches!(asked.what, What::Decline) && entry.direct() && entry.profile.standing == Standing::Open
}

/// Whether what is asked would leave this group without an admin.
pub(super) fn headless(entry: &Entry, asked: &Asked) -> bool {
    let What::Demote { member, role } = &asked.what else { return false };
    let admins = entry.members.values().filter(|(role, _)| *role == Role::Admin).count();
    let by_admin = !entry.direct() && entry.role(&asked.user) == Some(Role::Admin);
    by_admin && entry.role(member) == Some(Role::Admin) && *role < Role::Admin && admins == 1
}

/// Whether a closed conversation does not take this.
pub(super) fn writes(what: &What, asker: &UserId) -> bool {
    match what {
        What::Send(_) | What::Add(_) | What::Update { .. } | What::Promote { .. } | What::Demote { .. } => true,
        What::Annotate(_) | What::Pin { .. } | What::Accept => true,
        What::Remove(user) => user != asker,
        _ => false,
    }
}

/// What is wrong with a row that follows this state: it was closed, or the sender had no right to change a role or to
/// close and reopen.
pub(super) fn wrong(before: &Entry, entry: &Entry, sender: &UserId) -> Option<&'static str> {
    let body = || entry.row.body.clone();
    let admin = before.role(sender) == Some(Role::Admin);
    if before.profile.declines(sender) && !matches!(entry.row.kind, CHANGE | DELETE) {
        return Some("it is from somebody whose request was declined");
    }
    match entry.row.kind {
        MEMBERS => {
            let event = form::Members::decode(body()).expect("a membership row");
            if before.profile.closed && (!event.added.is_empty() || event.removed != [sender.as_str()]) {
                return Some("members of a closed conversation changed");
            }
            let changes_roles = event.added.is_empty() && event.removed.is_empty();
            (changes_roles && (!admin || before.direct())).then_some("no right to change roles")
        }
        ERASE => (!admin || before.direct()).then_some("no right to erase"),
        CHANGE if let Some(accepted) = form::Change::decode(body()).expect("a change row").accepted => {
            let own = before.profile.maker.as_ref() == Some(sender);
            let standing = before.profile.standing;
            let waits = standing == Standing::Pending || accepted && standing == Standing::Declined;
            (own || !waits || accepted && before.profile.closed).then_some("nothing was to be answered by them")
        }
        CHANGE => match form::Change::decode(body()).expect("a change row").closed {
            Some(closed) if closed == before.profile.closed => Some("closed or open already"),
            Some(_) if !admin && !before.direct() => Some("no right to close or reopen"),
            None if before.profile.closed => Some("a closed conversation changed"),
            None if !before.direct() && before.role(sender) == Some(Role::Member) => Some("no right to change it"),
            _ => None,
        },
        _ if before.profile.closed => Some("a message in a closed conversation"),
        _ => None,
    }
}
