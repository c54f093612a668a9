//! Broker and clients in network namespaces of their own, with a link between them that is narrow,
//! loses packets and is cut: QoS 2 stays exactly once, in order, over real TCP.
//!
//! Wants root and iproute2; without them this says so and ends. Where the system has netem, the link
//! also delays. `MQTTX_CUT` says for how many seconds the link is cut, 2 by default; above 8 clients
//! notice, and connect anew.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::broker_process::{BrokerProcess, PATIENCE};

const MESSAGES: usize = 1_500;
const BROKER: &str = "10.77.0.1";

/// Two namespaces and the link between them; they vanish with the test.
struct Link {
    broker: String,
    clients: String,
}

impl Link {
    fn new(name: &str) -> Option<Self> {
        let id = std::process::id();
        let link = Self {
            broker: format!("mqttx-{id}-{name}-b"),
            clients: format!("mqttx-{id}-{name}-c"),
        };
        let (broker, clients) = (&link.broker, &link.clients);
        let done = ip(&format!("netns add {broker}"))
            && ip(&format!("netns add {clients}"))
            && ip(&format!(
                "link add v0 netns {broker} type veth peer name v0 netns {clients}"
            ))
            && ip(&format!("-n {broker} addr add {BROKER}/24 dev v0"))
            && ip(&format!("-n {clients} addr add 10.77.0.2/24 dev v0"))
            && ip(&format!("-n {broker} link set lo up"))
            && ip(&format!("-n {broker} link set v0 up"))
            && ip(&format!("-n {clients} link set v0 up"));
        if !done {
            eprintln!("skipped: no network namespaces can be made here");
            return None;
        }
        Some(link)
    }

    /// From now on packets wait and are lost, on both sides.
    fn worsen(&self) {
        for side in [&self.broker, &self.clients] {
            let netem = format!("-n {side} qdisc add dev v0 root netem delay 10ms 5ms loss 3%");
            // A short queue in front of a narrow link loses packets as well.
            let narrow =
                format!("-n {side} qdisc add dev v0 root tbf rate 3mbit burst 4kb limit 6kb");
            assert!(run("tc", &netem) || run("tc", &narrow));
        }
    }

    fn set(&self, state: &str) {
        assert!(ip(&format!("-n {} link set v0 {state}", self.clients)));
    }

    fn inside(namespace: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_mqttx")]);
        command
    }

    fn start_broker(&self, store: &Path) -> BrokerProcess {
        let mut command = Self::inside(&self.broker);
        command.args(["broker", "--bind", BROKER, "--port", "1883", "-v"]);
        command
            .args(["--allow-anonymous", "--persistence"])
            .arg(store);
        BrokerProcess::start_as(command)
    }

    fn client(&self, words: &str) -> Command {
        Self::at(&self.clients, words)
    }

    fn at(namespace: &str, words: &str) -> Command {
        let mut command = Self::inside(namespace);
        command.args(words.split(' '));
        command.args(["-h", BROKER, "-t", "t", "-q", "2", "--keepalive", "5"]);
        command
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.broker));
        ip(&format!("netns del {}", self.clients));
    }
}

fn run(program: &str, words: &str) -> bool {
    let output = Command::new(program).args(words.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

fn ip(words: &str) -> bool {
    run("ip", words)
}

/// A client that ends with its test.
struct Client(Child);

impl Client {
    fn start(mut command: Command, input: Stdio, output: Stdio) -> Self {
        Self(command.stdin(input).stdout(output).spawn().unwrap())
    }

    fn kill(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill();
    }
}

fn file(path: &Path) -> Stdio {
    fs::File::create(path).unwrap().into()
}

/// Waits until a file has so many lines.
#[track_caller]
fn lines_of(path: &Path, count: usize) -> Vec<usize> {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if lines.len() >= count {
            return lines;
        }
        let waited = begun.elapsed() < PATIENCE * 2;
        assert!(waited, "{} of {count} lines came", lines.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_link_that_loses_packets_and_is_cut_loses_no_message() {
    let Some(link) = Link::new("cut") else { return };
    let cut = std::env::var("MQTTX_CUT").map_or(2, |seconds| seconds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let broker = link.start_broker(&folder.path().join("store"));
    let got = folder.path().join("got");
    let _sub = Client::start(link.client("sub -c -i sub"), Stdio::null(), file(&got));
    broker.wait_log("subscribed to \"t\"");
    link.worsen();
    let numbers: String = (0..MESSAGES).map(|number| format!("{number}\n")).collect();
    let input = folder.path().join("input");
    fs::write(&input, numbers).unwrap();
    let input = fs::File::open(&input).unwrap();
    let mut publisher = Client::start(link.client("pub -c -i pub -l"), input.into(), Stdio::null());
    lines_of(&got, MESSAGES / 10);
    link.set("down");
    std::thread::sleep(Duration::from_secs(cut));
    link.set("up");
    let came = lines_of(&got, MESSAGES);
    assert!(came.iter().copied().eq(0..MESSAGES), "each once, in order");
    assert!(publisher.0.wait().unwrap().success());
}

#[test]
fn a_client_that_vanished_behind_a_dead_link_gets_all_when_it_is_back() {
    let Some(link) = Link::new("half") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let broker = link.start_broker(&folder.path().join("store"));
    let mut sub = Client::start(link.client("sub -c -i sub"), Stdio::null(), Stdio::null());
    broker.wait_log("subscribed to \"t\"");
    // Neither side hears that the other is gone.
    link.set("down");
    sub.kill();
    let numbers: String = (0..200).map(|number| format!("{number}\n")).collect();
    let input = folder.path().join("input");
    fs::write(&input, numbers).unwrap();
    let input = fs::File::open(&input).unwrap();
    let publish = Link::at(&link.broker, "pub -l");
    let mut publisher = Client::start(publish, input.into(), Stdio::null());
    assert!(publisher.0.wait().unwrap().success());
    link.set("up");
    let got = folder.path().join("got");
    let _again = Client::start(link.client("sub -c -i sub"), Stdio::null(), file(&got));
    let mut came = lines_of(&got, 200);
    came.sort_unstable();
    assert!(came.into_iter().eq(0..200), "each once");
}

#[test]
fn a_bridge_gives_a_dead_link_up_after_the_time_it_was_given() {
    let Some(link) = Link::new("bridge") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut far = Link::inside(&link.clients);
    far.args(["broker", "--bind", "10.77.0.2", "--port", "1883"]);
    far.arg("--allow-anonymous");
    let _far = BrokerProcess::start_as(far);
    // Neither Keep Alive nor the system would notice for a minute or more.
    let lines = "user root\nlistener 1883 127.0.0.1\nallow_anonymous true\nconnection b\n\
                 address 10.77.0.2\ntopic # out 1\nkeepalive_interval 600\n\
                 bridge_tcp_user_timeout 1000\n";
    let conf = folder.path().join("conf");
    fs::write(&conf, lines).unwrap();
    let mut near = Link::inside(&link.broker);
    near.args(["broker", "-c"]).arg(&conf);
    let near = BrokerProcess::start_as(near);
    near.wait_log("connected to 10.77.0.2");
    link.set("down");
    let mut publish = Link::inside(&link.broker);
    publish.args(["pub", "-t", "t", "-m", "x", "-q", "1"]);
    let mut publisher = Client::start(publish, Stdio::null(), Stdio::null());
    assert!(publisher.0.wait().unwrap().success());
    near.wait_log("Bridge b disconnected: Connection timed out.");
}
