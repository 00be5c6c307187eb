//! Chance for tests that spoil what is stored: the same in every run.

/// Numbers below the one that is asked for, by xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
pub(crate) fn random() -> impl FnMut(usize) -> usize {
    let mut state = 1_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}
