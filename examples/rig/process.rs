//! Brokers as processes: how each is started and known to be ready, and what the kernel says it has used.
//! CPU time is read in nanoseconds from the scheduler's books of every thread (`/proc/PID/task/*/schedstat`),
//! because the ticks of `/proc/PID/stat` are ten milliseconds long.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::pki_types::CertificateDer;

use crate::link::Transport;

const READY_MAX: Duration = Duration::from_secs(60);

/// One column of the table: a name and the command that starts it.
#[derive(Clone)]
pub(crate) struct Contender {
    pub(crate) name: String,
    /// Run by the shell; `{ready}`, `{port}`, `{listen}`, `{conf}` and `{dir}` are filled in.
    command: String,
}

/// A running broker; killed when dropped.
pub(crate) struct Broker {
    child: Child,
    address: SocketAddr,
    /// Where it listens for WebSocket and TLS, where it was asked to.
    websocket: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    certificate: Option<CertificateDer<'static>>,
    pub(crate) is_relay: bool,
    /// Holds the ready file and the configuration until the process is gone.
    _folder: tempfile::TempDir,
}

/// What every broker that reads mosquitto's words is given: nothing on disk, nothing dropped, no delay.
const CONF: &str = "allow_anonymous true\npersistence false\nmax_queued_messages 0\nmax_queued_bytes 0\n\
     max_inflight_messages 0\nset_tcp_nodelay true\nlog_type error\nsys_interval 0\n";

impl Contender {
    pub(crate) fn new(name: &str, command: &str) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
        }
    }

    pub(crate) fn is_relay(&self) -> bool {
        self.name.starts_with("relay")
    }

    /// The broker built beside this program, with the options of one column.
    pub(crate) fn mqttx(name: &str, options: &str) -> Result<Self> {
        let path = beside()?;
        let command = format!(
            "'{}' broker --quiet {{listen}} --ready-file {{ready}} {options}",
            path.display()
        );
        Ok(Self::new(name, &command))
    }

    /// Debian's mosquitto, where it is installed.
    pub(crate) fn mosquitto() -> Option<Self> {
        let places = [
            "/usr/sbin/mosquitto",
            "/usr/local/sbin/mosquitto",
            "/opt/homebrew/sbin/mosquitto",
        ];
        let path = places.iter().find(|path| Path::new(path).exists())?;
        Some(Self::new(
            "mosquitto",
            &format!("{path} -c {{listener-conf}}"),
        ))
    }

    pub(crate) fn relay(threads: u32) -> Result<Self> {
        let path = std::env::current_exe()?;
        let name = match threads {
            1 => "relay".to_owned(),
            _ => format!("relay-w{threads}"),
        };
        let path = path.display();
        let command = format!("'{path}' relay --ready-file {{ready}} --threads {threads}");
        Ok(Self::new(&name, &command))
    }

    /// The same under another program.
    pub(crate) fn under(&self, words: &str) -> Self {
        Self {
            name: self.name.clone(),
            command: format!("{words} {}", self.command),
        }
    }

    /// The same on every core but the generator's.
    pub(crate) fn pinned(&self) -> Self {
        let last = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .max(2)
            - 1;
        self.under(&format!("taskset -c 1-{last}"))
    }

    /// `layered`: it listens for WebSocket and TLS, too.
    pub(crate) fn start(&self, layered: bool) -> Result<Broker> {
        let folder = tempfile::tempdir()?;
        let ready = folder.path().join("ready.json");
        let conf = folder.path().join("broker.conf");
        let listener_conf = folder.path().join("listener.conf");
        let port = free_port()?;
        let (mut websocket, mut tls, mut certificate) = (None, None, None);
        let (mut listen, mut listeners) = ("--port 0".to_owned(), String::new());
        if layered {
            certificate = Some(certify(folder.path())?);
            let dir = folder.path().display();
            let (ws_port, tls_port) = (free_port()?, free_port()?);
            listen = format!(
                "--listen mqtt://127.0.0.1:0 --listen ws://127.0.0.1:0 \
                 --listen mqtts://127.0.0.1:0 --cert '{dir}/cert.pem' --key '{dir}/key.pem'"
            );
            listeners = format!(
                "listener {ws_port} 127.0.0.1\nprotocol websockets\nlistener {tls_port} 127.0.0.1\n\
                 certfile {dir}/cert.pem\nkeyfile {dir}/key.pem\n"
            );
            if self.command.contains("{listener-conf}") {
                websocket = Some(here(ws_port));
                tls = Some(here(tls_port));
            }
        }
        fs::write(&conf, CONF)?;
        // mosquitto gives up root for a user who could not read the folder.
        fs::write(
            &listener_conf,
            format!("listener {port} 127.0.0.1\nuser root\n{CONF}{listeners}"),
        )?;
        let filled = self
            .command
            .replace("{ready}", &ready.display().to_string())
            .replace("{listen}", &listen)
            .replace("{conf}", &conf.display().to_string())
            .replace("{listener-conf}", &listener_conf.display().to_string())
            .replace("{dir}", &folder.path().display().to_string())
            .replace("{port}", &port.to_string());
        let log = fs::File::create(folder.path().join("log"))?;
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("exec {filled}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.name))?;
        let by_file = self.command.contains("{ready}");
        let mut broker = Broker {
            child,
            address: here(port),
            websocket,
            tls,
            certificate,
            is_relay: self.is_relay(),
            _folder: folder,
        };
        let from = Instant::now();
        while !broker.is_ready(by_file.then_some(ready.as_path()))? {
            if broker.child.try_wait()?.is_some() || from.elapsed() > READY_MAX {
                let log = fs::read_to_string(broker._folder.path().join("log")).unwrap_or_default();
                bail!("{} did not start: {filled}\n{log}", self.name);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(broker)
    }
}

impl Broker {
    fn is_ready(&mut self, file: Option<&Path>) -> Result<bool> {
        let Some(file) = file else {
            return Ok(TcpStream::connect(self.address).is_ok());
        };
        let Ok(text) = fs::read_to_string(file) else {
            return Ok(false);
        };
        let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) else {
            return Ok(false);
        };
        // The first of each kind: behind 127.0.0.1 comes ::1.
        let all = json["listeners"].as_array().into_iter().flatten();
        for listener in all.rev() {
            let address = listener["address"].as_str();
            let address: SocketAddr = address.context("no address in the ready file")?.parse()?;
            match listener["protocol"].as_str() {
                Some("ws") => self.websocket = Some(address),
                Some("mqtts") => self.tls = Some(address),
                _ => self.address = address,
            }
        }
        Ok(true)
    }

    /// Where it listens for this.
    pub(crate) fn address(&self, transport: Transport) -> Result<SocketAddr> {
        let place = match transport {
            Transport::Tcp => Some(self.address),
            Transport::WebSocket => self.websocket,
            Transport::Tls => self.tls,
        };
        place.context("it does not listen for that")
    }

    /// What it proves itself with.
    pub(crate) fn certificate(&self) -> Result<&CertificateDer<'static>> {
        self.certificate.as_ref().context("it has no certificate")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of all threads so far.
    fn cpu(&self) -> Duration {
        cpu(self.id())
    }

    /// Asks the broker to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        let id = i32::try_from(self.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(
            id.context("no such process")?,
            rustix::process::Signal::TERM,
        )?;
        self.child.wait()?;
        Ok(())
    }

    /// Resident memory in bytes.
    pub(crate) fn rss(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap_or("");
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Bound and let go: the kernel does not hand the port out again at once.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(here(0))?.local_addr()?.port())
}

