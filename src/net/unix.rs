//! Unix sockets: a broker on this machine, reached by a path.

use std::io;
use std::path::Path;

use tokio::net::UnixStream;

/// Connects to the socket at `path`.
pub(super) async fn connect(path: &str) -> io::Result<UnixStream> {
    UnixStream::connect(Path::new(path)).await
}
