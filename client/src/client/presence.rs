//! Whom the application watches. All of it is said again by itself after a reconnect.

use switchyard_protocol::v1::{self, reply};

use super::{Client, owned};
use crate::driver::Command;
use crate::error::Error;

impl Client {
    /// Watches users with whom there is a direct conversation without a context, beside those who are watched already, 200 at
    /// most in all. Gives how it is with each; from then on [`Event::Presence`](crate::Event::Presence) tells what changes.
    /// Of whoever may not be watched, this says what it says of a user who was never there: also of the other one of a request, and
    /// where either has blocked the other. Once they accept, or write, the server is asked again by itself; so it is after an
    /// unblock on any device, with [`subscribe_all`](Client::subscribe_all). Waits until the server has
    /// answered, however long that takes.
    pub async fn watch(&self, users: &[&str]) -> Result<Vec<v1::UserPresence>, Error> {
        self.watch_through(users, None).await
    }

    /// The same with users who are in this conversation, which must be subscribed and have at most 100 members. It ends with
    /// the subscription, and when either is put out of it.
    pub async fn watch_in(&self, conversation: &str, users: &[&str]) -> Result<Vec<v1::UserPresence>, Error> {
        self.watch_through(users, Some(conversation.to_owned())).await
    }

    async fn watch_through(
        &self,
        users: &[&str],
        conversation: Option<String>,
    ) -> Result<Vec<v1::UserPresence>, Error> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let users = owned(users);
        match self.ask(|waiter| Command::Watch { users, conversation, waiter }, |closed| closed).await? {
            reply::Result::Watched(watched) => Ok(watched.presence),
            _ => Err(Error::BadAnswer),
        }
    }

    /// How many members of this conversation, which must be subscribed, are online; from then on
    /// [`Event::Online`](crate::Event::Online) tells when it is another number. Counts among those who are watched.
    pub async fn watch_online(&self, conversation: &str) -> Result<u64, Error> {
        let conversation = Some(conversation.to_owned());
        let watch = |waiter| Command::Watch { users: Vec::new(), conversation, waiter };
        match self.ask(watch, |closed| closed).await? {
            reply::Result::Watched(watched) => watched.counts.first().map(|one| one.online).ok_or(Error::BadAnswer),
            _ => Err(Error::BadAnswer),
        }
    }

    /// Watches these users no more.
    pub async fn unwatch(&self, users: &[&str]) -> Result<(), Error> {
        self.end_watches(owned(users), None, false).await
    }

    /// Does not want to know any more how many members of this conversation are online.
    pub async fn unwatch_online(&self, conversation: &str) -> Result<(), Error> {
        self.end_watches(Vec::new(), Some(conversation.to_owned()), false).await
    }

    /// Watches nobody any more.
    pub async fn unwatch_all(&self) -> Result<(), Error> {
        self.end_watches(Vec::new(), None, true).await
    }

    async fn end_watches(&self, users: Vec<String>, conversation: Option<String>, all: bool) -> Result<(), Error> {
        self.ask(|waiter| Command::Unwatch { users, conversation, all, waiter }, |closed| closed).await.map(drop)
    }
}
