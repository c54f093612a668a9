//! What the broker owes: Sessions, Subscriptions, retained messages and wills, kept as plainly as
//! the standard tells of them. Fed with the packets that the broker took in, in their order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use mqttx::mqtt::connect::Connect;
use mqttx::mqtt::property::{Properties, PropertyId};
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::{Packet, QoS, Reason, Version, topic};

use crate::support::core::LinkId;

/// The broker counts in tenths of a second: nearer than this, either is right.
const VAGUE: Duration = Duration::from_millis(300);

/// The user who may not have messages of `secret/#`.
pub(crate) const GUEST: &str = "guest";

pub(crate) type InstanceId = usize;

/// One Session from its beginning to its end.
#[derive(Default)]
pub(crate) struct Instance {
    pub(crate) client: String,
    guest: bool,
    pub(crate) filters: BTreeMap<String, Granted>,
    /// Every filter it ever had.
    pub(crate) asked: BTreeSet<String>,
    /// QoS 2 messages between PUBLISH and PUBREL.
    inbound: BTreeMap<u16, String>,
    link: Option<LinkId>,
    /// Session Expiry Interval in seconds.
    expiry: u32,
    lost_at: Option<Instant>,
    pub(crate) ended: bool,
    /// What must or may come, by payload.
    pub(crate) owed: BTreeMap<String, Owed>,
    will: Option<PlannedWill>,
    will_due: Option<Instant>,
}

#[derive(Clone, Copy)]
pub(crate) struct Granted {
    qos: QoS,
    no_local: bool,
}

/// A message for a Session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owed {
    /// How often it was published; a client that lost its Session may publish it again.
    pub(crate) times: u32,
    /// The lowest of the QoS it was owed at.
    pub(crate) qos: u8,
    /// Its place in the order in which messages were first owed.
    pub(crate) number: usize,
}

struct PlannedWill {
    payload: String,
    delay: u32,
}

/// What is to become of a will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Never,
    Once,
    Either,
}

/// A message as it was first taken in.
pub(crate) struct Origin {
    /// The Session it came by: between two of one client there is no order.
    pub(crate) publisher: InstanceId,
    pub(crate) topic: String,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) instances: Vec<Instance>,
    living: HashMap<String, InstanceId>,
    pub(crate) links: HashMap<LinkId, InstanceId>,
    pub(crate) resumed: HashMap<LinkId, bool>,
    pub(crate) retained: BTreeMap<String, String>,
    /// Topics of which the model cannot say what is retained.
    pub(crate) doubtful: BTreeSet<String>,
    pub(crate) ever_retained: BTreeSet<(String, String)>,
    /// Messages of each shared filter.
    pub(crate) groups: BTreeMap<String, BTreeMap<String, Owed>>,
    /// Messages taken in, those that were sent again included.
    routed: usize,
    /// The same by payload.
    pub(crate) takings: HashMap<String, u32>,
    pub(crate) origins: HashMap<String, Origin>,
    pub(crate) wills: BTreeMap<String, Fate>,
    /// Messages whose publishers were told that the broker has them.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Messages the broker took in and did not acknowledge before it died.
    pub(crate) risky: BTreeSet<String>,
}

impl Model {
    /// Packets that the broker took from a link.
    pub(crate) fn taken(&mut self, link: LinkId, version: Version, mut bytes: &[u8], now: Instant) {
        use mqttx::mqtt::frame::{Scan, scan};
        while let Ok(Scan::Head(head)) = scan(bytes, usize::MAX) {
            let (frame, rest) = bytes.split_at(head.total());
            bytes = rest;
            self.packet(link, version, &Packet::decode(frame, version).unwrap(), now);
        }
        assert!(bytes.is_empty(), "the broker takes whole packets");
    }

    fn packet(&mut self, link: LinkId, version: Version, packet: &Packet<'_>, now: Instant) {
        if let Packet::Connect(connect) = packet {
            return self.connect(link, connect, now);
        }
        let Some(&id) = self.links.get(&link) else {
            return;
        };
        if self.instances[id].link != Some(link) {
            return;
        }
        match packet {
            Packet::Publish(publish) => self.publish(id, publish),
            Packet::Pubrel(ack) => {
                self.instances[id].inbound.remove(&ack.packet_id.value());
            }
            Packet::Subscribe(subscribe) => {
                for (filter, options) in subscribe.filters() {
                    let granted = Granted {
                        qos: options.qos,
                        no_local: options.no_local,
                    };
                    let instance = &mut self.instances[id];
                    instance.asked.insert(filter.to_owned());
                    instance.filters.insert(filter.to_owned(), granted);
                }
            }
            Packet::Unsubscribe(unsubscribe) => {
                for filter in unsubscribe.filters() {
                    self.instances[id].filters.remove(filter);
                }
            }
            Packet::Disconnect(disconnect) => {
                let with_will =
                    version.is_v5() && disconnect.reason != Reason::NORMAL_DISCONNECTION;
                if !with_will {
                    self.instances[id].will = None;
                }
                self.lost(link, now);
            }
            _ => {}
        }
    }

