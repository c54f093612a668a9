//! Incoming QoS 2 messages of one Session: which Packet Identifiers were received and not yet
//! released, so that a repeated PUBLISH is answered and not delivered again (§4.3.3).
//!
//! Identifiers come in runs, so a set bit in one of a few pages of 1,024 costs 136 bytes where a
//! whole table would cost 8 KiB a session.

use crate::mqtt::PacketId;

const PAGE_BITS: u16 = 1_024;

/// The identifiers of QoS 2 messages between PUBLISH and PUBREL.
#[derive(Debug, Default)]
pub struct Receiver {
    /// None before the first: few clients ever send one.
    book: Option<Box<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    pages: Vec<Page>,
    len: u16,
}

#[derive(Debug)]
struct Page {
    number: u16,
    set: u16,
    bits: [u64; PAGE_BITS as usize / 64],
}

impl Receiver {
    /// A PUBLISH of QoS 2: true when it is new and to be delivered, false when it is known
    /// already and only answered [MQTT-4.3.3-10].
    pub fn publish(&mut self, id: PacketId) -> bool {
        let (number, word, mask) = address(id);
        let book = self.book.get_or_insert_default();
        let page = match book.pages.iter_mut().position(|page| page.number == number) {
            Some(place) => &mut book.pages[place],
            None => {
                book.pages.push(Page {
                    number,
                    set: 0,
                    bits: [0; PAGE_BITS as usize / 64],
                });
                let last = book.pages.len() - 1;
                &mut book.pages[last]
            }
        };
        if page.bits[word] & mask != 0 {
            return false;
        }
        page.bits[word] |= mask;
        page.set += 1;
        book.len += 1;
        true
    }

    /// A PUBREL: true when the identifier was known. Either way it is free now.
    pub fn release(&mut self, id: PacketId) -> bool {
        let (number, word, mask) = address(id);
        let Some(book) = &mut self.book else {
            return false;
        };
        let Some(place) = book.pages.iter().position(|page| page.number == number) else {
            return false;
        };
        let page = &mut book.pages[place];
        if page.bits[word] & mask == 0 {
            return false;
        }
        page.bits[word] &= !mask;
        page.set -= 1;
        book.len -= 1;
        // The last page stays: one message at a time must not allocate for each.
        if page.set == 0 && book.pages.len() > 1 {
            book.pages.swap_remove(place);
        }
        true
    }

    /// Whether this identifier waits for its PUBREL.
    pub fn knows(&self, id: PacketId) -> bool {
        let (number, word, mask) = address(id);
        let pages = self.book.iter().flat_map(|book| &book.pages);
        pages
            .into_iter()
            .any(|page| page.number == number && page.bits[word] & mask != 0)
    }

    /// Messages received and not yet released: what the peer has spent of our Receive Maximum.
    pub fn len(&self) -> usize {
        self.book.as_ref().map_or(0, |book| usize::from(book.len))
    }

    /// No message waits for its PUBREL.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The Session is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn address(id: PacketId) -> (u16, usize, u64) {
    let value = id.value();
    let bit = value % PAGE_BITS;
    (value / PAGE_BITS, usize::from(bit / 64), 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_until_it_is_released() {
        let mut receiver = Receiver::default();
        for value in [1, 2, 1_023, 1_024, 40_000, 65_535] {
            let id = PacketId::new(value).unwrap();
            assert!(receiver.publish(id));
            assert!(!receiver.publish(id));
            assert!(receiver.knows(id));
        }
        assert_eq!(receiver.len(), 6);
        for value in [1, 65_535, 2, 40_000, 1_023, 1_024] {
            let id = PacketId::new(value).unwrap();
            assert!(receiver.release(id));
            assert!(!receiver.release(id));
        }
        assert!(receiver.is_empty());
    }
}
