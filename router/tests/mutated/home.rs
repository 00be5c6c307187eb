//! Judges of what is stored of a user's home: right under its checksum and with whatever in it. The home is read or reported
//! as damaged; whoever asks it is answered once.

use std::sync::LazyLock;

use bytes::Bytes;
use switchyard_cluster::home::{BlocksAsk, Decision, HomeAsk};
use switchyard_cluster::link::{Answer, Ask, Request};
use switchyard_cluster::party::Home;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::v1::reply::Result as Reply;
use switchyard_router::config::RouterConfig;
use switchyard_router::decided::HomeEvent;
use switchyard_router::driver::{Touch, homes, seen};
use switchyard_router::machine::{CommitOutcome, Effect, Input, Machine, known_roles};
use switchyard_store::{Decision as StoredDecision, Membership, Record, Row, StoredMark};

use super::shelf::Shelf;
use super::story::{self, NOW, SEED, ann};

/// What the body behind this byte is: a decision's value, and about whom one is; the user's membership, the mark that says
/// when they were seen last, and the one of their roles. Below, one of the log's rows.
const ARCHIVED: u8 = 100;
const BLOCKED: u8 = 101;
const MEMBERSHIP: u8 = 102;
const SEEN: u8 = 103;
const ROLES: u8 = 104;

/// Kinds of marks at a home.
const SEEN_MARK: u8 = 2;
const ROLES_MARK: u8 = 4;

/// Bodies of the log's events, the first as the machine writes it.
static LOG: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let block = told_by_a_machine();
    let body = |body: &[u8]| {
        let mut row = block.clone();
        row.body = Bytes::copy_from_slice(body);
        row
    };
    let conversation = [7; 16];
    let archive = [b"\x1a\x10", &conversation[..], b"\x28\x07"].concat();
    let unarchive = [b"\x22\x10", &conversation[..]].concat();
    vec![block.clone(), body(&archive), body(b"\x0a\x03eve"), body(b"\x12\x03bob"), body(&unarchive)]
});

/// What means something in these bodies.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x0a\x03bob",
    b"\x12\x00",
    b"\x1a\x10\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07",
    b"\x28\x00",
    b"\x08\x01",
    b"\xc3\xbc",
];

/// Bodies to spoil, each behind a byte that says what it is the body of.
pub(crate) fn bodies() -> Vec<Vec<u8>> {
    let rows = (0..).zip(&*LOG).map(|(seq, row): (u8, &Row)| [&[seq], &row.body[..]].concat());
    let others: [(u8, &[u8]); 5] = [
        (ARCHIVED, b"\x08\x07"),
        (BLOCKED, b"bob"),
        (MEMBERSHIP, b"\x08\x01\x10\x05"),
        (SEEN, b"\x08\x09"),
        (ROLES, b"\x05"),
    ];
    rows.chain(others.map(|(of, body)| [&[of], body].concat())).collect()
}

/// The home of the user who decides.
fn home() -> Home {
    Home { key: ConversationKey::home(&story::key().tenant, &ann()), user: ann() }
}

fn bob() -> UserId {
    UserId::new("bob").expect("a valid id")
}

/// The row of a block.
fn told_by_a_machine() -> Row {
    let mut machine = story::owner(1);
    let (mut effects, Home { key, user }) = (Vec::new(), home());
    let ask = Ask::Home(HomeAsk::Decide(Decision::Block(bob())));
    machine.handle(NOW, Input::Request(Request { from: story::asker(1), key, user, ask }), &mut effects);
    loop {
        let input = match effects.pop() {
            Some(Effect::LoadHome { home, own }) => {
                let result = homes::load(&Shelf::default(), &home, own, Touch::Owner { epoch: 1 });
                Input::HomeLoaded { home, result }
            }
            Some(Effect::Append(batch)) => {
                return Row::decode(&batch.key, batch.first, &batch.rows[0]).expect("the machine's own row");
            }
            Some(_) => continue,
            None => panic!("nothing was stored"),
        };
        machine.handle(NOW, input, &mut effects);
        machine.tick(NOW, &mut effects);
    }
}

