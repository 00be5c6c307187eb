//! Messages of one conversation that are being changed: what they are now, what waits to change them, and what of it is not
//! written to their overlays yet. Whoever reads such a message from the store is given its present form from here.
//!
//! A message stays here as long as something waits for it, its overlay is not written, or a read that began before it was
//! written may still come back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, MessageId, UserId};
use switchyard_protocol::v1;
use switchyard_store::{ProjectionWrite, Seq};

use crate::annotation::{self, AnnotationEvent, DeleteEvent, OverlayRecord, ReactorRecord};
use crate::machine::writing::pipeline::Pending;
use crate::stored;

/// A message and its overlay, as they were read; and, if that was asked for, what one user gave it.
#[derive(Clone, Debug)]
pub struct TargetRead {
    /// As it was sent.
    pub(crate) message: v1::Message,
    pub(crate) overlay: OverlayRecord,
    /// The number of the event that the overlay follows from; 0 if there is none.
    pub(crate) at: Seq,
    pub(crate) reactors: Vec<(UserId, Reactor)>,
}

/// What a user gave a message.
#[derive(Clone, Default, Debug)]
pub(crate) struct Reactor {
    /// The number of the event that this follows from; 0 if there is none.
    pub(crate) at: Seq,
    pub(crate) record: ReactorRecord,
    /// It is not written yet.
    unwritten: bool,
}

impl Reactor {
    /// As it is stored.
    pub(crate) fn stored(at: Seq, record: ReactorRecord) -> Self {
        Self { at, record, unwritten: false }
    }
}

/// A message that is known.
#[derive(Debug)]
pub(crate) struct Known {
    /// As it was sent.
    message: v1::Message,
    pub(crate) overlay: OverlayRecord,
    at: Seq,
    reactors: BTreeMap<UserId, Reactor>,
}

impl Known {
    pub(crate) fn sender(&self) -> &str {
        &self.message.sender
    }

    /// What deleting it is.
    pub(crate) fn deletion(&self, target: Seq) -> DeleteEvent {
        DeleteEvent { target, uncounted: self.message.kind() == v1::MessageKind::System }
    }

    /// The text and the mentions that are shown now.
    pub(crate) fn says(&self) -> (&str, &[String]) {
        match &self.overlay.text {
            Some(text) => (text, &self.overlay.mentions),
            None => (&self.message.text, &self.message.mentions),
        }
    }

    /// What this user gave it. Nothing if that is not known.
    pub(crate) fn reactor(&self, user: &UserId) -> Option<&ReactorRecord> {
        self.reactors.get(user).map(|reactor| &reactor.record)
    }

    /// As it is now, but for its quote.
    pub(crate) fn shown(&self) -> v1::Message {
        let mut message = self.message.clone();
        self.overlay.show(&mut message);
        message
    }
}

impl From<TargetRead> for Known {
    fn from(read: TargetRead) -> Self {
        let TargetRead { message, overlay, at, reactors } = read;
        Self { message, overlay, at, reactors: reactors.into_iter().collect() }
    }
}

/// One message that is being changed.
#[derive(Debug, Default)]
pub(crate) struct Target {
    known: Option<Known>,
    /// A read of it is under way.
    pub(crate) reading: bool,
    /// What waits for a read, in order.
    pub(crate) waiting: VecDeque<Pending>,
    /// Its overlay says less than is known.
    unwritten: bool,
    /// Its overlay is being written.
    writing: bool,
    /// Its texts are to be overwritten once the overlay says that it is deleted.
    erase: bool,
    /// Reads with lower numbers may have seen it before it was written.
    written_at: u64,
}

impl Target {
    /// One that was read.
    pub(crate) fn read(read: TargetRead) -> Self {
        Self { known: Some(read.into()), ..Self::default() }
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Whether its overlay says less than is known.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.unwritten
    }

    /// Takes in what was read; what is known already is newer.
    pub(crate) fn learn(&mut self, read: TargetRead) {
        match &mut self.known {
            None => self.known = Some(read.into()),
            Some(known) => {
                for (user, reactor) in read.reactors {
                    known.reactors.entry(user).or_insert(reactor);
                }
            }
        }
    }

    /// The event with this number is committed. Whatever follows from it already is not touched.
    pub(crate) fn apply(&mut self, event: &AnnotationEvent, by: &UserId, seq: Seq, time_ms: u64) {
        let Some(known) = &mut self.known else { return };
        if let AnnotationEvent::React(react) = event {
            let reactor = known.reactors.entry(by.clone()).or_default();
            if reactor.at < seq {
                reactor.record.apply(react);
                (reactor.at, reactor.unwritten) = (seq, true);
                self.unwritten = true;
            }
        }
        if known.at < seq {
            known.overlay.apply(event, seq, time_ms);
            known.at = seq;
            self.unwritten = true;
        }
        if matches!(event, AnnotationEvent::Delete(_)) {
            // Even if the overlay says so already: the texts may still be there.
            (self.erase, self.unwritten) = (true, true);
        }
    }
}

