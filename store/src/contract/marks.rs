//! Promises about marks: the highest stays, whatever the order, and each member has their own.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, TenantId};

use super::{Case, Subject, barrier, conversation, user, wait};
use crate::log::Seq;
use crate::mark::{MARK_BYTES_MAX, Mark};
use crate::projection::ProjectionError;

pub(super) const CASES: &[Case] = &[
    Case { name: "a mark is its highest write", run: highest },
    Case { name: "marks are each member's and kind's own", run: apart },
    Case { name: "marks of tenants do not mix", run: tenants },
    Case { name: "confirmed marks are there after a restart", run: restart },
    Case { name: "large marks are refused", run: too_large },
    Case { name: "marks that are forgotten stay so", run: forgotten },
];

fn mark(key: &ConversationKey, name: &str, kind: u8, at: Seq, value: &'static str) -> Mark {
    Mark { key: key.clone(), user: user(name), kind, at, value: Bytes::from_static(value.as_bytes()) }
}

fn raise(subject: &dyn Subject, marks: &[Mark]) {
    wait(subject, subject.marks().raise(marks)).expect("nothing fails here");
}

fn marks(subject: &dyn Subject, key: &ConversationKey) -> Vec<(u8, String, Seq, Bytes)> {
    let marks = wait(subject, subject.marks().marks(key)).expect("nothing is damaged");
    marks.into_iter().map(|mark| (mark.kind, mark.user.to_string(), mark.at, mark.value)).collect()
}

fn found(kind: u8, name: &str, at: Seq, value: &'static str) -> (u8, String, Seq, Bytes) {
    (kind, name.to_owned(), at, Bytes::from_static(value.as_bytes()))
}

fn highest(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    assert_eq!(marks(subject, &key), []);
    raise(subject, &[]);
    raise(
        subject,
        &[mark(&key, "ann", 0, 5, "five"), mark(&key, "ann", 0, 7, "seven"), mark(&key, "ann", 0, 6, "six")],
    );
    assert_eq!(marks(subject, &key), [found(0, "ann", 7, "seven")]);
    raise(subject, &[mark(&key, "ann", 0, 3, "three")]);
    raise(subject, &[mark(&key, "ann", 0, 7, "seven again, otherwise")]);
    assert_eq!(marks(subject, &key), [found(0, "ann", 7, "seven")]);
    raise(subject, &[mark(&key, "ann", 0, 9, "")]);
    assert_eq!(marks(subject, &key), [found(0, "ann", 9, "")]);
}

fn apart(subject: &mut dyn Subject, tenant: TenantId) {
    let (one, two) = (conversation(&tenant, 1), conversation(&tenant, 2));
    raise(subject, &["bob", "ann", "annabel", "é"].map(|name| mark(&one, name, 0, 1, "x")));
    raise(subject, &[mark(&one, "ann", 1, 8, "y"), mark(&two, "ann", 0, 4, "z"), mark(&one, "zoe", 0, 0, "")]);
    let of_one = ["ann", "annabel", "bob"].map(|name| found(0, name, 1, "x"));
    let rest = [found(0, "zoe", 0, ""), found(0, "é", 1, "x"), found(1, "ann", 8, "y")];
    assert_eq!(marks(subject, &one), [&of_one[..], &rest[..]].concat());
    assert_eq!(marks(subject, &two), [found(0, "ann", 4, "z")]);
}

fn tenants(subject: &mut dyn Subject, tenant: TenantId) {
    let other = TenantId::new(&format!("{tenant}x")).expect("a short name");
    let (here, there) = (conversation(&tenant, 1), conversation(&other, 1));
    raise(subject, &[mark(&here, "ann", 0, 1, "here")]);
    assert_eq!(marks(subject, &there), []);
    raise(subject, &[mark(&there, "ann", 0, 2, "there")]);
    assert_eq!(marks(subject, &here), [found(0, "ann", 1, "here")]);
}

fn restart(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    raise(subject, &[mark(&key, "ann", 0, 5, "five"), mark(&key, "ann", 1, 6, "six")]);
    raise(subject, &[mark(&key, "ann", 0, 9, "nine")]);
    barrier(subject);
    subject.reopen();
    assert_eq!(marks(subject, &key), [found(0, "ann", 9, "nine"), found(1, "ann", 6, "six")]);
    raise(subject, &[mark(&key, "ann", 0, 7, "late")]);
    assert_eq!(marks(subject, &key), [found(0, "ann", 9, "nine"), found(1, "ann", 6, "six")]);
}

fn forgotten(subject: &mut dyn Subject, tenant: TenantId) {
    let (key, other) = (conversation(&tenant, 1), conversation(&tenant, 2));
    let forget = |subject: &dyn Subject| {
        wait(subject, subject.marks().forget(&key)).expect("nothing fails here");
    };
    forget(subject);
    raise(
        subject,
        &[mark(&key, "ann", 0, 5, "five"), mark(&key, "bob", 1, 6, "six"), mark(&other, "ann", 0, 1, "one")],
    );
    forget(subject);
    assert_eq!(marks(subject, &key), []);
    raise(subject, &[mark(&key, "ann", 0, 9, "late")]);
    assert_eq!(marks(subject, &key), [], "what was on its way does not bring it back");
    barrier(subject);
    subject.reopen();
    assert_eq!((marks(subject, &key), marks(subject, &other)), (Vec::new(), vec![found(0, "ann", 1, "one")]));
    forget(subject);
    assert_eq!(marks(subject, &key), []);
}

fn too_large(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let large = |bytes| Mark { value: Bytes::from(vec![1; bytes]), ..mark(&key, "ann", 0, 1, "") };
    let refused = wait(subject, subject.marks().raise(&[mark(&key, "bob", 0, 1, ""), large(MARK_BYTES_MAX + 1)]));
    assert_eq!(refused, Err(ProjectionError::TooLarge));
    assert_eq!(marks(subject, &key), []);
    raise(subject, &[large(MARK_BYTES_MAX)]);
    assert_eq!(marks(subject, &key).len(), 1);
}
