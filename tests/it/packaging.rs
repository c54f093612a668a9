//! What is promised beyond the code: the systemd unit keeps the broker in its sandbox, as systemd
//! itself judges it, and the compiler is told to refuse and to check.

use std::fs;
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

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mqttx.service");
    let text = fs::read_to_string(unit).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("mqttx.service");
    let installed = text.replace("/usr/local/bin/mqttx", env!("CARGO_BIN_EXE_mqttx"));
    assert_ne!(installed, text);
    fs::write(&here, installed).unwrap();
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&here)
        .output();
    let Ok(verified) = verified else {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    };
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && told.is_empty(), "{told}");
}

#[test]
fn unsafe_code_is_refused_and_sums_are_checked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let lint = manifest["lints"]["rust"]["unsafe_code"].as_str();
    assert_eq!(lint, Some("forbid"));
    let checks = manifest["profile"]["release"]["overflow-checks"].as_bool();
    assert_eq!(checks, Some(true));
}
