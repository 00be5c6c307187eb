//! Every statement of the store, in one place, and prepared. There are no others: a test reads the sources.
//!
//! **Invariant:** what writes to a table of the log, of projections or of marks says its timestamp. One that the driver or a
//! node would put on it is far above ours, and would hide every later write to that row for good.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use crate::quorum::{Copies, Kind, Sizes};
use crate::rules::Rules;

use super::connect;
use super::options::Options;
use super::schema::{Class, Table};

/// Rows that are read at a time: 100 of the largest are some 6 MB.
const PAGE_ROWS: i32 = Sizes::REAL.page_rows as i32;

/// A number of the keyspace: what a schema has that has nothing else of ours.
const COUNTER: &str = "SELECT value FROM counters WHERE name = ?";

/// One of them, prepared, which knows how often it was sent.
pub(super) struct Statement {
    prepared: PreparedStatement,
    table: Table,
    operation: Operation,
    sent: AtomicU64,
}

/// What a statement does with its table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Read,
    Write,
    Transaction,
}

/// One that is not prepared, and which table it is about.
pub(super) struct Unprepared {
    pub(super) table: Table,
    pub(super) error: PrepareError,
}

/// How often the statements about one table were sent that do the same with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The table's name.
    pub table: &'static str,
    /// `read`, `write` or `transaction`.
    pub operation: &'static str,
    /// A batch is one.
    pub count: u64,
}

impl Statement {
    fn new(prepared: PreparedStatement, table: Table, cql: &str) -> Self {
        let operation = match (cql.starts_with("SELECT"), table.class()) {
            (true, _) => Operation::Read,
            (false, Class::Transaction) => Operation::Transaction,
            (false, _) => Operation::Write,
        };
        Self { prepared, table, operation, sent: AtomicU64::new(0) }
    }

    /// Whether it is about who owns what.
    pub(super) fn is_control(&self) -> bool {
        self.table.class() == Class::Transaction
    }

    /// It is sent, alone or as the first of a batch.
    pub(super) fn is_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }
}

impl Deref for Statement {
    type Target = PreparedStatement;

    fn deref(&self) -> &PreparedStatement {
        &self.prepared
    }
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Transaction => "transaction",
        }
    }
}

/// The text of a statement and the table that it is about.
#[cfg(test)]
pub(super) struct Text {
    pub(super) name: &'static str,
    pub(super) table: Table,
    pub(super) cql: &'static str,
}

macro_rules! statements {
    (serial: $serial:expr; $($name:ident: $table:ident, $cql:expr;)*) => {
        /// All of them, prepared.
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)*
            /// The reads of transactions' tables as transactions of their own.
            pub(super) serial: Serial,
        }

        /// Their texts.
        #[cfg(test)]
        pub(super) const TEXTS: &[Text] =
            &[$(Text { name: stringify!($name), table: Table::$table, cql: $cql }),*];

        impl Statements {
            /// Prepares them in the session's keyspace.
            pub(super) async fn prepare(session: &Session, options: &Options) -> Result<Self, Unprepared> {
                $(let $name = prepared(session, options, Table::$table, $cql).await?;)*
                let serial = $serial;
                Ok(Self { $($name,)* serial })
            }

            /// How often they were sent, by table and operation.
            pub(super) fn sent(&self) -> Vec<Sent> {
                let mut sums = BTreeMap::new();
                for statement in [$(&self.$name,)* &self.serial.cell, &self.serial.router] {
                    let sum = sums.entry((statement.table.name(), statement.operation)).or_insert(0);
                    *sum += statement.sent.load(Ordering::Relaxed);
                }
                let sums = sums.into_iter();
                sums.map(|((table, operation), count)| Sent { table, operation: operation.name(), count }).collect()
            }
        }
    };
}

/// See [`Statements::serial`].
pub(super) struct Serial {
    pub(super) cell: Statement,
    pub(super) router: Statement,
    /// The first home of a keyspace, said in all data centres.
    pub(super) first_home: Statement,
}

