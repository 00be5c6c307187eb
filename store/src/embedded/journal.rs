//! The engine's journal as bytes on disk: reads its batches one by one and checks each, without the engine. Only reads;
//! what a failed check means is judged in `recovery.rs`.
//!
//! ```text
//! batch   start | item … | end
//! start   1 | items (4) | engine number (8)
//! item    2 | type (1) | compression (1) | keyspace (8) | key length (2) | value length (4) | stored length (4) | key | value
//! end     3 | xxh3 of the items (8) | "FJL" 3
//! ```
//! All numbers are little-endian. After the last batch come zeros (the file is made larger in advance) or the end.

use std::io::{self, BufRead, BufReader, Read};

use xxhash_rust::xxh3::Xxh3;

use super::witness::{self, Witness};

/// The last bytes of every batch.
pub(super) const TRAILER: [u8; 4] = *b"FJL\x03";

/// Read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of an item between its tag and its key.
const ITEM_HEADER_BYTES: usize = 20;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;

/// One intact batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// The engine's own number, which its checksum does not cover.
    pub(super) engine_number: u64,
    /// Its first row, if that is a witness.
    pub(super) witness: Option<Witness>,
}

/// Why the bytes at a place are not an intact batch.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file could not be read.
    Io(io::Error),
    /// Cut off, or not of the form.
    Form,
    /// Of full length and of the form, but the checksum or the number of items is wrong.
    Sum,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Form } else { Self::Io(error) }
    }
}

/// Reads batch after batch.
pub(super) struct Reader<R> {
    input: BufReader<R>,
    pos: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(BUFFER_BYTES, input), pos: 0, buffer: Vec::new() }
    }

    /// How far it has read.
    pub(super) fn pos(&self) -> u64 {
        self.pos
    }

    /// The next batch, or nothing at the end of the file.
    pub(super) fn batch(&mut self) -> Result<Option<Batch>, Fault> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let start: [u8; 13] = self.array()?;
        if start[0] != START {
            return Err(Fault::Form);
        }
        let items = u32::from_le_bytes(start[1..5].try_into().expect("4 bytes of 13"));
        let engine_number = u64::from_le_bytes(start[5..].try_into().expect("8 bytes of 13"));
        let mut sum = Xxh3::new();
        let mut first = None;
        let mut seen = 0_u32;
        loop {
            match self.array::<1>()?[0] {
                ITEM => {
                    let witness = self.item(&mut sum)?;
                    first = first.or(Some(witness));
                    seen = seen.checked_add(1).ok_or(Fault::Form)?;
                }
                END => break,
                _ => return Err(Fault::Form),
            }
        }
        let expected = u64::from_le_bytes(self.array()?);
        if self.array()? != TRAILER {
            return Err(Fault::Form);
        }
        if sum.digest() != expected || seen != items {
            return Err(Fault::Sum);
        }
        Ok(Some(Batch { engine_number, witness: first.flatten() }))
    }

    /// Reads an item after its tag, adds it to the sum and says what it witnesses.
    fn item(&mut self, sum: &mut Xxh3) -> Result<Option<Witness>, Fault> {
        let header: [u8; ITEM_HEADER_BYTES] = self.array()?;
        let key_len = u16::from_le_bytes(header[10..12].try_into().expect("2 bytes of 20"));
        let stored_len = u32::from_le_bytes(header[16..20].try_into().expect("4 bytes of 20"));
        sum.update(&[ITEM]);
        sum.update(&header);
        let len = u64::from(key_len) + u64::from(stored_len);
        self.buffer.clear();
        // Grows with what is there, not with what a damaged length claims.
        let read = self.input.by_ref().take(len).read_to_end(&mut self.buffer)?;
        self.pos += read as u64;
        if read as u64 != len {
            return Err(Fault::Form);
        }
        sum.update(&self.buffer);
        Ok(self.buffer.strip_prefix(witness::KEY).and_then(Witness::decode))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.pos += N as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: &mut Vec<u8>, key: &[u8], value: &[u8]) {
        bytes.extend([ITEM, 0, 0]);
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend((key.len() as u16).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(key);
        bytes.extend(value);
    }

    fn batch(number: u64) -> Vec<u8> {
        let mut items = Vec::new();
        item(&mut items, witness::KEY, &Witness { number, synced: 0, engine_number: 7 }.encode());
        item(&mut items, b"key", b"value of a row");
        let mut bytes = vec![START];
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend(&items);
        bytes.push(END);
        bytes.extend(xxhash_rust::xxh3::xxh3_64(&items).to_le_bytes());
        bytes.extend(TRAILER);
        bytes
    }

    #[test]
    fn intact_batches_are_read_one_by_one() {
        let bytes = [batch(4), batch(5)].concat();
        let mut reader = Reader::new(&bytes[..]);
        for number in [4, 5] {
            let batch = reader.batch().expect("it is intact").expect("it is there");
            assert_eq!((batch.engine_number, batch.witness.map(|witness| witness.number)), (7, Some(number)));
        }
        assert_eq!(reader.pos(), bytes.len() as u64);
        assert!(reader.batch().expect("an end is no fault").is_none());
    }

    #[test]
    fn a_million_altered_journals_end_in_a_fault_or_intact() {
        let intact = [batch(4), batch(5)].concat();
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut faults = 0;
        for _ in 0..1_000_000 {
            let mut bytes = intact.clone();
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
            bytes.truncate(bytes.len() - random(2) * random(60));
            let mut reader = Reader::new(&bytes[..]);
            let fault = loop {
                match reader.batch() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(fault) => break Some(fault),
                }
            };
            faults += usize::from(fault.is_some());
        }
        assert!(faults > 900_000, "{faults} faults");
    }
}
