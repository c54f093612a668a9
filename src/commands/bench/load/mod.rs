//! One run of one stage: threads, phases, and what came of it.
//!
//! ```text
//!  this thread   connect ─► sentinel ─► load (warm-up, measurement) ─► drain ─► leave ─► merge
//!                    │           │         │                             │         │
//!  N threads     one runtime each; every client is a task; the bell tells them the phase
//! ```
//!
//! Every wait has an end: a broker that says nothing costs patience, never more.

#[cfg(target_os = "linux")]
mod alarm_linux;
#[cfg(not(target_os = "linux"))]
mod alarm_thread;
pub(super) mod board;
pub(super) mod body;
mod churner;
mod comeback;
mod crew;
mod cycle;
mod desk;
pub(super) mod head;
mod hire;
mod live;
pub(super) mod pace;
mod publisher;
mod requester;
mod subscriber;
pub(super) mod track;
pub(super) mod who;

use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::cli::args::bench::Kind;
use crate::commands::bench::health::{Health, Look, own_seconds, resident};
use crate::commands::bench::load::board::{Board, Failures, Phase, Times, What};
use crate::commands::bench::load::body::{Payload, Topics};
use crate::commands::bench::load::crew::{Gathered, Manner, Worker};
pub(super) use crate::commands::bench::load::desk::{Heard, Published};
use crate::commands::bench::load::pace::Clock;
use crate::commands::bench::load::who::Who;
use crate::commands::bench::plan::{Shape, Stage};
use crate::commands::bench::progress::Now;
use crate::commands::bench::stats::Tally;
use crate::commands::bench::stop::Stop;
use crate::mqtt::property::PropertiesBuf;

/// For everybody to be connected and subscribed.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// For the sentinel messages to arrive, and more for large ones.
const SENTINEL_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes a second that surely get through.
const BYTES_SURELY: f64 = 5e6;

/// When nothing has moved for this long after the last message, what is missing is lost.
const QUIET: Duration = Duration::from_secs(2);

/// Between the word and the first message, so that every thread has heard it.
const LEAD: Duration = Duration::from_millis(20);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(2);

/// What every run needs to know besides its stage.
pub(super) struct Setting {
    pub(super) who: Who,
    pub(super) clock: Clock,
    pub(super) threads: usize,
    pub(super) is_verified: bool,
    /// The broker's process, when it is here.
    pub(super) target: Option<u32>,
    /// Beginning of every topic and client identifier of this bench.
    pub(super) prefix: String,
    pub(super) payload: Payload,
    pub(super) retain: bool,
    pub(super) publish_properties: PropertiesBuf,
    pub(super) subscribe_properties: PropertiesBuf,
    /// Who loses a connection comes back.
    pub(super) reconnects: bool,
    pub(super) nonce: u32,
    pub(super) stop: Stop,
    /// All that was sent has come, as whoever sees all agents knows.
    pub(super) enough: Arc<AtomicBool>,
}

/// When whoever leads is asked whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everybody here is connected and subscribed; next, each publisher sends one message.
    Routes,
    /// Those have arrived; next is the load, from the time that is the answer.
    Load,
}

/// What came of one run.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// Length of the measurement; none when the run broke off before its end.
    pub(super) seconds: Option<f64>,
    pub(super) failures: Failures,
    /// Sentinel messages that never came, of so many.
    pub(super) deaf: Option<(u64, u64)>,
    /// Messages still came, or were acknowledged, when patience ended.
    pub(super) is_cut_short: bool,
    pub(super) health: Health,
    /// That made the load.
    pub(super) threads: usize,
    /// From the first attempt until everybody was connected and subscribed.
    pub(super) connect_seconds: Option<f64>,
    /// Memory of this process and of the broker's, before anybody connected and after.
    pub(super) memory: Option<Growth>,
    /// Where the measurement begins, in points, and how wide a point is.
    pub(super) warmup_points: usize,
    pub(super) point_seconds: f64,
    /// What has to be put together with other agents' before it says what was lost.
    pub(super) apart: Option<Apart>,
}

/// What the publishers and the subscribers of one agent saw, where messages pass between agents.
#[derive(Clone, Debug, Default)]
pub(super) struct Apart {
    pub(super) published: Vec<Published>,
    pub(super) heard: Vec<Heard>,
}

impl Outcome {
    /// Connections that came to stand a second: while all connected, or, where they come and go, in the
    /// measurement.
    pub(super) fn connect_rate(&self, kind: Kind) -> Option<f64> {
        match kind {
            Kind::Churn => Some(self.tally.inside.connects as f64 / self.seconds?),
            _ => Some(self.tally.connects as f64 / self.connect_seconds?),
        }
    }
}

/// How a run is going, for whoever shows it.
pub(super) struct Tick<'a> {
    board: &'a Board,
    share: f64,
}

