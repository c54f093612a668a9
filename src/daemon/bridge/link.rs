//! One bridge over all its connections: when it connects, what it carries while it is connected,
//! and how long it waits in between.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::daemon::bridge::Starting;
use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::bridge::failures::Failures;
use crate::daemon::bridge::greeting::{self, Greeted, Manner, Refusal};
use crate::daemon::bridge::pipe::Pipe;
use crate::daemon::bridge::relay::{Came, LOCAL_VERSION, Relay, Takes};
use crate::daemon::bridge::topics::{self, Side};
use crate::daemon::conf::bridge_words::{RestartTimeout, StartType};
use crate::daemon::conf::log_words::LogType;
use crate::daemon::log::Log;
use crate::daemon::sys;
use crate::daemon::workers::Workers;
use crate::mqtt::Packet;
use crate::mqtt::PacketId;
use crate::mqtt::PacketType;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::ack;
use crate::mqtt::subscribe::RetainHandling;
use crate::net::system_words;

/// Bytes that wait for one side; above it the other one is not read from.
const ROOM: usize = 262_144;

/// How long the last bytes may take.
const GOODBYE_TIME: Duration = Duration::from_secs(2);

/// How often the first address is tried while another one serves.
const PRIMARY_EVERY: Duration = Duration::from_secs(5);

/// Why a connection is over.
enum Ended {
    /// The configuration changed, or the bridge is to end.
    Changed,
    /// Nothing was carried for a while.
    Idle,
    /// The first address answers again.
    Primary,
    /// The other broker refused.
    Refused(Reason),
    /// Something went wrong, here or there.
    Failed(io::Error),
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Refused(reason) => Self::Refused(reason),
            Refusal::Failed(error) => Self::Failed(error),
        }
    }
}

/// See the module.
pub(crate) struct Link {
    workers: Workers,
    log: Log,
    failures: Failures,
    wish: watch::Receiver<Option<BridgeConf>>,
    manner: Manner,
    /// The address in use.
    place: usize,
    pause: Duration,
    /// QoS 2 messages from there that are not released yet; `None`: nobody knows, they are from
    /// before the start.
    unreleased: Option<HashSet<PacketId>>,
    /// Whether it is connected, as it was told here.
    told: Option<bool>,
    /// Let go once messages are gathered.
    pub(crate) starting: Option<Starting>,
}

