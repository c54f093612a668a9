//! The bench that has agents: gives each its share, lets all begin at one moment, and adds up what
//! they say. An agent that falls silent, goes away or talks nonsense ends the run with a clear word.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Options, Will};
use crate::commands::bench::agents::clocks::Offset;
use crate::commands::bench::agents::link::{Link, News};
use crate::commands::bench::agents::{ALIVE_PERIOD, ROOT, SILENCE_MAX};
use crate::commands::bench::agents::{ledger, left, topic_of};
use crate::commands::bench::health::Health;
use crate::commands::bench::load::board::Failures;
use crate::commands::bench::load::pace::Clock;
use crate::commands::bench::load::{Growth, Outcome, Setting, account};
use crate::commands::bench::plan::{Load, Shape, Stage};
use crate::commands::bench::progress::Now;
use crate::commands::bench::report::Trouble;
use crate::commands::bench::setup;
use crate::commands::bench::stats::POINTS_MAX;
use crate::commands::bench::stop::Stop;
use crate::commands::bench::trouble::plain;
use crate::mqtt::QoS;
use crate::mqtt::property::PropertiesBuf;

const STOPPED: &str = "stopped by a signal";

/// For every agent to say that it is there.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);

const GREETING_PERIOD: Duration = Duration::from_secs(1);

/// Questions about an agent's clock, each time it is compared.
const QUESTIONS: u64 = 16;

/// From the word to begin until all begin.
const LEAD: u64 = 300_000_000;

const STEP: Duration = Duration::from_millis(50);

/// No agent has more threads, or more memory.
const THREADS_MAX: u64 = 256;
const BYTES_MAX: u64 = 1 << 50;

/// One agent, as the report tells of it.
#[derive(Clone, Debug)]
pub(in crate::commands::bench) struct Member {
    pub(in crate::commands::bench) name: String,
    pub(in crate::commands::bench) os: String,
    pub(in crate::commands::bench) cpu: String,
    pub(in crate::commands::bench) cores: u64,
    offset: Offset,
    /// The worst its clock was known over all runs, in nanoseconds.
    error: u64,
}

impl Member {
    /// How well its clock is known, in microseconds.
    pub(in crate::commands::bench) fn clock_error_us(&self) -> f64 {
        self.error.max(self.offset.error) as f64 / 1e3
    }
}

pub(in crate::commands::bench) struct Lead {
    link: Link,
    pub(in crate::commands::bench) members: Vec<Member>,
    /// Messages pass from one agent to another.
    pub(in crate::commands::bench) crosses: bool,
    /// Beginning of the topics they then have in common.
    prefix: String,
    reply: String,
    words: Vec<String>,
    is_verified: bool,
    clock: Clock,
    stop: Stop,
    next: u64,
}

/// How far each agent is in a run.
enum State {
    Preparing,
    /// Connected and subscribed, waiting for the others.
    Connected,
    Ready,
    Done(Box<Outcome>),
}