impl Tick<'_> {
    /// All that was to be sent here was sent, and acknowledged.
    pub(super) fn has_sent_all(&self) -> bool {
        self.board.phase() >= Phase::Drain && has_sent_all(self.board)
    }

    /// Costs a lock and a look through a histogram.
    pub(super) fn now(&self) -> Now {
        let board = self.board;
        Now {
            phase: Some(board.phase()),
            share: self.share,
            sent: board.sent(),
            acked: board.acked(),
            received: board.received(),
            expected: board.expected(),
            connects: board.live.connects(),
            has_acks: board.stage.has_acks(),
            has_schedule: board.stage.has_schedule(),
            cpu: own_seconds(),
            lag: board.live.take_lag(),
            e2e: board.live.e2e(),
        }
    }
}

/// Runs `stage` once; `gate` says when the next step begins, on the clock of `setting`, or that it
/// does not.
pub(super) fn measure(
    stage: &Stage,
    run: u16,
    setting: &Setting,
    gate: &mut dyn FnMut(Step) -> Option<u64>,
    progress: &mut dyn FnMut(&Tick<'_>),
) -> std::io::Result<Outcome> {
    let topics = match stage.shape.kind {
        // Whose topics these are is for the user to say.
        Kind::Sub => Ok(Topics {
            names: Vec::new(),
            filter: setting.prefix.clone(),
        }),
        _ => body::topics(&setting.prefix, run, stage.shape.topics, stage.seed),
    };
    let topics = topics.map_err(Error::other)?;
    let bodies = setting
        .payload
        .bodies(stage.shape.pubs, setting.is_verified, stage.seed)
        .map_err(Error::other)?;
    let board = Arc::new(Board::new(
        stage.clone(),
        setting.clock,
        run,
        topics.names,
        bodies,
        setting.is_verified,
    ));
    let (bell, _) = watch::channel(());
    let clients = stage.part.clients(&stage.shape);
    let threads = setting.threads.min(clients as usize).max(1);
    let who = Arc::new(setting.who.clone());
    let mut crew = Vec::new();
    for thread in 0..threads {
        let worker = Worker {
            board: Arc::clone(&board),
            manner: Manner {
                who: Arc::clone(&who),
                filter: topics.filter.clone(),
                retain: setting.retain,
                publish_properties: setting.publish_properties.clone(),
                subscribe_properties: setting.subscribe_properties.clone(),
                reconnects: setting.reconnects,
                gap: stage.connect_rate.map(|rate| 1e9 * threads as f64 / rate),
            },
            name: format!("bench-{:x}-{run}", setting.nonce),
            thread,
            threads,
            bell: bell.subscribe(),
        };
        let spawned = std::thread::Builder::new()
            .name(format!("load-{thread}"))
            .spawn(move || worker.run());
        crew.push(spawned?);
    }
    let mut conductor = Conductor {
        board: &board,
        bell: &bell,
        setting,
        gate,
        progress,
    };
    let course = conductor.conduct();
    Ok(finish(&board, crew, course))
}

/// How two processes grew while clients connected, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    pub(super) tool: u64,
    pub(super) target: Option<u64>,
}

/// What the conductor alone knows.
#[derive(Default)]
struct Course {
    connect_seconds: Option<f64>,
    memory: Option<Growth>,
    seconds: Option<f64>,
    deaf: Option<(u64, u64)>,
    is_cut_short: bool,
    health: Health,
}

struct Conductor<'a> {
    board: &'a Board,
    bell: &'a watch::Sender<()>,
    setting: &'a Setting,
    gate: &'a mut dyn FnMut(Step) -> Option<u64>,
    progress: &'a mut dyn FnMut(&Tick),
}

