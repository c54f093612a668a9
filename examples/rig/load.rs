//! The loop that drives cells: one thread, one poll, edge-triggered sockets. It lets publishers run ahead of
//! subscribers by a bounded number of messages (the same for every broker, so that none has to drop), counts between
//! a warm-up and a deadline, stops sending, and waits until everything sent has arrived.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::cell::{Cell, Publisher, READ_MAX};
use crate::process::{Broker, Meter, Used};

/// Nothing arrived for so long: what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(3);
const TIMER: Token = Token(usize::MAX);

/// Who may send when.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Messages a cell may be ahead of its subscribers; refilled when half of them have arrived.
    pub(crate) ahead: u64,
    /// Messages a publisher may have unacknowledged (QoS 1 and 2).
    pub(crate) window: Option<u64>,
    /// Messages a second over all cells, on the clock; latency counts from the moment a message was due.
    pub(crate) offered: Option<u64>,
    pub(crate) until: Until,
}

#[derive(Clone, Copy)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// So many messages a cell, counted from the first to the last.
    Sent(u64),
}

/// What one run gave; counts and times are those between warm-up and deadline.
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) acknowledged: u64,
    pub(crate) used: Used,
    /// The clocks at the end, for who began to count before the loop did.
    pub(crate) end: Meter,
    pub(crate) rss: u64,
    pub(crate) paced: bool,
    /// Over the whole run; negative when more arrived than was due.
    pub(crate) lost: i64,
    pub(crate) latency: Histogram<u64>,
}

struct Snapshot {
    meter: Meter,
    delivered: u64,
    acknowledged: u64,
}

/// Which socket a token stands for.
#[derive(Clone, Copy)]
struct Seat {
    cell: usize,
    publishes: bool,
    at: usize,
}

struct Run<'a> {
    poll: Poll,
    seats: Vec<Seat>,
    cells: &'a mut [Cell],
    pace: Pace,
    start: Instant,
    /// Sockets that may hold unread bytes.
    unread: Vec<usize>,
    /// Cells in which something happened since they last sent.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
    sending: bool,
    timed: bool,
    latency: Histogram<u64>,
}

/// Runs `cells` against `broker` and closes nothing: the caller may look at the broker before it drops them.
pub(crate) fn run(broker: &Broker, cells: &mut [Cell], pace: Pace) -> Result<Tally> {
    let mut run = Run::new(cells, pace)?;
    let mut events = Events::with_capacity(2048);
    let (warm, limit) = match pace.until {
        Until::Elapsed(span) => (span / 5, Some(span + span / 5)),
        Until::Sent(_) => (Duration::ZERO, None),
    };
    let timer = run.timer()?;
    let mut begin = run.snapshot(broker);
    run.start = begin.meter.at;
    let (mut warming, mut end) = (!warm.is_zero(), None);
    let (mut progress, mut look) = ((0, run.start), run.start);
    run.dirty = (0..run.cells.len()).collect();
    loop {
        run.turn(&mut events, timer.as_ref())?;
        let now = Instant::now();
        let since = now - run.start;
        if warming && since >= warm {
            warming = false;
            run.latency.reset();
            begin = run.snapshot(broker);
        }
        if run.sending && limit.is_some_and(|limit| since >= limit) {
            run.sending = false;
            end = Some((run.snapshot(broker), broker.rss()));
        }
        if now >= look {
            look = now + PATIENCE / 30;
            if run.arrived() != progress.0 {
                progress = (run.arrived(), now);
            }
        }
        if now - progress.1 > PATIENCE || run.is_done() {
            let (end, rss) = end.unwrap_or_else(|| (run.snapshot(broker), broker.rss()));
            return run.tally(&begin, end, rss);
        }
    }
}

