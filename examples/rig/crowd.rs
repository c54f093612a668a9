//! Many connections at once, each with its own bytes to send and a known number of bytes to get back: how
//! connections, subscriptions and retained messages are counted and timed. No packet is parsed: an answer of the right
//! size is checked by its first byte, and what does not come is what is missing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::link::Transport;
use crate::process::{Broker, Meter, Used};
use crate::wire;
use crate::wire::Version;

/// Nothing moved for so long: what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections whose CONNACK is awaited at a time; below every broker's backlog.
const DIALLING_MAX: usize = 64;
const CONNACK: usize = 4;

/// One connection's part.
pub(crate) struct Script {
    pub(crate) out: Vec<u8>,
    /// Bytes that must come back.
    pub(crate) owed: usize,
}

/// Sends every script on its connection; gives the bytes that never came, over all.
pub(crate) fn play(
    broker: &Broker,
    streams: &mut [TcpStream],
    mut scripts: Vec<Script>,
) -> Result<(Used, usize)> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(2048);
    let mut buffer = vec![0; 256 * 1024];
    let mut written = vec![0; streams.len()];
    let both = Interest::READABLE | Interest::WRITABLE;
    for (at, stream) in streams.iter_mut().enumerate() {
        poll.registry().register(stream, Token(at), both)?;
    }
    let mut owed: usize = scripts.iter().map(|one| one.owed).sum();
    let begin = Meter::read(broker);
    let mut progress = begin.at;
    while owed > 0 && progress.elapsed() < PATIENCE {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let at = event.token().0;
            let (stream, script) = (&mut streams[at], &mut scripts[at]);
            if event.is_writable() {
                write(stream, &script.out, &mut written[at])?;
                progress = Instant::now();
            }
            if event.is_readable() {
                let size = read(stream, &mut buffer)?;
                script.owed = script
                    .owed
                    .checked_sub(size)
                    .context("more came back than was due")?;
                owed -= size;
                progress = Instant::now();
            }
        }
    }
    let used = begin.until(&Meter::read(broker));
    for stream in streams {
        poll.registry().deregister(stream)?;
    }
    Ok((used, owed))
}

/// Opens `count` connections, a few at a time, and keeps them.
pub(crate) fn dial(broker: &Broker, count: usize) -> Result<(Vec<TcpStream>, Used)> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(DIALLING_MAX);
    let mut streams = Vec::with_capacity(count);
    let mut answered = 0;
    let begin = Meter::read(broker);
    while answered < count {
        while streams.len() < count && streams.len() - answered < DIALLING_MAX {
            streams.push(greet(broker, streams.len(), &poll)?);
        }
        answered += answers(&mut poll, &mut events, &mut streams, |_| ())?;
    }
    let used = begin.until(&Meter::read(broker));
    for stream in &mut streams {
        poll.registry().deregister(stream)?;
    }
    Ok((streams, used))
}

/// Connects, gets CONNACK, sends DISCONNECT and closes, again and again; gives how often.
pub(crate) fn cycle(broker: &Broker, span: Duration) -> Result<(u64, Used)> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(DIALLING_MAX);
    let mut streams = (0..DIALLING_MAX)
        .map(|at| greet(broker, at, &poll))
        .collect::<Result<Vec<_>>>()?;
    let mut done = 0;
    let begin = Meter::read(broker);
    let mut number = DIALLING_MAX;
    while begin.at.elapsed() < span {
        let mut ended = Vec::new();
        answers(&mut poll, &mut events, &mut streams, |at| ended.push(at))?;
        for at in ended {
            let slot = at % DIALLING_MAX;
            streams[slot].write_all(&wire::DISCONNECT)?;
            // The token keeps the slot, the number changes the address and the name.
            let next = number - number % DIALLING_MAX + slot;
            number += 1;
            streams[slot] = greet(broker, next + DIALLING_MAX, &poll)?;
            done += 1;
        }
    }
    Ok((done, begin.until(&Meter::read(broker))))
}

/// Reads the CONNACKs that have come, and names their connections to `done`.
fn answers(
    poll: &mut Poll,
    events: &mut Events,
    streams: &mut [TcpStream],
    mut done: impl FnMut(usize),
) -> Result<usize> {
    poll.poll(events, Some(PATIENCE))?;
    if events.is_empty() {
        bail!("no CONNACK comes");
    }
    let mut count = 0;
    for event in events.iter() {
        let at = event.token().0;
        let slot = at % streams.len();
        let mut answer = [0; CONNACK + 1];
        match read(&mut streams[slot], &mut answer)? {
            0 => {}
            CONNACK if answer[..2] == [0x20, 2] && answer[3] == 0 => {
                count += 1;
                done(at);
            }
            size => bail!("refused: {:02x?}", &answer[..size]),
        }
    }
    Ok(count)
}

/// Starts one connection: the handshake of TCP is done when `connect` returns on this machine, CONNECT follows at
/// once. Source addresses rotate, because one has only 28,000 ports and closed ones rest a minute.
fn greet(broker: &Broker, number: usize, poll: &Poll) -> Result<TcpStream> {
    const SOURCES: usize = 100;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let source = Ipv4Addr::new(127, 0, 1, 1 + (number / DIALLING_MAX % SOURCES) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket
        .connect(&broker.address(Transport::Tcp)?.into())
        .context("connect")?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(socket.into());
    stream.write_all(&wire::connect(
        Version::V311,
        &format!("crowd-{number:07}"),
        true,
    ))?;
    poll.registry()
        .register(&mut stream, Token(number), Interest::READABLE)?;
    Ok(stream)
}

fn write(stream: &mut TcpStream, out: &[u8], written: &mut usize) -> Result<()> {
    while *written < out.len() {
        match stream.write(&out[*written..]) {
            Ok(size) => *written += size,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error).context("write"),
        }
    }
    Ok(())
}

/// Reads until the socket is empty.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
    let mut total = 0;
    loop {
        match stream.read(buffer) {
            Ok(0) => bail!("the broker closed a connection"),
            Ok(size) => {
                total += size;
                if size < buffer.len() {
                    return Ok(total);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(total),
            Err(error) => return Err(error).context("read"),
        }
    }
}