impl Conductor<'_> {
    fn conduct(&mut self) -> Course {
        let mut course = Course::default();
        if self.connect(&mut course) && (self.gate)(Step::Routes).is_some() {
            course.deaf = self.listen();
            let is_cut = self.setting.stop.is_asked();
            let is_well = course.deaf.is_none() && !is_cut && !self.board.has_failed();
            if is_well && self.load(&mut course) {
                course.is_cut_short = !self.drain();
            }
        }
        self.enter(Phase::Leave);
        course
    }

    fn enter(&self, phase: Phase) {
        self.board.set_phase(phase);
        let _ = self.bell.send(());
    }

    /// Waits until `is_so`, or somebody has failed, or patience ends, or we are asked to stop; true
    /// in the first case.
    fn wait(&mut self, patience: Duration, is_so: impl FnMut(&Board) -> bool) -> bool {
        let stop = self.setting.stop.clone();
        self.wait_or(patience, is_so, || stop.is_asked())
    }

    fn wait_or(
        &mut self,
        patience: Duration,
        mut is_so: impl FnMut(&Board) -> bool,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let since = Instant::now();
        loop {
            if is_so(self.board) {
                return true;
            }
            if self.board.has_failed() || since.elapsed() >= patience || is_over() {
                return false;
            }
            self.tick();
            std::thread::sleep(STEP);
        }
    }

    fn tick(&mut self) {
        let board = self.board;
        let times = board.times();
        let share = match board.phase() {
            Phase::Connect | Phase::Sentinel => 0.0,
            Phase::Load => {
                let done = board.clock.now().saturating_sub(times.start) as f64;
                (done / (times.to - times.start) as f64).min(1.0)
            }
            Phase::Drain | Phase::Settle | Phase::Leave => 1.0,
        };
        (self.progress)(&Tick { board, share });
    }

    fn connect(&mut self, course: &mut Course) -> bool {
        let (own, target) = (std::process::id(), self.setting.target);
        let before = (resident(own), target.and_then(resident));
        let since = Instant::now();
        let stage = &self.board.stage;
        let all = stage.part.clients(&stage.shape);
        let is_ready = |board: &Board| board.ready.load(Ordering::Acquire) >= all;
        let rate = self.board.stage.connect_rate;
        let offered = rate.map_or(0.0, |rate| f64::from(all) / rate);
        let is_there = self.wait(
            CONNECT_PATIENCE + Duration::from_secs_f64(offered),
            is_ready,
        );
        if !is_there && !self.board.has_failed() && !self.setting.stop.is_asked() {
            let ready = self.board.ready.load(Ordering::Acquire);
            let what = format!("{ready} of {all} clients were connected and subscribed in time");
            self.board.fail("all", What::Unsendable(what));
        }
        if is_there {
            course.connect_seconds = Some(since.elapsed().as_secs_f64());
            let grown = |before: Option<u64>, after: Option<u64>| {
                after
                    .zip(before)
                    .map(|(after, before)| after.saturating_sub(before))
            };
            course.memory = grown(before.0, resident(own)).map(|tool| Growth {
                tool,
                target: grown(before.1, target.and_then(resident)),
            });
        }
        is_there
    }

    /// One message from each publisher: every route stands when all have come.
    fn listen(&mut self) -> Option<(u64, u64)> {
        let stage = &self.board.stage;
        let due = stage.part.deliveries(&stage.shape);
        self.enter(Phase::Sentinel);
        let came = Board::received;
        let bytes = due as f64 * stage.sizes.1 as f64;
        let patience = SENTINEL_PATIENCE + Duration::from_secs_f64(bytes / BYTES_SURELY);
        let have_all = self.wait(patience, |board| came(board) >= due);
        let is_cut = self.setting.stop.is_asked();
        (!have_all && !is_cut && !self.board.has_failed())
            .then(|| (due - came(self.board).min(due), due))
    }

    /// False when it has not even begun.
    fn load(&mut self, course: &mut Course) -> bool {
        let stage = &self.board.stage;
        let nanoseconds = |time: Duration| time.as_nanos() as u64;
        let Some(start) = (self.gate)(Step::Load) else {
            return false;
        };
        let start = start.max(self.board.clock.now() + nanoseconds(LEAD));
        let times = Times::new(
            start,
            nanoseconds(stage.warmup),
            nanoseconds(stage.duration),
        );
        self.board.set_times(times);
        self.enter(Phase::Load);
        let forever = Duration::MAX;
        if !self.wait(forever, |board| board.clock.now() >= times.from) {
            self.board.cut(self.board.clock.now());
            return true;
        }
        let before = Look::take(self.setting.target);
        let mut to = times.to;
        if !self.wait(forever, |board| board.clock.now() >= times.to) {
            if self.board.has_failed() {
                return true;
            }
            to = self.board.clock.now();
            self.board.cut(to);
        }
        let after = Look::take(self.setting.target);
        course.health = before.until(&after, self.setting.target);
        course.seconds = Some((to - times.from) as f64 / 1e9);
        true
    }

    /// Until everything that was sent is acknowledged and delivered, or nothing moves any more; false
    /// where patience ended before.
    fn drain(&mut self) -> bool {
        let mut moved = (Instant::now(), 0);
        self.enter(Phase::Drain);
        if self.settled(&mut moved) {
            return true;
        }
        // What is on the way when patience ends is late, not lost.
        self.enter(Phase::Settle);
        self.settled(&mut moved) || moved.0.elapsed() >= QUIET
    }

    /// False when patience or a signal ended the wait; `moved` is when something did last.
    fn settled(&mut self, moved: &mut (Instant, u64)) -> bool {
        let is_whole = self.board.stage.part.is_whole();
        let enough = Arc::clone(&self.setting.enough);
        let patience = self.board.stage.drain;
        let stop = self.setting.stop.clone();
        // Also of a run that was cut: what was sent is counted to its end.
        self.wait_or(
            patience,
            |board| {
                let (sent, acked, received) = (board.sent(), board.acked(), board.received());
                let is_done = has_sent_all(board);
                let has_come = match is_whole {
                    true => received >= board.expected(),
                    false => enough.load(Ordering::Acquire),
                };
                if is_done && has_come {
                    return true;
                }
                let sum = sent + acked + received;
                if sum != moved.1 {
                    *moved = (Instant::now(), sum);
                }
                is_done && moved.0.elapsed() >= QUIET
            },
            || stop.is_urgent(),
        )
    }
}

