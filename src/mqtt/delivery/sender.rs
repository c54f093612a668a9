//! Outgoing QoS 1 and 2 messages of one Session: Packet Identifiers, the send quota, and what must
//! be sent again when the Session is resumed (§4.3, §4.4, §4.9).
//!
//! Packet Identifiers are given out in rising order, so what is in flight is a ring indexed by
//! identifier:
//!
//! ```text
//!   first                                   first + ring.len()
//!     |                                        | the next identifier
//!   [ Publish | Done | Pubrel | Publish ]
//! ```
//!
//! An acknowledgement marks its slot; the front is cut off as far as it is done. Acknowledgements
//! mostly come in order, so both ends move by one and nothing is searched.

use std::collections::VecDeque;

use crate::mqtt::PacketId;
use crate::mqtt::QoS;

/// Identifiers run from 1 to 65,535 and start again.
const IDS: usize = 65_535;

/// An emptied ring larger than this gives its memory back.
const KEPT_CAPACITY_MAX: usize = 1_024;

/// One Session's outgoing handshakes; `T` is what is kept until the message is acknowledged.
#[derive(Debug)]
pub struct Sender<T> {
    ring: VecDeque<Slot<T>>,
    /// Identifier of the ring's front, zero-based.
    first: u16,
    inflight: u16,
    quota: u16,
}

#[derive(Debug)]
enum Slot<T> {
    Done,
    /// Taken by a SUBSCRIBE or UNSUBSCRIBE, which have no share in the quota.
    Claimed,
    Once(T),
    Exactly(T),
    Released,
}

/// What a PUBREC leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Pubrec<T> {
    /// Send PUBREL. The message itself need not be kept any longer [MQTT-4.3.3-4].
    /// `None` when it had been received before.
    Release(Option<T>),
    /// The peer refused the message (Reason Code 0x80 or above): it is over.
    Ended(T),
    /// No such message: v5 answers PUBREL 0x92.
    Unknown,
}

/// What is sent again when a Session is resumed.
#[derive(Debug, PartialEq, Eq)]
pub enum Pending<'a, T> {
    /// PUBLISH with DUP set.
    Publish(QoS, &'a T),
    /// PUBREL.
    Pubrel,
}

impl<T> Sender<T> {
    /// A sender that may have `quota` messages in flight; zero counts as one.
    pub fn new(quota: u16) -> Self {
        Self {
            ring: VecDeque::new(),
            first: 0,
            inflight: 0,
            quota: quota.max(1),
        }
    }

    /// The peer's Receive Maximum, as of a new CONNECT or CONNACK.
    pub fn set_quota(&mut self, quota: u16) {
        self.quota = quota.max(1);
    }

    /// Whether a QoS 1 or 2 message may be sent now [MQTT-3.3.4-9].
    #[inline]
    pub fn has_quota(&self) -> bool {
        self.inflight < self.quota && self.ring.len() < IDS
    }

    /// Messages sent and unacknowledged.
    #[inline]
    pub fn inflight(&self) -> usize {
        usize::from(self.inflight)
    }

    /// Nothing is in flight and no identifier is taken.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// The identifier that the next message gets.
    pub fn upcoming(&self) -> Option<PacketId> {
        self.next_id()
    }

    /// Takes a message into flight. `None` (and `item` is lost) when there is no quota: ask
    /// [`has_quota`](Self::has_quota) first.
    #[inline]
    pub fn start(&mut self, qos: QoS, item: T) -> Option<PacketId> {
        if !self.has_quota() {
            return None;
        }
        let id = self.next_id();
        self.ring.push_back(match qos {
            QoS::ExactlyOnce => Slot::Exactly(item),
            _ => Slot::Once(item),
        });
        self.inflight += 1;
        id
    }

    /// Takes an identifier for SUBSCRIBE or UNSUBSCRIBE [MQTT-2.2.1-3]; `None` when all are taken.
    pub fn claim(&mut self) -> Option<PacketId> {
        if self.ring.len() >= IDS {
            return None;
        }
        let id = self.next_id();
        self.ring.push_back(Slot::Claimed);
        id
    }

