//! What is shown: a line for each event, with everything escaped that could play tricks on a terminal.

use std::fmt::Display;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use switchyard_client::protocol::v1;
use switchyard_client::{Event, Printable};

/// A line on stdout; the reader may have gone.
pub(crate) fn print(line: impl Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("stdout is closed")
}

/// A message.
pub(crate) fn message(message: &v1::Message) -> String {
    let text = if message.deleted { "(deleted)" } else { &message.text };
    format!("[{}] {}: {}", message.seq, Printable(&message.sender), Printable(text))
}

/// What happened, if it belongs to the timeline.
pub(crate) fn event(event: &Event) -> Option<String> {
    let (seq, what) = match event {
        Event::Message(it) => return Some(message(it)),
        Event::Gap { missed_from, first_available, .. } => {
            return Some(format!("* numbers {missed_from} to {} are no longer kept", first_available - 1));
        }
        Event::Members { seq, change, .. } => (seq, members(change)),
        Event::Changed { seq, change, .. } => (seq, changed(change)),
        Event::Updated { seq, message, .. } => {
            (seq, format!("[{}] now says: {}", message.seq, Printable(&message.text)))
        }
        Event::Deleted { seq, deleted, .. } => {
            (seq, format!("{} deleted [{}]", Printable(&deleted.by), number(&deleted.id)))
        }
        Event::Reacted { seq, reacted, .. } => {
            let (user, emoji) = (Printable(&reacted.user), Printable(&reacted.emoji));
            let deed = if reacted.removed { "took back" } else { "gave" };
            (seq, format!("{user} {deed} {emoji} to [{}]", number(&reacted.id)))
        }
        // Who types, who is online, how far others have read, and other conversations.
        _ => return None,
    };
    Some(format!("[{seq}] * {what}"))
}

/// Who came, who went, and whose role is another now.
fn members(change: &v1::MembersChanged) -> String {
    let by = Printable(&change.by);
    let mut deeds = Vec::new();
    if !change.added.is_empty() {
        let users: Vec<_> = change.added.iter().map(|member| Printable(&member.user).to_string()).collect();
        deeds.push(format!("{by} added {}", users.join(", ")));
    }
    for user in &change.removed {
        deeds.push(match *user == change.by {
            true => format!("{by} left"),
            false => format!("{by} removed {}", Printable(user)),
        });
    }
    for member in &change.promoted {
        deeds.push(format!("{} is now {}", Printable(&member.user), word(member.role().as_str_name())));
    }
    deeds.join("; ")
}

/// What is new about the conversation itself.
fn changed(change: &v1::ConversationChanged) -> String {
    let by = Printable(&change.by);
    let mut deeds = Vec::new();
    for (what, text) in [("name", &change.name), ("avatar", &change.avatar), ("context", &change.context)] {
        match text.as_deref() {
            None => {}
            Some("") => deeds.push(format!("took away the {what}")),
            Some(text) => deeds.push(format!("changed the {what} to {}", Printable(text))),
        }
    }
    let decided = [
        (change.closed, "closed it: it can only be read", "reopened it"),
        (change.accepted, "accepted the request", "declined the request"),
        (change.erased, "erased it", ""),
    ];
    for (decided, yes, no) in decided {
        deeds.extend(decided.map(|decided| if decided { yes } else { no }.to_owned()));
    }
    deeds.extend(change.pinned.as_deref().map(|id| format!("pinned [{}]", number(id))));
    deeds.extend(change.unpinned.as_deref().map(|id| format!("unpinned [{}]", number(id))));
    format!("{by} {}", deeds.join(", "))
}

/// A name of the protocol as people write it.
pub(crate) fn word(name: &str) -> String {
    name.to_lowercase().replace('_', " ")
}

/// The number in a message's id.
fn number(id: &str) -> Printable<'_> {
    Printable(id.rsplit('.').next().unwrap_or_default())
}
