//! What visitors cost clients: CPU of the broker a message with and without them, and how much
//! later messages of a pair are beside questions that are asked one after the other.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mqttx::mqtt::Version;

use crate::hostile::{exchange, part};
use crate::process::{Broker, Cpu};
use crate::support::packets::{self, Hello};
use crate::tabs::{self, Tabs};
use crate::visit::{Visit, page};
use crate::wire::Wire;

/// Messages offered a second, one publisher and one subscriber to a topic.
const RATE: u32 = 100_000;
const PAIRS: &str = "100";

/// Of each cell of the first table, and how many in turns.
const WINDOW: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
const PAGES: usize = 10;

/// What the broker holds while it is asked.
const CLIENTS: usize = 9_900;
const TOPICS: usize = 100_000;

/// Of the second table: windows with and without the question, in turns.
const SLICE: Duration = Duration::from_millis(500);
const SLICES: usize = 4;
const PAUSE: Duration = Duration::from_millis(1);

/// TABLE: questions, and what is asked.
const QUESTIONS: &[(&str, &str)] = &[
    ("overview", "/api/v1/overview"),
    (
        "clients, sorted",
        "/api/v1/clients?sort=messages_in&order=desc",
    ),
    ("clients, searched", "/api/v1/clients?q=99"),
    ("topics, a level", "/api/v1/topics?under=t&limit=1000"),
    ("topics, searched", "/api/v1/topics?q=99"),
    ("retained", "/api/v1/retained?limit=1000"),
    (
        "retained, nothing fits",
        "/api/v1/retained?filter=no/%2B/such",
    ),
    ("metrics", "/metrics"),
];

/// Who looks on while messages pass.
#[derive(Clone, Copy, PartialEq)]
enum Looking {
    Off,
    Nobody,
    Pages,
    Tabs,
}

/// Prints both tables, of some questions only the second. False: a broker ended.
pub(crate) fn run(programs: &[PathBuf], only: Option<&str>) -> bool {
    if only.is_none() {
        let cells = [Looking::Off, Looking::Nobody, Looking::Pages];
        programs.iter().for_each(|program| costs(program, &cells));
    }
    delays(programs, only.unwrap_or_default())
}

/// Prints what tabs of a real browser cost. False: there is none.
pub(crate) fn run_tabs(program: &Path) -> bool {
    let is_here = tabs::is_here();
    if is_here {
        costs(program, &[Looking::Nobody, Looking::Pages, Looking::Tabs]);
    }
    is_here
}

pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn costs(program: &Path, cells: &[Looking]) {
    let mut seen: Vec<Vec<Cost>> = cells.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (cell, seen) in cells.iter().zip(&mut seen) {
            seen.push(cost(program, *cell));
        }
    }
    say(&format!(
        "CPU of the broker, {RATE} messages/s offered, medians:"
    ));
    say(
        "| who looks | messages/s | workers ns/msg | HTTP ns/msg | both, against nobody | threads \
         | idle RSS MB |",
    );
    say("|-|-|-|-|-|-|-|");
    let middle = |seen: &[Cost], of: fn(&Cost) -> f64| {
        part(&mut seen.iter().map(of).collect::<Vec<_>>(), 0.5)
    };
    let both = |cost: &Cost| cost.workers + cost.http;
    let nobody = cells.iter().position(|cell| *cell == Looking::Nobody);
    let nobody = nobody.map_or(f64::NAN, |place| middle(&seen[place], both));
    for (cell, seen) in cells.iter().zip(&seen) {
        let name = match cell {
            Looking::Off => "nobody can: no --http",
            Looking::Nobody => "nobody",
            Looking::Pages => "ten pages",
            Looking::Tabs => "ten tabs of Chromium",
        };
        let (rate, rss) = (
            middle(seen, |cost| cost.rate),
            middle(seen, |cost| cost.rss_mb),
        );
        let (workers, http) = (
            middle(seen, |cost| cost.workers),
            middle(seen, |cost| cost.http),
        );
        let more = 100.0 * (middle(seen, both) / nobody - 1.0);
        let threads = middle(seen, |cost| cost.threads);
        say(&format!(
            "| {name} | {rate:.0} | {workers:.0} | {http:.1} | {more:+.1} % | {threads} | {rss:.1} |"
        ));
    }
}

struct Cost {
    /// Messages that came to the broker in a second: fewer than offered where others need the cores.
    rate: f64,
    workers: f64,
    http: f64,
    threads: f64,
    rss_mb: f64,
}

