//! Spoils valid inputs, the same way for the same seed. Shared by the tests of several crates; it knows nothing of what it
//! spoils, and its own cost is kept small, since it runs a million times in a build without optimisation.

/// Changes made to an input, one of these: mostly one, since each more makes it likelier that the first is never met.
const CHANGES: [u64; 4] = [1, 1, 2, 3];

/// Bytes of a spoilt input at most: repeated doubling must not end in large ones.
const INPUT_BYTES_MAX: usize = 2_048;

/// Inputs that are taken, and that are refused, of many; of a signed token next to no change is taken.
const EACH_MIN: u64 = 100;

/// Makes spoilt inputs without end.
pub(crate) struct Mutator {
    state: u64,
    samples: Vec<Vec<u8>>,
    tokens: &'static [&'static [u8]],
}

impl Mutator {
    /// Spoils the samples, sometimes with one of the tokens: bytes that mean something to the decoder. Neither list may be
    /// empty.
    pub(crate) fn new(seed: u64, samples: Vec<Vec<u8>>, tokens: &'static [&'static [u8]]) -> Self {
        assert!(!samples.is_empty() && !tokens.is_empty(), "nothing to work with");
        // The generator below would stay at zero for ever.
        Self { state: seed | 1 << 63, samples, tokens }
    }

    /// The next random number.
    pub(crate) fn random(&mut self) -> u64 {
        // xorshift64* by Vigna: short, and good enough to choose places.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// Makes `input` one of the samples with one to three changes.
    pub(crate) fn next(&mut self, input: &mut Vec<u8>) {
        let first = self.random();
        input.clear();
        input.extend_from_slice(&self.samples[pick(first >> 8, self.samples.len())]);
        for _ in 0..CHANGES[pick(first, CHANGES.len())] {
            self.change(input);
        }
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (what, place) = (self.random(), self.random());
        let at = pick(place, input.len());
        let byte = (what >> 8) as u8;
        let run = at..(at + 1 + pick(place >> 32, 16)).min(input.len());
        match what % 9 {
            _ if input.is_empty() => input.push(byte),
            0 | 1 => input[at] ^= 1 << (byte & 7),
            2 => input[at] = byte,
            3 => input.insert(at, byte),
            4 => drop(input.drain(run)),
            5 => input.truncate(at),
            6 if input.len() < INPUT_BYTES_MAX => input.extend_from_within(run),
            7 => {
                let token = self.tokens[pick(what >> 16, self.tokens.len())];
                input.splice(at..at, token.iter().copied());
            }
            _ => {
                let other = &self.samples[pick(what >> 16, self.samples.len())];
                let from = pick(place >> 32, other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// One of so many, the first of none.
fn pick(random: u64, len: usize) -> usize {
    (random as usize) % len.max(1)
}

/// Counts what came of the inputs: a test whose inputs are all taken or all refused reaches next to nothing.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    taken: u64,
    refused: u64,
}

impl Tally {
    /// One input was taken, or refused.
    pub(crate) fn count(&mut self, taken: bool) {
        if taken { self.taken += 1 } else { self.refused += 1 }
    }

    /// Both happened often enough to mean something.
    pub(crate) fn check(&self) {
        assert!(self.taken.min(self.refused) >= EACH_MIN, "one-sided inputs: {self:?}");
    }
}

/// Spoils inputs so often and lets `judge` say whether each was taken; a panic is told with the seed and the input.
pub(crate) fn many(
    seed: u64,
    inputs: u64,
    samples: Vec<Vec<u8>>,
    tokens: &'static [&'static [u8]],
    judge: impl Fn(&[u8]) -> bool,
) {
    let mut mutator = Mutator::new(seed, samples, tokens);
    let (mut input, mut tally) = (Vec::new(), Tally::default());
    for number in 0..inputs {
        mutator.next(&mut input);
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&input)));
        match judged {
            Ok(taken) => tally.count(taken),
            Err(panic) => {
                eprintln!("seed {seed:#x}, input {number}: {:?}", input.escape_ascii().to_string());
                std::panic::resume_unwind(panic);
            }
        }
    }
    tally.check();
}
