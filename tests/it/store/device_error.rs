//! The real broker on a device that gives EIO to every write and every sync: it says so, refuses
//! what it cannot keep, and goes on once the device is well. Then it is killed, and must still have
//! all that it acknowledged.
//!
//! The errors come from a few lines of C between the broker and the system's library, which the test
//! has to compile; without a C compiler this says so and ends.

use std::process::Command;

use mqttx::mqtt::{Packet, Version};

use crate::store::crash::Wire;
use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish, render};
use crate::support::raw_client::RawClient;
use crate::support::shim;

/// Regular files take no byte and no sync as long as the file named `BROKEN` is there.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int broken(int fd) {
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && access(getenv("BROKEN"), F_OK) == 0;
}
#define FAILS(name, parameters, arguments, type, fd)                          \
    type name parameters {                                                    \
        type(*next) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
        if (broken(fd)) { errno = EIO; return -1; }                           \
        return next arguments;                                                \
    }
FAILS(write, (int fd, const void *at, size_t count), (fd, at, count), ssize_t, fd)
FAILS(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), ssize_t, fd)
FAILS(pwrite, (int fd, const void *at, size_t count, off_t to), (fd, at, count, to), ssize_t, fd)
FAILS(pwrite64, (int fd, const void *at, size_t count, off64_t to), (fd, at, count, to), ssize_t, fd)
FAILS(fsync, (int fd), (fd), int, fd)
FAILS(fdatasync, (int fd), (fd), int, fd)
"#;

fn answer(wire: &mut Wire) -> String {
    let frame = wire.next().unwrap();
    render(&Packet::decode(&frame, Version::V5).unwrap())
}

/// Publishes until an answer says that it is refused; the number of the last one.
fn publish_until_refused(broker: &BrokerProcess) -> u16 {
    for number in 1_000.. {
        let hello = Hello::new(&format!("other{number}"));
        let mut wire = Wire::connect(broker.port, &hello).unwrap();
        send(&mut wire, number);
        if answer(&mut wire) == format!("PUBACK #{number} 0x97") {
            return number;
        }
    }
    unreachable!("an answer came to each of sixty thousand, and none refused");
}

fn send(wire: &mut Wire, number: u16) {
    let payload = number.to_string();
    wire.send(&publish(Version::V5, "t", &payload, 1, number, &[]))
        .unwrap();
}

#[test]
fn a_device_that_fails_is_told_and_nothing_that_was_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = shim::compile(folder.path(), SHIM) else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    let (store, broken) = (folder.path().join("store"), folder.path().join("broken"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command
        .args(["broker", "--port", "0", "--sync", "always", "--persistence"])
        .arg(&store)
        .env("LD_PRELOAD", &library)
        .env("BROKEN", &broken);
    let broker = BrokerProcess::start_as(command);
    let hello = Hello::new("sub").kept();
    drop(RawClient::subscriber(broker.port, &hello, "t", 1));
    let mut wire = Wire::connect(broker.port, &Hello::new("pub")).unwrap();
    for number in 1..=100 {
        send(&mut wire, number);
        assert_eq!(answer(&mut wire), format!("PUBACK #{number}"));
    }
    std::fs::write(&broken, "").unwrap();
    // The one that finds the device broken is answered when it is well again, and not before.
    send(&mut wire, 101);
    let told = broker.wait_log("until this is mended");
    assert!(told.contains("store: Input/output error; until"), "{told}");
    let refused = publish_until_refused(&broker);
    std::fs::remove_file(&broken).unwrap();
    broker.wait_log("can be written to again");
    assert_eq!(answer(&mut wire), "PUBACK #101");
    for number in 102..=200 {
        send(&mut wire, number);
        assert_eq!(answer(&mut wire), format!("PUBACK #{number}"));
    }
    broker.kill();
    let store = store.to_string_lossy();
    let broker = BrokerProcess::start(&["--persistence", &store]);
    let mut sub = Wire::connect(broker.port, &hello).unwrap();
    let mut found = Vec::new();
    while found.last() != Some(&200) {
        let frame = sub.next().unwrap();
        let Packet::Publish(publish) = Packet::decode(&frame, Version::V5).unwrap() else {
            continue;
        };
        let number: u16 = std::str::from_utf8(publish.payload)
            .unwrap()
            .parse()
            .unwrap();
        found.push(number);
    }
    assert!(!found.contains(&refused), "{found:?}");
    found.retain(|number| *number <= 200);
    assert_eq!(found, (1..=200).collect::<Vec<_>>());
}