fn cost(program: &Path, looking: Looking) -> Cost {
    let broker = match looking {
        Looking::Off => Broker::mqttx(program),
        _ => Broker::with_http(program),
    };
    let rss_mb = broker.memory("VmRSS") as f64 / 1_024.0;
    let stop = AtomicBool::new(false);
    let used = std::thread::scope(|scope| {
        if looking == Looking::Pages {
            for _ in 0..PAGES {
                scope.spawn(|| page(broker.http_port, &stop));
            }
        }
        let tabs = (looking == Looking::Tabs).then(|| Tabs::open(broker.http_port, PAGES, 0));
        let mut load = Command::new(program)
            .args([
                "bench",
                "-h",
                "127.0.0.1",
                "-q",
                "0",
                "--pubs",
                PAIRS,
                "--subs",
                PAIRS,
            ])
            .args(["--runs", "1", "--duration", "60s", "--progress", "none"])
            .args(["-p", &broker.port.to_string(), "--rate", &RATE.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let (before, begun) = (broker.cpu(), Instant::now());
        let count = received(broker.port);
        std::thread::sleep(WINDOW);
        let (after, took) = (broker.cpu(), begun.elapsed());
        let count = received(broker.port) - count;
        let threads = broker.memory("Threads");
        let _ = load.kill();
        let _ = load.wait();
        stop.store(true, Ordering::Relaxed);
        drop(tabs);
        (before, after, took, threads, count as f64)
    });
    let (before, after, took, threads, count) = used;
    let each = |of: fn(&Cpu) -> Duration| (of(&after) - of(&before)).as_nanos() as f64 / count;
    Cost {
        rate: count / took.as_secs_f64(),
        workers: each(|cpu| cpu.workers),
        http: each(|cpu| cpu.http),
        threads: threads as f64,
        rss_mb,
    }
}

/// PUBLISH packets that the broker has taken.
fn received(port: u16) -> u64 {
    let mut wire = Wire::connect(port, &Hello::new("counts")).unwrap();
    wire.subscribe("$SYS/mqttx/publish_received", 0).unwrap();
    let told = String::from_utf8_lossy(&wire.next().unwrap()).into_owned();
    let number = told.rsplit(|letter: char| !letter.is_ascii_digit()).next();
    number.and_then(|number| number.parse().ok()).unwrap()
}

/// A broker that is full, and a pair beside whoever asks.
struct Tried {
    broker: Broker,
    _clients: Vec<Wire>,
    publisher: Wire,
    subscriber: Wire,
}

/// What was seen of one: waits in ms, and how many questions were answered.
#[derive(Default)]
struct Seen {
    alone: Vec<f64>,
    beside: Vec<f64>,
    answers: usize,
}

impl Tried {
    fn start(program: &Path) -> Self {
        let broker = Broker::with_http(program);
        let clients = fill(broker.port);
        Visit::open(broker.http_port).ask("/api/v1/topics");
        let publisher = Wire::connect(broker.port, &Hello::new("good-pub")).unwrap();
        let mut subscriber = Wire::connect(broker.port, &Hello::new("good-sub")).unwrap();
        subscriber.subscribe("good", 1).unwrap();
        Self {
            broker,
            _clients: clients,
            publisher,
            subscriber,
        }
    }

    fn window(&mut self, waits: &mut Vec<f64>) {
        let until = Instant::now() + SLICE;
        while Instant::now() < until {
            let wait = exchange(&mut self.publisher, &mut self.subscriber).unwrap();
            waits.push(wait.as_secs_f64() * 1_000.0);
            std::thread::sleep(PAUSE);
        }
    }

    /// A window without the question, and one with it.
    fn windows(&mut self, path: &str, seen: &mut Seen) {
        self.window(&mut seen.alone);
        let stop = AtomicBool::new(false);
        let port = self.broker.http_port;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_on(port, path, &stop));
            self.window(&mut seen.beside);
            stop.store(true, Ordering::Relaxed);
            seen.answers += asking.join().unwrap();
        });
    }
}

fn delays(programs: &[PathBuf], only: &str) -> bool {
    let mut tried: Vec<Tried> = programs.iter().map(|one| Tried::start(one)).collect();
    say(&format!(
        "A pair of QoS 1 beside questions; {CLIENTS} clients, {TOPICS} topics. In ms:"
    ));
    say("| asked without end | answers/s | p50 | without | p99 | without | most | without |");
    say("|-|-|-|-|-|-|-|-|");
    let nothing = ("nothing, but a program burns a core", "");
    let questions = std::iter::once(&nothing).chain(QUESTIONS);
    for (name, path) in questions.filter(|(name, _)| name.contains(only)) {
        let mut seen: Vec<Seen> = programs.iter().map(|_| Seen::default()).collect();
        for _ in 0..SLICES {
            for (tried, seen) in tried.iter_mut().zip(&mut seen) {
                tried.windows(path, seen);
            }
        }
        for seen in &mut seen {
            let rate = seen.answers as f64 / (SLICE.as_secs_f64() * SLICES as f64);
            let pairs = [0.5, 0.99, 1.0].map(|at| {
                let (with, without) = (part(&mut seen.beside, at), part(&mut seen.alone, at));
                format!("{with:.2} | {without:.2}")
            });
            say(&format!("| {name} | {rate:.0} | {} |", pairs.join(" | ")));
        }
    }
    tried.iter_mut().all(|tried| tried.broker.lives())
}

/// Asks until told to stop; without a question, works as hard.
fn ask_on(port: u16, path: &str, stop: &AtomicBool) -> usize {
    let mut answers = 0;
    if path.is_empty() {
        while !stop.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        return answers;
    }
    let mut visit = Visit::open(port);
    while !stop.load(Ordering::Relaxed) {
        visit.ask(path);
        answers += 1;
    }
    answers
}

/// Clients that are there, and topics with a retained message.
fn fill(port: u16) -> Vec<Wire> {
    let mut publisher = Wire::connect(port, &Hello::new("fills")).unwrap();
    for number in 0..TOPICS {
        let topic = format!("t/{}/{number}", number % 100);
        let message = packets::publish(Version::V5, &topic, "21.5", 0, 0, &[]);
        publisher.send(&packets::retained(message)).unwrap();
    }
    publisher.publish("filled", "", 1, 1).unwrap();
    publisher.next().unwrap();
    let hello = |number| Hello::new(&format!("client-{number}")).keep_alive(0);
    let clients = (0..CLIENTS).map(|number| Wire::connect(port, &hello(number)).unwrap());
    clients.collect()
}
