//! What keeping costs: QoS 1 messages a second to a Session that is away, how long a start with
//! what it kept takes, and the memory of a message that waits.
//!
//! ```text
//! cargo build --release --features sqlite
//! cargo run --release --features sqlite --example persistence -- 1000000 always --store log --store sqlite
//! ```
//!
//! The broker beside this program is started on a folder of its own, once for each `--store`: `log`
//! is ours, and what is measured without a word; `sqlite` wants a broker with that feature. Figures
//! are printed as one line each. `benches/README.md` has those of the machine they were published
//! from.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Messages a publisher has unacknowledged.
const WINDOW: usize = 2_000;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Bytes of payload.
const PAYLOAD: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut plain, mut stores) = (Vec::new(), Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--store" => stores.push(words.next().ok_or("--store log or --store sqlite")?),
            _ => plain.push(word),
        }
    }
    let count: usize = plain.first().map_or(Ok(1_000_000), |word| word.parse())?;
    let sync = plain.get(1).map_or("always", String::as_str);
    if stores.is_empty() {
        stores.push("log".to_owned());
    }
    for store in &stores {
        println!("store {store}");
        measure(store, count, sync)?;
    }
    Ok(())
}

fn measure(store: &str, count: usize, sync: &str) -> Result<(), Box<dyn Error>> {
    let name = format!("mqttx-persistence-{}-{store}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder)?;
    let conf = configure(store, sync, &folder)?;
    let broker = Broker::start(&conf)?;
    let empty = broker.memory()?;
    subscribe(broker.port)?;
    let begun = Instant::now();
    publish(broker.port, count)?;
    let took = begun.elapsed().as_secs_f64();
    println!(
        "sync {sync}: {:.0} messages/s to a Session that is away",
        count as f64 / took
    );
    let waiting = broker.memory()? - empty;
    println!(
        "memory: {:.0} bytes a message that waits",
        waiting as f64 * 1_024.0 / count as f64
    );
    drop(broker);
    println!("disk: {} bytes a message", size(&folder)? / count as u64);
    let begun = Instant::now();
    let broker = Broker::start(&conf)?;
    println!(
        "start with {count} messages: {:.2} s",
        begun.elapsed().as_secs_f64()
    );
    println!(
        "memory after it: {:.0} bytes a message",
        (broker.memory()? - empty) as f64 * 1_024.0 / count as f64
    );
    let begun = Instant::now();
    drain(broker.port, count)?;
    println!(
        "read back: {:.0} messages/s",
        count as f64 / begun.elapsed().as_secs_f64()
    );
    drop(broker);
    std::fs::remove_file(&conf)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Writes the file that the broker is started from.
fn configure(store: &str, sync: &str, folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let place = folder.display();
    let kept = match store {
        "log" => format!("persistence true\npersistence_location {place}/"),
        "sqlite" => format!(
            "plugin mosquitto_persist_sqlite.so\nplugin_opt_db_file {place}/mosquitto.sqlite3"
        ),
        _ => return Err("--store log or --store sqlite".into()),
    };
    let lines = format!(
        "user root\nlistener any 127.0.0.1\nallow_anonymous true\nlog_type error\n\
         max_queued_messages 0\nmax_inflight_messages 65535\npersistence_sync {sync}\n{kept}\n"
    );
    let conf = folder.with_extension("conf");
    std::fs::write(&conf, lines)?;
    Ok(conf)
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += match about.is_dir() {
            true => size(&entry.path())?,
            false => about.len(),
        };
    }
    Ok(sum)
}

struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    fn start(conf: &Path) -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?;
        let program: PathBuf = program.ancestors().nth(2).ok_or("no folder")?.join("mqttx");
        let ready = conf.with_extension("ready");
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(program);
        command.args(["broker", "--workers", "1", "-c"]).arg(conf);
        command.args(["--limit", "session_messages_max=10000000"]);
        command.args(["--limit", "session_bytes_max=10000000000"]);
        command.arg("--ready-file").arg(&ready);
        let child = command.stdin(Stdio::null()).spawn()?;
        let begun = Instant::now();
        let text = loop {
            match std::fs::read_to_string(&ready) {
                Ok(text) => break text,
                Err(_) if begun.elapsed() > PATIENCE => {
                    return Err("not ready".into());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        std::fs::remove_file(&ready)?;
        let json: serde_json::Value = serde_json::from_str(&text)?;
        let address = json["listeners"][0]["address"]
            .as_str()
            .ok_or("no address")?;
        let port = address.rsplit(':').next().ok_or("no port")?.parse()?;
        Ok(Self { child, port })
    }

    /// Resident, in KiB.
    fn memory(&self) -> Result<usize, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // As a crash would: nothing but the store is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(port: u16, id: u8, clean: bool) -> Result<TcpStream, Box<dyn Error>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let flags = if clean { 2 } else { 0 };
    stream.write_all(&[
        0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 0, 0, 1, id,
    ])?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    Ok(stream)
}

/// A Session that is kept, subscribed to `t`, and away.
fn subscribe(port: u16) -> Result<(), Box<dyn Error>> {
    let mut stream = connect(port, b's', false)?;
    stream.write_all(&[0x82, 6, 0, 1, 0, 1, b't', 1])?;
    let mut suback = [0; 5];
    stream.read_exact(&mut suback)?;
    Ok(())
}

/// Publishes with a window, counting PUBACKs.
fn publish(port: u16, count: usize) -> Result<(), Box<dyn Error>> {
    let mut stream = connect(port, b'p', true)?;
    let (mut sent, mut acknowledged) = (0, 0);
    let mut answers = vec![0; 65_536];
    let mut left = 0;
    while acknowledged < count {
        let mut batch = Vec::new();
        while sent < count && sent - acknowledged < WINDOW {
            let id = (sent % 65_535 + 1) as u16;
            batch.extend_from_slice(&[0x32, (5 + PAYLOAD) as u8, 0, 1, b't']);
            batch.extend_from_slice(&id.to_be_bytes());
            batch.resize(batch.len() + PAYLOAD, b'x');
            sent += 1;
        }
        stream.write_all(&batch)?;
        let read = stream.read(&mut answers)?;
        if read == 0 {
            return Err("the broker closed".into());
        }
        left += read;
        acknowledged += left / 4;
        left %= 4;
    }
    Ok(())
}

/// Takes all that waits, acknowledging each message.
fn drain(port: u16, count: usize) -> Result<(), Box<dyn Error>> {
    let mut stream = connect(port, b's', false)?;
    let size = 7 + PAYLOAD;
    let (mut got, mut kept) = (0, 0);
    let mut bytes = vec![0; 262_144];
    while got < count {
        let read = stream.read(&mut bytes[kept..])?;
        if read == 0 {
            return Err("the broker closed".into());
        }
        let whole = (kept + read) / size;
        let mut answers = Vec::with_capacity(4 * whole);
        for packet in bytes[..whole * size].chunks_exact(size) {
            answers.extend_from_slice(&[0x40, 2, packet[5], packet[6]]);
        }
        stream.write_all(&answers)?;
        bytes.copy_within(whole * size..kept + read, 0);
        kept = kept + read - whole * size;
        got += whole;
    }
    Ok(())
}
