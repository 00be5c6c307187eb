//! Making the schema, and what a store says that meets another one, or none.

use std::thread;

use scylla::client::session_builder::SessionBuilder;
use switchyard_store::cql::{Cql, OpenError, Options, migrate};

use crate::support::{options, options_of};

#[test]
fn the_schema_is_made_twice_and_by_two_at_once() {
    let options = options_of(&format!("{}_twice", options().keyspace));
    thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| migrate(&options).expect("the schema is made"))).collect();
        let both: Vec<u32> = both.into_iter().map(|one| one.join().expect("no panic")).collect();
        assert_eq!(both[0], both[1]);
    });
    assert_eq!(migrate(&options).expect("it is there"), migrate(&options).expect("it is there"));
    drop(Cql::open(&options).expect("the store opens"));
}

/// A schema only grows, so brokers of before go on with a later one while the next ones are started; but for steps that they cannot
/// work with, which say so.
#[test]
fn a_later_schema_is_worked_with_as_long_as_it_allows_that() {
    let options = options_of(&format!("{}_later", options().keyspace));
    let made = migrate(&options).expect("the schema is made");
    by_hand(&options, "UPDATE counters SET value = 99 WHERE name = 'schema' IF EXISTS");
    drop(Cql::open(&options).expect("it has but grown"));
    assert_eq!(migrate(&options).expect("it is there"), 99, "and it does not shrink again");
    by_hand(&options, "UPDATE counters SET value = 99 WHERE name = 'schema_users' IF EXISTS");
    let later = Cql::open(&options).err().expect("it is for others");
    let is_later = |error: &OpenError| matches!(error, OpenError::LaterSchema { found: 99, users_min: 99, .. });
    assert!(is_later(&later), "{later:?}");
    // The first keyspaces did not say who may use them.
    by_hand(&options, "DELETE FROM counters WHERE name = 'schema_users' IF EXISTS");
    drop(Cql::open(&options).expect("it was made by one that had no others"));
    by_hand(&options, "UPDATE counters SET value = 0 WHERE name = 'schema' IF EXISTS");
    let earlier = Cql::open(&options).err().expect("it is too early");
    let is_early =
        |error: &OpenError| matches!(error, OpenError::Schema { found: Some(0), made: own, .. } if *own == made);
    assert!(is_early(&earlier), "{earlier:?}");
}

/// A schema of before lacks tables, and says its number nevertheless.
#[test]
fn an_earlier_schema_is_named_and_raised() {
    let options = options_of(&format!("{}_earlier", options().keyspace));
    made_by_hand(&options);
    by_hand(&options, "CREATE TABLE counters (name text, value bigint, PRIMARY KEY (name))");
    by_hand(&options, "INSERT INTO counters (name, value) VALUES ('schema', 1) IF NOT EXISTS");
    by_hand(&options, "INSERT INTO counters (name, value) VALUES ('schema_users', 1) IF NOT EXISTS");
    let earlier = Cql::open(&options).err().expect("it is too early");
    assert!(matches!(earlier, OpenError::Schema { found: Some(1), .. }), "{earlier:?}");
    let made = migrate(&options).expect("it is raised");
    assert!(made > 1);
    drop(Cql::open(&options).expect("the store opens"));
    // Brokers of before would not see what lies in the tables that are new.
    by_hand(&options, "UPDATE counters SET value = 1 WHERE name = 'schema_users' IF value > 1");
    drop(Cql::open(&options).expect("that is for those of before to mind"));
    assert_eq!(migrate(&options).expect("it is there"), made);
    by_hand(&options, "UPDATE counters SET value = 99 WHERE name = 'schema_users' IF value = 3");
    let later = Cql::open(&options).err().expect("it was set to 3 again");
    assert!(matches!(later, OpenError::LaterSchema { users_min: 99, .. }), "{later:?}");
}

#[test]
fn a_store_without_a_schema_says_so() {
    let absent = options_of("test_nothing_here");
    let error = Cql::open(&absent).err().expect("there is no such keyspace");
    assert!(matches!(error, OpenError::Schema { found: None, .. }), "{error:?}");
    assert!(error.to_string().contains("test_nothing_here") && error.to_string().contains("migrate"), "{error}");
}

#[test]
fn a_cluster_that_is_not_there_is_named_in_time() {
    let nowhere = Options::new(vec!["127.0.0.1:1".to_owned()], "test_nowhere");
    let error = Cql::open(&nowhere).err().expect("nobody listens there");
    assert!(matches!(error, OpenError::Unreachable(_)), "{error:?}");
}

