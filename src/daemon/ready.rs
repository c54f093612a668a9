//! The ready file: the addresses as JSON, there as a whole or not at all, once clients can
//! connect. Scripts wait for it instead of sleeping.

use std::io;
use std::path::Path;

use crate::daemon::Listening;

/// Writes `{"listeners":[{"protocol":"mqtt","address":"127.0.0.1:1883"}]}`.
pub(crate) fn write(path: &Path, listening: &[Listening]) -> io::Result<()> {
    let listeners: Vec<_> = listening
        .iter()
        .map(
            |one| serde_json::json!({ "protocol": one.protocol, "address": one.place.to_string() }),
        )
        .collect();
    let text = serde_json::json!({ "listeners": listeners }).to_string();
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let written = std::fs::write(&name, text + "\n").and_then(|()| std::fs::rename(&name, path));
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = std::fs::remove_file(&name);
    }
    written
}
