//! What must be true of the decoder of pages, whatever it is fed; for tests and fuzz targets.

use bytes::Bytes;

use super::page::{Page, paginate};

/// The number of the last row that the judged pages have.
const LAST: u64 = 40;

/// Pages of one row and of several.
pub(crate) fn pages() -> Vec<Vec<u8>> {
    let rows: Vec<(u64, Bytes)> = (36..=LAST).map(|seq| (seq, Bytes::from(vec![1; 9 * (seq as usize % 4)]))).collect();
    let mut found = Vec::new();
    for from in [0, 4] {
        paginate(rows[from..].iter().map(|(seq, row)| (*seq, row)), |_, page| found.push(page));
    }
    found
}

/// A page that is read has the rows that it says, and nothing beside them.
pub(crate) fn page(input: &[u8]) -> bool {
    let Some(page) = Page::decode(LAST, Bytes::copy_from_slice(input)) else { return false };
    assert!(page.first() <= LAST && page.last() == LAST);
    let rows: Vec<(u64, Bytes)> = page.rows().collect();
    assert_eq!(rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (page.first()..=LAST).collect::<Vec<_>>());
    assert!(rows.iter().all(|(seq, row)| page.row(*seq).as_ref() == Some(row)));
    assert_eq!((page.row(LAST + 1), page.first().checked_sub(1).and_then(|seq| page.row(seq))), (None, None));
    assert_eq!(input.len(), 4 + rows.iter().map(|(_, row)| 4 + row.len()).sum::<usize>());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_altered_pages_are_read_or_refused() {
        crate::spoil::a_million(&pages(), page);
    }
}
