//! One connection, moved by one task: feed, write, read, and the deadlines between them.
//!
//! ```text
//!            ┌────────── feed while there is room ◄─┐
//!            ▼                                      │
//!  Handler ◄─── Engine ──► write (64 KiB at most) ──┤ until none of them
//!            ▲                                      │ can move: sleep
//!            └────────── read (64 KiB at most)  ◄───┘
//! ```
//!
//! Reading never waits for writing, so two peers that both write cannot block each other. What has
//! to be collected leaves as one write. Read and write buffers are borrowed from the thread while
//! there is traffic: an idle connection has none.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread::LocalKey;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use crate::client::end::End;
use crate::client::engine::{BATCH, Engine, Stop};
use crate::client::handler::{Feed, Handler};
use crate::mqtt::frame::{Scan, scan};
use crate::mqtt::property::Properties;
use crate::mqtt::{Reason, Violation};
use crate::net::Stream;

/// How long the last words may take: the peer's own close, or PUBRELs still owed to us.
const PARTING: Duration = Duration::from_secs(1);

/// The same where the time that was given is over already.
const HURRIED_PARTING: Duration = Duration::from_millis(100);

/// Buffers kept for the next connection of this thread that needs one.
const SPARE_MAX: usize = 8;

/// A read buffer that had to grow above this is not kept.
const KEPT_BUFFER_MAX: usize = 4 * BATCH;

/// Runs `engine` over `stream` to its end.
pub(crate) async fn run<H: Handler>(engine: &mut Engine, stream: Stream, handler: &mut H) -> End {
    let now = Instant::now();
    let mut pump = Pump {
        engine,
        handler,
        stream,
        input: Input::default(),
        last_write: now,
        is_flushed: true,
        stalled_since: None,
        opened: now,
        ping_sent: now,
        pings: 0,
        draining_since: None,
        feed_at: None,
        timer: None,
    };
    pump.engine.open(pump.handler);
    let end = poll_fn(|cx| pump.poll(cx)).await;
    Box::pin(pump.part(end)).await
}

