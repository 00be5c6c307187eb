//! Masking of payloads (RFC 6455, section 5.3): an exclusive-or with four bytes, over and over.

/// Takes the mask off, or puts it on: the two are the same. `position` is where in the frame's payload `data` begins.
pub(super) fn apply(data: &mut [u8], mask: [u8; 4], position: usize) {
    let mut turned = mask;
    turned.rotate_left(position % 4);
    let [a, b, c, d] = turned;
    let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Eight bytes at a time in a loop without branches, which the compiler turns into vector instructions.
    let (words, tail) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn every_length_and_position_agrees_with_the_definition() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for position in 0..9 {
            for len in 0..70 {
                let clear: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
                let wanted: Vec<u8> =
                    clear.iter().enumerate().map(|(i, byte)| byte ^ mask[(position + i) % 4]).collect();
                let mut data = clear.clone();
                apply(&mut data, mask, position);
                assert_eq!(data, wanted, "length {len} at {position}");
                apply(&mut data, mask, position);
                assert_eq!(data, clear, "twice is the identity");
            }
        }
    }

    #[test]
    fn example_of_the_rfc() {
        let mut data = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&data, b"Hello");
    }
}
