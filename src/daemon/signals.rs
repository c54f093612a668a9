//! What a signal asks for.

use std::io;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// INT, TERM: end.
    Stop,
    /// HUP: read the configuration again.
    Reload,
    /// USR1: save what is in memory.
    Save,
    /// USR2: print the subscriptions.
    Tree,
    /// RTMIN: open the log files anew.
    Rotate,
}

/// Signals on their way in.
#[cfg(unix)]
pub(crate) struct Signals(Vec<(tokio::signal::unix::Signal, Asked)>);

#[cfg(unix)]
impl Signals {
    /// Catches them from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![
            (SignalKind::interrupt(), Asked::Stop),
            (SignalKind::terminate(), Asked::Stop),
            (SignalKind::hangup(), Asked::Reload),
            (SignalKind::user_defined1(), Asked::Save),
            (SignalKind::user_defined2(), Asked::Tree),
        ];
        #[cfg(target_os = "linux")]
        kinds.push((SignalKind::from_raw(nix::libc::SIGRTMIN()), Asked::Rotate));
        let caught = kinds
            .into_iter()
            .map(|(kind, asked)| Ok((signal(kind)?, asked)));
        caught.collect::<io::Result<_>>().map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Asked {
        std::future::poll_fn(|context| {
            for (signal, asked) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*asked);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Only the end can be asked for.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> Asked {
        let _ = tokio::signal::ctrl_c().await;
        Asked::Stop
    }
}
