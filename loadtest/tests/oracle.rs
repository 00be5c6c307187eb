//! The oracle finds nothing wrong with a good server, and every fault that a bad one has, with its exact count.

mod support;

use clap::Parser as _;
use switchyard_loadtest::args::Args;
use switchyard_loadtest::oracle::Verdict;
use switchyard_loadtest::proxy::{Deed, Proxy, Sabotage, Spot};
use switchyard_loadtest::scenario::{self, Outcome};

use support::{Habits, Server};

/// The message that something happens to: not the first, and far from the last.
const NTH: u64 = 10;

fn run(url: &str, words: &str) -> Outcome {
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef\n").expect("it is ours");
    let secret = secret.path().to_str().expect("a path");
    let line = format!("loadtest {words} --target {url} --secret-file {secret} --quiet --warm 0");
    let args = Args::try_parse_from(line.split_whitespace()).expect("a good command line");
    scenario::run(&args).expect("the run goes to its end")
}

fn good(outcome: &Outcome) -> &Verdict {
    let verdict = outcome.verdict.as_ref().expect("an oracle's verdict");
    assert!(verdict.ok, "{verdict:?}");
    assert_eq!((verdict.faults(), verdict.timelines_read), (0, verdict.timelines));
    assert!(verdict.acked_checked > 0);
    assert_eq!(Some(verdict.acked_checked), outcome.metrics.acked);
    verdict
}

#[test]
fn pairs_of_a_good_server() {
    let server = Server::start(Habits::default());
    for form in ["proto", "json"] {
        let outcome = run(&server.url(), &format!("pairs --pairs 5 --window 3 --secs 0.2 --form {form}"));
        let verdict = good(&outcome);
        assert_eq!(verdict.timelines_read, 5);
        assert_eq!(verdict.deliveries_checked, verdict.acked_checked);
    }
}

#[test]
fn pairs_at_a_rate() {
    let server = Server::start(Habits::default());
    let outcome = run(&server.url(), "pairs --pairs 5 --rate 200 --secs 0.3");
    good(&outcome);
    assert_eq!(outcome.metrics.latency_from, Some("intended"));
    assert!(outcome.metrics.client_lag_p99_ms.is_some());
}

#[test]
fn a_room_of_a_good_server() {
    let server = Server::start(Habits::default());
    let outcome = run(&server.url(), "room --members 20 --publishers 3 --window 5 --by-delivery --secs 0.2");
    let verdict = good(&outcome);
    assert_eq!(verdict.deliveries_checked, 20 * verdict.acked_checked);
}

#[test]
fn pairs_in_both_directions() {
    let server = Server::start(Habits::default());
    let outcome = run(&server.url(), "pairs --pairs 3 --both --window 2 --by-delivery --secs 0.2");
    let verdict = good(&outcome);
    assert_eq!(verdict.deliveries_checked, 2 * verdict.acked_checked, "senders read too");
}

/// Where nothing is answered, what is sent is what the windows hold.
#[test]
fn a_pairs_senders_have_a_window_each_and_a_rooms_share_one() {
    for (words, sent) in [
        ("pairs --pairs 2", 6),
        ("pairs --pairs 2 --both", 12),
        ("room --members 2 --publishers 2", 3),
        ("room --members 5 --publishers 2", 3),
    ] {
        let server = Server::start(Habits { never_ack: true, ..Habits::default() });
        let outcome = run(&server.url(), &format!("{words} --window 3 --secs 0.1 --drain 0.1"));
        assert_eq!(outcome.metrics.sent, Some(sent), "{words}");
    }
}

#[test]
fn idle_says_one_thing_each_way() {
    let server = Server::start(Habits::default());
    let outcome = run(&server.url(), "idle --connections 20 --secs 0.1");
    assert_eq!(good(&outcome).acked_checked, 20);
}

