//! Tells a binary which commit it was built from, and by which compiler. Without git the commit is `unknown`; nothing
//! here may fail a build. The load harness is built with it too.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../broker/build.rs");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets the package's directory");
    let git = |arguments: &[&str]| said("git", &[&["-C", root.as_str()], arguments].concat());

    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    println!("cargo::rustc-env=SWITCHYARD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));

    // A commit moves HEAD's branch, a checkout moves HEAD itself, and `git gc` moves branches into packed-refs.
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"]);
    for file in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let Some(path) = git(&["rev-parse", "--git-path", file]) else { continue };
        let path = Path::new(&root).join(path);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }

    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let compiler = said(&rustc, &["--version"]);
    println!("cargo::rustc-env=SWITCHYARD_RUSTC={}", compiler.as_deref().unwrap_or("unknown"));
}

/// What a program wrote, if it ran and succeeded.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
