//! Giving the engine what was gathered, as sorted files that it takes as they are. Each tree takes its part at once and keeps
//! it through a power cut; between two trees a crash may come, after which the whole gather is given again: the same keys
//! with the same values.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Keyspace, Slice};

use crate::key::KeyBuf;
use crate::log::Seq;

use super::super::engine::Engine;
use super::super::memory::gather::{Gather, Rows, Tree};
use super::super::{dropped, trim};
use super::heads::Heads;
use super::pace::Pace;
use super::page::{self, Page};
use super::writeback::Writeback;

/// Gives gathers to the engine, at a pace.
pub(in crate::embedded) struct Ingester {
    engine: Arc<Engine>,
    pace: Pace,
    /// The highest numbers in the engine. Only this writes there, so what is known stays right.
    heads: Heads,
}

/// What is to be written for a conversation: pages by their last numbers, nothing where one goes.
type Pages = BTreeMap<Seq, Option<Vec<u8>>>;

/// Takes keys in their order, each with its value or nothing if it goes.
type Sink<'a> = dyn FnMut(Slice, Option<Slice>) -> Result<(), String> + 'a;

impl Ingester {
    pub(in crate::embedded) fn new(engine: Arc<Engine>, pace: Pace) -> Self {
        Self { engine, pace, heads: Heads::default() }
    }

    /// To be called between small pieces of work.
    pub(in crate::embedded) fn step(&mut self) {
        self.pace.step();
    }

    /// Gives it all of a gather. After an error nobody knows what it has.
    pub(in crate::embedded) fn ingest(&mut self, gather: &Gather) -> Result<(), String> {
        let engine = self.engine.clone();
        // First where conversations begin, then the removal of what lies below: no reader meets a hole.
        // What a record says is there comes before the record.
        for tree in [Tree::Meta, Tree::Marks, Tree::Decisions, Tree::Conversations, Tree::Members, Tree::Users] {
            let gone = self.gone(gather, tree)?;
            ingest(engine.tree(tree), |sink| {
                let mut gone = gone.iter().peekable();
                for (key, value) in gather.values(tree) {
                    self.pace.step();
                    while let Some(before) = gone.next_if(|gone| *gone < key) {
                        sink(before.clone().into(), None)?;
                    }
                    let value = gone.next_if_eq(&key).is_none().then(|| value.clone().into());
                    sink(key.clone().into(), value)?;
                }
                gone.try_for_each(|key| {
                    self.pace.step();
                    sink(key.clone().into(), None)
                })
            })?;
        }
        let overlays = self.overlays(gather)?;
        ingest(&engine.overlays, |sink| {
            overlays.into_iter().try_for_each(|(key, value)| {
                self.pace.step();
                sink(key.into(), value.map(Slice::from))
            })
        })?;
        ingest(&engine.log, |sink| self.rows(gather, sink))
    }

