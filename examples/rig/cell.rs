//! A cell: publishers and subscribers that belong together (a pair, a fan-out, a share), their sockets, and the
//! bytes on their way. What is sent was encoded before; what arrives is counted by its bytes, because every message
//! of a cell has the same size, and each read is checked at its first seam. Who may send when is `load.rs`.

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream as Blocking;
use std::time::Instant;

use anyhow::{Result, bail};
use mio::net::TcpStream;

use crate::link;
use crate::link::{Dialled, Link, Transport};
use crate::process::Broker;
use crate::relay;
use crate::wire;
use crate::wire::{Shape, Version};

/// One read takes at most this much.
pub(crate) const READ_MAX: usize = 256 * 1024;
/// Slices of one vectored write: the block is written again and again from the same cached bytes.
const SLICES_MAX: usize = 32;

pub(crate) struct Publisher {
    pub(crate) link: Link,
    /// Whole packets, sent in order and from the front again.
    block: Vec<u8>,
    cursor: usize,
    /// Bytes of the block that are due and not written (QoS 0).
    due: usize,
    /// Handshake packets and, above QoS 0, messages too: they must not meet inside a packet.
    out: Vec<u8>,
    written: usize,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    carry: Vec<u8>,
}

pub(crate) struct Subscriber {
    pub(crate) link: Link,
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    out: Vec<u8>,
    written: usize,
    carry: Vec<u8>,
}

/// How many subscribers get one message.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fan {
    /// So many, whichever they are.
    Sum(u64),
    /// Each one of the cell.
    All,
}

pub(crate) struct Cell {
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) fan: Fan,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) sent_at: Option<Instant>,
    pub(crate) dirty: bool,
    frame: Frame,
}

/// What one message looks like on the wire.
#[derive(Clone)]
struct Frame {
    size: usize,
    /// With what a publisher's transport puts around it.
    sent_size: usize,
    id_at: usize,
    qos: u8,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// What a cell is made of.
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    /// One entry a publisher: the topics of its block, in order.
    pub(crate) topics: Vec<Vec<String>>,
    /// One entry a subscriber: its filters.
    pub(crate) filters: Vec<Vec<String>>,
    pub(crate) fan: Fan,
}

impl Cell {
    /// Connects and subscribes everybody, publishers last. `number` makes names unique within the run.
    pub(crate) fn open(broker: &Broker, number: usize, plan: &Plan) -> Result<Self> {
        let frame = Frame::of(plan);
        let mut subscribers = Vec::new();
        for (at, filters) in plan.filters.iter().enumerate() {
            let name = format!("rig-s-{number}-{at}");
            let stream = open(broker, plan.shape, &name, number, &frame, true)?;
            subscribers.push(subscribe(stream, broker, plan.shape, filters)?.into_link()?);
        }
        Self::join(broker, number, plan, subscribers)
    }

    /// The same with subscribers that stand already.
    pub(crate) fn join(
        broker: &Broker,
        number: usize,
        plan: &Plan,
        subscribers: Vec<Link>,
    ) -> Result<Self> {
        let frame = Frame::of(plan);
        let mut publishers = Vec::new();
        for (at, topics) in plan.topics.iter().enumerate() {
            let name = format!("rig-p-{number}-{at}");
            let stream = open(broker, plan.shape, &name, number, &frame, false)?;
            let block = block(plan.shape, topics, frame.sent_size)?;
            publishers.push(Publisher::new(stream.into_link()?, block));
        }
        let subscribers = subscribers.into_iter().map(Subscriber::new).collect();
        let fan = plan.fan;
        Ok(Self {
            publishers,
            subscribers,
            fan,
            sent: 0,
            received: 0,
            sent_at: None,
            dirty: true,
            frame,
        })
    }

    /// One subscriber to whom `count` messages are owed from before.
    pub(crate) fn awaiting(plan: &Plan, stream: TcpStream, count: u64) -> Self {
        let stream = Link::plain(stream);
        Self {
            publishers: Vec::new(),
            subscribers: vec![Subscriber::new(stream)],
            fan: Fan::Sum(1),
            sent: count,
            received: 0,
            sent_at: None,
            dirty: true,
            frame: Frame::of(plan),
        }
    }

