//! Seats of a kind: connections, streams of figures, streams of messages. There are as many as a
//! limit says at that moment; one that is given back is free for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See the module.
#[derive(Default)]
pub(super) struct Seats(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(super) struct Seat(Arc<AtomicUsize>);

impl Seats {
    /// One more, if there are fewer than `most`. All who take them are on one thread.
    pub(super) fn take(&self, most: usize) -> Option<Seat> {
        if self.taken() >= most {
            return None;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(Seat(Arc::clone(&self.0)))
    }

    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
