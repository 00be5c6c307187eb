//! How lists grow of which there are many, or that are long for each connection: by a part of what is there, not by doubling.

/// Room for how many more a full list of so many takes: little, for there are many lists; and a part of what is there, so
/// that filling it stays linear.
pub(crate) fn growth(len: usize) -> usize {
    (len / 8).max(4)
}
