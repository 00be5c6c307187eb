//! A network that loses packets, in this world alone.

use std::process::Command;

use crate::services::CQL_PORT;
use crate::stages::run;
use crate::tools::NFT;

/// The name of its table of rules.
const TABLE: &str = "cut";

/// While there is one, whatever goes to the nodes' clients' port, or comes from it, is lost on its way: nobody is told. What nodes say to each
/// other passes, and so does what a broker's clients say to it.
pub(super) struct Cut(());

impl Cut {
    pub(super) fn from_the_store() -> anyhow::Result<Self> {
        let drops = format!("tcp dport {CQL_PORT} drop; tcp sport {CQL_PORT} drop");
        // Where packets arrive: one that is dropped where it leaves is an error that the sender sees.
        let rules =
            format!("table inet {TABLE} {{ chain arriving {{ type filter hook input priority 0; {drops}; }}; }}");
        run(Command::new(NFT).arg(rules))?;
        Ok(Self(()))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new(NFT).args(["delete", "table", "inet", TABLE])) {
            eprintln!("the network stays cut: {error:#}");
        }
    }
}
