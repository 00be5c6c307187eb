//! Dropping a bucket: by one delete of its partition. What marks lie beside the rows, overlays and reactors, goes with them.

use futures_util::future::try_join_all;
use switchyard_protocol::id::ConversationKey;

use crate::log::BUCKET_ROWS;

use super::Inner;
use super::number::{self, ABOVE_ALL};
use super::projections::ANNOTATION_ROWS;
use super::requests::Failed;
use super::statements::Statement;

impl Inner {
    pub(super) async fn drop_bucket(&self, key: &ConversationKey, bucket: u64) -> Result<(), Failed> {
        let statements = &self.statements;
        // The founding row stays.
        let rows = if bucket == 0 { &statements.drop_first_bucket } else { &statements.drop_bucket };
        self.drop_partition(rows, key, bucket).await?;
        let annotations = bucket * BUCKET_ROWS / ANNOTATION_ROWS..(bucket + 1) * BUCKET_ROWS / ANNOTATION_ROWS;
        let drops = annotations.flat_map(|part| [(&statements.drop_overlays, part), (&statements.drop_reactors, part)]);
        try_join_all(drops.map(|(statement, part)| self.drop_partition(statement, key, part))).await.map(drop)
    }

    async fn drop_partition(&self, statement: &Statement, key: &ConversationKey, bucket: u64) -> Result<(), Failed> {
        let conversation = key.conversation.as_bytes().as_slice();
        let values = (ABOVE_ALL, key.tenant.as_str(), conversation, number::of_seq(bucket));
        self.requests.execute(statement, values).await.map(drop)
    }
}