    fn connect(&mut self, link: LinkId, connect: &Connect<'_>, now: Instant) {
        self.tick(now);
        let before = self.living.get(connect.client_id).copied();
        if let Some(id) = before {
            if let Some(old) = self.instances[id].link
                && connect.clean_start
            {
                // The Session ends with the connection that is taken over, and the will is due.
                self.instances[id].expiry = 0;
                self.lost(old, now);
            } else if let Some(old) = self.instances[id].link {
                self.lost(old, now);
            }
        }
        let before = before.filter(|&id| !self.instances[id].ended);
        let id = match before {
            Some(id) if !connect.clean_start => {
                self.back(id, now);
                id
            }
            _ => {
                if let Some(id) = before {
                    self.end(id, now);
                }
                self.instances.push(Instance {
                    client: connect.client_id.to_owned(),
                    guest: connect.user_name == Some(GUEST),
                    ..Instance::default()
                });
                self.instances.len() - 1
            }
        };
        self.resumed
            .insert(link, Some(id) == before && !connect.clean_start);
        self.living.insert(connect.client_id.to_owned(), id);
        self.links.insert(link, id);
        let instance = &mut self.instances[id];
        instance.link = Some(link);
        instance.lost_at = None;
        instance.expiry = expiry(connect);
        instance.will = connect.will.as_ref().map(|will| PlannedWill {
            payload: text(will.payload),
            delay: four(will.properties, PropertyId::WillDelayInterval),
        });
        if let Some(will) = &connect.will {
            self.wills.insert(text(will.payload), Fate::Never);
        }
    }

    /// A Session that had lost its connection has one again.
    fn back(&mut self, id: InstanceId, now: Instant) {
        let Some(due) = self.instances[id].will_due.take() else {
            return;
        };
        if let Some(will) = self.instances[id].will.take() {
            let fate = if due + VAGUE > now && due < now + VAGUE {
                Fate::Either
            } else {
                Fate::Never
            };
            self.wills.insert(will.payload, fate);
        }
    }

    /// A Network Connection is gone.
    pub(crate) fn lost(&mut self, link: LinkId, now: Instant) {
        let Some(&id) = self.links.get(&link) else {
            return;
        };
        let instance = &mut self.instances[id];
        if instance.link != Some(link) {
            return;
        }
        instance.link = None;
        instance.lost_at = Some(now);
        if let Some(will) = &instance.will {
            let delay = will.delay.min(instance.expiry);
            instance.will_due = Some(now + Duration::from_secs(delay.into()));
            if delay == 0 {
                self.speak(id);
            }
        }
        if self.instances[id].expiry == 0 {
            self.end(id, now);
        }
    }

    fn speak(&mut self, id: InstanceId) {
        self.instances[id].will_due = None;
        if let Some(will) = self.instances[id].will.take() {
            self.wills.insert(will.payload, Fate::Once);
        }
    }

    fn end(&mut self, id: InstanceId, _now: Instant) {
        self.speak(id);
        self.instances[id].ended = true;
        self.instances[id].link = None;
        let client = self.instances[id].client.clone();
        if self.living.get(&client) == Some(&id) {
            self.living.remove(&client);
        }
    }

    /// The connections that stand.
    pub(crate) fn standing(&self) -> Vec<LinkId> {
        let links = self.instances.iter().filter_map(|instance| instance.link);
        links.collect()
    }

    /// The broker died and is back: all connections are gone, and so is what it never promised.
    pub(crate) fn restart(&mut self, now: Instant) {
        let unsure = self
            .origins
            .keys()
            .filter(|payload| !self.acknowledged.contains(*payload));
        let unsure: Vec<String> = unsure.cloned().collect();
        self.risky.extend(unsure);
        for id in 0..self.instances.len() {
            let instance = &mut self.instances[id];
            if instance.ended {
                continue;
            }
            // Whether it was on its way already, or goes out now, is the broker's choice.
            if let Some(will) = instance.will.take() {
                self.wills.insert(will.payload, Fate::Either);
            }
            instance.will_due = None;
            let risky = &self.risky;
            instance
                .inbound
                .retain(|_, payload| !risky.contains(payload));
            if instance.link.take().is_some() {
                instance.lost_at = Some(now);
                if instance.expiry == 0 {
                    self.end(id, now);
                }
            }
        }
    }

