//! The threads that the process lives on, watched from outside: one that ends while nobody told it to leaves a process that
//! looks whole and serves a part of its users. Must not decide what follows from that.

use std::any::Any;
use std::thread::JoinHandle;

use anyhow::anyhow;

use crate::exit::Failure;

/// Threads that run as long as the process serves.
#[derive(Debug, Default)]
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// One more.
    pub(crate) fn add(&mut self, thread: JoinHandle<()>) {
        self.0.push(thread);
    }

    /// Why one of them has ended, if one has. To be asked now and then, while none of them was told to end.
    pub(crate) fn ended(&mut self) -> Option<Failure> {
        let at = self.0.iter().position(JoinHandle::is_finished)?;
        let thread = self.0.swap_remove(at);
        let name = name(&thread);
        let why = match thread.join() {
            Ok(()) => anyhow!("the thread {name} has ended by itself"),
            Err(panic) => anyhow!("the thread {name} panicked: {}", words(&*panic)),
        };
        Some(why.into())
    }

    /// Waits until all have ended, which they were told to.
    pub(crate) fn join(self) -> Result<(), Failure> {
        for thread in self.0 {
            let name = name(&thread);
            thread.join().map_err(|panic| anyhow!("the thread {name} panicked: {}", words(&*panic)))?;
        }
        Ok(())
    }
}

fn name(thread: &JoinHandle<()>) -> String {
    thread.thread().name().unwrap_or("without a name").to_owned()
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::thread::Builder;

    use super::*;

    fn thread(name: &str, end: Receiver<Option<&'static str>>) -> JoinHandle<()> {
        let run = move || {
            if let Some(why) = end.recv().expect("the test says when") {
                panic!("{why}");
            }
        };
        Builder::new().name(name.to_owned()).spawn(run).expect("a thread")
    }

    fn failure(threads: &mut Threads) -> String {
        loop {
            match threads.ended() {
                Some(failure) => return failure.to_string(),
                None => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn a_thread_that_panics_or_just_ends_is_told_of_by_its_name_while_the_others_run() {
        let (stays, stay) = channel();
        let (panics, panic) = channel();
        let (leaves, leave) = channel();
        let mut threads = Threads::default();
        threads.add(thread("worker-0", stay));
        threads.add(thread("worker-1", panic));
        threads.add(thread("commit", leave));
        assert!(threads.ended().is_none(), "all of them run");
        panics.send(Some("an index out of bounds")).expect("it waits");
        assert_eq!(failure(&mut threads), "the thread worker-1 panicked: an index out of bounds");
        assert!(threads.ended().is_none(), "the others run");
        leaves.send(None).expect("it waits");
        assert_eq!(failure(&mut threads), "the thread commit has ended by itself");
        stays.send(Some("a moment before the end")).expect("it waits");
        let failed = threads.join().expect_err("what was not looked at is found at the end");
        assert_eq!(failed.to_string(), "the thread worker-0 panicked: a moment before the end");
    }
}
