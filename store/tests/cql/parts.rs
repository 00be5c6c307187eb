//! Lists that hold for ever what went lie in parts: none grows without a bound, and which part a row lies in makes no difference.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use bytes::Bytes;
use futures_executor::block_on;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::query_result::QueryResult;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_store::cql::{Cql, OpenError, Options, migrate};
use switchyard_store::{DecisionPlace, ProjectionWrite, Projections, Seq};
use tokio::runtime::Runtime;

use crate::support::{options, store};

/// Rows of a part in these tests.
const ROWS: i32 = 20;

/// A key of a list: a number, of which a conversation or what a decision is about is made.
type Place = u16;

/// A list of somebody's of whom nobody else knows.
struct List {
    home: ConversationKey,
    user: UserId,
    /// Whether it is one of decisions; else of conversations.
    decisions: bool,
}

fn both(test: &str) -> [List; 2] {
    [("conversations", false), ("decisions", true)].map(|(what, decisions)| {
        let tenant = TenantId::new(&format!("{test}: {what}")).expect("a short name");
        let user = UserId::new("ann").expect("a short name");
        List { home: ConversationKey::home(&tenant, &user), user, decisions }
    })
}

impl List {
    fn put(&self, place: Place, at: Seq, value: Option<Bytes>) -> ProjectionWrite {
        if self.decisions {
            return ProjectionWrite::Decision { place: self.decision(place), at, value };
        }
        let key = ConversationKey { tenant: self.home.tenant.clone(), conversation: conversation(place) };
        let list = key.conversation;
        ProjectionWrite::Member { key, list, user: self.user.clone(), at, value }
    }

    fn decision(&self, place: Place) -> DecisionPlace {
        let [kind, about] = place.to_be_bytes();
        DecisionPlace { home: self.home.clone(), kind, about: Bytes::copy_from_slice(&[about]) }
    }

    fn write(&self, store: &Cql, place: Place, at: Seq, value: Option<&str>) {
        let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
        block_on(store.write(&[self.put(place, at, value)])).expect("nothing fails here");
    }

    /// What is present.
    fn present(&self, store: &Cql) -> Vec<(Place, Seq, Bytes)> {
        if self.decisions {
            let found = block_on(store.decisions(&self.home)).expect("nothing is damaged");
            let place = |kind, about: &Bytes| Place::from_be_bytes([kind, about[0]]);
            let found = found.into_iter();
            return found.map(|it| (place(it.kind, &it.about), it.at, it.value.expect("it stands"))).collect();
        }
        let found = block_on(store.conversations_of(&self.home.tenant, &self.user)).expect("nothing is damaged");
        let place = |id: ConversationId| Place::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]]);
        found.into_iter().map(|it| (place(it.conversation), it.at, it.value)).collect()
    }

    /// The table of part 0, and what names it there.
    fn first_part(&self) -> (&'static str, String) {
        let tenant = &self.home.tenant;
        if self.decisions {
            ("decision", format!("tenant = '{tenant}' AND home = 0x{}", hex(&self.home)))
        } else {
            ("conversation_of_user", format!("tenant = '{tenant}' AND user = '{}'", self.user))
        }
    }

    /// How many rows each part has, by plain statements.
    fn parts(&self, look: &Look) -> Vec<i64> {
        let (table, key) = self.first_part();
        let nameless = if self.decisions { "kind = -1 AND about = 0x" } else { "conversation = 0x" };
        let last =
            look.number(&format!("SELECT WRITETIME(value) FROM {table} WHERE {key} AND {nameless}")).unwrap_or(0);
        // Behind the last one there is nothing.
        let later =
            (1..=last + 1).map(|part| format!("SELECT COUNT(*) FROM {table}_part WHERE {key} AND part = {part}"));
        let counts = [format!("SELECT COUNT(*) FROM {table} WHERE {key}")].into_iter().chain(later);
        let mut counts: Vec<_> = counts.map(|count| look.number(&count).expect("a number")).collect();
        assert_eq!(counts.pop(), Some(0));
        // The row that says so is none of the list's.
        counts[0] -= i64::from(last > 0);
        counts
    }
}

impl List {
    /// Copies all rows but the one that says the last part to another keyspace, as the second schema has them.
    fn copy(&self, look: &Look, parts: usize, keyspace: &str) {
        let (table, key) = self.first_part();
        let (columns, named) = if self.decisions {
            ("tenant, home, kind, about", " AND kind >= 0")
        } else {
            ("tenant, user, conversation", " AND conversation > 0x")
        };
        let part =
            |part: usize| (format!("{table}_part"), format!("part, {columns}"), format!("{key} AND part = {part}"));
        let first = (table.to_owned(), columns.to_owned(), format!("{key}{named}"));
        for (table, columns, key) in [first].into_iter().chain((1..parts).map(part)) {
            let read = format!("SELECT JSON {columns}, value FROM {table} WHERE {key}");
            let stamps = format!("SELECT WRITETIME(value) FROM {table} WHERE {key}");
            for ((row,), (at,)) in look.rows::<(String,)>(&read).into_iter().zip(look.rows::<(i64,)>(&stamps)) {
                let row = row.replace('\'', "''");
                look.carry_out(&format!("INSERT INTO {keyspace}.{table} JSON '{row}' USING TIMESTAMP {at}"));
            }
        }
    }
}

