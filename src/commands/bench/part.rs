//! Which clients of a load are made here: all of them, or every so many-th where several agents make
//! one load together and messages pass between them. Numbers are those of the whole. Pure.

use crate::cli::args::bench::Kind;
use crate::commands::bench::plan::Shape;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    at: u32,
    of: u32,
}

impl Part {
    pub(super) const WHOLE: Self = Self { at: 0, of: 1 };

    /// None when there is no such part.
    pub(super) fn new(at: u32, of: u32) -> Option<Self> {
        (at < of).then_some(Self { at, of })
    }

    pub(super) fn is_whole(self) -> bool {
        self.of == 1
    }

    pub(super) fn owns_pub(self, publisher: u32) -> bool {
        publisher % self.of == self.at
    }

    /// A group that shares a subscription stays together: whether two of its members got the same
    /// message only that one can tell who sees all of them.
    pub(super) fn owns_sub(self, kind: Kind, subscriber: u32) -> bool {
        match kind {
            Kind::Shared => self.at == 0,
            _ => self.owns_pub(subscriber),
        }
    }

    pub(super) fn pubs(self, shape: &Shape) -> u32 {
        self.share(shape.pubs)
    }

    pub(super) fn subs(self, shape: &Shape) -> u32 {
        match shape.kind {
            Kind::Shared if self.at == 0 => shape.subs,
            Kind::Shared => 0,
            _ => self.share(shape.subs),
        }
    }

    pub(super) fn clients(self, shape: &Shape) -> u32 {
        self.pubs(shape) + self.subs(shape)
    }

    /// Place of a client among those of this part, so that they spread over threads.
    pub(super) fn place(self, number: u32) -> u32 {
        number / self.of
    }

    /// Deliveries to clients of this part when every publisher has sent one message.
    pub(super) fn deliveries(self, shape: &Shape) -> u64 {
        if self.is_whole() {
            return (0..shape.pubs).map(|p| u64::from(shape.copies(p))).sum();
        }
        if shape.kind == Kind::Shared {
            return u64::from(shape.pubs) * u64::from(self.at == 0);
        }
        (0..shape.subs)
            .filter(|&subscriber| self.owns_sub(shape.kind, subscriber))
            .map(|subscriber| u64::from(shape.heard(shape.wanted_by(subscriber))))
            .sum()
    }

    fn share(self, count: u32) -> u32 {
        count / self.of + u32::from(self.at < count % self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole() {
        for (kind, pubs, subs, topics) in [
            (Kind::Fanin, 7, 2, 7),
            (Kind::Fanout, 1, 9, 1),
            (Kind::Shared, 5, 4, 5),
            (Kind::Pubsub, 6, 4, 3),
        ] {
            let shape = Shape {
                kind,
                pubs,
                subs,
                topics,
            };
            let parts: Vec<Part> = (0..3).filter_map(|at| Part::new(at, 3)).collect();
            let sum = |of: fn(Part, &Shape) -> u32| -> u32 {
                parts.iter().map(|&part| of(part, &shape)).sum()
            };
            assert_eq!((sum(Part::pubs), sum(Part::subs)), (pubs, subs));
            let owned = |part: &Part| {
                let pubs = (0..pubs).filter(|&n| part.owns_pub(n)).count();
                pubs + (0..subs).filter(|&n| part.owns_sub(kind, n)).count()
            };
            for part in &parts {
                assert_eq!(owned(part), part.clients(&shape) as usize, "{kind:?}");
            }
            let delivered: u64 = parts.iter().map(|part| part.deliveries(&shape)).sum();
            assert_eq!(delivered, Part::WHOLE.deliveries(&shape), "{kind:?}");
        }
        assert_eq!(Part::new(3, 3), None);
    }
}
