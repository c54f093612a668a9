//! What was refused for a limit. It is handed to a worker, who counts it like all others, once a
//! second at most: whoever is refused a thousand times wakes nobody a thousand times.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::broker::Stats;
use crate::daemon::http::app::App;

/// Until what was counted is handed on.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    stats: Stats,
    /// Somebody will hand it on.
    pending: bool,
}

impl Refusals {
    /// Counts it.
    pub(super) fn note(app: &Arc<App>, of: impl FnOnce(&mut Stats)) {
        let mut counted = app.refusals.lock();
        of(&mut counted.stats);
        if !std::mem::replace(&mut counted.pending, true) {
            let app = Arc::clone(app);
            tokio::spawn(async move {
                tokio::time::sleep(PAUSE).await;
                let counted = std::mem::take(&mut *app.refusals.lock());
                app.workers()
                    .tell(0, move |worker| worker.broker.add_stats(&counted.stats));
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
