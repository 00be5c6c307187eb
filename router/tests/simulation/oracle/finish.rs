//! What has to hold once everything is quiet.

use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::Role;

use super::Oracle;
use crate::timeline::{form, touched};

impl Oracle {
    /// Nothing is under way: everything was answered, and streams have everything.
    pub(crate) fn quiet(&mut self) {
        self.marks.quiet();
        let open: Vec<_> = self.asked.values().cloned().collect();
        for asked in open {
            self.violate(format!("never answered: {asked:?}"));
        }
        let streams: Vec<_> = self.streams.iter().map(|(to, stream)| (to.clone(), stream.last)).collect();
        for ((edge, key), last) in streams {
            let head = self.head(&key);
            if last.is_some() && last != head {
                self.violate(format!("{edge:?} has {last:?} of {}, which has {head:?}", key.conversation));
            }
        }
    }

    /// Every conversation was loaded since the last crash: the listings say what the log says.
    pub(crate) fn listings(&mut self, keys: &[ConversationKey]) {
        for key in keys {
            self.sync(key);
            let Some(timeline) = self.timelines.get(key) else { continue };
            let Some(entry) = timeline.entries.last() else { continue };
            let inner = self.disk.inner();
            let of_key = inner.members.iter().filter(|((conversation, _), _)| conversation == key);
            let listed: Vec<(String, i32, u64)> = of_key
                .filter_map(|((_, user), (_, value))| {
                    let value =
                        <form::MemberRecord as prost::Message>::decode(value.clone()?).expect("a member's record");
                    Some((user.to_string(), value.role, value.joined))
                })
                .collect();
            let is: Vec<(String, i32, u64)> =
                entry.members.iter().map(|(user, (role, at))| (user.to_string(), *role as i32, *at)).collect();
            drop(inner);
            if listed != is {
                self.violate(format!("{} lists {listed:?} instead of {is:?}", key.conversation));
            }
        }
    }

    /// A record says that the members are written as far as it reaches.
    pub(crate) fn records(&mut self) {
        let mut wrong = Vec::new();
        let keys: Vec<_> = self.timelines.keys().cloned().collect();
        for key in keys {
            self.sync(&key);
            let inner = self.disk.inner();
            let Some((applied, _)) = inner.records.get(&key) else { continue };
            let applied = *applied;
            drop(inner);
            wrong.extend(self.cleared(&key).map(|problem| format!("{}: {problem}", key.conversation)));
            wrong.extend(self.erased(&key, applied).map(|problem| format!("{}: {problem}", key.conversation)));
            let inner = self.disk.inner();
            let given = self.given.contains_key(&key);
            for (seq, entry) in self.timelines[&key].entries.iter().enumerate().take(applied as usize + 1) {
                for user in touched(&entry.row) {
                    let at = inner.members.get(&(key.clone(), user.clone())).map(|(at, _)| *at);
                    if at < Some(seq as u64) && !given {
                        wrong.push(format!(
                            "the record of {} reaches {applied}, but {user} is known as of {at:?} and not {seq}",
                            key.conversation
                        ));
                    }
                }
            }
        }
        self.violations.extend(wrong);
    }

    /// Whether a user is a member as far as the rows say that were looked at.
    pub(crate) fn is_member(&self, key: &ConversationKey, user: &UserId) -> bool {
        let last = self.timelines.get(key).and_then(|timeline| timeline.entries.last());
        last.is_some_and(|entry| entry.role(user).is_some())
    }

    /// Whether a user may read it as far as the rows say that were looked at.
    pub(crate) fn shows(&self, key: &ConversationKey, user: &UserId) -> bool {
        let last = self.timelines.get(key).and_then(|timeline| timeline.entries.last());
        last.is_some_and(|entry| entry.shows(user))
    }

    /// Whether it is closed as far as the rows say that were looked at.
    pub(crate) fn is_closed(&self, key: &ConversationKey) -> bool {
        let last = self.timelines.get(key).and_then(|timeline| timeline.entries.last());
        last.is_some_and(|entry| entry.profile.closed)
    }

    /// The users who are members at the end, with their roles.
    pub(crate) fn members(&self, key: &ConversationKey) -> Vec<(UserId, Role)> {
        let entry = self.timelines.get(key).and_then(|timeline| timeline.entries.last());
        entry.map_or_else(Vec::new, |entry| {
            entry.members.iter().map(|(user, (role, _))| (user.clone(), *role)).collect()
        })
    }
}
