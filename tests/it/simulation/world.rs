//! What happens, decided by chance: one step after the other, all in virtual time.

use std::sync::Arc;
use std::time::Duration;

use mqttx::broker::Cause;
use mqttx::broker::access::Access;
use mqttx::broker::access::pattern::Pattern;
use mqttx::broker::access::rules::{Actions, Rule, RuleList, Rules};
use mqttx::broker::limits::Limits;

use crate::simulation::device::Device;
use crate::simulation::model::{GUEST, Model};
use crate::support::chance::Chance;
use crate::support::core::Core;
use crate::support::teller::Teller;

const TOPICS: [&str; 5] = ["t/0", "t/1", "t/2", "u", "secret/x"];
const FILTERS: [&str; 6] = ["t/0", "t/+", "t/#", "#", "+", "secret/#"];

/// One filter for the members of a share, who have no other.
pub(crate) const SHARE: &str = "$share/g/t/#";

/// What one run did, for whoever wants to know that it was no idle one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// Messages that arrived at clients.
    pub(crate) delivered: usize,
    /// Sessions there were.
    pub(crate) sessions: usize,
    /// Wills that had to speak.
    pub(crate) wills: usize,
}

pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) model: Model,
    pub(crate) devices: Vec<Device>,
    workers: usize,
}

/// Runs the world of one seed for so many steps. Panics where a promise is broken. Where it is to
/// be told, everything that happens is written to stderr.
pub(crate) fn run(seed: u64, steps: usize, told: bool) -> Report {
    let mut chance = Chance::new(seed);
    let mut world = World::new(&mut chance, told);
    for _ in 0..steps {
        world.step(&mut chance);
        world.note();
    }
    world.settle();
    world.check()
}

impl World {
    fn new(chance: &mut Chance, told: bool) -> Self {
        let workers = 1 + chance.below(3);
        let limits = Limits {
            outbox_bytes_max: [600, 4_096, 1_048_576][chance.below(3)],
            inflight_max: [2, 20, 1_000][chance.below(3)],
            ..Limits::default()
        };
        let mut core = Core::with_access(workers as u16, limits, &access());
        if chance.below(2) == 0 {
            core.keep();
        }
        core.taken = Some(Vec::new());
        core.teller = told.then(|| Teller::new(core.now));
        let mut devices = vec![Device::new("watch", true, chance).lasting()];
        for name in ["share-a", "share-b"] {
            devices.push(Device::new(name, true, chance));
        }
        devices.push(Device::new("guest", false, chance).user(GUEST));
        for number in 0..3 + chance.below(5) {
            let device = Device::new(&format!("d{number}"), false, chance);
            devices.push(device.mortal(chance));
        }
        let mut world = Self {
            core,
            model: Model::default(),
            devices,
            workers,
        };
        world.settle();
        world.devices[0].subscribe("will/#", 2);
        world.devices[1].subscribe(SHARE, 2);
        world.devices[2].subscribe(SHARE, 2);
        world.settle();
        world
    }

    /// Tells the model what the broker has taken in, and what it has ended.
    fn note(&mut self) {
        for device in &mut self.devices {
            self.model
                .acknowledged
                .extend(device.acknowledged.drain(..));
        }
        let taken = std::mem::take(self.core.taken.as_mut().unwrap());
        for (link, bytes) in taken {
            let version = self.core.version_of(link);
            self.model.taken(link, version, &bytes, self.core.now);
        }
        for link in self.model.standing() {
            match self.core.cause(link) {
                None | Some(Cause::TakenOver | Cause::Disconnected(_)) => {}
                Some(Cause::KeepAlive) => self.model.lost(link, self.core.now),
                Some(cause) => panic!("a client that keeps all rules is thrown out: {cause:?}"),
            }
        }
        self.model.tick(self.core.now);
    }

    fn step(&mut self, chance: &mut Chance) {
        let number = chance.below(self.devices.len());
        let device = &mut self.devices[number];
        let (core, model) = (&mut self.core, &mut self.model);
        let free = number > 2;
        match chance.below(300) {
            200.. | 0..50 => {
                let topic = TOPICS[chance.below(TOPICS.len())];
                let (retain, empty) = (chance.below(5) == 0, chance.below(20) == 0);
                device.publish(topic, chance.below(3) as u8, retain, retain && empty);
            }
            50..100 => {
                if !(device.is_asking(model) && model.is_vague(&device.name, core.now)) {
                    device.arrive(core, 1 + chance.below(200));
                }
            }
            100..150 => device.read(core, model),
            150..157 => device.cut(core, model),
            157..172 => {
                let anew = free && chance.below(6) == 0;
                // Sometimes while the connection before it still stands.
                if device.link.is_none() || chance.below(8) == 0 {
                    device.connect(core, chance.below(self.workers), anew);
                }
            }
            172..176 if free => {
                let options = chance.below(3) as u8 | ((chance.below(4) == 0) as u8) << 2;
                device.subscribe(FILTERS[chance.below(FILTERS.len())], options);
            }
            176..178 if free => device.unsubscribe(FILTERS[chance.below(FILTERS.len())]),
            178..180 => device.leave(chance.below(2) == 0),
            180..182 => core.crossings_held = chance.below(2) == 0,
            182..186 => {
                core.deliver_crossings();
            }
            186..190 => {
                if let Some(link) = device.link {
                    let room = (chance.below(2) == 0).then(|| chance.below(300));
                    core.set_room(link, room);
                }
            }
            190..192 => device.ping(),
            192 if core.keeper.is_some() => self.die(chance),
            193 => self.pass(Duration::from_millis(chance.below(9_000) as u64)),
            _ => self.pass(Duration::from_millis(chance.below(200) as u64)),
        }
    }

