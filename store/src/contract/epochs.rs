//! Promises about epochs: each higher than all before, whoever asks.

use std::collections::HashSet;

use switchyard_protocol::id::TenantId;

use super::{Case, Subject, wait};

pub(super) const CASES: &[Case] = &[
    Case { name: "epochs rise", run: rise },
    Case { name: "no epoch is given out twice", run: once },
    Case { name: "epochs rise across restarts", run: across_restarts },
];

fn open(subject: &dyn Subject) -> u64 {
    wait(subject, subject.epochs().open_epoch()).expect("nothing fails here")
}

fn rise(subject: &mut dyn Subject, _: TenantId) {
    let first = open(subject);
    assert!(first >= 1);
    assert!(open(subject) > first);
}

fn once(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let seen: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| [open(subject), open(subject), open(subject)])).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 12, "{seen:?}");
}

fn across_restarts(subject: &mut dyn Subject, _: TenantId) {
    let before = open(subject);
    subject.reopen();
    assert!(open(subject) > before);
}
