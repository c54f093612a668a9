//! Whether `mqttx bench` tells the truth: a broker that counts and delays by itself, with a clock and
//! a parser of its own, loaded by it. What both have measured must agree within 5 %.
//!
//! ```text
//! cargo build --release && cargo run --release --example crosscheck
//! ```
//!
//! Two loads, one publisher and one subscriber each, MQTT 3.1.1 and QoS 0: as fast as it goes, where
//! the broker counts what passes in the same seconds; and at a rate, where it holds each message for
//! [`DELAY`] and notes how long it really did. It waits asleep, since how long it did is noted anyway and
//! two cores have no room for a third who is awake. Only what came in the seconds that count is compared.
//! Leaves 1 when they disagree, as they must on a machine that is busy with something else: a message
//! then also waits to leave and to be read.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Every message waits here for so long.
const DELAY: Duration = Duration::from_millis(50);

const WARMUP: Duration = Duration::from_secs(1);
const SPAN: Duration = Duration::from_secs(4);

/// What may lie between the two.
const TOLERANCE: f64 = 0.05;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<ExitCode, Failure> {
    println!("{:<26}{:>14}{:>14}{:>12}", "", "bench", "here", "");
    let (report, passed) = loaded(&["--max"], None)?;
    let result = &report["results"][0];
    let seconds = SPAN.as_secs_f64();
    let mut holds = exactly("messages", &result["counts"]["unique"], passed.all());
    let inside = passed.inside() as f64 / seconds;
    holds &= closely("received a second", &result["rate"]["received"], inside);
    holds &= closely("sent a second", &result["rate"]["sent"], inside);

    let (report, passed) = loaded(&["--rate", "2k"], Some(DELAY))?;
    let result = &report["results"][0];
    holds &= exactly(
        "messages, delayed",
        &result["counts"]["unique"],
        passed.all(),
    );
    let mut held = passed.held_inside();
    held.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let at = (share * held.len() as f64) as usize;
        let own = held[at.min(held.len() - 1)].as_secs_f64() * 1e6;
        holds &= closely(&format!("e2e {name}, µs"), &result["e2e_us"][name], own);
    }
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn exactly(name: &str, said: &Value, own: u64) -> bool {
    let holds = said.as_u64() == Some(own);
    let verdict = if holds { "equal" } else { "DIFFERENT" };
    let said = said.to_string();
    println!("{name:<26}{said:>14}{own:>14}{verdict:>12}");
    holds
}

fn closely(name: &str, said: &Value, own: f64) -> bool {
    let said = said.as_f64().unwrap_or(f64::NAN);
    let apart = said / own - 1.0;
    let holds = apart.abs() <= TOLERANCE;
    let verdict = if holds { "" } else { " TOO MUCH" };
    let percent = 100.0 * apart;
    println!("{name:<26}{said:>14.0}{own:>14.0}{percent:>+10.2} %{verdict}");
    holds
}

