//! The way of a bridge into its own broker: a pair of connected sockets, one of which a worker
//! gets as if it had accepted it. Nobody else can come in that way, so nobody is asked for a
//! password.

use std::io;

use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::workers::Workers;
use crate::net::Stream;

/// Our end of a new connection to the core.
#[cfg(unix)]
pub(crate) fn open(workers: &Workers, conf: &BridgeConf) -> io::Result<Stream> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let theirs = mio::net::UnixStream::from_std(theirs);
    let user = conf.local_user.clone();
    workers.tell(0, move |worker| worker.adopt_bridge(theirs, user));
    Ok(Stream::Unix(tokio::net::UnixStream::from_std(ours)?))
}

#[cfg(not(unix))]
pub(crate) fn open(_: &Workers, _: &BridgeConf) -> io::Result<Stream> {
    let what = "bridges need a system with Unix sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, what))
}
