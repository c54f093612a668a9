//! Runs one case in a world: sends what it says, compares what comes, and tells the story when they differ.

use crate::spec::encode;
use crate::spec::encode::Filter;
use crate::spec::matching;
use crate::spec::matching::Args;
use crate::spec::script::Act;
use crate::spec::script::Case;
use crate::spec::script::Step;
use crate::spec::watch::Watch;
use crate::spec::wire;
use crate::spec::wire::Packet;
use crate::spec::wire::Version;
use crate::spec::world::World;
use std::collections::HashMap;
use std::collections::VecDeque;

pub(crate) enum Outcome {
    Passed,
    /// This world cannot run the case, and why.
    Skipped(String),
    Failed(String),
}

/// One client of the case, by the name the script gives it.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) connection: usize,
    pub(crate) accepted: bool,
    pub(crate) sent_id: u64,
    pub(crate) received_id: u64,
    pub(crate) publishes: u64,
    pub(crate) watch: Watch,
    /// PUBLISHes that came before the acknowledgement a step was waiting for.
    pub(crate) early: VecDeque<Packet>,
}

pub(crate) enum Stop {
    Skip(String),
    Fail(String),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Fail(what)
    }
}

pub(crate) type Variables = HashMap<String, Vec<u8>>;

pub(crate) struct Run<'a> {
    pub(crate) world: &'a mut dyn World,
    pub(crate) version: Version,
    pub(crate) namespace: String,
    pub(crate) variables: Variables,
    pub(crate) peers: Vec<Peer>,
    /// `got` and `rest` after a step of `b|c`.
    pub(crate) aliases: HashMap<String, String>,
    pub(crate) story: Vec<String>,
    /// Bytes that wait for the end of a `together`, by connection.
    held: Option<Vec<(usize, Vec<u8>)>>,
}

pub(crate) fn run(
    world: &mut dyn World,
    case: &Case,
    version: Version,
    row: &[(String, Vec<u8>)],
    namespace: &str,
) -> Outcome {
    let mut run = Run {
        world,
        version,
        namespace: namespace.to_owned(),
        variables: Variables::new(),
        peers: Vec::new(),
        aliases: HashMap::new(),
        story: Vec::new(),
        held: None,
    };
    for (name, value) in row {
        let value = value.iter().flat_map(|b| match b {
            b'~' => namespace.as_bytes().to_vec(),
            b => vec![*b],
        });
        run.variables.insert(name.clone(), value.collect());
    }
    match run.steps(&case.steps) {
        Ok(()) => Outcome::Passed,
        Err((_, Stop::Skip(why))) => Outcome::Skipped(why),
        Err((step, Stop::Fail(why))) => {
            let row: Vec<String> = row
                .iter()
                .map(|(n, v)| format!("{n}={}", wire::show(v)))
                .collect();
            let story = run.story.join("\n      ");
            Outcome::Failed(format!(
                "{}:{} {} [{}] {} {}\n  at {}\n  {why}\n  so far:\n      {story}",
                case.file,
                case.line,
                case.rule,
                version.name(),
                case.title,
                row.join(" "),
                step
            ))
        }
    }
}

