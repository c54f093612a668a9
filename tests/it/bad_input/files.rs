//! Rows that are files: a folder each, a mosquitto.conf, and `--test-config`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};

use crate::bad_input::bytes_of;
use crate::support::programs::Program;

/// Where rows have their folders, next to certificates they may name: `../server.pem` and
/// `../server.key` belong together, `../other.key` to neither.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        folder.write("server.pem", &params.self_signed(&key).unwrap().pem());
        folder.write("server.key", &key.serialize_pem());
        let other = KeyPair::generate().unwrap();
        folder.write("other.key", &other.serialize_pem());
        folder.write("empty", "");
        fs::create_dir(folder.path("void")).unwrap();
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What the program says about a configuration: `row` itself, or `around` with `row` as the
    /// content of `file`. A row `@name` is a file of this folder; `@none` is none.
    pub(super) fn test(&self, number: usize, around: Option<&str>, row: &str) -> Vec<String> {
        let folder = self.path(&number.to_string());
        fs::create_dir(&folder).unwrap();
        let lines = around.unwrap_or(row).replace(" | ", "\n");
        match around.map(|_| row.strip_prefix('@')) {
            None => {}
            Some(None) => fs::write(folder.join("file"), bytes_of(row)).unwrap(),
            Some(Some(name)) => symlink(self.path(name), folder.join("file")).unwrap(),
        }
        let lines = match around {
            None => bytes_of(&lines),
            Some(_) => lines.into_bytes(),
        };
        fs::write(folder.join("mosquitto.conf"), lines).unwrap();
        let left = Program::mqttx()
            .words("broker -c mosquitto.conf --test-config")
            .at(&folder)
            .run();
        let err = left.err();
        if left.status != 3 || !left.stdout.is_empty() {
            return vec![format!("{left:?}")];
        }
        let mut told: Vec<String> = err.lines().map(without_time).collect();
        if told.pop().as_deref() != Some("mosquitto version 2.1.2 terminating") {
            return vec![format!("ends otherwise: {err}")];
        }
        told
    }

    /// What the program says to these words.
    pub(super) fn words(&self, words: &str) -> Vec<String> {
        let program = Program::mqttx().args(["broker"]).words(words);
        let left = program.at(self.0.path()).run();
        if left.status != 1 || !left.stdout.is_empty() {
            return vec![format!("{left:?}")];
        }
        left.err().lines().map(str::to_owned).collect()
    }
}

/// A line of the log without its time.
pub(super) fn without_time(line: &str) -> String {
    let (time, text) = line.split_once(": ").unwrap_or(("", line));
    match time.parse::<u64>() {
        Ok(_) => text.to_owned(),
        Err(_) => format!("a line without time: {line}"),
    }
}
