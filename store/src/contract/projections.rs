//! Promises about projections: the newest event wins, whatever the order, and removals are not forgotten.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, TenantId};

use super::{Case, Subject, barrier, conversation, user, wait};
use crate::log::Seq;
use crate::projection::{
    ABOUT_BYTES_MAX, DecisionPlace, OVERLAY_BYTES_MAX, ProjectionError, ProjectionWrite, RECORD_BYTES_MAX, Record,
};

pub(super) const CASES: &[Case] = &[
    Case { name: "a record is its newest write", run: newest },
    Case { name: "order of writes does not matter", run: any_order },
    Case { name: "a removal outlives late additions", run: removal },
    Case { name: "members are listed from both sides", run: both_sides },
    Case { name: "members may be listed under another name", run: relisted },
    Case { name: "projections of tenants do not mix", run: tenants },
    Case { name: "large values are refused", run: too_large },
    Case { name: "overlays are listed by their rows", run: overlays },
    Case { name: "reactors are found by row and user", run: reactors },
    Case { name: "decisions are found by home, kind and what they are about", run: decisions },
    Case { name: "a decision that was taken back is remembered", run: taken_back },
];

fn record(key: &ConversationKey, at: Seq, fields: &'static str) -> ProjectionWrite {
    ProjectionWrite::Conversation { key: key.clone(), at, record: Bytes::from_static(fields.as_bytes()) }
}

fn member(key: &ConversationKey, name: &str, at: Seq, value: Option<&'static str>) -> ProjectionWrite {
    let value = value.map(|value| Bytes::from_static(value.as_bytes()));
    ProjectionWrite::Member { key: key.clone(), list: key.conversation, user: user(name), at, value }
}

fn write(subject: &dyn Subject, writes: &[ProjectionWrite]) {
    wait(subject, subject.projections().write(writes)).expect("nothing fails here");
}

fn load(subject: &dyn Subject, key: &ConversationKey) -> Option<(Seq, Bytes)> {
    let record = wait(subject, subject.projections().load(key)).expect("nothing is damaged");
    record.map(|Record { applied, fields }| (applied, fields))
}

fn members(subject: &dyn Subject, key: &ConversationKey) -> Vec<(String, Seq, Bytes)> {
    let members = wait(subject, subject.projections().members(key)).expect("nothing is damaged");
    members.into_iter().map(|member| (member.user.to_string(), member.at, member.value)).collect()
}

fn conversations(subject: &dyn Subject, tenant: &TenantId, name: &str) -> Vec<(u8, Seq)> {
    let listed = wait(subject, subject.projections().conversations_of(tenant, &user(name)));
    let listed = listed.expect("nothing is damaged");
    listed.into_iter().map(|listed| (listed.conversation.as_bytes()[0], listed.at)).collect()
}

fn relisted(subject: &mut dyn Subject, tenant: TenantId) {
    let (key, list, other) = (conversation(&tenant, 1), conversation(&tenant, 2), conversation(&tenant, 3));
    let ann = |at, value: Option<&'static str>| {
        let value = value.map(|value| Bytes::from_static(value.as_bytes()));
        ProjectionWrite::Member { key: key.clone(), list: list.conversation, user: user("ann"), at, value }
    };
    let listed = |name: &str, value: &'static str| ProjectionWrite::Listed {
        list: list.clone(),
        user: user(name),
        at: 9,
        value: Bytes::from_static(value.as_bytes()),
    };
    let found = |name: &str, at, value: &'static str| (name.to_owned(), at, Bytes::from_static(value.as_bytes()));
    write(subject, &[member(&key, "ann", 1, Some("one")), member(&key, "bob", 1, Some("one"))]);
    write(subject, &[listed("ann", "nine"), listed("bob", "nine")]);
    assert_eq!(members(subject, &key), [found("ann", 1, "one"), found("bob", 1, "one")]);
    assert_eq!(members(subject, &list), [found("ann", 9, "nine"), found("bob", 9, "nine")]);
    assert_eq!(conversations(subject, &tenant, "ann"), [(1, 1)], "the list alone has another name");
    write(subject, &[ann(12, None), listed("ann", "nine again")]);
    assert_eq!(members(subject, &list), [found("bob", 9, "nine")]);
    assert_eq!(conversations(subject, &tenant, "ann"), []);
    write(subject, &[ann(15, Some("fifteen")), member(&other, "bob", 2, Some("two"))]);
    for _ in 0..2 {
        wait(subject, subject.projections().drop_list(&key)).expect("nothing fails here");
    }
    barrier(subject);
    subject.reopen();
    assert_eq!(members(subject, &list), [found("ann", 15, "fifteen"), found("bob", 9, "nine")]);
    assert_eq!(members(subject, &other), [found("bob", 2, "two")]);
    assert_eq!(conversations(subject, &tenant, "ann"), [(1, 15)]);
}

