//! A sector of the journal: what a disk writes wholly or not at all, stamped so that each can be judged by itself. Pure:
//! bytes in, values out.
//!
//! ```text
//! sector   record's number (8) | part (4) | CRC-32C (4) | data (496)      all numbers little-endian
//! ```
//! The part counts the sectors of a record from 0. The checksum covers where the sector lies (segment, the segment's length,
//! index) and all else. A sector that was never written is all zeros; numbers begin with 1.

/// What a disk writes wholly or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;

/// Bytes of the stamp.
const STAMP_BYTES: usize = 16;

/// Bytes of a record in one sector.
pub(crate) const DATA_BYTES: usize = SECTOR_BYTES - STAMP_BYTES;

/// Where the checksum lies.
const SUM: std::ops::Range<usize> = 12..16;

/// The segment in which a sector lies. Its length is a part of it, so that a file that was cut short is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment's number.
    pub(crate) segment: u32,
    /// The segment's sectors.
    pub(crate) sectors: u32,
}

impl Place {
    fn checksum(self, index: u32, sector: &[u8]) -> u32 {
        let mut place = [0; 12];
        place[..4].copy_from_slice(&self.segment.to_le_bytes());
        place[4..8].copy_from_slice(&self.sectors.to_le_bytes());
        place[8..].copy_from_slice(&index.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&place), &sector[..SUM.start]);
        crc32c::crc32c_append(sum, &sector[SUM.end..])
    }
}

/// What a sector holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sector<'a> {
    /// It was never written.
    Empty,
    /// A part of a record, as it was written.
    Whole {
        /// The record's number.
        number: u64,
        /// Which of its sectors.
        part: u32,
        /// Of the record.
        data: &'a [u8],
    },
    /// Neither, which no crash leaves behind.
    Damaged,
}

impl<'a> Sector<'a> {
    /// Judges the bytes at a place.
    pub(crate) fn read(place: Place, index: u32, bytes: &'a [u8]) -> Self {
        let (Some(number), Some(part), Some(sum)) = (chunk(bytes, 0), chunk(bytes, 8), chunk(bytes, SUM.start)) else {
            return Self::Damaged;
        };
        if bytes.len() != SECTOR_BYTES {
            return Self::Damaged;
        }
        let number = u64::from_le_bytes(number);
        if number == 0 && is_empty(bytes) {
            return Self::Empty;
        }
        if number == 0 || u32::from_le_bytes(sum) != place.checksum(index, bytes) {
            return Self::Damaged;
        }
        Self::Whole { number, part: u32::from_le_bytes(part), data: &bytes[STAMP_BYTES..] }
    }
}

/// Whether it is as it was made.
pub(crate) fn is_empty(sector: &[u8]) -> bool {
    *sector == [0; SECTOR_BYTES]
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Sectors that so many bytes of a record need.
pub(crate) fn sectors_for(bytes: usize) -> usize {
    bytes.div_ceil(DATA_BYTES)
}

/// A record being spread over sectors.
#[derive(Default)]
pub(crate) struct Sectors {
    bytes: Vec<u8>,
}

impl Sectors {
    /// Begins anew, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds bytes of the record.
    pub(crate) fn put(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let within = self.bytes.len() % SECTOR_BYTES;
            if within == 0 {
                self.bytes.extend_from_slice(&[0; STAMP_BYTES]);
                continue;
            }
            let (now, later) = data.split_at(data.len().min(SECTOR_BYTES - within));
            self.bytes.extend_from_slice(now);
            data = later;
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.bytes.len().div_ceil(SECTOR_BYTES)).expect("a record is far smaller than a segment")
    }

    /// Fills the last one with zeros and stamps all, to be written at this index.
    pub(crate) fn stamp(&mut self, place: Place, first: u32, number: u64) -> &[u8] {
        self.bytes.resize(self.bytes.len().next_multiple_of(SECTOR_BYTES), 0);
        for (part, sector) in (0..).zip(self.bytes.chunks_exact_mut(SECTOR_BYTES)) {
            sector[..8].copy_from_slice(&number.to_le_bytes());
            sector[8..SUM.start].copy_from_slice(&u32::to_le_bytes(part));
            seal(place, first + part, sector);
        }
        &self.bytes
    }
}

/// Puts the checksum on a sector.
pub(crate) fn seal(place: Place, index: u32, sector: &mut [u8]) {
    let sum = place.checksum(index, sector);
    sector[SUM].copy_from_slice(&sum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { segment: 3, sectors: 100 };

    fn record(bytes: usize) -> Vec<u8> {
        let mut sectors = Sectors::default();
        sectors.put(&vec![7; bytes]);
        sectors.stamp(PLACE, 5, 9).to_vec()
    }

    #[test]
    fn what_was_spread_comes_back() {
        for bytes in [1, DATA_BYTES - 1, DATA_BYTES, DATA_BYTES + 1, 3 * DATA_BYTES] {
            let written = record(bytes);
            assert_eq!(written.len(), sectors_for(bytes) * SECTOR_BYTES);
            let mut found = Vec::new();
            for (at, sector) in (0..).zip(written.chunks(SECTOR_BYTES)) {
                let Sector::Whole { number: 9, part, data } = Sector::read(PLACE, 5 + at, sector) else {
                    panic!("sector {at} is not whole");
                };
                assert_eq!(part, at);
                found.extend_from_slice(data);
            }
            assert!(found[..bytes].iter().all(|byte| *byte == 7) && found[bytes..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        for mut sector in [record(100), vec![0; SECTOR_BYTES]] {
            for bit in 0..SECTOR_BYTES * 8 {
                sector[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Sector::read(PLACE, 5, &sector), Sector::Damaged, "bit {bit}");
                sector[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_sector_of_another_place_is_damage() {
        let sector = record(100);
        assert_ne!(Sector::read(PLACE, 5, &sector), Sector::Damaged);
        assert_eq!(Sector::read(PLACE, 6, &sector), Sector::Damaged);
        assert_eq!(Sector::read(Place { segment: 4, ..PLACE }, 5, &sector), Sector::Damaged);
        assert_eq!(Sector::read(Place { sectors: 99, ..PLACE }, 5, &sector), Sector::Damaged);
        assert_eq!(Sector::read(PLACE, 5, &sector[1..]), Sector::Damaged);
        assert_eq!(Sector::read(PLACE, 5, &[]), Sector::Damaged);
    }
}
