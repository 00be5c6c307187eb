//! The tables: which there are, of which class each is, and how one is made. What each is for and how large a partition of it
//! gets is told in `tables.md`.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// The schema that this binary makes, and the earliest that it works with. Steps only add tables and columns, so binaries of
/// earlier schemas may go on with it: see [`USERS_MIN`]. The second one has tables for the further parts of homes'
/// lists, and records that say under which name members are listed; in the third one the first part says which is the last,
/// and tables are read elsewhere when a copy does not answer.
pub(super) const VERSION: u32 = 3;

/// How a table is read of which a copy does not answer: so soon another one is asked. Nodes would rather wait as long as one
/// of a hundred reads takes: once one of them has stood still for some seconds, that is some seconds.
const READ_ELSEWHERE: &str = "speculative_retry = '100ms'";

/// Binaries that make a schema below this one cannot work with ours. To be raised with whatever changes what is stored in a row,
/// record, value or key: who does not know a field loses it when it writes again; and with a table beside one that there was: who does not know
/// it does not see what lies there. It is looked at when a broker starts, so such a step is made when those before have ended.
pub(super) const USERS_MIN: u32 = 3;

/// Who may write a table, and with which timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// By a conversation's owner alone; `epoch << 20 | overwrites`.
    Log,
    /// Follows from committed events: the event's number.
    Projection,
    /// The highest counts: the mark.
    Mark,
    /// Only within transactions, which have timestamps of their own.
    Transaction,
}

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    Log,
    Bounds,
    Conversation,
    Member,
    ConversationOfUser,
    ConversationOfUserPart,
    Overlay,
    Reactor,
    Decision,
    DecisionPart,
    Mark,
    Router,
    ShardOwner,
    Counter,
}

impl Table {
    /// All of them, in the order in which they are made.
    pub(super) const ALL: &[Self] = &[
        Self::Log,
        Self::Bounds,
        Self::Conversation,
        Self::Member,
        Self::ConversationOfUser,
        Self::ConversationOfUserPart,
        Self::Overlay,
        Self::Reactor,
        Self::Decision,
        Self::DecisionPart,
        Self::Mark,
        Self::Router,
        Self::ShardOwner,
        Self::Counter,
    ];