/// The test's cluster has one node or syncs its logs every ten seconds, so it is one that may lose something.
#[test]
fn a_cluster_that_may_lose_what_it_acknowledged_is_refused_unless_that_is_accepted() {
    let options = options();
    drop(Cql::open(&options).expect("it is accepted"));
    let error = Cql::open(&Options { accept_losses: false, ..options.clone() }).err().expect("it is not");
    let text = error.to_string();
    assert!(matches!(error, OpenError::Unsafe(_)), "{error:?}");
    assert!(text.contains("commitlog_sync is periodic") && text.contains("losses are accepted"), "{text}");
    assert_eq!(text.contains("keeps 1 copies"), options.replication == 1, "{text}");
}

/// Whoever keeps such a keyspace loses what is in memory alone.
#[test]
fn a_keyspace_whose_writes_are_in_no_log_is_refused_unless_that_is_accepted() {
    let options = options_of(&format!("{}_unlogged", options().keyspace));
    migrate(&options).expect("the schema is made");
    let strict = Options { accept_losses: false, ..options.clone() };
    let refused = || Cql::open(&strict).err().expect("it may lose something in any case").to_string();
    assert!(!refused().contains("durable_writes"));
    by_hand(&options, &format!("ALTER KEYSPACE {} WITH durable_writes = false", options.keyspace));
    let text = refused();
    assert!(text.contains("durable_writes = false") && text.contains("ALTER KEYSPACE"), "{text}");
    drop(Cql::open(&options).expect("it is accepted"));
}

#[test]
fn a_table_of_our_name_that_is_somebody_elses_is_named() {
    let options = options_of(&format!("{}_foreign", options().keyspace));
    made_by_hand(&options);
    by_hand(&options, "CREATE TABLE bounds (id int PRIMARY KEY, height int)");
    let is_named = |error: &OpenError| matches!(error, OpenError::Foreign { table: "bounds", .. });
    let opened = Cql::open(&options).err().expect("there is no schema");
    assert!(matches!(opened, OpenError::Schema { found: None, .. }), "the first table is not there: {opened:?}");
    let migrated = migrate(&options).expect_err("its statements are not for that table");
    assert!(is_named(&migrated), "{migrated:?}");
    let opened = Cql::open(&options).err().expect("nor are they now");
    assert!(is_named(&opened) && opened.to_string().contains(&options.keyspace), "{opened:?}");
}

/// Makes the keyspace and nothing in it.
fn made_by_hand(options: &Options) {
    let elsewhere = Options { keyspace: "system".to_owned(), ..options.clone() };
    let Options { keyspace, replication, .. } = options;
    let replication = format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication}}}");
    by_hand(&elsewhere, &format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}"));
}

/// Sends this as an administrator would.
fn by_hand(options: &Options, cql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let builder = SessionBuilder::new().known_nodes(&options.contact_points);
        let session = builder.use_keyspace(&options.keyspace, false).build().await.expect("a session");
        session.query_unpaged(cql, ()).await.expect("it is carried out");
    });
}

/// Quorums of two data centres need not have a node in common: brokers that each have one of their own exclude nobody.
#[test]
fn a_keyspace_keeps_which_data_centre_is_its_home() {
    let options = options_of(&format!("{}_home", options().keyspace));
    migrate(&options).expect("the schema is made");
    drop(Cql::open(&options).expect("it is the same"));
    by_hand(&options, "UPDATE counters SET value = 7 WHERE name = 'home' IF EXISTS");
    let opened = Cql::open(&options).err().expect("it is another's");
    let migrated = migrate(&options).expect_err("it is another's");
    for error in [opened, migrated] {
        assert!(matches!(&error, OpenError::Home { datacenter, .. } if datacenter == "datacenter1"), "{error:?}");
    }
    by_hand(&options, "DELETE FROM counters WHERE name = 'home' IF EXISTS");
    drop(Cql::open(&options).expect("it has moved"));
}

#[test]
fn the_home_data_centre_is_one_of_the_clusters() {
    let options = Options { datacenter: Some("datacenter1".to_owned()), ..options() };
    drop(Cql::open(&options).expect("the one of simple clusters"));
    let elsewhere = Options { datacenter: Some("elsewhere".to_owned()), ..options };
    assert!(Cql::open(&elsewhere).is_err(), "there is nobody to ask");
}
