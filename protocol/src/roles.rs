//! What a user is in the whole tenant, by the roles that their token names. What a member is in one conversation is another
//! thing: [`v1::Role`](crate::v1::Role).

use crate::v1::{ConversationKind, Role};

/// Whether a member of this role counts as one only as long as their token says that they are staff: agents in a support
/// conversation, and everybody in an internal one.
pub fn needs_staff(kind: ConversationKind, role: Role) -> bool {
    match kind {
        ConversationKind::Internal => true,
        ConversationKind::CustomerSupport | ConversationKind::SellerSupport => role == Role::Moderator,
        ConversationKind::Direct | ConversationKind::Group | ConversationKind::CustomerSeller => false,
    }
}

/// A set of roles in one byte. The bits are for ever: they are stored, and travel with each request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Roles(u8);

impl Roles {
    /// No role that is known here, which is the same as a customer's.
    pub const NONE: Self = Self(0);
    /// A customer.
    pub const USER: Self = Self(1);
    /// Somebody who sells.
    pub const SELLER: Self = Self(1 << 1);
    /// Staff: an agent of the support.
    pub const SUPPORT: Self = Self(1 << 2);
    /// Staff: who leads them.
    pub const MANAGER: Self = Self(1 << 3);
    /// Staff: who runs it all.
    pub const ADMIN: Self = Self(1 << 4);
    /// No person but another service, which posts SYSTEM messages and nothing else.
    pub const SERVICE: Self = Self(1 << 5);

    const NAMES: [(&'static str, Self); 6] = [
        ("USER", Self::USER),
        ("SELLER", Self::SELLER),
        ("SUPPORT", Self::SUPPORT),
        ("MANAGER", Self::MANAGER),
        ("ADMIN", Self::ADMIN),
        ("SERVICE", Self::SERVICE),
    ];

    const STAFF: Self = Self(Self::SUPPORT.0 | Self::MANAGER.0 | Self::ADMIN.0);

    /// From the names in a token, in capital letters; unknown ones do not count.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let bit = |name: &str| Self::NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, role)| role.0);
        Self(names.into_iter().map(bit).fold(0, |all, bit| all | bit))
    }

    /// As it is stored.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// As it was stored; bits of a later version stay and mean nothing here.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// Whether it is another service. What else its token says does not count.
    pub const fn is_service(self) -> bool {
        self.any(Self::SERVICE)
    }

    /// Whether it is support staff of any rank.
    pub const fn is_staff(self) -> bool {
        self.any(Self::STAFF) && !self.is_service()
    }

    /// Whether it is an administrator.
    pub const fn is_admin(self) -> bool {
        self.any(Self::ADMIN) && !self.is_service()
    }

    /// Whether it is somebody who sells.
    pub const fn is_seller(self) -> bool {
        self.any(Self::SELLER) && !self.is_service()
    }

    /// Whether it is a customer: whose token says USER, or nothing that is known.
    pub const fn is_customer(self) -> bool {
        !self.is_service() && (self.any(Self::USER) || !self.is_seller() && !self.is_staff())
    }

    /// Whether it is more than a customer: then others must be able to know of it.
    pub const fn is_beyond_user(self) -> bool {
        self.0 & !Self::USER.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_are_written_and_the_rest_is_skipped() {
        let roles = Roles::from_names(["SELLER", "support", "read", "MANAGER", "SELLER"]);
        assert_eq!(roles.bits(), 0b1010);
        assert!(roles.is_seller() && roles.is_staff() && !roles.is_admin() && !roles.is_customer());
        assert_eq!(Roles::from_names(["user", ""]), Roles::NONE);
        assert_eq!(Roles::from_bits(roles.bits()), roles);
    }

    #[test]
    fn who_is_nothing_else_is_a_customer() {
        assert!(Roles::NONE.is_customer() && Roles::USER.is_customer());
        assert!(!Roles::NONE.is_beyond_user() && !Roles::USER.is_beyond_user());
        for role in ["SELLER", "SUPPORT", "MANAGER", "ADMIN"] {
            assert!(!Roles::from_names([role]).is_customer(), "{role}");
            assert!(Roles::from_names([role, "USER"]).is_customer(), "{role}");
        }
    }

    #[test]
    fn a_service_is_nothing_else() {
        let service = Roles::from_names(["SERVICE", "ADMIN", "SELLER", "USER"]);
        assert!(service.is_service() && service.is_beyond_user());
        assert!(!service.is_staff() && !service.is_admin() && !service.is_seller() && !service.is_customer());
    }
}
