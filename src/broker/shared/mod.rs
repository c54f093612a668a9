//! What all workers see: subscriptions, retained messages, and which Session lives where.
//!
//! Each is behind its own lock, held for one look or one change. The routes that workers cache
//! stand as long as [`Shared::generation`] does, so the hot path takes no lock at all: after a
//! SUBACK has left, the generation that every worker compares has already moved.

pub(crate) mod directory;
mod expiries;
pub(crate) mod readers;
pub(crate) mod retained;
pub(crate) mod subscriptions;
pub(crate) mod trie;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::broker::access::rules::Rights;
use crate::broker::durable::record::Record;
use crate::broker::limits::Limits;
use crate::broker::shared::directory::Directory;
use crate::broker::shared::retained::{Retained, Source};
use crate::broker::shared::subscriptions::Subscriptions;
use crate::mqtt::message::Message;

/// Names a Session in the whole broker: the worker that owns it, its place there, and a serial
/// number, since places are used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct SessionKey {
    pub(crate) worker: u16,
    /// Made to outlive its Network Connection.
    pub(crate) kept: bool,
    pub(crate) slot: u32,
    pub(crate) serial: u64,
}

/// See the module; one for the whole broker.
pub struct Shared {
    subscriptions: RwLock<Subscriptions>,
    retained: RwLock<Retained>,
    directory: Mutex<Directory>,
    generation: AtomicU64,
    serial: AtomicU64,
    /// Numbers of stored messages.
    body: AtomicU64,
    /// Network Connections of all workers, for `connections_max`.
    pub(crate) connections: AtomicUsize,
    /// Bytes of recorded messages in queues that are here and not only in the store.
    pub(crate) here_bytes: AtomicUsize,
    /// Bytes queued in the Sessions of all workers, for `queued_bytes_total_max`.
    pub(crate) queued_bytes: AtomicUsize,
    /// Messages whose bytes those are.
    pub(crate) queued: AtomicUsize,
}

impl Shared {
    /// Nothing subscribed, retained or known yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            subscriptions: RwLock::new(Subscriptions::new()),
            retained: RwLock::new(Retained::new(limits)),
            directory: Mutex::new(Directory::default()),
            generation: AtomicU64::new(1),
            serial: AtomicU64::new(1),
            body: AtomicU64::new(1),
            connections: AtomicUsize::new(0),
            here_bytes: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
        }
    }

    /// Moves whenever a route may have changed.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A message of `size` bytes is kept for one Session more.
    pub(crate) fn hold(&self, size: usize) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.queued_bytes.fetch_add(size, Ordering::Relaxed);
    }

    /// `count` messages of `size` bytes together are no longer kept for a Session.
    pub(crate) fn release(&self, count: usize, size: usize) {
        self.queued.fetch_sub(count, Ordering::Relaxed);
        self.queued_bytes.fetch_sub(size, Ordering::Relaxed);
    }

    /// Recorded messages of `size` bytes are no longer in a queue, or only in the store.
    pub(crate) fn not_here(&self, size: usize) {
        self.here_bytes.fetch_sub(size, Ordering::Relaxed);
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_body(&self) -> u64 {
        self.body.fetch_add(1, Ordering::Relaxed)
    }

    /// Numbers that are in a store already are not given again.
    pub(crate) fn skip_numbers(&self, highest: u64) {
        self.serial.fetch_max(highest + 1, Ordering::Relaxed);
        self.body.fetch_max(highest + 1, Ordering::Relaxed);
    }

    /// Retains what a store has kept; what has expired meanwhile is
    /// cleared there.
    pub(crate) fn restore_retained(
        &self,
        message: &Message,
        source: Option<Arc<Source>>,
        now: Instant,
    ) {
        let mut retained = self.retained_mut();
        // An empty one is what no broker keeps [MQTT-3.3.1-6], but files say many things.
        if message.is_expired(now) || message.payload().is_empty() {
            let topic = message.topic().into();
            retained.records.push(Record::Cleared(topic));
        } else {
            retained.keep(message, source, now);
        }
    }

    /// What was retained and cleared since the last call, by all workers and in its order. Call
    /// it where the order of turns is settled.
    pub fn take_retained_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.retained_mut().records)
    }

    pub(crate) fn subscriptions(&self) -> RwLockReadGuard<'_, Subscriptions> {
        self.subscriptions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes subscriptions; cached routes are out of date once `change` is through.
    pub(crate) fn change_subscriptions<T>(
        &self,
        change: impl FnOnce(&mut Subscriptions) -> T,
    ) -> T {
        let mut guard = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut guard);
        self.generation.fetch_add(1, Ordering::Release);
        result
    }

    /// Notes what a Session without Subscriptions may have: no route changes by that.
    pub(crate) fn note_reader(&self, session: SessionKey, rights: Option<Arc<Rights>>) {
        let mut guard = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        guard.readers.note(session, rights);
    }

    /// Retained messages of the whole broker.
    pub fn retained_len(&self) -> usize {
        self.retained().len()
    }

    pub(crate) fn retained(&self) -> RwLockReadGuard<'_, Retained> {
        self.retained.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn retained_mut(&self) -> RwLockWriteGuard<'_, Retained> {
        self.retained
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