struct Pump<'a, H> {
    engine: &'a mut Engine,
    handler: &'a mut H,
    stream: Stream,
    input: Input,
    opened: Instant,
    /// Keep alive is measured from here (§3.1.2.10).
    last_write: Instant,
    is_flushed: bool,
    /// Since when the peer takes nothing although there is something.
    stalled_since: Option<Instant>,
    /// When the last PINGREQ was seen to leave, and how many had left by then.
    ping_sent: Instant,
    pings: u64,
    /// Since when only PUBRELs are awaited.
    draining_since: Option<Instant>,
    feed_at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<H: Handler> Pump<'_, H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.handler.wake(self.engine, cx);
        self.engine.tell_sent(self.handler);
        loop {
            let has_fed = self.feed(cx);
            let has_written = match self.write(cx) {
                Ok(has_written) => has_written,
                Err(end) => return Poll::Ready(end),
            };
            if self.is_over() {
                return Poll::Ready(End::Finished);
            }
            let has_read = match self.read(cx) {
                Ok(has_read) => has_read,
                Err(end) => return Poll::Ready(end),
            };
            if has_fed || has_written || has_read {
                continue;
            }
            match self.poll_deadlines(cx) {
                Ok(true) => {}
                Ok(false) => {
                    self.input.rest();
                    self.rest_out();
                    return Poll::Pending;
                }
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    /// Lets the handler publish while there is room; true when it did.
    fn feed(&mut self, cx: &mut Context<'_>) -> bool {
        self.feed_at = None;
        if !self.engine.room() {
            return false;
        }
        if self.engine.out_capacity() == 0
            && let Some(mut buffer) = OUTPUTS.with_borrow_mut(Vec::pop)
        {
            self.engine.swap_out(&mut buffer);
        }
        let mut has_fed = false;
        while self.engine.room() {
            if self.engine.pour() {
                has_fed = true;
                break;
            }
            match self.handler.feed(self.engine, cx) {
                Feed::More => has_fed = true,
                Feed::Idle => break,
                Feed::At(time) => {
                    self.feed_at = Some(time);
                    break;
                }
                Feed::End => {
                    self.engine.finish();
                    has_fed = true;
                }
            }
        }
        self.engine.tell_sent(self.handler);
        has_fed
    }

    /// Writes what there is; true when all of it went.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.engine.is_drained() && (self.engine.is_released() || self.has_waited_enough()) {
            self.engine
                .disconnect(Reason::NORMAL_DISCONNECTION, Properties::EMPTY);
            self.engine.tell_sent(self.handler);
        }
        let mut has_written = false;
        while !self.engine.pending().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.engine.pending()) {
                Poll::Ready(Ok(0)) => return Err(self.ended()),
                Poll::Ready(Ok(count)) => {
                    self.engine.wrote(count);
                    has_written = true;
                }
                Poll::Ready(Err(error)) => return Err(self.failed(error)),
                Poll::Pending => break,
            }
        }
        if has_written {
            self.is_flushed = false;
            self.stalled_since = None;
            self.last_write = Instant::now();
        }
        // A transport with a buffer of its own must be told that this was all for now.
        if !self.is_flushed && self.engine.pending().is_empty() {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.is_flushed = true;
                    self.stalled_since = None;
                }
                Poll::Ready(Err(error)) => return Err(self.failed(error)),
                Poll::Pending => {}
            }
        }
        let is_stalled = !self.is_flushed || !self.engine.pending().is_empty();
        if is_stalled && self.stalled_since.is_none() {
            self.stalled_since = Some(Instant::now());
        }
        Ok(has_written && !is_stalled)
    }

    /// Nothing to write for now: a large buffer goes back.
    fn rest_out(&mut self) {
        if self.engine.out_capacity() >= BATCH / 16 && self.engine.pending().is_empty() {
            let mut buffer = Vec::new();
            self.engine.swap_out(&mut buffer);
            if buffer.capacity() <= KEPT_BUFFER_MAX {
                keep(&OUTPUTS, buffer);
            }
        }
    }

    fn failed(&self, error: std::io::Error) -> End {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::UnexpectedEof => self.ended(),
            _ => End::Io(error),
        }
    }

    /// The broker is gone.
    fn ended(&self) -> End {
        match self.engine.is_connecting() {
            true if self.is_foreign() => End::Foreign,
            true => End::Unanswered,
            false => End::Lost,
        }
    }

    /// Everything was said and written, DISCONNECT last.
    fn is_over(&self) -> bool {
        self.engine.has_left() && self.engine.pending().is_empty() && self.is_flushed
    }

    /// Reads once and handles every whole packet; true when something came.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.engine.is_choked() {
            return Ok(false);
        }
        let count = match self.input.poll_fill(cx, &mut self.stream) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(self.ended()),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Err(self.failed(error)),
        };
        let size_max = self.engine.options().packet_size_max;
        let mut at = self.input.start;
        let end = self.input.end;
        // After a wish to leave nothing more is handled: `sub -C 1` shows one message.
        while !self.engine.has_left() {
            let held = &self.input.bytes[at..end];
            let head = match scan(held, size_max) {
                Ok(Scan::Head(head)) => head,
                Ok(Scan::More) => {
                    self.input.wanted = 0;
                    break;
                }
                Err(violation) => return Err(self.violation(violation)),
            };
            let Some(frame) = held.get(..head.total()) else {
                self.input.wanted = head.total();
                break;
            };
            if let Err(stop) = self.engine.handle(head, frame, self.handler) {
                return Err(self.stop(stop));
            }
            at += head.total();
        }
        self.input.start = at;
        Ok(count > 0)
    }

    fn stop(&mut self, stop: Stop) -> End {
        self.engine.tell_sent(self.handler);
        match stop {
            Stop::Refused { reason, properties } => End::Refused {
                version: self.engine.options().version,
                reason,
                properties,
            },
            Stop::Disconnected { reason, properties } => End::Disconnected { reason, properties },
            Stop::Violation(violation) => self.violation(violation),
        }
    }

    /// A v5 broker is told what it did wrong [MQTT-4.13.1-1].
    fn violation(&mut self, violation: Violation) -> End {
        let is_up = !self.engine.is_connecting();
        if self.engine.options().version.is_v5() && is_up {
            self.engine.disconnect(violation.reason, Properties::EMPTY);
            self.engine.tell_sent(self.handler);
        }
        match self.is_foreign() {
            true => End::Foreign,
            false => End::Violation(violation),
        }
    }

    /// Whoever answers CONNECT like this is no broker.
    fn is_foreign(&self) -> bool {
        let came = &self.input.bytes[self.input.start..self.input.end];
        let is_up = !self.engine.is_connecting();
        !is_up && FOREIGN.iter().any(|beginning| came.starts_with(beginning))
    }

    fn has_waited_enough(&mut self) -> bool {
        let since = *self.draining_since.get_or_insert_with(Instant::now);
        since.elapsed() >= PARTING
    }

    /// Looks at the clock, which is all that is left to do; true when that set something going.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let now = Instant::now();
        let options = self.engine.options();
        let mut next = self.feed_at;
        let mut earliest = |time: Instant| next = Some(next.map_or(time, |next| next.min(time)));
        if let Some(since) = self.stalled_since {
            let due = since + options.write_timeout;
            if now >= due {
                return Err(End::WriteTimeout);
            }
            earliest(due);
        }
        if self.engine.is_connecting() {
            let due = self.opened + options.connack_timeout;
            if now >= due {
                return Err(End::ConnackTimeout);
            }
            earliest(due);
        }
        if let Some(since) = self.draining_since {
            if now >= since + PARTING && !self.engine.has_left() {
                return Ok(true);
            }
            earliest(since + PARTING);
        }
        let keep_alive = Duration::from_secs(u64::from(self.engine.keep_alive()));
        if !keep_alive.is_zero() && !self.engine.is_connecting() {
            if self.engine.is_ping_open() {
                // The handler may have asked for one.
                if self.pings != self.engine.pings() {
                    (self.pings, self.ping_sent) = (self.engine.pings(), now);
                }
                let due = self.ping_sent + keep_alive;
                if now >= due {
                    return Err(End::KeepAliveTimeout);
                }
                earliest(due);
            } else {
                let due = self.last_write + keep_alive;
                if now >= due {
                    self.engine.ping();
                    self.engine.tell_sent(self.handler);
                    return Ok(true);
                }
                earliest(due);
            }
        }
        match next {
            Some(time) => Ok(self.sleep_until(time, cx)),
            None => Ok(false),
        }
    }

    /// True when `time` has come. The timer is left alone when it fires before: deadlines mostly
    /// move away, and looking at the clock once too often is cheaper than moving the timer.
    fn sleep_until(&mut self, time: Instant, cx: &mut Context<'_>) -> bool {
        let time = tokio::time::Instant::from_std(time);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(time)));
        if timer.deadline() > time || timer.is_elapsed() {
            timer.as_mut().reset(time);
        }
        timer.as_mut().poll(cx).is_ready()
    }

    /// The last words: what is still to be written (DISCONNECT, if we say it), then our half is
    /// closed, then the peer's half is read to its end, so that no reset can eat what was sent.
    async fn part(mut self, end: End) -> End {
        self.input.give_back();
        if self.engine.has_left() {
            let limit = match self.engine.is_hurried() {
                true => HURRIED_PARTING,
                false => PARTING,
            };
            let farewell = async {
                self.stream.write_all(self.engine.pending()).await?;
                self.engine.wrote(self.engine.pending().len());
                self.stream.flush().await?;
                self.stream.shutdown().await?;
                let mut rest = vec![0; 1024];
                while self.stream.read(&mut rest).await? > 0 {}
                std::io::Result::Ok(())
            };
            // A peer that is gone already has read what it wanted to.
            let _ = tokio::time::timeout(limit, farewell).await;
        }
        self.engine.closed();
        end
    }
}