    /// Messages that all who should have them have.
    pub(crate) fn settled(&self) -> u64 {
        match self.fan {
            Fan::Sum(times) => self.received / times,
            Fan::All => self
                .subscribers
                .iter()
                .map(|one| one.messages)
                .min()
                .unwrap_or(self.sent),
        }
    }

    /// How many deliveries all that was sent must become.
    pub(crate) fn owed(&self) -> u64 {
        match self.fan {
            Fan::Sum(times) => self.sent * times,
            Fan::All => self.sent * self.subscribers.len() as u64,
        }
    }

    /// Makes `count` messages due, shared evenly, and writes what the sockets take.
    pub(crate) fn send(&mut self, count: u64) -> Result<()> {
        let publishers = self.publishers.len() as u64;
        let first = self.sent % publishers;
        for (at, publisher) in self.publishers.iter_mut().enumerate() {
            let turn = (at as u64 + publishers - first) % publishers;
            let share = count / publishers + u64::from(turn < count % publishers);
            publisher.add(share, &self.frame);
            publisher.flush()?;
        }
        self.sent += count;
        Ok(())
    }

    /// Adds `count` messages to one publisher whose window has room.
    pub(crate) fn send_from(&mut self, at: usize, count: u64) -> Result<()> {
        self.publishers[at].add(count, &self.frame);
        self.sent += count;
        self.publishers[at].flush()
    }

    /// Reads a subscriber once; gives how many messages arrived and whether its socket is empty.
    pub(crate) fn read_subscriber(&mut self, at: usize, buffer: &mut [u8]) -> Result<(u64, bool)> {
        let before = self.subscribers[at].messages;
        let empty = self.subscribers[at].read(&self.frame, buffer)?;
        let fresh = self.subscribers[at].messages - before;
        self.received += fresh;
        self.dirty |= fresh > 0;
        Ok((fresh, empty))
    }

    /// Reads a publisher once; gives whether its socket is empty.
    pub(crate) fn read_publisher(&mut self, at: usize, buffer: &mut [u8]) -> Result<bool> {
        self.dirty = true;
        self.publishers[at].read(self.frame.qos, buffer)
    }

    /// Nothing may be left over when everything has arrived.
    pub(crate) fn ends_whole(&self) -> bool {
        self.subscribers
            .iter()
            .all(|one| one.carry.is_empty() && one.bytes % self.frame.size as u64 == 0)
    }
}

impl Publisher {
    const fn new(link: Link, block: Vec<u8>) -> Self {
        Self {
            link,
            block,
            cursor: 0,
            due: 0,
            out: Vec::new(),
            written: 0,
            sent: 0,
            acknowledged: 0,
            carry: Vec::new(),
        }
    }

    fn add(&mut self, count: u64, frame: &Frame) {
        self.sent += count;
        if frame.qos == 0 {
            self.due += count as usize * frame.sent_size;
            return;
        }
        for _ in 0..count {
            self.out
                .extend_from_slice(&self.block[self.cursor..self.cursor + frame.size]);
            self.cursor = (self.cursor + frame.size) % self.block.len();
        }
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        drain(&mut self.link, &mut self.out, &mut self.written)?;
        while self.link.writable && (self.due > 0 || self.link.holds_back()) {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let (mut from, mut left, mut used) = (self.cursor, self.due, 0);
            while left > 0 && used < SLICES_MAX {
                let size = left.min(self.block.len() - from);
                slices[used] = IoSlice::new(&self.block[from..from + size]);
                (from, left, used) = (0, left - size, used + 1);
            }
            let size = self.link.write(&slices[..used])?;
            self.due -= size;
            self.cursor = (self.cursor + size) % self.block.len();
        }
        Ok(())
    }

