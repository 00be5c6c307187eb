//! What must be true of the journal's decoder, whatever it is fed; for tests and fuzz targets.

use bytes::Bytes;

use super::record::{self, Header};
use super::scan::scan;
use super::sector::{Place, SECTOR_BYTES, Sectors, is_empty, seal};

/// A journal of two segments, as one would be found: with records of all kinds, one of which is torn, and an older one.
pub(crate) fn journals() -> Vec<Vec<u8>> {
    let mut journal = vec![0; 12 * SECTOR_BYTES];
    let mut put = |at: usize, number: u64, header: Header, rows: usize| {
        let place = Place { segment: u32::from(at >= 6), sectors: 6 };
        let mut record = Sectors::default();
        let row = [Bytes::from_static(&[7; 400])];
        let payload = rows * record::rows_len(b"conversation", &row) + record::value_len(b"key", b"value");
        record.put(&header.encode(payload));
        for seq in 0..rows {
            record::put_rows(&mut record, b"conversation", seq as u64, &row);
        }
        record::put_value(&mut record, 3, b"key", b"value");
        let sectors = record.stamp(place, at as u32 % 6, number);
        journal[at * SECTOR_BYTES..][..sectors.len()].copy_from_slice(sectors);
    };
    let header = |previous, synced, applied| Header { previous, synced, applied, segments: 2 };
    put(6, 2, header(1, 1, 0), 1);
    put(0, 5, header(4, 4, 4), 0);
    put(1, 6, header(5, 5, 4), 2);
    put(4, 9, header(8, 6, 4), 1);
    put(4, 11, header(6, 6, 4), 0);
    vec![journal[..6 * SECTOR_BYTES].to_vec(), journal]
}

/// Two segments of any bytes, as they are and with right checksums. Says whether the latter are a journal with records.
pub(crate) fn journal(input: &[u8]) -> bool {
    let whole = input.len() - input.len() % SECTOR_BYTES;
    let sectors = whole / SECTOR_BYTES;
    let mut bytes = input[..whole].to_vec();
    let split = sectors.div_ceil(2) * SECTOR_BYTES;
    judge(&[&bytes[..split], &bytes[split..]]);
    let lengths = [split, whole - split];
    for (at, sector) in bytes.chunks_exact_mut(SECTOR_BYTES).enumerate() {
        if !is_empty(sector) {
            let segment = usize::from(at * SECTOR_BYTES >= split);
            let place = Place { segment: segment as u32, sectors: (lengths[segment] / SECTOR_BYTES) as u32 };
            let index = at - segment * split / SECTOR_BYTES;
            seal(place, index as u32, sector);
        }
    }
    judge(&[&bytes[..split], &bytes[split..]])
}

fn judge(segments: &[&[u8]]) -> bool {
    let Ok(found) = scan(segments) else { return false };
    let mut last = found.applied;
    for live in &found.live {
        assert!(live.number > last, "numbers grow");
        last = live.number;
        let place = segments[live.segment as usize].len() / SECTOR_BYTES;
        assert!(live.end as usize <= place, "it lies within its segment");
        if let Some(entries) = record::entries(live.payload.clone()) {
            let len = |entry: &record::Entry| match entry {
                record::Entry::Rows(rows) => record::rows_len(&rows.conversation, &rows.rows),
                record::Entry::Value { key, value, .. } => record::value_len(key, value),
            };
            assert_eq!(entries.iter().map(len).sum::<usize>(), live.payload.len(), "nothing is left over");
        }
    }
    assert_eq!(last, found.last);
    assert!(found.highest >= found.last || found.live.is_empty());
    !found.live.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_journals() {
        assert!(journals().iter().any(|sample| journal(sample)));
    }

    #[test]
    fn a_million_altered_journals_are_read_or_refused() {
        let samples = journals();
        let mut random = crate::spoil::random();
        let mut taken = 0;
        for round in 0..1_000_000 {
            let mut input = samples[round % samples.len()].clone();
            for _ in 0..=random(3) {
                // The stamps and headers, mostly, where a change changes something.
                let within = if random(4) > 0 { 60 } else { SECTOR_BYTES };
                let at = random(input.len() / SECTOR_BYTES) * SECTOR_BYTES + random(within);
                input[at] = [0, 1, 2, 4, 5, 6, 9, 0xff, random(256) as u8][random(9)];
            }
            taken += usize::from(journal(&input));
        }
        assert!(taken > 10_000 && taken < 990_000, "{taken}: the changes are all alike");
    }
}