impl Link {
    pub(crate) fn new(
        workers: Workers,
        log: Log,
        wish: watch::Receiver<Option<BridgeConf>>,
        failures: &Failures,
    ) -> Self {
        Self {
            workers,
            log,
            failures: failures.clone(),
            wish,
            manner: Manner {
                private: true,
                retain: true,
                qos_max: QoS::ExactlyOnce,
            },
            place: 0,
            pause: Duration::ZERO,
            unreleased: None,
            told: None,
            starting: None,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut last: Option<Arc<BridgeConf>> = None;
        loop {
            let Some(conf) = self.wish.borrow_and_update().clone() else {
                break;
            };
            let conf = Arc::new(conf);
            if last.as_deref() != Some(&*conf) {
                self.take_on(&conf).await;
                self.starting = None;
            }
            last = Some(Arc::clone(&conf));
            let begun = Instant::now();
            let ended = self.connection(&conf).await;
            self.tell_state(&conf, false);
            if !self.rest(&conf, ended, begun).await {
                break;
            }
        }
        if let Some(conf) = last {
            self.tell_state(&conf, false);
        }
    }

    /// A configuration that is new: its Session here gathers messages from now on.
    async fn take_on(&mut self, conf: &Arc<BridgeConf>) {
        self.place = 0;
        self.pause = Duration::ZERO;
        self.manner = Manner {
            private: conf.try_private,
            retain: true,
            qos_max: QoS::ExactlyOnce,
        };
        self.told = None;
        self.tell_state(conf, false);
        if conf.local_clean {
            return;
        }
        let replay = RetainHandling::DoNotSend;
        if let Ok(greeted) = greeting::greet_local(conf, &self.workers, replay).await {
            if !greeted.session_present {
                self.unreleased = Some(HashSet::new());
            }
            let mut pipe = greeted.pipe;
            // Its SUBACK first, if anything goes out: from then on nothing is missed.
            let subscribed = |packet: &Packet<'_>| matches!(packet, Packet::Suback(_));
            let mut is_there = topics::filters(&conf.topics, Side::Local).is_empty();
            while !is_there {
                is_there = pipe.reader.next(subscribed).await.unwrap_or(true);
            }
            self.leave_local(pipe).await;
        }
    }

    async fn leave_local(&self, mut pipe: Pipe) {
        let mut bytes = Vec::new();
        greeting::goodbye(LOCAL_VERSION, &mut bytes);
        pipe.writer.close(&bytes).await;
    }

    /// Waits until the next attempt. False: there is none.
    async fn rest(&mut self, conf: &BridgeConf, ended: Ended, begun: Instant) -> bool {
        match &ended {
            Ended::Changed | Ended::Idle => return true,
            Ended::Primary => {
                self.place = 0;
                return true;
            }
            Ended::Refused(reason) => {
                let refused = format!("Connection Refused: {}", why(conf, *reason));
                self.say(&refused);
                self.failures.note(&conf.name, refused);
                if *reason == Reason::UNSUPPORTED_PROTOCOL_VERSION && conf.version.is_v5() {
                    let name = &conf.name;
                    self.say(&format!(
                        "Bridge {name}: the other broker does not speak MQTT 5.0, \
                         try bridge_protocol_version mqttv311."
                    ));
                }
                if self.learn(conf, *reason) {
                    return true;
                }
            }
            Ended::Failed(error) => {
                let (name, words) = (&conf.name, system_words(error));
                self.say(&format!("Bridge {name} disconnected: {words}."));
                self.failures.note(name, words);
            }
        }
        if conf.start == StartType::Once {
            // Until the configuration changes.
            return self.wish.changed().await.is_ok();
        }
        self.place = (self.place + 1) % conf.addresses.len();
        let pause = self.next_pause(conf, begun.elapsed());
        let (name, millis) = (&conf.name, pause.as_millis());
        self.say(&format!("Bridge {name} next backoff will be {millis} ms"));
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            changed = self.wish.changed() => changed.is_ok(),
        }
    }

    /// A refusal that tells how to ask better. False: it does not.
    fn learn(&mut self, conf: &BridgeConf, reason: Reason) -> bool {
        let v5 = conf.version.is_v5();
        match reason {
            Reason::RETAIN_NOT_SUPPORTED if v5 && self.manner.retain => {
                self.manner.retain = false;
                true
            }
            Reason::QOS_NOT_SUPPORTED if v5 && self.manner.qos_max > QoS::AtMostOnce => {
                self.manner.qos_max = match self.manner.qos_max {
                    QoS::ExactlyOnce => QoS::AtLeastOnce,
                    _ => QoS::AtMostOnce,
                };
                true
            }
            Reason(1) if !v5 && self.manner.private => {
                self.manner.private = false;
                true
            }
            _ => false,
        }
    }

    fn next_pause(&mut self, conf: &BridgeConf, stood: Duration) -> Duration {
        match conf.restart {
            RestartTimeout::Constant(pause) => pause,
            RestartTimeout::Backoff(base, cap, stable) => {
                if stood >= stable.max(cap) || self.pause.is_zero() {
                    self.pause = base;
                    return base;
                }
                // Grows at random, so that bridges that were cut together come back one by one.
                let most = (self.pause * 3).min(cap).max(base);
                let span = (most - base).as_millis() as u64 + 1;
                let random = RandomState::new().hash_one(stood);
                self.pause = base + Duration::from_millis(random % span);
                self.pause
            }
        }
    }