    /// What time alone brings about.
    pub(crate) fn tick(&mut self, now: Instant) {
        for id in 0..self.instances.len() {
            let instance = &self.instances[id];
            if instance.ended || instance.link.is_some() {
                continue;
            }
            if instance.will_due.is_some_and(|due| due + VAGUE <= now) {
                self.speak(id);
            }
            let instance = &self.instances[id];
            let over = instance.lost_at.is_some_and(|at| {
                let life = Duration::from_secs(instance.expiry.into());
                instance.expiry != u32::MAX && at + life <= now
            });
            if over {
                self.end(id, now);
            }
        }
    }

    /// Whether a Session could just now be there or not: a CONNECT for it has to wait.
    pub(crate) fn is_vague(&self, client: &str, now: Instant) -> bool {
        self.instances.iter().any(|instance| {
            let life = Duration::from_secs(instance.expiry.into());
            instance.client == client
                && instance.expiry != u32::MAX
                && instance
                    .lost_at
                    .is_some_and(|at| at + life + VAGUE > now && at + life < now + VAGUE)
        })
    }

    fn publish(&mut self, from: InstanceId, publish: &Publish<'_>) {
        let payload = text(publish.payload);
        if publish.qos == QoS::ExactlyOnce {
            let id = publish.packet_id.unwrap().value();
            let inbound = &mut self.instances[from].inbound;
            if inbound.insert(id, payload.clone()).is_some() {
                return;
            }
        }
        if publish.retain {
            if self.risky.contains(&payload) {
                // Whether the broker had it before it died decides if this one counts.
                self.doubtful.insert(publish.topic.to_owned());
            } else {
                self.doubtful.remove(publish.topic);
            }
            if payload.is_empty() {
                self.retained.remove(publish.topic);
            } else {
                let (topic, payload) = (publish.topic.to_owned(), payload.clone());
                self.ever_retained.insert((topic.clone(), payload.clone()));
                self.retained.insert(topic, payload);
            }
        }
        if payload.is_empty() {
            return;
        }
        self.origins
            .entry(payload.clone())
            .or_insert_with(|| Origin {
                publisher: from,
                topic: publish.topic.to_owned(),
            });
        self.route(from, publish.topic, publish.qos, &payload);
    }

    fn route(&mut self, from: InstanceId, topic: &str, qos: QoS, payload: &str) {
        self.routed += 1;
        let number = self.routed;
        *self.takings.entry(payload.to_owned()).or_default() += 1;
        let mut groups = BTreeSet::new();
        for (id, instance) in self.instances.iter_mut().enumerate() {
            if instance.ended || (instance.guest && topic.starts_with("secret/")) {
                continue;
            }
            let mut granted: Option<QoS> = None;
            for (filter, options) in &instance.filters {
                if let Some((_, plain)) = topic::split_share(filter) {
                    if topic::matches(plain, topic) {
                        groups.insert(filter.clone());
                    }
                } else if topic::matches(filter, topic) && !(options.no_local && id == from) {
                    granted = granted.max(Some(options.qos));
                }
            }
            if let Some(granted) = granted {
                let qos = qos.min(granted).bits();
                // QoS 0 may be lost, and is for nobody who is away.
                owe(&mut instance.owed, payload, qos, number);
            }
        }
        for group in groups {
            let owed = self.groups.entry(group).or_default();
            owe(owed, payload, qos.bits(), number);
        }
    }
}

fn owe(all: &mut BTreeMap<String, Owed>, payload: &str, qos: u8, number: usize) {
    let owed = all.entry(payload.to_owned()).or_insert(Owed {
        times: 0,
        qos,
        number,
    });
    owed.times += 1;
    owed.qos = owed.qos.min(qos);
}

fn expiry(connect: &Connect<'_>) -> u32 {
    match (connect.version.is_v5(), connect.clean_start) {
        (true, _) => four(connect.properties, PropertyId::SessionExpiryInterval),
        (false, true) => 0,
        (false, false) => u32::MAX,
    }
}

fn four(properties: Properties<'_>, id: PropertyId) -> u32 {
    properties.four(id).unwrap_or(0)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
