//! The same bytes to mosquitto and to us, started from the same configuration file: what comes back
//! is compared byte by byte, with what closes and what does not. mosquitto 2.1 is the release whose
//! behaviour ours is: every difference from it has a rule that says why. What 2.0 does otherwise is
//! told, too. A difference without a rule fails, and so does a rule that no script needs any more.

mod messages;
mod player;
mod scripts;
mod written;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::compare_broker::player::Player;
use crate::compare_broker::written::{Set, sets};
use crate::support::broker_process::BrokerProcess;
use crate::support::peers;
use crate::support::programs::{mosquittos_21, skipped};

/// Ports for a configuration: three for its listeners, and one that tells that it listens.
const PORTS: usize = 4;

/// What configurations name.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mosquitto/files");

/// How a script ends with us, compared with mosquitto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// As with both releases.
    Same,
    /// As with 2.1, which changed it.
    Since21(&'static str),
    /// The standard leaves it open, and we choose otherwise.
    Choice(&'static str),
    /// The standard demands it, mosquitto does not do it, and nothing is lost by it.
    Standard(&'static str),
}

pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&mut Player),
    pub(crate) rule: Rule,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Release {
    V20,
    V21,
}

impl Rule {
    /// Whether a release has to answer as we do; where we go our own way, 2.0 may have gone it, too.
    fn holds(self, release: Release, same: bool) -> bool {
        match (self, release) {
            (Self::Same, _) | (Self::Since21(_), Release::V21) => same,
            (Self::Since21(_), Release::V20) => !same,
            (Self::Choice(_) | Self::Standard(_), Release::V21) => !same,
            (Self::Choice(_) | Self::Standard(_), Release::V20) => true,
        }
    }
}

type Play<'a> = Box<dyn Fn(&mut Player) + Sync + 'a>;

/// The scripts of a set: those of one are written in Rust.
fn scripts_of(set: &Set) -> Vec<(&str, Rule, Play<'_>)> {
    let mut all: Vec<(&str, Rule, Play<'_>)> = Vec::new();
    if set.name == "plain" {
        for script in scripts::HANDSHAKES.iter().chain(messages::MESSAGES) {
            all.push((script.name, script.rule, Box::new(script.play)));
        }
    }
    for script in &set.scripts {
        let play = |player: &mut Player| script.play(player);
        all.push((&script.name, script.rule, Box::new(play)));
    }
    all
}

fn transcript(play: &Play<'_>, ports: &[u16]) -> String {
    let mut player = Player::new(ports);
    play(&mut player);
    player.transcript
}

/// Plays a set to both brokers at once, and tells where a rule does not hold.
fn faults_of(set: &Set, release: Release, mosquitto: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let conf = format!("{}listener {{{PORTS}}} 127.0.0.1\n", set.conf);
    let conf = conf.replace("{files}", FILES);
    let lines = |ports: [u16; PORTS]| {
        let numbered = (1..).zip(ports);
        numbered.fold(conf.clone(), |conf, (number, port)| {
            conf.replace(&format!("{{{number}}}"), &port.to_string())
        })
    };
    let Some((_mosquitto, theirs)) = peers::mosquitto_at(mosquitto, folder.path(), lines) else {
        return format!("{}: mosquitto does not start\n", set.name);
    };
    let free = (1..=PORTS).fold(conf.clone(), |conf, number| {
        conf.replace(&format!("{{{number}}}"), "any")
    });
    let ours = BrokerProcess::configured(&free, &["--workers", "1"]);
    let only = std::env::var("MQTTX_SCRIPT").ok();
    let mut faults = String::new();
    let mut names = BTreeSet::new();
    for (name, rule, play) in scripts_of(set) {
        assert!(names.insert(name), "{name} is there twice");
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let (theirs, ours) = std::thread::scope(|scope| {
            let other = scope.spawn(|| transcript(&play, &theirs));
            let ours = transcript(&play, &ours.ports);
            (other.join().unwrap(), ours)
        });
        if only.is_some() || !rule.holds(release, theirs == ours) {
            let heading = format!("{}: {name} ({rule:?})", set.name);
            writeln!(faults, "{heading}\nmosquitto\n{theirs}mqttx\n{ours}").unwrap();
        }
    }
    faults
}

fn compare(release: Release, mosquitto: Option<PathBuf>) {
    let mut sets = sets();
    sets.retain(|set| release == Release::V21 || !set.only_21);
    let count: usize = sets.iter().map(|set| scripts_of(set).len()).sum();
    assert!(count > 100, "{count} scripts");
    let Some(mosquitto) = mosquitto else {
        return skipped(count, "this mosquitto is not installed");
    };
    let faults = std::thread::scope(|scope| {
        let played = sets
            .iter()
            .map(|set| scope.spawn(|| faults_of(set, release, &mosquitto)));
        let played: Vec<_> = played.collect();
        let each = played.into_iter().map(|set| set.join().unwrap());
        each.collect::<String>()
    });
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn mosquitto_2_0_and_we_answer_the_same_bytes() {
    compare(Release::V20, peers::installed("mosquitto"));
}

#[test]
fn mosquitto_2_1_and_we_answer_the_same_bytes() {
    compare(Release::V21, mosquittos_21("mosquitto"));
}
