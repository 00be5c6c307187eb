//! A group with a long past: rows that were stored before a run begins.

use std::sync::OnceLock;

use bytes::Bytes;
use prost::Message as _;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::{ConversationKind, Role};
use switchyard_store::{ProjectionWrite, RowRef};

use crate::clients::old_key;
use crate::disk::Disk;
use crate::profile::OLD_AGE_MS;
use crate::rng::Rng;
use crate::timeline::{FOUNDING, MESSAGE, form, user};
use crate::world::WALL_MS;

/// Members of the group: an admin, a moderator and a plain member.
pub(crate) const MEMBERS: [(&str, Role); 3] = [("ana", Role::Admin), ("ben", Role::Moderator), ("cleo", Role::Member)];

/// The most rows that a run begins with.
pub(crate) const ROWS_MAX: u64 = 12_200;

const SINCE_MS: u64 = WALL_MS - OLD_AGE_MS;

pub(crate) fn key() -> ConversationKey {
    old_key()
}

fn rows() -> &'static [Bytes] {
    static ALL: OnceLock<Vec<Bytes>> = OnceLock::new();
    ALL.get_or_init(|| {
        let key = key();
        let members = MEMBERS.iter().map(|(name, role)| form::Member { user: (*name).into(), role: *role as i32 });
        let founding = form::Founding {
            kind: ConversationKind::Group as i32,
            members: members.collect(),
            name: Some("old".into()),
            ..form::Founding::default()
        };
        let founding = founding.encode_to_vec();
        let row = |seq: u64| {
            let client_id = format!("old{seq}");
            let text = format!("old text {seq}");
            let (kind, sender) = if seq == 0 { (FOUNDING, "ana") } else { (MESSAGE, MEMBERS[seq as usize % 3].0) };
            RowRef {
                epoch: 0,
                first: seq,
                ordinal: seq,
                kind,
                sender,
                client_id: if seq == 0 { "" } else { &client_id },
                time_ms: SINCE_MS + seq,
                body: if seq == 0 { &founding } else { text.as_bytes() },
            }
            .encode(&key, seq)
        };
        (0..=ROWS_MAX).map(row).collect()
    })
}

/// The event that the stored record follows from: soon to be written again, just written, or never since the founding.
pub(crate) fn applied(head: u64, rng: &mut Rng) -> u64 {
    match rng.below(5) {
        0..3 => head.saturating_sub(1_000 - rng.below(30)),
        3 => head - rng.below(head.min(30) + 1),
        _ if head < 2_500 => 0,
        _ => head,
    }
}

/// Puts the group on the disk, with its listings and a record as of some event.
pub(crate) fn put(disk: &Disk, head: u64, applied: u64) {
    let key = key();
    let mut inner = disk.inner();
    let stored = inner.rows.entry(key.clone()).or_default();
    stored.begin_with(&key, &rows()[..=head as usize]);
    for (name, role) in MEMBERS {
        let value = form::MemberRecord { role: role as i32, joined: 0 }.encode_to_vec().into();
        inner.put(&ProjectionWrite::Member {
            key: key.clone(),
            list: key.conversation,
            user: user(name),
            at: 0,
            value: Some(value),
        });
    }
    let record = form::Record {
        kind: ConversationKind::Group as i32,
        name: Some("old".into()),
        created_ms: SINCE_MS,
        first_available: 1,
        ..form::Record::default()
    };
    let record = record.encode_to_vec().into();
    inner.put(&ProjectionWrite::Conversation { key, at: applied, record });
    inner.settle();
}
