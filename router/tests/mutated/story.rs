//! A short life of a conversation, told by the real machine: the rows, the record and the members as it would have them
//! stored. Its bodies are what the tests spoil.

use std::time::Duration;

use switchyard_cluster::link::{
    AnnotateAsk, Annotation, Ask, CreateAsk, MarkAsk, Request, SendAsk, SendExtra, UpdateAsk,
};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{ConversationKind, MessageKind, Role};
use switchyard_router::config::RouterConfig;
use switchyard_router::driver::read::read;
use switchyard_router::driver::rows::failed;
use switchyard_router::machine::{CommitOutcome, Effect, Input, Machine, Written};
use switchyard_store::{Mark, Overlay, ProjectionWrite, Reactor, Record, Row, StoredMark, StoredMember};

use super::shelf::Shelf;

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
    Asker { edge: EdgeId(0), session: 1, request, ticket: 0, roles: Roles::NONE }
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
    /// The newest overlays of messages.
    pub(crate) overlays: Vec<Overlay>,
    /// The newest of what anybody gave a message.
    pub(crate) reactor: Option<Reactor>,
    /// Their marks, by kind and user.
    pub(crate) marks: Vec<StoredMark>,
}

/// An owner of everything, in this epoch.
pub(super) fn owner(epoch: u64) -> Machine {
    let mut machine = Machine::new(RouterConfig::default(), epoch, SEED);
    machine.handle(NOW, Input::owns_all(Epoch::new(epoch).expect("there is such an epoch")), &mut Vec::new());
    machine
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
    let on_message = |target, change| Ask::Annotate(Box::new(AnnotateAsk { target, change }));
    let extra = SendExtra { reply_to: Some(2), mentions: vec![user("bob")] };
    let mut answer = SendAsk::new("c2", "so it is", MessageKind::Text, None);
    answer.extra = Some(Box::new(extra));
    let asks = [
        (ann(), Ask::Create(Box::new(create))),
        (ann(), Ask::Add(vec![user("eve"), user("joe")])),
        (user("bob"), text(MessageKind::Text, "hi \u{20ac}")),
        (user("bob"), on_message(2, Annotation::Edit { text: "ho".into(), mentions: vec![ann()] })),
        (user("eve"), Ask::Send(answer)),
        (user("eve"), on_message(4, Annotation::React { emoji: "+1".into(), remove: false })),
        (ann(), Ask::Pin { target: 2, remove: false }),
        (ann(), on_message(2, Annotation::Delete)),
        (ann(), Ask::Update(Box::new(update))),
        (ann(), Ask::Promote { member: user("bob"), role: Role::Moderator }),
        (ann(), Ask::Close),
        (ann(), Ask::Reopen),
        (ann(), Ask::Remove(user("joe"))),
        // The last admin's leaving promotes another.
        (ann(), Ask::Leave),
        (user("bob"), Ask::Add(vec![ann()])),
        (user("eve"), Ask::Mark(MarkAsk { read: Some(3), delivered: Some(5) })),
        (user("eve"), Ask::Mark(MarkAsk { read: Some(4), delivered: None })),
    ];
    let mut machine = owner(1);
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
    // What was marked is stored a little later.
    let mut effects = Vec::new();
    machine.tick(Now { mono: NOW.mono * 2, ..NOW }, &mut effects);
    effects.into_iter().for_each(|effect| drop(story.note(effect)));
    assert!(story.rows.len() == 15 && !story.overlays.is_empty() && story.reactor.is_some(), "{story:?}");
    assert!(story.members.len() == 4 && story.record.is_some(), "{story:?}");
    assert_eq!(story.marks.iter().map(|mark| mark.kind).collect::<Vec<_>>(), [0, 0, 0, 0, 1], "{story:?}");
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
                self.raise(projection.marks);
                projection.overlays.into_iter().chain(projection.record).for_each(|write| self.project(write));
                Some(Input::Projected { key, result: Ok(Written::up_to(projection.through)) })
            }
            Effect::Raise(marks) => {
                self.raise(marks);
                Some(Input::Raised(Ok(())))
            }
            Effect::Read { key, ticket, plan } => {
                let rows = (0..).zip(&self.rows).map(|(seq, row)| row.as_ref().encode(&key, seq)).collect();
                let shelf = Shelf { rows, overlays: self.overlays.clone(), ..Shelf::default() };
                let result = read(&shelf, &key, plan).map_err(|error| failed(&error));
                Some(Input::Read { ticket, result })
            }
            _ => None,
        }
    }

    fn raise(&mut self, marks: Vec<Mark>) {
        for Mark { user, kind, at, value, .. } in marks {
            self.marks.retain(|mark| (mark.kind, &mark.user) != (kind, &user));
            self.marks.push(StoredMark { user, kind, at, value });
        }
        self.marks.sort_by(|a, b| (a.kind, &a.user).cmp(&(b.kind, &b.user)));
    }

    fn project(&mut self, write: ProjectionWrite) {
        match write {
            ProjectionWrite::Conversation { at, record, .. } => {
                self.record = Some(Record { applied: at, fields: record });
            }
            ProjectionWrite::Overlay { target, at, value, .. } => {
                self.overlays.retain(|overlay| overlay.target != target);
                self.overlays.push(Overlay { target, at, value });
            }
            ProjectionWrite::Decision { .. } => panic!("nobody decided anything"),
            ProjectionWrite::Reactor { at, value, .. } => self.reactor = Some(Reactor { at, value }),
            ProjectionWrite::Member { value: None, .. } => {}
            ProjectionWrite::Member { user, at, value: Some(value), .. }
            | ProjectionWrite::Listed { user, at, value, .. } => {
                if self.members.iter().all(|member| member.user != user) {
                    self.members.push(StoredMember { user, at, value });
                }
            }
        }
    }
}
