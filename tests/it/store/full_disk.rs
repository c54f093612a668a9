//! The real broker on a file system of one megabyte that is full: it says so, refuses what it
//! cannot keep, goes on with everything else, and goes on with that too once there is room.
//!
//! Mounting wants root; without it this says so and ends.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mqttx::mqtt::{Packet, Version};

use crate::store::crash::Wire;
use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish, render, subscribe};
use crate::support::raw_client::RawClient;

/// A mounted file system, unmounted with the test.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn run(program: &str, words: &[&str]) -> Option<()> {
    let done = Command::new(program).args(words).output().ok()?;
    done.status.success().then_some(())
}

/// A file system in memory.
fn tmpfs(folder: &Path) -> Option<Mounted<'_>> {
    let shown = folder.to_str().unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=1m", "none", shown])?;
    Some(Mounted(folder))
}

/// One with blocks and inodes, in a file.
fn ext4<'a>(image: &Path, folder: &'a Path) -> Option<Mounted<'a>> {
    let (image, shown) = (image.to_str().unwrap(), folder.to_str().unwrap());
    let small = "-q -F -O ^has_journal -m 0 -N 16";
    let words: Vec<&str> = small.split(' ').chain([image, "1200k"]).collect();
    run("mkfs.ext4", &words)?;
    run("mount", &["-o", "loop", image, shown])?;
    Some(Mounted(folder))
}

/// A connection whose message is refused at once. One that was on its way when the disk got full
/// is answered only when there is room again: its connection is given up for another.
fn refused_at_once(broker: &BrokerProcess) -> Wire {
    let payload = "x".repeat(1_000);
    for attempt in 0..60 {
        let hello = Hello::new(&format!("other{attempt}"));
        let mut wire = Wire::connect(broker.port, &hello).unwrap();
        wire.send(&publish(Version::V5, "t", &payload, 1, 1, &[]))
            .unwrap();
        let frame = wire.next_within(Duration::from_millis(500));
        let answer = frame.map(|frame| render(&Packet::decode(&frame, Version::V5).unwrap()));
        if answer.as_deref() == Some("PUBACK #1 0x97") {
            return wire;
        }
    }
    panic!("nothing is refused: {:?}", broker.log());
}

/// Publishes until the broker says that its disk is full; the last Packet Identifier.
fn publish_until_full(broker: &BrokerProcess, wire: &mut Wire) -> u16 {
    let mut id = 0;
    loop {
        id += 1;
        // The message that finds the disk full is answered only when there is room again.
        let payload = format!("{id:05}{}", "x".repeat(1_000));
        wire.send(&publish(Version::V5, "t", &payload, 1, id, &[]))
            .unwrap();
        let told = broker
            .log()
            .iter()
            .any(|line| line.contains("until this is mended"));
        if told {
            break;
        }
        if id > 700 {
            // It is full by now.
            broker.wait_log("until this is mended");
            break;
        }
    }
    id
}

#[test]
fn a_full_disk_is_told_and_nothing_that_was_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    match tmpfs(folder.path()) {
        Some(_mounted) => fill(folder.path()),
        None => eprintln!("skipped: a file system of its own cannot be mounted here"),
    }
}

#[test]
fn a_full_file_system_with_blocks_is_told_as_well() {
    let (image, folder) = (
        tempfile::NamedTempFile::new().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    match ext4(image.path(), folder.path()) {
        Some(_mounted) => fill(folder.path()),
        None => eprintln!("skipped: a file cannot be mounted as a file system here"),
    }
}

/// Fills the disk under a broker and makes room again, then kills the broker.
fn fill(folder: &Path) {
    let filler = folder.join("filler");
    std::fs::write(&filler, vec![1; 500_000]).unwrap();
    let store = folder.join("store").to_string_lossy().into_owned();
    let broker = BrokerProcess::start(&["--persistence", &store]);
    let hello = Hello::new("sub").kept();
    drop(RawClient::subscriber(broker.port, &hello, "t", 1));
    let mut wire = Wire::connect(broker.port, &Hello::new("pub")).unwrap();
    let mut acknowledged = Vec::new();
    let last = publish_until_full(&broker, &mut wire);
    let mut other = refused_at_once(&broker);
    other
        .send(&subscribe(Version::V5, 2, "free", 0, &[]))
        .unwrap();
    assert_eq!(other.next().unwrap()[0], 0x90);
    other
        .send(&publish(Version::V5, "free", "goes on", 0, 0, &[]))
        .unwrap();
    let frame = other.next().unwrap();
    let got = render(&Packet::decode(&frame, Version::V5).unwrap());
    assert_eq!(got, "PUBLISH free goes on q0");
    std::fs::remove_file(&filler).unwrap();
    broker.wait_log("can be written to again");
    for _ in 0..last {
        let frame = wire.next().unwrap();
        let text = render(&Packet::decode(&frame, Version::V5).unwrap());
        if !text.ends_with("0x97") {
            acknowledged.push(text[8..].parse::<u16>().unwrap());
        }
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    broker.kill();
    let broker = BrokerProcess::start(&["--persistence", &store]);
    let mut sub = Wire::connect(broker.port, &hello).unwrap();
    let mut found = Vec::new();
    while found.len() < acknowledged.len() {
        let frame = sub.next().unwrap();
        let Packet::Publish(publish) = Packet::decode(&frame, Version::V5).unwrap() else {
            continue;
        };
        let number = std::str::from_utf8(&publish.payload[..5]).unwrap();
        let number = number.parse().unwrap();
        if acknowledged.contains(&number) && !found.contains(&number) {
            found.push(number);
        }
    }
    assert_eq!(found, acknowledged, "in order");
}
