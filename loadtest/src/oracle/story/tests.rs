//! Stories told by hand: what each comes to.

use super::*;

/// The user who writes, and one who reads.
const WRITER: u32 = 0;
const READER: u32 = 1;

const NOTHING: [(u64, bool); 4] = [(0, false); 4];

/// Three messages of the writer's, told and acknowledged.
fn story() -> (Story, Verdict) {
    let (mut story, mut verdict) = (Story::default(), Verdict::of_mixed(1));
    story.start(0);
    for seq in 1..=3 {
        tell(&mut story, seq, Event::Message { sender: WRITER, ordinal: seq }, &mut verdict);
        story.offer(MessageKey::new(WRITER, seq - 1), seq);
    }
    (story, verdict)
}

fn tell(story: &mut Story, seq: u64, event: Event, verdict: &mut Verdict) {
    story.told(seq, event, Seen::Live, verdict);
}

fn target(story: &mut Story, user: u32, seq: u64) -> &mut Target {
    let at = story.pool.iter().position(|(_, at)| *at == seq).expect("it was offered") as u64;
    assert_eq!(story.pick(user, user == WRITER, |_| at), Some(seq));
    story.target_mut(seq).expect("it was picked")
}

fn edit(story: &mut Story, target_seq: u64) -> Event {
    let Change::Edit(version) = target(story, WRITER, target_seq).edit() else { panic!("an edit") };
    Event::Edit { target: target_seq, shown: Shown::Version(version) }
}

fn react(story: &mut Story, target_seq: u64, count: u64) -> Event {
    let Change::React { emoji, remove } = target(story, READER, target_seq).react(READER, 2) else {
        panic!("an emoji")
    };
    Event::React { target: target_seq, user: READER, emoji, removed: remove, count }
}

#[test]
fn a_message_is_what_its_events_make_of_it() {
    let (mut story, mut verdict) = story();
    let edited = edit(&mut story, 2);
    tell(&mut story, 4, edited, &mut verdict);
    story.acknowledged(4, (WRITER, 2, Change::Edit(1)), false, 1, &mut verdict);
    let given = react(&mut story, 2, 1);
    story.acknowledged(5, (READER, 2, Change::React { emoji: 2, remove: false }), false, 2, &mut verdict);
    tell(&mut story, 5, given, &mut verdict);
    target(&mut story, WRITER, 3).delete();
    tell(&mut story, 6, Event::Delete { target: 3 }, &mut verdict);
    story.acknowledged(6, (WRITER, 3, Change::Delete), false, 3, &mut verdict);
    assert!(story.knows(6));
    let one = [(0, false), (0, false), (1, true), (0, false)];
    story.check_present(1, Shown::Version(0), READER, NOTHING, &mut verdict);
    story.check_present(2, Shown::Version(1), READER, one, &mut verdict);
    story.check_present(3, Shown::Deleted, READER, NOTHING, &mut verdict);
    assert_eq!((story.unread(READER, 0), story.unread(READER, 2), story.unread(WRITER, 0)), (2, 0, 0));
    story.settle("c", 6, &mut verdict);
    assert_eq!((verdict.faults(), verdict.changes_checked, verdict.rows), (0, Some(3), 0), "{:?}", verdict.first);
}

#[test]
fn each_way_to_show_it_wrong_is_a_fault_of_its_kind() {
    let (mut story, mut sound) = story();
    let edited = edit(&mut story, 2);
    tell(&mut story, 4, edited, &mut sound);
    let given = react(&mut story, 2, 1);
    tell(&mut story, 5, given, &mut sound);
    target(&mut story, WRITER, 3).delete();
    tell(&mut story, 6, Event::Delete { target: 3 }, &mut sound);
    story.acknowledged(6, (WRITER, 3, Change::Delete), false, 7, &mut sound);
    assert_eq!(sound.faults(), 0, "{:?}", sound.first);
    let one = |count, mine| [(0, false), (0, false), (count, mine), (0, false)];
    let shown = |seq, shown, emoji| {
        let mut verdict = Verdict::of_mixed(1);
        story.check_present(seq, shown, READER, emoji, &mut verdict);
        [verdict.altered, verdict.resurrected.unwrap_or(0), verdict.miscounted.unwrap_or(0), verdict.faults()]
    };
    assert_eq!(shown(1, Shown::Version(1), NOTHING), [1, 0, 0, 1], "nobody edited it");
    assert_eq!(shown(1, Shown::Deleted, NOTHING), [1, 0, 0, 1], "nor deleted it");
    assert_eq!(shown(2, Shown::Version(0), one(1, true)), [1, 0, 0, 1], "the text before");
    assert_eq!(shown(2, Shown::Version(1), one(2, true)), [0, 0, 1, 1], "one too many");
    assert_eq!(shown(2, Shown::Version(1), one(1, false)), [0, 0, 1, 1], "somebody else's");
    assert_eq!(shown(3, Shown::Version(0), NOTHING), [0, 1, 0, 1], "back from the dead");
    for (tick, resurrected) in [(6, 0), (7, 1)] {
        let mut verdict = Verdict::of_mixed(1);
        story.check_shown(3, Shown::Version(0), tick, &mut verdict);
        assert_eq!(verdict.resurrected, Some(resurrected), "asked at {tick}");
    }
}