#[test]
fn everybody_comes_back_and_has_what_was_missed() {
    let server = Server::start(Habits::default());
    let outcome = run(&server.url(), "reconnect --connections 20 --behind 4 --secs 0");
    // Four messages in each of ten conversations, to two readers, once more after the cut.
    assert_eq!(good(&outcome).deliveries_checked, 2 * 4 * 10 * 2);
    assert!(outcome.metrics.all_back_s.is_some() && outcome.metrics.back_p50_ms.is_some());
    assert_eq!(outcome.metrics.disconnects, Some(0), "a cut of our own is no lost connection");
    assert_eq!((outcome.metrics.back_acks, outcome.metrics.back_ack_max_ms), (None, None), "nobody sends after it");
}

#[test]
fn filled_timelines_are_read_by_pages() {
    let server = Server::start(Habits::default());
    let outcome = run(&server.url(), "fill --messages 300 --pages 20");
    assert_eq!(good(&outcome).timelines_read, 2);
    assert!(outcome.metrics.page_p50_ms.is_some());
}

#[test]
fn timelines_are_filled_and_read_through_refusals_and_lost_connections() {
    for habits in [
        Habits { refuse_every: 7, refuse_pages_every: 3, ..Habits::default() },
        Habits { hang_up_after: 25, ..Habits::default() },
    ] {
        let server = Server::start(habits);
        let outcome = run(&server.url(), "fill --messages 100 --pages 40 --window 5 --drain 5");
        assert_eq!(good(&outcome).acked_checked, 200, "each of two timelines has its hundred");
        assert!(outcome.metrics.refused > Some(0) || outcome.metrics.disconnects > Some(0));
    }
}

#[test]
fn messages_outlive_lost_connections() {
    let server = Server::start(Habits { hang_up_after: 40, ..Habits::default() });
    let outcome = run(&server.url(), "pairs --pairs 3 --window 4 --secs 3");
    good(&outcome);
    assert!(outcome.metrics.disconnects > Some(3), "{:?}", outcome.metrics.disconnects);
    assert_eq!(outcome.metrics.unacked, Some(0));
    let (back_acks, disconnects) = (outcome.metrics.back_acks, outcome.metrics.disconnects);
    assert!(back_acks > Some(0) && back_acks <= disconnects, "one each time at most: {back_acks:?}, {disconnects:?}");
    assert!(outcome.metrics.back_ack_min_ms <= outcome.metrics.back_ack_max_ms);
}

#[test]
fn refused_messages_must_not_be_seen() {
    let server = Server::start(Habits { refuse_every: 5, ..Habits::default() });
    let outcome = run(&server.url(), "pairs --pairs 2 --rate 200 --secs 0.4");
    good(&outcome);
    assert!(outcome.metrics.refused > Some(0));

    let server = Server::start(Habits { refuse_every: 5, store_refused: true, ..Habits::default() });
    let outcome = run(&server.url(), "pairs --pairs 2 --rate 200 --secs 0.4");
    let verdict = outcome.verdict.expect("a verdict");
    assert!(!verdict.ok);
    assert_eq!(Some(verdict.refused_visible), outcome.metrics.refused);
    assert_eq!(verdict.faults(), verdict.refused_visible);
}

#[test]
fn what_is_never_answered_is_measured_and_told() {
    let server = Server::start(Habits { never_ack: true, ..Habits::default() });
    let outcome = run(&server.url(), "pairs --pairs 2 --rate 50 --secs 0.2 --drain 1");
    let verdict = outcome.verdict.as_ref().expect("a verdict");
    assert!(verdict.ok, "no promise is broken: {verdict:?}");
    assert!(outcome.unanswered > 0);
    assert_eq!((Some(outcome.unanswered), outcome.metrics.acked), (outcome.metrics.sent, Some(0)));
    // All of them are there, as old as they were after the second that was waited for them.
    assert!(outcome.metrics.ack_p50_ms >= Some(1_000.0), "{:?}", outcome.metrics.ack_p50_ms);
}

