//! Cuts answers to what one may have once it is encoded. Owners count the bytes of bodies; in JSON one byte can become
//! six, and only the edge knows which form a client speaks.

use std::io;

use serde::Serialize;
use switchyard_protocol::frame::Form;
use switchyard_protocol::limits::PAGE_BYTES_MAX;
use switchyard_protocol::v1::{self, reply::Result as Reply};

/// Bytes of a page in the client's form. Twice those of its bodies: room for all other fields, so that only text of which
/// much must be escaped is ever cut. One message may have more.
pub const PAGE_ENCODED_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX;

/// How many times longer JSON can be than protobuf, about: a control character is written as `\u0001`.
const JSON_GROWTH: usize = 6;

/// Leaves what fits of a page; the rest is for the client to ask for, as of any page.
pub(super) fn fit(form: Form, result: &mut Reply) {
    if form == Form::Proto || result.encoded_len() * JSON_GROWTH <= PAGE_ENCODED_BYTES_MAX {
        return;
    }
    let mut room = Room { bytes: PAGE_ENCODED_BYTES_MAX, used: false };
    match result {
        Reply::Page(page) => page.more |= room.cut(&mut page.messages),
        Reply::Members(page) => page.more |= room.cut(&mut page.members),
        Reply::Marks(page) => page.more |= room.cut(&mut page.marks),
        Reply::Blocks(page) => page.more |= room.cut(&mut page.users),
        Reply::Listed(page) => page.more |= room.cut(&mut page.conversations),
        Reply::Resumed(resumed) => {
            for conversation in &mut resumed.conversations {
                fit_conversation(&mut room, conversation);
            }
        }
        _ => {}
    }
}

fn fit_conversation(room: &mut Room, conversation: &mut v1::ResumedConversation) {
    conversation.more |= room.cut(&mut conversation.events);
}

/// What one answer still has room for.
struct Room {
    bytes: usize,
    used: bool,
}

impl Room {
    /// Leaves what fits; the first of the whole answer always does, so that a client gets on. `true`: something did not.
    fn cut(&mut self, list: &mut Vec<impl Serialize>) -> bool {
        let mut kept = 0;
        for item in list.iter() {
            let bytes = json_len(item);
            if self.used && self.bytes < bytes {
                // What comes behind would leave a hole, or only make the answer longer.
                self.bytes = 0;
                break;
            }
            self.used = true;
            self.bytes = self.bytes.saturating_sub(bytes);
            kept += 1;
        }
        let cut = kept < list.len();
        list.truncate(kept);
        cut
    }
}

/// Bytes of this in JSON, which nobody writes.
fn json_len(item: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail, and frames hold only what JSON can say.
    let _ = serde_json::to_writer(&mut count, item);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> v1::Message {
        v1::Message { text: text.to_owned(), ..Default::default() }
    }

    #[test]
    fn a_page_is_cut_by_what_it_is_in_the_clients_form() {
        let (plain, control) = ("x".repeat(60 * 1024), "\u{1}".repeat(60 * 1024));
        for (text, form, kept) in [(&plain, Form::Json, 4), (&control, Form::Proto, 4), (&control, Form::Json, 1)] {
            let mut page = Reply::Page(v1::Page { messages: vec![message(text); 4], ..Default::default() });
            fit(form, &mut page);
            let Reply::Page(page) = page else { panic!("the same kind") };
            assert_eq!((page.messages.len(), page.more), (kept, kept < 4), "{form:?}");
        }
    }

    #[test]
    fn what_was_cut_is_told() {
        let user = "\u{1}".repeat(128);
        let members = vec![v1::Member { user, role: 0 }; 1_000];
        let mut page = Reply::Members(v1::MemberPage { members, more: false });
        fit(Form::Json, &mut page);
        let Reply::Members(page) = page else { panic!("the same kind") };
        assert!(page.more && page.members.len() < 1_000);
        assert!(json_len(&page) < PAGE_ENCODED_BYTES_MAX + 1_024);

        let text = "\u{1}".repeat(60 * 1024);
        let body = Some(v1::event::Body::Message(message(&text)));
        let events = vec![v1::Event { conversation: String::new(), seq: 1, body }; 2];
        let conversation = v1::ResumedConversation { events, ..Default::default() };
        let empty = v1::ResumedConversation::default();
        let mut resumed =
            Reply::Resumed(v1::Resumed { conversations: vec![conversation.clone(), empty, conversation] });
        fit(Form::Json, &mut resumed);
        let Reply::Resumed(resumed) = resumed else { panic!("the same kind") };
        let counts: Vec<_> = resumed.conversations.iter().map(|it| (it.events.len(), it.more)).collect();
        assert_eq!(counts, [(1, true), (0, false), (0, true)]);
    }
}
