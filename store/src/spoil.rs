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

/// Alters the samples a million times and lets `judge` say whether each was taken.
pub(crate) fn a_million(samples: &[Vec<u8>], judge: impl Fn(&[u8]) -> bool) {
    assert!(samples.iter().all(|sample| judge(sample)));
    let mut random = random();
    let mut taken = 0;
    for round in 0..1_000_000 {
        let mut input = samples[round % samples.len()].clone();
        for _ in 0..=random(2) {
            let at = random(input.len());
            input[at] = [0, 1, 4, 5, 9, 0xff, random(256) as u8][random(7)];
        }
        input.truncate(input.len().saturating_sub(random(4) / 3 * random(12)));
        taken += usize::from(judge(&input));
    }
    assert!(taken > 10_000 && taken < 990_000, "{taken}: the changes are all alike");
}