statements! {
    serial: Serial { cell: serial(&cell), router: serial(&router), first_home: everywhere(&first_count) };

    put_row: Log, "INSERT INTO log (tenant, conversation, bucket, seq, row) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    rows_up: Log, "SELECT seq, row FROM log WHERE tenant = ? AND conversation = ? AND bucket = ? AND seq >= ? LIMIT ?";
    rows_down: Log, "SELECT seq, row FROM log WHERE tenant = ? AND conversation = ? AND bucket = ? AND seq <= ? ORDER BY seq DESC LIMIT ?";
    rows_stamped: Log, "SELECT seq, row, WRITETIME(row) FROM log WHERE tenant = ? AND conversation = ? AND bucket = ? AND seq >= ? LIMIT ?";
    newest_row: Log, "SELECT seq FROM log WHERE tenant = ? AND conversation = ? AND bucket = ? ORDER BY seq DESC LIMIT 1";
    drop_bucket: Log, "DELETE FROM log USING TIMESTAMP ? WHERE tenant = ? AND conversation = ? AND bucket = ?";
    drop_first_bucket: Log, "DELETE FROM log USING TIMESTAMP ? WHERE tenant = ? AND conversation = ? AND bucket = ? AND seq > 0";

    put_bound: Bounds, "INSERT INTO bounds (tenant, conversation, kind, number) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    bounds: Bounds, "SELECT kind, number FROM bounds WHERE tenant = ? AND conversation = ?";

    put_conversation: Conversation, "INSERT INTO conversation (tenant, conversation, value) VALUES (?, ?, ?) USING TIMESTAMP ?";
    conversation: Conversation, "SELECT value FROM conversation WHERE tenant = ? AND conversation = ?";

    put_member: Member, "INSERT INTO member (tenant, conversation, user, value) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    members: Member, "SELECT user, value FROM member WHERE tenant = ? AND conversation = ?";
    drop_members: Member, "DELETE FROM member USING TIMESTAMP ? WHERE tenant = ? AND conversation = ?";

    put_conversation_of_user: ConversationOfUser, "INSERT INTO conversation_of_user (tenant, user, conversation, value) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    conversations_of_user: ConversationOfUser, "SELECT conversation, value, WRITETIME(value) FROM conversation_of_user WHERE tenant = ? AND user = ?";
    last_part_of_conversations: ConversationOfUser, "SELECT WRITETIME(value) FROM conversation_of_user WHERE tenant = ? AND user = ? AND conversation = 0x";
    count_conversations_of_user: ConversationOfUser, "SELECT conversation FROM conversation_of_user WHERE tenant = ? AND user = ? LIMIT ?";

    put_conversation_of_user_in: ConversationOfUserPart, "INSERT INTO conversation_of_user_part (tenant, user, part, conversation, value) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    conversations_of_user_in: ConversationOfUserPart, "SELECT conversation, value, WRITETIME(value) FROM conversation_of_user_part WHERE tenant = ? AND user = ? AND part = ?";
    count_conversations_of_user_in: ConversationOfUserPart, "SELECT conversation FROM conversation_of_user_part WHERE tenant = ? AND user = ? AND part = ? LIMIT ?";
    parts_of_conversations: ConversationOfUserPart, "SELECT DISTINCT tenant, user, part FROM conversation_of_user_part";

    put_overlay: Overlay, "INSERT INTO overlay (tenant, conversation, bucket, target, value) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    overlays: Overlay, "SELECT target, value FROM overlay WHERE tenant = ? AND conversation = ? AND bucket = ? AND target >= ? AND target <= ?";
    drop_overlays: Overlay, "DELETE FROM overlay USING TIMESTAMP ? WHERE tenant = ? AND conversation = ? AND bucket = ?";

    put_reactor: Reactor, "INSERT INTO reactor (tenant, conversation, bucket, user, target, value) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    reactors: Reactor, "SELECT target, value FROM reactor WHERE tenant = ? AND conversation = ? AND bucket = ? AND user = ? AND target >= ? AND target <= ?";
    drop_reactors: Reactor, "DELETE FROM reactor USING TIMESTAMP ? WHERE tenant = ? AND conversation = ? AND bucket = ?";

    put_decision: Decision, "INSERT INTO decision (tenant, home, kind, about, value) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    decisions: Decision, "SELECT kind, about, value, WRITETIME(value) FROM decision WHERE tenant = ? AND home = ?";
    decision: Decision, "SELECT kind, value, WRITETIME(value) FROM decision WHERE tenant = ? AND home = ? AND (kind, about) IN ((?, ?), (-1, 0x))";
    last_part_of_decisions: Decision, "SELECT WRITETIME(value) FROM decision WHERE tenant = ? AND home = ? AND kind = -1 AND about = 0x";
    count_decisions: Decision, "SELECT kind FROM decision WHERE tenant = ? AND home = ? LIMIT ?";

    put_decision_in: DecisionPart, "INSERT INTO decision_part (tenant, home, part, kind, about, value) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    decisions_in: DecisionPart, "SELECT kind, about, value, WRITETIME(value) FROM decision_part WHERE tenant = ? AND home = ? AND part = ?";
    decision_in: DecisionPart, "SELECT value FROM decision_part WHERE tenant = ? AND home = ? AND part = ? AND kind = ? AND about = ?";
    count_decisions_in: DecisionPart, "SELECT kind FROM decision_part WHERE tenant = ? AND home = ? AND part = ? LIMIT ?";
    parts_of_decisions: DecisionPart, "SELECT DISTINCT tenant, home, part FROM decision_part";

    put_mark: Mark, "INSERT INTO mark (tenant, conversation, kind, user, value) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    marks: Mark, "SELECT kind, user, value FROM mark WHERE tenant = ? AND conversation = ?";
    drop_marks: Mark, "DELETE FROM mark USING TIMESTAMP ? WHERE tenant = ? AND conversation = ?";

    insert_router: Router, "INSERT INTO router (incarnation, state, address, nonce) VALUES (?, ?, ?, ?) IF NOT EXISTS";
    fence_router: Router, "UPDATE router SET state = 'fenced' WHERE incarnation = ? IF state IN ('live', 'fenced')";
    router: Router, "SELECT state, address, nonce, toUnixTimestamp(now()) FROM router WHERE incarnation = ?";
    live_routers: Router, "SELECT incarnation, state, address, nonce FROM router WHERE state = 'live' ALLOW FILTERING";

    claim_first: ShardOwner, "INSERT INTO shard_owner (cell, shard, incarnation, epoch) VALUES (?, ?, ?, ?) IF NOT EXISTS";
    claim_next: ShardOwner, "UPDATE shard_owner SET incarnation = ?, epoch = ? WHERE cell = ? AND shard = ? IF incarnation = ? AND epoch = ?";
    cell: ShardOwner, "SELECT shard, incarnation, epoch FROM shard_owner WHERE cell = ?";

    first_count: Counter, "INSERT INTO counters (name, value) VALUES (?, ?) IF NOT EXISTS";
    next_count: Counter, "UPDATE counters SET value = ? WHERE name = ? IF value = ?";
    counter: Counter, COUNTER;
}