fn conversation(place: Place) -> ConversationId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&place.to_be_bytes());
    ConversationId::from_bytes(id)
}

fn hex(home: &ConversationKey) -> String {
    home.conversation.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A look at the tables past the store.
struct Look {
    runtime: Runtime,
    session: Session,
}

impl Look {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = options();
        let session = runtime.block_on(async {
            let builder = SessionBuilder::new().known_nodes(&options.contact_points);
            builder.use_keyspace(&options.keyspace, false).build().await.expect("a session")
        });
        Self { runtime, session }
    }

    fn carry_out(&self, cql: &str) -> QueryResult {
        self.runtime.block_on(self.session.query_unpaged(cql, ())).expect("it is carried out")
    }

    /// The rows that this statement finds.
    fn rows<Row>(&self, cql: &str) -> Vec<Row>
    where
        Row: for<'frame> DeserializeRow<'frame, 'frame>,
    {
        let found = self.carry_out(cql).into_rows_result().expect("rows");
        found.rows::<Row>().expect("of this form").map(|row| row.expect("a row")).collect()
    }

    /// The number that this statement finds.
    fn number(&self, cql: &str) -> Option<i64> {
        self.rows::<(i64,)>(cql).first().map(|(number,)| *number)
    }
}

#[test]
fn a_part_that_is_full_is_followed_by_another() {
    let look = Look::new();
    // A process of before has written more than a part holds.
    let (before, store) = (store(), store().with_parts_of(ROWS, 1));
    for list in both("full parts") {
        for place in 0..30 {
            list.write(&before, place, 1, Some("in"));
        }
        for place in 30..80 {
            list.write(&store, place, 1, Some("in"));
        }
        assert_eq!(list.parts(&look), [31, 20, 20, 9], "the first one sees that part 0 is full");
        let mut all: Vec<_> = (0..80).map(|place| (place, 1, Bytes::from("in"))).collect();
        assert_eq!(list.present(&store), all, "in the order of their keys");
        // What goes is written to the last part, and what comes back as well.
        for place in 0..10 {
            list.write(&store, place, 5, None);
            list.write(&store, place + 5, 3, None);
        }
        list.write(&store, 0, 9, Some("back"));
        list.write(&store, 1, 4, Some("late"));
        list.write(&store, 2, 5, Some("as old"));
        let mut expected = all.split_off(15);
        expected.insert(0, (0, 9, Bytes::from("back")));
        for reader in [&store, &before] {
            assert_eq!(list.present(reader), expected);
        }
        assert!(list.parts(&look)[1..].iter().all(|rows| *rows <= i64::from(ROWS)), "{:?}", list.parts(&look));
    }
}

/// The second schema said in another place how many parts there are.
#[test]
fn lists_of_the_second_schema_are_whole_once_it_is_raised() {
    let look = Look::new();
    let store = store().with_parts_of(ROWS, 1);
    let keyspace = format!("{}_second", options().keyspace);
    let second = Options { keyspace: keyspace.clone(), ..options() };
    migrate(&second).expect("the schema is made");
    let lists = both("of the second schema");
    for list in &lists {
        (0..70).for_each(|place| list.write(&store, place, 1, Some("in")));
        assert_eq!(list.parts(&look), [20, 20, 20, 10]);
        list.copy(&look, 4, &keyspace);
    }
    let patience = || {
        let tables = "SELECT speculative_retry FROM system_schema.tables WHERE keyspace_name =";
        let tables = look.rows::<(String,)>(&format!("{tables} '{keyspace}'"));
        tables.into_iter().map(|(retry,)| retry).collect::<BTreeSet<_>>()
    };
    let made = patience();
    assert_eq!(made.len(), 1, "{made:?}");
    look.carry_out(&format!("ALTER TABLE {keyspace}.router WITH speculative_retry = '99p'"));
    assert_eq!(patience().len(), 2);
    let is_of = |name: &str, schema: u32| {
        look.carry_out(&format!("UPDATE {keyspace}.counters SET value = {schema} WHERE name = '{name}' IF EXISTS"));
    };
    is_of("schema", 2);
    is_of("schema_users", 2);
    let earlier = Cql::open(&second).err().expect("it is too early");
    assert!(matches!(earlier, OpenError::Schema { found: Some(2), .. }), "{earlier:?}");
    for _ in 0..2 {
        assert_eq!(migrate(&second).expect("it is raised"), 3);
        let raised = Cql::open(&second).expect("the store opens");
        for list in &lists {
            assert_eq!(list.present(&raised), list.present(&store));
        }
        // As if it had been broken off before its end, and by two at once.
        is_of("schema", 2);
    }
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(migrate(&second).expect("it is raised"), 3));
        }
    });
    assert_eq!(patience(), made, "nodes are as impatient as where the schema was made");
    // And goes on where it was.
    let raised = Cql::open(&second).expect("the store opens").with_parts_of(ROWS, 1);
    for list in &lists {
        (70..95).for_each(|place| list.write(&raised, place, 1, Some("in")));
        assert_eq!(list.present(&raised).len(), 95);
    }
}