impl<'a> Run<'a> {
    fn new(cells: &'a mut [Cell], pace: Pace) -> Result<Self> {
        let poll = Poll::new()?;
        let mut seats = Vec::new();
        let both = Interest::READABLE | Interest::WRITABLE;
        for (number, cell) in cells.iter_mut().enumerate() {
            for (at, one) in cell.publishers.iter_mut().enumerate() {
                poll.registry()
                    .register(&mut one.link.stream, Token(seats.len()), both)?;
                seats.push(Seat {
                    cell: number,
                    publishes: true,
                    at,
                });
            }
            for (at, one) in cell.subscribers.iter_mut().enumerate() {
                poll.registry()
                    .register(&mut one.link.stream, Token(seats.len()), both)?;
                seats.push(Seat {
                    cell: number,
                    publishes: false,
                    at,
                });
            }
        }
        let timed = pace.offered.is_some() || pace.ahead == 1;
        Ok(Self {
            poll,
            seats,
            cells,
            pace,
            start: Instant::now(),
            unread: Vec::new(),
            dirty: Vec::new(),
            buffer: vec![0; READ_MAX],
            sending: true,
            timed,
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        })
    }

    /// Takes in all that is ready, then lets every touched cell send.
    fn turn(&mut self, events: &mut Events, timer: Option<&rustix::fd::OwnedFd>) -> Result<()> {
        let wait = if self.unread.is_empty() {
            Duration::from_millis(100)
        } else {
            Duration::ZERO
        };
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(error.into());
            }
            _ => {}
        }
        for event in events.iter() {
            if event.token() == TIMER {
                if let Some(timer) = timer {
                    // How often it fired does not matter: the clock says what is due.
                    let _ = rustix::io::read(timer, &mut [0; 8]);
                }
                self.mark_all();
                continue;
            }
            self.ready(event.token().0, event.is_readable(), event.is_writable())?;
        }
        let mut unread = std::mem::take(&mut self.unread);
        let mut failed = None;
        unread.retain(|&token| match self.read(token) {
            Ok(empty) => !empty,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        self.unread = unread;
        if let Some(error) = failed {
            return Err(error);
        }
        while let Some(cell) = self.dirty.pop() {
            self.cells[cell].dirty = false;
            self.feed(cell)?;
        }
        Ok(())
    }

    fn ready(&mut self, token: usize, readable: bool, writable: bool) -> Result<()> {
        let seat = self.seats[token];
        let cell = &mut self.cells[seat.cell];
        let link = if seat.publishes {
            &mut cell.publishers[seat.at].link
        } else {
            &mut cell.subscribers[seat.at].link
        };
        if readable && !link.queued {
            link.queued = true;
            self.unread.push(token);
        }
        if writable && !link.writable {
            link.writable = true;
            if seat.publishes {
                cell.publishers[seat.at].flush()?;
            } else {
                cell.subscribers[seat.at].flush()?;
            }
        }
        Ok(())
    }

    fn read(&mut self, token: usize) -> Result<bool> {
        let seat = self.seats[token];
        let cell = &mut self.cells[seat.cell];
        let was_dirty = cell.dirty;
        let empty = if seat.publishes {
            let empty = cell.read_publisher(seat.at, &mut self.buffer)?;
            cell.publishers[seat.at].link.queued = !empty;
            empty
        } else {
            let (fresh, empty) = cell.read_subscriber(seat.at, &mut self.buffer)?;
            cell.subscribers[seat.at].link.queued = !empty;
            if self.timed && fresh > 0 {
                self.note(seat.cell, fresh);
            }
            empty
        };
        if self.cells[seat.cell].dirty && !was_dirty {
            self.dirty.push(seat.cell);
        }
        Ok(empty)
    }

    /// Latency of the `fresh` messages that have just arrived: since they were sent, or since they were due.
    fn note(&mut self, number: usize, fresh: u64) {
        let now = Instant::now();
        let cells = self.cells.len() as u64;
        let cell = &self.cells[number];
        let Some(offered) = self.pace.offered else {
            if let Some(sent_at) = cell.sent_at {
                self.latency
                    .saturating_record((now - sent_at).as_nanos() as u64);
            }
            return;
        };
        for at in cell.received - fresh..cell.received {
            let due = Duration::from_nanos((at * cells + number as u64) * 1_000_000_000 / offered);
            let late = now.saturating_duration_since(self.start + due);
            self.latency.saturating_record(late.as_nanos() as u64);
        }
    }

    /// Lets a cell send what its pace allows, and publishers finish what they have begun.
    fn feed(&mut self, number: usize) -> Result<()> {
        let cells = self.cells.len() as u64;
        let cell = &mut self.cells[number];
        let on_the_way = cell.sent.saturating_sub(cell.settled());
        let mut room = self.pace.ahead.saturating_sub(on_the_way);
        if let Some(offered) = self.pace.offered {
            let due = self.start.elapsed().as_nanos() as u64 * offered / 1_000_000_000;
            room = room.min(
                (due / cells + u64::from(number as u64 <= due % cells)).saturating_sub(cell.sent),
            );
        }
        if let Until::Sent(count) = self.pace.until {
            room = room.min(count.saturating_sub(cell.sent));
        }
        if !self.sending {
            room = 0;
        }
        if let Some(window) = self.pace.window {
            for at in 0..cell.publishers.len() {
                let one = &cell.publishers[at];
                let count = window.saturating_sub(one.sent - one.acknowledged).min(room);
                room -= count;
                cell.send_from(at, count)?;
            }
            return Ok(());
        }
        let refill = self.pace.offered.is_some() || on_the_way <= self.pace.ahead / 2;
        if room > 0 && refill {
            if self.pace.ahead == 1 {
                cell.sent_at = Some(Instant::now());
            }
            cell.send(room)?;
        }
        Ok(())
    }

    fn mark_all(&mut self) {
        for (number, cell) in self.cells.iter_mut().enumerate() {
            if !cell.dirty {
                cell.dirty = true;
                self.dirty.push(number);
            }
        }
    }

    /// The clock of an offered load: it fires once a message, to the microsecond.
    fn timer(&self) -> Result<Option<rustix::fd::OwnedFd>> {
        use std::os::fd::AsRawFd;
        let Some(offered) = self.pace.offered else {
            return Ok(None);
        };
        let timer =
            rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let nanos = i64::try_from(1_000_000_000 / offered)?;
        let beat = Timespec {
            tv_sec: 0,
            tv_nsec: nanos,
        };
        let times = Itimerspec {
            it_interval: beat,
            it_value: beat,
        };
        rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
        self.poll.registry().register(
            &mut SourceFd(&timer.as_raw_fd()),
            TIMER,
            Interest::READABLE,
        )?;
        Ok(Some(timer))
    }

    fn arrived(&self) -> u64 {
        self.cells.iter().map(|cell| cell.received).sum::<u64>() + self.acknowledged()
    }

    fn acknowledged(&self) -> u64 {
        let publishers = self.cells.iter().flat_map(|cell| &cell.publishers);
        publishers.map(|one: &Publisher| one.acknowledged).sum()
    }

    fn is_done(&self) -> bool {
        let all_sent = match self.pace.until {
            Until::Elapsed(_) => !self.sending,
            Until::Sent(count) => self.cells.iter().all(|cell| cell.sent == count),
        };
        let answered = |cell: &Cell| {
            self.pace.window.is_none()
                || cell
                    .publishers
                    .iter()
                    .all(|one| one.sent == one.acknowledged)
        };
        all_sent
            && self.cells.iter().all(|cell| {
                (cell.subscribers.is_empty() || cell.received >= cell.owed()) && answered(cell)
            })
    }

    fn snapshot(&self, broker: &Broker) -> Snapshot {
        Snapshot {
            meter: Meter::read(broker),
            delivered: self.cells.iter().map(|cell| cell.received).sum(),
            acknowledged: self.acknowledged(),
        }
    }

    fn tally(self, begin: &Snapshot, end: Snapshot, rss: u64) -> Result<Tally> {
        let owes = |cell: &&Cell| !cell.subscribers.is_empty();
        let owed: u64 = self.cells.iter().filter(owes).map(Cell::owed).sum();
        let got: u64 = self.cells.iter().map(|cell| cell.received).sum();
        let lost = i64::try_from(owed)? - i64::try_from(got)?;
        if lost == 0 && !self.cells.iter().all(Cell::ends_whole) {
            bail!("the last message is incomplete");
        }
        Ok(Tally {
            paced: self.pace.offered.is_some(),
            delivered: end.delivered - begin.delivered,
            acknowledged: end.acknowledged - begin.acknowledged,
            used: begin.meter.until(&end.meter),
            end: end.meter,
            rss,
            lost,
            latency: self.latency,
        })
    }
}
