//! A disk in memory that can lose its power. As little as POSIX promises is kept: the contents of a file after a sync of
//! that file, the entries of a directory after a sync of that directory. Of everything else a cut keeps what a seed says.
//! File systems keep more: they sync a new file's name with the file, for one. Pure; the kernel is spoken to in `fs.rs`.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::image::Contents;

/// The directory in which everything lies.
pub(super) const ROOT: u64 = 1;

/// What survives a cut besides what was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survival {
    /// Nothing. The disk forgets whatever it was not told to keep.
    Nothing,
    /// Some writes, torn at sectors and in any order, and any of the changes of each directory: POSIX allows it.
    Pieces,
}

/// Why an operation did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Absent,
    Exists,
    NotEmpty,
    NotDirectory,
    IsDirectory,
    /// Names move within one directory only.
    OtherDirectory,
    NoPower,
}

#[derive(Clone)]
enum Renaming {
    Add(OsString, u64),
    Remove(OsString),
    Move(OsString, OsString),
}

type Names = BTreeMap<OsString, u64>;

#[derive(Default)]
struct Directory {
    shown: Names,
    safe: Names,
    unsynced: Vec<Renaming>,
}

impl Directory {
    fn change(&mut self, renaming: Renaming) {
        apply(&mut self.shown, &renaming);
        self.unsynced.push(renaming);
    }

    /// What was not synced is gone but for what the question is answered with yes.
    fn settle(&mut self, mut keeps: impl FnMut() -> bool) {
        for renaming in self.unsynced.drain(..).filter(|_| keeps()) {
            apply(&mut self.safe, &renaming);
        }
    }
}

