//! Adoptions under way: each goes on by itself, and whoever asks meanwhile joins it. What it does is in `quorum/adopt.rs`.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use switchyard_protocol::id::ConversationKey;
use tokio::runtime::Handle;

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

/// Whose it is: a conversation, in an epoch.
type Place = (ConversationKey, u64);

/// Those under way.
///
/// **Invariant:** one that was broken off, by a panic, stays here and answers with an error. What became of its writes is not known, so
/// nobody may read those rows again in its epoch.
#[derive(Clone, Default)]
pub(super) struct Adoptions(Arc<Mutex<HashMap<Place, UnderWay>>>);

impl Adoptions {
    fn all(&self) -> MutexGuard<'_, HashMap<Place, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the one of this place, or begins it.
    fn join(
        &self,
        handle: &Handle,
        place: Place,
        begin: impl Future<Output = Answer> + Send + 'static,
    ) -> Result<UnderWay, ReadError> {
        let mut all = self.all();
        if let Some(under_way) = all.get(&place) {
            return Ok(under_way.clone());
        }
        if all.len() >= ADOPTIONS_MAX {
            return Err(ReadError::Unavailable("too many adoptions are under way".to_owned()));
        }
        let (others, own) = (self.clone(), place.clone());
        let task = handle.spawn(async move {
            let answer = begin.await;
            others.all().remove(&own);
            answer
        });
        let broken_off = "an adoption was broken off, so this conversation is closed to this broker: restart it";
        let broken_off = || Err(ReadError::Unavailable(broken_off.to_owned()));
        let under_way = async move { task.await.unwrap_or_else(|_| broken_off()) }.boxed().shared();
        all.insert(place, under_way.clone());
        Ok(under_way)
    }
}

impl Inner {
    pub(super) async fn adopt(this: &Arc<Self>, key: &ConversationKey, epoch: u64, at_least: Seq) -> Answer {
        let begin = {
            let (this, key) = (Arc::clone(this), key.clone());
            async move { quorum::adopt(&this, &key, epoch, at_least).await }
        };
        let under_way = this.adoptions.join(&this.handle, (key.clone(), epoch), begin)?;
        let late = || Err(ReadError::Unavailable("an adoption takes long".to_owned()));
        tokio::time::timeout(WAIT, under_way).await.unwrap_or_else(|_| late())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use switchyard_protocol::id::{ConversationId, TenantId};

    use super::*;

    fn place(epoch: u64) -> Place {
        let tenant = TenantId::new("acme").expect("a short name");
        (ConversationKey { tenant, conversation: ConversationId::from_bytes([7; 16]) }, epoch)
    }

    #[test]
    fn one_that_panics_is_told_of_and_not_begun_again_in_its_epoch() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let adoptions = Adoptions::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let adopt = |epoch, panics: bool| {
            let begun = Arc::clone(&begun);
            let begin = async move {
                begun.fetch_add(1, Ordering::Relaxed);
                assert!(!panics, "an adoption that a test has made panic");
                Ok(None)
            };
            let under_way = adoptions.join(runtime.handle(), place(epoch), begin).expect("there is room");
            runtime.block_on(under_way)
        };
        for panics in [true, false] {
            let answer = adopt(1, panics);
            assert!(matches!(&answer, Err(ReadError::Unavailable(text)) if text.contains("restart")), "{answer:?}");
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        for _ in 0..2 {
            assert_eq!(adopt(2, false), Ok(None));
        }
        assert_eq!(begun.load(Ordering::Relaxed), 3, "what has ended is begun anew");
        assert_eq!(adoptions.all().len(), 1);
    }
}
