//! Secrets that tokens are signed with: read, judged, and for development made. They are never shown.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::Deserialize;
use switchyard_edge::auth::Secret;

use super::problem::Problem;
use super::secret_file;

/// The secret in the printed default configuration. Everybody knows it, so it is refused.
pub const EXAMPLE: &str = "example-secret-put-the-output-of-openssl-rand-hex-32-here";

/// The fewest bytes of a secret: HS256 is no stronger than its key, and RFC 7518 asks for the hash's 256 bits.
pub const BYTES_MIN: usize = 32;

/// How to get a good one.
pub const NEXT_STEP: &str = "make one with `openssl rand -hex 32`";

/// Random bytes of a development secret, kept as hexadecimal text.
const DEV_BYTES: usize = 32;

/// The development secret's file in the data directory.
const DEV_FILE: &str = "dev-secret";

/// A secret as it stands in a configuration, or nothing. It does not show itself either.
#[derive(Deserialize, Clone, PartialEq, Eq, Default)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "SecretText(none)" } else { "SecretText(…)" })
    }
}

/// The text's bytes, without white space around them, if they may be a secret; else why not.
pub fn from_text(text: &str) -> Result<Secret, String> {
    from_bytes(text.trim().as_bytes())
}

/// These bytes, if they may be a secret; else why not.
pub fn from_bytes(bytes: &[u8]) -> Result<Secret, String> {
    if bytes == EXAMPLE.as_bytes() {
        return Err(format!("is the example of default-config, which everybody knows; {NEXT_STEP}"));
    }
    if bytes.len() < BYTES_MIN {
        return Err(format!("has {} bytes, fewer than {BYTES_MIN}; {NEXT_STEP}", bytes.len()));
    }
    Ok(Secret::new(bytes))
}

/// Where the development secret of this data directory lies.
pub fn dev_path(data: &Path) -> PathBuf {
    data.join(DEV_FILE)
}

/// The development secret of this data directory, which a broker has made before.
pub fn dev(data: &Path) -> Result<Secret, Problem> {
    let path = dev_path(data);
    if !path.exists() {
        let text = format!(
            "{} has no development secret; start `switchyard --data {0}` first, or name a --config",
            data.display()
        );
        return Err(Problem::new("--data", text));
    }
    let mode = fs::metadata(&path).map(|found| found.permissions().mode()).unwrap_or_default();
    if mode & 0o077 != 0 {
        let text = format!("others may read it; `chmod 600 {0}`, or remove it and a new one is made", path.display());
        return Err(Problem::new(path.display().to_string(), text));
    }
    let key = || path.display().to_string();
    let secrets = secret_file::read(&path).map_err(|text| Problem::new(key(), text))?;
    secrets
        .into_iter()
        .next()
        .map(|first| first.secret)
        .ok_or_else(|| Problem::new(key(), "is empty; remove it and a new one is made"))
}

/// The same, made if there is none. The directory is made too, for its owner alone.
pub fn make_dev(data: &Path) -> Result<Secret, Problem> {
    let path = dev_path(data);
    if !path.exists() {
        let why = |e: io::Error| Problem::new("server.data", format!("cannot write {}: {e}", path.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(why)?;
        write_new(&path).map_err(why)?;
    }
    dev(data)
}

/// Writes a random secret so that it is there whole or not at all, and never in place of another.
fn write_new(path: &Path) -> io::Result<()> {
    let mut bytes = [0; DEV_BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    let draft = path.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let linked = writeln!(file, "{}", HEXLOWER.encode(&bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        // Another process was first; its secret is as good.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_example_secrets_are_refused_with_the_next_step() {
        for text in ["", "short", &"x".repeat(BYTES_MIN - 1), EXAMPLE, &format!(" {EXAMPLE}\n")] {
            assert!(from_text(text).expect_err(text).contains("openssl rand -hex 32"));
        }
        assert_eq!(from_text(&format!("{}\n", "x".repeat(32))).expect("long enough").expose(), [b'x'; 32]);
    }

    #[test]
    fn a_development_secret_is_random_private_and_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        assert_eq!(dev(&one).expect_err("not made yet").key, "--data");
        let secret = make_dev(&one).expect("it is made");
        assert_eq!(make_dev(&one), Ok(secret.clone()), "it stays");
        assert_eq!(dev(&one), Ok(secret.clone()));
        assert_ne!(make_dev(&other).expect("it is made"), secret);
        let mode = fs::metadata(dev_path(&one)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&one).expect("a directory").count(), 1, "no draft is left");
        assert_eq!(secret.expose().len(), 2 * DEV_BYTES);
    }

    #[test]
    fn a_development_secret_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        make_dev(dir.path()).expect("it is made");
        fs::set_permissions(dev_path(dir.path()), fs::Permissions::from_mode(0o644)).expect("allowed");
        assert!(make_dev(dir.path()).expect_err("too open").text.contains("chmod 600"));
    }
}
