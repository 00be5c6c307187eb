//! The application's handle: every request as a method, and the queue of events. What is done to messages that are there is
//! in `client/messages.rs`.

mod decisions;
mod messages;
mod presence;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use switchyard_protocol::v1::{self, MessageKind, reply};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::config::ClientConfig;
use crate::core::limits::SINCE_UNKNOWN;
use crate::core::{Call, From};
use crate::driver::{Channels, Command, Driver};
use crate::error::{Closed, Error};
use crate::event::{Event, State};
use crate::socket::Address;

/// A user's connection to Switchyard, which mends itself. Cheap to clone; when the last clone is gone, it closes without
/// waiting for what is unsent. [`Client::close`] waits.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    /// Bytes that requests without an answer may still take, wherever they wait.
    room: Arc<Semaphore>,
    state: watch::Receiver<State>,
    events: Arc<Mutex<mpsc::Receiver<Event>>>,
    close_timeout: Duration,
}

/// A message to send. [`Draft::text`] makes one that needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where to.
    pub conversation: String,
    /// The sender's own id for it: sent twice under one id, it is stored once. A random one if there is none.
    pub client_id: Option<String>,
    /// What it is. [`MessageKind::System`] is what a token with the role SERVICE sends, and nobody else.
    pub kind: MessageKind,
    /// Its body.
    pub text: String,
    /// The id of the message of the same conversation that it answers.
    pub reply_to: Option<String>,
    /// Members whom it names.
    pub mentions: Vec<String>,
    /// For a message that was sent before and whose outcome is [`Error::Unknown`]: the `since` of that error. Else none.
    pub since: Option<u64>,
    /// When to give up. Without it, the message is kept until the server has answered or the client is closed.
    pub timeout: Option<Duration>,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// As it is stored.
    pub message: v1::Message,
    /// It was stored by an earlier attempt already.
    pub duplicate: bool,
}

/// The answer to a [`Draft`] that was posted. Dropping it does not take the message back.
#[derive(Debug)]
pub struct PendingSend {
    client_id: String,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Awaited(oneshot::Receiver<Result<reply::Result, Error>>),
    Refused(Option<Error>),
}

/// The events of all subscriptions. All readers of one client share one queue: each event goes to one of them.
#[derive(Debug, Clone)]
pub struct Events {
    queue: Arc<Mutex<mpsc::Receiver<Event>>>,
}

impl Draft {
    /// A text message under a random id.
    pub fn text(conversation: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            conversation: conversation.into(),
            client_id: None,
            kind: MessageKind::Text,
            text: text.into(),
            reply_to: None,
            mentions: Vec::new(),
            since: None,
            timeout: None,
        }
    }

    /// The same as an answer to this message.
    pub fn reply_to(self, message: impl Into<String>) -> Self {
        Self { reply_to: Some(message.into()), ..self }
    }

    /// The same with these members mentioned.
    pub fn mentions(self, users: &[&str]) -> Self {
        Self { mentions: owned(users), ..self }
    }

    /// The same under this id.
    pub fn client_id(self, id: impl Into<String>) -> Self {
        Self { client_id: Some(id.into()), ..self }
    }
}

impl Client {
    /// Starts a client in the present tokio runtime. It connects by itself; requests wait until it has.
    pub fn connect(config: ClientConfig) -> Result<Self, Error> {
        let address = Address::new(&config.url, config.form, &config.trust)?;
        // The task takes commands at once; for one that gets no turn, the limit is that of what may wait anyway.
        let (commands, commands_end) = mpsc::channel(config.settings.pending_max.max(1));
        let (events_end, events) = mpsc::channel(config.events_max.max(1));
        let (state_end, state) = watch::channel(State::Connecting);
        let room = Arc::new(Semaphore::new(config.settings.pending_bytes_max.min(Semaphore::MAX_PERMITS)));
        let close_timeout = config.close_timeout;
        let channels = Channels { commands: commands_end, events: events_end, state: state_end };
        // The task ends by itself when the client is closed or its last handle is gone.
        tokio::spawn(Driver::new(config, address, channels).run());
        Ok(Self { commands, room, state, events: Arc::new(Mutex::new(events)), close_timeout })
    }