impl Run<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), (String, Stop)> {
        for step in steps {
            let here = |stop: Stop| (format!("line {}: {}", step.line, step.text), stop);
            match &step.act {
                Act::Repeat { count, name, steps } => {
                    let words = std::slice::from_ref(count);
                    let count = Args::new(words, &self.namespace, &self.variables);
                    let count = count
                        .and_then(|args| args.count())
                        .map_err(|e| here(e.into()))?;
                    for i in 1..=count {
                        self.variables
                            .insert(name.clone(), i.to_string().into_bytes());
                        self.steps(steps)?;
                    }
                }
                Act::Together(steps) => {
                    self.held = Some(Vec::new());
                    self.steps(steps)?;
                    for (connection, bytes) in self.held.take().unwrap_or_default() {
                        self.world
                            .send(connection, &bytes)
                            .map_err(|e| here(e.into()))?;
                    }
                }
                Act::AnyOrder(steps) => self.any_order(steps).map_err(here)?,
                Act::After(time) => {
                    self.story.push(format!("{time:?} pass"));
                    self.world
                        .pass(*time)
                        .map_err(|why| here(Stop::Skip(why)))?;
                }
                Act::Needs { name, range } => {
                    let value = self.variables.get(name).and_then(|v| wire::number(v));
                    if !value.is_some_and(|v| matching::number_fits(range, v)) {
                        let value = value.map_or_else(|| "unknown".to_owned(), |v| v.to_string());
                        let why = format!("the broker's {name} is {value}, not {range}");
                        return Err(here(Stop::Skip(why)));
                    }
                }
                Act::Peer { peers, verb, words } => {
                    let args = Args::new(words, &self.namespace, &self.variables)
                        .map_err(|e| here(e.into()))?;
                    self.peer_step(peers, verb, &args).map_err(here)?;
                }
            }
        }
        Ok(())
    }

    fn peer_step(&mut self, names: &[String], verb: &str, args: &Args) -> Result<(), Stop> {
        if let [_, _, ..] = names {
            return self.whichever(names, verb, args);
        }
        let name = self.aliases.get(&names[0]).unwrap_or(&names[0]).clone();
        if matches!(verb, "open" | "connect") {
            return self.open(&name, verb, args);
        }
        let at = self.peers.iter().position(|p| p.name == name);
        let at = at.ok_or_else(|| format!("{name} is not connected"))?;
        match verb {
            "send" => self.send(at, args)?,
            "send-hex" => {
                let bytes = args.raw(0)?;
                self.send_bytes(at, &bytes)?;
            }
            "send-body" => {
                let first = args.first_byte()?;
                let bytes = encode::frame(first, &args.raw(1)?);
                self.send_bytes(at, &bytes)?;
            }
            "expect" if args.kind()? == "nothing" => self.expect_nothing(at)?,
            "expect" => {
                self.expect(at, args.kind()?, &args.rest()).map(drop)?;
            }
            "closes" => self.closes(at, args)?,
            "publish" => self.publish(at, args)?,
            "receive" => {
                let packet = self.expect(at, "publish", args)?;
                self.acknowledge(at, &packet)?;
            }
            "subscribe" | "unsubscribe" => self.subscribe(at, verb, args)?,
            "disconnect" => {
                self.send_packet(at, "disconnect", args)?;
                self.drain_to_end(at)?;
            }
            "drop" => {
                self.story.push(format!("{name} drops"));
                let connection = self.peers[at].connection;
                self.world.cut(connection)?;
            }
            "reset" => {
                self.story.push(format!("{name} resets the connection"));
                let connection = self.peers[at].connection;
                self.world.reset(connection)?;
            }
            "ping" => {
                self.send_packet(at, "pingreq", &Args::default())?;
                self.expect_reply(at, "pingresp", &Args::default())?;
            }
            "received" => args.check_count(self.peers[at].publishes)?,
            other => return Err(Stop::Fail(format!("nothing does {other}"))),
        }
        Ok(())
    }

    fn open(&mut self, name: &str, verb: &str, args: &Args) -> Result<(), Stop> {
        let version = args.version().unwrap_or(self.version);
        let connection = self.world.open(version)?;
        self.story
            .push(format!("{name} opens a connection ({})", version.name()));
        let old = self
            .peers
            .iter()
            .position(|p| p.name == name)
            .map(|at| self.peers.remove(at));
        self.peers.push(Peer {
            name: name.to_owned(),
            version,
            connection,
            accepted: false,
            sent_id: old.as_ref().map_or(0, |p| p.sent_id),
            received_id: old.as_ref().map_or(0, |p| p.received_id),
            publishes: old.as_ref().map_or(0, |p| p.publishes),
            watch: old.map_or_else(Watch::default, |p| p.watch),
            early: VecDeque::new(),
        });
        if verb == "connect" {
            let at = self.peers.len() - 1;
            let (sent, expected) = args.split();
            self.send_packet(at, "connect", &sent)?;
            self.expect(at, "connack", &expected)?;
        }
        Ok(())
    }

    fn send(&mut self, at: usize, args: &Args) -> Result<(), Stop> {
        let kind = args.kind()?.to_owned();
        self.send_packet(at, &kind, &args.rest())
    }

    pub(crate) fn send_packet(&mut self, at: usize, kind: &str, args: &Args) -> Result<(), Stop> {
        let (packet, filters) = self.build(at, kind, args)?;
        let bytes = encode::encode(&packet, &filters, self.peers[at].version)?;
        self.peers[at].watch.sent(&packet);
        self.story
            .push(format!("{} → {}", self.peers[at].name, packet.show()));
        self.send_bytes(at, &bytes)
    }

    fn send_bytes(&mut self, at: usize, bytes: &[u8]) -> Result<(), Stop> {
        let peer = &self.peers[at];
        self.story
            .push(format!("{} → {}", peer.name, wire::hex(bytes)));
        let connection = peer.connection;
        let Some(held) = &mut self.held else {
            return Ok(self.world.send(connection, bytes)?);
        };
        match held.iter_mut().find(|(c, _)| *c == connection) {
            Some((_, waiting)) => waiting.extend_from_slice(bytes),
            None => held.push((connection, bytes.to_vec())),
        }
        Ok(())
    }

    /// Fields as written, with what a script may leave out: the client id, Packet Identifiers.
    fn build(
        &mut self,
        at: usize,
        kind: &str,
        args: &Args,
    ) -> Result<(Packet, Vec<Filter>), String> {
        let known = wire::KINDS.iter().find(|k| **k == kind);
        let mut packet = Packet {
            kind: known.ok_or_else(|| format!("no packet {kind}"))?,
            ..Packet::default()
        };
        let filters = if kind.ends_with("subscribe") {
            args.filters()?
        } else {
            Vec::new()
        };
        for (key, value) in args.pairs() {
            match key.strip_prefix('.') {
                Some(name) => packet.properties.push((name.to_owned(), value.to_vec())),
                None => packet.fields.push((key.to_owned(), value.to_vec())),
            }
        }
        let peer = &mut self.peers[at];
        let mut default = |name: &str, value: String| {
            if packet.field(name).is_none() {
                packet.fields.push((name.to_owned(), value.into_bytes()));
            }
        };
        match kind {
            "connect" => {
                default("id", format!("{}{}", self.namespace, peer.name));
                default("clean", "1".to_owned());
            }
            "puback" | "pubrec" | "pubcomp" => default("id", peer.received_id.to_string()),
            "pubrel" => default("id", peer.sent_id.to_string()),
            "subscribe" | "unsubscribe" => default("id", (peer.sent_id + 1).to_string()),
            "publish" if packet.number("qos").unwrap_or(0) > 0 => {
                let id = (peer.sent_id + 1).to_string();
                if packet.field("id").is_none() {
                    packet.fields.push(("id".to_owned(), id.into_bytes()));
                }
            }
            _ => (),
        }
        if matches!(kind, "publish" | "subscribe" | "unsubscribe" | "pubrel") {
            peer.sent_id = packet.number("id").unwrap_or(peer.sent_id);
        }
        Ok((packet, filters))
    }

    fn publish(&mut self, at: usize, args: &Args) -> Result<(), Stop> {
        self.send_packet(at, "publish", args)?;
        let fine = Args::of(&[("reason", "0|16")]);
        match args.number("qos") {
            Some(1) => self.expect_reply(at, "puback", &fine)?,
            Some(2) => {
                self.expect_reply(at, "pubrec", &fine)?;
                self.send_packet(at, "pubrel", &Args::default())?;
                self.expect_reply(at, "pubcomp", &Args::default())?;
            }
            _ => (),
        }
        Ok(())
    }

    pub(crate) fn acknowledge(&mut self, at: usize, packet: &Packet) -> Result<(), Stop> {
        match packet.number("qos") {
            Some(1) => self.send_packet(at, "puback", &Args::default()),
            Some(2) => {
                self.send_packet(at, "pubrec", &Args::default())?;
                self.expect_reply(at, "pubrel", &Args::default())?;
                self.send_packet(at, "pubcomp", &Args::default())
            }
            _ => Ok(()),
        }
    }

    fn subscribe(&mut self, at: usize, verb: &str, args: &Args) -> Result<(), Stop> {
        let (sent, mut expected) = args.split();
        self.send_packet(at, verb, &sent)?;
        let reply = if verb == "subscribe" {
            "suback"
        } else {
            "unsuback"
        };
        let v5 = self.peers[at].version == Version::V5;
        if expected.is_empty() && (verb == "subscribe" || v5) {
            let filters = sent.filters()?;
            let codes = filters
                .iter()
                .map(|(_, o)| if verb == "subscribe" { o & 3 } else { 0 });
            let codes: Vec<String> = codes.map(|c| c.to_string()).collect();
            expected = Args::of(&[("codes", &codes.join(","))]);
        }
        self.expect_reply(at, reply, &expected)
    }
}
