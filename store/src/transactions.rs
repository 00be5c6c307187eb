//! What the transactions of ownership make of what they find, for a store that carries them out itself: the embedded one, and a
//! simulated one. In CQL these are the conditions of the statements.

use switchyard_protocol::owner::{Cell, Claim, Holder, RouterRow, RouterState};
use switchyard_protocol::shard::Shard;

use crate::rules::{Rule, Rules};

/// The row that is there once a fence is applied; nothing if there is none to be fenced.
pub fn fenced(found: Option<&RouterRow>) -> Option<RouterRow> {
    found.map(|row| RouterRow { state: RouterState::Fenced, ..row.clone() })
}

/// Claims that may be made together: of this cell, each of a shard of its own, with an epoch that there is.
pub fn are_in_order(cell: Cell, claims: &[Claim]) -> bool {
    let mut shards: Vec<_> = claims.iter().map(|claim| claim.shard).collect();
    shards.sort_unstable();
    shards.dedup();
    !claims.is_empty()
        && shards.len() == claims.len()
        && claims.iter().all(|claim| Cell::of(claim.shard) == cell && claim.held().is_some())
}

/// What these claims make of a cell, whose shards are held as `holder` says; nothing if they may not be carried out.
pub fn claimed(
    cell: Cell,
    claims: &[Claim],
    rules: Rules,
    holder: impl Fn(Shard) -> Option<Holder>,
) -> Option<Vec<(Shard, Holder)>> {
    let is_so = |claim: &Claim| {
        let found = holder(claim.shard);
        let names_owner = || found.map(|holder| holder.incarnation) == claim.from.map(|holder| holder.incarnation);
        found == claim.from
            || !rules.has(Rule::ClaimIsConditional)
            || !rules.has(Rule::ClaimNamesEpoch) && names_owner()
    };
    if !are_in_order(cell, claims) || !claims.iter().all(is_so) {
        return None;
    }
    claims.iter().map(|claim| Some((claim.shard, claim.held()?))).collect()
}