    fn read(&mut self, qos: u8, buffer: &mut [u8]) -> Result<bool> {
        let kept = self.carry.len();
        buffer[..kept].copy_from_slice(&self.carry);
        let (size, empty) = self.link.read(&mut buffer[kept..])?;
        let (acks, rest) = buffer[..kept + size].as_chunks::<4>();
        for ack in acks {
            match ack {
                [0x40, 2, ..] if qos == 1 => self.acknowledged += 1,
                [0x50, 2, high, low] if qos == 2 => self.out.extend([0x62, 2, *high, *low]),
                [0x70, 2, ..] if qos == 2 => self.acknowledged += 1,
                other => bail!("a publisher got {other:02x?}"),
            }
        }
        self.carry.clear();
        self.carry.extend_from_slice(rest);
        Ok(empty)
    }
}

impl Subscriber {
    fn new(link: Link) -> Self {
        let (out, carry) = (Vec::new(), Vec::new());
        Self {
            link,
            bytes: 0,
            messages: 0,
            out,
            written: 0,
            carry,
        }
    }

    fn read(&mut self, frame: &Frame, buffer: &mut [u8]) -> Result<bool> {
        let kept = self.carry.len();
        buffer[..kept].copy_from_slice(&self.carry);
        let (size, empty) = self.link.read(&mut buffer[kept..])?;
        let end = kept + size;
        if frame.qos == 0 {
            let seam = (frame.size - (self.bytes % frame.size as u64) as usize) % frame.size;
            if let Some(first) = buffer[..end].get(seam..seam + frame.size) {
                frame.check(first)?;
            }
            self.bytes += size as u64;
            self.messages = self.bytes / frame.size as u64;
            return Ok(empty);
        }
        let used = self.acknowledge(frame, &buffer[..end])?;
        self.carry.clear();
        self.carry.extend_from_slice(&buffer[used..end]);
        self.flush()?;
        Ok(empty)
    }

    /// Answers every whole packet as a real subscriber would; gives how many bytes they took.
    fn acknowledge(&mut self, frame: &Frame, bytes: &[u8]) -> Result<usize> {
        let mut at = 0;
        if let Some(first) = bytes.get(..frame.size)
            && first[0] & 0xf0 == 0x30
        {
            frame.check(first)?;
        }
        while let Some(&first) = bytes.get(at) {
            if first & 0xf0 == 0x30 {
                let Some(message) = bytes.get(at..at + frame.size) else {
                    break;
                };
                let kind = if frame.qos == 1 { 0x40 } else { 0x50 };
                self.out
                    .extend([kind, 2, message[frame.id_at], message[frame.id_at + 1]]);
                self.messages += 1;
                at += frame.size;
                continue;
            }
            let Some(packet) = bytes.get(at..at + 4) else {
                break;
            };
            let &[0x62, 2, high, low] = packet else {
                bail!("a subscriber got {packet:02x?}")
            };
            self.out.extend([0x70, 2, high, low]);
            at += 4;
        }
        Ok(at)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        drain(&mut self.link, &mut self.out, &mut self.written)
    }
}

/// Writes what the socket takes of `out`.
fn drain(link: &mut Link, out: &mut Vec<u8>, written: &mut usize) -> Result<()> {
    while link.writable && *written < out.len() {
        *written += link.write(&[IoSlice::new(&out[*written..])])?;
    }
    if *written == out.len() {
        out.clear();
        *written = 0;
    }
    Ok(())
}

impl Frame {
    fn of(plan: &Plan) -> Self {
        let mut sample = Vec::new();
        let topic = plan
            .topics
            .iter()
            .flatten()
            .next()
            .map_or("", String::as_str);
        let id_at = wire::publish(plan.shape, topic, 1, &mut sample);
        let head = 1
            + sample
                .iter()
                .skip(1)
                .take_while(|&&byte| byte & 0x80 != 0)
                .count()
            + 1;
        let mut sent = Vec::new();
        around(plan.shape.transport, &sample, 0, &mut sent);
        Self {
            size: sample.len(),
            sent_size: sent.len(),
            id_at,
            qos: plan.shape.qos,
            head: sample[..head].to_vec(),
            tail: sample[sample.len() - (plan.shape.payload - wire::VARIED).min(64)..].to_vec(),
        }
    }

