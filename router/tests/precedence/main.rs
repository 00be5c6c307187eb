//! Who is answered first when much waits to be read from the store, as after a take-over: whoever has something to say. A whole
//! router on its worker, with one thread that reads a store which the test holds up. And who is not answered by what was read, once
//! another router owns it.

mod held;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_executor::block_on;
use switchyard_cluster::link::{Answer, Ask, Delivery, Request, RouterLink, SendAsk, SubscribeAsk};
use switchyard_cluster::mailbox::Bell;
use switchyard_cluster::now::Clock;
use switchyard_cluster::ownership::{Config, Ownership};
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_cluster::routers::RouterMessage;
use switchyard_cluster::trace::Instance;
use switchyard_cluster::worker::{Resident, Worker};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::MessageKind;
use switchyard_router::config::RouterConfig;
use switchyard_router::driver::{Commits, Owned, Owner, Process, Readers, Router, Told};
use switchyard_store::embedded::{Embedded, Options};
use switchyard_store::ownership::{Outcome, Ownership as _};

use held::Held;

/// Long enough for any machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Link {
    requests: Receiver<Request>,
    answered: Sender<(u64, Answer)>,
}

impl RouterLink for Link {
    fn instance(&self, _: EdgeId) -> Instance {
        Instance::new([0; 6])
    }

    fn receive(&mut self, into: &mut Vec<Request>) {
        into.extend(self.requests.try_iter());
    }

    fn send(&mut self, _: EdgeId, delivery: Delivery) {
        if let Delivery::Answer { to, answer } = delivery {
            // The test may have ended.
            let _ = self.answered.send((to.request, answer));
        }
    }

    fn receive_told(&mut self, _: &mut Vec<RouterMessage>) {}

    fn tell(&mut self, _: RouterMessage) {}

    fn flush(&mut self) {}
}

/// A router, and somebody who asks it.
struct Office {
    store: Arc<Held>,
    requests: Sender<Request>,
    answered: Receiver<(u64, Answer)>,
    owners: Arc<Embedded>,
    owns: Receiver<Told>,
    bell: Arc<Bell>,
    stop: Arc<AtomicBool>,
    commits: Commits,
    readers: Readers,
    owner: Owner,
    threads: Vec<JoinHandle<()>>,
}

fn rest() {}

impl Office {
    fn open() -> Self {
        let (store, clock) = (Arc::new(Held::default()), Clock::start());
        let dir = tempfile::tempdir().expect("a directory");
        let owners = Arc::new(Embedded::open(dir.path(), Options::default()).expect("the store opens"));
        let owned = Arc::new(Owned::new(clock, PATIENCE));
        let machine = Ownership::new(Config { alone: true, ..Config::default() }, "127.0.0.1:1".to_owned(), 1);
        let (told, owns) = channel();
        let told = Mutex::new(told);
        let tell = move |what: Told| {
            let _ = told.lock().expect("nobody panics with it").send(what);
        };
        let (owner, owning) = Owner::start(owners.clone(), machine, clock, Arc::clone(&owned), tell).expect("a thread");
        assert_eq!(owns.recv_timeout(PATIENCE), Ok(Told::OwnsAll));

        let (commits, committing) = Commits::start(store.clone(), rest).expect("a thread");
        let (readers, reading) = Readers::start(store.clone(), 1, rest).expect("a thread");
        let worker = Worker::new(clock).expect("a poll");
        let bell = worker.bell();
        let (requests, received) = channel();
        let (sent, answered) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let working = {
            let (stop, bell, commits, readers) = (stop.clone(), bell.clone(), commits.clone(), readers.clone());
            thread::spawn(move || {
                let _dir = dir;
                let link = Box::new(Link { requests: received, answered: sent });
                let process = Process { number: 1, owned, seed: 7 };
                let router = Router::new(RouterConfig::default(), process, link, commits, readers, bell);
                let mut residents: Vec<Box<dyn Resident>> = vec![Box::new(router)];
                worker.run(&mut residents, &stop, rest).expect("it runs");
            })
        };
        let threads = reading.into_iter().chain([committing, owning, working]).collect();
        Self { store, requests, answered, owners, owns, bell, stop, commits, readers, owner, threads }
    }

