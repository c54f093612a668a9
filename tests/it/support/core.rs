//! The broker's core without sockets: several workers, clients whose links are byte queues, and a
//! clock that only the test moves.
//!
//! A [`Core`] does what the process does, through the same public door: hands bytes in, carries
//! crossings from worker to worker, takes bytes out, closes what is to be closed. A link can be
//! stalled (its client reads nothing), crossings can be held back, and a link can be cut with
//! whatever was on its way.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mqttx::broker::access::{Access, Revoked, Whom};
use mqttx::broker::limits::Limits;
use mqttx::broker::listener::{Listener, ListenerRules};
use mqttx::broker::profile::Profile;
use mqttx::broker::{
    Broker, Cause, Config, ConnectionId, Crossing, Event, Next, Parcel, SLICES_MAX, Shared, Stats,
};
use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::{Packet, PacketType, Reason, Version};

use crate::support::keeper::Keeper;
use crate::support::packets::{self, Hello};
use crate::support::teller::Teller;

/// A broker that is still busy after so many rounds goes round in circles.
const ROUNDS_MAX: usize = 100_000;

/// Names a link of a [`Core`]; links are never used again.
pub(crate) type LinkId = usize;

pub(crate) struct Core {
    pub(crate) workers: Vec<Broker>,
    pub(crate) now: Instant,
    /// Crossings wait until [`Core::deliver_crossings`] is called.
    pub(crate) crossings_held: bool,
    pub(crate) events: Vec<Event>,
    /// Whose rules the links follow that are opened from now on.
    pub(crate) listener: Arc<Listener>,
    /// Keeps what survives a restart, where there is one.
    pub(crate) keeper: Option<Keeper>,
    limits: Limits,
    access: Access,
    /// What the broker takes in, in that order, where somebody wants to know.
    pub(crate) taken: Option<Vec<(LinkId, Vec<u8>)>>,
    /// Hears of everything that happens, where somebody wants to read it.
    pub(crate) teller: Option<Teller>,
    links: Vec<Link>,
    crossings: VecDeque<(usize, Carried)>,
}

/// What is on its way to a worker, in the order of its mailbox.
enum Carried {
    Batch(Vec<Crossing>),
    Publisher(LinkId, Box<Parcel>),
    /// A connection whose Session is there.
    Newcomer(LinkId),
}

struct Link {
    at: Option<(usize, ConnectionId)>,
    listener: Arc<Listener>,
    proven: Option<Arc<str>>,
    version: Version,
    /// From the client, not taken by the broker yet.
    sent: Vec<u8>,
    /// There is something new in `sent`, or the broker said that it reads again.
    fresh: bool,
    waiting: bool,
    /// Bytes the client's side still takes; `None` takes all.
    room: Option<usize>,
    received: Vec<u8>,
    cause: Option<Cause>,
}

impl Core {
    /// A broker of so many workers, with these limits.
    pub(crate) fn new(workers: u16, limits: Limits) -> Self {
        let access = Access {
            anonymous: true,
            ..Access::default()
        };
        Self::with_access(workers, limits, &access)
    }

    /// The same with other rules about who may do what.
    pub(crate) fn with_access(workers: u16, limits: Limits, access: &Access) -> Self {
        let now = Instant::now();
        Self {
            workers: brokers(workers, &limits, access, now).1,
            now,
            crossings_held: false,
            events: Vec::new(),
            listener: Arc::default(),
            keeper: None,
            limits,
            access: access.clone(),
            taken: None,
            teller: None,
            links: Vec::new(),
            crossings: VecDeque::new(),
        }
    }

    /// The same with a store.
    pub(crate) fn kept(workers: u16, limits: Limits) -> Self {
        let mut core = Self::new(workers, limits);
        core.keep();
        core
    }

    /// From now on there is a store.
    pub(crate) fn keep(&mut self) {
        self.keeper = Some(Keeper::default());
        self.restart(self.workers.len() as u16);
    }

    /// The process dies and comes back with so many workers: all connections are gone, and what
    /// the store has not taken yet.
    pub(crate) fn restart(&mut self, workers: u16) {
        let (shared, mut brokers) = brokers(workers, &self.limits, &self.access, self.now);
        self.crossings.clear();
        for link in &mut self.links {
            link.at = None;
            link.sent.clear();
        }
        self.tell(&format!("the broker restarts with {workers} workers"));
        let keeper = self.keeper.as_mut().expect("a store");
        keeper.restore(&shared, &mut brokers, self.now);
        self.workers = brokers;
        self.advance(Duration::ZERO);
        self.settle();
    }

