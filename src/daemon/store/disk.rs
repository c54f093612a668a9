//! The few things a store does with files, so that a test can put a disk below it which fails.

use std::collections::HashMap;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// Files of one folder.
pub trait Disk: Send {
    /// Their names.
    fn names(&self) -> io::Result<Vec<String>>;

    /// All bytes of a file.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;

    /// Fills `bytes` from a place in a file.
    fn read_at(&mut self, name: &str, at: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes at the end of a file, which is made if it is not there.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;

    /// Returns when all that was written to a file, and its name, is on the disk.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Takes a file away.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of the system, locked as long as this lives.
pub struct Folder {
    path: PathBuf,
    /// Open files, and whether their names are on the disk.
    files: HashMap<String, (File, bool)>,
    _lock: Lock,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it. `WouldBlock`: another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self {
            path: path.to_owned(),
            files: HashMap::new(),
            _lock: lock(&path.join("lock"))?,
        })
    }

    fn file(&mut self, name: &str, create: bool) -> io::Result<&mut (File, bool)> {
        if !self.files.contains_key(name) {
            let path = self.path.join(name);
            let new = !path.exists();
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(create)
                .open(path)?;
            self.files.insert(name.to_owned(), (file, !new));
        }
        self.files
            .get_mut(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Locks a file that is there for nothing else, as long as what is returned lives. `WouldBlock`:
/// another process has it.
pub(crate) fn lock(path: &Path) -> io::Result<Lock> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    lock_file(&lock)?;
    Ok(Lock(lock))
}

/// See [`lock`].
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A process that is being started at this moment has a copy of the descriptor: closing
        // ours would not do.
        unlock_file(&self.0);
    }
}

#[cfg(unix)]
fn lock_file(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)
}

#[cfg(unix)]
fn unlock_file(file: &File) {
    // Whoever cannot unlock has no lock.
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
}

#[cfg(not(unix))]
fn unlock_file(_: &File) {}

#[cfg(not(unix))]
fn lock_file(_: &File) -> io::Result<()> {
    Ok(())
}

impl Disk for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        names(&self.path)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path.join(name))
    }

    fn read_at(&mut self, name: &str, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (file, _) = self.file(name, false)?;
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_exact_at(file, bytes, at);
        #[cfg(not(unix))]
        {
            use std::io::{Read, Seek, SeekFrom};
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(bytes)
        }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name, true)?.0.write_all(bytes)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name, false)?.0.set_len(len)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let path = self.path.clone();
        let (file, named) = self.file(name, false)?;
        file.sync_data()?;
        if !*named {
            #[cfg(unix)]
            File::open(path)?.sync_all()?;
            #[cfg(not(unix))]
            drop(path);
            *named = true;
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name);
        std::fs::remove_file(self.path.join(name))
    }
}

/// A folder that is only read: what would change it does nothing.
pub struct Untouched(pub PathBuf);

impl Disk for Untouched {
    fn names(&self) -> io::Result<Vec<String>> {
        names(&self.0)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(name))
    }

    fn read_at(&mut self, name: &str, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = File::open(self.0.join(name))?;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(bytes)
    }

    fn append(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _: &str, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}
