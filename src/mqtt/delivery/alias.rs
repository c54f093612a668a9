//! Topic Aliases in both directions (§3.3.2.3.4). They belong to a Network Connection, not to a
//! Session: a new connection starts with none [MQTT-3.3.2-7].

use std::collections::HashMap;

/// What the peer's aliases stand for.
#[derive(Debug)]
pub struct AliasesIn {
    max: u16,
    topics: Vec<Option<Box<str>>>,
}

impl AliasesIn {
    /// `max` is the Topic Alias Maximum we announced.
    pub fn new(max: u16) -> Self {
        Self {
            max,
            topics: Vec::new(),
        }
    }

    /// Notes `topic` under `alias`, or, for an empty topic, looks it up. `None`: zero, above the
    /// maximum [MQTT-3.3.2-9], or never set.
    pub fn resolve(&mut self, alias: u16, topic: &str) -> Option<&str> {
        if alias == 0 || alias > self.max {
            return None;
        }
        let place = usize::from(alias) - 1;
        if !topic.is_empty() {
            if self.topics.len() <= place {
                self.topics.resize(place + 1, None);
            }
            self.topics[place] = Some(topic.into());
        }
        self.topics.get(place)?.as_deref()
    }
}

/// The aliases we gave to topics, first come, first served, until the peer's maximum is reached.
#[derive(Debug)]
pub struct AliasesOut {
    max: u16,
    given: HashMap<Box<str>, u16>,
}

impl AliasesOut {
    /// `max` is the peer's Topic Alias Maximum or our own bound, whichever is less.
    pub fn new(max: u16) -> Self {
        Self {
            max,
            given: HashMap::new(),
        }
    }

    /// The alias for `topic`, and whether the peer knows it already, so that the topic itself can
    /// stay away. `None`: no alias is left for it.
    pub fn alias(&mut self, topic: &str) -> Option<(u16, bool)> {
        if let Some(&alias) = self.given.get(topic) {
            return Some((alias, true));
        }
        if self.given.len() >= usize::from(self.max) {
            return None;
        }
        let alias = self.given.len() as u16 + 1;
        self.given.insert(topic.into(), alias);
        Some((alias, false))
    }

    /// Takes the newest alias back: the packet that would have made it known is not sent.
    pub fn take_back(&mut self, topic: &str, alias: u16) {
        if usize::from(alias) == self.given.len() {
            self.given.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_set_replaced_and_looked_up() {
        let mut aliases = AliasesIn::new(2);
        assert_eq!(aliases.resolve(1, ""), None);
        assert_eq!(aliases.resolve(2, "a"), Some("a"));
        assert_eq!(aliases.resolve(2, ""), Some("a"));
        assert_eq!(aliases.resolve(2, "b"), Some("b"));
        assert_eq!(aliases.resolve(2, ""), Some("b"));
        assert_eq!(aliases.resolve(3, "c"), None);
        assert_eq!(aliases.resolve(0, "c"), None);
    }

    #[test]
    fn aliases_are_given_until_the_peer_takes_no_more() {
        let mut aliases = AliasesOut::new(1);
        assert_eq!(aliases.alias("a"), Some((1, false)));
        assert_eq!(aliases.alias("a"), Some((1, true)));
        assert_eq!(aliases.alias("b"), None);
    }
}
