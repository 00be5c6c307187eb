//! A keyspace of a test's own in the cluster that the test command starts, for brokers that keep everything there. It is
//! gone when the test ends: each has some twenty tables, and a node has room for a few hundred.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session_builder::SessionBuilder;
use tokio::runtime::Builder;

use crate::process::switchyard;

/// The environment's name for the cluster's contact points, with commas between them.
const CONTACT_POINTS: &str = "SWITCHYARD_TEST_CQL";

/// The environment's name for the store on which every broker of a test runs that does not say otherwise.
const STORE: &str = "SWITCHYARD_TEST_STORE";

/// How long a change may take; to make tables takes seconds.
const ASK_MAX: Duration = Duration::from_secs(60);

/// Whether brokers that do not say otherwise run on the cluster: the long form of the tests, `SWITCHYARD_TEST_STORE=cql`.
pub(crate) fn is_default() -> bool {
    match env::var(STORE).as_deref() {
        Ok("cql") => true,
        Ok("embedded") | Err(_) => false,
        Ok(other) => panic!("{STORE} is {other:?}; it may be cql or embedded"),
    }
}

/// See the module.
pub(crate) struct Keyspace {
    name: String,
    points: Vec<String>,
}

impl Keyspace {
    /// Makes one, with the schema of this version.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let points = env::var(CONTACT_POINTS).unwrap_or_else(|_| {
            panic!(
                "{CONTACT_POINTS} is not set: run `cargo xtask test`, or start a cluster with `cargo xtask services` and \
                 set the variable as it says"
            )
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        let name = format!("broker_{now}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let made = Self { name, points: points.split(',').map(str::to_owned).collect() };
        let migrated = switchyard().arg("migrate").envs(made.env()).output().expect("the binary runs");
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        made
    }

    /// What a broker's environment says of it.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let copies = if self.points.len() < 3 { "1" } else { "3" };
        let told = [
            ("KIND", "cql"),
            ("CQL__CONTACT_POINTS", &self.points.join(",")),
            ("CQL__KEYSPACE", &self.name),
            ("CQL__REPLICATION", copies),
            ("CQL__ACCEPT_LOSSES", "true"),
        ];
        told.map(|(key, value)| (format!("SWITCHYARD__STORE__{key}"), value.to_owned())).to_vec()
    }

    /// Changes something in it past the broker; `%` stands for its name.
    pub(crate) fn change(&self, cql: &str) {
        self.execute(cql).expect("it is changed");
    }

    fn execute(&self, cql: &str) -> Result<(), String> {
        let ask = || {
            let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
            runtime.block_on(self.ask(&cql.replace('%', &self.name)))
        };
        // On a thread of its own, for the test may run on a runtime's.
        std::thread::scope(|scope| scope.spawn(ask).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    async fn ask(&self, cql: &str) -> Result<(), String> {
        let timeout = ExecutionProfile::builder().request_timeout(Some(ASK_MAX)).build().into_handle();
        let builder = SessionBuilder::new().known_nodes(&self.points).default_execution_profile_handle(timeout);
        let session = builder.build().await.map_err(|error| error.to_string())?;
        session.query_unpaged(cql, ()).await.map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        if let Err(error) = self.execute("DROP KEYSPACE IF EXISTS %") {
            eprintln!("keyspace {} is left: {error}", self.name);
        }
    }
}
