//! What a user decides for oneself: whom to hear nothing from, and what the list leaves out.

use switchyard_protocol::v1::{self, reply};

use super::Client;
use crate::core::Call;
use crate::error::Error;

impl Client {
    /// From the answer on, this user and the asker cannot write to each other in their direct conversations, and this user can
    /// neither begin one with the asker nor bring the asker into a group; to be asked again after [`Error::Unknown`]. Groups of
    /// both go on as before. Nothing happens if it is so already; at most 1,000 users, more are refused as `CONFLICT`.
    pub async fn block(&self, user: &str) -> Result<(), Error> {
        self.decide(Call::Block(v1::Block { user: user.to_owned() })).await
    }

    /// Ends what [`Client::block`] began.
    pub async fn unblock(&self, user: &str) -> Result<(), Error> {
        self.decide(Call::Unblock(v1::Unblock { user: user.to_owned() })).await
    }

    /// A page of the users whom the asker has blocked, in the order of their ids, after one of them; `limit` 0 for as many as the
    /// server likes.
    pub async fn blocks(&self, after: Option<&str>, limit: u32) -> Result<v1::BlockPage, Error> {
        match self.call(Call::Blocks(v1::Blocks { after: after.map(str::to_owned), limit })).await? {
            reply::Result::Blocks(page) => Ok(page),
            _ => Err(Error::BadAnswer),
        }
    }

    /// The asker's own list leaves the conversation out from now on, unless [`v1::List::archived`] asks for what is archived. New
    /// messages come as before and do not end it; leaving the conversation does.
    pub async fn archive(&self, conversation: &str) -> Result<(), Error> {
        self.decide(Call::Archive(v1::Archive { conversation: conversation.to_owned() })).await
    }

    /// Ends what [`Client::archive`] began.
    pub async fn unarchive(&self, conversation: &str) -> Result<(), Error> {
        self.decide(Call::Unarchive(v1::Unarchive { conversation: conversation.to_owned() })).await
    }

    async fn decide(&self, call: Call) -> Result<(), Error> {
        match self.call(call).await? {
            reply::Result::Done(_) => Ok(()),
            _ => Err(Error::BadAnswer),
        }
    }
}
