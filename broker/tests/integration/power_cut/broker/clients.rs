//! The clients of the broker under test: pairs of users who write to each other through the SDK, and one who reads all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use switchyard_client::protocol::v1::{Changed, History, List, Message};
use switchyard_client::{Client, ClientConfig, Draft, Error, StaticToken};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::process::Event;
use super::ledger::{Change, EMOJI, Found, Letter, Seen};

/// Messages that each user has in flight.
const IN_FLIGHT: usize = 4;

/// Messages asked for at a time.
const PAGE: u32 = 100;

/// Numbers the messages of this process, so that no id comes twice.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Who writes. Users 0 and 1 are a pair, 2 and 3, and so on.
#[derive(Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) token: String,
}

/// All clients, at work in a thread of their own.
pub(super) struct Clients {
    stop: watch::Sender<bool>,
    thread: JoinHandle<anyhow::Result<Seen>>,
}

impl Clients {
    /// Connects every user; each sends its unanswered letters again, then new ones without end. A failure is told at once.
    pub(super) fn start(
        url: &str,
        users: &[User],
        unanswered: Vec<Letter>,
        failure: Sender<Event>,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (url, users) = (url.to_owned(), users.to_vec());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            let seen = runtime.block_on(work(&url, &users, unanswered, stopped));
            if seen.is_err() {
                // Nobody listens once the process has ended.
                let _ = failure.send(Event::GivenUp);
            }
            seen
        });
        Ok(Self { stop, thread })
    }

    /// Gives up what has no answer, and says what was seen.
    pub(super) fn stop(self) -> anyhow::Result<Seen> {
        // Nobody listens if all have ended, which their result says.
        let _ = self.stop.send(true);
        self.thread.join().map_err(|_| anyhow::anyhow!("the clients panicked"))?
    }
}

