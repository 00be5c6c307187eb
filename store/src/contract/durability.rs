//! Promises about what a restart leaves: everything that a barrier confirmed, in the form it had.

use bytes::Bytes;
use switchyard_protocol::id::TenantId;

use super::{Case, Subject, all, barrier, conversation, fill, head, user, wait};
use crate::log::BUCKET_ROWS;
use crate::projection::ProjectionWrite;

pub(super) const CASES: &[Case] = &[
    Case { name: "rows outlive a restart", run: rows },
    Case { name: "a trim outlives a restart", run: trim },
    Case { name: "projections outlive a restart", run: projections },
    Case { name: "barriers of many threads all answer", run: many_barriers },
];

fn rows(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    for restart in 0..3 {
        fill(subject, &key, restart * 150, restart * 150 + 149);
        barrier(subject);
        subject.reopen();
        assert_eq!(all(subject, &key), (0..(restart + 1) * 150).collect::<Vec<_>>());
    }
    assert_eq!(head(subject, &key, 449), Ok(Some(449)));
}

fn trim(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 2 * BUCKET_ROWS);
    let first = wait(subject, subject.log().trim(&key, BUCKET_ROWS)).expect("nothing is damaged");
    barrier(subject);
    let before = all(subject, &key);
    subject.reopen();
    assert_eq!(all(subject, &key), before);
    assert_eq!(wait(subject, subject.log().trim(&key, 1)), Ok(first));
}

fn projections(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let member = |name: &str, at, value: Option<&'static [u8]>| ProjectionWrite::Member {
        key: key.clone(),
        list: key.conversation,
        user: user(name),
        at,
        value: value.map(Bytes::from_static),
    };
    let writes = [
        ProjectionWrite::Conversation { key: key.clone(), at: 4, record: Bytes::from_static(b"fields") },
        member("ann", 4, Some(b"in")),
        member("bob", 6, None),
    ];
    wait(subject, subject.projections().write(&writes)).expect("nothing fails here");
    barrier(subject);
    subject.reopen();
    let record = wait(subject, subject.projections().load(&key)).expect("nothing is damaged");
    assert_eq!(record.map(|record| (record.applied, record.fields)), Some((4, Bytes::from_static(b"fields"))));
    wait(subject, subject.projections().write(&[member("bob", 5, Some(b"late"))])).expect("nothing fails here");
    let members = wait(subject, subject.projections().members(&key)).expect("nothing is damaged");
    assert_eq!(members.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), ["ann"]);
}

fn many_barriers(subject: &mut dyn Subject, tenant: TenantId) {
    let keys: Vec<_> = (0..8).map(|number| conversation(&tenant, number)).collect();
    {
        let subject = &*subject;
        std::thread::scope(|scope| {
            for key in &keys {
                scope.spawn(move || {
                    for round in 0..10 {
                        fill(subject, key, round * 3, round * 3 + 2);
                        barrier(subject);
                    }
                });
            }
        });
    }
    subject.reopen();
    for key in &keys {
        assert_eq!(all(subject, key), (0..30).collect::<Vec<_>>());
    }
}
