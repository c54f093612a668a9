//! All sorts of bad input, and what each gets: `tests/fixtures/bad_input.txt`, a row a mistake, put
//! before the real program. Its first lines say how to read it.
//!
//! `UPDATE=1` writes the table anew with what the program says now; then it is to be read.

mod files;
mod wire;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bad_input::files::Folder;
use crate::bad_input::wire::Live;

/// Programs that run at a time.
const THREADS: usize = 6;

/// Fewer rows than these are not all sorts.
const ROWS_MIN: usize = 480;

/// What is done with the rows below a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// `mosquitto.conf`: the row, or the heading's lines with the row in a file called `file`.
    Conf(Option<String>),
    /// Words behind `mqttx broker`.
    Words,
    /// Bytes for the listener of this number, behind those of the heading.
    Wire(usize, Vec<u8>),
}

/// One line of the table, with its answer if it is a row.
struct Entry {
    line: String,
    row: Option<(Kind, Vec<String>)>,
}

#[test]
fn every_mistake_gets_its_sentence() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad_input.txt");
    let table = fs::read_to_string(&path).unwrap();
    let entries = read(&table);
    let answers = answers(&entries);
    let (mut written, mut wrong) = (String::new(), String::new());
    let mut rows = 0;
    for (entry, answer) in entries.iter().zip(&answers) {
        written += &format!("{}\n", entry.line);
        let Some((_, expected)) = &entry.row else {
            continue;
        };
        rows += 1;
        let shown = |lines: &[String]| -> String {
            let lines = lines.iter().map(|line| format!("    {line}\n"));
            lines.collect()
        };
        written += &shown(answer);
        if expected.is_empty() || answer != expected {
            wrong += &format!(
                "{}\n{}  not\n{}",
                entry.line,
                shown(answer),
                shown(expected)
            );
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, written).unwrap();
        return;
    }
    // Numbers are the system's, not a person's.
    assert!(!written.contains("(os error "), "{written}");
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(rows >= ROWS_MIN, "only {rows} rows");
}

fn read(table: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    // None: the rows are not for this build.
    let mut kind = None;
    for line in table.lines() {
        if let Some(answer) = line.strip_prefix("    ") {
            let last = entries.last_mut().unwrap();
            match &mut last.row {
                Some((_, answers)) => answers.push(answer.to_owned()),
                None => last.line += &format!("\n{line}"),
            }
            continue;
        }
        if let Some(heading) = line.strip_prefix("= ") {
            kind = kind_of(heading);
        }
        let is_row = !line.is_empty() && !line.starts_with("# ") && !line.starts_with("= ");
        let row = kind.clone().filter(|_| is_row);
        entries.push(Entry {
            line: line.to_owned(),
            row: row.map(|kind| (kind, Vec::new())),
        });
    }
    entries
}

fn kind_of(heading: &str) -> Option<Kind> {
    let (name, rest) = heading.split_once(": ").unwrap_or((heading, ""));
    let mut words = name.split(' ');
    let kind = match words.next().unwrap() {
        "conf" => Kind::Conf(None),
        "file" => Kind::Conf(Some(rest.to_owned())),
        "words" => Kind::Words,
        "wire" => {
            let listener = words.next().unwrap().parse().unwrap();
            Kind::Wire(listener, bytes_of(rest))
        }
        other => panic!("{other} is nothing a table is about"),
    };
    match words.next() {
        Some("psk") => cfg!(feature = "psk").then_some(kind),
        Some("no-psk") => cfg!(not(feature = "psk")).then_some(kind),
        Some("sqlite") => cfg!(feature = "sqlite").then_some(kind),
        Some("no-sqlite") => cfg!(not(feature = "sqlite")).then_some(kind),
        Some(other) => panic!("{other}?"),
        None => Some(kind),
    }
}

/// What each entry got, in their order.
fn answers(entries: &[Entry]) -> Vec<Vec<String>> {
    let folder = Folder::new();
    let live = Live::start(&folder);
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(vec![Vec::new(); entries.len()]);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(entry) = entries.get(at) else { return };
                    let Some((kind, _)) = &entry.row else {
                        continue;
                    };
                    let answer = match kind {
                        Kind::Conf(around) => folder.test(at, around.as_deref(), &entry.line),
                        Kind::Words => folder.words(&entry.line),
                        Kind::Wire(listener, first) => {
                            let bytes = [&first[..], &bytes_of(&entry.line)].concat();
                            live.answer(*listener, &bytes)
                        }
                    };
                    answers.lock().unwrap()[at] = answer;
                }
            });
        }
    });
    live.end();
    answers.into_inner().unwrap()
}

/// Bytes from text with `\n`, `\r`, `\t`, `\0`, `\\`, `\xHH`, and `\(x*500)` for many.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        let mut size = 2;
        match rest.as_bytes()[at + 1] {
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                bytes.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap());
                size = 4;
            }
            b'(' => {
                let end = rest[at..].find(')').unwrap();
                let (what, count) = rest[at + 2..at + end].rsplit_once('*').unwrap();
                bytes.extend(bytes_of(what).repeat(count.parse().unwrap()));
                size = end + 1;
            }
            other => panic!("{other} after a backslash in {text}"),
        }
        rest = &rest[at + size..];
    }
    bytes.extend(rest.bytes());
    bytes
}
