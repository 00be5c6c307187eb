//! The load harness believes nothing: it runs against a broker through a proxy that does one deed to one message, and its
//! oracle reports just that deed. So what it says of a broker without a proxy is worth something.

use clap::Parser as _;
use switchyard_loadtest::args::Args;
use switchyard_loadtest::oracle::Verdict;
use switchyard_loadtest::proxy::{Deed, Proxy, Sabotage, Spoil, Spoilage, Spot};
use switchyard_loadtest::scenario;

use crate::site::{ISSUER, Site, TENANT};

/// The message that something happens to: not the first, and far from the last.
const NTH: u64 = 10;

/// The oracle's verdict on a broker that is reached by this address.
fn verdict(site: &Site, url: &str, words: &str) -> Verdict {
    let secret = site.data().join("dev-secret");
    let secret = secret.to_str().expect("text");
    let whose = format!("--secret-file {secret} --tenant {TENANT} --issuer {ISSUER}");
    let line = format!("loadtest {words} --target {url} {whose} --quiet --warm 0");
    let args = Args::try_parse_from(line.split_whitespace()).expect("a good command line");
    let outcome = scenario::run(&args).expect("the run goes to its end");
    assert!(outcome.metrics.sent > Some(NTH + 2), "{:?}", outcome.metrics.sent);
    let verdict = outcome.verdict.expect("an oracle's verdict");
    assert_eq!(verdict.timelines_read, verdict.timelines, "it has read all of it");
    assert!(verdict.acked_checked > NTH, "{verdict:?}");
    verdict
}

/// What the oracle says when this is done to a message, as lost, duplicates, out of order, gaps, altered, stale, foreign;
/// and in words. What is invented is counted apart.
fn reported(site: &Site, spot: Spot, deed: Deed) -> ([u64; 7], Vec<String>) {
    // The end of a timeline is in its first page; anything else needs some messages before and behind it.
    let nth = if deed == Deed::Age { 0 } else { NTH };
    let proxy = Proxy::start(&site.url(), Sabotage::new(spot, deed, nth)).expect("a free port");
    // What does not come is waited for, and an event that nobody knows does not; where all comes, it is sooner.
    let words = match (spot, deed) {
        (Spot::Resume, _) => "reconnect --connections 2 --behind 14 --drain 1",
        (Spot::Page, _) => "pairs --pairs 1 --rate 150 --secs 0.4 --drain 20",
        (_, Deed::Drop | Deed::Misplace | Deed::AlterClientId | Deed::Invent | Deed::Strip) => {
            "pairs --pairs 1 --rate 150 --secs 0.4 --drain 1"
        }
        _ => "pairs --pairs 1 --rate 150 --secs 0.4 --drain 20",
    };
    let v = verdict(site, &proxy.url(), words);
    assert_eq!((v.refused_visible, v.invented), (0, u64::from(deed == Deed::Invent)), "{v:?}");
    assert_eq!(v.ok, v.faults() == 0);
    assert!(v.first.len() as u64 >= v.faults().min(10), "each fault is told: {v:?}");
    let counts = [v.lost, v.duplicates, v.out_of_order, v.gaps, v.altered, v.stale, v.foreign];
    (counts, v.first)
}

/// All deeds at once, each in a run of its own.
fn report(spot: Spot, deeds: &[(Deed, [u64; 7])]) {
    let site = Site::dev();
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            deeds.iter().map(|(deed, counts)| (deed, counts, scope.spawn(|| reported(&site, spot, *deed)))).collect();
        for (deed, counts, run) in runs {
            let (reported, words) = run.join().expect("the run goes to its end");
            assert_eq!(reported, *counts, "{spot:?} {deed:?}: {words:#?}");
        }
    });
}

#[test]
fn a_proxy_that_does_nothing_changes_nothing() {
    let site = Site::dev();
    let proxy = Proxy::start(&site.url(), |_: usize, frame| vec![frame]).expect("a free port");
    for url in [proxy.url(), site.url()] {
        let verdict = verdict(&site, &url, "pairs --pairs 2 --window 4 --secs 0.2 --drain 20");
        assert!(verdict.ok && verdict.faults() == 0, "{verdict:?}");
        assert_eq!(verdict.deliveries_checked, verdict.acked_checked);
    }
}

#[test]
fn what_is_done_to_acks_is_reported() {
    let deeds = [
        // An ack that is lost leaves an outcome unknown, which is no fault.
        (Deed::Drop, [0; 7]),
        (Deed::Double, [0, 1, 0, 0, 0, 0, 0]),
        (Deed::Swap, [0, 0, 0, 0, 2, 0, 0]),
        (Deed::AlterBody, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterClientId, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Invent, [0; 7]),
        (Deed::AlterSender, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Misplace, [0, 0, 0, 0, 0, 0, 1]),
        (Deed::Strip, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterKind, [0, 0, 0, 0, 1, 0, 0]),
        // The reader and the timeline differ from it.
        (Deed::AlterTime, [0, 0, 0, 0, 2, 0, 0]),
        (Deed::CallDuplicate, [0, 0, 0, 0, 1, 0, 0]),
    ];
    report(Spot::Ack, &deeds);
}

#[test]
fn what_is_done_to_events_is_reported() {
    let deeds = [
        (Deed::Drop, [0, 0, 0, 1, 0, 0, 0]),
        (Deed::Double, [0, 1, 0, 0, 0, 0, 0]),
        (Deed::Swap, [0, 0, 1, 0, 0, 0, 0]),
        (Deed::AlterBody, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterClientId, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Invent, [0; 7]),
        (Deed::AlterSender, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterKind, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterTime, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Strip, [0, 0, 0, 0, 1, 0, 0]),
        // Somebody else's, and the number that it should have had is missing.
        (Deed::Misplace, [0, 0, 0, 1, 0, 0, 1]),
    ];
    report(Spot::Event, &deeds);
}

