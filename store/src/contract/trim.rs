//! Promises about retention: what goes, what stays, and that readers see the boundary and no hole.

use switchyard_protocol::id::TenantId;

use super::{Case, Subject, conversation, fill, head, page, range, wait};
use crate::log::{BUCKET_ROWS, Direction, Seq};

pub(super) const CASES: &[Case] = &[
    Case { name: "trim drops the oldest events", run: drops },
    Case { name: "trim keeps founding row and head", run: keeps },
    Case { name: "trim never brings rows back", run: never_back },
    Case { name: "trim of nothing is nothing", run: nothing },
    Case { name: "a trimmed conversation goes on", run: goes_on },
];

use Direction::{Backward, Forward};

fn trim(subject: &dyn Subject, tenant: &TenantId, below: Seq) -> Seq {
    wait(subject, subject.log().trim(&conversation(tenant, 1), below)).expect("nothing is damaged")
}

fn drops(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let top = 2 * BUCKET_ROWS + 10;
    fill(subject, &key, 0, top);
    let below = BUCKET_ROWS + 1;
    let first = trim(subject, &tenant, below);
    assert!(first <= below && first > below - BUCKET_ROWS, "{first}: more was dropped, or a whole bucket less");
    assert_eq!(page(subject, &key, range(0, Seq::MAX, Forward, 3)), [0, first, first + 1]);
    assert_eq!(page(subject, &key, range(1, Seq::MAX, Forward, 2)), [first, first + 1]);
    assert_eq!(page(subject, &key, range(0, first + 1, Backward, 9)), [first + 1, first, 0]);
    assert_eq!(page(subject, &key, range(1, first + 1, Backward, 9)), [first + 1, first]);
    assert!(page(subject, &key, range(1, first.saturating_sub(1).max(1), Forward, 9)).is_empty());
    assert_eq!(super::all(subject, &key).len() as u64, top - first + 2);
}

fn keeps(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    let top = BUCKET_ROWS;
    fill(subject, &key, 0, top);
    let first = trim(subject, &tenant, Seq::MAX);
    assert!(first <= top);
    assert_eq!(page(subject, &key, range(0, 0, Forward, 1)), [0]);
    assert_eq!(head(subject, &key, 0), Ok(Some(top)));
    assert_eq!(page(subject, &key, range(0, Seq::MAX, Backward, 1)), [top]);
}

fn never_back(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, 3 * BUCKET_ROWS);
    let first = trim(subject, &tenant, 2 * BUCKET_ROWS);
    assert_eq!(trim(subject, &tenant, 5), first);
    assert_eq!(trim(subject, &tenant, 2 * BUCKET_ROWS), first);
    assert_eq!(page(subject, &key, range(1, Seq::MAX, Forward, 1)), [first]);
}

fn nothing(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    assert_eq!(trim(subject, &tenant, 9), 1);
    assert_eq!(head(subject, &key, 0), Ok(None));
    fill(subject, &key, 0, 3);
    assert_eq!(trim(subject, &tenant, 0), 1);
    assert_eq!(trim(subject, &tenant, 1), 1);
    assert_eq!(super::all(subject, &key), [0, 1, 2, 3]);
}

fn goes_on(subject: &mut dyn Subject, tenant: TenantId) {
    let key = conversation(&tenant, 1);
    fill(subject, &key, 0, BUCKET_ROWS + 4);
    trim(subject, &tenant, BUCKET_ROWS);
    fill(subject, &key, BUCKET_ROWS + 5, 2 * BUCKET_ROWS + 4);
    let first = trim(subject, &tenant, 2 * BUCKET_ROWS);
    assert!(first > BUCKET_ROWS - 1);
    assert_eq!(head(subject, &key, 0), Ok(Some(2 * BUCKET_ROWS + 4)));
    assert_eq!(super::all(subject, &key).len() as u64, 2 * BUCKET_ROWS + 4 - first + 2);
}
