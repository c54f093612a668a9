//! The text of a password file, line by line, and its place on the disk.
//!
//! A line that is not touched keeps its bytes, and so do comments. The file is replaced as a whole: a
//! broker that reads it meanwhile has the old one or the new one.

use std::fs;
use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::daemon::auth::hash::Hash;

/// The lines of a password file, their ends included.
#[derive(Default)]
pub(super) struct Entries {
    lines: Vec<Vec<u8>>,
}

impl Entries {
    /// Splits a text; the error is the number of the first line that is neither user nor comment.
    pub(super) fn parse(text: &[u8]) -> Result<Self, usize> {
        let lines: Vec<Vec<u8>> = text
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let is_bad = |line: &Vec<u8>| !is_silent(line) && parts(line).is_none();
        match lines.iter().position(is_bad) {
            Some(at) => Err(at + 1),
            None => Ok(Self { lines }),
        }
    }

    pub(super) fn text(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// Puts a line in the place of the user's, or behind all; true if the user was there.
    pub(super) fn set(&mut self, user: &str, line: Vec<u8>) -> bool {
        if let Some(old) = self.lines.iter_mut().find(|old| is_of(old, user)) {
            *old = line;
            return true;
        }
        if let Some(last) = self.lines.last_mut()
            && !last.ends_with(b"\n")
        {
            last.push(b'\n');
        }
        self.lines.push(line);
        false
    }

    /// True if the user was there.
    pub(super) fn delete(&mut self, user: &str) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| !is_of(line, user));
        self.lines.len() < before
    }

    /// Hashes the passwords that are plain text.
    pub(super) fn hash_all<E>(
        &mut self,
        hash: impl Fn(&[u8]) -> Result<String, E>,
    ) -> Result<(), E> {
        for line in self.lines.iter_mut().filter(|line| !is_silent(line)) {
            let Some((user, password)) = parts(line) else {
                continue;
            };
            // A hash of a hash would shut its user out for good.
            if std::str::from_utf8(password).is_ok_and(|text| Hash::parse(text).is_ok()) {
                continue;
            }
            let hashed = hash(password)?;
            *line = [user, b":", hashed.as_bytes(), b"\n"].concat();
        }
        Ok(())
    }
}

/// A comment or nothing.
fn is_silent(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.is_empty() || line.starts_with(b"#")
}

fn is_of(line: &[u8], user: &str) -> bool {
    !is_silent(line) && parts(line).is_some_and(|(name, _)| name == user.as_bytes())
}

/// User and password of a line, none of them empty.
fn parts(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let user = line[..colon].trim_ascii();
    let password = line[colon + 1..].trim_ascii();
    (!user.is_empty() && !password.is_empty()).then_some((user, password))
}

/// Where a file is, or is to be, with links followed.
pub(super) struct Place {
    path: PathBuf,
}

impl Place {
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            found => found?,
        };
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a file that may be written too.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)?
            .read_to_end(&mut text)?;
        Ok(text)
    }

    /// Whether a file that is there may be written.
    pub(super) fn is_writable(&self) -> io::Result<()> {
        match OpenOptions::new().write(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened.map(drop),
        }
    }

    /// Replaces the file by one with this text, of the same owner and mode.
    pub(super) fn write(&self, text: &[u8]) -> io::Result<()> {
        let old = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found?),
        };
        // What is no file, as /dev/stdout, is not to be replaced by one.
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            return OpenOptions::new()
                .write(true)
                .open(&self.path)?
                .write_all(text);
        }
        let (mut file, draft) = self.draft()?;
        let done = fill(&mut file, text, old.as_ref());
        let done = done.and_then(|()| fs::rename(&draft, &self.path));
        if done.is_err() {
            // The first failure is the one to tell.
            let _ = fs::remove_file(&draft);
        }
        done
    }

    /// An empty file in the same folder, for its owner only.
    fn draft(&self) -> io::Result<(File, PathBuf)> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:016x}", u64::from_ne_bytes(random)));
        let draft = self.path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok((options.open(&draft)?, draft))
    }
}

fn fill(file: &mut File, text: &[u8], old: Option<&fs::Metadata>) -> io::Result<()> {
    if let Some(old) = old {
        #[cfg(unix)]
        keep_owner(file, old)?;
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}

/// A broker that runs as another user must still be able to read its file.
#[cfg(unix)]
fn keep_owner(file: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))
}
