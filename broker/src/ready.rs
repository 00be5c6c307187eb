//! The ready line: what scripts wait for, on stdout and in a file of their choice that is gone when the process is.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::version::{COMMIT, VERSION};

/// What the line says. Its names are fixed.
#[derive(Serialize, Debug)]
pub struct Ready {
    ready: bool,
    version: &'static str,
    commit: &'static str,
    pid: u32,
    dev: bool,
    roles: Vec<&'static str>,
    data_dir: PathBuf,
    page: String,
    ws: String,
    quic: Option<String>,
    ops: String,
}

impl Ready {
    /// For a process that serves these roles at these addresses, as they were really bound.
    pub fn new(dev: bool, roles: Vec<&'static str>, data: &Path, public: SocketAddr, ops: SocketAddr) -> Self {
        Self {
            ready: true,
            version: VERSION,
            commit: COMMIT,
            pid: std::process::id(),
            dev,
            roles,
            data_dir: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
            page: format!("http://{public}/"),
            ws: format!("ws://{public}/v1/ws"),
            quic: None,
            ops: format!("http://{ops}"),
        }
    }

    /// Where browsers find the page.
    pub fn page(&self) -> &str {
        &self.page
    }

    /// Where clients connect.
    pub fn ws(&self) -> &str {
        &self.ws
    }

    /// Where health and metrics are.
    pub fn ops(&self) -> &str {
        &self.ops
    }

    /// The line, without its end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers alone")
    }
}

/// The ready file. It appears whole, and is removed at the end by whoever ends the process first.
#[derive(Debug, Default)]
pub struct ReadyFile(Mutex<Option<PathBuf>>);

impl ReadyFile {
    /// Writes the file beside its place, then moves it there.
    pub fn write(&self, path: &Path, ready: &Ready) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let draft = path.with_file_name(name);
        let written = fs::File::create(&draft).and_then(|mut file| writeln!(file, "{}", ready.line()));
        if let Err(error) = written.and_then(|()| fs::rename(&draft, path)) {
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
        Ok(())
    }

    /// Removes it, once.
    pub fn remove(&self) {
        if let Some(path) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_line_and_goes_with_the_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ready.json");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let ready = Ready::new(true, vec!["edge", "router"], Path::new("d"), address(7400), address(7401));
        let file = ReadyFile::default();
        file.write(&path, &ready).expect("it is written");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), format!("{}\n", ready.line()));
        let line: serde_json::Value = serde_json::from_str(&ready.line()).expect("it is JSON");
        let mut keys: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut expected =
            ["ready", "version", "commit", "pid", "dev", "roles", "data_dir", "page", "ws", "quic", "ops"].to_vec();
        expected.sort_unstable();
        assert_eq!(keys, expected);
        assert_eq!(line["ws"], "ws://127.0.0.1:7400/v1/ws");
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0, "neither file nor draft is left");
    }
}
