//! What a case expects of the broker: the next packet, none, the end, one of several in any order.

use crate::spec::decode;
use crate::spec::matching;
use crate::spec::matching::Args;
use crate::spec::run::Run;
use crate::spec::run::Stop;
use crate::spec::script::Act;
use crate::spec::script::Step;
use crate::spec::wire;
use crate::spec::wire::Packet;
use crate::spec::wire::Version;
use crate::spec::world::Event;
use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

impl Run<'_> {
    /// The next event, without what other cases publish; one PINGRESP is nobody else's.
    pub(crate) fn next(&mut self, at: usize, patience: Duration) -> Result<Option<Packet>, Stop> {
        let packet = match self.peers[at].early.pop_front() {
            Some(packet) => Some(packet),
            None => self.arriving(at, patience)?,
        };
        if let Some(publish) = packet.as_ref().filter(|p| p.kind == "publish") {
            self.peers[at].received_id = publish.number("id").unwrap_or(0);
        }
        Ok(packet)
    }

    pub(crate) fn arriving(
        &mut self,
        at: usize,
        patience: Duration,
    ) -> Result<Option<Packet>, Stop> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let peer = &mut self.peers[at];
            match self.world.next(peer.connection, left)? {
                Event::Quiet => return Ok(None),
                Event::End => {
                    self.story
                        .push(format!("{} ← the end of the connection", peer.name));
                    return Ok(Some(Packet {
                        kind: "end",
                        ..Packet::default()
                    }));
                }
                Event::Packet(bytes) => {
                    let read = match decode::old_refusal(&bytes) {
                        Some(packet) if !peer.accepted && peer.version == Version::V5 => Ok(packet),
                        _ => decode::decode(&bytes, peer.version),
                    };
                    let shown = read.as_ref().map_or_else(Clone::clone, Packet::show);
                    let foreign = read.as_ref().is_ok_and(|p| foreign(p, &self.namespace));
                    if foreign {
                        continue;
                    }
                    self.story.push(format!(
                        "{} ← {shown}\n      {} ← {}",
                        peer.name,
                        peer.name,
                        wire::hex(&bytes)
                    ));
                    let mut packet =
                        read.map_err(|e| format!("the broker's own packet is wrong: {e}"))?;
                    peer.watch.came(&mut packet, bytes.len(), peer.version)?;
                    match packet.kind {
                        "connack" => peer.accepted = packet.number("reason") == Some(0),
                        "publish" => peer.publishes += 1,
                        _ => (),
                    }
                    return Ok(Some(packet));
                }
            }
        }
    }

    pub(crate) fn expect(&mut self, at: usize, kind: &str, args: &Args) -> Result<Packet, Stop> {
        let wanted = format!("expected: {kind} {}", args.show());
        let patience = self.world.patience();
        let Some(packet) = self.next(at, patience)? else {
            return Err(Stop::Fail(format!("{wanted}\n  came:     nothing")));
        };
        let found = matching::check(kind, args, &packet, &self.peers[at]);
        let captured =
            found.map_err(|why| format!("{wanted}\n  came:     {}\n  {why}", packet.show()))?;
        self.variables.extend(captured);
        Ok(packet)
    }

    /// Waits for an acknowledgement; Application Messages may come before it and are kept for later steps.
    pub(crate) fn expect_reply(&mut self, at: usize, kind: &str, args: &Args) -> Result<(), Stop> {
        let patience = self.world.patience();
        let mut early = std::mem::take(&mut self.peers[at].early);
        let packet = loop {
            match self.arriving(at, patience)? {
                Some(packet) if packet.kind == "publish" => early.push_back(packet),
                other => break other,
            }
        };
        if let Some(packet) = packet {
            self.peers[at].early.push_front(packet);
        }
        self.expect(at, kind, args)?;
        self.peers[at].early = early;
        Ok(())
    }

    pub(crate) fn expect_nothing(&mut self, at: usize) -> Result<(), Stop> {
        let quiet = self.world.quiet();
        match self.next(at, quiet)? {
            None => Ok(()),
            Some(packet) => Err(Stop::Fail(format!(
                "expected: nothing\n  came:     {}",
                packet.show()
            ))),
        }
    }

    /// The broker ends the connection; in v5 it says why first.
    pub(crate) fn closes(&mut self, at: usize, args: &Args) -> Result<(), Stop> {
        let patience = self.world.patience();
        let peer = &self.peers[at];
        let v5 = peer.version == Version::V5;
        let last = if peer.accepted {
            "disconnect"
        } else {
            "connack"
        };
        let code = args.code();
        let mut packet = self.next(at, patience)?;
        let mut reason = packet
            .as_ref()
            .filter(|p| v5 && p.kind == last)
            .and_then(|p| p.number("reason"));
        let fits = match code.as_deref() {
            Some(_)
                if !self.world.gives_reasons()
                    && packet.as_ref().is_some_and(|p| p.kind == "end") =>
            {
                true
            }
            Some("silently") => packet.as_ref().is_some_and(|p| p.kind == "end"),
            Some("refused") => {
                let refusal = packet.as_ref().filter(|p| p.kind.ends_with("connack"));
                reason = refusal.and_then(|p| p.number("reason"));
                reason.is_none_or(|r| r != 0)
            }
            Some(code) if v5 => reason.is_some_and(|r| matching::number_fits(code, r)),
            _ => reason.is_none_or(|r| r >= 0x80),
        };
        if fits && reason.is_some() {
            packet = self.next(at, patience)?;
        }
        let ended = packet.as_ref().is_some_and(|p| p.kind == "end");
        if fits && ended {
            return Ok(());
        }
        let came = packet.map_or_else(|| "nothing".to_owned(), |p| p.show());
        let code = code.map_or_else(
            || "the end".to_owned(),
            |c| {
                if v5 {
                    format!("{last} {c}, then the end")
                } else {
                    "the end".to_owned()
                }
            },
        );
        Err(Stop::Fail(format!("expected: {code}\n  came:     {came}")))
    }

    /// After our DISCONNECT nothing more is due; what crossed it on the way is read away.
    pub(crate) fn drain_to_end(&mut self, at: usize) -> Result<(), Stop> {
        let patience = self.world.patience();
        while let Some(packet) = self.next(at, patience)? {
            if packet.kind == "end" {
                return Ok(());
            }
        }
        Err(Stop::Fail(
            "the broker keeps the connection open after DISCONNECT".to_owned(),
        ))
    }

    /// `b|c expect publish …`: one of them gets it and is called `got` from then on, the other `rest`.
    pub(crate) fn whichever(
        &mut self,
        names: &[String],
        verb: &str,
        args: &Args,
    ) -> Result<(), Stop> {
        let until = Instant::now() + self.world.patience();
        loop {
            for name in names {
                let at = self.peers.iter().position(|p| &p.name == name);
                let at = at.ok_or_else(|| format!("{name} is not connected"))?;
                let Some(packet) = self.next(at, Duration::from_millis(10))? else {
                    continue;
                };
                let (kind, wanted) = match verb {
                    "receive" => ("publish", args.clone()),
                    _ => (args.kind()?, args.rest()),
                };
                let found = matching::check(kind, &wanted, &packet, &self.peers[at]);
                self.variables.extend(found.map_err(|why| {
                    format!(
                        "expected: {kind} {}\n  came:     {}\n  {why}",
                        wanted.show(),
                        packet.show()
                    )
                })?);
                if verb == "receive" {
                    self.acknowledge(at, &packet)?;
                }
                let rest = names
                    .iter()
                    .find(|n| *n != name)
                    .cloned()
                    .unwrap_or_default();
                self.aliases =
                    HashMap::from([("got".to_owned(), name.clone()), ("rest".to_owned(), rest)]);
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Stop::Fail(format!(
                    "expected: {}\n  came:     nothing",
                    args.show()
                )));
            }
        }
    }

    /// Packets that may come in any order; each step takes one.
    pub(crate) fn any_order(&mut self, steps: &[Step]) -> Result<(), Stop> {
        let mut due = Vec::new();
        for step in steps {
            let Act::Peer { peers, verb, words } = &step.act else {
                return Err(Stop::Fail("only packets can come in any order".to_owned()));
            };
            let args = Args::new(words, &self.namespace, &self.variables)?;
            let at = self.peers.iter().position(|p| p.name == peers[0]);
            let at = at.ok_or_else(|| format!("{} is not connected", peers[0]))?;
            let (kind, wanted) = match verb.as_str() {
                "receive" => ("publish".to_owned(), args),
                "expect" => (args.kind()?.to_owned(), args.rest()),
                other => return Err(Stop::Fail(format!("{other} in any order"))),
            };
            due.push((at, kind, wanted, verb == "receive"));
        }
        let patience = self.world.patience();
        while let Some((at, ..)) = due.first() {
            let at = *at;
            let packet = self.next(at, patience)?;
            let left = |due: &[(usize, String, Args, bool)]| {
                let of_peer = due.iter().filter(|d| d.0 == at);
                of_peer
                    .map(|d| format!("{} {}", d.1, d.2.show()))
                    .collect::<Vec<_>>()
                    .join("\n            ")
            };
            let Some(packet) = packet else {
                return Err(Stop::Fail(format!(
                    "expected: {}\n  came:     nothing",
                    left(&due)
                )));
            };
            let fits = |d: &(usize, String, Args, bool)| {
                d.0 == at && matching::check(&d.1, &d.2, &packet, &self.peers[at]).is_ok()
            };
            let Some(found) = due.iter().position(fits) else {
                return Err(Stop::Fail(format!(
                    "expected: {}\n  came:     {}",
                    left(&due),
                    packet.show()
                )));
            };
            let (_, kind, wanted, receives) = due.remove(found);
            let captured = matching::check(&kind, &wanted, &packet, &self.peers[at])?;
            self.variables.extend(captured);
            if receives {
                self.acknowledge(at, &packet)?;
            }
        }
        Ok(())
    }
}

/// A PUBLISH of another case that a wide filter such as `#` let in.
fn foreign(packet: &Packet, namespace: &str) -> bool {
    let topic = packet.field("topic").unwrap_or_default();
    let has = topic
        .windows(namespace.len())
        .any(|part| part == namespace.as_bytes());
    packet.kind == "publish" && !topic.is_empty() && !has
}
