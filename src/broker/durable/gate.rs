//! The durability gate: what promises something waits here until a store has it.
//!
//! Acknowledgements, and QoS 2 messages to Sessions that are kept, do not go into the outbox of
//! their connection but into its [`Gate`], under the number of the turn. When the turn ends
//! ([`Broker::end_turn`]) its records go to a store; when they are safe ([`Broker::durable`])
//! what waited moves on. A turn without records lets everything go at once. QoS 0 never waits.
//!
//! ```text
//!   PUBLISH q1 ─► records of turn 7 ─► store ─┐
//!        └─────► gate: [ 7: PUBACK ] ◄────────┘ durable(7) ─► outbox
//! ```
//!
//! Why QoS 2 messages wait too: a client that has one under an identifier which is lost in a
//! crash would get it again under another one.

use std::collections::VecDeque;

use crate::broker::Broker;
use crate::broker::connection::{Connection, ConnectionId, Phase};
use crate::broker::durable::record::Record;
use crate::broker::durable::recorder::Recorder;
use crate::broker::outbox::Outbox;
use crate::broker::receive::Step;
use crate::broker::router::{Route, Target};
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Violation;
use crate::mqtt::publish::Publish;

/// What waits for a store before it goes into the outbox of its connection.
#[derive(Default)]
pub(crate) struct Gate {
    parts: VecDeque<(u64, Outbox)>,
    bytes: usize,
    /// Messages wait, not only acknowledgements.
    pub(crate) messages: bool,
    /// CONNACK waits in the outbox for this turn: nothing is written before.
    pub(crate) barred: Option<u64>,
}

/// What a turn leaves to a store.
#[derive(Debug)]
pub struct Turn {
    /// For [`Broker::durable`].
    pub number: u64,
    /// What has changed, in its order; never empty.
    pub records: Vec<Record>,
}

impl Connection {
    /// Bytes that wait behind its gate.
    pub(crate) fn gated_bytes(&self) -> usize {
        self.gate.as_ref().map_or(0, |gate| gate.bytes)
    }

    /// Whether its CONNACK waits for a store.
    #[inline]
    pub(crate) fn is_barred(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.barred.is_some())
    }
}

/// Lets `write` write into the outbox of a connection, or behind its gate where a recorder is given.
#[inline]
pub(crate) fn gated<T>(
    recorder: Option<&mut Box<Recorder>>,
    connection: &mut Connection,
    spare: &mut Vec<Vec<u8>>,
    write: impl FnOnce(&mut Outbox, &mut Vec<Vec<u8>>) -> T,
) -> T {
    let Some(recorder) = recorder else {
        return write(&mut connection.outbox, spare);
    };
    let gate = connection.gate.get_or_insert_default();
    if gate
        .parts
        .back()
        .is_none_or(|(turn, _)| *turn != recorder.turn)
    {
        gate.parts.push_back((recorder.turn, Outbox::default()));
        recorder.gated.push(connection.id);
    }
    let last = gate.parts.len() - 1;
    let part = &mut gate.parts[last].1;
    let before = part.len();
    let result = write(part, spare);
    gate.bytes += part.len() - before;
    result
}

impl Recorder {
    fn release(&mut self, up_to: u64, freed: &mut Vec<ConnectionId>) {
        while let Some((turn, ..)) = self.waiting.front()
            && *turn <= up_to
        {
            if let Some((_, bytes, gated)) = self.waiting.pop_front() {
                self.unsaved -= bytes;
                freed.extend(gated);
            }
        }
    }
}

impl Broker {
    /// Ends the turn. `None`: nothing was changed that is to be kept. The records of what is
    /// retained come from `Shared::take_retained_records`, in the order of all workers.
    pub fn end_turn(&mut self) -> Option<Turn> {
        let recorder = self.recorder.as_mut()?;
        let gated = std::mem::take(&mut recorder.gated);
        let number = recorder.turn;
        if recorder.records.is_empty() && !recorder.retained {
            for id in gated {
                self.open_gate(id, number, true);
            }
            return None;
        }
        recorder.turn += 1;
        recorder.retained = false;
        let bytes = std::mem::take(&mut recorder.bytes);
        recorder.unsaved += bytes;
        recorder.waiting.push_back((number, bytes, gated));
        let records = std::mem::take(&mut recorder.records);
        Some(Turn { number, records })
    }

