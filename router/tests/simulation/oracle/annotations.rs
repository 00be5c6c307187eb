//! What became of messages: that everybody is shown what they were at some moment between the question and the answer, that
//! only those changed them who may, and that nothing is stored that changes nothing.

use switchyard_cluster::link::Annotation;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::{self, event::Body};
use switchyard_store::{Row, Seq};

use super::Oracle;
use crate::ask::{Asked, What};
use crate::present::{DELETE, EDIT, REACT, form, target};
use crate::timeline::{CHANGE, Timeline, said, user};
use prost::Message as _;

impl Oracle {
    /// Whether this is what the asker may be shown of a message: as it was after some event while the request was under way.
    pub(super) fn is_shown(&self, asked: &Asked, got: &v1::Message) -> bool {
        let Some(timeline) = self.timelines.get(&asked.key) else { return false };
        let Some(high) = self.head(&asked.key) else { return false };
        let low = asked.low.unwrap_or(0).max(got.seq);
        if timeline.entries.get(got.seq as usize).is_none_or(|entry| !entry.is_message()) {
            return false;
        }
        (low..=high).any(|upto| {
            let mut shown = timeline.shown(&asked.key, got.seq, upto, Some(&asked.user));
            shown.quote = self.quote(timeline, asked, &shown, upto, got);
            shown == *got
        })
    }

    /// The quote that is shown, or none where what it answers may be gone by retention.
    fn quote(
        &self,
        timeline: &Timeline,
        asked: &Asked,
        shown: &v1::Message,
        upto: Seq,
        got: &v1::Message,
    ) -> Option<v1::Quote> {
        let quote = timeline.quote(&asked.key, shown, upto)?;
        let gone = answered(shown).is_some_and(|seq| seq < self.may_be_gone_below(&asked.key));
        if gone && got.quote.is_none() { None } else { Some(quote) }
    }

    /// Whether a sender is told of their new message what it is: its quote may be as old as the request.
    pub(super) fn is_sent(&self, asked: &Asked, got: &v1::Message) -> bool {
        let timeline = &self.timelines[&asked.key];
        let mut shown = timeline.shown(&asked.key, got.seq, got.seq, None);
        shown.quote.clone_from(&got.quote);
        shown == *got && self.is_quoted(timeline, &asked.key, got)
    }

    /// Whether the quote in a message is what was to be seen at some time before it was stored.
    fn is_quoted(&self, timeline: &Timeline, key: &ConversationKey, got: &v1::Message) -> bool {
        let Some(seq) = answered(got) else { return got.quote.is_none() };
        seq < got.seq && (seq..got.seq).any(|upto| timeline.quote(key, got, upto) == got.quote)
    }

    /// Whether an event that was missed is told as it may be: messages in their present form.
    pub(super) fn is_told(&self, asked: &Asked, got: &v1::Event) -> bool {
        let timeline = &self.timelines[&asked.key];
        let Some(entry) = timeline.entries.get(got.seq as usize) else { return false };
        match &got.body {
            Some(Body::Message(message)) => message.seq == got.seq && self.is_shown(asked, message),
            Some(Body::Updated(message)) => {
                target(&entry.row) == Some(message.seq) && entry.row.kind == EDIT && self.is_shown(asked, message)
            }
            // Of what retention has dropped nothing can be shown.
            None => {
                let gone = self.may_be_gone_below(&asked.key);
                entry.row.kind == EDIT && target(&entry.row).is_some_and(|target| target < gone)
            }
            Some(_) => *got == timeline.live(&asked.key, got.seq),
        }
    }

    /// Whether an event is told live as it may be.
    pub(super) fn is_live(&self, key: &ConversationKey, seq: Seq, got: &v1::Event) -> bool {
        let timeline = &self.timelines[key];
        let mut expected = timeline.live(key, seq);
        if let (Some(Body::Message(expected)), Some(Body::Message(got))) = (&mut expected.body, &got.body) {
            if !self.is_quoted(timeline, key, got) {
                return false;
            }
            expected.quote.clone_from(&got.quote);
        }
        expected == *got
    }

