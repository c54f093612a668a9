//! Runs that end before they are through: by a signal, or because the broker has gone.

use mqttx::mqtt::PacketType;
use rustix::process::Signal;

use crate::compare_wire::rules::Rule::{Counted, NoFullStop};
use crate::compare_wire::{Broker, P, R, Row, S, V5, V311, row};

const fn closes(broker: Broker, at: PacketType) -> Broker {
    Broker {
        closes_at: Some(at),
        ..broker
    }
}

pub(super) const ROWS: &[Row] = &[
    row(S, "-t a -i s", V311).signal(PacketType::Subscribe, Signal::INT),
    row(S, "-t a -i s -d", V311).signal(PacketType::Subscribe, Signal::TERM),
    row(S, "-t a -i s -V 5 -d", V5).signal(PacketType::Subscribe, Signal::INT),
    row(S, "-t a -i s -D disconnect reason-string bye", V5)
        .signal(PacketType::Subscribe, Signal::TERM),
    row(S, "-t a -i s", V311).signal(PacketType::Subscribe, Signal::HUP),
    row(S, "-t a -i s", V311).signal(PacketType::Subscribe, Signal::USR1),
    row(S, "-t a -i s", V311).signal(PacketType::Subscribe, Signal::USR2),
    row(S, "-t a -i s", V311).signal(PacketType::Subscribe, Signal::QUIT),
    row(R, "-t a -e b -m c -i s", V5).signal(PacketType::Publish, Signal::INT),
    row(R, "-t a -e b -m c -i s -V 311", V311).signal(PacketType::Publish, Signal::TERM),
    row(R, "-t a -e b -m c -i s", V5).signal(PacketType::Publish, Signal::HUP),
    row(P, "-t a -m c -i s --repeat 2 --repeat-delay 20", V311)
        .signal(PacketType::Publish, Signal::INT),
    row(P, "-t a -m c -i s --repeat 2 --repeat-delay 20", V311)
        .signal(PacketType::Publish, Signal::TERM),
    row(P, "-t a -m c -i s --repeat 2 --repeat-delay 20", V311)
        .signal(PacketType::Publish, Signal::HUP),
    row(P, "-t a -m b -i p", closes(V311, PacketType::Connect)).rules(&[NoFullStop]),
    row(P, "-t a -m b -i p -V 5", closes(V5, PacketType::Connect)).rules(&[NoFullStop]),
    row(P, "-t a -m b -i p -q 1", closes(V311, PacketType::Publish)).rules(&[NoFullStop, Counted]),
    row(
        P,
        "-t a -m b -i p -q 2 -V 5 -d",
        closes(V5, PacketType::Pubrel),
    )
    .rules(&[NoFullStop, Counted]),
    row(
        P,
        "-t a -m b -i p -q 1 --quiet",
        closes(V311, PacketType::Publish),
    ),
];