fn newest(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    assert_eq!(load(subject, &key), None);
    write(subject, &[]);
    write(subject, &[record(&key, 5, "five")]);
    write(subject, &[record(&key, 3, "three")]);
    assert_eq!(load(subject, &key), Some((5, Bytes::from("five"))));
    write(subject, &[record(&key, 5, "five again, otherwise")]);
    assert_eq!(load(subject, &key), Some((5, Bytes::from("five"))));
    write(subject, &[record(&key, 8, "")]);
    assert_eq!(load(subject, &key), Some((8, Bytes::new())));
    let other = conversation(&tenant, 2);
    write(subject, &[record(&other, 0, "founding")]);
    assert_eq!(load(subject, &other), Some((0, Bytes::from("founding"))));
}

fn any_order(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    write(
        subject,
        &[
            record(&key, 2, "two"),
            member(&key, "ann", 4, Some("four")),
            record(&key, 7, "seven"),
            member(&key, "ann", 6, None),
            record(&key, 1, "one"),
            member(&key, "ann", 5, Some("five")),
            member(&key, "bob", 1, Some("one")),
        ],
    );
    assert_eq!(load(subject, &key), Some((7, Bytes::from("seven"))));
    assert_eq!(members(subject, &key), [("bob".to_owned(), 1, Bytes::from("one"))]);
}

fn removal(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    write(subject, &[member(&key, "ann", 3, Some("in"))]);
    write(subject, &[member(&key, "ann", 6, None)]);
    write(subject, &[member(&key, "ann", 4, Some("late"))]);
    assert_eq!(members(subject, &key), []);
    assert_eq!(conversations(subject, &tenant, "ann"), []);
    write(subject, &[member(&key, "ann", 9, Some("back"))]);
    write(subject, &[member(&key, "ann", 6, None)]);
    assert_eq!(members(subject, &key), [("ann".to_owned(), 9, Bytes::from("back"))]);
    assert_eq!(conversations(subject, &tenant, "ann"), [(1, 9)]);
    // A removal may come before the addition it removes.
    write(subject, &[member(&key, "bob", 12, None)]);
    write(subject, &[member(&key, "bob", 11, Some("in"))]);
    assert_eq!(conversations(subject, &tenant, "bob"), []);
}

fn both_sides(subject: &mut dyn Subject, tenant: TenantId) {
    let (one, two) = (conversation(&tenant, 1), conversation(&tenant, 2));
    let writes = ["bob", "ann", "annabel"].map(|name| member(&one, name, 1, Some("x")));
    write(subject, &writes);
    write(subject, &[member(&two, "ann", 7, Some("y")), member(&two, "é", 1, Some(""))]);
    let names = |key| members(subject, key).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
    assert_eq!(names(&one), ["ann", "annabel", "bob"]);
    assert_eq!(names(&two), ["ann", "é"]);
    assert_eq!(conversations(subject, &tenant, "ann"), [(1, 1), (2, 7)]);
    assert_eq!(conversations(subject, &tenant, "annabel"), [(1, 1)]);
    assert_eq!(conversations(subject, &tenant, "an"), []);
    assert_eq!(conversations(subject, &tenant, "é"), [(2, 1)]);
}