fn has_sent_all(board: &Board) -> bool {
    let stage = &board.stage;
    let pubs = match stage.shape.kind {
        Kind::Churn => 0,
        _ => stage.part.pubs(&stage.shape),
    };
    let is_done = board.done.load(Ordering::Acquire) >= pubs;
    is_done && (!stage.has_acks() || board.acked() >= board.sent())
}

fn finish(board: &Board, crew: Vec<JoinHandle<Gathered>>, course: Course) -> Outcome {
    // Those who share a subscription are all on the first one.
    let threads = match board.stage.shape.kind {
        Kind::Shared => 1,
        _ => crew.len(),
    };
    let mut tally = Tally::new();
    let mut published = Vec::new();
    let mut heard = Vec::new();
    for thread in crew {
        match thread.join() {
            Ok(gathered) => {
                tally.merge(&gathered.tally);
                published.extend(gathered.published);
                heard.extend(gathered.heard);
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let stage = &board.stage;
    let all = Apart { published, heard };
    for subscription in &all.heard {
        add_seen(subscription, stage.shape.kind, &mut tally);
    }
    tally.sent = all.published.iter().map(|one| one.sent).sum();
    let apart = match stage.part.is_whole() {
        true => {
            account(&stage.shape, board.is_verified, &all, &mut tally);
            None
        }
        false => Some(all),
    };
    let failures = std::mem::take(
        &mut *board
            .failures
            .lock()
            .expect("the threads that could panic have ended well"),
    );
    let times = board.times();
    Outcome {
        tally,
        seconds: course.seconds.filter(|_| failures.count == 0),
        failures,
        deaf: course.deaf,
        is_cut_short: course.is_cut_short,
        health: course.health,
        threads,
        connect_seconds: course.connect_seconds,
        memory: course.memory,
        warmup_points: (times.from.saturating_sub(times.start) / times.width) as usize,
        point_seconds: times.width as f64 / 1e9,
        apart,
    }
}

fn add_seen(subscription: &Heard, kind: Kind, tally: &mut Tally) {
    for seen in &subscription.seen {
        let mut seen = *seen;
        if kind == Kind::Shared {
            // Members of a group read on their own: between them there is no order to break.
            seen.reordered = 0;
        }
        tally.seen.add(&seen);
    }
}

/// What was sent against what was seen: how much was to come, and how much of it never did. Pure.
pub(super) fn account(shape: &Shape, is_verified: bool, all: &Apart, tally: &mut Tally) {
    let mut sent = vec![0; shape.pubs as usize];
    for one in &all.published {
        let delivered = one.sent - one.refused.min(one.sent);
        sent[one.publisher as usize] = delivered;
        tally.expected += delivered * u64::from(shape.copies(one.publisher));
    }
    if !is_verified {
        return;
    }
    for subscription in &all.heard {
        for (place, seen) in subscription.seen.iter().enumerate() {
            let publisher = match subscription.wanted {
                None => place,
                Some(topic) => place * shape.topics as usize + topic as usize,
            };
            tally.lost += seen.lost(sent[publisher]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::load::track::Seen;

    #[test]
    fn what_was_sent_against_what_was_seen() {
        let shape = Shape {
            kind: Kind::Pubsub,
            pubs: 3,
            subs: 2,
            topics: 2,
        };
        let publish = |publisher, sent, refused| Published {
            publisher,
            sent,
            refused,
        };
        let seen = |unique| Seen {
            unique,
            ..Seen::default()
        };
        // Publishers 0 and 2 share topic 0, publisher 1 has topic 1.
        let published = [publish(2, 30, 5), publish(0, 10, 0), publish(1, 20, 0)];
        let heard = [
            Heard {
                wanted: Some(1),
                seen: vec![seen(18)],
            },
            Heard {
                wanted: Some(0),
                seen: vec![seen(10), seen(24)],
            },
        ];
        let mut tally = Tally::new();
        let all = Apart {
            published: published.to_vec(),
            heard: heard.to_vec(),
        };
        account(&shape, true, &all, &mut tally);
        assert_eq!((tally.expected, tally.lost), (55, 3));
    }
}