    /// All turns up to this one are stored: what waited for them goes out.
    pub fn durable(&mut self, turn: u64) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        let mut freed = Vec::new();
        recorder.release(turn, &mut freed);
        if recorder.unsaved <= self.config.limits.unsaved_bytes_max / 2 && !recorder.failing {
            self.effects.resumed.append(&mut recorder.stalled);
        }
        for id in freed {
            self.open_gate(id, turn, false);
        }
    }

    /// The store cannot be written to (true), or can again. Meanwhile nothing is taken that
    /// would have to be kept.
    pub fn set_store_failing(&mut self, failing: bool) {
        if let Some(recorder) = &mut self.recorder {
            recorder.failing = failing;
            if !failing {
                self.effects.resumed.append(&mut recorder.stalled);
            }
        }
    }

    /// Moves what waits for turns up to `turn` into the outbox. With `or_behind`, what waits
    /// behind another turn is to go with that one.
    fn open_gate(&mut self, id: ConnectionId, turn: u64, or_behind: bool) {
        let place = self.connections.get_mut(id.slot as usize);
        let Some(connection) = place.filter(|connection| connection.id == id) else {
            return;
        };
        let Some(gate) = &mut connection.gate else {
            return;
        };
        if matches!(connection.phase, Phase::Closing(_)) {
            // Nothing follows a DISCONNECT.
            connection.gate = None;
            return;
        }
        if or_behind && gate.parts.len() > 1 {
            if let Some((_, last)) = gate.parts.pop_back()
                && let Some((_, before)) = gate.parts.back_mut()
            {
                before.absorb(&mut self.spare, last);
            }
            return;
        }
        while gate.parts.front().is_some_and(|(of, _)| *of <= turn) {
            if let Some((_, part)) = gate.parts.pop_front() {
                gate.bytes -= part.len();
                connection.outbox.absorb(&mut self.spare, part);
            }
        }
        gate.messages &= !gate.parts.is_empty();
        gate.barred = gate.barred.filter(|barred| *barred > turn);
        if gate.parts.is_empty() && gate.barred.is_none() {
            connection.gate = None;
        }
        self.touch(id.slot);
    }

    /// What becomes of a message that would have to be kept while too much is not stored yet, or
    /// nothing can be: its publisher waits, and is told when to go on, or it is refused.
    pub(crate) fn hold_back(
        &mut self,
        slot: u32,
        session: u32,
        publish: &Publish<'_>,
        route: &Route,
    ) -> Result<Option<Step>, Violation> {
        let Some(recorder) = &self.recorder else {
            return Ok(None);
        };
        let full = recorder.unsaved + recorder.bytes > self.config.limits.unsaved_bytes_max;
        let failing = recorder.failing && publish.qos != QoS::AtMostOnce;
        if !(full || failing) || !self.must_be_kept(session, publish, route) {
            return Ok(None);
        }
        // Before version 5 there is no way to refuse a message.
        if full || !self.connections[slot as usize].version.is_v5() {
            let id = self.connections[slot as usize].id;
            if let Some(recorder) = &mut self.recorder {
                recorder.stalled.push(id);
            }
            return Ok(Some(Step::Pause));
        }
        self.stats.refused_unsaved += 1;
        self.settle(slot, session, publish, Reason::QUOTA_EXCEEDED)?;
        Ok(Some(Step::Done))
    }

    /// CONNACK waits in the outbox until this turn is stored.
    pub(crate) fn bar(&mut self, slot: u32) {
        if let Some(recorder) = &mut self.recorder {
            let connection = &mut self.connections[slot as usize];
            let gate = connection.gate.get_or_insert_default();
            gate.barred = Some(recorder.turn);
            recorder.gated.push(connection.id);
        }
    }

    /// Whether a message must be stored before it is acknowledged.
    fn must_be_kept(&self, session: u32, publish: &Publish<'_>, route: &Route) -> bool {
        let kept = |target: &Target| target.session.kept && target.qos != QoS::AtMostOnce;
        publish.retain
            || (publish.qos == QoS::ExactlyOnce && self.keeps(session))
            || publish.qos != QoS::AtMostOnce
                && (route.local.iter().any(kept)
                    || route
                        .remote
                        .iter()
                        .any(|remote| remote.targets.iter().any(kept))
                    || route
                        .shares
                        .iter()
                        .any(|group| group.turns().any(|key| key.kept)))
    }
}