fn tenants(subject: &mut dyn Subject, tenant: TenantId) {
    let other = TenantId::new(&format!("{tenant}x")).expect("a short name");
    let (here, there) = (conversation(&tenant, 1), conversation(&other, 1));
    write(subject, &[record(&here, 1, "here"), member(&here, "ann", 1, Some("here"))]);
    assert_eq!(load(subject, &there), None);
    assert_eq!(members(subject, &there), []);
    assert_eq!(conversations(subject, &other, "ann"), []);
    write(subject, &[record(&there, 1, "there"), member(&there, "ann", 1, Some("there"))]);
    assert_eq!(load(subject, &here), Some((1, Bytes::from("here"))));
    assert_eq!(members(subject, &there), [("ann".to_owned(), 1, Bytes::from("there"))]);
    assert_eq!(members(subject, &here), [("ann".to_owned(), 1, Bytes::from("here"))]);
}

fn too_large(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let large = |bytes| ProjectionWrite::Conversation { key: key.clone(), at: 1, record: Bytes::from(vec![1; bytes]) };
    let refused = wait(subject, subject.projections().write(&[record(&key, 1, "x"), large(RECORD_BYTES_MAX + 1)]));
    assert_eq!(refused, Err(ProjectionError::TooLarge));
    assert_eq!(load(subject, &key), None);
    write(subject, &[large(RECORD_BYTES_MAX)]);
    assert_eq!(load(subject, &key).map(|(_, fields)| fields.len()), Some(RECORD_BYTES_MAX));
}

fn overlay(key: &ConversationKey, target: Seq, at: Seq, value: &'static str) -> ProjectionWrite {
    ProjectionWrite::Overlay { key: key.clone(), target, at, value: Bytes::from_static(value.as_bytes()) }
}

fn reactor(key: &ConversationKey, target: Seq, name: &str, at: Seq, value: Option<&'static str>) -> ProjectionWrite {
    let value = value.map(|value| Bytes::from_static(value.as_bytes()));
    ProjectionWrite::Reactor { key: key.clone(), target, user: user(name), at, value }
}

fn overlays(subject: &mut dyn Subject, tenant: TenantId) {
    let (key, other) = (conversation(&tenant, 1), conversation(&tenant, 2));
    let listed = |subject: &dyn Subject, key: &ConversationKey, from, to| {
        let overlays = wait(subject, subject.projections().overlays(key, from, to)).expect("nothing is damaged");
        overlays.into_iter().map(|overlay| (overlay.target, overlay.at, overlay.value)).collect::<Vec<_>>()
    };
    write(subject, &[overlay(&key, 256, 300, "b"), overlay(&key, 3, 300, "a"), overlay(&other, 4, 9, "c")]);
    // What users did to a row is no overlay, though it lies beside it.
    write(subject, &[reactor(&key, 3, "ann", 301, Some("x"))]);
    write(subject, &[overlay(&key, 3, 299, "late"), overlay(&key, 256, 301, "newer")]);
    let (a, b) = ((3, 300, Bytes::from("a")), (256, 301, Bytes::from("newer")));
    assert_eq!(listed(subject, &key, 0, u64::MAX), [a.clone(), b.clone()]);
    assert_eq!(listed(subject, &key, 3, 255), [a]);
    assert_eq!(listed(subject, &key, 4, 256), [b]);
    assert_eq!(listed(subject, &key, 5, 4), []);
    assert_eq!(listed(subject, &other, 3, 3), []);
    let large = |bytes| ProjectionWrite::Overlay { key: key.clone(), target: 9, at: 9, value: vec![1; bytes].into() };
    let refused = wait(subject, subject.projections().write(&[large(OVERLAY_BYTES_MAX + 1)]));
    assert_eq!(refused, Err(ProjectionError::TooLarge));
    write(subject, &[large(OVERLAY_BYTES_MAX)]);
    subject.reopen();
    let again: Vec<_> = listed(subject, &key, 0, u64::MAX).iter().map(|(target, ..)| *target).collect();
    assert_eq!(again, [3, 9, 256]);
}

fn reactors(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let found = |subject: &dyn Subject, name: &str, targets: &[Seq]| {
        let (user, projections) = (user(name), subject.projections());
        let found = wait(subject, projections.reactors(&key, &user, targets)).expect("nothing is damaged");
        found.into_iter().map(|reactor| reactor.map(|reactor| (reactor.at, reactor.value))).collect::<Vec<_>>()
    };
    write(subject, &[reactor(&key, 3, "ann", 7, Some("a")), reactor(&key, 5, "annabel", 8, Some("b"))]);
    write(subject, &[reactor(&key, 3, "ann", 9, None), reactor(&key, 3, "ann", 8, Some("late"))]);
    assert_eq!(found(subject, "ann", &[5, 3]), [None, Some((9, None))]);
    assert_eq!(found(subject, "annabel", &[3, 5]), [None, Some((8, Some(Bytes::from("b"))))]);
    assert_eq!(found(subject, "ann", &[]), []);
}

