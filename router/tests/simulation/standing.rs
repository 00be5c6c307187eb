//! What everybody is in a conversation, as the judge knows it: by the rows and by the roles that the clients of a run have.

use switchyard_cluster::link::Ask;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::{ConversationKind, Role};

use crate::clients::roles_of;
use crate::timeline::Entry;

/// What somebody is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rank {
    Nobody,
    /// Another service, which sends.
    Service,
    /// Ends a group that is not theirs.
    Ends,
    Member(Role),
    /// Staff in a support conversation.
    Staff,
}

const CUSTOMER_SELLER: i32 = ConversationKind::CustomerSeller as i32;
const DESKS: [i32; 2] = [ConversationKind::CustomerSupport as i32, ConversationKind::SellerSupport as i32];
const INTERNAL: i32 = ConversationKind::Internal as i32;

impl Entry {
    /// Whether it has two members for good. No run has an internal one of two.
    pub(crate) fn direct(&self) -> bool {
        self.profile.kind == ConversationKind::Direct as i32 || self.profile.kind == CUSTOMER_SELLER
    }

    /// Whether it is a customer's or seller's with the support.
    pub(crate) fn desk(&self) -> bool {
        DESKS.contains(&self.profile.kind)
    }

    /// Whether it is staff's alone.
    pub(crate) fn internal(&self) -> bool {
        self.profile.kind == INTERNAL
    }

    /// Whether members have roles that others gave them.
    pub(crate) fn has_roles(&self) -> bool {
        !self.direct() && !self.desk()
    }

    pub(crate) fn rank(&self, user: &UserId) -> Rank {
        let roles = roles_of(user);
        let role = self.role(user);
        if roles.is_service() {
            return Rank::Service;
        }
        if self.desk() && roles.is_staff() {
            return Rank::Staff;
        }
        match role {
            Some(_) if self.internal() && !roles.is_staff() => Rank::Nobody,
            Some(Role::Moderator) if self.desk() => Rank::Nobody,
            Some(role) => Rank::Member(role),
            None if roles.is_admin() && self.profile.kind == ConversationKind::Group as i32 => Rank::Ends,
            None => Rank::Nobody,
        }
    }

    /// Whether this user may read it.
    pub(crate) fn shows(&self, user: &UserId) -> bool {
        matches!(self.rank(user), Rank::Member(_) | Rank::Staff)
    }

    /// Whether what is asked may be answered with more than that there is nothing.
    pub(crate) fn knows(&self, user: &UserId, ask: &Ask) -> bool {
        match self.rank(user) {
            Rank::Nobody => false,
            Rank::Service => matches!(ask, Ask::Send(_)),
            Rank::Ends => matches!(ask, Ask::Close | Ask::Reopen),
            Rank::Member(_) | Rank::Staff => true,
        }
    }

    /// Whether this user has the rights over others that a moderator has in a group, or an admin.
    pub(crate) fn above(&self, user: &UserId) -> bool {
        match self.rank(user) {
            Rank::Staff => true,
            Rank::Member(role) => self.has_roles() && role >= Role::Moderator,
            _ => false,
        }
    }
}
