//! `mqttx bench agent`: waits for what it is to do, does it, tells what came of it.

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::args::bench::{Bench, Kind, Ramp};
use crate::client::{Options, Retry, Will};
use crate::commands::bench::agents::link::{Link, News};
use crate::commands::bench::agents::{
    ALIVE_PERIOD, crosses, gone_of, ledger, left, share, topic_of,
};
use crate::commands::bench::health::Machine;
use crate::commands::bench::load::head::DUE_MAX;
use crate::commands::bench::load::pace::Clock;
use crate::commands::bench::load::{self, Outcome, Setting, Step};
use crate::commands::bench::part::Part;
use crate::commands::bench::plan::{Plan, Stage};
use crate::commands::bench::report::{Target, Trouble};
use crate::commands::bench::stop::Stop;
use crate::commands::bench::trouble::{plain, trouble, unstarted};
use crate::commands::bench::{load_tree, read, setup};
use crate::commands::terminal;
use crate::mqtt::QoS;
use crate::mqtt::property::PropertiesBuf;

/// For the word to begin, after we have said that we are ready: others may connect slowly, and whoever
/// leads and goes away is told of by its Will.
const GO_PATIENCE: Duration = Duration::from_secs(3_600);

/// Between two signs of life when all was sent: somebody waits for the last of it to come.
const LAST_PERIOD: Duration = Duration::from_millis(50);

/// What a bench that means well asks for: messages a second, and how long.
const RATE_MAX: f64 = 1e9;
const LENGTH_MAX: Duration = Duration::from_secs(72 * 3_600);

/// No clock of a bench runs longer: what payloads have room for.
const TIME_MAX: u64 = DUE_MAX;

/// Between two looks at what has come.
const STEP: Duration = Duration::from_millis(5);

struct Agent {
    name: String,
    link: Link,
    clock: Clock,
}

/// Serves until the connection ends for good.
pub(in crate::commands::bench) fn serve(name: &str, mut options: Options) -> Trouble {
    let id = setup::nonce();
    options.client_id = format!("bench-agent-{name}-{id:x}");
    options.retry = Retry {
        first: true,
        ..Retry::once_connected()
    };
    options.will = Some(Will {
        topic: gone_of(name),
        payload: json!({ "type": "gone", "agent": name })
            .to_string()
            .into_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: PropertiesBuf::new(),
    });
    let link = match Link::open(options, vec![topic_of(name), left()]) {
        Ok(link) => link,
        Err(error) => return plain(format!("cannot start a thread: {error}")),
    };
    let agent = Agent {
        name: name.to_owned(),
        link,
        clock: Clock::start(),
    };
    loop {
        match agent.link.next(Duration::from_secs(3_600)) {
            None => {}
            Some(News::Up) => terminal::print_err(&format!("agent {name}: ready\n")),
            Some(News::Letter(Some(letter))) => agent.answer(&letter),
            Some(News::Letter(None)) => terminal::print_err("a message that is no JSON\n"),
            Some(News::Over(why)) => return plain(format!("agent {name}: {why}")),
        }
    }
}

impl Agent {
    fn say(&self, letter: &Value, mut content: Value) {
        if let Some(topic) = letter["reply"].as_str() {
            content["agent"] = self.name.as_str().into();
            content["id"] = letter["id"].clone();
            self.link.send(topic, content);
        }
    }

    fn answer(&self, letter: &Value) {
        match letter["type"].as_str() {
            Some("hello") => {
                let machine = Machine::look();
                let cores = machine.cores;
                self.say(
                    letter,
                    json!({
                        "type": "welcome", "os": machine.os, "cpu": machine.cpu, "cores": cores,
                    }),
                );
            }
            Some("ask") => {
                let now = self.clock.now();
                self.say(
                    letter,
                    json!({ "type": "answer", "clock": now, "asked": letter["asked"] }),
                );
            }
            Some("prepare") => match self.prepare(letter) {
                Ok(result) => self.say(letter, result),
                Err(trouble) => self.say(letter, failed(&trouble)),
            },
            _ => {}
        }
    }

