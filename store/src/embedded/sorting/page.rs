//! A page: consecutive rows of a conversation under one key of the engine, because reading and merging cost by the key. Its key
//! ends with the number of its last row, so that one step forward from any number finds the page that has it. Pure.
//!
//! ```text
//! key     conversation's key | last number (8, big-endian)
//! page    rows (4) | length (4) … | row …      little-endian
//! ```
//! The lengths stand together: where they stood before each row, finding a row would fetch a piece of memory for each one
//! before it, and that is most of what reading a page costs.
//!
//! The founding row is a page by itself, because it outlives all others. **Invariant:** each row is in one page only; whoever
//! stores a row again writes the pages around it anew.

use bytes::{Buf, BufMut, Bytes};

/// Bytes of a page; a larger row is a page by itself. A block of the engine holds one such page.
pub(crate) const PAGE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the number of rows, and of each length.
const LENGTH_BYTES: usize = 4;

/// Rows with their numbers, in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    first: u64,
    /// Where each row lies.
    places: Vec<(u32, u32)>,
    bytes: Bytes,
}

impl Page {
    /// Reads a page whose key ends with this number; nothing if it is none.
    pub(crate) fn decode(last: u64, bytes: Bytes) -> Option<Self> {
        let mut rest = &bytes[..];
        let count = rest.try_get_u32_le().ok()?;
        let first = last.checked_sub(u64::from(count.checked_sub(1)?))?;
        let (mut lengths, rows) = rest.split_at_checked(usize::try_from(count).ok()?.checked_mul(LENGTH_BYTES)?)?;
        let mut at = u32::try_from(bytes.len() - rows.len()).ok()?;
        let mut places = Vec::with_capacity(count as usize);
        while let Ok(len) = lengths.try_get_u32_le() {
            let end = at.checked_add(len)?;
            places.push((at, end));
            at = end;
        }
        (usize::try_from(at).ok()? == bytes.len()).then_some(Self { first, places, bytes })
    }

    /// The number of the first row.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the last row.
    pub(crate) fn last(&self) -> u64 {
        self.first + (self.places.len() as u64 - 1)
    }

    /// The row of this number. A slice, not a copy.
    pub(crate) fn row(&self, seq: u64) -> Option<Bytes> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        let (from, to) = *self.places.get(at)?;
        Some(self.bytes.slice(from as usize..to as usize))
    }

    /// All rows with their numbers.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        (self.first..).zip(&self.places).map(|(seq, (from, to))| (seq, self.bytes.slice(*from as usize..*to as usize)))
    }
}

/// Puts rows that follow each other into as few pages as hold them, and tells each with its last number.
pub(crate) fn paginate<'a>(rows: impl IntoIterator<Item = (u64, &'a Bytes)>, mut tell: impl FnMut(u64, Vec<u8>)) {
    let (mut page, mut last) = (Unfinished::default(), 0_u64);
    for (seq, row) in rows {
        if !page.lengths.is_empty() && (!page.fits(row) || last == 0 || seq != last + 1) {
            tell(last, std::mem::take(&mut page).finish());
        }
        page.lengths.push(u32::try_from(row.len()).expect("rows have a limit"));
        page.rows.put_slice(row);
        last = seq;
    }
    if !page.lengths.is_empty() {
        tell(last, page.finish());
    }
}

/// A page being filled.
#[derive(Default)]
struct Unfinished {
    lengths: Vec<u32>,
    rows: Vec<u8>,
}

impl Unfinished {
    fn fits(&self, row: &[u8]) -> bool {
        (self.lengths.len() + 2) * LENGTH_BYTES + self.rows.len() + row.len() <= PAGE_BYTES_MAX
    }

    fn finish(self) -> Vec<u8> {
        let mut page = Vec::with_capacity((self.lengths.len() + 1) * LENGTH_BYTES + self.rows.len());
        page.put_u32_le(u32::try_from(self.lengths.len()).expect("a page has a limit"));
        self.lengths.iter().for_each(|len| page.put_u32_le(*len));
        page.extend_from_slice(&self.rows);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, len: usize) -> (u64, Bytes) {
        (seq, Bytes::from(vec![seq as u8; len]))
    }

    fn pages(rows: &[(u64, Bytes)]) -> Vec<Page> {
        let mut pages = Vec::new();
        paginate(rows.iter().map(|(seq, row)| (*seq, row)), |last, page| {
            assert!(
                page.len() <= PAGE_BYTES_MAX
                    || Page::decode(last, page.clone().into()).is_some_and(|page| page.places.len() == 1)
            );
            pages.push(Page::decode(last, page.into()).expect("it was just made"));
        });
        pages
    }

    #[test]
    fn rows_come_back_from_their_pages() {
        let rows: Vec<_> = [0..100, 200..203, 204..209]
            .into_iter()
            .flatten()
            .map(|seq| row(seq, if seq == 50 { 70_000 } else { 10 * seq as usize }))
            .collect();
        let pages = pages(&rows);
        let found: Vec<_> = pages.iter().flat_map(Page::rows).collect();
        assert_eq!(found, rows);
        let bounds: Vec<_> = pages.iter().map(|page| (page.first(), page.last())).collect();
        assert_eq!((bounds[0], bounds[1].0), ((0, 0), 1), "the founding row stands alone");
        assert!(bounds.contains(&(50, 50)) && bounds.contains(&(200, 202)) && bounds.contains(&(204, 208)));
        assert!(pages.len() < 12, "{bounds:?}");
        for (seq, row) in &rows {
            let page = pages.iter().find(|page| page.last() >= *seq).expect("it is there");
            assert_eq!(page.row(*seq).as_ref(), Some(row));
        }
        assert_eq!((pages[1].row(0), pages[1].row(pages[1].last() + 1)), (None, None));
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let mut bytes = Vec::new();
        paginate([row(7, 3), row(8, 0)].iter().map(|(seq, row)| (*seq, row)), |_, page| bytes = page);
        assert!(Page::decode(8, bytes.clone().into()).is_some());
        assert!(Page::decode(0, bytes.clone().into()).is_none(), "its first row would lie below 0");
        for len in 0..bytes.len() {
            assert!(Page::decode(8, bytes[..len].to_vec().into()).is_none(), "cut to {len}");
        }
        assert!(Page::decode(8, [&bytes[..], b"x"].concat().into()).is_none());
        bytes[0] = 0;
        assert!(Page::decode(8, bytes.into()).is_none(), "it has no rows");
        assert!(Page::decode(u64::MAX, vec![0xff; 400].into()).is_none());
    }
}