    /// Gives a claimed identifier back (SUBACK, UNSUBACK). False: it was not claimed.
    pub fn free(&mut self, id: PacketId) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        if !matches!(self.ring[place], Slot::Claimed) {
            return false;
        }
        self.finish(place);
        true
    }

    /// PUBACK: the kept item, or `None` for an identifier that waits for no PUBACK.
    #[inline]
    pub fn puback(&mut self, id: PacketId) -> Option<T> {
        let place = self.place(id)?;
        match self.finish_if(place, |slot| matches!(slot, Slot::Once(_)))? {
            Slot::Once(item) => Some(item),
            _ => None,
        }
    }

    /// PUBREC; `refused` when its Reason Code is an error.
    pub fn pubrec(&mut self, id: PacketId, refused: bool) -> Pubrec<T> {
        let Some(place) = self.place(id) else {
            return Pubrec::Unknown;
        };
        match std::mem::replace(&mut self.ring[place], Slot::Released) {
            Slot::Exactly(item) if refused => {
                self.inflight -= 1;
                self.finish(place);
                Pubrec::Ended(item)
            }
            Slot::Exactly(item) => Pubrec::Release(Some(item)),
            Slot::Released => Pubrec::Release(None),
            other => {
                self.ring[place] = other;
                Pubrec::Unknown
            }
        }
    }

    /// PUBCOMP. False: no PUBREL was waiting for it.
    pub fn pubcomp(&mut self, id: PacketId) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        self.finish_if(place, |slot| matches!(slot, Slot::Released))
            .is_some()
    }

    /// What to send again on a resumed Session, in the order of the first sending [MQTT-4.6.0-1].
    pub fn resend(&self) -> impl Iterator<Item = (PacketId, Pending<'_, T>)> {
        self.ring.iter().enumerate().filter_map(|(place, slot)| {
            let pending = match slot {
                Slot::Once(item) => Pending::Publish(QoS::AtLeastOnce, item),
                Slot::Exactly(item) => Pending::Publish(QoS::ExactlyOnce, item),
                Slot::Released => Pending::Pubrel,
                Slot::Done | Slot::Claimed => return None,
            };
            Some((self.id_at(place)?, pending))
        })
    }

    /// What is in flight under an identifier.
    pub fn pending(&self, id: PacketId) -> Option<Pending<'_, T>> {
        match &self.ring[self.place(id)?] {
            Slot::Once(item) => Some(Pending::Publish(QoS::AtLeastOnce, item)),
            Slot::Exactly(item) => Some(Pending::Publish(QoS::ExactlyOnce, item)),
            Slot::Released => Some(Pending::Pubrel),
            Slot::Done | Slot::Claimed => None,
        }
    }

    /// How many messages may be in flight.
    pub fn quota(&self) -> usize {
        usize::from(self.quota)
    }

    /// Empties the sender: the Session is gone. Returns what was never acknowledged, in order.
    pub fn drain(&mut self) -> Vec<T> {
        self.inflight = 0;
        self.first = 0;
        std::mem::take(&mut self.ring)
            .into_iter()
            .filter_map(|slot| match slot {
                Slot::Once(item) | Slot::Exactly(item) => Some(item),
                _ => None,
            })
            .collect()
    }

    /// A sender as it was: what was in flight, in the order of the first sending, each with what
    /// is awaited, `None` where only PUBCOMP is.
    ///
    /// An identifier that does not come behind the one before it is left out and its item
    /// returned: no such order was ever kept.
    pub fn restore(
        &mut self,
        inflight: impl IntoIterator<Item = (PacketId, Option<(QoS, T)>)>,
    ) -> Vec<T> {
        let mut left = Vec::new();
        for (id, what) in inflight {
            if self.ring.is_empty() {
                self.first = id.value() - 1;
            }
            let behind = (usize::from(id.value()) - 1 + IDS - usize::from(self.first)) % IDS;
            if behind < self.ring.len() {
                left.extend(what.map(|(_, item)| item));
                continue;
            }
            self.ring.resize_with(behind, || Slot::Done);
            self.ring.push_back(match what {
                Some((QoS::ExactlyOnce, item)) => Slot::Exactly(item),
                Some((_, item)) => Slot::Once(item),
                None => Slot::Released,
            });
            self.inflight += 1;
        }
        left
    }

    /// Identifiers claimed for SUBSCRIBE and UNSUBSCRIBE do not outlive a Network Connection.
    pub fn free_claimed(&mut self) {
        for slot in &mut self.ring {
            if matches!(slot, Slot::Claimed) {
                *slot = Slot::Done;
            }
        }
        self.cut();
    }

    #[inline]
    fn next_id(&self) -> Option<PacketId> {
        self.id_at(self.ring.len())
    }

    #[inline]
    fn id_at(&self, place: usize) -> Option<PacketId> {
        let mut zero_based = usize::from(self.first) + place;
        if zero_based >= IDS {
            zero_based -= IDS;
        }
        PacketId::new(zero_based as u16 + 1)
    }

    #[inline]
    fn place(&self, id: PacketId) -> Option<usize> {
        let zero_based = usize::from(id.value()) - 1;
        let first = usize::from(self.first);
        let place = if zero_based >= first {
            zero_based - first
        } else {
            zero_based + IDS - first
        };
        (place < self.ring.len()).then_some(place)
    }

    /// Marks a slot done when it is what the packet is about, and ends its share of the quota.
    #[inline]
    fn finish_if(&mut self, place: usize, right: impl Fn(&Slot<T>) -> bool) -> Option<Slot<T>> {
        if !right(&self.ring[place]) {
            return None;
        }
        let slot = std::mem::replace(&mut self.ring[place], Slot::Done);
        self.inflight -= 1;
        self.cut();
        Some(slot)
    }

    fn finish(&mut self, place: usize) {
        self.ring[place] = Slot::Done;
        self.cut();
    }

    #[inline]
    fn cut(&mut self) {
        while let Some(Slot::Done) = self.ring.front() {
            self.ring.pop_front();
            self.first = if usize::from(self.first) + 1 == IDS {
                0
            } else {
                self.first + 1
            };
        }
        if self.ring.is_empty() && self.ring.capacity() > KEPT_CAPACITY_MAX {
            self.ring = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    #[test]
    fn identifiers_count_up_and_wrap_past_zero() {
        let mut sender = Sender::new(10);
        for round in 0..70_000_u32 {
            let given = sender.start(QoS::AtLeastOnce, round).unwrap();
            assert_eq!(u32::from(given.value()), round % 65_535 + 1);
            assert_eq!(sender.puback(given), Some(round));
        }
        assert!(sender.is_empty());
    }

    #[test]
    fn the_quota_counts_messages_and_not_subscriptions() {
        let mut sender = Sender::new(2);
        assert_eq!(sender.claim(), Some(id(1)));
        assert_eq!(sender.start(QoS::AtLeastOnce, 'a'), Some(id(2)));
        assert_eq!(sender.start(QoS::ExactlyOnce, 'b'), Some(id(3)));
        assert!(!sender.has_quota());
        assert_eq!(sender.start(QoS::AtLeastOnce, 'c'), None);
        assert_eq!(sender.pubrec(id(3), false), Pubrec::Release(Some('b')));
        assert!(!sender.has_quota(), "PUBREC does not end the exchange");
        assert!(sender.pubcomp(id(3)));
        assert!(sender.has_quota());
        assert!(sender.free(id(1)));
        assert!(!sender.free(id(1)));
    }

    #[test]
    fn acknowledgements_of_the_wrong_kind_change_nothing() {
        let mut sender = Sender::new(9);
        let once = sender.start(QoS::AtLeastOnce, 'a').unwrap();
        let exactly = sender.start(QoS::ExactlyOnce, 'b').unwrap();
        assert_eq!(sender.puback(exactly), None);
        assert_eq!(sender.pubrec(once, false), Pubrec::Unknown);
        assert!(!sender.pubcomp(exactly));
        assert_eq!(sender.puback(id(77)), None);
        assert_eq!(sender.inflight(), 2);
        assert_eq!(sender.pubrec(exactly, true), Pubrec::Ended('b'));
        assert_eq!(sender.puback(once), Some('a'));
        assert!(sender.is_empty());
    }

    #[test]
    fn a_resumed_session_sends_what_is_open_in_order() {
        let mut sender = Sender::new(9);
        for item in 'a'..='d' {
            sender.start(QoS::ExactlyOnce, item);
        }
        sender.pubrec(id(2), false);
        sender.pubrec(id(3), false);
        sender.pubcomp(id(3));
        let open: Vec<_> = sender
            .resend()
            .map(|(id, what)| (id.value(), what))
            .collect();
        assert_eq!(
            open,
            vec![
                (1, Pending::Publish(QoS::ExactlyOnce, &'a')),
                (2, Pending::Pubrel),
                (4, Pending::Publish(QoS::ExactlyOnce, &'d')),
            ]
        );
        assert_eq!(sender.drain(), vec!['a', 'd']);
    }

    #[test]
    fn a_sender_that_is_restored_goes_on_where_it_was() {
        let mut sender = Sender::new(9);
        let once = |item| Some((QoS::AtLeastOnce, item));
        let left = sender.restore([
            (id(65_534), once('a')),
            (id(1), None),
            (id(65_535), once('x')),
            (id(3), Some((QoS::ExactlyOnce, 'b'))),
        ]);
        assert_eq!(left, ['x'], "it does not come behind 1");
        assert_eq!(sender.inflight(), 3);
        assert_eq!(sender.start(QoS::AtLeastOnce, 'c'), Some(id(4)));
        assert_eq!(sender.puback(id(65_534)), Some('a'));
        assert!(sender.pubcomp(id(1)));
        assert_eq!(sender.pubrec(id(3), false), Pubrec::Release(Some('b')));
        assert_eq!(sender.puback(id(2)), None);
    }
}