/// The one that reads numbers of the keyspace, alone: for a schema that has not all tables.
pub(super) async fn counter(session: &Session, options: &Options) -> Result<Statement, Unprepared> {
    prepared(session, options, Table::Counter, COUNTER).await
}

async fn prepared(session: &Session, options: &Options, table: Table, cql: &str) -> Result<Statement, Unprepared> {
    let mut statement = session.prepare(cql).await.map_err(|error| Unprepared { table, error })?;
    let writes_transaction = table.class() == Class::Transaction && !cql.starts_with("SELECT");
    statement.set_is_idempotent(!writes_transaction);
    if cql.starts_with("SELECT") && table != Table::Counter {
        statement.set_execution_profile_handle(Some(connect::reading(options)));
    }
    statement.set_page_size(PAGE_ROWS);
    statement.set_consistency(consistency(table, cql));
    if table.class() == Class::Transaction {
        statement.set_request_timeout(Some(options.transaction_timeout));
    }
    if table == Table::Counter && !writes_transaction {
        statement.set_consistency(Consistency::LocalSerial);
    }
    Ok(Statement::new(statement, table, cql))
}

/// How many nodes of the home data centre a statement asks.
fn consistency(table: Table, cql: &str) -> Consistency {
    let kind = match (cql.starts_with("SELECT"), table) {
        (true, Table::Router) => Kind::FenceRead,
        (true, _) => Kind::Read,
        (false, _) => Kind::Write,
    };
    match Copies::of(kind, Rules::default()) {
        Copies::Quorum => Consistency::LocalQuorum,
        Copies::One => Consistency::LocalOne,
    }
}