    /// The head and the end of the payload must be those of the message that was sent.
    fn check(&self, message: &[u8]) -> Result<()> {
        if !message.starts_with(&self.head) || !message.ends_with(&self.tail) {
            bail!(
                "a subscriber got a damaged message: {:02x?}",
                &message[..message.len().min(24)]
            );
        }
        Ok(())
    }
}

/// The packets a publisher repeats: enough to make writes long, few enough to stay in the cache.
fn block(shape: Shape, topics: &[String], size: usize) -> Result<Vec<u8>> {
    const BLOCK: usize = 32 * 1024;
    // Identifiers come round only after every one of the largest window (1,000) has been answered.
    let least = if shape.qos > 0 {
        2_048
    } else {
        BLOCK.div_ceil(size)
    };
    let count = topics.len() * least.div_ceil(topics.len());
    let (mut block, mut packet) = (Vec::with_capacity(count * size), Vec::new());
    for at in 0..count {
        let (topic, id) = (&topics[at % topics.len()], (at % 65_535) as u16 + 1);
        packet.clear();
        wire::publish(shape, topic, id, &mut packet);
        around(shape.transport, &packet, at as u32, &mut block);
    }
    if block.len() != count * size {
        bail!("topics of one cell differ in length");
    }
    Ok(block)
}

/// One packet as a publisher sends it.
fn around(transport: Transport, packet: &[u8], number: u32, out: &mut Vec<u8>) {
    match transport {
        Transport::WebSocket => link::put_frame(packet, number, out),
        Transport::Tcp | Transport::Tls => out.extend_from_slice(packet),
    }
}

fn open(
    broker: &Broker,
    shape: Shape,
    name: &str,
    group: usize,
    frame: &Frame,
    subscribes: bool,
) -> Result<Dialled> {
    let mut stream = Dialled::dial(broker, shape.transport)?;
    if broker.is_relay {
        stream.write_all(&relay::hello(subscribes, group as u32, frame.size as u32))?;
        stream.read_exact(&mut [0])?;
    } else {
        greet(&mut stream, shape.version, name, true)?;
    }
    Ok(stream)
}

/// A socket for the loop.
pub(crate) fn ready(stream: Blocking) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// One blocking connection, up to its CONNACK.
pub(crate) fn connect(
    broker: &Broker,
    version: Version,
    name: &str,
    clean: bool,
) -> Result<Blocking> {
    let mut stream = Blocking::connect(broker.address(Transport::Tcp)?)?;
    stream.set_nodelay(true)?;
    greet(&mut stream, version, name, clean)?;
    Ok(stream)
}

fn greet(
    stream: &mut (impl Read + Write),
    version: Version,
    name: &str,
    clean: bool,
) -> Result<()> {
    stream.write_all(&wire::connect(version, name, clean))?;
    let answer = packet(stream)?;
    if answer[0] != 0x20 || answer.get(3) != Some(&0) {
        bail!("refused: {answer:02x?}");
    }
    Ok(())
}

pub(crate) fn subscribe<S: Read + Write>(
    mut stream: S,
    broker: &Broker,
    shape: Shape,
    filters: &[String],
) -> Result<S> {
    if broker.is_relay || filters.is_empty() {
        return Ok(stream);
    }
    stream.write_all(&wire::subscribe(shape.version, 1, filters, shape.qos))?;
    let answer = packet(&mut stream)?;
    if answer[0] != 0x90 || answer.last() != Some(&shape.qos) {
        bail!("not subscribed: {answer:02x?}");
    }
    Ok(stream)
}

/// One packet from a blocking connection, a byte at a time: nothing behind it may be lost.
pub(crate) fn packet(stream: &mut impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut one = [0];
        stream.read_exact(&mut one)?;
        bytes.push(one[0]);
        if wire::packet_size(&bytes) == Some(bytes.len()) {
            return Ok(bytes);
        }
    }
}