/// How the answers of others begin: an alert of TLS (RFC 8446, §5.1), HTTP. A CONNACK does not.
const FOREIGN: [&[u8]; 2] = [&[21, 3], b"HTTP"];

/// Bytes read and not handled yet: `bytes[start..end]`.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The size of the packet that has begun to arrive, once it is known.
    wanted: usize,
}

impl Input {
    /// Reads once, into a buffer that grows with what has really come, not with what a packet's
    /// head promises.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<std::io::Result<usize>> {
        let held = self.end - self.start;
        if self.bytes.len() < BATCH {
            let mut larger = INPUTS
                .with_borrow_mut(Vec::pop)
                .unwrap_or_else(|| vec![0; BATCH]);
            larger[..held].copy_from_slice(&self.bytes[self.start..self.end]);
            self.bytes = larger;
            (self.start, self.end) = (0, held);
        } else if self.start > 0 && (held == 0 || self.bytes.len() - self.end < BATCH / 2) {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        if self.end == self.bytes.len() {
            let size = self
                .wanted
                .min(2 * self.bytes.len())
                .max(self.bytes.len() + BATCH);
            self.bytes.resize(size, 0);
        }
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        match pin!(stream).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) => {
                let count = room.filled().len();
                self.end += count;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Nothing to read for now: a large buffer goes back, the beginning of a packet stays.
    fn rest(&mut self) {
        let held = self.end - self.start;
        if held == 0 {
            self.give_back();
        } else if held < BATCH / 16 && self.wanted < BATCH {
            let rest = self.bytes[self.start..self.end].to_vec();
            self.give_back();
            self.bytes = rest;
            self.end = held;
        }
    }

    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        (self.start, self.end) = (0, 0);
        if (BATCH..=KEPT_BUFFER_MAX).contains(&bytes.len()) {
            keep(&INPUTS, bytes);
        }
    }
}

thread_local! {
    /// Read buffers of connections at rest, all of their length in use.
    static INPUTS: Spare = const { RefCell::new(Vec::new()) };
    /// Write buffers of connections at rest, emptied.
    static OUTPUTS: Spare = const { RefCell::new(Vec::new()) };
}

type Spare = RefCell<Vec<Vec<u8>>>;

fn keep(spare: &'static LocalKey<Spare>, buffer: Vec<u8>) {
    spare.with_borrow_mut(|spare| {
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    });
}
