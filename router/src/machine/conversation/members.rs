//! Who is in a conversation. Who may do what there is in `rights/table.rs`.

use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::Role;

use crate::machine::activity::progress::Progress;
use crate::stored::{FEW_MAX, Few, FewMember, MemberRecord, StoredMember};

/// A member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    pub(crate) user: UserId,
    pub(crate) role: Role,
    /// The number of the event that made them one; 0 for the founders.
    pub(crate) joined: u64,
    /// How far they have read.
    pub(crate) progress: Progress,
}

impl Member {
    /// What is stored of them.
    pub(crate) fn record(&self) -> MemberRecord {
        MemberRecord { role: self.role.into(), joined: self.joined }
    }
}

/// All members, sorted by user. A pair costs two entries, and a page of members is a slice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(Vec<Member>);

impl Members {
    pub(crate) fn get(&self, user: &UserId) -> Option<&Member> {
        self.place(user).map(|at| &self.0[at])
    }

    /// Where a member stands in the list, until anybody comes or goes.
    pub(crate) fn place(&self, user: &UserId) -> Option<usize> {
        // Most conversations have two members: comparing both beats a binary search.
        if self.0.len() <= 4 {
            return self.0.iter().position(|member| member.user == *user);
        }
        self.position(user).ok()
    }

    pub(crate) fn at(&self, place: usize) -> Option<&Member> {
        self.0.get(place)
    }

    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut Member> {
        self.0.get_mut(place)
    }

    pub(crate) fn get_mut(&mut self, user: &UserId) -> Option<&mut Member> {
        self.place(user).and_then(|at| self.0.get_mut(at))
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Member] {
        &mut self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them as a conversation's record names them, if they are few.
    pub(crate) fn few(&self) -> Option<Few> {
        let member = |member: &Member| FewMember { user: member.user.to_string(), record: member.record() };
        (self.0.len() <= FEW_MAX).then(|| Few { members: self.0.iter().map(member).collect() })
    }

    /// Members with ids above `after`, in order.
    pub(crate) fn after(&self, after: Option<&UserId>) -> &[Member] {
        let start = match after {
            None => 0,
            Some(user) => self.position(user).map_or_else(|at| at, |at| at + 1),
        };
        &self.0[start..]
    }

    fn position(&self, user: &UserId) -> Result<usize, usize> {
        self.0.binary_search_by(|member| member.user.cmp(user))
    }

    /// Keeps this copy of a member's id in place of its own, which says the same: whoever is connected has one, and need not
    /// have another in each conversation.
    pub(crate) fn share(&mut self, user: &UserId) {
        if let Some(member) = self.get_mut(user) {
            member.user = user.clone();
        }
    }

    /// Puts a member in, or in place of what was known of them.
    pub(crate) fn put(&mut self, member: Member) {
        match self.position(&member.user) {
            Ok(at) => self.0[at] = member,
            Err(at) => {
                if self.0.len() == self.0.capacity() && self.0.len() < 8 {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, member);
            }
        }
    }

    pub(crate) fn remove(&mut self, user: &UserId) -> Option<Member> {
        self.position(user).ok().map(|at| self.0.remove(at))
    }

    /// Gives a member another role.
    pub(crate) fn set_role(&mut self, user: &UserId, role: Role) {
        if let Ok(at) = self.position(user) {
            self.0[at].role = role;
        }
    }

    /// Who becomes admin when `leaving` goes: nobody while another admin stays, else the oldest moderator, else the
    /// oldest member.
    pub(crate) fn successor(&self, leaving: &UserId) -> Option<StoredMember> {
        let rest = || self.0.iter().filter(|member| member.user != *leaving);
        let was_admin = self.get(leaving).is_some_and(|member| member.role == Role::Admin);
        if !was_admin || rest().any(|member| member.role == Role::Admin) {
            return None;
        }
        let oldest = |role| rest().filter(move |member| member.role == role).min_by_key(|member| member.joined);
        let heir = oldest(Role::Moderator).or_else(|| oldest(Role::Member))?;
        Some(StoredMember { user: heir.user.to_string(), role: Role::Admin.into() })
    }

    /// Whether this member is an admin and nobody else is.
    pub(crate) fn is_last_admin(&self, user: &UserId) -> bool {
        let admin = |member: &&Member| member.role == Role::Admin;
        self.get(user).as_ref().is_some_and(admin) && self.0.iter().filter(admin).count() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(list: &[(&str, Role, u64)]) -> Members {
        let mut members = Members::default();
        for &(user, role, joined) in list {
            let progress = Progress::joined(joined, 0);
            members.put(Member { user: UserId::new(user).expect("valid"), role, joined, progress });
        }
        members
    }

    fn heir(members: &Members, leaving: &str) -> Option<String> {
        members.successor(&UserId::new(leaving).expect("valid")).map(|member| member.user)
    }

    #[test]
    fn the_last_admins_leaving_promotes_the_oldest_moderator_else_the_oldest_member() {
        let group = members(&[
            ("a", Role::Admin, 0),
            ("b", Role::Member, 0),
            ("c", Role::Moderator, 9),
            ("d", Role::Moderator, 4),
        ]);
        assert_eq!(heir(&group, "a").as_deref(), Some("d"));
        assert_eq!(heir(&group, "b"), None);
        let plain = members(&[("a", Role::Admin, 0), ("b", Role::Member, 7), ("c", Role::Member, 3)]);
        assert_eq!(heir(&plain, "a").as_deref(), Some("c"));
        let two_admins = members(&[("a", Role::Admin, 0), ("b", Role::Admin, 7)]);
        assert_eq!(heir(&two_admins, "a"), None);
        assert_eq!(heir(&members(&[("a", Role::Admin, 0)]), "a"), None);
    }

    #[test]
    fn pages_go_on_after_a_user_who_has_left() {
        let group = members(&[("a", Role::Admin, 0), ("c", Role::Member, 0), ("e", Role::Member, 0)]);
        let after = |user: &str| group.after(Some(&UserId::new(user).expect("valid"))).len();
        assert_eq!((group.after(None).len(), after("a"), after("b"), after("e")), (3, 2, 2, 0));
    }
}