    /// Everything from the first connection to the last count.
    fn prepare(&self, letter: &Value) -> Result<Value, Trouble> {
        let args = words(letter)?;
        let payload = setup::payload(&args)?;
        let machine = Machine::look();
        let plan = Plan::new(&args, &payload, machine.cores).map_err(plain)?;
        let stage = stage(letter, &plan).ok_or_else(|| plain("a task that makes no sense"))?;
        setup::room_for(stage.part.clients(&stage.shape))?;
        setup::check_payloads(&payload, &plan, stage.part.pubs(&stage.shape))?;
        let (mut setting, target) = setup::setting(&args, &plan, payload, Stop::default())?;
        let ahead = letter["ahead"].as_i64().unwrap_or(0);
        setting.clock = self.clock.shifted(ahead.saturating_neg());
        if setting.clock.now() > TIME_MAX {
            return Err(plain(
                "a task that makes no sense: nobody's clock runs so long",
            ));
        }
        if !stage.part.is_whole() {
            let prefix = letter["prefix"].as_str();
            let prefix = prefix.ok_or_else(|| plain("a task without topics"))?;
            prefix.clone_into(&mut setting.prefix);
        } else if args.load.topic.is_some() && stage.shape.kind != Kind::Sub {
            // What other agents do is theirs.
            setting.prefix = format!("{}/{}", setting.prefix, self.name);
        }
        let run = letter["run"].as_u64().unwrap_or(0) as u16;
        self.measure(letter, &stage, run, &setting, &target)
    }

    fn measure(
        &self,
        letter: &Value,
        stage: &Stage,
        run: u16,
        setting: &Setting,
        target: &Target,
    ) -> Result<Value, Trouble> {
        let told = Cell::new(Instant::now());
        let mut progress = |tick: &load::Tick<'_>| {
            let is_done = tick.has_sent_all();
            let period = if is_done { LAST_PERIOD } else { ALIVE_PERIOD };
            if told.get().elapsed() >= period {
                told.set(Instant::now());
                let mut alive = ledger::write_now(&tick.now());
                alive["type"] = "alive".into();
                alive["done"] = is_done.into();
                self.say(letter, alive);
            }
            while let Some(news) = self.link.next(Duration::ZERO) {
                if is_stop(&news, letter) {
                    setting.stop.ask();
                } else if is_word(&news, letter, "enough") {
                    setting.enough.store(true, Ordering::Release);
                }
            }
        };
        let is_whole = stage.part.is_whole();
        let mut gate = |step| match step {
            // Routes within this agent need nobody else.
            Step::Routes if is_whole => Some(0),
            Step::Routes => {
                self.say(letter, json!({ "type": "connected" }));
                self.wait_for(letter, "routes")
            }
            Step::Load => {
                self.say(letter, json!({ "type": "ready" }));
                self.wait_for(letter, "go")
            }
        };
        let outcome = load::measure(stage, run, setting, &mut gate, &mut progress)
            .map_err(|error| unstarted(&error))?;
        match trouble(&outcome, target) {
            Some(trouble) => Err(trouble),
            None if outcome.seconds.is_none() && !setting.stop.is_asked() => {
                Err(plain("the word to begin never came"))
            }
            None => Ok(result(&outcome)),
        }
    }

    /// When to go on; none to leave.
    fn wait_for(&self, letter: &Value, word: &str) -> Option<u64> {
        let is_near = |&at: &u64| at <= TIME_MAX;
        let since = Instant::now();
        while since.elapsed() < GO_PATIENCE {
            match self.link.next(STEP) {
                Some(News::Letter(Some(other))) if other["id"] == letter["id"] => {
                    match other["type"].as_str() {
                        Some(it) if it == word => return other["at"].as_u64().filter(is_near),
                        Some("stop") => return None,
                        _ => {}
                    }
                }
                Some(news) if is_stop(&news, letter) => return None,
                _ => {}
            }
        }
        None
    }
}