    /// From the first byte to the last of a connection.
    async fn connection(&mut self, conf: &Arc<BridgeConf>) -> Ended {
        let mut early = None;
        if conf.start == StartType::Lazy {
            match self.gather(conf).await {
                Ok(gathered) => early = Some(gathered),
                Err(ended) => return ended,
            }
        }
        let address = &conf.addresses[self.place];
        let (name, host, port) = (&conf.name, &address.host, address.port);
        self.say(&format!("Connecting bridge {name} ({host}:{port})"));
        let greeted = tokio::select! {
            greeted = greeting::greet_remote(conf, self.place, self.manner) => greeted,
            _ = self.wish.changed() => return Ended::Changed,
        };
        let remote = match greeted {
            Ok(remote) => remote,
            Err(refusal) => {
                if let Refusal::Failed(error) = &refusal
                    && error.kind() == io::ErrorKind::UnexpectedEof
                {
                    // Some close without an answer to a protocol level they do not know.
                    self.manner.private = false;
                }
                return refusal.into();
            }
        };
        let (local, frames) = match early {
            Some(gathered) => gathered,
            None => {
                let replay = RetainHandling::Send;
                match greeting::greet_local(conf, &self.workers, replay).await {
                    Ok(local) => (local, Vec::new()),
                    Err(Refusal::Failed(error)) => return Ended::Failed(error),
                    Err(Refusal::Refused(reason)) => {
                        let what = format!("its own broker refused it: {}", reason.name());
                        return Ended::Failed(io::Error::other(what));
                    }
                }
            }
        };
        let mut relay = Relay::new(Arc::clone(conf), remote.takes);
        self.agree(conf, &mut relay, &local, &remote);
        greeting::introduce(conf, remote.takes, &mut relay);
        for frame in frames {
            if let Ok(packet) = Packet::decode(&frame, LOCAL_VERSION) {
                relay.take(Side::Local, &packet);
            }
        }
        self.say(&format!("Bridge {name} connected to {host}:{port}."));
        self.tell_state(conf, true);
        let ended = self
            .carry(conf, &mut relay, remote.pipe, local.pipe, remote.takes)
            .await;
        if relay.lost > 0 {
            let lost = relay.lost;
            self.say(&format!(
                "Bridge {name}: {lost} messages were too large or refused."
            ));
        }
        self.unreleased = Some(relay.unreleased);
        ended
    }

    /// Handshakes of QoS 2 that only one side remembers are ended there, or a new message of that
    /// Packet Identifier would be taken for the old one.
    fn agree(&self, conf: &BridgeConf, relay: &mut Relay, local: &Greeted, remote: &Greeted) {
        let all = || (1..=u16::MAX).filter_map(PacketId::new);
        let twice = |side| {
            let filters = topics::filters(&conf.topics, side);
            filters.iter().any(|(_, qos)| *qos == QoS::ExactlyOnce)
        };
        if local.session_present && remote.session_present {
            relay.unreleased = self.unreleased.clone().unwrap_or_default();
            return;
        }
        if local.session_present && twice(Side::Remote) {
            let stale: Vec<PacketId> = match &self.unreleased {
                Some(known) => known.iter().copied().collect(),
                None => all().collect(),
            };
            for id in stale {
                ack::put_ack(PacketType::Pubrel, id, &mut relay.to_local);
                relay.hushed[Side::Local as usize] += 1;
            }
        }
        if remote.session_present && twice(Side::Local) {
            for id in all() {
                ack::put_ack(PacketType::Pubrel, id, &mut relay.to_remote);
                relay.hushed[Side::Remote as usize] += 1;
            }
        }
    }

    /// Waits until enough messages for a lazy bridge are there.
    async fn gather(&mut self, conf: &BridgeConf) -> Result<(Greeted, Vec<Vec<u8>>), Ended> {
        let replay = RetainHandling::Send;
        let mut local = greeting::greet_local(conf, &self.workers, replay).await?;
        let mut frames: Vec<Vec<u8>> = Vec::new();
        loop {
            let frame = tokio::select! {
                frame = local.pipe.reader.next(|packet| match packet {
                    Packet::Publish(_) | Packet::Pubrel(_) => {
                        let mut frame = Vec::new();
                        packet.encode(LOCAL_VERSION, &mut frame);
                        Some(frame)
                    }
                    _ => None,
                }) => frame.map_err(Ended::Failed)?,
                _ = self.wish.changed() => {
                    self.leave_local(local.pipe).await;
                    return Err(Ended::Changed);
                }
            };
            frames.extend(frame);
            if frames.len() >= conf.threshold.max(1) {
                return Ok((local, frames));
            }
        }
    }