    /// Waits until the server knows who is here, or until it is clear that it never will.
    pub async fn ready(&self) -> Result<v1::Welcome, Error> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Online(welcome) => return Ok(welcome.clone()),
                State::Closed(closed) => return Err(Error::Closed(closed.clone())),
                State::Connecting => {}
            }
            if state.changed().await.is_err() {
                return Err(self.closed());
            }
        }
    }

    /// How the connection is, now and from now on.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The queue of events. Something must read it if anything is subscribed: an unread queue holds up all subscriptions
    /// (nothing is lost by it, it comes when there is room).
    pub fn events(&self) -> Events {
        Events { queue: Arc::clone(&self.events) }
    }

    /// Gets or makes the one direct conversation with this user in this context. After [`Error::Unknown`] it may exist
    /// already; asking again does no harm.
    pub async fn create_direct(&self, user: &str, context: Option<&str>) -> Result<Created, Error> {
        self.create(v1::Create {
            kind: v1::ConversationKind::Direct.into(),
            members: vec![user.to_owned()],
            context: context.map(str::to_owned),
            ..v1::Create::default()
        })
        .await
    }

    /// Gets or makes the one conversation of this kind with this user, in this context; in a support conversation, with
    /// nobody in particular as well. Who may have one with whom follows from the roles in their tokens.
    pub async fn create_of_kind(
        &self,
        kind: v1::ConversationKind,
        other: Option<&str>,
        context: Option<&str>,
    ) -> Result<Created, Error> {
        self.create(v1::Create {
            kind: kind.into(),
            members: other.into_iter().map(str::to_owned).collect(),
            context: context.map(str::to_owned),
            ..v1::Create::default()
        })
        .await
    }

    /// Makes a group of the asker, who is its admin, and these members. After [`Error::Unknown`] it may exist already.
    pub async fn create_group(&self, name: &str, members: &[&str]) -> Result<Created, Error> {
        self.create(v1::Create {
            kind: v1::ConversationKind::Group.into(),
            members: owned(members),
            name: Some(name.to_owned()),
            ..v1::Create::default()
        })
        .await
    }

    /// Makes a conversation with all that can be said of one.
    pub async fn create(&self, create: v1::Create) -> Result<Created, Error> {
        match self.call(Call::Create(create)).await? {
            reply::Result::Created(v1::Created { conversation: Some(conversation), created }) => {
                Ok(Created { conversation, created })
            }
            _ => Err(Error::BadAnswer),
        }
    }

    /// Sends a text message; gives it as stored.
    pub async fn send(&self, conversation: &str, text: &str) -> Result<Sent, Error> {
        self.post(Draft::text(conversation, text)).await
    }

    /// Sends a message, under an id of the caller's own for instance.
    pub async fn send_with(&self, draft: Draft) -> Result<Sent, Error> {
        self.post(draft).await
    }

    /// Queues a message now, in the order of these calls, and gives its answer to be awaited later or never. The message
    /// is kept and sent again, across reconnects, until it has a final answer.
    pub fn post(&self, draft: Draft) -> PendingSend {
        let chosen = draft.client_id.is_some();
        let client_id = draft.client_id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let send = v1::Send {
            conversation: draft.conversation,
            client_id: client_id.clone(),
            kind: draft.kind.into(),
            text: draft.text,
            since: draft.since,
            reply_to: draft.reply_to,
            mentions: draft.mentions,
        };
        let (waiter, answer) = oneshot::channel();
        let call = if chosen { Call::SendChosen(send) } else { Call::Send(send) };
        let queued = self.reserve(&call).and_then(|room| {
            let command = Command::Submit { call, timeout: draft.timeout, waiter, room };
            self.commands.try_send(command).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Error::TooManyPending,
                mpsc::error::TrySendError::Closed(_) => self.closed(),
            })
        });
        let answer = match queued {
            Ok(()) => Answer::Awaited(answer),
            Err(error) => Answer::Refused(Some(error)),
        };
        PendingSend { client_id, answer }
    }

    /// A page of messages; the request's fields say which. It may hold fewer than the limit although there are more, for
    /// its bytes are limited too: [`v1::Page::more`] says whether any follow in its direction.
    pub async fn history(&self, history: v1::History) -> Result<v1::Page, Error> {
        match self.call(Call::History(history)).await? {
            reply::Result::Page(page) => Ok(page),
            _ => Err(Error::BadAnswer),
        }
    }

    /// What happened after this number, other than messages too, oldest first: 500 events at most, of which
    /// [`v1::ResumedConversation::more`] says whether others follow. Live ones come by [`Client::events`]; a subscription to
    /// the conversation goes on where it is.
    pub async fn events_after(&self, conversation: &str, after: u64) -> Result<v1::ResumedConversation, Error> {
        let position = v1::Position { conversation: conversation.to_owned(), seq: after };
        match self.call(Call::Events(v1::Resume { positions: vec![position] })).await? {
            reply::Result::Resumed(mut resumed) => match resumed.conversations.pop() {
                Some(v1::ResumedConversation { error: Some(error), .. }) => Err(Error::rejected(&error)),
                Some(page) => Ok(page),
                None => Err(Error::BadAnswer),
            },
            _ => Err(Error::BadAnswer),
        }
    }

    /// The conversation as the asker sees it.
    pub async fn get(&self, conversation: &str) -> Result<v1::Conversation, Error> {
        match self.call(Call::Get(v1::Get { conversation: conversation.to_owned() })).await? {
            reply::Result::Detail(v1::Detail { conversation: Some(conversation) }) => Ok(conversation),
            _ => Err(Error::BadAnswer),
        }
    }

    /// A page of members in the order of their ids, after one of them; `limit` 0 for as many as the server likes.
    pub async fn members(&self, conversation: &str, after: Option<&str>, limit: u32) -> Result<v1::MemberPage, Error> {
        let members = v1::Members { conversation: conversation.to_owned(), after: after.map(str::to_owned), limit };
        match self.call(Call::Members(members)).await? {
            reply::Result::Members(page) => Ok(page),
            _ => Err(Error::BadAnswer),
        }
    }

    /// A page of the user's own conversations, newest activity first; the request's fields narrow it. Where
    /// [`v1::Listed::more`] says that there are more, ask again with its cursor.
    pub async fn list(&self, list: v1::List) -> Result<v1::Listed, Error> {
        match self.call(Call::List(list)).await? {
            reply::Result::Listed(page) => Ok(page),
            _ => Err(Error::BadAnswer),
        }
    }

    /// Adds members.
    pub async fn add(&self, conversation: &str, members: &[&str]) -> Result<v1::Changed, Error> {
        self.change(Call::Add(v1::Add { conversation: conversation.to_owned(), members: owned(members) })).await
    }

    /// Puts a member out.
    pub async fn remove(&self, conversation: &str, member: &str) -> Result<v1::Changed, Error> {
        let remove = v1::Remove { conversation: conversation.to_owned(), member: member.to_owned() };
        self.change(Call::Remove(remove)).await
    }

    /// Leaves.
    pub async fn leave(&self, conversation: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Leave(v1::Leave { conversation: conversation.to_owned() })).await
    }

    /// Gives a member of a group a higher role: moderator or admin. Nothing happens to one who has it or a higher one.
    pub async fn promote(&self, conversation: &str, member: &str, role: v1::Role) -> Result<v1::Changed, Error> {
        let (conversation, member) = (conversation.to_owned(), member.to_owned());
        self.change(Call::Promote(v1::Promote { conversation, member, role: Some(role.into()) })).await
    }

    /// Gives a member of a group a lower role: moderator or plain member. Nothing happens to one who has it or a lower
    /// one; the last admin stays.
    pub async fn demote(&self, conversation: &str, member: &str, role: v1::Role) -> Result<v1::Changed, Error> {
        let (conversation, member) = (conversation.to_owned(), member.to_owned());
        self.change(Call::Demote(v1::Demote { conversation, member, role: Some(role.into()) })).await
    }

    /// Makes the conversation read-only: messages and changes are refused as `CLOSED`, except to leave and to reopen.
    pub async fn close_conversation(&self, conversation: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Close(v1::Close { conversation: conversation.to_owned() })).await
    }

    /// Ends what [`Client::close_conversation`] began.
    pub async fn reopen_conversation(&self, conversation: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Reopen(v1::Reopen { conversation: conversation.to_owned() })).await
    }

    /// A group goes, for all, with everything that was said in it; for its admins. From then on everybody is answered as if it
    /// had never been, so who asks again after an unknown outcome and is refused as `NOT_FOUND` knows that it is gone.
    pub async fn erase(&self, conversation: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Erase(v1::Erase { conversation: conversation.to_owned() })).await
    }

    /// Wants a direct conversation that somebody else began; so does a message to it. Nothing happens to one that was accepted.
    pub async fn accept(&self, conversation: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Accept(v1::Accept { conversation: conversation.to_owned() })).await
    }

    /// Does not want it: who began it writes to it no more, until it is accepted after all.
    pub async fn decline(&self, conversation: &str) -> Result<v1::Changed, Error> {
        self.change(Call::Decline(v1::Decline { conversation: conversation.to_owned() })).await
    }

    /// Gives the conversation another name, avatar or context; what is none stays.
    pub async fn update(
        &self,
        conversation: &str,
        name: Option<&str>,
        avatar: Option<&str>,
        context: Option<&str>,
    ) -> Result<v1::Changed, Error> {
        self.change(Call::Update(v1::Update {
            conversation: conversation.to_owned(),
            name: name.map(str::to_owned),
            avatar: avatar.map(str::to_owned),
            context: context.map(str::to_owned),
        }))
        .await
    }

    /// Events of this conversation from now on go into [`Client::events`]: all that follow `after` (0 for everything
    /// that is kept), or from the present end if there is none. Gives the conversation's last number. Waits until the
    /// server has confirmed it, however long that takes; dropping the future does not take the subscription back.
    pub async fn subscribe(&self, conversation: &str, after: Option<u64>) -> Result<u64, Error> {
        let from = after.map_or(From::Now, From::After);
        let conversation = conversation.to_owned();
        match self.ask(|waiter| Command::Subscribe { conversation, from, waiter }, |closed| closed).await? {
            reply::Result::Subscribed(mut subscribed) => {
                subscribed.subscribed.pop().map(|one| one.head).ok_or(Error::BadAnswer)
            }
            _ => Err(Error::BadAnswer),
        }
    }

    /// Events of all conversations of the user from now on go into [`Client::events`], the newest 1,000 of them, and of
    /// those that the user is added to later: [`Event::Listed`] and [`Event::Unlisted`] tell of them. Gives those that
    /// there are, with their last numbers. It is said again by itself after a reconnect, and what was read goes on where
    /// it was. Waits until the server has answered, however long that takes.
    pub async fn subscribe_all(&self) -> Result<v1::Subscribed, Error> {
        match self.ask(|waiter| Command::SubscribeAll { waiter }, |closed| closed).await? {
            reply::Result::Subscribed(subscribed) => Ok(subscribed),
            _ => Err(Error::BadAnswer),
        }
    }

    /// No more events of this conversation; those already in the queue stay there.
    pub async fn unsubscribe(&self, conversation: &str) -> Result<(), Error> {
        let conversation = conversation.to_owned();
        self.ask(|waiter| Command::Unsubscribe { conversation, waiter }, |closed| closed).await.map(drop)
    }

    /// The conversations that the application shows now, in place of those before; 8 at most, each of which it must have
    /// subscribed to. Gives for each who types there, and from then on [`Event::Typing`] tells when that changes. It is
    /// said again by itself after a reconnect. Waits until the server has answered, however long that takes.
    pub async fn open(&self, conversations: &[&str]) -> Result<Vec<v1::OpenedConversation>, Error> {
        let conversations = owned(conversations);
        match self.ask(|waiter| Command::Open { conversations, waiter }, |closed| closed).await? {
            reply::Result::Opened(opened) => Ok(opened.opened),
            _ => Err(Error::BadAnswer),
        }
    }

    /// The user types in a subscribed conversation, or has stopped. To be called with every key: the server is told every
    /// 3 seconds at most. Does not wait for the server, and while there is no connection nobody is told.
    pub async fn typing(&self, conversation: &str, on: bool) -> Result<(), Error> {
        let conversation = conversation.to_owned();
        self.ask(|waiter| Command::Typing { conversation, on, waiter }, |closed| closed).await.map(drop)
    }

    /// The user has read everything up to this number; so they have received it, too. To be called with every message that
    /// is shown: the server is told once a second for each conversation, the newest alone, and told again if it may have lost it.
    /// Does not wait for the server; a mark that it refuses (not a member, above the head) is dropped.
    pub async fn mark_read(&self, conversation: &str, seq: u64) -> Result<(), Error> {
        self.mark(conversation, seq, 0).await
    }

    /// Everything up to this number has reached this device. In the same manner; kept in conversations of 32 members at most.
    pub async fn mark_delivered(&self, conversation: &str, seq: u64) -> Result<(), Error> {
        self.mark(conversation, 0, seq).await
    }

    async fn mark(&self, conversation: &str, read: u64, delivered: u64) -> Result<(), Error> {
        let conversation = conversation.to_owned();
        self.ask(|waiter| Command::Mark { conversation, read, delivered, waiter }, |closed| closed).await.map(drop)
    }

    /// How many messages of each of these conversations the user has not read, and of all together; 200 at most.
    pub async fn unread(&self, conversations: &[&str]) -> Result<v1::UnreadCounts, Error> {
        match self.call(Call::Unread(v1::Unread { conversations: owned(conversations), all: false })).await? {
            reply::Result::Unread(counts) => Ok(counts),
            _ => Err(Error::BadAnswer),
        }
    }

    /// How many messages of all their conversations the user has not read, in how many conversations, and how many requests
    /// wait for an answer; messages of those are not counted. It is counted anew each time, so it never drifts.
    pub async fn unread_total(&self) -> Result<v1::UnreadCounts, Error> {
        match self.call(Call::Unread(v1::Unread { conversations: Vec::new(), all: true })).await? {
            reply::Result::Unread(counts) => Ok(counts),
            _ => Err(Error::BadAnswer),
        }
    }

    /// How far the members of a conversation have come; the request's fields say of whom. With a number or a message's id,
    /// those who have read it, and when.
    pub async fn marks(&self, marks: v1::Marks) -> Result<v1::MarkPage, Error> {
        match self.call(Call::Marks(marks)).await? {
            reply::Result::Marks(page) => Ok(page),
            _ => Err(Error::BadAnswer),
        }
    }

    /// Who has read the message with this number, its sender among them, in the order of their ids after one of them.
    pub async fn seen(&self, conversation: &str, seq: u64, after: Option<&str>) -> Result<v1::MarkPage, Error> {
        let (conversation, after) = (conversation.to_owned(), after.map(str::to_owned));
        self.marks(v1::Marks { conversation, seq: Some(seq), id: None, after, limit: 0 }).await
    }

    /// The server's time, in milliseconds since 1970.
    pub async fn ping(&self) -> Result<u64, Error> {
        match self.call(Call::Ping(v1::Ping {})).await? {
            reply::Result::Pong(pong) => Ok(pong.server_time_ms),
            _ => Err(Error::BadAnswer),
        }
    }

    /// Sends what is unsent, for at most [`ClientConfig::close_timeout`], and closes. Requests without an answer by then
    /// fail, each with what is known of it.
    pub async fn close(&self) -> Closed {
        self.close_within(self.close_timeout).await
    }

    /// The same with another limit.
    pub async fn close_within(&self, patience: Duration) -> Closed {
        // If the task is gone, it is closed already.
        let _ = self.commands.send(Command::Close { patience }).await;
        let mut state = self.state.clone();
        let _ = state.wait_for(|state| matches!(state, State::Closed(_))).await;
        match &*state.borrow() {
            State::Closed(closed) => closed.clone(),
            _ => Closed::Application,
        }
    }

    async fn change(&self, call: Call) -> Result<v1::Changed, Error> {
        match self.call(call).await? {
            reply::Result::Changed(changed) => Ok(changed),
            _ => Err(Error::BadAnswer),
        }
    }

    async fn call(&self, call: Call) -> Result<reply::Result, Error> {
        let changes = call.changes();
        // A task that was stopped from outside does not say what became of it.
        let lost = |closed| if changes { Error::Unknown { since: None } } else { closed };
        let room = self.reserve(&call)?;
        self.ask(|waiter| Command::Submit { call, timeout: None, waiter, room }, lost).await
    }

    /// Takes the bytes that a request needs until it is answered. The core counts likewise, but sees a request only when
    /// its task gets a turn, and until then no more than this may pile up.
    fn reserve(&self, call: &Call) -> Result<OwnedSemaphorePermit, Error> {
        if let State::Closed(closed) = &*self.state.borrow() {
            return Err(Error::Closed(closed.clone()));
        }
        let weight = u32::try_from(call.weight()).map_err(|_| Error::TooLarge)?;
        Arc::clone(&self.room).try_acquire_many_owned(weight).map_err(|_| Error::TooManyPending)
    }

    /// `lost` says what it means that the task took the command and was stopped before it was done.
    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<reply::Result, Error>>) -> Command,
        lost: impl FnOnce(Error) -> Error,
    ) -> Result<reply::Result, Error> {
        let (waiter, answer) = oneshot::channel();
        if self.commands.send(command(waiter)).await.is_err() {
            return Err(self.closed());
        }
        answer.await.unwrap_or_else(|_| Err(lost(self.closed())))
    }

    fn closed(&self) -> Error {
        match &*self.state.borrow() {
            State::Closed(closed) => Error::Closed(closed.clone()),
            _ => Error::Closed(Closed::Application),
        }
    }
}

/// A conversation that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// As the asker sees it.
    pub conversation: v1::Conversation,
    /// It is new.
    pub created: bool,
}

impl PendingSend {
    /// The id under which the message is stored: what to send it again under if its outcome stays unknown.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}

impl Future for PendingSend {
    type Output = Result<Sent, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.answer {
            Answer::Awaited(answer) => std::task::ready!(Pin::new(answer).poll(context)),
            Answer::Refused(error) => return Poll::Ready(Err(error.take().unwrap_or(Error::TooManyPending))),
        };
        Poll::Ready(match answer {
            Ok(Ok(reply::Result::Sent(v1::Sent { message: Some(message), duplicate }))) => {
                Ok(Sent { message, duplicate })
            }
            Ok(Ok(_)) => Err(Error::BadAnswer),
            Ok(Err(error)) => Err(error),
            // The task was stopped from outside, and did not say what became of it.
            Err(_) => Err(Error::Unknown { since: Some(SINCE_UNKNOWN) }),
        })
    }
}

impl Events {
    /// The next event; none once the client is closed and everything is read.
    pub async fn next(&mut self) -> Option<Event> {
        self.queue.lock().await.recv().await
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