fn is_word(news: &News, letter: &Value, word: &str) -> bool {
    matches!(news, News::Letter(Some(other)) if other["type"] == word && other["id"] == letter["id"])
}

fn is_stop(news: &News, letter: &Value) -> bool {
    match news {
        News::Letter(Some(other)) => match other["type"].as_str() {
            Some("stop") => other["id"] == letter["id"],
            Some("left") => other["reply"] == letter["reply"],
            _ => false,
        },
        News::Over(_) => true,
        _ => false,
    }
}

/// The words of the bench we are a part of; it alone writes reports.
fn words(letter: &Value) -> Result<Bench, Trouble> {
    let words: Option<Vec<OsString>> = letter["words"].as_array().and_then(|words| {
        let each = words.iter().map(|word| word.as_str().map(OsString::from));
        each.collect()
    });
    let words = words.ok_or_else(|| plain("a task without words"))?;
    read(load_tree(), "bench", &words).map_err(|error| plain(error.kind().to_string()))
}

/// Our part of a stage.
fn stage(letter: &Value, plan: &Plan) -> Option<Stage> {
    let part = u32::try_from(letter["part"].as_u64()?).ok()?;
    let of = u32::try_from(letter["of"].as_u64()?)
        .ok()
        .filter(|&of| of > part)?;
    let qos = QoS::from_bits(u8::try_from(letter["qos"].as_u64()?).ok()?)?;
    let (shape, part) = match share(&plan.shape, part, of) {
        Some(shape) if !crosses(&plan.shape, of)? => (shape, Part::WHOLE),
        _ => (plan.shape.clone(), Part::new(part, of)?),
    };
    let portion = f64::from(shape.pubs) / f64::from(plan.shape.pubs.max(1));
    let is_rate = |rate: &f64| (0.0..=RATE_MAX).contains(rate);
    let rate = match &letter["rate"] {
        Value::Null => None,
        rate => Some(rate.as_f64().filter(is_rate)? * portion),
    };
    let read_ramp = |ramp: &Value| {
        let ramp = ramp.as_array()?;
        Some(Ramp {
            from: ramp.first()?.as_f64().filter(is_rate)? * portion,
            to: ramp.get(1)?.as_f64().filter(is_rate)? * portion,
            time: Duration::try_from_secs_f64(ramp.get(2)?.as_f64()?)
                .ok()
                .filter(|time| *time <= LENGTH_MAX)?,
        })
    };
    let ramp = match &letter["ramp"] {
        Value::Null => None,
        ramp => Some(read_ramp(ramp)?),
    };
    let stage = match (ramp, rate) {
        (Some(ramp), _) => plan.ramp_stage(qos, ramp),
        (None, Some(rate)) if rate > 0.0 => plan.rate_stage(qos, rate),
        (None, Some(_)) => return None,
        (None, None) => plan.max_stage(qos),
    };
    let all = Part::WHOLE.clients(&plan.shape).max(1);
    let own = f64::from(part.clients(&shape)) / f64::from(all);
    Some(Stage {
        connect_rate: stage.connect_rate.map(|rate| rate * own),
        shape,
        part,
        ..stage
    })
}

fn result(outcome: &Outcome) -> Value {
    json!({
        "type": "result",
        "tally": ledger::write(&outcome.tally),
        "seconds": outcome.seconds,
        "connect_seconds": outcome.connect_seconds,
        "cut_short": outcome.is_cut_short,
        "tool_cores": outcome.health.tool_cores,
        "target_cores": outcome.health.target_cores,
        "target_rss": outcome.health.target_rss,
        "memory": outcome.memory.map(|memory| json!([memory.tool, memory.target])),
        "threads": outcome.threads,
        "warmup_points": outcome.warmup_points,
        "point_seconds": outcome.point_seconds,
        "apart": outcome.apart.as_ref().map(ledger::write_apart),
    })
}

fn failed(trouble: &Trouble) -> Value {
    json!({
        "type": "failed",
        "sentence": trouble.sentence,
        "hint": trouble.hint,
        "status": trouble.status,
    })
}
