//! The same over the Rust SDK, in both of its forms.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::frame::Form;
use switchyard_client::protocol::v1::{History, Role};
use switchyard_client::{Client, ClientConfig, Draft, Ended, Error, Event, Events, StaticToken};

use crate::keyspace;
use crate::plain::GUARD;
use crate::site::{ISSUER, Setup, Site, TENANT, now};

/// How long a test may take in one form where all that it does waits for a cluster's disks: some do a thousand things.
const LONG_GUARD: Duration = Duration::from_secs(900);

/// Runs a test in both forms, with one guard over all of it.
pub(super) fn in_both_forms<T: Future<Output = ()>>(test: impl Fn(Form) -> T) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let guard = if keyspace::is_default() { LONG_GUARD } else { 4 * GUARD };
    for form in Form::ALL {
        runtime.block_on(async { tokio::time::timeout(guard, test(form)).await.expect("it hangs") });
    }
}

pub(super) fn client(site: &Site, form: Form, user: &str) -> Client {
    client_with(site, form, site.token(user))
}

/// The same with this token.
pub(super) fn client_with(site: &Site, form: Form, token: String) -> Client {
    let mut config = ClientConfig::new(site.url(), StaticToken::new(token));
    config.form = form;
    Client::connect(config).expect("a good address")
}

/// An answer but for its own name in the logs.
pub(super) fn nameless<T: Clone>(answer: &Result<T, Error>) -> Result<T, Error> {
    let mut answer = answer.clone();
    if let Err(Error::Rejected { trace, .. }) = &mut answer {
        *trace = None;
    }
    answer
}

async fn text(events: &mut Events) -> (u64, String) {
    match events.next().await {
        Some(Event::Message(message)) => (message.seq, message.text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_users_talk() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        let welcome = alice.ready().await.expect("welcome");
        assert_eq!((welcome.user.as_str(), welcome.tenant.as_str()), ("alice", TENANT));
        let made = alice.create_direct("bob", None).await.expect("made");
        let same = bob.create_direct("alice", None).await.expect("the same");
        assert_eq!((made.created, same.created), (true, false));
        assert_eq!(made.conversation.id, same.conversation.id);
        let id = made.conversation.id;

        bob.subscribe(&id, None).await.expect("a member");
        let mut events = bob.events();
        let sent = alice.send(&id, "hello").await.expect("stored");
        assert_eq!((sent.duplicate, sent.message.sender.as_str()), (false, "alice"));
        assert_eq!(text(&mut events).await, (sent.message.seq, "hello".to_owned()));

        // An id of the application's own, used twice, is one message.
        let draft = || Draft::text(&id, "once").client_id("c1");
        let first = alice.send_with(draft()).await.expect("stored");
        let again = alice.send_with(draft()).await.expect("known");
        assert_eq!((again.duplicate, &again.message), (true, &first.message));
        let page = bob.history(History { conversation: id.clone(), ..History::default() }).await.expect("a page");
        let texts: Vec<&str> = page.messages.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["once", "hello"], "newest first");

        let stranger = client(&site, form, "mallory");
        for refused in [
            stranger.get(&id).await.expect_err("a stranger").code(),
            stranger.send(&id, "let me in").await.expect_err("a stranger").code(),
            stranger.subscribe(&id, None).await.expect_err("a stranger").code(),
        ] {
            assert_eq!(refused, Some(ErrorCode::NotFound));
        }
    });
}

#[test]
fn b1_both_at_once_get_the_same() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        let (one, other) = tokio::join!(alice.create_direct("bob", None), bob.create_direct("alice", None));
        let (one, other) = (one.expect("made"), other.expect("made"));
        assert_eq!(one.conversation.id, other.conversation.id);
        assert_ne!(one.created, other.created);
    });
}

#[test]
fn b2_b8_groups() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        let group = alice.create_group("team", &["bob"]).await.expect("made").conversation.id;
        bob.subscribe(&group, None).await.expect("a member");
        let mut events = bob.events();

        alice.add(&group, &["carol"]).await.expect("the admin may");
        let Some(Event::Members { change, .. }) = events.next().await else { panic!("carol came") };
        assert_eq!(change.added.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), ["carol"]);
        alice.update(&group, Some("the team"), None, None).await.expect("the admin may");
        let Some(Event::Changed { change, .. }) = events.next().await else { panic!("a new name") };
        assert_eq!(change.name.as_deref(), Some("the team"));
        assert_eq!(
            bob.update(&group, Some("mine"), None, None).await.expect_err("no right").code(),
            Some(ErrorCode::Forbidden)
        );
        let page = bob.members(&group, None, 2).await.expect("a member");
        assert_eq!((page.members.len(), page.more), (2, true));
        let page = bob.members(&group, Some("bob"), 2).await.expect("a member");
        assert_eq!((page.members.len(), page.more), (1, false));

        alice.leave(&group).await.expect("anybody may");
        let Some(Event::Members { change, .. }) = events.next().await else { panic!("alice went") };
        assert_eq!(
            change.promoted.first().map(|member| (member.user.as_str(), member.role())),
            Some(("bob", Role::Admin))
        );
        let detail = bob.get(&group).await.expect("a member");
        assert_eq!((detail.name.as_deref(), detail.member_count, detail.role()), (Some("the team"), 2, Role::Admin));

        bob.remove(&group, "carol").await.expect("the admin may");
        assert!(matches!(events.next().await, Some(Event::Members { .. })));
        bob.leave(&group).await.expect("anybody may");
        let mut ended = events.next().await;
        if matches!(ended, Some(Event::Members { .. })) {
            ended = events.next().await;
        }
        assert_eq!(ended, Some(Event::Ended { conversation: group.clone(), reason: Ended::Removed }));
    });
}

