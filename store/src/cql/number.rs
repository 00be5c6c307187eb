//! Numbers of ours as the store knows them, signed, and the timestamps of each class of tables.
//!
//! All timestamps lie below [`ABOVE_ALL`], which is the time that a clock in microseconds said in 2005: so whatever is written without one,
//! by hand, hides ours, and stores that refuse timestamps of the future take ours.

use switchyard_protocol::owner::EPOCH_MAX;

use crate::log::Seq;

/// The timestamp of what is gone for good: above whatever may still come.
pub(super) const ABOVE_ALL: i64 = 1 << 50;

/// The highest number that a projection or a mark may have.
pub(super) const AT_MAX: u64 = ABOVE_ALL as u64 - 1;

/// Bits of a log timestamp that count overwrites within an epoch.
const OVERWRITE_BITS: u32 = 20;

/// The timestamp with which an epoch appends, and adopts; nothing for one above [`EPOCH_MAX`].
pub(super) fn of_epoch(epoch: u64) -> Option<i64> {
    (epoch <= EPOCH_MAX).then_some((epoch << OVERWRITE_BITS) as i64)
}

/// The epoch of a log timestamp.
pub(super) fn epoch_of(timestamp: i64) -> u64 {
    (timestamp >> OVERWRITE_BITS) as u64
}

/// The timestamp with which a row of this epoch is overwritten that is stored with that one; nothing if it cannot be once more.
pub(super) fn to_overwrite(epoch: u64, stored: i64) -> Option<i64> {
    let next = stored.checked_add(1).filter(|next| epoch_of(*next) == epoch_of(stored))?;
    Some(next.max(of_epoch(epoch)?.checked_add(1)?))
}

/// The timestamp of a projection or mark with this number; nothing above [`AT_MAX`].
pub(super) fn of_number(at: u64) -> Option<i64> {
    (at <= AT_MAX).then_some(at as i64)
}

/// A row's number, as it is stored. Larger ones than there are become the largest, so that they may bound what is read.
pub(super) fn of_seq(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_epochs_and_overwrites_win() {
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
        assert_eq!((of_number(AT_MAX), of_number(AT_MAX + 1)), (Some(ABOVE_ALL - 1), None));
    }
}