/// Runs the bench beside this program against a broker of ours; what it reports, and what passed.
fn loaded(words: &[&str], delay: Option<Duration>) -> Result<(Value, Passed), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let broker = std::thread::spawn(move || serve(&listener, delay));
    let program = std::env::current_exe()?;
    let program = program.ancestors().nth(2).ok_or("no folder")?.join("mqttx");
    let output = Command::new(program)
        .args(["bench", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-V", "311", "--pubs", "1", "-q", "0", "--runs", "1"])
        .args(["--warmup", &format!("{}s", WARMUP.as_secs())])
        .args(["--duration", &format!("{}s", SPAN.as_secs())])
        .args(["--json", "-", "--progress", "none"])
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let report = serde_json::from_slice(&output.stdout)?;
    Ok((report, home(broker)?))
}

fn home<T>(thread: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().map_err(|_| "a thread has panicked")?
}

/// What was seen of the PUBLISH packets: how many when, and how long each was held.
#[derive(Default)]
struct Passed {
    came: Vec<(Instant, u64)>,
    held: Vec<(Instant, Duration)>,
}

impl Passed {
    fn all(&self) -> u64 {
        self.came.iter().map(|(_, count)| count).sum()
    }

    /// In the seconds that count. The first message only tries the way; the load begins with the
    /// second.
    fn inside(&self) -> u64 {
        let inside = self.came.iter().filter(|(at, _)| self.is_inside(*at));
        inside.map(|(_, count)| count).sum()
    }

    fn held_inside(&self) -> Vec<Duration> {
        let inside = self.held.iter().filter(|(at, _)| self.is_inside(*at));
        inside.map(|(_, held)| *held).collect()
    }

    fn is_inside(&self, at: Instant) -> bool {
        self.came.get(1).is_some_and(|&(start, _)| {
            let from = start + WARMUP;
            at >= from && at < from + SPAN
        })
    }
}

/// Two clients: one subscribes, then the other publishes.
fn serve(listener: &TcpListener, delay: Option<Duration>) -> Result<Passed, Failure> {
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut client = Client::new(stream);
        client.packet()?.ok_or("no CONNECT")?;
        client.stream.write_all(&[0x20, 2, 0, 0])?;
        clients.push(client);
    }
    while !clients[0].has_something()? {
        clients.rotate_left(1);
    }
    let mut subscriber = clients.swap_remove(0);
    let mut publisher = clients.swap_remove(0);
    let subscribe = subscriber.packet()?.ok_or("no SUBSCRIBE")?;
    let suback = [0x90, 3, subscribe[2], subscribe[3], 0];
    subscriber.stream.write_all(&suback)?;
    let (sender, batches) = channel();
    let writer = std::thread::spawn(move || deliver(&batches, subscriber.stream, delay));
    let mut came = Vec::new();
    while let Some(batch) = publisher.publishes()? {
        came.push((batch.came, batch.count));
        sender.send(batch)?;
    }
    drop(sender);
    let held = home(writer)?;
    Ok(Passed { came, held })
}

/// PUBLISH packets that came with one read.
struct Batch {
    came: Instant,
    count: u64,
    bytes: Vec<u8>,
}

/// Hands on what came, after its time; how long each of them was here.
fn deliver(
    batches: &Receiver<Batch>,
    mut stream: TcpStream,
    delay: Option<Duration>,
) -> Result<Vec<(Instant, Duration)>, Failure> {
    let mut held = Vec::new();
    for batch in batches {
        if let Some(delay) = delay {
            let due = batch.came + delay;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        stream.write_all(&batch.bytes)?;
        if delay.is_some() {
            let time = batch.came.elapsed();
            held.extend((0..batch.count).map(|_| (batch.came, time)));
        }
    }
    Ok(held)
}

/// A connection, and what was read of it beyond the last whole packet.
struct Client {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            held: Vec::new(),
        }
    }

    fn has_something(&self) -> std::io::Result<bool> {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(1)))?;
        let came = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(None)?;
        Ok(came.is_ok())
    }

    /// False when the client has closed.
    fn fill(&mut self) -> std::io::Result<bool> {
        let held = self.held.len();
        self.held.resize(held + 65_536, 0);
        let count = self.stream.read(&mut self.held[held..])?;
        self.held.truncate(held + count);
        Ok(count > 0)
    }

    /// One packet; none when the client has closed.
    fn packet(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(size) = size_of(&self.held) {
                let rest = self.held.split_off(size);
                return Ok(Some(std::mem::replace(&mut self.held, rest)));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// All whole PUBLISH packets there are; none when another packet comes, or the end.
    fn publishes(&mut self) -> Result<Option<Batch>, Failure> {
        loop {
            if !self.fill()? {
                return Ok(None);
            }
            let came = Instant::now();
            let (mut at, mut count) = (0, 0);
            while let Some(size) = size_of(&self.held[at..])
                && self.held[at] >> 4 == 3
            {
                at += size;
                count += 1;
            }
            if count > 0 {
                let rest = self.held.split_off(at);
                let bytes = std::mem::replace(&mut self.held, rest);
                return Ok(Some(Batch { came, count, bytes }));
            }
            if self.held.first().is_some_and(|first| first >> 4 != 3) {
                return Ok(None);
            }
        }
    }
}

/// Bytes of the packet that begins here, once all of it is there.
fn size_of(bytes: &[u8]) -> Option<usize> {
    let (mut len, mut at) = (0_usize, 1);
    loop {
        let byte = usize::from(*bytes.get(at)?);
        len |= (byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte < 0x80 {
            break;
        }
        if at > 4 {
            return None;
        }
    }
    (bytes.len() >= at + len).then_some(at + len)
}