fn place(home: &ConversationKey, kind: u8, about: &'static str) -> DecisionPlace {
    DecisionPlace { home: home.clone(), kind, about: Bytes::from_static(about.as_bytes()) }
}

fn decision(place: DecisionPlace, at: Seq, value: Option<&'static str>) -> ProjectionWrite {
    ProjectionWrite::Decision { place, at, value: value.map(|value| Bytes::from_static(value.as_bytes())) }
}

fn standing(subject: &dyn Subject, home: &ConversationKey) -> Vec<(u8, Bytes, Seq, Option<Bytes>)> {
    let found = wait(subject, subject.projections().decisions(home)).expect("nothing is damaged");
    found.into_iter().map(|found| (found.kind, found.about, found.at, found.value)).collect()
}

fn decisions(subject: &mut dyn Subject, tenant: TenantId) {
    let other = TenantId::new(&format!("{tenant}x")).expect("a short name");
    let (home, next, theirs) = (conversation(&tenant, 1), conversation(&tenant, 2), conversation(&other, 1));
    write(
        subject,
        &[
            decision(place(&home, 1, "x"), 4, Some("four")),
            decision(place(&home, 0, "bob"), 0, Some("")),
            decision(place(&home, 0, "ann"), 3, Some("three")),
            decision(place(&next, 0, "ann"), 7, Some("next")),
            decision(place(&theirs, 0, "ann"), 8, Some("theirs")),
        ],
    );
    let about = |name: &'static str| Bytes::from_static(name.as_bytes());
    let (ann, bob) = ((0, about("ann"), 3, Some(about("three"))), (0, about("bob"), 0, Some(Bytes::new())));
    let all = [ann, bob, (1, about("x"), 4, Some(about("four")))];
    assert_eq!(standing(subject, &home), all);
    let wanted = [place(&next, 0, "ann"), place(&home, 0, "an"), place(&theirs, 0, "ann"), place(&home, 1, "ann")];
    let found = wait(subject, subject.projections().decided(&wanted)).expect("nothing is damaged");
    let found: Vec<_> = found.into_iter().map(|found| found.map(|found| (found.kind, found.about, found.at))).collect();
    assert_eq!(found, [Some((0, about("ann"), 7)), None, Some((0, about("ann"), 8)), None]);
    let long = DecisionPlace { about: Bytes::from(vec![b'x'; ABOUT_BYTES_MAX + 1]), ..place(&home, 0, "") };
    let refused = wait(subject, subject.projections().write(&[decision(long, 9, None)]));
    assert_eq!(refused, Err(ProjectionError::TooLarge));
    let longest = DecisionPlace { about: Bytes::from(vec![b'x'; ABOUT_BYTES_MAX]), ..place(&next, 0, "") };
    write(subject, &[decision(longest.clone(), 9, Some(""))]);
    wait(subject, subject.log().barrier()).expect("nothing fails here");
    subject.reopen();
    assert_eq!(standing(subject, &home), all);
    assert_eq!(standing(subject, &next).last(), Some(&(0, longest.about, 9, Some(Bytes::new()))));
}

fn taken_back(subject: &mut dyn Subject, tenant: TenantId) {
    let home = conversation(&tenant, 1);
    let ann = || place(&home, 0, "ann");
    write(subject, &[decision(ann(), 5, Some("in")), decision(ann(), 7, None), decision(ann(), 6, Some("late"))]);
    assert_eq!(standing(subject, &home), []);
    let found = wait(subject, subject.projections().decided(&[ann()])).expect("nothing is damaged");
    assert_eq!(found.first().and_then(Option::as_ref).map(|found| (found.at, found.value.clone())), Some((7, None)));
    write(subject, &[decision(ann(), 9, Some("again")), decision(ann(), 9, None)]);
    assert_eq!(standing(subject, &home).len(), 1);
}
