//! Kinds of conversations: what shape each has, who may be in it with whom, and as what.

use switchyard_cluster::link::{CreateAsk, Refusal};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::UserId;
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{ConversationKind, Role};

use crate::machine::conversation::Profile;
use crate::stored::{Founding, StoredMember};

/// What rules a conversation follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::machine) enum Shape {
    /// Two for good, neither of whom is more than the other.
    Pair,
    /// Members with roles: the creator is admin.
    Group,
    /// Whose matter it is, who are plain members, and staff, who are moderators while they are members and have their rights
    /// from their tokens.
    Desk,
}

const NOT_WITH_EACH_OTHER: Refusal =
    Refusal::new(ErrorCode::Forbidden, "conversations of this kind are not between people of these roles");
pub(in crate::machine) const STAFF_ALONE: Refusal =
    Refusal::new(ErrorCode::Forbidden, "only staff are members of an internal conversation");
const NOBODYS_MATTER: Refusal =
    Refusal::new(ErrorCode::BadRequest, "staff name whose matter a support conversation is");

impl Profile {
    pub(in crate::machine) fn shape(&self) -> Shape {
        match self.kind {
            ConversationKind::Direct | ConversationKind::CustomerSeller => Shape::Pair,
            ConversationKind::Internal if self.pair => Shape::Pair,
            ConversationKind::Internal | ConversationKind::Group => Shape::Group,
            ConversationKind::CustomerSupport | ConversationKind::SellerSupport => Shape::Desk,
        }
    }

    /// What is said to be the role of whoever is no member and sees the conversation: staff.
    pub(in crate::machine) fn visitors_role(&self) -> Role {
        if self.shape() == Shape::Desk { Role::Moderator } else { Role::Member }
    }

    /// Whether it depends on a user's roles whether they may be a member, and as what.
    pub(in crate::machine) fn asks_for_roles(&self) -> bool {
        self.shape() == Shape::Desk || self.kind == ConversationKind::Internal
    }

    /// As what users of these roles become members here, who are not among its founders.
    pub(in crate::machine) fn admit(&self, users: Vec<(UserId, Roles)>) -> Result<Vec<(UserId, Role)>, Refusal> {
        let admit = |(user, roles): (UserId, Roles)| match self.kind {
            ConversationKind::Internal if !roles.is_staff() => Err(STAFF_ALONE),
            _ => Ok((user, if self.shape() == Shape::Desk { desk_role(roles) } else { Role::Member })),
        };
        users.into_iter().map(admit).collect()
    }
}

fn desk_role(roles: Roles) -> Role {
    if roles.is_staff() { Role::Moderator } else { Role::Member }
}

/// Whether what is asked for is between two for good.
pub(in crate::machine) fn founds_pair(ask: &CreateAsk) -> bool {
    match ask.kind {
        ConversationKind::Direct | ConversationKind::CustomerSeller => true,
        ConversationKind::Internal => ask.is_pair(),
        ConversationKind::Group | ConversationKind::CustomerSupport | ConversationKind::SellerSupport => false,
    }
}

/// Whether it depends on the members' roles whether such a conversation may be founded.
pub(in crate::machine) fn founding_asks_for_roles(kind: ConversationKind) -> bool {
    !matches!(kind, ConversationKind::Direct | ConversationKind::Group)
}

/// How a conversation begins that this user of these roles creates, with others of those roles.
pub(in crate::machine) fn found(
    ask: &CreateAsk,
    asker: &UserId,
    roles: Roles,
    others: &[(UserId, Roles)],
) -> Result<Founding, Refusal> {
    let other = others.first().map(|(_, roles)| *roles);
    let pair = ask.kind == ConversationKind::Internal && founds_pair(ask);
    // Who is what: of the asker first, then of the others.
    let as_what: Vec<Role> = match ask.kind {
        ConversationKind::Direct => vec![Role::Member; 2],
        ConversationKind::Group => first_is_admin(others.len()),
        ConversationKind::CustomerSeller => match other {
            Some(other) if roles.is_customer() && other.is_seller() => vec![Role::Member; 2],
            Some(other) if roles.is_seller() && other.is_customer() => vec![Role::Member; 2],
            _ => return Err(NOT_WITH_EACH_OTHER),
        },
        ConversationKind::CustomerSupport => with_desk(Roles::is_customer, roles, other)?,
        ConversationKind::SellerSupport => with_desk(Roles::is_seller, roles, other)?,
        ConversationKind::Internal => {
            if !roles.is_staff() || others.iter().any(|(_, roles)| !roles.is_staff()) {
                return Err(STAFF_ALONE);
            }
            if pair { vec![Role::Member; 2] } else { first_is_admin(others.len()) }
        }
    };
    let users = std::iter::once(asker).chain(others.iter().map(|(user, _)| user));
    let members = users.zip(as_what).map(|(user, role)| StoredMember { user: user.to_string(), role: role.into() });
    let mut members: Vec<StoredMember> = members.collect();
    members.sort_by(|a, b| a.user.cmp(&b.user));
    Ok(Founding {
        kind: ask.kind.into(),
        members,
        name: ask.name.clone(),
        avatar: ask.avatar.clone(),
        context: ask.context.clone(),
        pair,
        // Whether it is a request is the operator's to say.
        requested: false,
    })
}

fn first_is_admin(others: usize) -> Vec<Role> {
    std::iter::once(Role::Admin).chain(std::iter::repeat_n(Role::Member, others)).collect()
}

/// Of a support conversation: whose matter it can be, what the asker is, and the other if one is named.
fn with_desk(theirs: fn(Roles) -> bool, roles: Roles, other: Option<Roles>) -> Result<Vec<Role>, Refusal> {
    match other {
        None if theirs(roles) => Ok(vec![Role::Member]),
        None if roles.is_staff() => Err(NOBODYS_MATTER),
        Some(other) if roles.is_staff() && theirs(other) => Ok(vec![Role::Moderator, Role::Member]),
        Some(other) if theirs(roles) && other.is_staff() => Ok(vec![Role::Member, Role::Moderator]),
        _ => Err(NOT_WITH_EACH_OTHER),
    }
}
