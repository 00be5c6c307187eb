//! Adoptions under way: each goes on by itself, and whoever asks meanwhile joins it. What it does is in `quorum/adopt.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use switchyard_protocol::id::ConversationKey;

use crate::BoxFuture;
use crate::log::{Adopted, ReadError, Seq};
use crate::quorum;

use super::Inner;

/// How long somebody waits for an adoption before being told that it is not done yet.
const WAIT: Duration = Duration::from_secs(5);

/// Adoptions under way at a time. A router that takes over many conversations is paced by whoever asks for them.
const ADOPTIONS_MAX: usize = 4_096;

type Answer = Result<Option<Adopted>, ReadError>;

/// One that is under way, for all who ask for it.
type UnderWay = Shared<BoxFuture<'static, Answer>>;

/// Those under way, by conversation and epoch.
#[derive(Default)]
pub(super) struct Adoptions(Mutex<HashMap<(ConversationKey, u64), UnderWay>>);

impl Inner {
    pub(super) async fn adopt(this: &Arc<Self>, key: &ConversationKey, epoch: u64, at_least: Seq) -> Answer {
        let place = (key.clone(), epoch);
        let under_way = {
            let mut adoptions = this.adoptions.0.lock().unwrap_or_else(PoisonError::into_inner);
            let full = adoptions.len() >= ADOPTIONS_MAX;
            match adoptions.get(&place) {
                Some(under_way) => under_way.clone(),
                None if full => return Err(ReadError::Unavailable("too many adoptions are under way".to_owned())),
                None => {
                    let (this, key) = (Arc::clone(this), key.clone());
                    let task = this.handle.clone().spawn(async move {
                        let answer = quorum::adopt(&this, &key, epoch, at_least).await;
                        this.adoptions.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(key, epoch));
                        answer
                    });
                    // One that panicked stays: what became of its writes is not known, so in this epoch its rows are not read again.
                    let ended = || Err(ReadError::Unavailable("its adoption has ended before its time".to_owned()));
                    let under_way = async move { task.await.unwrap_or_else(|_| ended()) }.boxed().shared();
                    adoptions.insert(place, under_way.clone());
                    under_way
                }
            }
        };
        let late = || Err(ReadError::Unavailable("an adoption takes long".to_owned()));
        tokio::time::timeout(WAIT, under_way).await.unwrap_or_else(|_| late())
    }
}
