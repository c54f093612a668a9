//! The promises, held against what each client got (§4.3, §4.6, §3.3.1.3, §3.1.2.5).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mqttx::mqtt::{Version, topic};

use crate::simulation::device::Got;
use crate::simulation::model::{Fate, Instance, InstanceId, Owed};
use crate::simulation::world::{Report, SHARE, World};
use crate::support::packets::{Hello, subscribe};

impl World {
    /// Panics with the promise that is broken.
    pub(crate) fn check(&mut self) -> Report {
        let got = self.sorted();
        for (&id, got) in &got {
            let instance = &self.model.instances[id];
            if !instance.filters.contains_key(SHARE) {
                self.check_owed(instance, got);
            }
            self.check_order(instance, got);
            self.check_retained_marks(instance, got);
        }
        for (id, instance) in self.model.instances.iter().enumerate() {
            let nothing = !got.contains_key(&id);
            if nothing && !instance.filters.contains_key(SHARE) {
                self.check_owed(instance, &[]);
            }
        }
        self.check_share();
        let wills = self.check_wills();
        let delivered = got.values().map(Vec::len).sum();
        self.check_retained();
        Report {
            delivered,
            sessions: self.model.instances.len(),
            wills,
        }
    }

    fn sorted(&self) -> BTreeMap<InstanceId, Vec<&Got>> {
        let mut sorted: BTreeMap<InstanceId, Vec<&Got>> = BTreeMap::new();
        for got in self.devices.iter().flat_map(|device| &device.got) {
            sorted.entry(got.instance).or_default().push(got);
        }
        sorted
    }

    /// QoS 1 at least once, QoS 2 exactly once, and nothing that nobody owed.
    fn check_owed(&self, instance: &Instance, got: &[&Got]) {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for got in got.iter().filter(|got| is_checked(got)) {
            *seen.entry(&got.payload).or_default() += 1;
            let owed = instance.owed.get(&got.payload);
            assert!(
                owed.is_some(),
                "{} got {:?} uncalled",
                instance.client,
                got.payload
            );
        }
        for (payload, owed) in &instance.owed {
            let times = seen.get(&**payload).copied().unwrap_or(0);
            self.judge(&instance.client, payload, *owed, times, instance.ended);
        }
    }

    /// One publisher's messages on one topic come in the order in which they were taken in.
    fn check_order(&self, instance: &Instance, got: &[&Got]) {
        let shared = instance.filters.contains_key(SHARE);
        let mut last: HashMap<(InstanceId, &str, u8), usize> = HashMap::new();
        let mut first = BTreeSet::new();
        for got in got.iter().filter(|got| is_checked(got)) {
            // What comes again may go to another member of the share, or behind what follows it.
            if !first.insert(&got.payload) || (shared && got.qos > 0) {
                continue;
            }
            let Some(origin) = self.model.origins.get(&got.payload) else {
                panic!("{:?} was never published", got.payload);
            };
            // With a store QoS 2 waits for it, and the others pass by.
            let class = match self.core.keeper {
                Some(_) => got.qos,
                None => 0,
            };
            assert_eq!(origin.topic, got.topic, "{:?}", got.payload);
            let owed = match shared {
                true => self.model.groups[SHARE].get(&got.payload),
                false => instance.owed.get(&got.payload),
            };
            // What its publisher sent twice may come at the first time or at the second.
            let risky = self.model.risky.contains(&got.payload);
            let Some(owed) = owed.filter(|owed| owed.times == 1 && !risky) else {
                continue;
            };
            let before = last.insert((origin.publisher, &got.topic, class), owed.number);
            assert!(
                before.is_none_or(|before| before < owed.number),
                "{} got {:?} of {} at QoS {} too late: {before:?}, {owed:?}",
                instance.client,
                got.payload,
                got.topic,
                got.qos
            );
        }
    }

    /// What is marked as retained was retained, and asked for.
    fn check_retained_marks(&self, instance: &Instance, got: &[&Got]) {
        for got in got.iter().filter(|got| got.retain) {
            let was = (got.topic.clone(), got.payload.clone());
            assert!(
                self.model.ever_retained.contains(&was),
                "{was:?} was never retained"
            );
            let asked = instance.asked.iter().any(|f| topic::matches(f, &got.topic));
            assert!(asked, "{} got {was:?} uncalled", instance.client);
            let denied = instance.client == "guest" && got.topic.starts_with("secret/");
            assert!(!denied, "{} got {was:?}", instance.client);
        }
    }

    /// One member of the share gets each message.
    fn check_share(&self) {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for got in self.devices[1..3].iter().flat_map(|device| &device.got) {
            *seen.entry(&got.payload).or_default() += 1;
        }
        for (payload, owed) in self.model.groups.get(SHARE).into_iter().flatten() {
            let times = seen.get(&**payload).copied().unwrap_or(0);
            self.judge("the share", payload, *owed, times, false);
        }
    }

    fn check_wills(&self) -> usize {
        let watch = &self.devices[0];
        for (payload, &fate) in &self.model.wills {
            let times = watch
                .got
                .iter()
                .filter(|got| got.payload == *payload)
                .count();
            let fits = match fate {
                Fate::Never => times == 0,
                Fate::Once => times >= 1,
                Fate::Either => true,
            };
            assert!(
                fits,
                "{payload} was to speak {fate:?}, and came {times} times"
            );
        }
        let known = |got: &Got| self.model.wills.contains_key(&got.payload);
        assert!(watch.got.iter().all(known), "a will nobody left");
        let once = self
            .model
            .wills
            .values()
            .filter(|&&fate| fate == Fate::Once);
        once.count()
    }

    /// Who asks for all that is retained gets what the model holds.
    fn check_retained(&mut self) {
        let link = self.core.join(0, &Hello::new("retained"));
        let all = subscribe(Version::V5, 1, "#", 0, &[]);
        self.core.send(link, &all);
        let certain = |line: &String| {
            let topic = line.split(' ').nth(1).unwrap_or_default();
            line.starts_with("PUBLISH") && !self.model.doubtful.contains(topic)
        };
        let held = self.core.take(link).into_iter().filter(certain);
        let held: BTreeSet<String> = held.collect();
        let line =
            |(topic, payload): (&String, &String)| format!("PUBLISH {topic} {payload} q0 retain");
        let expected = self.model.retained.iter().map(line).filter(certain);
        let expected: BTreeSet<String> = expected.collect();
        assert_eq!(held, expected, "retained messages");
    }
}

/// Wills have a check of their own, and a message that clears a retained one has no name.
fn is_checked(got: &Got) -> bool {
    !got.retain && !got.topic.starts_with("will/") && !got.payload.is_empty()
}

impl World {
    fn judge(&self, whom: &str, payload: &str, owed: Owed, times: u32, ended: bool) {
        let risky = self.model.risky.contains(payload);
        let about = format!("{whom} got {payload:?} {times} times, owed {owed:?}, risky {risky}");
        // Whether the broker lost it or still knew it when it came again is not known, so it is owed
        // to those who were there each time.
        let always = self.model.takings.get(payload) == Some(&owed.times);
        let promised = !risky || (always && self.model.acknowledged.contains(payload));
        assert!(owed.qos == 0 || ended || !promised || times >= 1, "{about}");
        if owed.qos == 2 {
            assert!(times <= owed.times, "{about}");
            assert!(ended || risky || times == owed.times, "{about}");
        }
    }
}
