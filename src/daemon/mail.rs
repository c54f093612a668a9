//! What reaches a worker from other threads: one locked list, and one wake-up however much comes.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mio::Poll;
use mio::Token;
use mio::Waker;

use crate::broker::Crossing;
use crate::broker::Fetch;
use crate::broker::Parcel;
use crate::broker::durable::record::Kept;
use crate::daemon::listener::Accepted;
use crate::daemon::worker::Worker;

/// The token of a worker's mailbox in its own poll.
pub(crate) const MAILBOX: Token = Token(usize::MAX);

pub(crate) enum Mail {
    /// A connection that this worker is to own, with bytes that were read from it already.
    Adopt { accepted: Accepted, bytes: Vec<u8> },
    /// A publisher of another worker, whose messages all come here.
    Follow {
        accepted: Accepted,
        parcel: Box<Parcel>,
    },
    /// A turn's messages from another worker.
    Crossings(Vec<Crossing>),
    /// The mailbox of this worker has room again.
    Drained(u16),
    /// All turns of this worker up to this one are stored.
    Durable(u64),
    /// What the store has found.
    Fetched(Fetch, Vec<Option<Kept>>),
    /// Do this, in a turn of your own.
    Task(Box<dyn FnOnce(&mut Worker) + Send>),
    /// Say goodbye and end.
    Stop,
}

pub(crate) struct Mailbox {
    /// `None` once the worker has ended: whoever waits for an answer learns it at once.
    mail: Mutex<Option<Vec<Mail>>>,
    waker: Waker,
    awake: AtomicBool,
    /// Bytes of the messages in it.
    pub(crate) bytes: AtomicUsize,
    /// Connections of the worker, for whoever hands out new ones.
    pub(crate) connections: AtomicUsize,
}

impl Mailbox {
    pub(crate) fn new(poll: &Poll) -> std::io::Result<Self> {
        Ok(Self {
            mail: Mutex::new(Some(Vec::new())),
            waker: Waker::new(poll.registry(), MAILBOX)?,
            awake: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        })
    }

    pub(crate) fn post(&self, mail: Mail) {
        match &mut *self.lock() {
            Some(list) => list.push(mail),
            None => return,
        }
        if !self.awake.swap(true, Ordering::AcqRel) {
            // A wake-up can only fail when the poll is gone, and with it the reader.
            let _ = self.waker.wake();
        }
    }

    pub(crate) fn take(&self) -> Vec<Mail> {
        // Before the list is emptied: mail that comes after it wakes us anew.
        self.awake.store(false, Ordering::Release);
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The worker has ended: what waits is dropped, and what comes.
    pub(crate) fn close(&self) {
        let left = self.lock().take();
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Mail>>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
