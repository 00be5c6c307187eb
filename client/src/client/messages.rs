//! What the application does to messages that are there. Each is named by its id, as [`v1::Message::id`] has it.

use switchyard_protocol::v1;

use super::{Client, owned};
use crate::core::Call;
use crate::error::Error;

impl Client {
    /// Gives an own message another text, and others whom it mentions. Those who read the conversation get
    /// [`Event::Updated`](crate::Event::Updated).
    pub async fn edit(&self, message: &str, text: &str, mentions: &[&str]) -> Result<v1::Changed, Error> {
        let (id, mentions) = (Some(message.to_owned()), owned(mentions));
        self.change(Call::Edit(v1::Edit { id, text: text.to_owned(), mentions, ..v1::Edit::default() })).await
    }

    /// Deletes a message for all: an own one, or anybody's for an admin or moderator of a group. Its text is gone wherever
    /// it was stored. Deleted twice, it is as if deleted once.
    pub async fn delete(&self, message: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Delete(v1::Delete { id: Some(message.to_owned()), ..v1::Delete::default() })).await
    }

    /// Gives a message an emoji. Given twice, it is as if given once.
    pub async fn react(&self, message: &str, emoji: &str) -> Result<v1::Changed, Error> {
        self.reaction(message, emoji, false).await
    }

    /// Takes an own emoji away.
    pub async fn unreact(&self, message: &str, emoji: &str) -> Result<v1::Changed, Error> {
        self.reaction(message, emoji, true).await
    }

    async fn reaction(&self, message: &str, emoji: &str, remove: bool) -> Result<v1::Changed, Error> {
        let (id, emoji) = (Some(message.to_owned()), emoji.to_owned());
        self.change(Call::React(v1::React { id, emoji, remove, ..v1::React::default() })).await
    }

    /// Puts a message among the pinned ones of its conversation.
    pub async fn pin(&self, message: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Pin(v1::Pin { id: Some(message.to_owned()), ..v1::Pin::default() })).await
    }

    /// Takes a message from the pinned ones.
    pub async fn unpin(&self, message: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Pin(v1::Pin { id: Some(message.to_owned()), remove: true, ..v1::Pin::default() })).await
    }
}
