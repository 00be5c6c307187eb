//! The embedded store under power cuts: what its barrier confirmed is there, byte for byte, after any number of them.

mod campaign;
mod child;

use campaign::{Campaign, Target, Verdict};

use super::disk::Survival;

/// Cuts under load in a row, on one data directory.
const CUTS: u32 = 20;

/// The same when segments of the journal are made and filled again and again, on each of several data directories.
const CUTS_AROUND_SEGMENTS: u32 = 4;
const DIRECTORIES: u32 = 3;

#[test]
fn what_was_confirmed_survives_on_a_disk_that_forgets_all_else() {
    child::run_if_asked();
    all_is_there(&Campaign::new(CUTS, Survival::Nothing, Target::Anywhere));
}

#[test]
fn what_was_confirmed_survives_on_a_disk_that_keeps_pieces_of_the_rest() {
    all_is_there(&Campaign::new(CUTS, Survival::Pieces, Target::Anywhere));
}

#[test]
fn what_was_confirmed_survives_cuts_while_segments_change() {
    for _ in 0..DIRECTORIES {
        all_is_there(&Campaign::new(CUTS_AROUND_SEGMENTS, Survival::Pieces, Target::Segments));
    }
}

fn all_is_there(campaign: &Campaign) {
    let result = campaign.run().unwrap_or_else(|error| panic!("{campaign:?}: {error:?}"));
    assert_eq!(result.verdict, Verdict::AllThere, "{campaign:?}: {result:?}");
    assert_eq!(result.cuts_under_load, campaign.cuts);
    assert!(result.confirmed > 0 && result.changes_lost > 0, "{campaign:?}: {result:?}");
}

/// Shows that the tests above can fail: the same store that does not sync.
#[test]
fn without_syncs_the_same_test_finds_that_confirmed_writes_are_missing() {
    let campaign = Campaign::new(CUTS, Survival::Nothing, Target::Anywhere).without_syncs();
    let result = campaign.run().unwrap_or_else(|error| panic!("{campaign:?}: {error:?}"));
    // The epoch is lost like rows are; which of them is noticed first depends on where the first cuts fall.
    let lost = matches!(result.verdict, Verdict::Missing { rows: 1.., .. } | Verdict::OldEpoch(_));
    assert!(lost, "{campaign:?}: {result:?}");
}
