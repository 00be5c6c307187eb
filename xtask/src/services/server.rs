//! The server of the CQL store: Apache Cassandra, which is a library of Maven Central, fetched once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::stages::run;

/// What is fetched, and how it is started: files beside this crate's sources.
const FILES: &str = "xtask/services/cassandra";

/// The class with `main`.
const MAIN: &str = "org.apache.cassandra.service.CassandraDaemon";

/// The server's jars.
pub(super) struct Server {
    jars: PathBuf,
}

impl Server {
    /// Fetches it unless it is there.
    pub(super) fn fetched(services: &Path) -> anyhow::Result<Self> {
        let pom = Path::new(FILES).join("pom.xml");
        let dir = services.join("cassandra");
        let jars = dir.join("jars");
        let wanted = fs::read(&pom).with_context(|| format!("{} cannot be read", pom.display()))?;
        // Written last, so that what was broken off, or belongs to another version, is fetched again.
        let complete = dir.join("fetched.xml");
        if fs::read(&complete).is_ok_and(|fetched| fetched == wanted) {
            return Ok(Self { jars });
        }
        println!("fetching Cassandra from Maven Central, once: 66 MB");
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("{} cannot be removed", dir.display()))?;
        }
        fs::create_dir_all(&jars).with_context(|| format!("{} cannot be made", jars.display()))?;
        let jars_absolute = jars.canonicalize()?;
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(&pom).arg("dependency:copy-dependencies");
        run(maven.arg(format!("-DoutputDirectory={}", jars_absolute.display())))?;
        fs::write(&complete, wanted).with_context(|| format!("{} cannot be written", complete.display()))?;
        Ok(Self { jars })
    }

    /// The command that runs a node with this configuration, a folder with `cassandra.yaml` and `logback.xml`.
    pub(super) fn command(&self, configuration: &Path, data: &Path) -> Command {
        let mut java = Command::new("java");
        java.arg(format!("@{FILES}/jvm.args"))
            .arg(format!("-Dcassandra.config=file://{}/cassandra.yaml", configuration.display()))
            .arg(format!("-Dcassandra.storagedir={}", data.display()))
            // What it leaves behind when it crashes: else beside whatever this is started from.
            .arg(format!("-XX:ErrorFile={}/hs_err.log", data.display()))
            .arg("-cp")
            .arg(format!("{}:{}/*", configuration.display(), self.jars.display()))
            .arg(MAIN);
        java
    }
}

/// One of the files beside this crate's sources.
pub(super) fn file(name: &str) -> anyhow::Result<String> {
    let path = Path::new(FILES).join(name);
    fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}
