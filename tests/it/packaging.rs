//! The systemd unit keeps the broker in its sandbox, as systemd itself judges it.

use std::path::Path;
use std::process::Command;

/// Tenths of systemd's exposure level: 0 is a safe, 100 an open door.
const EXPOSURE_MAX: &str = "15";

#[test]
fn the_unit_leaves_the_broker_little_of_the_machine() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mqttx.service");
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold", EXPOSURE_MAX])
        .arg(unit)
        .output();
    let Ok(judged) = judged else {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&judged.stdout);
    let last = said.lines().last().unwrap_or_default();
    let wrong = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{last} {wrong}");
}