/// What a deed to one message is counted as; all that is not named is zero.
fn caught(spot: Spot, deed: Deed) -> Verdict {
    let server = Server::start(Habits::default());
    let proxy = Proxy::start(&server.url(), Sabotage::new(spot, deed, NTH)).expect("a free port");
    // What does not come is waited for. Elsewhere one page's worth of messages, so that the timeline's last page is its first.
    let words = match (spot, deed) {
        (Spot::Resume, _) => "reconnect --connections 2 --behind 14 --drain 0.2",
        (Spot::Ack | Spot::Event, Deed::Drop | Deed::Misplace | Deed::AlterClientId | Deed::Invent | Deed::Strip) => {
            "pairs --pairs 1 --rate 150 --secs 0.4 --drain 1"
        }
        _ => "pairs --pairs 1 --rate 150 --secs 0.4 --drain 20",
    };
    let outcome = run(&proxy.url(), words);
    let verdict = outcome.verdict.expect("a verdict");
    assert!(outcome.metrics.sent > Some(NTH + 2), "{:?}", outcome.metrics.sent);
    assert_eq!(verdict.ok, verdict.faults() == 0);
    assert!(verdict.first.len() as u64 >= verdict.faults().min(10), "each fault is told: {:?}", verdict.first);
    verdict
}

/// Lost, duplicates, out of order, gaps, altered, stale, foreign.
fn counts(verdict: &Verdict) -> [u64; 7] {
    let v = verdict;
    assert_eq!((v.refused_visible, v.invented), (0, 0), "{v:?}");
    [v.lost, v.duplicates, v.out_of_order, v.gaps, v.altered, v.stale, v.foreign]
}

macro_rules! caught {
    ($($name:ident: $spot:ident $deed:ident => $counts:expr;)*) => {$(
        #[test]
        fn $name() {
            let verdict = caught(Spot::$spot, Deed::$deed);
            assert_eq!(counts(&verdict), $counts, "{:?}", verdict.first);
        }
    )*};
}

