//! Scripts against the broker's core: no socket, no thread, a clock that a script moves. Every case has a
//! broker to itself, of one worker or of several, which then share clients as they come.

use crate::spec::decode;
use crate::spec::settings::settings;
use crate::spec::settings::verdict;
use crate::spec::wire::Version;
use crate::spec::world::Event;
use crate::spec::world::World;
use mqttx::broker::Broker;
use mqttx::broker::Config;
use mqttx::broker::ConnectionId;
use mqttx::broker::Next;
use mqttx::broker::SLICES_MAX;
use mqttx::broker::Shared;
use mqttx::broker::listener::Listener;
use mqttx::broker::profile::Profile;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// A broker that is still busy after so many rounds of a turn is going round in circles.
const ROUNDS_MAX: usize = 10_000;

/// What the clients send is given to the broker in pieces of this size, up to a total that stays quick.
const PIECES_OF_MAX: usize = 20_000;

pub(crate) struct Core {
    workers: Vec<Broker>,
    piece: usize,
    links: Vec<Link>,
    /// All clients come by one, which has no rules.
    listener: Arc<Listener>,
    now: Instant,
}

/// One client's connection: what it sent and the broker has not taken, what the broker wrote.
struct Link {
    worker: usize,
    id: Option<ConnectionId>,
    sent: Vec<u8>,
    /// The broker has seen `sent` as it is and wants more, or wants it later.
    seen: bool,
    waiting: bool,
    received: Vec<u8>,
}

impl Core {
    /// `piece`: how many bytes the broker is given at a time.
    pub(crate) fn new(workers: u16, piece: usize, wanted: Option<&str>) -> Result<Self, String> {
        let (limits, access) = settings(wanted)?;
        let shared = Arc::new(Shared::new(&limits));
        let now = Instant::now();
        let worker = |worker| {
            let config = Config {
                worker,
                workers,
                limits: limits.clone(),
                profile: Profile::STANDARD,
                access: access.clone(),
                seed: [7; 32],
                sys: false,
                trace: false,
                trace_packets: false,
            };
            Broker::new(config, Arc::clone(&shared), now)
        };
        Ok(Self {
            workers: (0..workers).map(worker).collect(),
            piece,
            links: Vec::new(),
            listener: Arc::default(),
            now,
        })
    }

    /// Lets everybody take, cross over and write until nothing is left to do.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let busy = self.take_in() | self.write_out() | self.carry_out();
            if !busy {
                return Ok(());
            }
        }
        Err("the broker does not come to rest".to_owned())
    }

    fn take_in(&mut self) -> bool {
        let mut busy = false;
        for link in &mut self.links {
            let Some(id) = link.id else { continue };
            if link.seen || link.waiting || link.sent.is_empty() {
                continue;
            }
            busy = true;
            let broker = &mut self.workers[link.worker];
            let receipt = broker.receive(id, &link.sent, self.now);
            link.sent.drain(..receipt.used);
            match receipt.next {
                Next::Read(_) => link.seen = true,
                Next::Wait => link.waiting = true,
                Next::Stop => link.sent.clear(),
                Next::Move(worker) => {
                    broker.closed(id, self.now);
                    link.worker = usize::from(worker);
                    link.id = self.workers[link.worker]
                        .open_on(&self.listener, self.now)
                        .ok();
                }
            }
        }
        busy
    }

    fn write_out(&mut self) -> bool {
        let mut busy = false;
        for worker in 0..self.workers.len() {
            let mut touched = Vec::new();
            self.workers[worker].touched(&mut touched);
            busy |= !touched.is_empty();
            for id in touched {
                self.write(worker, id);
            }
        }
        busy
    }

    /// Takes every byte that waits for a connection.
    fn write(&mut self, worker: usize, id: ConnectionId) {
        let broker = &mut self.workers[worker];
        let Some(link) = self
            .links
            .iter_mut()
            .find(|l| l.worker == worker && l.id == Some(id))
        else {
            return;
        };
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = broker.slices(id, &mut slices);
            if count == 0 {
                return;
            }
            let before = link.received.len();
            for slice in &slices[..count] {
                link.received.extend_from_slice(slice);
            }
            broker.wrote(id, link.received.len() - before, self.now);
        }
    }

    fn carry_out(&mut self) -> bool {
        let mut busy = false;
        for worker in 0..self.workers.len() {
            let effects = self.workers[worker].effects();
            effects.events.clear();
            let closing = std::mem::take(&mut effects.closing);
            let questions = std::mem::take(&mut effects.questions);
            let resumed = std::mem::take(&mut effects.resumed);
            let crossings: Vec<_> = effects.crossings.iter_mut().map(std::mem::take).collect();
            busy |= !closing.is_empty() || !resumed.is_empty() || !questions.is_empty();
            for question in questions {
                let verdict = verdict(&question.asked);
                self.workers[worker].answer(question.connection, &verdict, self.now);
            }
            for id in closing {
                self.write(worker, id);
                self.workers[worker].closed(id, self.now);
                if let Some(link) = self.link(worker, id) {
                    link.id = None;
                }
            }
            for id in resumed {
                if let Some(link) = self.link(worker, id) {
                    (link.waiting, link.seen) = (false, false);
                }
            }
            for (to, batch) in crossings.into_iter().enumerate() {
                busy |= !batch.is_empty();
                for crossing in &batch {
                    self.workers[to].deliver_crossing(crossing, self.now);
                }
            }
        }
        busy
    }

    fn link(&mut self, worker: usize, id: ConnectionId) -> Option<&mut Link> {
        self.links
            .iter_mut()
            .find(|l| l.worker == worker && l.id == Some(id))
    }

    fn tick(&mut self) -> Result<(), String> {
        for broker in &mut self.workers {
            if broker.next_deadline().is_some_and(|at| at <= self.now) {
                broker.tick(self.now);
            }
        }
        self.settle()
    }
}

