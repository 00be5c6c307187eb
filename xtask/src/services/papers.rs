//! What a node and its clients know each other by, where a node asks for it: certificates, made anew for each run, and the
//! password of the one role that a new cluster has.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// How long the certificates are good for: longer than anybody lets a node run.
const DAYS: &str = "30";

/// The role of a cluster without data, which is its password as well.
const ROLE: &str = "cassandra";

/// A folder with `ca.pem`, who vouches for all; `client.pem` and `client.key`; `user` and `password`; `contact_points`; and what the node has.
pub(super) struct Papers {
    dir: PathBuf,
}

impl Papers {
    /// Makes them for a node at this address.
    pub(super) fn make(dir: &Path, node: SocketAddr) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let papers = Self { dir: dir.canonicalize()? };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
        let authority =
            ["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", DAYS, "-subj", "/CN=authority"];
        papers.openssl(&[&authority[..], &key].concat())?;
        for name in ["node", "client"] {
            let [pem, secret, request, wanted] = ["pem", "key", "csr", "ext"].map(|kind| format!("{name}.{kind}"));
            let subject = format!("/CN={name}");
            let asked = ["req", "-keyout", &secret, "-out", &request, "-subj", &subject];
            papers.openssl(&[&asked[..], &key].concat())?;
            papers.write(&wanted, &format!("subjectAltName=IP:{}\n", node.ip()))?;
            let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS, "-extfile", &wanted];
            papers.openssl(&[&["x509", "-req", "-in", &request, "-out", &pem][..], &by].concat())?;
        }
        let read = |name: &str| fs::read_to_string(papers.dir.join(name));
        papers.write("node-both.pem", &(read("node.key")? + &read("node.pem")?))?;
        papers.write("contact_points", &node.to_string())?;
        papers.write("user", ROLE)?;
        papers.write("password", ROLE)?;
        Ok(papers)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.dir.join(name), text).with_context(|| format!("{name} cannot be written"))
    }

    /// Runs it in the folder; what it says is shown if it fails.
    fn openssl(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new("openssl");
        let output = command.args(arguments).current_dir(&self.dir).stdin(Stdio::null()).output();
        let output = output.context("openssl cannot be run")?;
        if !output.status.success() {
            bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// What the node's configuration says more.
    pub(super) fn configuration(&self) -> String {
        let dir = self.dir.display();
        format!(
            "\nauthenticator: PasswordAuthenticator\nauthorizer: CassandraAuthorizer\nrole_manager: CassandraRoleManager\n\
             client_encryption_options:\n  enabled: true\n  optional: false\n  require_client_auth: true\n  \
             ssl_context_factory:\n    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory\n  \
             keystore: {dir}/node-both.pem\n  truststore: {dir}/ca.pem\n"
        )
    }

    /// Where they lie.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}