    /// What is wrong with a row that changes a message: nothing may be stored that changes nothing, or that its sender may
    /// not do.
    pub(super) fn wrong_annotation(&self, key: &ConversationKey, seq: Seq) -> Option<&'static str> {
        let timeline = &self.timelines[key];
        let row = &timeline.entries[seq as usize].row;
        let target = target(row)?;
        let before = &timeline.entries[seq.checked_sub(1)? as usize];
        let Some(on) = timeline.entries.get(target as usize).filter(|on| on.is_message() && target < seq) else {
            return Some("it changes what is no message");
        };
        let sender = user(row.sender());
        let own = on.row.sender() == row.sender();
        let present = timeline.present(target, seq - 1);
        if before.profile.closed {
            return Some("a message of a closed conversation changed");
        }
        if present.deleted {
            return Some("it was deleted before");
        }
        match row.kind {
            EDIT if !own => Some("it is another one's"),
            DELETE if !own && (!before.above(&sender)) => Some("no right to delete"),
            REACT => {
                let react = form::React::decode(row.body.clone()).expect("an emoji");
                let after = timeline.present(target, seq).given(&react.emoji);
                if present.gives(&sender, &react.emoji) != react.removed {
                    return Some("it changes nothing");
                }
                (react.count != after).then_some("it counts wrong")
            }
            _ => None,
        }
    }

    /// Whether the asker may have had no right to do this to a message.
    pub(super) fn annotation_forbidden(&self, asked: &Asked) -> bool {
        let Some(target) = asked.what.about() else { return false };
        let Some(on) = self.entry(&asked.key, target) else { return false };
        let own = on.is_message() && on.row.sender() == asked.user.as_str();
        self.at_some_time(asked, |at| {
            let Some((_, entry)) = at else { return false };
            let plain = !entry.above(&asked.user);
            match &asked.what {
                What::Annotate(ask) => match ask.change {
                    Annotation::Edit { .. } => !own,
                    Annotation::Delete => !own && plain,
                    Annotation::React { .. } => false,
                },
                What::Pin { .. } => plain && !entry.direct(),
                _ => false,
            }
        })
    }

    /// Whether there may have been no such message: never, not yet, or no more.
    pub(super) fn may_be_no_message(&self, asked: &Asked, target: Seq) -> bool {
        let timeline = &self.timelines[&asked.key];
        let is_message = timeline.entries.get(target as usize).is_some_and(|entry| entry.is_message());
        let high = self.head(&asked.key).unwrap_or(0);
        !is_message
            || asked.low.unwrap_or(0) < target
            || target < self.may_be_gone_below(&asked.key)
            || timeline.present(target, high).deleted
    }

    /// Whether a change of a message that is said to be done is.
    pub(super) fn annotated(&mut self, asked: &Asked, seq: Seq) -> Option<String> {
        let timeline = &self.timelines[&asked.key];
        let row = &timeline.entries.get(seq as usize)?.row;
        let own = row.sender() == asked.user.as_str() && asked.low < Some(seq);
        if own && does(row, &asked.what) {
            self.saw("annotated");
            return None;
        }
        let so = self.at_some_time(asked, |at| at.is_some_and(|(at, _)| at == seq && is_so(timeline, asked, at)));
        if so {
            self.saw("annotated already");
            return None;
        }
        Some("it neither happened nor was so".into())
    }

    /// A record reaches a deletion only when nothing of the text is left.
    pub(super) fn erased(&self, key: &ConversationKey, applied: Seq) -> Option<String> {
        let timeline = &self.timelines[key];
        let inner = self.disk.inner();
        let blobs = &inner.rows.get(key)?.blobs;
        let decode = |seq: Seq| Row::decode(key, seq, &blobs[seq as usize]).expect("it is intact");
        for (message, events) in &timeline.annotations {
            let deleted = |at: &&Seq| timeline.entries[**at as usize].row.kind == DELETE && **at <= applied;
            if !events.iter().any(|at| deleted(&at)) {
                continue;
            }
            let texts = events.iter().filter(|at| timeline.entries[**at as usize].row.kind == EDIT);
            let left = texts.map(|at| form::Edit::decode(decode(*at).body).expect("an edit").text);
            if let Some(text) = left.chain([said(&decode(*message)).1]).find(|text| !text.is_empty()) {
                return Some(format!("the record reaches {applied}, but of {message} is left: {text}"));
            }
        }
        None
    }
}

fn answered(message: &v1::Message) -> Option<Seq> {
    message.reply_to.as_ref()?.rsplit('.').next()?.parse().ok()
}

/// Whether this row does what was asked.
fn does(row: &Row, what: &What) -> bool {
    let body = row.body.clone();
    match what {
        What::Pin { target, remove } => {
            let change = (row.kind == CHANGE).then(|| crate::timeline::form::Change::decode(body).expect("a change"));
            change.is_some_and(|change| {
                (change.pinned, change.unpinned) == if *remove { (None, Some(*target)) } else { (Some(*target), None) }
            })
        }
        What::Annotate(ask) if target(row) == Some(ask.target) => match &ask.change {
            Annotation::Edit { text, .. } => {
                row.kind == EDIT && form::Edit::decode(body).is_ok_and(|edit| edit.text == **text)
            }
            Annotation::Delete => row.kind == DELETE,
            Annotation::React { emoji, remove } => {
                row.kind == REACT
                    && form::React::decode(body).is_ok_and(|react| react.emoji == **emoji && react.removed == *remove)
            }
        },
        _ => false,
    }
}

/// Whether what was asked is so after this event.
fn is_so(timeline: &Timeline, asked: &Asked, at: Seq) -> bool {
    match &asked.what {
        What::Pin { target, remove } => timeline.entries[at as usize].profile.pins.contains(target) != *remove,
        What::Annotate(ask) => {
            let present = timeline.present(ask.target, at);
            match &ask.change {
                Annotation::Edit { text, .. } => {
                    let sent = || said(&timeline.entries[ask.target as usize].row).1;
                    present.text.map_or_else(sent, |(text, _)| text) == **text
                }
                Annotation::Delete => present.deleted,
                Annotation::React { emoji, remove } => present.gives(&asked.user, emoji) != *remove,
            }
        }
        _ => false,
    }
}