#[test]
fn what_was_acknowledged_must_have_been_told() {
    let (mut story, mut verdict) = story();
    edit(&mut story, 1);
    story.acknowledged(4, (WRITER, 1, Change::Edit(1)), false, 1, &mut verdict);
    target(&mut story, WRITER, 2).delete();
    story.acknowledged(9, (WRITER, 2, Change::Delete), true, 2, &mut verdict);
    react(&mut story, 3, 1);
    story.settle("c", 3, &mut verdict);
    // The edit by its number and by what the message is; the deletion; of the emoji nothing is known.
    assert_eq!((verdict.lost, verdict.faults()), (3, 3), "{:?}", verdict.first);
}

#[test]
fn events_that_cannot_be_are_told_apart() {
    let faults = |event: fn(&mut Story) -> Vec<Event>| {
        let (mut story, mut verdict) = story();
        for (seq, event) in (4..).zip(event(&mut story)) {
            tell(&mut story, seq, event, &mut verdict);
        }
        let v = &verdict;
        (v.duplicates, v.altered, v.invented, v.miscounted.unwrap_or(0), v.faults())
    };
    assert_eq!(faults(|story| vec![edit(story, 1)]), (0, 0, 0, 0, 0));
    assert_eq!(faults(|story| vec![edit(story, 1); 2]), (1, 0, 0, 0, 1), "stored twice");
    assert_eq!(faults(|_| vec![Event::Delete { target: 1 }]), (0, 0, 1, 0, 1), "nobody wanted it");
    assert_eq!(faults(|story| vec![react(story, 1, 2)]), (0, 0, 0, 1, 1), "two where one gave it");
    assert_eq!(faults(|story| vec![react(story, 1, 1); 2]), (1, 0, 0, 0, 1), "given twice");
    assert_eq!(faults(|_| vec![Event::Delete { target: 4 }]), (0, 1, 0, 0, 1), "no message");
}

#[test]
fn a_wrong_count_is_the_fault_of_whoever_tells_it() {
    let (mut story, mut verdict) = story();
    let wrong = react(&mut story, 1, 2);
    let Event::React { target, user, emoji, removed, .. } = wrong else { panic!("an emoji") };
    let right = Event::React { target, user, emoji, removed, count: 1 };
    for (event, miscounted) in [(wrong, 1), (right, 1), (wrong, 2), (right, 2)] {
        tell(&mut story, 4, event, &mut verdict);
        assert_eq!((verdict.miscounted, verdict.faults()), (Some(miscounted), miscounted), "{:?}", verdict.first);
    }
}

#[test]
fn what_is_told_afterwards_may_show_what_came_later() {
    let (mut story, mut verdict) = story();
    let first = edit(&mut story, 1);
    story.acknowledged(4, (WRITER, 1, Change::Edit(1)), false, 1, &mut verdict);
    let second = edit(&mut story, 1);
    story.told(4, second, Seen::Missed, &mut verdict);
    tell(&mut story, 5, second, &mut verdict);
    assert_eq!(verdict.faults(), 0, "{:?}", verdict.first);
    // Another reader got both live, and the first as what it was then.
    story.told(4, first, Seen::Live, &mut verdict);
    story.told(5, second, Seen::Aside, &mut verdict);
    assert_eq!(verdict.faults(), 0, "{:?}", verdict.first);
    story.told(5, first, Seen::Live, &mut verdict);
    assert_eq!((verdict.altered, verdict.faults()), (1, 1));
}

#[test]
fn after_a_hole_nothing_is_claimed() {
    let (mut story, mut verdict) = story();
    tell(&mut story, 5, Event::Message { sender: WRITER, ordinal: 4 }, &mut verdict);
    edit(&mut story, 1);
    story.acknowledged(4, (WRITER, 1, Change::Edit(1)), false, 1, &mut verdict);
    assert!(!story.knows(5));
    story.settle("c", 5, &mut verdict);
    assert_eq!(verdict.faults(), 0, "the hole itself is the reader's fault");
}