    /// What goes from a tree with lists of members that nobody reads any more.
    fn gone(&self, gather: &Gather, tree: Tree) -> Result<BTreeSet<Bytes>, String> {
        let mut gone = BTreeSet::new();
        for list in dropped::lists(gather) {
            match tree {
                // The word itself: what it is about goes with this very gather.
                Tree::Meta => gone.extend(gather.values(tree).keys().filter(|key| dropped::is_dropped(key)).cloned()),
                Tree::Marks | Tree::Members => {
                    let held = gather.values(tree).range::<[u8], _>((Bound::Included(list), Bound::Unbounded));
                    gone.extend(held.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(list)));
                    for guard in self.engine.tree(tree).prefix(list) {
                        gone.insert(guard.key().map_err(|error| error.to_string())?.into());
                    }
                }
                _ => {}
            }
        }
        Ok(gone)
    }

    /// Overlays and reactors to be written; those of rows that were trimmed go.
    fn overlays(&self, gather: &Gather) -> Result<BTreeMap<Bytes, Option<Bytes>>, String> {
        let newer = gather.values(Tree::Overlays).iter().map(|(key, value)| (key.clone(), Some(value.clone())));
        let mut overlays: BTreeMap<Bytes, Option<Bytes>> = newer.collect();
        for (conversation, below) in boundaries(gather) {
            for [from, end] in KeyBuf::annotations_below(conversation, below?) {
                let within = (Bound::Included(&from[..]), Bound::Excluded(&end[..]));
                for (_, value) in overlays.range_mut::<[u8], _>(within) {
                    *value = None;
                }
                for guard in self.engine.overlays.range::<Vec<u8>, _>(from..end) {
                    overlays.insert(guard.key().map_err(|error| error.to_string())?.into(), None);
                }
            }
        }
        Ok(overlays)
    }

    fn rows(&mut self, gather: &Gather, sink: &mut Sink<'_>) -> Result<(), String> {
        let mut conversations: BTreeMap<&[u8], (Option<&Rows>, Option<Seq>)> =
            gather.conversations().map(|(conversation, rows)| (conversation, (Some(rows), None))).collect();
        for (conversation, below) in boundaries(gather) {
            conversations.entry(conversation).or_default().1 = Some(below?);
        }
        let mut key = Vec::new();
        for (conversation, (rows, below)) in conversations {
            let pages = self.pages(conversation, rows, below.unwrap_or(0))?;
            for (last, page) in pages {
                key.clear();
                key.extend_from_slice(conversation);
                key.extend_from_slice(&last.to_be_bytes());
                sink(Slice::from(&key), page.map(Slice::from))?;
                self.pace.step();
            }
        }
        Ok(())
    }

    /// What is to be written for a conversation. Rows that the engine has already are written anew with those around them, so
    /// that each is in one page.
    fn pages(&mut self, conversation: &[u8], rows: Option<&Rows>, below: Seq) -> Result<Pages, String> {
        let mut pages = Pages::new();
        if below > 1 {
            for found in PagesOf::new(&self.engine.log, conversation, 1, below - 1) {
                pages.insert(found?.0, None);
            }
        }
        let rows = rows.map_or(&[][..], Rows::all);
        let rows = || rows.iter().filter(|(seq, _)| *seq == 0 || *seq >= below);
        let Some((lowest, _)) = rows().next() else { return Ok(pages) };
        let highest = rows().next_back().map_or(*lowest, |(seq, _)| *seq);
        let head = self.head(conversation)?;
        if head.is_none_or(|head| head < *lowest) {
            page::paginate(rows().map(|(seq, row)| (*seq, row)), |last, page| {
                pages.insert(last, Some(page));
            });
        } else {
            let mut merged = BTreeMap::new();
            for (from, to) in runs(rows().map(|(seq, _)| *seq)) {
                for found in PagesOf::new(&self.engine.log, conversation, from, Seq::MAX) {
                    let (last, page) = found?;
                    let page = Page::decode(last, page).ok_or("a page is damaged")?;
                    if page.first() > to {
                        break;
                    }
                    merged.extend(page.rows().filter(|(seq, _)| *seq == 0 || *seq >= below));
                    pages.insert(last, None);
                }
            }
            merged.extend(rows().cloned());
            page::paginate(merged.iter().map(|(seq, row)| (*seq, row)), |last, page| {
                pages.insert(last, Some(page));
            });
        }
        self.heads.insert(conversation, head.map_or(highest, |head| head.max(highest)));
        Ok(pages)
    }

    /// The highest number that the engine has of a conversation.
    fn head(&self, conversation: &[u8]) -> Result<Option<Seq>, String> {
        if let Some(head) = self.heads.get(conversation) {
            return Ok(Some(head));
        }
        match PagesOf::new(&self.engine.log, conversation, 0, Seq::MAX).0.next_back() {
            None => Ok(None),
            Some(guard) => {
                let key = guard.key().map_err(|error| error.to_string())?;
                key.last_chunk().map(|last| Some(Seq::from_be_bytes(*last))).ok_or_else(|| "a foreign key".into())
            }
        }
    }
}

/// Where conversations begin from now on, as far as a gather says.
fn boundaries(gather: &Gather) -> impl Iterator<Item = (&[u8], Result<Seq, String>)> {
    let found = gather.values(Tree::Meta).iter().filter_map(|(key, value)| trim::boundary(key, value));
    found.map(|(conversation, below)| (conversation, below.ok_or_else(|| "a boundary fails its checksum".into())))
}

/// Gives a tree what `fill` puts into the sink.
fn ingest(tree: &Keyspace, fill: impl FnOnce(&mut Sink<'_>) -> Result<(), String>) -> Result<(), String> {
    let told = |error: fjall::Error| error.to_string();
    let mut writeback = Writeback::new(tree.path());
    // Begun with the first key: a table without any would be left behind.
    let mut ingestion = None;
    fill(&mut |key, value| {
        let ingestion = match &mut ingestion {
            Some(ingestion) => ingestion,
            none => none.insert(tree.start_ingestion().map_err(told)?),
        };
        writeback.written(key.len() + value.as_ref().map_or(0, |value| value.len()));
        match value {
            Some(value) => ingestion.write(key, value),
            None => ingestion.write_tombstone(key),
        }
        .map_err(told)
    })?;
    ingestion.map_or(Ok(()), |ingestion| ingestion.finish().map_err(told))
}

/// A conversation's pages whose last numbers lie within a range.
struct PagesOf(fjall::Iter);

impl PagesOf {
    fn new(log: &Keyspace, conversation: &[u8], from: Seq, to: Seq) -> Self {
        let key = |seq: Seq| [conversation, &seq.to_be_bytes()].concat();
        Self(log.range::<Vec<u8>, _>((Bound::Included(key(from)), Bound::Included(key(to)))))
    }
}

impl Iterator for PagesOf {
    type Item = Result<(Seq, Bytes), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.0.next()?.into_inner().map_err(|error| error.to_string());
        Some(pair.and_then(|(key, page)| {
            let last = key.last_chunk().ok_or("a foreign key")?;
            Ok((Seq::from_be_bytes(*last), Bytes::from(page)))
        }))
    }
}

/// The first and last numbers of each stretch without a hole.
fn runs(seqs: impl Iterator<Item = Seq>) -> Vec<(Seq, Seq)> {
    let mut runs: Vec<(Seq, Seq)> = Vec::new();
    for seq in seqs {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => runs.push((seq, seq)),
        }
    }
    runs
}
