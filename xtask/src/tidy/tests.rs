//! Each rule is shown something that breaks it and something that does not.

use super::arrows::{Dependency, Package};
use super::{SourceFile, arrows, files};

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn of(path: &str, text: &str) -> Vec<String> {
    files::complaints(&[file(path, text)])
}

fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
    let dependencies = dependencies.iter();
    let dependencies =
        dependencies.map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) });
    Package { name: name.to_owned(), dependencies: dependencies.collect() }
}

#[test]
fn rust_says_what_it_is_for() {
    assert_eq!(of("a/src/b.rs", "//! What it is for.\nfn f() {}\n"), [""; 0]);
    assert_eq!(of("a/src/b.rs", "fn f() {}\n").len(), 1);
    assert_eq!(of("a/src/b.rs", "//!\n").len(), 1);
    assert_eq!(of("README.md", "# Title\n"), [""; 0]);
}

#[test]
fn nothing_is_left_for_later() {
    for word in [concat!("TO", "DO"), concat!("FIX", "ME")] {
        assert_eq!(of("notes.md", &format!("a line\n// {word}: later\n")).len(), 1);
        assert_eq!(of("notes.md", &format!("MAS{word} {word}S\n")), [""; 0]);
    }
}

#[test]
fn long_and_large_files_are_told() {
    let line = "// a line\n";
    assert_eq!(of("a.rs", &format!("//! x\n{}", line.repeat(599))), [""; 0]);
    assert_eq!(of("a.rs", &format!("//! x\n{}", line.repeat(600))).len(), 1);
    assert_eq!(of("a.md", &line.repeat(2_000)), [""; 0]);
    let large = SourceFile { path: "a.bin".to_owned(), bytes: vec![0; (1 << 20) + 1] };
    assert_eq!(files::complaints(&[large]).len(), 1);
}

#[test]
fn folders_of_one_machine_are_told_apart_from_addresses() {
    let folder = concat!("/ho", "me/somebody/x");
    assert_eq!(of("a.md", &format!("see {folder}")).len(), 1);
    assert_eq!(of("a.md", &format!("path = \"{folder}\"")).len(), 1);
    assert_eq!(of("a.md", &format!("https://example.com{folder}")), [""; 0]);
}

#[test]
fn edge_and_router_meet_in_cluster_alone() {
    let packages = [
        package("switchyard-edge", &[("switchyard-cluster", None), ("switchyard-store", None)]),
        package("switchyard-router", &[("switchyard-edge", Some("dev")), ("switchyard-store", None)]),
        package("switchyard-store", &[("switchyard-store", Some("dev")), ("switchyard-client", Some("dev"))]),
        package("switchyard-cluster", &[]),
        package("switchyard-client", &[]),
        package("stranger", &[]),
    ];
    let found = arrows::complaints(&packages);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("switchyard-edge -> switchyard-store"));
    assert!(found[1].starts_with("switchyard-router -> switchyard-edge"));
    assert!(found[2].starts_with("stranger"));
}

#[test]
fn a_library_that_speaks_to_the_outside_has_one_home() {
    let packages = [
        package("switchyard-store", &[("fjall", None)]),
        package("switchyard-router", &[("fjall", None), ("tungstenite", Some("dev"))]),
        package("switchyard-edge", &[("tungstenite", None)]),
        package("switchyard-protocol", &[("tokio", None), ("proptest", Some("dev"))]),
    ];
    let found = arrows::complaints(&packages);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("switchyard-router -> fjall"));
    assert!(found[1].starts_with("switchyard-edge -> tungstenite"));
    assert!(found[2].starts_with("switchyard-protocol -> tokio"));
}
