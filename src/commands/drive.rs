//! A session together with what may end it from outside: a time limit, SIGINT, SIGTERM.
//!
//! A wish that comes while the connection stands is left where the handler finds it when it is woken,
//! so that it can part properly; without a connection the session is simply dropped.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::cli::error::{Error, Kind};
use crate::client::{End, Engine, Handler, Session};
use crate::commands::connect;

/// Who wants an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Timeout,
    Signal,
}

/// What the driver and the handler tell each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    ask: Rc<Cell<Option<Ask>>>,
    is_up: Rc<Cell<bool>>,
}

impl Wishes {
    pub(crate) fn ask(&self) -> Option<Ask> {
        self.ask.get()
    }

    /// An end is wished for and there is a connection to end. Before CONNACK nothing may be said
    /// any more; the driver just closes. Who was given a time does not wait long for the broker.
    pub(crate) fn is_parting_due(&self, client: &mut Engine) -> bool {
        if self.ask.get() == Some(Ask::Timeout) {
            client.hurry();
        }
        self.ask.get().is_some() && self.is_up.get()
    }

    /// Told by the handler: CONNACK came, or the connection went.
    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.set(is_up);
    }
}

/// Where wishes come from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    timeout: Option<Pin<Box<Sleep>>>,
    signals: Option<Signals>,
}

impl Sources {
    /// Must be called inside the runtime.
    pub(crate) fn new(timeout: Option<u32>, with_signals: bool) -> io::Result<Self> {
        let limit = timeout.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Self {
            timeout: limit.map(|limit| Box::pin(tokio::time::sleep(limit))),
            signals: if with_signals {
                Some(Signals::new()?)
            } else {
                None
            },
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Ask> {
        if let Some(timeout) = &mut self.timeout
            && timeout.as_mut().poll(cx).is_ready()
        {
            return Some(Ask::Timeout);
        }
        let signalled = self
            .signals
            .as_mut()
            .is_some_and(|signals| signals.poll(cx));
        signalled.then_some(Ask::Signal)
    }
}

/// Runs the session to its end; none when it was dropped for want of a connection.
pub(crate) async fn drive<H: Handler>(
    session: &mut Session,
    handler: &mut H,
    wishes: &Wishes,
    mut sources: Sources,
) -> Option<End> {
    let mut run = pin!(session.run(handler));
    std::future::poll_fn(|cx| {
        if wishes.ask.get().is_none() {
            wishes.ask.set(sources.poll(cx));
        }
        if let Poll::Ready(end) = run.as_mut().poll(cx) {
            return Poll::Ready(Some(end));
        }
        if wishes.ask.get().is_some() && !wishes.is_up.get() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// The same on a runtime of its own, until these many seconds are over or a signal comes.
pub(crate) fn drive_alone<H: Handler>(
    session: &mut Session,
    handler: &mut H,
    wishes: &Wishes,
    timeout: Option<u32>,
) -> Result<Option<End>, Error> {
    connect::runtime()?.block_on(async {
        let sources = Sources::new(timeout, true)
            .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        Ok(drive(session, handler, wishes, sources).await)
    })
}

#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// One of them came.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let interrupted = self.interrupt.poll_recv(cx).is_ready();
        let terminated = self.terminate.poll_recv(cx).is_ready();
        interrupted || terminated
    }
}

#[cfg(windows)]
#[derive(Debug)]
pub(crate) struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        self.0.poll_recv(cx).is_ready()
    }
}