/// A home as [`bodies`] makes them.
pub(crate) fn home_body(input: &[u8]) -> bool {
    let Some((&of, body)) = input.split_first() else { return false };
    let body = Bytes::copy_from_slice(body);
    match of {
        SEEN => {
            let mark = StoredMark { user: ann(), kind: SEEN_MARK, at: 7, value: body };
            let shelf = Shelf { marks: vec![mark], ..Shelf::default() };
            seen::load(&shelf, &home(), 9, NOW.wall_ms).is_ok_and(|seen| seen >= Some(7))
        }
        ROLES => {
            // A byte that says it; nothing is a customer.
            let known = known_roles(&[StoredMark { user: ann(), kind: ROLES_MARK, at: 7, value: body.clone() }]);
            assert!(!known.is_beyond_user() || !body.is_empty());
            !body.is_empty()
        }
        MEMBERSHIP => {
            let conversation = ConversationId::from_bytes([7; 16]);
            let memberships = vec![Membership { conversation, at: 3, value: body }];
            blocked(&Shelf { memberships, ..shelf(&LOG) }).is_ok_and(|users| users == ["eve"])
        }
        ARCHIVED | BLOCKED => {
            let about_conversation = Bytes::copy_from_slice(&[7; 16]);
            let (kind, about, value) =
                if of == ARCHIVED { (1, about_conversation, body.clone()) } else { (0, body.clone(), Bytes::new()) };
            let decision = Some(StoredDecision { kind, about, at: 0, value: Some(value) });
            // The rows say it as of the first event; if they are damaged, the log does.
            let record = Some(Record { applied: 0, fields: Bytes::new() });
            let log = LOG.get(..1).expect("it has one");
            let users = blocked(&Shelf { decision, record, ..shelf(log) }).expect("the log is sound");
            let by_rows =
                if of == ARCHIVED { users.is_empty() } else { users.first().is_some_and(|user| *user == body) };
            assert!(by_rows || users == ["bob"], "{users:?}");
            by_rows
        }
        row => {
            let mut log = LOG.clone();
            let seq = usize::from(row) % log.len();
            log[seq].body = body.clone();
            let read = blocked(&shelf(&log));
            assert_eq!(read.is_ok(), HomeEvent::decode(&body).is_some(), "{read:?}");
            read.is_ok()
        }
    }
}

fn shelf(log: &[Row]) -> Shelf {
    let Home { key, .. } = home();
    Shelf { rows: (0..).zip(log).map(|(seq, row)| row.as_ref().encode(&key, seq)).collect(), ..Shelf::default() }
}

/// Whom the user has blocked, as the machine answers that has to read the home first; or that it is damaged.
fn blocked(shelf: &Shelf) -> Result<Vec<String>, ErrorCode> {
    let mut machine = Machine::new(RouterConfig::default(), 2, SEED);
    let epoch = Epoch::new(2).expect("there is such an epoch");
    machine.handle(NOW, Input::Owned(vec![(home().shard(), epoch)]), &mut Vec::new());
    let (mut effects, Home { key, user }) = (Vec::new(), home());
    let ask = Ask::Home(HomeAsk::Blocks(Box::new(BlocksAsk { after: None, limit: 100 })));
    machine.handle(NOW, Input::Request(Request { from: story::asker(1), key, user, ask }), &mut effects);
    let mut answers = Vec::new();
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::LoadHome { home, own } => {
                let result = homes::load(shelf, &home, own, Touch::Stranger);
                machine.handle(NOW, Input::HomeLoaded { home, result }, &mut effects);
            }
            Effect::Append(batch) => {
                let outcome = CommitOutcome::Committed;
                machine.handle(NOW, Input::Committed { key: batch.key, outcome }, &mut effects);
            }
            Effect::Answer { answer, .. } => answers.push(answer),
            _ => {}
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    match answers.remove(0) {
        Answer::Result(result) => match *result {
            Reply::Blocks(page) => Ok(page.users),
            other => panic!("{other:?}"),
        },
        Answer::Refused(refusal) => Err(refusal.code),
        other => panic!("{other:?}"),
    }
}