/// What is to be written of the messages that were changed.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    pub(crate) overlays: Vec<ProjectionWrite>,
    /// Numbers of rows whose texts are to be overwritten afterwards.
    pub(crate) erase: Vec<Seq>,
}

/// All of them, and the reads that are under way.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    targets: BTreeMap<Seq, Target>,
    reads: BTreeSet<u64>,
    next_read: u64,
}

impl Targets {
    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.reads.is_empty()
    }

    /// How many requests wait for reads.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Pending> {
        self.targets.values().flat_map(|target| &target.waiting)
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<&Known> {
        self.targets.get(&seq)?.known()
    }

    pub(crate) fn get_mut(&mut self, seq: Seq) -> Option<&mut Target> {
        self.targets.get_mut(&seq)
    }

    pub(crate) fn entry(&mut self, seq: Seq) -> &mut Target {
        self.targets.entry(seq).or_default()
    }

    /// A read of messages begins; gives its number.
    pub(crate) fn begin_read(&mut self) -> u64 {
        self.next_read += 1;
        self.reads.insert(self.next_read);
        self.next_read
    }

    /// A read has come back.
    pub(crate) fn end_read(&mut self, number: u64) {
        self.reads.remove(&number);
    }

    /// What is not written yet; from now on it is being written.
    pub(crate) fn take_unwritten(&mut self, key: &ConversationKey) -> Unwritten {
        let mut taken = Unwritten::default();
        for (&seq, target) in self.targets.iter_mut().filter(|(_, target)| target.unwritten) {
            let Some(known) = &mut target.known else { continue };
            let value = stored::encode(&known.overlay);
            taken.overlays.push(ProjectionWrite::Overlay { key: key.clone(), target: seq, at: known.at, value });
            for (user, reactor) in known.reactors.iter_mut().filter(|(_, reactor)| reactor.unwritten) {
                reactor.unwritten = false;
                let value = (!reactor.record.emoji.is_empty()).then(|| stored::encode(&reactor.record));
                let (key, user, at) = (key.clone(), user.clone(), reactor.at);
                taken.overlays.push(ProjectionWrite::Reactor { key, target: seq, user, at, value });
            }
            if std::mem::take(&mut target.erase) {
                taken.erase.push(seq);
                taken.erase.extend(&known.overlay.edits);
            }
            (target.unwritten, target.writing) = (false, true);
        }
        taken
    }

    /// Whether there is something to write.
    pub(crate) fn unwritten(&self) -> bool {
        self.targets.values().any(|target| target.unwritten)
    }

    /// What was being written is written.
    pub(crate) fn written(&mut self) {
        for target in self.targets.values_mut().filter(|target| target.writing) {
            target.writing = false;
            target.written_at = self.next_read + 1;
        }
    }

    /// Lets go of what nobody needs any more, but for the messages with these numbers.
    pub(crate) fn forget(&mut self, needed: &BTreeSet<Seq>) {
        let oldest = self.reads.first().copied().unwrap_or(u64::MAX);
        self.targets.retain(|seq, target| {
            let busy = target.reading || target.unwritten || target.writing || !target.waiting.is_empty();
            busy || oldest < target.written_at || needed.contains(seq)
        });
    }

    /// Takes out all that waits for this message, which cannot be read.
    pub(crate) fn give_up(&mut self, seq: Seq) -> VecDeque<Pending> {
        let Some(target) = self.targets.get_mut(&seq) else { return VecDeque::new() };
        target.reading = false;
        std::mem::take(&mut target.waiting)
    }

    /// The same of an encoded message, with whether it is pinned.
    pub(crate) fn freshened(&self, encoded: Bytes, user: &UserId, pins: &[Seq]) -> Bytes {
        if self.targets.is_empty() && pins.is_empty() {
            return encoded;
        }
        let Some(mut message) = stored::decode::<v1::Message>(&encoded) else { return encoded };
        self.freshen(&mut message, user);
        message.pinned = pins.contains(&message.seq);
        stored::encode(&message)
    }

    /// Puts what is known here in place of what was read from the store, as this user sees it.
    pub(crate) fn freshen(&self, message: &mut v1::Message, user: &UserId) {
        if self.targets.is_empty() {
            return;
        }
        if let Some(known) = self.get(message.seq) {
            let quote = message.quote.take();
            let mine: Vec<String> =
                message.reactions.iter().filter(|given| given.mine).map(|given| given.emoji.clone()).collect();
            *message = known.shown();
            match known.reactor(user) {
                Some(reactor) => reactor.show(message),
                // The user has done nothing lately, so what was read still holds.
                None => ReactorRecord { emoji: mine }.show(message),
            }
            message.quote = quote.filter(|_| !message.deleted);
        }
        let answered = message.reply_to.as_deref().and_then(|id| MessageId::parse(id).ok());
        if let Some(known) = answered.and_then(|id| self.get(id.seq)) {
            message.quote = Some(annotation::quote(&known.shown()));
        }
    }
}
