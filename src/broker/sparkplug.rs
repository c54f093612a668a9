//! What a broker that knows Sparkplug B does: the births of edge nodes and devices are kept below
//! `$sparkplug/certificates/`, so that a host which comes later learns what there is.

use std::time::Instant;

use crate::broker::Broker;
use crate::broker::publish::Incoming;
use crate::broker::router::Route;
use crate::mqtt::message::Message;
use crate::mqtt::publish::Publish;

const PREFIX: &str = "$sparkplug/certificates/";

/// Whether it is the topic of an NBIRTH or a DBIRTH: namespace, group, type, node, device.
pub(crate) fn is_birth(topic: &str) -> bool {
    let mut levels = topic.split('/');
    levels.next() == Some("spBv1.0")
        && levels.next().is_some()
        && match levels.next() {
            Some("NBIRTH") => levels.count() == 1,
            Some("DBIRTH") => levels.count() == 2,
            _ => false,
        }
}

impl Broker {
    /// Keeps a birth for those who come later, and tells those who are there.
    pub(crate) fn keep_birth(&mut self, route: &Route, incoming: &Incoming<'_>, now: Instant) {
        if !route.birth {
            return;
        }
        let topic = [PREFIX, incoming.topic].concat();
        let publish = Publish {
            dup: false,
            qos: incoming.qos,
            retain: true,
            topic: &topic,
            packet_id: None,
            properties: incoming.properties,
            payload: incoming.payload,
        };
        let message = Message::new(&publish, now);
        self.publish_message(&message, None, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn births_are_told_from_what_looks_like_them() {
        for topic in [
            "spBv1.0/g/NBIRTH/n",
            "spBv1.0/g/DBIRTH/n/d",
            "spBv1.0//NBIRTH/",
        ] {
            assert!(is_birth(topic), "{topic}");
        }
        for topic in [
            "spBv1.0/g/NBIRTH",
            "spBv1.0/g/NBIRTH/n/d",
            "spBv1.0/g/DBIRTH/n",
            "spBv1.0/g/NDATA/n",
            "spAv1.0/g/NBIRTH/n",
            "$sparkplug/certificates/spBv1.0/g/NBIRTH/n",
            "spBv1.0",
        ] {
            assert!(!is_birth(topic), "{topic}");
        }
    }
}