fn serial(statement: &Statement) -> Statement {
    let mut serial = statement.prepared.clone();
    serial.set_consistency(Consistency::LocalSerial);
    // It may carry out a transaction of somebody else's, so it is made once.
    serial.set_execution_profile_handle(None);
    Statement { prepared: serial, table: statement.table, operation: statement.operation, sent: AtomicU64::new(0) }
}

/// A transaction of all data centres.
fn everywhere(statement: &Statement) -> Statement {
    let mut everywhere = statement.prepared.clone();
    everywhere.set_serial_consistency(Some(SerialConsistency::Serial));
    everywhere.set_consistency(Consistency::Quorum);
    Statement { prepared: everywhere, table: statement.table, operation: statement.operation, sent: AtomicU64::new(0) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn writes(cql: &str) -> bool {
        !cql.starts_with("SELECT")
    }

    #[test]
    fn every_write_says_its_timestamp_or_is_a_transaction() {
        for Text { name, table, cql } in TEXTS.iter().filter(|text| writes(text.cql)) {
            let stamped = cql.contains(" USING TIMESTAMP ?");
            let conditional = cql.contains(" IF ");
            match table.class() {
                Class::Log | Class::Projection | Class::Mark => assert!(stamped && !conditional, "{name}: {cql}"),
                // Nor is any row of theirs ever deleted: who is fenced stays so, and no epoch falls.
                Class::Transaction => {
                    assert!(conditional && !stamped && !cql.starts_with("DELETE"), "{name}: {cql}");
                }
            }
        }
    }

    /// What each transaction goes by. Without any of these words two would own one shard, or one that was fenced would live on.
    #[test]
    fn transactions_have_their_conditions() {
        let expected = [
            ("insert_router", " IF NOT EXISTS"),
            ("fence_router", " IF state IN ('live', 'fenced')"),
            ("claim_first", " IF NOT EXISTS"),
            ("claim_next", " IF incarnation = ? AND epoch = ?"),
            ("first_count", " IF NOT EXISTS"),
            ("next_count", " IF value = ?"),
        ];
        let transactions = TEXTS.iter().filter(|text| writes(text.cql) && text.table.class() == Class::Transaction);
        let conditions: Vec<_> =
            transactions.map(|text| (text.name, text.cql.find(" IF ").map_or("", |at| &text.cql[at..]))).collect();
        assert_eq!(conditions, expected);
    }

    #[test]
    fn statements_are_about_the_tables_that_they_are_listed_with() {
        for Text { name, table, cql } in TEXTS {
            let words: Vec<_> = cql.split(' ').collect();
            let before = ["INTO", "FROM", "UPDATE"];
            let named = words.windows(2).find(|pair| before.contains(&pair[0])).map(|pair| pair[1]);
            assert_eq!(named, Some(table.name()), "{name}: {cql}");
        }
    }

    #[test]
    fn every_statement_asks_a_quorum() {
        for Text { name, table, cql } in TEXTS {
            assert_eq!(consistency(*table, cql), Consistency::LocalQuorum, "{name}: {cql}");
        }
    }

    /// A read of one partition, or of one row. The list of routers walks over a table; and, of parts, what raises a schema.
    #[test]
    fn every_statement_names_its_partition() {
        let walks = ["live_routers", "parts_of_conversations", "parts_of_decisions"];
        for Text { name, table, cql } in TEXTS.iter().filter(|text| !walks.contains(&text.name)) {
            let key = table.columns().split_once("PRIMARY KEY (").expect("every table has a key").1;
            let key = key.strip_prefix('(').map_or(key, |several| several.split(')').next().unwrap_or(several));
            for column in key.split([',', ')']).map(str::trim).filter(|column| !column.is_empty()) {
                let inserted = cql.starts_with("INSERT") && cql.contains(column);
                let named = cql.contains(&format!("{column} = ?"));
                assert!(inserted || named, "{name}: {column} is not in {cql}");
            }
        }
    }

    #[test]
    fn there_are_no_other_statements() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cql");
        for file in fs::read_dir(sources).expect("the sources are there") {
            let path = file.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("plain names").to_owned();
            if !name.ends_with(".rs") || name == "statements.rs" {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            for word in ["INSERT INTO", "UPDATE ", "DELETE FROM", "TRUNCATE"] {
                let found = text.lines().filter(|line| line.contains(word) && line.contains('"')).count();
                assert_eq!(found, 0, "{name} has a statement of its own: {word}");
            }
        }
    }
}
