//! Pages of history, and what a subscriber had missed.

use switchyard_cluster::link::{HistoryAsk, PageFrom};
use switchyard_protocol::limits::PAGE_BYTES_MAX;
use switchyard_protocol::v1;
use switchyard_store::Seq;

use super::Oracle;
use crate::ask::Asked;

/// Bytes that a stored row may have beside its body, at most, in these runs.
const ROW_EXTRA: usize = 200;

impl Oracle {
    pub(super) fn page(&mut self, asked: &Asked, ask: HistoryAsk, page: &v1::Page) -> Vec<String> {
        self.saw("page");
        let mut problems = self.fresh(asked, page.head, page.first_available);
        if !self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| entry.shows(&asked.user))) {
            problems.push("told to somebody who is no member".into());
        }
        problems.extend(self.page_content(asked, ask, page));
        self.tell(&asked.key, page.head);
        problems
    }

    fn page_content(&self, asked: &Asked, ask: HistoryAsk, page: &v1::Page) -> Option<String> {
        let entries = &self.timelines[&asked.key].entries;
        let upto = &entries[..=page.head as usize];
        let older = |time_ms: u64| upto.iter().skip(1).filter(|entry| entry.row.time_ms < time_ms).count() as Seq;
        let (seqs, backward): (Vec<Seq>, bool) = match ask.from {
            PageFrom::Newest => ((1..=page.head).rev().collect(), true),
            PageFrom::Before(seq) => ((1..=page.head.min(seq.saturating_sub(1))).rev().collect(), true),
            PageFrom::After(seq) => ((seq.saturating_add(1).max(1)..=page.head).collect(), false),
            PageFrom::BeforeTime(time_ms) => ((1..=older(time_ms)).rev().collect(), true),
            PageFrom::AfterTime(time_ms) => ((older(time_ms) + 1..=page.head).collect(), false),
        };
        let mut left = Vec::new();
        let mut rest = page.messages.iter();
        let mut next = rest.next();
        let mut bytes = 0;
        let mut ended = false;
        for seq in seqs.into_iter().filter(|seq| entries[*seq as usize].is_message()) {
            if ended {
                left.push(seq);
                continue;
            }
            let row = &entries[seq as usize].row;
            bytes += row.body.len() + ROW_EXTRA;
            match next {
                Some(got) if got.seq == seq => {
                    if !self.is_shown(asked, got) {
                        return Some(format!("{seq} is not what is stored"));
                    }
                    next = rest.next();
                }
                // Retention had passed it when the page was read, or before.
                _ if seq < page.first_available => {
                    left.push(seq);
                    ended = backward;
                }
                None if page.messages.len() == ask.limit || bytes > PAGE_BYTES_MAX => {
                    left.push(seq);
                    ended = true;
                }
                _ => return Some(format!("{seq} is missing")),
            }
        }
        match next {
            Some(extra) => Some(format!("{} has no place there", extra.seq)),
            None if page.messages.len() > ask.limit => Some("more than asked for".into()),
            None if page.more && left.is_empty() => Some("there is nothing more".into()),
            None if !page.more && left.iter().any(|seq| *seq >= page.first_available) => Some("there is more".into()),
            None => None,
        }
    }

    pub(super) fn missed(
        &self,
        asked: &Asked,
        ask: switchyard_cluster::link::SubscribeAsk,
        missed: &v1::ResumedConversation,
    ) -> Option<String> {
        let entries = &self.timelines[&asked.key].entries;
        let Some(after) = ask.after else {
            return (missed.more || !missed.events.is_empty()).then(|| "nothing was asked for".into());
        };
        let mut expected = after + 1;
        let mut bytes = 0;
        for got in &missed.events {
            if expected != got.seq && got.seq > missed.first_available {
                return Some(format!("a hole before {}", got.seq));
            }
            let row = &entries.get(got.seq as usize)?.row;
            bytes += row.body.len() + ROW_EXTRA;
            if !self.is_told(asked, got) || got.seq > missed.head {
                return Some(format!("{} is not what is stored", got.seq));
            }
            expected = got.seq + 1;
        }
        let last = expected - 1;
        let next = entries.get(expected as usize).map_or(0, |entry| entry.row.body.len() + ROW_EXTRA);
        let cut = missed.events.len() >= ask.events_max || bytes + next > ask.bytes_max;
        // All that was asked for may have been dropped while it was read: that is a gap, and no hole.
        let told = last.max(missed.first_available.saturating_sub(1));
        if missed.more != (last < missed.head) || (told < missed.head.min(asked.low.unwrap_or(0)) && !cut) {
            return Some(format!("ends at {last}"));
        }
        (missed.events.len() > ask.events_max).then(|| "more than asked for".into())
    }
}
