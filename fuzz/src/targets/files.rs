//! Files that an operator writes, or another broker, or this one: whatever is in them, they are
//! taken or refused with a sentence.

use std::collections::BTreeMap;
use std::io;

use mqttx::broker::durable::record::Record;
use mqttx::daemon::auth::password_file::PasswordFile;
use mqttx::daemon::auth::{acl_file, dynsec};
use mqttx::daemon::conf::{self, Conf};
use mqttx::daemon::store::Store;
use mqttx::daemon::store::disk::Disk;
use mqttx::daemon::store::import;
use mqttx::daemon::store::log::Log;

/// mosquitto.conf. What would read other files is left out.
pub fn configuration(data: &[u8]) {
    const OTHERS: [&[u8]; 2] = [b"include_dir", b"${"];
    let reads_others = |word: &&[u8]| data.windows(word.len()).any(|part| part == *word);
    if OTHERS.iter().any(reads_others) {
        return;
    }
    let path = std::env::temp_dir().join(format!("mqttx-fuzz-{}.conf", std::process::id()));
    std::fs::write(&path, data).unwrap();
    match conf::parse::read(&path) {
        Ok(settings) => {
            if let Err(fault) = Conf::from_settings(&settings, &[]) {
                assert!(!fault.to_string().is_empty());
            }
        }
        Err(fault) => assert!(fault.sentence.starts_with("Error"), "{fault}"),
    }
    let _ = std::fs::remove_file(&path);
}

/// Password file and ACL file.
pub fn users(data: &[u8]) {
    if let Err(bad) = acl_file::parse(data) {
        assert!(!bad.sentence("acl").is_empty());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = PasswordFile::parse(text);
    }
}

/// The JSON of dynamic security: what was read is written so that it reads the same.
pub fn dynamic_security(data: &[u8]) {
    if let Ok(text) = dynsec::with_password(data, "admin", "x") {
        let again = dynsec::with_password(text.as_bytes(), "admin", "x");
        assert_eq!(without_hashes(&again.unwrap()), without_hashes(&text));
    }
}

/// Hashes differ each time, by their salt.
fn without_hashes(text: &str) -> Vec<&str> {
    let hashed = |line: &&str| line.contains("password\"") || line.contains("\"salt\"");
    text.lines().filter(|line| !hashed(line)).collect()
}

/// The log of the store, and mosquitto.db.
pub fn stored(data: &[u8]) {
    let _ = import::records(data, 1_600_000_000_000);
    let mut disk = OneFile::default();
    disk.0.insert("00000001.log".to_owned(), data.to_vec());
    let mut log = Log::new(disk);
    if log.load(&mut |_| ()).is_err() {
        return;
    }
    for body in log.bodies() {
        let _ = log.fetch(body);
    }
    // What was read is a log that can be written to.
    log.append(&[Record::SessionGone(7)]).unwrap();
    log.sync().unwrap();
    let mut log = Log::new(log.into_disk());
    log.load(&mut |_| ()).unwrap();
}

/// A folder in memory.
#[derive(Default)]
struct OneFile(BTreeMap<String, Vec<u8>>);

impl OneFile {
    fn file(&mut self, name: &str) -> io::Result<&mut Vec<u8>> {
        let missing = || io::ErrorKind::NotFound.into();
        self.0.get_mut(name).ok_or_else(missing)
    }
}

impl Disk for OneFile {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.file(name).cloned()
    }

    fn read_at(&mut self, name: &str, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let file = self.file(name)?;
        let part = file
            .get(at as usize..)
            .and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.0.entry(name.to_owned()).or_default();
        file.extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name)?.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.remove(name);
        Ok(())
    }
}
