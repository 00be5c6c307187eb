//! The timestamps of rows: `epoch << 20 | n`, where n counts the overwrites of a row within an epoch. So of two writes to a row the
//! one of the later epoch wins, whenever it comes.

use switchyard_protocol::owner::EPOCH_MAX;

use crate::rules::{Rule, Rules};

/// The timestamp of what is gone for good: above whatever may still come.
pub(crate) const ABOVE_ALL: i64 = 1 << 50;

/// Bits of a log timestamp that count overwrites within an epoch.
const OVERWRITE_BITS: u32 = 20;

/// The timestamp with which an epoch appends, and adopts; nothing for one above [`EPOCH_MAX`].
pub(super) fn of_epoch(epoch: u64, rules: Rules) -> Option<i64> {
    // Without it those of all epochs are equal, and the bytes decide.
    let epoch = if rules.has(Rule::EpochTimestamps) { epoch } else { 0 };
    (epoch <= EPOCH_MAX).then_some((epoch << OVERWRITE_BITS) as i64)
}

/// The epoch of a log timestamp.
pub(super) fn epoch_of(timestamp: i64) -> u64 {
    (timestamp >> OVERWRITE_BITS) as u64
}

/// The timestamp with which a row of this epoch is overwritten that is stored with that one; nothing if it cannot be once more.
pub(super) fn to_overwrite(epoch: u64, stored: i64, rules: Rules) -> Option<i64> {
    let own = of_epoch(epoch, rules)?;
    if !rules.has(Rule::EraseRaisesTimestamp) {
        return Some(stored.max(own));
    }
    let next = stored.checked_add(1).filter(|next| epoch_of(*next) == epoch_of(stored))?;
    Some(next.max(own.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_epochs_and_overwrites_win() {
        let of_epoch = |epoch| of_epoch(epoch, Rules::default());
        let to_overwrite = |epoch, stored| to_overwrite(epoch, stored, Rules::default());
        let appended = of_epoch(3).expect("a low epoch");
        assert_eq!((appended, epoch_of(appended)), (3 << 20, 3));
        let once = to_overwrite(3, appended).expect("not often");
        let twice = to_overwrite(3, once).expect("not often");
        assert!(appended < once && once < twice && twice < of_epoch(4).expect("a low epoch"));
        assert_eq!(to_overwrite(3, of_epoch(4).expect("a low epoch")), Some((4 << 20) + 1), "adopted by a later one");
        assert_eq!(to_overwrite(4, appended), Some((4 << 20) + 1));
        assert_eq!(to_overwrite(3, (4 << 20) - 1), None, "that would be another epoch's");
        assert!(of_epoch(EPOCH_MAX).expect("the highest") + (1 << 20) <= ABOVE_ALL);
        assert_eq!(of_epoch(EPOCH_MAX + 1), None);
    }
}
