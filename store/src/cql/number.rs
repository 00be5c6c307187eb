//! Numbers of ours as the store knows them, signed, and the timestamps of projections and marks; those of rows are in
//! `quorum/timestamp.rs`.
//!
//! All timestamps lie below [`ABOVE_ALL`], which is the time that a clock in microseconds said in 2005: so whatever is written without one,
//! by hand, hides ours, and stores that refuse timestamps of the future take ours.

use crate::log::Seq;

pub(super) use crate::quorum::timestamp::ABOVE_ALL;

/// The highest number that a projection or a mark may have.
pub(super) const AT_MAX: u64 = ABOVE_ALL as u64 - 1;

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
    fn what_is_gone_lies_above_every_number() {
        assert_eq!((of_number(AT_MAX), of_number(AT_MAX + 1)), (Some(ABOVE_ALL - 1), None));
    }
}
