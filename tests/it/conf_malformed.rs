//! Every sort of mistake in a mosquitto.conf, and the sentence it gets.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use mqttx::daemon::conf::parse;
use mqttx::daemon::conf::settings::Settings;

fn read(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    read_in(folder.path(), text)
}

/// `mosquitto.conf` in this folder; in errors the folder is left out.
fn read_in(folder: &Path, text: impl AsRef<[u8]>) -> Result<Settings, String> {
    let path = folder.join("mosquitto.conf");
    fs::write(&path, text).unwrap();
    parse::read(&path).map_err(|fault| {
        let folder = format!("{}/", folder.display());
        fault.to_string().replace(&folder, "")
    })
}

/// The table: its first lines say how to read it. A broker's area adds the rows of its directives.
const TABLE: &str = include_str!("../fixtures/malformed_conf.txt");

#[test]
fn every_mistake_gets_its_sentence() {
    let mut wrong = String::new();
    let mut rows = 0;
    let mut lines = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    while let Some(row) = lines.next() {
        let expected = lines.next().and_then(|line| line.strip_prefix("    "));
        let expected = expected.unwrap_or_else(|| panic!("{row}: no sentence"));
        rows += 1;
        match read(&row.replace(" | ", "\n")) {
            Ok(_) => writeln!(wrong, "{row}: taken").unwrap(),
            Err(error) if error.lines().next() == Some(expected) => {}
            Err(error) => writeln!(wrong, "{row}: {error}").unwrap(),
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(rows > 150, "{rows} rows");
    let zero = read("user a\0b").unwrap_err();
    assert!(zero.starts_with("Error: Malformed UTF-8"), "{zero}");
}

#[test]
fn an_error_names_file_and_line() {
    let error = read("# one\n\nfoo 1\n").unwrap_err();
    assert_eq!(
        error,
        "Error: Unknown configuration variable 'foo'.\nError found at mosquitto.conf:3."
    );
}