fn apply(names: &mut Names, renaming: &Renaming) {
    match renaming {
        Renaming::Add(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Renaming::Remove(name) => {
            names.remove(name);
        }
        Renaming::Move(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

enum Node {
    File(Contents),
    Directory(Directory),
}

/// What is asked about a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) inode: u64,
    pub(super) is_directory: bool,
    pub(super) len: u64,
}

/// When the plug is pulled: instead of the change or sync that comes after so many others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    /// From now on.
    AfterSteps(u64),
    /// From the moment at which a name with this end is made or removed.
    AfterName(&'static str, u64),
}

/// The disk.
pub(super) struct Disk {
    nodes: HashMap<u64, Node>,
    next_inode: u64,
    power: bool,
    plan: Option<Plan>,
    rng: StdRng,
    survival: Survival,
    lies: bool,
}

impl Disk {
    pub(super) fn new(seed: u64, survival: Survival) -> Self {
        Self {
            nodes: [(ROOT, Node::Directory(Directory::default()))].into(),
            next_inode: ROOT + 1,
            power: true,
            plan: None,
            rng: StdRng::seed_from_u64(seed),
            survival,
            lies: false,
        }
    }

    /// The same disk, but it says that it has synced and has not.
    pub(super) fn lying(self) -> Self {
        Self { lies: true, ..self }
    }

    pub(super) fn plan_cut(&mut self, plan: Plan) {
        self.plan = Some(plan);
    }

    pub(super) fn has_power(&self) -> bool {
        self.power
    }

    /// The power comes back, if it was gone; what was not synced is gone but for what the seed keeps. Returns how many
    /// changes were at stake.
    pub(super) fn restore(&mut self) -> u64 {
        (self.power, self.plan) = (true, None);
        let mut lost = 0;
        let mut inodes: Vec<u64> = self.nodes.keys().copied().collect();
        // The same seed, the same picture.
        inodes.sort_unstable();
        for inode in inodes {
            match self.nodes.get_mut(&inode) {
                Some(Node::File(contents)) => {
                    lost += match self.survival {
                        Survival::Nothing => contents.forget(),
                        Survival::Pieces => contents.tear(&mut self.rng),
                    };
                }
                Some(Node::Directory(directory)) => {
                    lost += directory.unsynced.len() as u64;
                    directory.settle(|| match self.survival {
                        Survival::Nothing => false,
                        Survival::Pieces => self.rng.random(),
                    });
                    directory.shown = directory.safe.clone();
                }
                None => {}
            }
        }
        self.sweep();
        lost
    }

    /// Drops what no name leads to.
    fn sweep(&mut self) {
        let mut reached = HashMap::new();
        let mut open = vec![ROOT];
        while let Some(inode) = open.pop() {
            if let Some(node) = self.nodes.remove(&inode) {
                if let Node::Directory(directory) = &node {
                    open.extend(directory.shown.values());
                }
                reached.insert(inode, node);
            }
        }
        self.nodes = reached;
    }

    pub(super) fn lookup(&self, parent: u64, name: &OsStr) -> Result<Status, Refusal> {
        let inode = *self.directory(parent)?.shown.get(name).ok_or(Refusal::Absent)?;
        self.status(inode)
    }

    pub(super) fn status(&self, inode: u64) -> Result<Status, Refusal> {
        self.powered()?;
        match self.nodes.get(&inode).ok_or(Refusal::Absent)? {
            Node::File(contents) => Ok(Status { inode, is_directory: false, len: contents.len() }),
            Node::Directory(_) => Ok(Status { inode, is_directory: true, len: 0 }),
        }
    }

    pub(super) fn names(&self, inode: u64) -> Result<Vec<(OsString, Status)>, Refusal> {
        let names = self.directory(inode)?.shown.iter();
        names.map(|(name, inode)| Ok((name.clone(), self.status(*inode)?))).collect()
    }

    pub(super) fn create_file(&mut self, parent: u64, name: &OsStr) -> Result<Status, Refusal> {
        self.create(parent, name, Node::File(Contents::default()))
    }

    pub(super) fn create_directory(&mut self, parent: u64, name: &OsStr) -> Result<Status, Refusal> {
        self.create(parent, name, Node::Directory(Directory::default()))
    }

    fn create(&mut self, parent: u64, name: &OsStr, node: Node) -> Result<Status, Refusal> {
        self.step()?;
        let inode = self.next_inode;
        let directory = self.directory_mut(parent)?;
        if directory.shown.contains_key(name) {
            return Err(Refusal::Exists);
        }
        directory.change(Renaming::Add(name.to_owned(), inode));
        self.named(name);
        self.next_inode += 1;
        self.nodes.insert(inode, node);
        self.status(inode)
    }

    /// Gives a file one more name.
    pub(super) fn link(&mut self, inode: u64, parent: u64, name: &OsStr) -> Result<Status, Refusal> {
        self.step()?;
        let status = self.status(inode)?;
        let directory = self.directory_mut(parent)?;
        if directory.shown.contains_key(name) {
            return Err(Refusal::Exists);
        }
        directory.change(Renaming::Add(name.to_owned(), inode));
        Ok(status)
    }

    /// A file that is open stays readable until the power is gone.
    pub(super) fn remove_file(&mut self, parent: u64, name: &OsStr) -> Result<(), Refusal> {
        self.step()?;
        if self.lookup(parent, name)?.is_directory {
            return Err(Refusal::IsDirectory);
        }
        self.directory_mut(parent)?.change(Renaming::Remove(name.to_owned()));
        self.named(name);
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, parent: u64, name: &OsStr) -> Result<(), Refusal> {
        self.step()?;
        let inode = self.lookup(parent, name)?.inode;
        if !self.directory(inode)?.shown.is_empty() {
            return Err(Refusal::NotEmpty);
        }
        self.directory_mut(parent)?.change(Renaming::Remove(name.to_owned()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr), replace: bool) -> Result<(), Refusal> {
        self.step()?;
        if from.0 != to.0 {
            return Err(Refusal::OtherDirectory);
        }
        let moved = self.lookup(from.0, from.1)?;
        match self.lookup(to.0, to.1) {
            Err(Refusal::Absent) => {}
            Err(refusal) => return Err(refusal),
            Ok(_) if !replace => return Err(Refusal::Exists),
            Ok(there) if there.inode == moved.inode => return Ok(()),
            Ok(there) if there.is_directory && !self.directory(there.inode)?.shown.is_empty() => {
                return Err(Refusal::NotEmpty);
            }
            Ok(_) => {}
        }
        self.directory_mut(from.0)?.change(Renaming::Move(from.1.to_owned(), to.1.to_owned()));
        Ok(())
    }

    pub(super) fn read(&self, inode: u64, at: u64, wanted: usize) -> Result<Vec<u8>, Refusal> {
        self.powered()?;
        match self.nodes.get(&inode).ok_or(Refusal::Absent)? {
            Node::File(contents) => Ok(contents.read(at, wanted)),
            Node::Directory(_) => Err(Refusal::IsDirectory),
        }
    }

    pub(super) fn write(&mut self, inode: u64, at: u64, bytes: &[u8]) -> Result<(), Refusal> {
        self.step()?;
        self.file_mut(inode)?.write(at, bytes);
        Ok(())
    }

    pub(super) fn set_len(&mut self, inode: u64, len: u64) -> Result<(), Refusal> {
        self.step()?;
        self.file_mut(inode)?.set_len(len);
        Ok(())
    }

    pub(super) fn sync_file(&mut self, inode: u64) -> Result<(), Refusal> {
        self.step()?;
        if !self.lies {
            self.file_mut(inode)?.sync();
        }
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, inode: u64) -> Result<(), Refusal> {
        self.step()?;
        if !self.lies {
            self.directory_mut(inode)?.settle(|| true);
        }
        Ok(())
    }

    /// Counts what changes the disk, and pulls the plug when it is time.
    fn step(&mut self) -> Result<(), Refusal> {
        self.powered()?;
        match &mut self.plan {
            Some(Plan::AfterSteps(0)) => {
                self.power = false;
                return Err(Refusal::NoPower);
            }
            Some(Plan::AfterSteps(left)) => *left -= 1,
            Some(Plan::AfterName(..)) | None => {}
        }
        Ok(())
    }

    /// Starts the count if this is the name that was waited for.
    fn named(&mut self, name: &OsStr) {
        if let Some(Plan::AfterName(end, steps)) = self.plan
            && name.as_encoded_bytes().ends_with(end.as_bytes())
        {
            self.plan = Some(Plan::AfterSteps(steps));
        }
    }

    fn powered(&self) -> Result<(), Refusal> {
        if self.power { Ok(()) } else { Err(Refusal::NoPower) }
    }

    fn directory(&self, inode: u64) -> Result<&Directory, Refusal> {
        self.powered()?;
        match self.nodes.get(&inode).ok_or(Refusal::Absent)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(Refusal::NotDirectory),
        }
    }

    fn directory_mut(&mut self, inode: u64) -> Result<&mut Directory, Refusal> {
        match self.nodes.get_mut(&inode).ok_or(Refusal::Absent)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(Refusal::NotDirectory),
        }
    }

    fn file_mut(&mut self, inode: u64) -> Result<&mut Contents, Refusal> {
        match self.nodes.get_mut(&inode).ok_or(Refusal::Absent)? {
            Node::File(contents) => Ok(contents),
            Node::Directory(_) => Err(Refusal::IsDirectory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(disk: &Disk) -> Vec<String> {
        let names = disk.names(ROOT).expect("the disk has power").into_iter();
        names.map(|(name, _)| name.into_string().expect("plain names")).collect()
    }

    #[test]
    fn a_name_survives_only_after_a_sync_of_its_directory() {
        let mut disk = Disk::new(1, Survival::Nothing);
        let kept = disk.create_file(ROOT, "kept".as_ref()).expect("a new name");
        disk.sync_directory(ROOT).expect("the disk has power");
        disk.write(kept.inode, 0, b"never synced").expect("it is a file");
        let lost = disk.create_file(ROOT, "lost".as_ref()).expect("a new name");
        disk.write(lost.inode, 0, b"synced, and nothing leads there").expect("it is a file");
        disk.sync_file(lost.inode).expect("it is a file");
        disk.rename((ROOT, "kept".as_ref()), (ROOT, "renamed".as_ref()), true).expect("it is there");
        assert_eq!(names(&disk), ["lost", "renamed"]);
        assert_eq!(disk.restore(), 3);
        assert_eq!(names(&disk), ["kept"]);
        assert_eq!(disk.status(kept.inode).expect("it is there").len, 0);
        assert_eq!(disk.status(lost.inode), Err(Refusal::Absent));
    }

    #[test]
    fn nothing_happens_after_the_cut_until_the_power_is_back() {
        let mut disk = Disk::new(1, Survival::Pieces);
        let file = disk.create_file(ROOT, "file".as_ref()).expect("a new name");
        disk.sync_directory(ROOT).expect("the disk has power");
        disk.plan_cut(Plan::AfterSteps(1));
        disk.write(file.inode, 0, b"the last one").expect("one more is let through");
        assert!(disk.has_power());
        assert_eq!(disk.sync_file(file.inode), Err(Refusal::NoPower));
        assert!(!disk.has_power());
        assert_eq!(disk.read(file.inode, 0, 1), Err(Refusal::NoPower));
        assert_eq!(disk.names(ROOT).err(), Some(Refusal::NoPower));
        assert_eq!(disk.restore(), 1);
        assert_eq!(names(&disk), ["file"]);
    }
}