/// Puts a certificate and its key into a folder.
fn certify(folder: &Path) -> Result<CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().clone())
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The clocks before or after a span of work.
pub(crate) struct Meter {
    pub(crate) at: Instant,
    broker: Duration,
    own: Duration,
    machine: Duration,
}

/// What a span of work used.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) elapsed: Duration,
    pub(crate) broker: Duration,
    pub(crate) own: Duration,
    /// Cores that others kept busy meanwhile.
    pub(crate) foreign: f64,
}

impl Meter {
    pub(crate) fn read(broker: &Broker) -> Self {
        Self {
            at: Instant::now(),
            broker: broker.cpu(),
            own: own_cpu(),
            machine: machine_cpu(),
        }
    }

    pub(crate) fn until(&self, end: &Self) -> Used {
        let elapsed = end.at - self.at;
        let (broker, own) = (end.broker - self.broker, end.own - self.own);
        let others = (end.machine - self.machine).saturating_sub(broker + own);
        Used {
            elapsed,
            broker,
            own,
            foreign: others.as_secs_f64() / elapsed.as_secs_f64(),
        }
    }
}

/// CPU time of a process, to the nanosecond, from the books of its threads.
fn cpu(process: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Duration::ZERO;
    };
    let used = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.flatten().filter_map(used).sum())
}

/// CPU time of the calling thread.
fn own_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// CPU time everything on the machine has used, in the kernel's ticks of ten milliseconds.
fn machine_cpu() -> Duration {
    const TICK_MS: u64 = 10;
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or("");
    let mut ticks = line
        .split_whitespace()
        .skip(1)
        .map(|number| number.parse::<u64>().unwrap_or(0));
    // user nice system, then idle and iowait, then interrupts and what the host took.
    let busy: u64 = ticks.by_ref().take(3).sum();
    Duration::from_millis((busy + ticks.skip(2).take(3).sum::<u64>()) * TICK_MS)
}

/// Keeps this program on the first core; what it starts says itself where it runs.
pub(crate) fn pin_self() -> Result<()> {
    let own = std::process::id().to_string();
    let done = Command::new("taskset")
        .args(["-p", "-c", "0", &own])
        .stdout(Stdio::null())
        .status()?;
    if !done.success() {
        bail!("taskset does not work here");
    }
    Ok(())
}

/// Waits until others leave the machine alone, or until patience ends: the column `foreign` tells which it was.
pub(crate) fn await_quiet(patience: Duration) {
    const LOOK: Duration = Duration::from_millis(150);
    let from = Instant::now();
    while from.elapsed() < patience {
        let before = machine_cpu();
        std::thread::sleep(LOOK);
        if machine_cpu() - before < LOOK / 5 {
            return;
        }
    }
}

/// Where cargo puts the broker when it builds this example: one folder up.
fn beside() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own
        .parent()
        .and_then(Path::parent)
        .context("no folder above the example")?;
    Ok(folder.join("mqttx"))
}

/// Builds the broker as this program was built. `cargo run --example` builds the example alone.
pub(crate) fn build_broker() -> Result<()> {
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Ok(());
    };
    let path = beside()?;
    let folder = path
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let profile = match folder {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let done = Command::new(cargo)
        .args(["build", "--bin", "mqttx", "--profile", profile])
        .status()?;
    if !done.success() {
        bail!("the broker does not build");
    }
    Ok(())
}