impl Lead {
    /// Finds every agent, or says who is missing.
    pub(in crate::commands::bench) fn gather(
        names: &[String],
        mut options: Options,
        words: Vec<String>,
        setting: &Setting,
        crosses: bool,
    ) -> Result<Self, Trouble> {
        let nonce = setup::nonce();
        let place = options.dial.address.to_string();
        options.client_id = format!("bench-lead-{nonce:x}");
        let reply = format!("{ROOT}/from/{nonce:x}");
        options.will = Some(Will {
            topic: left(),
            payload: json!({ "type": "left", "reply": reply })
                .to_string()
                .into_bytes(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: PropertiesBuf::new(),
        });
        let filters = vec![reply.clone(), format!("{ROOT}/gone/+")];
        let link = Link::open(options, filters)
            .map_err(|error| plain(format!("cannot start a thread: {error}")))?;
        let mut lead = Self {
            link,
            members: Vec::new(),
            reply,
            words,
            is_verified: setting.is_verified,
            clock: Clock::start(),
            crosses,
            prefix: setting.prefix.clone(),
            stop: setting.stop.clone(),
            next: 0,
        };
        match lead.link.next(HELLO_PATIENCE) {
            Some(News::Up) => {}
            Some(News::Over(why)) => {
                return Err(plain(format!(
                    "agents cannot be reached over {place}: {why}"
                )));
            }
            _ => return Err(plain(format!("{place} does not answer"))),
        }
        for name in names {
            let member = lead.hello(name).ok_or_else(|| match lead.stop.is_asked() {
                true => plain(STOPPED),
                false => Trouble {
                    sentence: format!("agent {name} does not answer on {place}"),
                    hint: Some(format!("mqttx bench agent --name {name}, on that machine")),
                    status: 1,
                },
            })?;
            lead.members.push(member);
        }
        Ok(lead)
    }

    fn say(&self, name: &str, id: u64, mut content: Value) {
        content["reply"] = self.reply.as_str().into();
        content["id"] = id.into();
        self.link.send(&topic_of(name), content);
    }

    /// Waits for this agent's answer of this type.
    fn hear(&self, name: &str, kind: &str, patience: Duration) -> Option<(Value, u64)> {
        let since = Instant::now();
        while let Some(left) = patience.checked_sub(since.elapsed()) {
            match self.link.next(left) {
                Some(News::Letter(Some(letter)))
                    if letter["agent"] == name && letter["type"] == kind =>
                {
                    return Some((letter, self.clock.now()));
                }
                Some(News::Over(_)) => return None,
                _ if self.stop.is_asked() => return None,
                _ => {}
            }
        }
        None
    }

    /// An agent that is still busy with another bench hears nothing else, so it is greeted again.
    fn greet(&self, name: &str) -> Option<Value> {
        let since = Instant::now();
        while since.elapsed() < HELLO_PATIENCE && !self.stop.is_asked() {
            self.say(name, 0, json!({ "type": "hello" }));
            if let Some((welcome, _)) = self.hear(name, "welcome", GREETING_PERIOD) {
                return Some(welcome);
            }
        }
        None
    }

    fn hello(&self, name: &str) -> Option<Member> {
        let welcome = self.greet(name)?;
        let offset = self.compare(name)?;
        let text = |field: &str| welcome[field].as_str().unwrap_or_default().to_owned();
        Some(Member {
            name: name.to_owned(),
            os: text("os"),
            cpu: text("cpu"),
            cores: welcome["cores"].as_u64().unwrap_or_default(),
            offset,
            error: 0,
        })
    }

    /// How this agent's clock stands against ours.
    fn compare(&self, name: &str) -> Option<Offset> {
        let mut best: Option<Offset> = None;
        for _ in 0..QUESTIONS {
            let asked = self.clock.now();
            self.say(name, 0, json!({ "type": "ask", "asked": asked }));
            let (answer, heard) = self.hear(name, "answer", SILENCE_MAX)?;
            if answer["asked"] != asked {
                continue;
            }
            let offset = Offset::of(asked, answer["clock"].as_u64()?, heard);
            best = Some(best.map_or(offset, |best| best.better(offset)));
        }
        best
    }

    /// Of every agent, as the clocks stand now; what was known before says how far they ran apart.
    fn compare_all(&mut self, is_over: bool) -> Result<(), Trouble> {
        for at in 0..self.members.len() {
            let name = self.members[at].name.clone();
            let Some(offset) = self.compare(&name) else {
                return Err(plain(match self.stop.is_asked() {
                    true => STOPPED.to_owned(),
                    false => format!("agent {name} does not say what its clock is"),
                }));
            };
            let member = &mut self.members[at];
            if is_over {
                member.error = member.error.max(member.offset.error_until(offset));
            }
            member.offset = offset;
        }
        Ok(())
    }

    /// Runs `stage` once on all of them.
    pub(in crate::commands::bench) fn measure(
        &mut self,
        stage: &Stage,
        run: u16,
        progress: &mut dyn FnMut(&dyn Fn() -> Now),
    ) -> Result<Outcome, Trouble> {
        self.next += 1;
        let id = self.next;
        self.compare_all(false)?;
        for (part, member) in self.members.iter().enumerate() {
            self.say(&member.name, id, self.task(stage, run, part));
        }
        let states = self.follow(id, stage, progress);
        if states.is_err() {
            self.stop_all(id);
        }
        let mut sum: Option<Outcome> = None;
        for state in states? {
            if let State::Done(outcome) = state {
                match &mut sum {
                    None => sum = Some(*outcome),
                    Some(sum) => add(sum, *outcome),
                }
            }
        }
        let mut sum = sum.ok_or_else(|| plain("no agent has measured anything"))?;
        if let Some(all) = sum.apart.take() {
            account(&stage.shape, self.is_verified, &all, &mut sum.tally);
        }
        if !self.stop.is_asked() {
            self.compare_all(true)?;
        }
        Ok(sum)
    }

    fn task(&self, stage: &Stage, run: u16, part: usize) -> Value {
        let mut task = json!({
            "type": "prepare",
            "words": self.words,
            "qos": stage.qos.bits(),
            "run": run,
            "part": part,
            "of": self.members.len(),
            "ahead": i64::try_from(self.members[part].offset.theirs).unwrap_or(0),
            "prefix": self.prefix,
        });
        if let Load::Rate {
            rate, ramp_from, ..
        } = stage.load
        {
            task["rate"] = rate.into();
            if let Some(from) = ramp_from {
                task["ramp"] = json!([from, rate, stage.duration.as_secs_f64()]);
            }
        }
        task
    }

    fn stop_all(&self, id: u64) {
        self.tell_all(id, &json!({ "type": "stop" }));
    }

    fn tell_all(&self, id: u64, content: &Value) {
        for member in &self.members {
            self.say(&member.name, id, content.clone());
        }
    }

    /// Until all are done, or one of them cannot be.
    fn follow(
        &self,
        id: u64,
        stage: &Stage,
        progress: &mut dyn FnMut(&dyn Fn() -> Now),
    ) -> Result<Vec<State>, Trouble> {
        let mut states: Vec<State> = self.members.iter().map(|_| State::Preparing).collect();
        let mut heard = vec![Instant::now(); self.members.len()];
        let mut seen = vec![Seen::default(); self.members.len()];
        let mut told = Told::default();
        let mut was_stopped = false;
        let looked = Cell::new(Instant::now());
        loop {
            if let Some(news) = self.link.next(STEP) {
                self.take(&news, id, stage, &mut states, &mut heard, &mut seen)?;
            }
            if is_time_to_look(&seen, looked.get(), Instant::now()) {
                progress(&|| {
                    looked.set(Instant::now());
                    together(&seen, stage)
                });
            }
            self.lead_on(id, &states, &seen, &mut told);
            for (heard, state) in heard.iter_mut().zip(&states) {
                if told.is_kept_waiting(state) {
                    *heard = Instant::now();
                }
            }
            if states.iter().all(|state| matches!(state, State::Done(_))) {
                return Ok(states);
            }
            if self.stop.is_asked() && !was_stopped {
                was_stopped = true;
                self.stop_all(id);
            }
            for ((member, heard), state) in self.members.iter().zip(&heard).zip(&states) {
                if !matches!(state, State::Done(_)) && heard.elapsed() > SILENCE_MAX {
                    let name = &member.name;
                    return Err(plain(format!(
                        "agent {name} has fallen silent in the middle"
                    )));
                }
            }
        }
    }

    /// Lets all take the next step when each of them is there.
    fn lead_on(&self, id: u64, states: &[State], seen: &[Seen], told: &mut Told) {
        let is_ready = |state: &State| !matches!(state, State::Preparing | State::Connected);
        let is_connected = |state: &State| matches!(state, State::Connected);
        if !told.routes && states.iter().all(is_connected) {
            told.routes = true;
            self.tell_all(id, &json!({ "type": "routes", "at": 0 }));
        }
        if !told.go && states.iter().all(is_ready) {
            told.go = true;
            let at = self.clock.now() + LEAD;
            self.tell_all(id, &json!({ "type": "go", "at": at }));
        }
        let sum = |of: fn(&Now) -> u64| seen.iter().map(|seen| of(&seen.now)).sum::<u64>();
        let has_come = || sum(|now| now.received) >= sum(|now| now.expected);
        if self.crosses && !told.enough && seen.iter().all(|seen| seen.is_done) && has_come() {
            told.enough = true;
            self.tell_all(id, &json!({ "type": "enough" }));
        }
    }

    fn take(
        &self,
        news: &News,
        id: u64,
        stage: &Stage,
        states: &mut [State],
        heard: &mut [Instant],
        seen: &mut [Seen],
    ) -> Result<(), Trouble> {
        let letter = match news {
            News::Up => return Ok(()),
            News::Over(why) => return Err(plain(format!("the way to the agents: {why}"))),
            News::Letter(None) => {
                return Err(plain("an agent talks nonsense: what it says is no JSON"));
            }
            News::Letter(Some(letter)) => letter,
        };
        let place = self
            .members
            .iter()
            .position(|member| letter["agent"] == *member.name);
        let Some(at) = place else {
            return Ok(());
        };
        let name = &self.members[at].name;
        if letter["type"] == "gone" {
            return Err(plain(format!("agent {name} is gone in the middle")));
        }
        if letter["id"] != id {
            return Ok(());
        }
        heard[at] = Instant::now();
        match letter["type"].as_str() {
            Some("alive") => {
                seen[at] = Seen {
                    now: ledger::read_now(letter),
                    is_done: letter["done"] == true,
                    told: Some(Instant::now()),
                };
            }
            Some("connected") => states[at] = State::Connected,
            Some("ready") => states[at] = State::Ready,
            Some("failed") => return Err(failure(name, letter)),
            Some("result") => {
                let shape = self.crosses.then_some(&stage.shape);
                let outcome = outcome(letter, shape).ok_or_else(|| {
                    plain(format!("agent {name} talks nonsense: its counts cannot be"))
                })?;
                states[at] = State::Done(Box::new(outcome));
            }
            _ => return Err(plain(format!("agent {name} talks nonsense"))),
        }
        Ok(())
    }
}

/// What an agent could not do, and the exit status it would have left with.
fn failure(name: &str, letter: &Value) -> Trouble {
    let status = letter["status"]
        .as_u64()
        .and_then(|status| u8::try_from(status).ok());
    Trouble {
        sentence: format!(
            "agent {name}: {}",
            letter["sentence"]
                .as_str()
                .unwrap_or("it could not do its part")
        ),
        hint: letter["hint"].as_str().map(str::to_owned),
        status: status.filter(|&status| status > 0).unwrap_or(1),
    }
}

/// What an agent has told last.
#[derive(Clone, Default)]
struct Seen {
    now: Now,
    /// All it had to send is sent.
    is_done: bool,
    told: Option<Instant>,
}

/// Whether everybody has said something since the last look: one between would see some of them stand still.
/// Who says nothing for long does.
fn is_time_to_look(seen: &[Seen], looked: Instant, now: Instant) -> bool {
    let is_new = |seen: &Seen| seen.told.is_some_and(|told| told > looked);
    seen.iter().all(is_new) || now.duration_since(looked) >= 2 * ALIVE_PERIOD
}

/// What all agents have been told in a run.
#[derive(Default)]
struct Told {
    routes: bool,
    go: bool,
    enough: bool,
}

impl Told {
    /// Who waits for the others has nothing to say.
    fn is_kept_waiting(&self, state: &State) -> bool {
        match state {
            State::Preparing | State::Done(_) => false,
            State::Connected => !self.routes,
            State::Ready => !self.go,
        }
    }
}

/// With the shape of the whole where messages pass between agents.
fn outcome(letter: &Value, shape: Option<&Shape>) -> Option<Outcome> {
    let cores = |field: &str| letter[field].as_f64().filter(|&cores| cores >= 0.0);
    let positive = |field: &str| letter[field].as_f64().filter(|&number| number > 0.0);
    let bounded = |field: &str, most: u64| letter[field].as_u64().filter(|&number| number <= most);
    let bytes = |value: &Value| value.as_u64().filter(|&bytes| bytes <= BYTES_MAX);
    Some(Outcome {
        tally: ledger::read(&letter["tally"])?,
        seconds: positive("seconds"),
        failures: Failures::default(),
        deaf: None,
        is_cut_short: letter["cut_short"] == true,
        health: Health {
            tool_cores: cores("tool_cores"),
            target_cores: cores("target_cores"),
            target_rss: bytes(&letter["target_rss"]),
        },
        threads: bounded("threads", THREADS_MAX)? as usize,
        connect_seconds: positive("connect_seconds"),
        memory: bytes(&letter["memory"][0]).map(|tool| Growth {
            tool,
            target: bytes(&letter["memory"][1]),
        }),
        warmup_points: bounded("warmup_points", POINTS_MAX)? as usize,
        point_seconds: positive("point_seconds").unwrap_or(1.0),
        apart: match shape {
            Some(shape) => Some(ledger::read_apart(&letter["apart"], shape)?),
            None => None,
        },
    })
}

/// Counts and cores add up; all measured for the same time.
fn add(sum: &mut Outcome, other: Outcome) {
    sum.tally.merge(&other.tally);
    if let (Some(all), Some(more)) = (&mut sum.apart, other.apart) {
        all.published.extend(more.published);
        all.heard.extend(more.heard);
    }
    let longer = |one: Option<f64>, other: Option<f64>| Some(one?.max(other?));
    sum.seconds = longer(sum.seconds, other.seconds);
    sum.threads += other.threads;
    sum.is_cut_short |= other.is_cut_short;
    sum.connect_seconds = longer(sum.connect_seconds, other.connect_seconds);
    let cores = (sum.health.tool_cores, other.health.tool_cores);
    sum.health.tool_cores = cores.0.zip(cores.1).map(|(one, other)| one + other);
    // The broker is one: whoever is on its machine sees all of it.
    let (ours, theirs) = (&mut sum.health, &other.health);
    ours.target_cores = most(ours.target_cores, theirs.target_cores);
    ours.target_rss = ours.target_rss.max(theirs.target_rss);
    sum.memory = sum.memory.zip(other.memory).map(|(one, other)| Growth {
        tool: one.tool + other.tool,
        target: one.target.max(other.target),
    });
}

fn most(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// What all agents have told last, added up; the run is as far as the slowest of them.
fn together(seen: &[Seen], stage: &Stage) -> Now {
    let mut all = Now {
        has_acks: stage.has_acks(),
        has_schedule: stage.has_schedule(),
        share: 1.0,
        phase: seen.iter().filter_map(|seen| seen.now.phase).min(),
        ..Now::default()
    };
    for Seen { now, .. } in seen {
        all.share = all.share.min(now.share);
        all.sent += now.sent;
        all.acked += now.acked;
        all.received += now.received;
        all.expected += now.expected;
        all.connects += now.connects;
        all.cpu = match (all.cpu, now.cpu) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        all.lag = all.lag.max(now.lag);
        match (&mut all.e2e, &now.e2e) {
            (Some(e2e), Some(other)) => e2e.add(other).expect("histograms of the same bounds"),
            (e2e @ None, other) => e2e.clone_from(other),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_spoken_since_the_last_look_does_not_stand_still() {
        let looked = Instant::now();
        let after = |part: u32| looked + ALIVE_PERIOD * part / 4;
        let told = |at: Option<Instant>| Seen {
            told: at,
            ..Seen::default()
        };
        let silent = [told(Some(after(1))), told(None)];
        let one_is_old = [told(Some(after(1))), told(Some(looked))];
        let both = [told(Some(after(1))), told(Some(after(3)))];
        for (seen, is_time) in [(silent, false), (one_is_old, false), (both, true)] {
            assert_eq!(is_time_to_look(&seen, looked, after(4)), is_time);
        }
        let silent = [told(Some(after(1))), told(None)];
        assert!(is_time_to_look(&silent, looked, after(8)));
    }
}
