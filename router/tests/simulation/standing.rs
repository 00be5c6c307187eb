//! What everybody is in a conversation, as the judge knows it: by the rows and by the roles that the clients of a run have.

use bytes::Bytes;
use switchyard_cluster::link::Ask;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{ConversationKind, Role};

use crate::clients::{ROLES, roles_of, tenant};
use crate::disk::Disk;
use crate::timeline::{ERASE, Entry, user};

/// What somebody is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rank {
    Nobody,
    /// Another service, which sends, and asks how far a conversation goes.
    Service,
    /// Ends a group that is not theirs.
    Ends,
    Member(Role),
    /// Staff in a support conversation.
    Staff,
}

const DESKS: [i32; 2] = [ConversationKind::CustomerSupport as i32, ConversationKind::SellerSupport as i32];
const INTERNAL: i32 = ConversationKind::Internal as i32;

impl Entry {
    /// Whether it is a message of which it counts whether it was read.
    pub(crate) fn counts(&self) -> bool {
        self.is_message() && !self.is_system()
    }

    /// Whether this user is a member since it began.
    pub(crate) fn founded(&self, user: &UserId) -> bool {
        self.members.get(user).is_some_and(|(_, joined)| *joined == 0)
    }

    /// Whether one of two may have to be asked for it.
    pub(crate) fn may_be_request(&self) -> bool {
        self.profile.kind == ConversationKind::Direct as i32
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
        if self.row.kind == ERASE {
            return Rank::Nobody;
        }
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
            Rank::Service => matches!(ask, Ask::Send(_) | Ask::Get),
            Rank::Ends => matches!(ask, Ask::Close | Ask::Reopen | Ask::Erase),
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

/// Writes what everybody is in the tenant, as edges have told it before the run began.
pub(crate) fn tell_roles(disk: &Disk) {
    for (name, roles) in ROLES {
        let (user, tenant) = (user(name), tenant("t"));
        let value = Bytes::from(vec![roles.bits()]);
        disk.inner().marks.insert((ConversationKey::home(&tenant, &user), 4, user), (1, value));
    }
}