    /// A Network Connection, nothing said on it; `None` when it is refused.
    pub(crate) fn open(&mut self, worker: usize, version: Version) -> Option<LinkId> {
        let listener = Arc::clone(&self.listener);
        let id = self.workers[worker].open_on(&listener, self.now).ok()?;
        self.links.push(Link {
            at: Some((worker, id)),
            listener,
            proven: None,
            version,
            sent: Vec::new(),
            fresh: false,
            waiting: false,
            room: None,
            received: Vec::new(),
            cause: None,
        });
        Some(self.links.len() - 1)
    }

    /// Links that are opened from now on come by a listener with these rules.
    pub(crate) fn listen(&mut self, rules: ListenerRules) {
        self.listener = Arc::new(Listener::new(rules));
    }

    /// A certificate tells who is at the other end of a link.
    pub(crate) fn prove(&mut self, link: LinkId, user_name: &str) {
        let proven: Arc<str> = user_name.into();
        if let Some((worker, id)) = self.links[link].at {
            self.workers[worker].prove(id, Arc::clone(&proven));
        }
        self.links[link].proven = Some(proven);
    }

    /// A Network Connection with this CONNECT on it.
    pub(crate) fn connect(&mut self, worker: usize, hello: &Hello) -> LinkId {
        let link = self.open(worker, hello.version).expect("there is room");
        self.send(link, &hello.bytes());
        link
    }

    /// A client that is connected to a new Session.
    #[track_caller]
    pub(crate) fn join(&mut self, worker: usize, hello: &Hello) -> LinkId {
        let link = self.connect(worker, hello);
        let answer = self.take(link);
        assert!(
            matches!(&answer[..], [connack] if connack.starts_with("CONNACK Success")),
            "{answer:?}"
        );
        link
    }