    /// As statements name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Bounds => "bounds",
            Self::Conversation => "conversation",
            Self::Member => "member",
            Self::ConversationOfUser => "conversation_of_user",
            Self::ConversationOfUserPart => "conversation_of_user_part",
            Self::Overlay => "overlay",
            Self::Reactor => "reactor",
            Self::Decision => "decision",
            Self::DecisionPart => "decision_part",
            Self::Mark => "mark",
            Self::Router => "router",
            Self::ShardOwner => "shard_owner",
            Self::Counter => "counters",
        }
    }

    pub(super) fn class(self) -> Class {
        match self {
            Self::Log => Class::Log,
            Self::Conversation
            | Self::Member
            | Self::ConversationOfUser
            | Self::ConversationOfUserPart
            | Self::Overlay
            | Self::Reactor
            | Self::Decision
            | Self::DecisionPart => Class::Projection,
            Self::Bounds | Self::Mark => Class::Mark,
            Self::Router | Self::ShardOwner | Self::Counter => Class::Transaction,
        }
    }

    /// Columns and key.
    pub(super) fn columns(self) -> &'static str {
        match self {
            Self::Log => {
                "tenant text, conversation blob, bucket bigint, seq bigint, row blob, \
                 PRIMARY KEY ((tenant, conversation, bucket), seq)"
            }
            Self::Bounds => {
                "tenant text, conversation blob, kind tinyint, number bigint, \
                 PRIMARY KEY ((tenant, conversation), kind)"
            }
            Self::Conversation => "tenant text, conversation blob, value blob, PRIMARY KEY ((tenant, conversation))",
            Self::Member => {
                "tenant text, conversation blob, user text, value blob, \
                 PRIMARY KEY ((tenant, conversation), user)"
            }
            Self::ConversationOfUser => {
                "tenant text, user text, conversation blob, value blob, \
                 PRIMARY KEY ((tenant, user), conversation)"
            }
            Self::ConversationOfUserPart => {
                "tenant text, user text, part bigint, conversation blob, value blob, \
                 PRIMARY KEY ((tenant, user, part), conversation)"
            }
            Self::Overlay => {
                "tenant text, conversation blob, bucket bigint, target bigint, value blob, \
                 PRIMARY KEY ((tenant, conversation, bucket), target)"
            }
            Self::Reactor => {
                "tenant text, conversation blob, bucket bigint, user text, target bigint, value blob, \
                 PRIMARY KEY ((tenant, conversation, bucket), user, target)"
            }
            Self::Decision => {
                "tenant text, home blob, kind smallint, about blob, value blob, \
                 PRIMARY KEY ((tenant, home), kind, about)"
            }
            Self::DecisionPart => {
                "tenant text, home blob, part bigint, kind smallint, about blob, value blob, \
                 PRIMARY KEY ((tenant, home, part), kind, about)"
            }
            Self::Mark => {
                "tenant text, conversation blob, kind smallint, user text, value blob, \
                 PRIMARY KEY ((tenant, conversation), kind, user)"
            }
            Self::Router => "incarnation bigint, state text, address text, nonce bigint, PRIMARY KEY (incarnation)",
            Self::ShardOwner => {
                "cell tinyint, shard smallint, incarnation bigint, epoch bigint, PRIMARY KEY ((cell), shard)"
            }
            Self::Counter => "name text, value bigint, PRIMARY KEY (name)",
        }
    }

    /// The statement that makes it unless it is there.
    ///
    /// It says the table's id: else two who make it at the same time through different nodes would each make one of their own,
    /// and a cluster that has two tables of one name does not get well by itself.
    pub(super) fn create(self, keyspace: &str) -> String {
        let (name, columns) = (self.name(), self.columns());
        let seed = format!("switchyard.{}.{name}", keyspace.to_ascii_lowercase());
        let id: Uuid = uuid::Builder::from_custom_bytes(xxh3_128(seed.as_bytes()).to_be_bytes()).into_uuid();
        format!("CREATE TABLE IF NOT EXISTS {keyspace}.{name} ({columns}) WITH id = {id} AND {READ_ELSEWHERE}")
    }

    /// The statement that gives a table of the first two schemas what it would be made with now.
    pub(super) fn alter(self, keyspace: &str) -> String {
        format!("ALTER TABLE {keyspace}.{name} WITH {READ_ELSEWHERE}", name = self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Conflicts are settled by cell: with several columns, half of a late write could stay.
    #[test]
    fn a_row_that_is_not_a_transactions_has_one_column() {
        for table in Table::ALL.iter().filter(|table| table.class() != Class::Transaction) {
            let (columns, key) = table.columns().split_once(", PRIMARY KEY ").expect("every table has a key");
            let keys: HashSet<_> = key.split(['(', ')', ',', ' ']).filter(|part| !part.is_empty()).collect();
            let names = columns.split(", ").filter_map(|column| column.split(' ').next());
            assert_eq!(names.filter(|name| !keys.contains(name)).count(), 1, "{}", table.name());
        }
    }

    #[test]
    fn tables_have_the_same_ids_whoever_makes_them() {
        let made: HashSet<_> = Table::ALL.iter().map(|table| table.create("a")).collect();
        assert_eq!(made.len(), Table::ALL.len());
        assert_eq!(Table::Log.create("a"), Table::Log.create("a"));
        let id = |keyspace| Table::Log.create(keyspace).split_once("id = ").map(|(_, rest)| rest.to_owned());
        assert_ne!(id("a"), id("b"));
    }

    #[test]
    fn every_table_is_told_of() {
        let page = include_str!("tables.md");
        for table in Table::ALL {
            let line = page.lines().find(|line| line.starts_with(&format!("| `{}` ", table.name())));
            let line = line.unwrap_or_else(|| panic!("{} is not in tables.md", table.name()));
            let class = format!("{:?}", table.class()).to_lowercase();
            assert!(line.contains(&format!("| {class} |")), "{line}");
        }
    }
}
