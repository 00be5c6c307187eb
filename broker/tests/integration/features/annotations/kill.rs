//! `kill -9` while people change messages: each message is, after any number of kills, what its last acknowledged change made
//! of it, or what one made of it whose outcome nobody was told.

use std::collections::{BTreeMap, BTreeSet};

use switchyard_client::protocol::frame::Form;
use switchyard_client::protocol::v1::{History, Message};
use switchyard_client::{Client, Error};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

use crate::features::sdk::client;
use crate::plain::GUARD;
use crate::site::Site;

/// Who changes messages, each on a connection of their own.
const USERS: [&str; 4] = ["alice", "bob", "cleo", "dan"];

/// Kills, each after so many changes were acknowledged.
const KILLS: [usize; 5] = [40, 1, 90, 15, 60];

/// What is known of one thing that one user changes: what it is for certain, or any of what it may be.
type Maybe<T> = BTreeSet<T>;

/// What one user knows at the end.
#[derive(Default)]
struct Known {
    text: Maybe<String>,
    /// Whether they give their emoji to the message of each user.
    gives: BTreeMap<usize, Maybe<bool>>,
    /// Messages that were deleted for certain.
    deleted: Vec<String>,
}

/// The change is done, or nobody knows whether it is.
fn settle<T: Ord>(known: &mut Maybe<T>, now: T, answer: Result<(), Error>) -> bool {
    match answer {
        Ok(()) => {
            known.clear();
            known.insert(now);
            true
        }
        Err(Error::Unknown { .. } | Error::TimedOut | Error::Closed(_)) => {
            known.insert(now);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// One user's changes, until it is told to stop. Each acknowledged one is told.
async fn change(
    client: Client,
    me: usize,
    group: String,
    messages: Vec<String>,
    told: mpsc::UnboundedSender<()>,
    stopped: watch::Receiver<bool>,
) -> Known {
    let mut known = Known { text: BTreeSet::from([format!("by {}", USERS[me])]), ..Known::default() };
    for turn in 0.. {
        if *stopped.borrow() {
            break;
        }
        let on = turn % messages.len();
        let done = match turn % 3 {
            0 => {
                let text = format!("edit {turn} by {}", USERS[me]);
                // An edit is refused once there were a hundred; then emoji alone go on.
                match client.edit(&messages[me], &text, &[]).await {
                    Err(error) if error.code().is_some() => true,
                    answer => settle(&mut known.text, text, answer.map(drop)),
                }
            }
            1 => {
                let gives = known.gives.entry(on).or_insert_with(|| BTreeSet::from([false]));
                let give = turn % 2 == 0;
                let answer = if give {
                    client.react(&messages[on], USERS[me]).await
                } else {
                    client.unreact(&messages[on], USERS[me]).await
                };
                settle(gives, give, answer.map(drop))
            }
            _ => match client.send(&group, "to be deleted").await {
                Ok(sent) => {
                    let done = client.delete(&sent.message.id).await.is_ok();
                    if done {
                        known.deleted.push(sent.message.id);
                    }
                    done
                }
                Err(_) => false,
            },
        };
        if done {
            // Nobody counts any more once all kills are done.
            let _ = told.send(());
        }
    }
    client.close().await;
    known
}

/// All messages, oldest first.
async fn read_all(client: &Client, group: &str) -> Vec<Message> {
    let mut all: Vec<Message> = Vec::new();
    loop {
        let after = Some(all.last().map_or(0, |last| last.seq));
        let page = History { conversation: group.to_owned(), after, limit: 200, ..History::default() };
        let page = client.history(page).await.expect("a member");
        all.extend(page.messages);
        if !page.more {
            return all;
        }
    }
}

#[test]
fn what_became_of_messages_survives_kills() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut site = Site::dev();
        let clients = USERS.map(|user| client(&site, Form::Proto, user));
        let group = clients[0].create_group("team", &USERS[1..]).await.expect("made").conversation.id;
        let mut messages = Vec::new();
        for (user, client) in USERS.iter().zip(&clients) {
            messages.push(client.send(&group, &format!("by {user}")).await.expect("stored").message.id);
        }
        let (told, mut changes) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        for (me, client) in clients.into_iter().enumerate() {
            let (group, messages) = (group.clone(), messages.clone());
            tasks.push(tokio::spawn(change(client, me, group, messages, told.clone(), stopped.clone())));
        }
        for changes_before in KILLS {
            for _ in 0..changes_before {
                tokio::time::timeout(GUARD, changes.recv()).await.expect("they go on").expect("they run");
            }
            site.kill();
            site.start_again();
        }
        stop.send(true).expect("they run");
        let mut known = Vec::new();
        for task in tasks {
            known.push(tokio::time::timeout(GUARD, task).await.expect("it ends").expect("it does not panic"));
        }
        site.kill();
        site.start_again();
        for (me, user) in USERS.iter().enumerate() {
            compare(&read_all(&client(&site, Form::Json, user), &group).await, &messages, &known, me);
        }
        assert!(known.iter().all(|known| !known.deleted.is_empty()), "everybody had something deleted");
    });
}

/// Holds what one user reads against what everybody knows.
fn compare(all: &[Message], messages: &[String], known: &[Known], me: usize) {
    let by_id: BTreeMap<&str, &Message> = all.iter().map(|message| (message.id.as_str(), message)).collect();
    for (on, id) in messages.iter().enumerate() {
        let message = by_id[id.as_str()];
        assert!(known[on].text.contains(&message.text), "{message:?}: {:?}", known[on].text);
        for (giver, name) in USERS.iter().enumerate() {
            let given = message.reactions.iter().find(|given| given.emoji == *name);
            let gives = known[giver].gives.get(&on).cloned().unwrap_or_else(|| BTreeSet::from([false]));
            assert!(gives.contains(&given.is_some()), "{name} on {message:?}: {gives:?}");
            assert!(given.is_none_or(|given| given.count == 1 && given.mine == (giver == me)), "{message:?}");
        }
    }
    for id in known.iter().flat_map(|known| &known.deleted) {
        let message = by_id[id.as_str()];
        assert!(message.deleted && message.text.is_empty(), "{message:?}");
    }
}