/// Two processes write what comes to their minds, with numbers that often are as high as those that are there, and lower.
#[test]
fn a_list_in_parts_is_the_same_as_in_one() {
    let look = Look::new();
    let stores = [store().with_parts_of(ROWS, 4), store().with_parts_of(ROWS, 4)];
    for (list, seed) in both("as in one").into_iter().zip([7u64, 8]) {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut all: BTreeMap<Place, (Seq, Option<String>)> = BTreeMap::new();
        for number in 0..1_000u64 {
            let place = u16::try_from(random(60) * 7).expect("a small one");
            let at = number / 10 + random(40);
            let value = (random(3) > 0).then(|| format!("write {number}"));
            list.write(&stores[random(2) as usize], place, at, value.as_deref());
            let stored = all.entry(place).or_insert((at, value.clone()));
            if stored.0 < at {
                *stored = (at, value);
            }
            if number % 50 == 49 {
                let present = |(place, (at, value)): (&Place, &(Seq, Option<String>))| {
                    value.clone().map(|value| (*place, *at, Bytes::from(value)))
                };
                let expected: Vec<_> = all.iter().filter_map(present).collect();
                assert_eq!(list.present(&stores[random(2) as usize]), expected, "after write {number}");
            }
        }
        if list.decisions {
            let places: Vec<_> = (0..=60 * 7).map(|place| list.decision(place)).collect();
            let found = block_on(stores[0].decided(&places)).expect("nothing is damaged");
            let found = found.into_iter().map(|found| found.map(|found| (found.at, found.value)));
            let expected = (0..=60 * 7).map(|place| all.get(&place).cloned().map(|(at, it)| (at, it.map(Bytes::from))));
            assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
        let parts = list.parts(&look);
        assert!(parts.len() > 3, "{parts:?}");
        // All sixty keys, had nobody counted for so long.
        let (bound, all_but_last) = (i64::from(ROWS) + 39, &parts[..parts.len() - 1]);
        assert!(all_but_last.iter().all(|rows| (i64::from(ROWS)..bound).contains(rows)), "{parts:?}");
    }
}

/// Owners of different conversations write to one user's list.
#[test]
fn many_who_write_at_once_fill_no_part_beyond_its_bound() {
    const WRITERS: u16 = 4;
    let look = Look::new();
    let stores: Vec<_> = (0..WRITERS).map(|_| store().with_parts_of(ROWS, 1)).collect();
    for list in both("at once") {
        thread::scope(|scope| {
            for (store, first) in stores.iter().zip(0..) {
                let list = &list;
                let mine = (first..400).step_by(usize::from(WRITERS));
                scope.spawn(move || mine.for_each(|place| list.write(store, place, 1, Some("in"))));
            }
        });
        assert_eq!(list.present(&stores[0]).len(), 400);
        let parts = list.parts(&look);
        let bound = i64::from(ROWS) + i64::from(WRITERS);
        assert!(parts.iter().all(|rows| *rows <= bound) && parts.iter().sum::<i64>() == 400, "{parts:?}");
    }
}

/// However much is written in one call, of which two may be about the same.
#[test]
fn one_call_does_not_fill_a_part_beyond_its_bound() {
    let look = Look::new();
    let store = store().with_parts_of(ROWS, 50);
    for list in both("one call") {
        let mut writes: Vec<_> = (0..2_500).map(|place| list.put(place, 1, Some(Bytes::from("first")))).collect();
        writes.extend((0..10).map(|place| list.put(place, 1, None)));
        block_on(store.write(&writes)).expect("nothing fails here");
        let parts = list.parts(&look);
        assert_eq!(parts[..3], [1_000, 1_000, 510], "a thousand writes, and a look at what is there");
        let present = list.present(&store);
        assert_eq!(present.len(), 2_500);
        assert!(present.iter().all(|(.., value)| value == "first"), "of equals the first one stays");
    }
}