caught! {
    // An ack that is lost leaves an outcome unknown, which is no fault.
    an_ack_that_is_dropped: Ack Drop => [0; 7];
    an_ack_that_comes_twice: Ack Double => [0, 1, 0, 0, 0, 0, 0];
    acks_that_are_exchanged: Ack Swap => [0, 0, 0, 0, 2, 0, 0];
    an_ack_with_another_body: Ack AlterBody => [0, 0, 0, 0, 1, 0, 0];
    an_ack_with_another_id: Ack AlterClientId => [0, 0, 0, 0, 1, 0, 0];
    an_ack_with_another_sender: Ack AlterSender => [0, 0, 0, 0, 1, 0, 0];
    an_ack_with_another_kind: Ack AlterKind => [0, 0, 0, 0, 1, 0, 0];
    // The reader and the timeline differ from it.
    an_ack_with_another_time: Ack AlterTime => [0, 0, 0, 0, 2, 0, 0];
    an_ack_that_calls_the_first_a_duplicate: Ack CallDuplicate => [0, 0, 0, 0, 1, 0, 0];
    an_ack_of_another_conversation: Ack Misplace => [0, 0, 0, 0, 0, 0, 1];
    an_ack_without_its_message: Ack Strip => [0, 0, 0, 0, 1, 0, 0];

    an_event_that_is_dropped: Event Drop => [0, 0, 0, 1, 0, 0, 0];
    an_event_that_comes_twice: Event Double => [0, 1, 0, 0, 0, 0, 0];
    events_that_change_places: Event Swap => [0, 0, 1, 0, 0, 0, 0];
    an_event_with_another_body: Event AlterBody => [0, 0, 0, 0, 1, 0, 0];
    an_event_with_another_id: Event AlterClientId => [0, 0, 0, 0, 1, 0, 0];
    an_event_with_another_sender: Event AlterSender => [0, 0, 0, 0, 1, 0, 0];
    an_event_with_another_kind: Event AlterKind => [0, 0, 0, 0, 1, 0, 0];
    an_event_with_another_time: Event AlterTime => [0, 0, 0, 0, 1, 0, 0];
    an_event_without_its_message: Event Strip => [0, 0, 0, 0, 1, 0, 0];
    // Somebody else's, and the number that it should have had is missing.
    an_event_of_another_conversation: Event Misplace => [0, 0, 0, 1, 0, 0, 1];

    // Not there, and a hole in the ordinals.
    a_row_that_is_dropped: Page Drop => [1, 0, 0, 1, 0, 0, 0];
    a_row_that_comes_twice: Page Double => [0, 1, 0, 0, 0, 0, 0];
    rows_that_change_places: Page Swap => [0, 0, 1, 0, 0, 0, 0];
    a_row_with_another_body: Page AlterBody => [0, 0, 0, 0, 1, 0, 0];
    a_row_with_another_kind: Page AlterKind => [0, 0, 0, 0, 1, 0, 0];
    a_row_with_another_time: Page AlterTime => [0, 0, 0, 0, 1, 0, 0];
    a_row_without_its_message: Page Strip => [0, 0, 0, 0, 1, 0, 0];
    a_row_with_another_id: Page AlterClientId => [0, 0, 0, 0, 1, 0, 0];
    a_row_with_another_sender: Page AlterSender => [0, 0, 0, 0, 1, 0, 0];
    a_row_of_another_conversation: Page Misplace => [0, 0, 0, 0, 0, 0, 1];

    a_missed_event_that_is_dropped: Resume Drop => [0, 0, 0, 1, 0, 0, 0];
    a_missed_event_that_comes_twice: Resume Double => [0, 1, 0, 0, 0, 0, 0];
    missed_events_that_change_places: Resume Swap => [0, 0, 1, 0, 0, 0, 0];
    a_missed_event_with_another_body: Resume AlterBody => [0, 0, 0, 0, 1, 0, 0];
    a_missed_event_with_another_kind: Resume AlterKind => [0, 0, 0, 0, 1, 0, 0];
    a_missed_event_with_another_time: Resume AlterTime => [0, 0, 0, 0, 1, 0, 0];
    a_missed_event_without_its_message: Resume Strip => [0, 0, 0, 0, 1, 0, 0];
}

#[test]
fn a_message_that_nobody_has_sent_is_invented_wherever_it_is_seen() {
    for spot in [Spot::Ack, Spot::Event, Spot::Page, Spot::Resume] {
        let verdict = caught(spot, Deed::Invent);
        assert_eq!((verdict.invented, verdict.faults()), (1, 1), "{spot:?}: {:?}", verdict.first);
    }
}

#[test]
fn a_row_that_nobody_has_sent_is_found_by_its_reader_and_in_the_timeline() {
    let server = Server::start(Habits { invent_at: NTH, ..Habits::default() });
    let outcome = run(&server.url(), "pairs --pairs 1 --rate 150 --secs 0.2");
    let verdict = outcome.verdict.expect("a verdict");
    assert_eq!((verdict.invented, verdict.faults()), (2, 2), "{:?}", verdict.first);
    // Nobody reads here but the audit.
    let outcome = run(&server.url(), "room --members 2 --publishers 1 --absent --rate 150 --secs 0.2");
    let verdict = outcome.verdict.expect("a verdict");
    assert_eq!((verdict.invented, verdict.faults()), (1, 1), "{:?}", verdict.first);
}

/// Numbers follow acks: what was sent after an ack stands above what was acknowledged.
#[test]
fn a_message_sent_after_an_ack_that_gets_a_lower_number_is_out_of_order() {
    let habits = Habits { exchange_at: NTH, ..Habits::default() };
    // By its own ack; and by the timeline alone, where it has none.
    for (silent_at, unacked) in [(0, 0), (NTH, 1)] {
        let server = Server::start(Habits { silent_at, ..habits });
        let outcome = run(&server.url(), "pairs --pairs 1 --window 1 --secs 0.3 --drain 1");
        assert_eq!(outcome.metrics.unacked, Some(unacked));
        let verdict = outcome.verdict.expect("a verdict");
        assert_eq!(counts(&verdict), [0, 0, 1, 0, 0, 0, 0], "{unacked}: {:?}", verdict.first);
    }
}

