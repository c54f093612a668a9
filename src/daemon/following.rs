//! Hands publishers to the worker that all their messages go to, at the end of a turn: what they
//! sent before is on its way there already, and so arrives before them.

use std::sync::atomic::Ordering;

use crate::broker::ConnectionId;
use crate::daemon::listener::Accepted;
use crate::daemon::mail::Mail;
use crate::daemon::peer::Peer;
use crate::daemon::worker::Worker;

/// Connections by which a worker may exceed the one that gives, beside a quarter of them: a
/// thousand publishers do not all go where their one subscriber is.
const EXCESS: usize = 16;

impl Worker {
    /// See the module.
    pub(crate) fn let_follow(&mut self) {
        let following = std::mem::take(&mut self.broker.effects().following);
        if following.is_empty() {
            return;
        }
        for (id, worker) in following {
            if self.is_at_rest(id) && self.has_room(worker) && self.broker.may_follow(id) {
                self.send_after(id, worker);
            }
        }
        self.count_connections();
    }

    /// Whether nothing but the socket would have to go with a connection.
    fn is_at_rest(&self, id: ConnectionId) -> bool {
        self.peer_ref(id).is_some_and(|peer| {
            peer.unfinished.is_empty()
                && peer.large.is_none()
                && !peer.lingers
                && !peer.waiting
                && !peer.blocked
                && !peer.ending
                && peer
                    .layers
                    .as_ref()
                    .is_none_or(|layers| layers.waiting() == 0 && !layers.is_over())
        })
    }

    fn has_room(&self, worker: u16) -> bool {
        let here = self.broker.connections();
        let there = self.seat.mailboxes[usize::from(worker)]
            .connections
            .load(Ordering::Relaxed);
        there < here + here / 4 + EXCESS
    }

    fn send_after(&mut self, id: ConnectionId, worker: u16) {
        let Some(mut peer) = self.peers[id.slot as usize].take() else {
            return;
        };
        let registry = self.seat.poll.registry();
        if registry.deregister(&mut peer.socket).is_err() {
            self.broker.closed(id, self.now);
            return;
        }
        let Peer {
            socket,
            from,
            layers,
            ..
        } = peer;
        let Some((listener, proven)) = self.broker.standing_of(id) else {
            return;
        };
        let accepted = Accepted {
            socket,
            from,
            layers,
            listener,
            proven,
        };
        let mailbox = &self.seat.mailboxes[usize::from(worker)];
        mailbox.connections.fetch_add(1, Ordering::Relaxed);
        self.broker.depart(id, worker, |parcel| {
            let parcel = Box::new(parcel);
            mailbox.post(Mail::Follow { accepted, parcel });
        });
    }
}