impl World for Core {
    fn open(&mut self, _version: Version) -> Result<usize, String> {
        let worker = self.links.len() % self.workers.len();
        let id = self.workers[worker].open_on(&self.listener, self.now);
        let id = Some(id.map_err(|_| "the broker takes no connection")?);
        let link = Link {
            worker,
            id,
            sent: Vec::new(),
            seen: true,
            waiting: false,
            received: Vec::new(),
        };
        self.links.push(link);
        Ok(self.links.len() - 1)
    }

    fn send(&mut self, connection: usize, bytes: &[u8]) -> Result<(), String> {
        let piece = if bytes.len() > PIECES_OF_MAX {
            bytes.len()
        } else {
            self.piece
        };
        for part in bytes.chunks(piece.max(1)) {
            let link = &mut self.links[connection];
            link.sent.extend_from_slice(part);
            link.seen = false;
            self.settle()?;
        }
        Ok(())
    }

    fn next(&mut self, connection: usize, patience: Duration) -> Result<Event, String> {
        let link = &mut self.links[connection];
        if let Some(length) = decode::whole(&link.received)? {
            return Ok(Event::Packet(link.received.drain(..length).collect()));
        }
        if link.id.is_some() {
            // A step that waits may wait for the clock: a Keep Alive, an expiry.
            return self.wait(connection, patience);
        }
        if link.received.is_empty() {
            Ok(Event::End)
        } else {
            Err("the end inside a packet".to_owned())
        }
    }

    fn cut(&mut self, connection: usize) -> Result<(), String> {
        let link = &mut self.links[connection];
        link.received.clear();
        if let Some(id) = link.id.take() {
            self.workers[link.worker].closed(id, self.now);
        }
        self.settle()
    }

    fn reset(&mut self, connection: usize) -> Result<(), String> {
        self.cut(connection)
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        while let Some(due) = self.workers.iter().filter_map(Broker::next_deadline).min() {
            if due > until {
                break;
            }
            self.now = due.max(self.now) + Duration::from_millis(1);
            self.tick()?;
        }
        self.now = self.now.max(until);
        self.tick()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn quiet(&self) -> Duration {
        Duration::ZERO
    }

    fn gives_reasons(&self) -> bool {
        true
    }
}

impl Core {
    /// Moves the clock to each deadline in turn until something comes for this connection.
    fn wait(&mut self, connection: usize, patience: Duration) -> Result<Event, String> {
        let until = self.now + patience;
        while let Some(due) = self.workers.iter().filter_map(Broker::next_deadline).min() {
            if due > until {
                break;
            }
            self.now = due.max(self.now) + Duration::from_millis(1);
            self.tick()?;
            let link = &self.links[connection];
            if !link.received.is_empty() || link.id.is_none() {
                return self.next(connection, Duration::ZERO);
            }
        }
        Ok(Event::Quiet)
    }
}
