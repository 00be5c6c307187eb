//! Rules about single files: what they are for stands at their head, nothing is left for later, none is too large, and
//! none knows the machine it was written on.

use super::SourceFile;
use super::exceptions::may_be_long;

/// Lines of a Rust file at most: more than one idea fits into no fewer.
pub(super) const LINES_MAX: usize = 600;

/// Bytes of any file at most: larger ones belong into a release, not into a history.
const BYTES_MAX: usize = 1 << 20;

/// Words that say that something was left for later. In two parts, so that this file may name them.
const LEFT_OVER: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders of people's own machines. In two parts for the same reason.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/"), concat!("C:", "\\")];

/// Everything that is wrong with these files.
pub(super) fn complaints(files: &[SourceFile]) -> Vec<String> {
    files.iter().flat_map(of_file).collect()
}

/// How many lines a file has.
pub(super) fn lines(file: &SourceFile) -> usize {
    file.text().map_or(0, |text| text.lines().count())
}

fn of_file(file: &SourceFile) -> Vec<String> {
    let path = &file.path;
    let mut found = Vec::new();
    if file.bytes.len() > BYTES_MAX {
        found.push(format!("{path}: has {} bytes, more than {BYTES_MAX}", file.bytes.len()));
    }
    let Some(text) = file.text() else { return found };
    if file.is_rust() {
        if !text.starts_with("//! ") {
            found.push(format!("{path}: does not begin with `//! ` and what it is for"));
        }
        if lines(file) > LINES_MAX && !may_be_long(path) {
            found.push(format!("{path}: has {} lines, more than {LINES_MAX}", lines(file)));
        }
    }
    for (number, line) in text.lines().enumerate() {
        let at = |what: &str| format!("{path}:{}: {what}", number + 1);
        if let Some(word) = LEFT_OVER.iter().find(|word| has_word(line, word)) {
            found.push(at(&format!("{word}: do it now, or open an issue")));
        }
        if MACHINE_PATHS.iter().any(|folder| names_folder(line, folder)) {
            found.push(at("names a folder of one machine"));
        }
    }
    found
}

/// Whether this word stands by itself in the line.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

/// Whether an absolute path into this folder stands in the line: not one within an address or another path.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}/*".contains(c))
            && after.is_some_and(char::is_alphanumeric)
    })
}
