//! What went wrong with each bridge last, and how often something did, for whoever shows bridges.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::SystemTime;

/// See the module; by the names of bridges.
#[derive(Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<HashMap<String, Failed>>>);

/// Of one bridge.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// Connections that were refused, cut, or never there.
    pub(crate) count: u64,
    /// The last one, and what was said of it.
    pub(crate) at: SystemTime,
    pub(crate) what: String,
}

impl Failures {
    pub(crate) fn note(&self, bridge: &str, what: String) {
        let at = SystemTime::now();
        let mut all = self.lock();
        let count = all.get(bridge).map_or(0, |failed| failed.count) + 1;
        all.insert(bridge.to_owned(), Failed { count, at, what });
    }

    /// The bridge is not there any more.
    pub(crate) fn forget(&self, bridge: &str) {
        self.lock().remove(bridge);
    }

    pub(crate) fn of(&self, bridge: &str) -> Option<Failed> {
        self.lock().get(bridge).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