    /// The broker dies and comes back from its store, with other workers: as it stands, or after a
    /// while in which the store took nothing.
    fn die(&mut self, chance: &mut Chance) {
        if chance.below(2) == 0 {
            self.starve(chance);
        }
        self.note();
        if chance.below(4) > 0 {
            self.workers = 1 + chance.below(3);
            self.core.restart(self.workers as u16);
            for device in &mut self.devices {
                device.orphan();
            }
            self.model.restart(self.core.now);
        }
        self.core.keeper.as_mut().unwrap().held = false;
        self.core.settle();
        self.note();
    }

    /// Messages and acknowledgements only: what the store does not get of them nobody was promised.
    fn starve(&mut self, chance: &mut Chance) {
        for number in 0..self.devices.len() {
            if self.devices[number].welcome {
                self.devices[number].arrive(&mut self.core, usize::MAX);
                self.note();
            }
        }
        // A SUBSCRIBE that is not answered yet may or may not be kept.
        if self.core.has_untaken() {
            return;
        }
        self.core.keeper.as_mut().unwrap().held = true;
        for _ in 0..chance.below(60) {
            let number = chance.below(self.devices.len());
            let device = &mut self.devices[number];
            if !device.welcome {
                continue;
            }
            match chance.below(7) {
                0..3 => {
                    let topic = TOPICS[chance.below(TOPICS.len())];
                    device.publish(topic, chance.below(3) as u8, false, false);
                }
                3..5 => device.arrive(&mut self.core, 1 + chance.below(200)),
                5 => device.read(&mut self.core, &self.model),
                _ => {
                    self.core.deliver_crossings();
                }
            }
            self.note();
        }
    }

    /// Time goes on, and the model hears of what it ended in the order of the clock.
    fn pass(&mut self, time: Duration) {
        let until = self.core.now + time;
        while self.core.now < until {
            let left = until - self.core.now;
            self.core.advance(left.min(Duration::from_millis(50)));
            self.note();
        }
    }

    /// Everybody who has a Session is there and heard, until nobody has anything left to say.
    fn settle(&mut self) {
        self.core.crossings_held = false;
        for round in 0..3_000 {
            while self.core.deliver_crossings() {}
            self.note();
            let mut quiet = true;
            for number in 0..self.devices.len() {
                quiet &= self.bring_to_rest(number);
                self.note();
            }
            self.pass(Duration::from_millis(100));
            // Delays and expiries have run out by then.
            if quiet && round > 60 {
                return;
            }
        }
        panic!("somebody waits for ever");
    }

    fn bring_to_rest(&mut self, number: usize) -> bool {
        let (core, model) = (&mut self.core, &mut self.model);
        let device = &mut self.devices[number];
        device.read(core, model);
        let is_vague = model.is_vague(&device.name, core.now);
        if is_vague && (device.link.is_none() || device.is_asking(model)) {
            return false;
        }
        if device.link.is_none() {
            device.connect(core, number % self.workers, false);
        }
        if let Some(link) = device.link {
            core.set_room(link, None);
        }
        device.ping();
        device.arrive(core, usize::MAX);
        self.note();
        let device = &mut self.devices[number];
        device.read(&mut self.core, &self.model);
        device.is_quiet()
    }
}

/// Everybody may do everything, but the guest gets no secrets.
fn access() -> Access {
    let rule = |allow, actions, pattern: &str| Rule {
        actions,
        allow,
        pattern: Pattern::filter(pattern),
    };
    let guest = RuleList {
        rules: vec![
            rule(false, Actions::RECEIVE, "secret/#"),
            rule(true, Actions::ALL, "#"),
        ],
        ..RuleList::default()
    };
    let mut rules = Rules {
        otherwise: Actions::ALL,
        strangers: Actions::ALL,
        ..Rules::default()
    };
    rules.users.insert(GUEST.into(), vec![Arc::new(guest)]);
    Access {
        anonymous: true,
        rules: Some(Arc::new(rules)),
        ..Access::default()
    }
}
