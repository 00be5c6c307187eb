//! How much a session may ask at a time, and what each request costs.

use super::*;

#[test]
fn requests_in_flight_have_a_limit_and_come_back() {
    let mut desk = Desk::known();
    let first = asked(desk.say(send(1))).remove(0);
    for _ in 1..desk.config.requests_in_flight_max {
        assert_eq!(asked(desk.say(send(1))).len(), 1);
    }
    let refused = desk.say(send(1));
    assert!(matches!(reply(&refused), Reply::Error(error) if error.retry_after_ms.is_some()));
    assert_eq!(code(&refused), "RATE_LIMITED");
    desk.answer(&first, Answer::Refused(Refusal::NOT_FOUND));
    assert_eq!(asked(desk.say(send(1))).len(), 1);
}

#[test]
fn pages_in_flight_have_a_limit_of_their_own() {
    let mut desk = Desk::known();
    let history = || Request::History(v1::History { conversation: text(1), ..Default::default() });
    for _ in 0..desk.config.pages_in_flight_max {
        assert_eq!(asked(desk.say(history())).len(), 1);
    }
    assert_eq!(code(&desk.say(history())), "RATE_LIMITED");
    assert_eq!(asked(desk.say(send(1))).len(), 1, "what is small goes on");
}

#[test]
fn a_used_up_budget_is_answered() {
    let mut desk = Desk::known();
    desk.gate.refuse_requests = true;
    let effects = desk.say(send(1));
    assert!(matches!(reply(&effects), Reply::Error(error) if error.retry_after_ms == Some(70)));
}

#[test]
fn what_means_much_work_costs_much() {
    let mut desk = Desk::known();
    let members = |count: usize| (0..count).map(|n| format!("user {n}")).collect::<Vec<_>>();
    let group = |count| v1::Create { kind: 1, members: members(count), ..Default::default() };
    let positions = |count| vec![v1::Position { conversation: text(1), seq: 0 }; count];
    let add = |count| v1::Add { conversation: text(1), members: members(count) };
    let page = |limit| v1::History { conversation: text(1), limit, ..Default::default() };
    for (request, cost) in [
        (Request::Ping(v1::Ping {}), 1),
        (Request::Create(group(2)), 1),
        (Request::Create(group(999)), 63),
        (Request::Add(add(160)), 11),
        (Request::Resume(v1::Resume { positions: positions(200) }), 13),
        (Request::Subscribe(v1::Subscribe { conversations: vec![text(1); 32], all: false }), 3),
        (Request::History(page(0)), 1),
        (Request::History(page(u32::MAX)), 3),
        (Request::Members(v1::Members { conversation: text(1), ..Default::default() }), 11),
    ] {
        desk.say(request);
        assert_eq!(desk.gate.cost, cost);
    }
}
