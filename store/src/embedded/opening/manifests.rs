//! What must hold before the engine may open its files, checked without it, because on its own it would quietly begin anew,
//! delete trees whose manifest it misses, and believe manifests without looking at their checksums.

use std::fs;
use std::path::Path;

use super::super::options::OpenError;

/// Checks that the engine is there, and each tree's manifest against the checksum in the file that names it.
pub(in crate::embedded) fn check(engine: &Path) -> Result<(), OpenError> {
    // Without this file the engine would begin anew.
    if !engine.join("version").is_file() {
        return Err(OpenError::Corrupt(format!("{}: the engine's version is missing", engine.display())));
    }
    let trees = engine.join("keyspaces");
    for entry in fs::read_dir(&trees).map_err(OpenError::io(format!("listing {}", trees.display())))? {
        check_tree(&entry.map_err(OpenError::io(format!("listing {}", trees.display())))?.path())?;
    }
    Ok(())
}

/// Removes a tree that a crash left half made. Only for one of which it is known that nothing was put into it.
pub(in crate::embedded) fn forget_unfinished(engine: &Path, tree: &str) -> Result<(), OpenError> {
    let tree = engine.join("keyspaces").join(tree);
    if tree.is_dir() && check_tree(&tree).is_err() {
        fs::remove_dir_all(&tree).map_err(OpenError::io(format!("removing {}", tree.display())))?;
    }
    Ok(())
}

fn check_tree(tree: &Path) -> Result<(), OpenError> {
    let corrupt = |what: &str| OpenError::Corrupt(format!("{}: {what}", tree.display()));
    let current = fs::read(tree.join("current")).map_err(|_| corrupt("the name of the manifest is missing"))?;
    let current: [u8; 25] = current.try_into().map_err(|_| corrupt("the name of the manifest is damaged"))?;
    let id = u64::from_le_bytes(current[..8].try_into().expect("8 bytes of 25"));
    let sum = u128::from_le_bytes(current[8..24].try_into().expect("16 bytes of 25"));
    let manifest = fs::read(tree.join(format!("v{id}"))).map_err(|_| corrupt("the manifest is missing"))?;
    if xxhash_rust::xxh3::xxh3_128(&manifest) != sum || current[24] != 0 {
        return Err(corrupt("the manifest fails its checksum"));
    }
    Ok(())
}
