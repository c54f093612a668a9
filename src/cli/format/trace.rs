//! The lines of `-d`: one for each packet, in the words scripts have always parsed.

use std::fmt::Write;

use crate::mqtt::QoS;

/// Writes the lines of one client.
#[derive(Clone, Debug)]
pub struct Trace {
    /// `Client pubid`; an empty identifier is told as `null`.
    client: String,
    is_nameless: bool,
}

impl Trace {
    pub fn new(client_id: &str) -> Self {
        let shown = if client_id.is_empty() {
            "null"
        } else {
            client_id
        };
        Self {
            client: format!("Client {shown}"),
            is_nameless: client_id.is_empty(),
        }
    }

    fn line(&self, rest: std::fmt::Arguments<'_>) -> String {
        let mut line = String::with_capacity(self.client.len() + 48);
        let _ = writeln!(line, "{} {rest}", self.client);
        line
    }

    /// `name` is the packet's, as the standard spells it.
    pub fn sending(&self, name: &str) -> String {
        self.line(format_args!("sending {name}"))
    }

    pub fn received(&self, name: &str) -> String {
        self.line(format_args!("received {name}"))
    }

    pub fn connack(&self, reason: u8) -> String {
        match self.is_nameless {
            // So it has always stood there.
            true => format!("Client (null) received CONNACK ({reason})\n"),
            false => self.line(format_args!("received CONNACK ({reason})")),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of the line, in its order"
    )]
    pub fn publish(
        &self,
        verb: &str,
        dup: bool,
        qos: QoS,
        retain: bool,
        packet_id: u16,
        topic: &str,
        size: usize,
    ) -> String {
        let (dup, qos, retain) = (u8::from(dup), qos as u8, u8::from(retain));
        self.line(format_args!(
            "{verb} PUBLISH (d{dup}, q{qos}, r{retain}, m{packet_id}, '{topic}', ... ({size} bytes))"
        ))
    }

    /// An acknowledgement we send: PUBACK and PUBREC carry their Reason Code in the line.
    pub fn sending_ack(&self, name: &str, packet_id: u16, reason: Option<u8>) -> String {
        match reason {
            Some(reason) => self.line(format_args!("sending {name} (m{packet_id}, rc{reason})")),
            None => self.line(format_args!("sending {name} (m{packet_id})")),
        }
    }

    /// An acknowledgement that came: PUBACK and PUBCOMP carry their Reason Code in the line.
    pub fn received_ack(&self, name: &str, packet_id: u16, reason: Option<u8>) -> String {
        match reason {
            Some(reason) => self.line(format_args!(
                "received {name} (Mid: {packet_id}, RC:{reason})"
            )),
            None => self.line(format_args!("received {name} (Mid: {packet_id})")),
        }
    }

    pub fn subscribe(&self, packet_id: u16, filter: &str, qos: u8, options: u8) -> String {
        self.line(format_args!(
            "sending SUBSCRIBE (Mid: {packet_id}, Topic: {filter}, QoS: {qos}, Options: 0x{options:02x})"
        ))
    }

    pub fn unsubscribe(&self, packet_id: u16, filter: &str) -> String {
        self.line(format_args!(
            "sending UNSUBSCRIBE (Mid: {packet_id}, Topic: {filter})"
        ))
    }
}

/// What a SUBACK granted; told without the client's name.
pub fn subscribed(packet_id: u16, granted: &[u8]) -> String {
    let granted: Vec<String> = granted.iter().map(u8::to_string).collect();
    format!("Subscribed (mid: {packet_id}): {}\n", granted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let trace = Trace::new("pubid");
        assert_eq!(
            trace.publish("sending", false, QoS::ExactlyOnce, false, 1, "a/b", 5),
            "Client pubid sending PUBLISH (d0, q2, r0, m1, 'a/b', ... (5 bytes))\n"
        );
        assert_eq!(trace.connack(0), "Client pubid received CONNACK (0)\n");
        assert_eq!(
            trace.received_ack("PUBACK", 1, Some(16)),
            "Client pubid received PUBACK (Mid: 1, RC:16)\n"
        );
        assert_eq!(
            trace.subscribe(1, "a/b", 1, 0),
            "Client pubid sending SUBSCRIBE (Mid: 1, Topic: a/b, QoS: 1, Options: 0x00)\n"
        );
        assert_eq!(subscribed(1, &[1, 128]), "Subscribed (mid: 1): 1, 128\n");
        assert_eq!(
            Trace::new("").sending("CONNECT"),
            "Client null sending CONNECT\n"
        );
    }
}