async fn work(
    url: &str,
    users: &[User],
    unanswered: Vec<Letter>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Seen> {
    let mut tasks = JoinSet::new();
    let mut lanes: Vec<Vec<Letter>> = vec![Vec::new(); users.len()];
    for letter in unanswered {
        lanes[letter.user].push(letter);
    }
    for (user, letters) in lanes.into_iter().enumerate() {
        let writer = Writer {
            user,
            client: connect(url, &users[user])?,
            other: users[user ^ 1].name.clone(),
            seen: Seen::default(),
            to_change: Vec::new(),
        };
        tasks.spawn(writer.run(letters, stopped.clone()));
    }
    let mut all = Seen::default();
    while let Some(seen) = tasks.join_next().await {
        let seen = seen??;
        all.acknowledged.extend(seen.acknowledged);
        all.unanswered.extend(seen.unanswered);
        all.changed.extend(seen.changed);
    }
    Ok(all)
}

fn connect(url: &str, user: &User) -> anyhow::Result<Client> {
    Ok(Client::connect(ClientConfig::new(url, StaticToken::new(&user.token)))?)
}

struct Writer {
    user: usize,
    client: Client,
    other: String,
    seen: Seen,
    /// Own messages that are to be changed next.
    to_change: Vec<(Message, Change)>,
}

/// What is in flight, and what came of it.
enum Flight {
    Letter(Letter, Result<switchyard_client::Sent, Error>),
    Change(Message, Result<Changed, Error>),
}

impl Writer {
    async fn run(mut self, letters: Vec<Letter>, mut stopped: watch::Receiver<bool>) -> anyhow::Result<Seen> {
        let created = tokio::select! {
            created = self.client.create_direct(&self.other, None) => created,
            _ = stopped.wait_for(|stopped| *stopped) => {
                self.seen.unanswered = letters;
                return Ok(self.seen);
            }
        };
        let conversation = created.context("no conversation")?.conversation.id;
        let mut again = letters.into_iter();
        let mut flights = JoinSet::new();
        loop {
            while flights.len() < IN_FLIGHT {
                if let Some((message, change)) = self.to_change.pop() {
                    let client = self.client.clone();
                    flights.spawn(async move {
                        let result = carry_out(&client, &message, change).await;
                        Flight::Change(message, result)
                    });
                    continue;
                }
                let letter = again.next().unwrap_or_else(|| self.letter());
                let text = Letter::text(&letter.client_id);
                let draft = Draft { since: letter.since, ..Draft::text(&conversation, text) };
                let pending = self.client.post(draft.client_id(&letter.client_id));
                flights.spawn(async move { Flight::Letter(letter, pending.await) });
            }
            tokio::select! {
                answer = flights.join_next() => {
                    self.take(answer.context("some are in flight")??)?;
                }
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
        }
        // What has no answer by now gets none: its server is gone.
        self.client.close_within(Duration::ZERO).await;
        while let Some(answer) = flights.join_next().await {
            self.take(answer?)?;
        }
        self.seen.unanswered.extend(again);
        Ok(self.seen)
    }

    fn letter(&self) -> Letter {
        let number = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Letter { user: self.user, client_id: format!("letter-{number}"), since: None }
    }

    fn take(&mut self, flight: Flight) -> anyhow::Result<()> {
        let (letter, answer) = match flight {
            Flight::Letter(letter, answer) => (letter, answer),
            Flight::Change(message, Ok(_)) => {
                self.seen.changed.push((message, true));
                return Ok(());
            }
            Flight::Change(message, Err(Error::Unknown { .. } | Error::Closed(_))) => {
                self.seen.changed.push((message, false));
                return Ok(());
            }
            Flight::Change(message, Err(error)) => return Err(error).with_context(|| format!("changing {message:?}")),
        };
        match answer {
            Ok(sent) => {
                // Sent again, it may have been changed in an earlier round already.
                let change = Change::of(&sent.message.client_id).filter(|_| !sent.duplicate);
                self.to_change.extend(change.map(|change| (sent.message.clone(), change)));
                self.seen.acknowledged.push(sent.message);
            }
            Err(Error::Unknown { since }) => self.seen.unanswered.push(Letter { since, ..letter }),
            // Not sent in this round; in an earlier one it may have been.
            Err(Error::Closed(_)) => self.seen.unanswered.push(letter),
            Err(error) => return Err(error).with_context(|| format!("sending {letter:?}")),
        }
        Ok(())
    }
}

async fn carry_out(client: &Client, message: &Message, change: Change) -> Result<Changed, Error> {
    match change {
        Change::Edit => client.edit(&message.id, &Change::edited(&message.client_id), &[]).await,
        Change::Delete => client.delete(&message.id).await,
        Change::React => client.react(&message.id, EMOJI).await,
    }
}

/// Reads each pair's conversation from its first message to its last, what both have not read, and a list.
pub(super) fn read_all(url: &str, users: &[User]) -> anyhow::Result<Found> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut found = Found::default();
        for pair in users.chunks_exact(2) {
            let client = connect(url, &pair[0])?;
            let conversation = client.create_direct(&pair[1].name, None).await?.conversation.id;
            let mut messages: Vec<Message> = Vec::new();
            loop {
                let after = messages.last().map_or(0, |last| last.seq);
                let page = History {
                    conversation: conversation.clone(),
                    after: Some(after),
                    limit: PAGE,
                    ..History::default()
                };
                let page = client.history(page).await?;
                if page.messages.is_empty() {
                    break;
                }
                messages.extend(page.messages);
            }
            for user in pair {
                let counts = connect(url, user)?.unread(&[&conversation]).await?;
                let counts = counts.conversations.into_iter().map(|one| (user.name.clone(), one));
                found.unread.extend(counts);
            }
            for entry in client.list(List::default()).await?.conversations {
                let newest = entry.last.map_or(0, |last| last.seq);
                found.listed.insert(entry.conversation.unwrap_or_default().id, newest);
            }
            found.messages.insert(conversation, messages);
        }
        Ok(found)
    })
}
