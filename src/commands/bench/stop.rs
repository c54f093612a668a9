//! Ctrl-C, or SIGTERM: the run ends here, and what was measured so far is told. Asked a second time
//! nothing is waited for that is still on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether somebody wants us to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    asked: Arc<AtomicU32>,
}

impl Stop {
    /// Listens from now on, on a thread of its own; without it signals end the process as ever.
    pub(super) fn on_signals() -> Self {
        let stop = Self::default();
        let asked = Arc::clone(&stop.asked);
        let spawned = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || listen(&asked));
        drop(spawned);
        stop
    }

    pub(super) fn ask(&self) {
        self.asked.fetch_max(1, Ordering::AcqRel);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) > 0
    }

    /// And at once.
    pub(super) fn is_urgent(&self) -> bool {
        self.asked.load(Ordering::Acquire) > 1
    }
}

fn listen(asked: &AtomicU32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let Ok(runtime) = runtime else {
        return;
    };
    while runtime.block_on(signal()).is_ok() {
        asked.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