#[test]
fn what_is_done_to_history_is_reported() {
    let deeds = [
        // Not there, and a hole in the ordinals.
        (Deed::Drop, [1, 0, 0, 1, 0, 0, 0]),
        (Deed::Double, [0, 1, 0, 0, 0, 0, 0]),
        (Deed::Swap, [0, 0, 1, 0, 0, 0, 0]),
        (Deed::AlterBody, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterClientId, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Invent, [0; 7]),
        (Deed::AlterSender, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Misplace, [0, 0, 0, 0, 0, 0, 1]),
        (Deed::AlterKind, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterTime, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Strip, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Age, [0, 0, 0, 0, 0, 1, 0]),
    ];
    report(Spot::Page, &deeds);
}

#[test]
fn what_is_done_to_missed_events_is_reported() {
    let deeds = [
        (Deed::Drop, [0, 0, 0, 1, 0, 0, 0]),
        (Deed::Double, [0, 1, 0, 0, 0, 0, 0]),
        (Deed::Swap, [0, 0, 1, 0, 0, 0, 0]),
        (Deed::AlterBody, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterKind, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::AlterTime, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Strip, [0, 0, 0, 0, 1, 0, 0]),
        (Deed::Invent, [0; 7]),
    ];
    report(Spot::Resume, &deeds);
}

/// The counts of a run in which people do more than write, as gaps, altered, resurrected, miscounted, marks that went back,
/// unread and lists that are wrong.
fn mixed(v: &Verdict, deed: Spoilage) -> [u64; 7] {
    // An ack with the number of the event before is out of order if that was acknowledged before it was asked for.
    let early = if deed == Spoilage::SwapAck { v.out_of_order } else { 0 };
    let [resurrected, miscounted, back, unread, lists] =
        [v.resurrected, v.miscounted, v.marks_back, v.unread_wrong, v.lists_wrong]
            .map(|count| count.expect("it was looked for"));
    assert_eq!(
        v.lost + v.duplicates + v.out_of_order + v.stale + v.foreign + v.refused_visible + v.invented,
        early,
        "{v:?}"
    );
    [v.gaps, v.altered + early, resurrected, miscounted, back, unread, lists]
}

#[test]
fn a_good_run_with_edits_deletions_emoji_marks_and_lists_is_called_good() {
    let site = Site::dev();
    let proxy = Proxy::start(&site.url(), |_: usize, frame| vec![frame]).expect("a free port");
    let changing = "--edits 20 --deletes 10 --reactions 20 --marks --lists --secs 0.4 --drain 20";
    for words in ["pairs --pairs 2 --both --rate 300", "room --members 5 --publishers 3 --window 4 --by-delivery"] {
        let v = verdict(&site, &proxy.url(), &format!("{words} {changing}"));
        assert!(v.ok && v.faults() == 0, "{v:?}");
        let checked = [v.changes_checked, v.marks_checked, v.unread_checked, v.lists_checked];
        assert!(checked.iter().all(|count| *count > Some(3)), "{words}: {v:?}");
    }
}

#[test]
fn what_is_done_to_edits_deletions_emoji_marks_and_lists_is_reported() {
    let deeds = [
        (Spoilage::DropEdit, [1, 0, 0, 0, 0, 0, 0]),
        (Spoilage::AlterEdit, [0, 1, 0, 0, 0, 0, 0]),
        (Spoilage::DropDeletion, [1, 0, 0, 0, 0, 0, 0]),
        (Spoilage::MiscountEvent, [0, 0, 0, 1, 0, 0, 0]),
        (Spoilage::SwapAck, [0, 1, 0, 0, 0, 0, 0]),
        (Spoilage::Resurrect, [0, 0, 1, 0, 0, 0, 0]),
        (Spoilage::Unedit, [0, 1, 0, 0, 0, 0, 0]),
        (Spoilage::Miscount, [0, 0, 0, 1, 0, 0, 0]),
        (Spoilage::LowerMark, [0, 0, 0, 0, 1, 0, 0]),
        (Spoilage::LowerOwnMark, [0, 0, 0, 0, 1, 0, 0]),
        (Spoilage::MiscountUnread, [0, 0, 0, 0, 0, 1, 0]),
        (Spoilage::HideNewest, [0, 0, 0, 0, 0, 0, 1]),
    ];
    let site = Site::dev();
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            deeds.iter().map(|(deed, counts)| (deed, counts, scope.spawn(|| spoilt(&site, *deed)))).collect();
        for (deed, counts, run) in runs {
            let v = run.join().expect("the run goes to its end");
            assert_eq!(mixed(&v, *deed), *counts, "{deed:?}: {v:#?}");
            assert!(!v.ok && v.first.len() == 1, "{deed:?}: {v:#?}");
        }
    });
}

fn spoilt(site: &Site, what: Spoilage) -> Verdict {
    // Marks of others are told once a second, and the first of them has nothing to fall behind.
    let nth = if what == Spoilage::LowerMark { 0 } else { 2 };
    // What does not come is waited for.
    let drain = if matches!(what, Spoilage::DropEdit | Spoilage::DropDeletion) { 1 } else { 20 };
    // A cluster takes some hundred changes in that time.
    let secs = 2.5;
    let proxy = Proxy::start(&site.url(), Spoil::new(what, nth)).expect("a free port");
    let changes = "--edits 20 --deletes 10 --reactions 20 --marks --lists";
    let words = format!("room --members 4 --publishers 1 --rate 200 {changes} --secs {secs} --drain {drain}");
    verdict(site, &proxy.url(), &words)
}