    /// Subscribes at the start of a Session; the answer must be a grant.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, link: LinkId, filter: &str, qos: u8) {
        let version = self.links[link].version;
        self.send(link, &packets::subscribe(version, 1, filter, qos, &[]));
        let answer = self.take(link);
        assert!(
            answer
                .first()
                .is_some_and(|suback| suback.starts_with(&format!("SUBACK #1 [{qos}]"))),
            "{answer:?}"
        );
    }

    /// Hands bytes to the broker and lets everything happen that follows at once.
    pub(crate) fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.links[link].sent.extend_from_slice(bytes);
        self.links[link].fresh = true;
        self.settle();
    }

    /// A PUBLISH; zero is no Packet Identifier.
    pub(crate) fn publish(&mut self, link: LinkId, topic: &str, payload: &str, qos: u8, id: u16) {
        let version = self.links[link].version;
        self.send(
            link,
            &packets::publish(version, topic, payload, qos, id, &[]),
        );
    }

    /// An acknowledgement of any kind.
    pub(crate) fn ack(&mut self, link: LinkId, kind: PacketType, id: u16) {
        self.send(link, &packets::ack(kind, id));
    }

    /// The packets the client has got since it was last asked, in words.
    pub(crate) fn take(&mut self, link: LinkId) -> Vec<String> {
        let version = self.links[link].version;
        let frames = self.take_frames(link);
        let decode = |frame: &Vec<u8>| packets::render(&Packet::decode(frame, version).unwrap());
        frames.iter().map(decode).collect()
    }

    /// The same as bytes.
    pub(crate) fn take_frames(&mut self, link: LinkId) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let received = &mut self.links[link].received;
        while let Scan::Head(head) = scan(received, PACKET_SIZE_MAX).unwrap() {
            if received.len() < head.total() {
                break;
            }
            let rest = received.split_off(head.total());
            frames.push(std::mem::replace(received, rest));
        }
        self.tell_packets("got", link, &frames.concat());
        frames
    }

    /// New rules, at every worker.
    pub(crate) fn set_access(&mut self, access: &Access, revoked: &Revoked) {
        for worker in &mut self.workers {
            worker.set_access(access.clone(), revoked, self.now);
        }
        self.settle();
    }

    /// An administrator sends clients away; how many there were.
    pub(crate) fn disconnect(&mut self, whom: Whom<'_>) -> usize {
        let (reason, why) = (Reason::ADMINISTRATIVE_ACTION, "asked to");
        let now = self.now;
        let workers = self.workers.iter_mut();
        let gone = workers.map(|worker| worker.disconnect(whom, reason, why, now));
        let gone = gone.sum();
        self.settle();
        gone
    }

    /// From now on the client takes `room` bytes and no more; `None` takes all again.
    pub(crate) fn set_room(&mut self, link: LinkId, room: Option<usize>) {
        self.links[link].room = room;
        if let Some((worker, id)) = self.links[link].at {
            self.write(worker, id);
            self.settle();
        }
    }

    /// The network fails: whatever is on its way is lost.
    pub(crate) fn cut(&mut self, link: LinkId) {
        self.links[link].sent.clear();
        self.links[link].received.clear();
        self.tell(&format!("link {link} is cut"));
        if let Some((worker, id)) = self.links[link].at.take() {
            self.workers[worker].closed(id, self.now);
            self.settle();
        }
    }

    /// The version a link speaks.
    pub(crate) fn version_of(&self, link: LinkId) -> Version {
        self.links[link].version
    }

    /// Why the broker ended this link; `None` while it stands, and after a cut.
    pub(crate) fn cause(&self, link: LinkId) -> Option<Cause> {
        self.links[link].cause
    }

    /// The broker's name for a link that stands.
    pub(crate) fn id_of(&self, link: LinkId) -> ConnectionId {
        self.links[link].at.unwrap().1
    }

    pub(crate) fn is_open(&self, link: LinkId) -> bool {
        self.links[link].at.is_some()
    }

    /// The worker that owns a link.
    pub(crate) fn worker_of(&self, link: LinkId) -> Option<usize> {
        self.links[link].at.map(|(worker, _)| worker)
    }

    /// Whether the broker reads no more from this link for now.
    pub(crate) fn is_paused(&self, link: LinkId) -> bool {
        self.links[link].waiting
    }

    /// Whether a link holds bytes that the broker has not taken, or is on its way to a worker.
    pub(crate) fn has_untaken(&self) -> bool {
        let newcomer = |(_, carried): &(usize, Carried)| matches!(carried, Carried::Newcomer(_));
        self.crossings.iter().any(newcomer)
            || self
                .links
                .iter()
                .any(|l| l.at.is_some() && !l.sent.is_empty())
    }

    /// Counters of all workers.
    pub(crate) fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for worker in &self.workers {
            sum.add(&worker.stats());
        }
        sum
    }

    /// Moves the clock, stopping wherever the broker asked to be woken.
    pub(crate) fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let deadlines = self.workers.iter().filter_map(Broker::next_deadline);
            let Some(next) = deadlines.min().filter(|&at| at <= until) else {
                break;
            };
            self.now = self.now.max(next);
            for worker in &mut self.workers {
                if worker.next_deadline().is_some_and(|at| at <= self.now) {
                    worker.tick(self.now);
                    let next = worker.next_deadline();
                    assert!(
                        next.is_none_or(|at| at > self.now),
                        "what is due was not done: the process would spin"
                    );
                }
            }
            self.settle();
        }
        self.now = until;
    }

    pub(crate) fn advance_secs(&mut self, seconds: f64) {
        self.advance(Duration::from_secs_f64(seconds));
    }

    /// Lets the oldest batch that is held back arrive. False: there was none.
    pub(crate) fn deliver_crossings(&mut self) -> bool {
        let Some((worker, carried)) = self.crossings.pop_front() else {
            return false;
        };
        self.hand_in(worker, carried);
        self.settle();
        true
    }

    /// Turns, until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut busy = self.take_in();
            if let Some(keeper) = &mut self.keeper {
                // Before other workers hear of it.
                busy |= keeper.turn(&mut self.workers, self.now);
            }
            busy |= self.carry_out();
            busy |= self.write_out();
            if !self.crossings_held
                && let Some((worker, carried)) = self.crossings.pop_front()
            {
                self.hand_in(worker, carried);
                busy = true;
            }
            busy = busy || self.let_follow();
            if !busy {
                return;
            }
        }
        panic!("the broker does not come to rest");
    }

    fn tell(&self, what: &str) {
        if let Some(teller) = &self.teller {
            teller.tell(self.now, what);
        }
    }

    fn tell_packets(&self, did: &str, link: LinkId, bytes: &[u8]) {
        if let Some(teller) = &self.teller {
            let (who, version) = (format!("{link} {did}"), self.links[link].version);
            teller.packets(self.now, &who, version, bytes);
        }
    }

    fn hand_in(&mut self, worker: usize, carried: Carried) {
        match carried {
            Carried::Batch(batch) => {
                for crossing in &batch {
                    self.workers[worker].deliver_crossing(crossing, self.now);
                }
            }
            Carried::Newcomer(link) => {
                let place = &mut self.links[link];
                let id = self.workers[worker].open_on(&place.listener, self.now);
                let id = id.expect("it was open");
                if let Some(proven) = &place.proven {
                    self.workers[worker].prove(id, Arc::clone(proven));
                }
                self.links[link].at = Some((worker, id));
                self.links[link].fresh = true;
            }
            Carried::Publisher(link, parcel) => {
                let id = self.workers[worker].arrive(*parcel, self.now);
                self.links[link].at = Some((worker, id));
                self.links[link].fresh = true;
            }
        }
    }

    /// Publishers whose audience is elsewhere go there.
    fn let_follow(&mut self) -> bool {
        let mut busy = false;
        for worker in 0..self.workers.len() {
            for (id, to) in std::mem::take(&mut self.workers[worker].effects().following) {
                let link = self.links.iter().position(|l| l.at == Some((worker, id)));
                let Some(link) = link.filter(|&link| self.links[link].sent.is_empty()) else {
                    continue;
                };
                if self.workers[worker].may_follow(id) {
                    self.links[link].at = None;
                    let crossings = &mut self.crossings;
                    self.workers[worker].depart(id, to, |parcel| {
                        crossings.push_back((
                            usize::from(to),
                            Carried::Publisher(link, Box::new(parcel)),
                        ));
                    });
                    busy = true;
                }
            }
        }
        busy
    }

    fn take_in(&mut self) -> bool {
        let mut busy = false;
        for index in 0..self.links.len() {
            let link = &mut self.links[index];
            let (Some((worker, id)), true, false) = (link.at, link.fresh, link.waiting) else {
                continue;
            };
            busy = true;
            link.fresh = false;
            let receipt = self.workers[worker].receive(id, &link.sent, self.now);
            let mut used: Vec<u8> = link.sent.drain(..receipt.used).collect();
            if receipt.next == Next::Stop
                && let Ok(Scan::Head(head)) = scan(&link.sent, PACKET_SIZE_MAX)
                && link.sent.len() >= head.total()
            {
                // The packet that ended it counts as taken.
                used.extend(link.sent.drain(..head.total()));
            }
            self.tell_packets("sent", index, &used);
            let link = &mut self.links[index];
            if let Some(taken) = self.taken.as_mut().filter(|_| !used.is_empty()) {
                taken.push((index, used));
            }
            match receipt.next {
                Next::Read(_) | Next::Stop => {}
                Next::Wait => link.waiting = true,
                Next::Move(other) => {
                    self.workers[worker].forget(id);
                    link.at = None;
                    self.crossings
                        .push_back((usize::from(other), Carried::Newcomer(index)));
                }
            }
        }
        busy
    }

    fn carry_out(&mut self) -> bool {
        let mut busy = false;
        for worker in 0..self.workers.len() {
            let effects = self.workers[worker].effects();
            let closing = std::mem::take(&mut effects.closing);
            let resumed = std::mem::take(&mut effects.resumed);
            self.events.append(&mut effects.events);
            for (to, batch) in effects.crossings.iter_mut().enumerate() {
                if !batch.is_empty() {
                    busy = true;
                    self.crossings
                        .push_back((to, Carried::Batch(std::mem::take(batch))));
                }
            }
            busy |= !closing.is_empty() || !resumed.is_empty();
            for id in closing {
                self.write(worker, id);
                let cause = self.workers[worker].cause(id);
                if let Some(link) = self.link_at(worker, id) {
                    link.at = None;
                    link.cause = cause;
                }
                self.workers[worker].closed(id, self.now);
            }
            for id in resumed {
                if let Some(link) = self.link_at(worker, id) {
                    link.waiting = false;
                    link.fresh = true;
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
            for id in touched {
                busy = true;
                self.write(worker, id);
            }
        }
        busy
    }

    fn write(&mut self, worker: usize, id: ConnectionId) {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.workers[worker].slices(id, &mut slices);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let place = self.links.iter().position(|l| l.at == Some((worker, id)));
            let Some(place) = place else { return };
            let taken = offered.min(self.links[place].room.unwrap_or(usize::MAX));
            if taken == 0 {
                return;
            }
            let link = &mut self.links[place];
            let mut left = taken;
            for slice in &slices[..count] {
                let part = &slice[..slice.len().min(left)];
                link.received.extend_from_slice(part);
                left -= part.len();
            }
            if let Some(room) = &mut link.room {
                *room -= taken;
            }
            self.workers[worker].wrote(id, taken, self.now);
        }
    }

    fn link_at(&mut self, worker: usize, id: ConnectionId) -> Option<&mut Link> {
        self.links
            .iter_mut()
            .find(|link| link.at == Some((worker, id)))
    }
}

fn brokers(
    workers: u16,
    limits: &Limits,
    access: &Access,
    now: Instant,
) -> (Arc<Shared>, Vec<Broker>) {
    let shared = Arc::new(Shared::new(limits));
    let worker = |worker| {
        let config = Config {
            worker,
            workers,
            limits: limits.clone(),
            profile: Profile::STANDARD,
            access: access.clone(),
            seed: [1; 32],
            sys: false,
            trace: false,
            trace_packets: false,
        };
        Broker::new(config, Arc::clone(&shared), now)
    };
    let brokers = (0..workers).map(worker).collect();
    (shared, brokers)
}
