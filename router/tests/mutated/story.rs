//! A short life of a conversation, told by the real machine: the rows, the record and the members as it would have them
//! stored. Its bodies are what the tests spoil.

use std::time::Duration;

use switchyard_cluster::link::{Ask, Asker, CreateAsk, EdgeId, Request, SendAsk, UpdateAsk};
use switchyard_cluster::now::Now;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::v1::{ConversationKind, MessageKind, Role};
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{CommitOutcome, Effect, Input, Machine};
use switchyard_store::{ProjectionWrite, Record, Row, StoredMember};

/// The time of the whole story.
pub(crate) const NOW: Now = Now { mono: Duration::from_secs(1), wall_ms: 1_800_000_000_000 };

/// Keys the machine's hashes.
pub(crate) const SEED: u64 = 7;

/// The founder.
pub(crate) fn ann() -> UserId {
    user("ann")
}

/// The conversation.
pub(crate) fn key() -> ConversationKey {
    let tenant = TenantId::new("t").expect("a valid id");
    ConversationKey { tenant, conversation: ConversationId::from_bytes([7; 16]) }
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid id")
}

/// Who asks for the request of this number.
pub(crate) fn asker(request: u64) -> Asker {
    Asker { edge: EdgeId(0), session: 1, request }
}

/// What came of it.
#[derive(Default, Debug)]
pub(crate) struct Story {
    /// Every row, from 0 on.
    pub(crate) rows: Vec<Row>,
    /// The newest record.
    pub(crate) record: Option<Record>,
    /// The members as they were written, each once.
    pub(crate) members: Vec<StoredMember>,
}

/// One event of every kind.
pub(crate) fn tell() -> Story {
    let create = CreateAsk {
        kind: ConversationKind::Group,
        members: vec![ann(), user("bob")],
        name: Some("n".into()),
        avatar: None,
        context: Some("order 7".into()),
    };
    let update = UpdateAsk { name: Some("m".into()), avatar: Some("a".into()), context: Some("order 8".into()) };
    let text = |kind, text| Ask::Send(SendAsk::new("c1", text, kind, None));
    let asks = [
        (ann(), Ask::Create(Box::new(create))),
        (ann(), Ask::Add(vec![user("eve"), user("joe")])),
        (user("bob"), text(MessageKind::Text, "hi \u{20ac}")),
        (ann(), Ask::Update(Box::new(update))),
        (ann(), Ask::Promote { member: user("bob"), role: Role::Moderator }),
        (ann(), Ask::Close),
        (ann(), Ask::Reopen),
        (ann(), Ask::Remove(user("joe"))),
        // The last admin's leaving promotes another.
        (ann(), Ask::Leave),
        (user("bob"), Ask::Add(vec![ann()])),
    ];
    let mut machine = Machine::new(RouterConfig::default(), 1, SEED);
    let mut story = Story::default();
    for (number, (user, ask)) in (0..).zip(asks) {
        let mut effects = Vec::new();
        machine.handle(NOW, Input::Request(Request { from: asker(number), key: key(), user, ask }), &mut effects);
        machine.tick(NOW, &mut effects);
        while let Some(effect) = effects.pop() {
            if let Some(input) = story.note(effect) {
                machine.handle(NOW, input, &mut effects);
                machine.tick(NOW, &mut effects);
            }
        }
    }
    assert!(story.rows.len() == 10 && story.members.len() == 4 && story.record.is_some(), "{story:?}");
    story
}

impl Story {
    /// Keeps what is to be stored and says that it was.
    fn note(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Load { key, .. } => Some(Input::Loaded { key, result: Ok(None) }),
            Effect::Append(batch) => {
                for (seq, blob) in (batch.first..).zip(&batch.rows) {
                    self.rows.push(Row::decode(&batch.key, seq, blob).expect("the machine's own row"));
                }
                Some(Input::Committed { key: batch.key, outcome: CommitOutcome::Committed })
            }
            Effect::Project { key, projection } => {
                for write in projection.members {
                    self.project(write);
                }
                self.project(projection.record);
                Some(Input::Projected { key, result: Ok(projection.through) })
            }
            _ => None,
        }
    }

    fn project(&mut self, write: ProjectionWrite) {
        match write {
            ProjectionWrite::Conversation { at, record, .. } => {
                self.record = Some(Record { applied: at, fields: record });
            }
            ProjectionWrite::Member { user, at, value, .. } => {
                if let Some(value) = value.filter(|_| self.members.iter().all(|member| member.user != user)) {
                    self.members.push(StoredMember { user, at, value });
                }
            }
        }
    }
}
