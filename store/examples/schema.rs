//! Says that a keyspace of a CQL store has another schema than it has, for the faults in which a broker meets one: which
//! schema it has, and which one a binary makes at least that may use it. Prints what was said before.
//!
//! `schema CONTACT_POINT[,CONTACT_POINT…] KEYSPACE SCHEMA USERS`

use anyhow::Context;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

/// The two numbers' names in the table of counters.
const NAMES: [&str; 2] = ["schema", "schema_users"];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [points, keyspace, schema, users] = &arguments[..] else {
        anyhow::bail!("contact points, a keyspace, and two numbers");
    };
    let numbers = [schema.parse()?, users.parse()?];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let [schema, users] = runtime.block_on(say(points, keyspace, numbers))?;
    println!("{schema} {users}");
    Ok(())
}

async fn say(points: &str, keyspace: &str, numbers: [i64; 2]) -> anyhow::Result<[i64; 2]> {
    let session = SessionBuilder::new().known_nodes(points.split(',')).build().await?;
    session.use_keyspace(keyspace, false).await?;
    let mut before = [0; 2];
    for ((name, number), before) in NAMES.iter().zip(numbers).zip(&mut before) {
        *before = said(&session, name).await?;
        // What is written there are transactions, and nothing else ever.
        session.query_unpaged("UPDATE counters SET value = ? WHERE name = ? IF EXISTS", (number, name)).await?;
        anyhow::ensure!(said(&session, name).await? == number, "{name} is not {number}");
    }
    Ok(before)
}

async fn said(session: &Session, name: &str) -> anyhow::Result<i64> {
    let answer = session.query_unpaged("SELECT value FROM counters WHERE name = ?", (name,)).await?;
    let (value,) = answer.into_rows_result()?.single_row().with_context(|| format!("there is no {name}"))?;
    Ok(value)
}