#[test]
fn a_timeline_that_ends_before_what_was_acknowledged() {
    let server = Server::start(Habits::default());
    let proxy = Proxy::start(&server.url(), Sabotage::new(Spot::Page, Deed::Age, 0)).expect("a free port");
    let outcome = run(&proxy.url(), "pairs --pairs 1 --rate 100 --secs 0.2");
    let verdict = outcome.verdict.expect("a verdict");
    assert_eq!(counts(&verdict), [0, 0, 0, 0, 0, 1, 0], "{:?}", verdict.first);
}

/// In a room, what one reader had checked is compared byte for byte for the others; that must hide nothing.
#[test]
fn one_reader_of_many_is_not_overlooked() {
    for (deed, expected) in [
        (Deed::AlterBody, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Drop, [0, 0, 0, 1, 0, 0, 0]),
        (Deed::Double, [0, 1, 0, 0, 0, 0, 0]),
        (Deed::Misplace, [0, 0, 0, 1, 0, 0, 1]),
    ] {
        let server = Server::start(Habits::default());
        // Of the sixth message, a reader in the middle.
        let sabotage = Sabotage::new(Spot::Event, deed, 5 * 12 + 6);
        let proxy = Proxy::start(&server.url(), sabotage).expect("a free port");
        let outcome = run(&proxy.url(), "room --members 12 --publishers 2 --rate 150 --secs 0.4 --drain 1");
        let verdict = outcome.verdict.expect("a verdict");
        assert_eq!(counts(&verdict), expected, "{deed:?}: {:?}", verdict.first);
    }
}

/// What a reader gets of a number that it has already, or will get once more, must be the same too.
#[test]
fn what_comes_twice_by_right_is_compared_as_well() {
    use switchyard_protocol::v1::{Event, Reply, ServerFrame, event::Body, reply, server_frame::Frame};

    let alter = |event: &mut Event| match &mut event.body {
        Some(Body::Message(message)) => message.text.push('x'),
        other => panic!("{other:?}"),
    };
    // Which event of the first page comes live before it, and which of the two is altered.
    for (at, live) in [(0, false), (5, true)] {
        let server = Server::start(Habits::default());
        let mut done = false;
        let overlap = move |_: usize, mut frame: ServerFrame| {
            let mut early = None;
            if let Some(Frame::Reply(Reply { result: Some(reply::Result::Resumed(resumed)), .. })) = &mut frame.frame
                && let Some(event) = resumed.conversations[0].events.get_mut(at)
                && !std::mem::replace(&mut done, true)
            {
                let mut copy = event.clone();
                alter(if live { &mut copy } else { event });
                early = Some(ServerFrame { frame: Some(Frame::Event(copy)) });
            }
            early.into_iter().chain([frame]).collect()
        };
        let proxy = Proxy::start(&server.url(), overlap).expect("a free port");
        let outcome = run(&proxy.url(), "reconnect --connections 2 --behind 14 --drain 0.2");
        let verdict = outcome.verdict.expect("a verdict");
        assert_eq!(counts(&verdict), [0, 0, 0, 0, 1, 0, 0], "{at}: {:?}", verdict.first);
    }
}

#[test]
fn the_last_event_is_missed_too() {
    let server = Server::start(Habits::default());
    let messages = 20;
    let proxy = Proxy::start(&server.url(), Sabotage::new(Spot::Event, Deed::Drop, messages - 1)).expect("a free port");
    let outcome = run(&proxy.url(), "idle --connections 10 --secs 0 --drain 0.3");
    let verdict = outcome.verdict.expect("a verdict");
    assert_eq!(verdict.gaps, 1, "{:?}", verdict.first);
    assert_eq!(verdict.faults(), 1, "{:?}", verdict.first);
}