    fn ask(&self, number: u64, conversation: u64, roles: Roles, ask: Ask) {
        let from = Asker { edge: EdgeId(0), session: 1, request: number, ticket: 0, roles };
        let conversation = ConversationId::from_bytes(u128::from(conversation).to_be_bytes());
        let key = ConversationKey { tenant: TenantId::new("t").expect("a short name"), conversation };
        let user = UserId::new("ann").expect("a short name");
        self.requests.send(Request { from, key, user, ask }).expect("the router runs");
    }

    /// Wants to read a conversation, of which there is nothing.
    fn subscribe(&self, conversation: u64) {
        let ask = SubscribeAsk { after: None, events_max: 0, bytes_max: 0 };
        self.ask(conversation, conversation, Roles::USER, Ask::Subscribe(ask));
    }

    /// Has something to say in one.
    fn send(&self, number: u64, conversation: u64) {
        let ask = SendAsk::new("id", "text", MessageKind::Text, None);
        self.ask(number, conversation, Roles::USER, Ask::Send(ask));
    }

    /// Waits until all that was asked has been taken in, and the first of it is being read: this is refused without a look at
    /// the store.
    fn settle(&self) {
        let number = u64::MAX;
        self.ask(number, number, Roles::SERVICE, Ask::Typing);
        self.bell.ring();
        assert_eq!(self.answered().0, number);
        self.store.wait();
    }

    /// Lets the store answer; who is answered then, in order.
    fn answers(&self, count: usize) -> Vec<u64> {
        self.store.open();
        (0..count).map(|_| self.answered().0).collect()
    }

    /// The next answer.
    fn answered(&self) -> (u64, Answer) {
        self.answered.recv_timeout(PATIENCE).expect("everybody is answered")
    }

    /// Another router fences this one, and this one has seen that.
    fn fence(&self) {
        let live = block_on(self.owners.live_routers()).expect("it is read");
        for router in live {
            assert_eq!(block_on(self.owners.fence(router.incarnation)), Outcome::Applied);
        }
        assert_eq!(self.owns.recv_timeout(PATIENCE), Ok(Told::Ended));
    }

    fn close(self) {
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
        self.commits.stop();
        self.readers.stop();
        self.owner.stop();
        for thread in self.threads {
            thread.join().expect("no panic");
        }
    }
}

#[test]
fn who_has_something_to_say_does_not_wait_for_those_who_only_read() {
    let office = Office::open();
    // The first is being read, the others wait for that.
    (1..=60).for_each(|conversation| office.subscribe(conversation));
    office.settle();
    // One that a reader waits for already, far behind, and one that nobody has asked for.
    office.send(101, 60);
    office.send(102, 99);
    office.settle();
    let answers = office.answers(62);
    // Readers who wait for the same conversation have it sooner, too.
    let mut first = answers[..4].to_vec();
    first.sort_unstable();
    assert_eq!(first, [1, 60, 101, 102], "{answers:?}");
    assert_eq!(answers[3], 102, "of those who have something to say the first comes first: {answers:?}");
    assert_eq!(answers[4..], (2..60).collect::<Vec<_>>(), "readers wait in their order");
    office.close();
}

#[test]
fn who_only_reads_waits_not_for_ever() {
    let office = Office::open();
    (1..=20).for_each(|conversation| office.subscribe(conversation));
    office.settle();
    (1_001..=1_400).for_each(|conversation| office.send(conversation, conversation));
    office.settle();
    let answers = office.answers(420);
    let readers: Vec<_> = (0..).zip(&answers).filter(|(_, number)| **number <= 20).map(|(at, _)| at).collect();
    let between: Vec<usize> = readers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(between.iter().all(|between| *between <= 16), "readers were answered at {readers:?}");
    // And those others are most of those who are answered first.
    assert!(between.iter().skip(1).all(|between| *between >= 4), "readers were answered at {readers:?}");
    office.close();
}

/// What was read before is not said behind the fence: another router may have put the asker out meanwhile.
#[test]
fn who_was_being_read_for_is_not_answered_by_it_once_another_router_owns_it() {
    let code = |fenced: bool| {
        let office = Office::open();
        office.subscribe(1);
        office.settle();
        if fenced {
            office.fence();
        }
        office.store.open();
        let (number, answer) = office.answered();
        let Answer::Refused(refusal) = answer else { panic!("there is nothing: {answer:?}") };
        assert_eq!(number, 1);
        office.close();
        refusal.code
    };
    assert_eq!((code(false), code(true)), (ErrorCode::NotFound, ErrorCode::Overloaded));
}
