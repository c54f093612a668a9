//! Replays the corpora of the fuzz targets on a stable toolchain: whatever the fuzzer found stays
//! found. The functions are those the fuzzer calls.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the file is the library of the fuzz crate")]
mod targets;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "the corpus of {target} is gone");
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        let survived = std::panic::catch_unwind(|| run(&bytes)).is_ok();
        assert!(survived, "{}", path.display());
    }
}

#[test]
fn frames() {
    replay("frame", targets::frame);
}

#[test]
fn packets() {
    replay("packet", targets::packet);
}

#[test]
fn properties() {
    replay("properties", targets::properties);
}

#[test]
fn topics() {
    replay("topic", targets::topic);
}
