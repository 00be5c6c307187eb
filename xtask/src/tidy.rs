//! The rules that this repository has for itself and that no compiler knows. Each is a pure function from what is in the
//! repository to a list of complaints; the exceptions, with their reasons, are in [`exceptions`].

mod arrows;
mod exceptions;
mod files;
#[cfg(test)]
mod tests;

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};

/// A file of the repository.
pub(crate) struct SourceFile {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

impl SourceFile {
    /// Its text, if it is text.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|text| !text.contains('\0'))
    }

    /// Whether it is Rust.
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Checks everything and prints every complaint.
pub(crate) fn run() -> anyhow::Result<()> {
    let files = repository_files()?;
    let packages = arrows::packages(&capture("cargo", &["metadata", "--no-deps", "--format-version", "1"])?)?;
    let mut complaints = files::complaints(&files);
    complaints.extend(arrows::complaints(&packages));
    complaints.extend(exceptions::stale(&files));
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        count => bail!("tidy: {count} complaints about {} files", files.len()),
    }
}

/// Every file that is tracked or would be: what git ignores is nobody's business.
fn repository_files() -> anyhow::Result<Vec<SourceFile>> {
    let listed = capture("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut files = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A tracked file that was removed, and a link to a folder, have nothing to check.
        if fs::metadata(path).is_ok_and(|found| found.is_file()) {
            let bytes = fs::read(path).with_context(|| format!("{path} cannot be read"))?;
            files.push(SourceFile { path: path.to_owned(), bytes });
        }
    }
    Ok(files)
}

fn capture(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("{program} cannot be run"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