    async fn carry(
        &mut self,
        conf: &BridgeConf,
        relay: &mut Relay,
        mut remote: Pipe,
        mut local: Pipe,
        takes: Takes,
    ) -> Ended {
        let mut primary = Primary::watch(conf, self.place);
        let keep_alive = Duration::from_secs(conf.keep_alive.into());
        let (mut said, mut heard, mut carried) = (Instant::now(), Instant::now(), Instant::now());
        let ended = loop {
            let silent = heard + keep_alive * 3 / 2;
            let idle = (conf.start == StartType::Lazy).then(|| carried + conf.idle);
            let due = idle
                .map_or(silent, |idle| idle.min(silent))
                .min(said + keep_alive);
            let result = tokio::select! {
                read = remote.reader.fill(), if relay.to_local.len() < ROOM => {
                    heard = Instant::now();
                    read
                }
                read = local.reader.fill(), if relay.to_remote.len() < ROOM => read,
                sent = remote.writer.drain(&mut relay.to_remote), if !relay.to_remote.is_empty() => {
                    said = Instant::now();
                    sent
                }
                sent = local.writer.drain(&mut relay.to_local), if !relay.to_local.is_empty() => sent,
                () = tokio::time::sleep_until(due) => {
                    let now = Instant::now();
                    if idle.is_some_and(|idle| idle <= now) {
                        break Ended::Idle;
                    }
                    if silent <= now {
                        break Ended::Failed(io::Error::other("exceeded timeout"));
                    }
                    said = now;
                    Packet::Pingreq.encode(conf.version, &mut relay.to_remote);
                    Ok(())
                }
                () = primary.answers() => break Ended::Primary,
                _ = self.wish.changed() => break Ended::Changed,
            };
            if let Err(error) = result {
                break Ended::Failed(error);
            }
            match exchange(relay, &mut remote, &mut local) {
                Ok(Some(Came::Message)) => carried = Instant::now(),
                Ok(Some(Came::End(reason))) => {
                    let what = format!("the other side said goodbye: {}", reason.name());
                    break Ended::Failed(io::Error::other(what));
                }
                Ok(_) => {}
                Err(error) => break Ended::Failed(error),
            }
        };
        if !matches!(ended, Ended::Failed(_)) {
            greeting::farewell(conf, takes, &mut relay.to_remote);
        }
        greeting::goodbye(LOCAL_VERSION, &mut relay.to_local);
        // Messages in flight stay in both Sessions; what comes now is a courtesy.
        let polite = async {
            remote.writer.close(&relay.to_remote).await;
            local.writer.close(&relay.to_local).await;
        };
        let _ = tokio::time::timeout(GOODBYE_TIME, polite).await;
        ended
    }

    fn say(&self, line: &str) {
        self.log.say(LogType::Notice, line);
    }

    /// Tells here whether the bridge is connected, once.
    fn tell_state(&mut self, conf: &BridgeConf, connected: bool) {
        if self.told.replace(connected) == Some(connected) {
            return;
        }
        let Some(topic) = &conf.notification else {
            return;
        };
        let text = if connected { "1" } else { "0" };
        let message = sys::state_message(topic, text, std::time::Instant::now());
        self.workers.tell(0, move |worker| {
            worker.broker.publish_sys(&[message], worker.now);
        });
    }
}

/// Everything that is here from both sides goes to the other one.
fn exchange(relay: &mut Relay, remote: &mut Pipe, local: &mut Pipe) -> io::Result<Option<Came>> {
    let mut came = None;
    for (side, pipe) in [(Side::Remote, remote), (Side::Local, local)] {
        pipe.reader.packets(|packet| {
            let this = relay.take(side, packet);
            if this != Came::Other {
                came = Some(this);
            }
            !matches!(this, Came::End(_))
        })?;
        if matches!(came, Some(Came::End(_))) {
            break;
        }
    }
    Ok(came)
}

/// Waits for the first address while another one serves.
struct Primary(Option<tokio::task::JoinHandle<()>>);

impl Primary {
    fn watch(conf: &BridgeConf, place: usize) -> Self {
        if place == 0 || conf.round_robin {
            return Self(None);
        }
        let first = (conf.addresses[0].host.clone(), conf.addresses[0].port);
        Self(Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(PRIMARY_EVERY).await;
                let (host, port) = &first;
                if tokio::net::TcpStream::connect((host.as_str(), *port))
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        })))
    }

    async fn answers(&mut self) {
        match &mut self.0 {
            Some(task) => {
                let _ = task.await;
            }
            None => std::future::pending().await,
        }
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

fn why(conf: &BridgeConf, reason: Reason) -> String {
    if conf.version.is_v5() {
        return reason.name().to_owned();
    }
    Reason::v3_connect_name(reason.value()).to_owned()
}