#[test]
fn a5_nothing_is_missed_and_nothing_comes_twice_across_a_kill() {
    in_both_forms(|form| async move {
        let mut site = Site::dev();
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        bob.subscribe(&id, Some(0)).await.expect("a member");
        let mut events = bob.events();
        alice.send(&id, "0").await.expect("stored");
        // Some are on their way when it dies; they are sent again by the SDK.
        let pending: Vec<_> = (1..=50).map(|n: u32| alice.post(Draft::text(&id, n.to_string()))).collect();
        site.kill();
        let late: Vec<_> = (51..=60).map(|n: u32| alice.post(Draft::text(&id, n.to_string()))).collect();
        site.start_again();
        for (n, sent) in (1..).zip(pending.into_iter().chain(late)) {
            assert_eq!(sent.await.expect("stored").message.text, n.to_string());
        }
        let mut seen = Vec::new();
        while seen.len() < 61 {
            seen.push(text(&mut events).await);
        }
        assert_eq!(seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=61).collect::<Vec<_>>());
        let mut texts: Vec<u32> = seen.iter().map(|(_, text)| text.parse().expect("a number")).collect();
        texts.sort_unstable();
        assert_eq!(texts, (0..=60).collect::<Vec<_>>());
    });
}

#[test]
fn i2_a_gap_is_told() {
    in_both_forms(|form| async move {
        let env = [("SWITCHYARD__RETENTION__DIRECT__EVENTS_MAX", "1000")];
        let site = Site::start(&Setup { env: &env, ..Setup::default() });
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        let sends: Vec<_> = (0..2_300).map(|_| alice.post(Draft::text(&id, "again"))).collect();
        for sent in sends {
            sent.await.expect("stored");
        }
        let first = alice.get(&id).await.expect("a member").first_available;
        assert!(first >= 1_000, "whole runs of 1,000 were dropped");
        bob.subscribe(&id, Some(5)).await.expect("a member");
        let mut events = bob.events();
        let gap = Event::Gap { conversation: id.clone(), missed_from: 6, first_available: first };
        assert_eq!(events.next().await, Some(gap));
        for seq in first..=2_300 {
            assert_eq!(text(&mut events).await.0, seq);
        }
        // As far back as an id of the application's own is looked for, all is there: it is new, and stored.
        for client in [&alice, &bob] {
            let sent = client.send_with(Draft { client_id: Some("mine".into()), ..Draft::text(&id, "new") });
            assert!(!sent.await.expect("stored").duplicate);
        }
    });
}

#[test]
fn i5_an_application_that_does_not_read_loses_nothing() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let alice = client(&site, form, "alice");
        let mut config = ClientConfig::new(site.url(), StaticToken::new(site.token("bob")));
        (config.form, config.events_max) = (form, 4);
        let bob = Client::connect(config).expect("a good address");
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        bob.subscribe(&id, None).await.expect("a member");
        for n in 0..1_200 {
            // So many that the SDK cannot hold them; awaited by hundreds.
            let sent = alice.post(Draft::text(&id, "more"));
            if n % 100 == 99 {
                sent.await.expect("stored");
            }
        }
        let mut events = bob.events();
        for seq in 1..=1_200 {
            assert_eq!(text(&mut events).await.0, seq);
        }
    });
}

#[test]
fn a9_the_token_is_renewed_without_reconnecting() {
    in_both_forms(|form| async move {
        let site = Arc::new(Site::dev());
        let asked = Arc::new(AtomicUsize::new(0));
        let (tokens, count) = (Arc::clone(&site), Arc::clone(&asked));
        let mut config = ClientConfig::new(site.url(), move || {
            // The first is about to end, so that the broker warns at once.
            let left = if count.fetch_add(1, Ordering::SeqCst) == 0 { 1 } else { 3_600 };
            let claims = json!({"sub": "alice", "tenant": TENANT, "iss": ISSUER, "exp": now() + left});
            let token = tokens.sign(&claims);
            async move { Ok(token) }
        });
        config.form = form;
        let alice = Client::connect(config).expect("a good address");
        let welcome = alice.ready().await.expect("welcome");
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        // A neighbour with the same token and no renewal shows when it is over.
        let claims = json!({"sub": "bob", "tenant": TENANT, "iss": ISSUER, "exp": now() + 1});
        let token = site.sign(&claims);
        let place = Arc::clone(&site);
        let code = tokio::task::spawn_blocking(move || crate::plain::Plain::open_with(&place, &token).goodbye());
        assert_eq!(code.await.expect("it reads"), 4006);
        alice.send(&id, "still here").await.expect("stored");
        assert!(asked.load(Ordering::SeqCst) >= 2, "a second token was asked for");
        let switchyard_client::State::Online(now) = alice.state().borrow().clone() else { panic!("offline") };
        assert_eq!(now.session, welcome.session, "it is the session that it was");
    });
}
