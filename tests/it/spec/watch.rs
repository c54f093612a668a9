//! Rules that hold for every packet of the broker, whatever the script is about: what the client said it
//! takes, Packet Identifiers in flight, Topic Aliases.

use crate::spec::wire;
use crate::spec::wire::Packet;
use crate::spec::wire::Version;
use std::collections::HashMap;
use std::collections::HashSet;

/// What one client asked for, and what the broker has sent it so far.
pub(crate) struct Watch {
    clean: bool,
    packet_max: u64,
    receive_max: u64,
    alias_max: u64,
    problem_information: bool,
    /// QoS 1 and 2 messages of the broker that the client has not acknowledged.
    inflight: HashSet<u64>,
    /// Those of them sent on this connection: they count against Receive Maximum.
    counted: HashSet<u64>,
    /// Topics by the aliases the broker gave them on this connection.
    aliases: HashMap<u64, Vec<u8>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            clean: true,
            packet_max: u64::MAX,
            receive_max: 65_535,
            alias_max: 0,
            problem_information: true,
            inflight: HashSet::new(),
            counted: HashSet::new(),
            aliases: HashMap::new(),
        }
    }
}

impl Watch {
    /// What the client sends.
    pub(crate) fn sent(&mut self, packet: &Packet) {
        let number = |name| packet.property(name).and_then(wire::number);
        let id = packet.number("id").unwrap_or(0);
        let refuses = packet.number("reason").is_some_and(|reason| reason >= 0x80);
        match packet.kind {
            "connect" => {
                self.clean = packet.number("clean") != Some(0);
                // Zero is a fault some scripts commit on purpose: the refusal may be of any size.
                let packet_max = number("maximum-packet-size").filter(|max| *max > 0);
                self.packet_max = packet_max.unwrap_or(u64::MAX);
                self.receive_max = number("receive-maximum").unwrap_or(65_535);
                self.alias_max = number("topic-alias-maximum").unwrap_or(0);
                self.problem_information = number("request-problem-information") != Some(0);
                self.counted.clear();
                self.aliases.clear();
            }
            "puback" | "pubcomp" => self.acknowledged(id),
            "pubrec" if refuses => self.acknowledged(id),
            _ => (),
        }
    }

    fn acknowledged(&mut self, id: u64) {
        self.inflight.remove(&id);
        self.counted.remove(&id);
    }

    /// What the broker sends; a topic that came as an alias is put in.
    pub(crate) fn came(
        &mut self,
        packet: &mut Packet,
        size: usize,
        version: Version,
    ) -> Result<(), String> {
        if size as u64 > self.packet_max {
            // [MQTT-3.1.2-24]
            return Err(format!(
                "{size} bytes for a client that takes {}",
                self.packet_max
            ));
        }
        let explains = ["reason-string", "user-property"];
        let explained = explains.iter().any(|name| packet.property(name).is_some());
        let may = matches!(packet.kind, "publish" | "connack" | "disconnect");
        if explained && !self.problem_information && !may {
            // [MQTT-3.1.2-29]
            return Err("an explanation for a client that wants none".to_owned());
        }
        match packet.kind {
            "connack" => {
                // 3.1 has no Session Present: there only the client's own choice tells.
                let fresh = version != Version::V31 && packet.number("present") == Some(0);
                if self.clean || fresh {
                    self.inflight.clear();
                }
                Ok(())
            }
            "publish" => {
                self.message(packet)?;
                self.resolve_alias(packet)
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, packet: &Packet) -> Result<(), String> {
        let Some(id) = packet.number("id") else {
            return Ok(());
        };
        let again = packet.number("dup") == Some(1);
        if !self.inflight.insert(id) && !again {
            // [MQTT-2.2.1-4]
            return Err(format!("Packet Identifier {id} is in flight already"));
        }
        self.counted.insert(id);
        if self.counted.len() as u64 > self.receive_max {
            // [MQTT-3.3.4-9]
            return Err(format!(
                "more than Receive Maximum {} in flight",
                self.receive_max
            ));
        }
        Ok(())
    }

    fn resolve_alias(&mut self, packet: &mut Packet) -> Result<(), String> {
        let alias = packet.property("topic-alias").and_then(wire::number);
        let topic = packet
            .fields
            .iter_mut()
            .find(|(name, _)| name == "topic")
            .map(|(_, v)| v);
        let (Some(alias), Some(topic)) = (alias, topic) else {
            return Ok(());
        };
        if alias == 0 || alias > self.alias_max {
            // [MQTT-3.3.2-8], [MQTT-3.3.2-11]
            return Err(format!(
                "alias {alias} for a client that takes {}",
                self.alias_max
            ));
        }
        if topic.is_empty() {
            let first = self
                .aliases
                .get(&alias)
                .ok_or("an alias that was never set")?;
            topic.clone_from(first);
        } else {
            self.aliases.insert(alias, topic.clone());
        }
        Ok(())
    }
}
