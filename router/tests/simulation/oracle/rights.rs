//! The table of rights as the judge knows it: what may be refused, and what may not have been written.

use prost::Message as _;
use switchyard_cluster::link::Annotation;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::{ConversationKind, Role};

use crate::ask::{Asked, What};
use crate::clients::roles_of;
use crate::present::DELETE;
use crate::standing::Rank;
use crate::timeline::{CHANGE, ERASE, Entry, MEMBERS, MESSAGE, Standing, form, user};

/// The table of rights: whether somebody who sees it in this state may not do this.
pub(super) fn forbidden(entry: &Entry, asked: &Asked, members_add: bool) -> bool {
    let role = match entry.rank(&asked.user) {
        Rank::Member(role) => Some(role),
        Rank::Staff => None,
        Rank::Nobody | Rank::Service | Rank::Ends => return false,
    };
    let (direct, above) = (entry.direct(), entry.above(&asked.user));
    let admin = role == Some(Role::Admin);
    match &asked.what {
        What::Add(users) => {
            let customers = entry.internal() && users.iter().any(|user| !roles_of(user).is_staff());
            direct || customers || !(above || members_add && entry.has_roles())
        }
        What::Remove(user) => {
            direct || !above || role == Some(Role::Moderator) && entry.role(user) == Some(Role::Admin)
        }
        What::Leave => direct || entry.desk() && role.is_some() && entry.founded(&asked.user),
        What::Update { .. } => direct || !above,
        What::Promote { .. } | What::Demote { .. } => !entry.has_roles() || !admin,
        What::Close | What::Reopen => entry.has_roles() && !admin,
        What::Erase if entry.desk() => !roles_of(&asked.user).is_admin(),
        What::Erase => direct || !admin,
        What::Accept | What::Decline => !entry.may_be_request() || entry.profile.maker.as_ref() == Some(&asked.user),
        What::Annotate(ask) if ask.change == Annotation::Delete => false,
        What::Send(_) | What::Annotate(_) | What::Pin { .. } => entry.profile.declines(&asked.user),
        _ => false,
    }
}

/// Whether no conversation of this kind may be between these.
pub(super) fn no_pair(asked: &Asked) -> bool {
    let What::Create(create) = &asked.what else { return false };
    let sells = create.members.iter().any(|user| roles_of(user).is_seller());
    create.kind == ConversationKind::CustomerSeller && !sells
}

/// Whether what is asked comes too late: it was accepted.
pub(super) fn settled(entry: &Entry, asked: &Asked) -> bool {
    matches!(asked.what, What::Decline) && entry.may_be_request() && entry.profile.standing == Standing::Open
}

/// Whether what is asked would leave this group without an admin.
pub(super) fn headless(entry: &Entry, asked: &Asked) -> bool {
    let What::Demote { member, role } = &asked.what else { return false };
    let admins = entry.members.values().filter(|(role, _)| *role == Role::Admin).count();
    let by_admin = entry.has_roles() && entry.role(&asked.user) == Some(Role::Admin);
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
    let rank = before.rank(sender);
    let admin = before.has_roles() && rank == Rank::Member(Role::Admin);
    if before.profile.declines(sender) && !matches!(entry.row.kind, CHANGE | DELETE) {
        return Some("it is from somebody whose request was declined");
    }
    let may = match entry.row.kind {
        MESSAGE.. => entry.is_system() == (rank == Rank::Service) && rank != Rank::Nobody && rank != Rank::Ends,
        CHANGE | ERASE => rank != Rank::Nobody && rank != Rank::Service,
        _ => before.shows(sender),
    };
    if !may {
        return Some("from somebody who may not write such a thing here");
    }
    match entry.row.kind {
        MEMBERS => {
            let event = form::Members::decode(body()).expect("a membership row");
            if before.profile.closed && (!event.added.is_empty() || event.removed != [sender.as_str()]) {
                return Some("members of a closed conversation changed");
            }
            let changes_roles = event.added.is_empty() && event.removed.is_empty();
            let others = event.added.iter().any(|member| !roles_of(&user(&member.user)).is_staff());
            match &event {
                _ if before.direct() => Some("it has its two members"),
                _ if changes_roles && !admin => Some("no right to change roles"),
                _ if before.internal() && others => Some("a customer came among staff"),
                _ if before.desk() && !before.above(sender) && event.removed != [sender.as_str()] => {
                    Some("no right to say who is a member")
                }
                _ => None,
            }
        }
        ERASE => {
            let administers = rank == Rank::Ends || before.desk() && roles_of(sender).is_admin();
            (before.direct() || !admin && !administers).then_some("no right to erase")
        }
        CHANGE if let Some(accepted) = form::Change::decode(body()).expect("a change row").accepted => {
            let own = before.profile.maker.as_ref() == Some(sender);
            let standing = before.profile.standing;
            let waits = standing == Standing::Pending || accepted && standing == Standing::Declined;
            (own || !waits || accepted && before.profile.closed).then_some("nothing was to be answered by them")
        }
        CHANGE => match form::Change::decode(body()).expect("a change row").closed {
            Some(closed) if closed == before.profile.closed => Some("closed or open already"),
            Some(_) if before.has_roles() && !admin && rank != Rank::Ends => Some("no right to close or reopen"),
            None if rank == Rank::Ends => Some("no right to more than to end it"),
            None if before.profile.closed => Some("a closed conversation changed"),
            None if !before.direct() && !before.above(sender) => Some("no right to change it"),
            _ => None,
        },
        _ if before.profile.closed => Some("a message in a closed conversation"),
        _ => None,
    }
}
