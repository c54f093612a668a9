//! A few lines of C between a program and the system's library.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, for `LD_PRELOAD`; `None`: there is no C compiler.
pub(crate) fn compile(folder: &Path, code: &str) -> Option<PathBuf> {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    std::fs::write(&source, code).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    let done = cc.arg("-ldl").output().ok()?;
    assert!(done.status.success(), "{done:?}");
    Some(library)
}
