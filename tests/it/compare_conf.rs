//! mosquitto's broker and ours side by side over hundreds of configurations: what is refused, in which
//! words, with which status. The configurations and the rules by which the two may differ are in
//! `tests/fixtures/configurations.txt`.

use std::fs;
use std::path::Path;

use crate::support::programs::{Left, Links, Program, mosquittos_21, skipped};

const LINES: &str = include_str!("../fixtures/configurations.txt");

const RULES: &[&str] = &[
    "same",
    "never-saves",
    "files-too",
    "told",
    "own-words",
    "first-is-no-second",
    "beyond-2.1",
    "comment",
    "bytes",
    "time-of-the-log",
    "no-engine",
    "no-c-plugin",
    "store",
];

/// Each program's last line.
const END: &str = "mosquitto version 2.1.2 terminating";

const BRIDGE: &str = "connection c\naddress 127.0.0.1:1\ntopic a\n";

struct Line<'a> {
    rule: &'a str,
    text: &'a str,
    /// Status and stderr, where they are not mosquitto's.
    ours: Option<(i32, &'a str)>,
}

fn lines() -> Vec<Line<'static>> {
    LINES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (line, ours) = match line.split_once(" => ") {
                Some((line, ours)) => (line, ours.split_once(' ')),
                None => (line, None),
            };
            let blank = line.find(' ').unwrap();
            let rule = &line[..blank];
            assert!(RULES.contains(&rule), "{line}");
            assert_eq!(ours.is_none(), rule == "same", "{line}");
            Line {
                rule,
                // Rules stand in a column.
                text: &line[WIDTH..],
                ours: ours.map(|(status, text)| (status.parse().unwrap(), text)),
            }
        })
        .collect()
}

/// Where configurations begin.
const WIDTH: usize = "first-is-no-second ".len();

fn bytes(text: &str, folder: &Path) -> Vec<u8> {
    let folder = folder.display().to_string();
    let text = text.replace("{bridge}", BRIDGE).replace("{dir}", &folder);
    let text = text.replace("{end}", END);
    let mut out = Vec::new();
    let mut parts = text.split('\\');
    out.extend_from_slice(parts.next().unwrap().as_bytes());
    for part in parts {
        let (byte, rest) = match part.as_bytes()[0] {
            b'n' => (b'\n', &part[1..]),
            b'r' => (b'\r', &part[1..]),
            b't' => (b'\t', &part[1..]),
            b'x' => (u8::from_str_radix(&part[1..3], 16).unwrap(), &part[3..]),
            _ => panic!("{text}"),
        };
        out.push(byte);
        out.extend_from_slice(rest.as_bytes());
    }
    out
}

/// What configurations name.
fn furnish(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write(
        "pw",
        &format!("ann:$7$101$c2FsdHNhbHRzYWx0${}==\n", "A".repeat(86)),
    );
    write("acl", "user ann\ntopic read a/#\n");
    for inner in ["dir", "inc", "incbad", "incinc"] {
        fs::create_dir_all(folder.join(inner)).unwrap();
    }
    write("inc/a.conf", "allow_anonymous true\n");
    write("inc/B.conf", "max_keepalive 7\n");
    write("inc/other", "nonsense\n");
    write("incbad/a.conf", "\nfoo bar\n");
    let include = format!("include_dir {}/inc\n", folder.display());
    write("incinc/a.conf", &include);
}

/// Its lines without the times before them.
fn told(left: &Left) -> String {
    let bare = |line: &str| match line.split_once(": ") {
        Some((time, rest)) if time.bytes().all(|byte| byte.is_ascii_digit()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text = left.err();
    text.split('\n').map(bare).collect::<Vec<_>>().join("\n")
}

/// What is wrong with one of them, if anything is.
fn compare(line: &Line, theirs: &Path, ours: &Path, folder: &Path) -> Option<String> {
    let conf = folder.join("m.conf");
    fs::write(&conf, bytes(line.text, folder)).unwrap();
    let run = |program: &Path| {
        let program = Program::new(program).at(folder).args(["-c"]).args([&conf]);
        program.args(["--test-config"]).run()
    };
    let (theirs, ours) = (run(theirs), run(ours));
    let same = theirs.status == ours.status
        && theirs.stdout == ours.stdout
        && told(&theirs) == told(&ours);
    let fine = match line.ours {
        None => same,
        Some((status, text)) => {
            let text = String::from_utf8(bytes(text, folder)).unwrap();
            !same && ours.status == status && told(&ours) == format!("{text}\n")
        }
    };
    let (rule, text) = (line.rule, line.text);
    (!fine).then(|| format!("{rule}: {text}\nTHEIRS {theirs:?}\nOURS {ours:?}\n"))
}

#[test]
fn configurations_are_taken_and_refused_as_mosquitto_does() {
    let lines = lines();
    let count = lines.len();
    let Some(theirs) = mosquittos_21("mosquitto") else {
        return skipped(count, "mosquitto 2.1 is not installed");
    };
    let links = Links::new();
    let ours = links.path("mosquitto");
    let home = tempfile::tempdir().unwrap();
    // Two at a time: most of it is waiting for programs to start.
    let (theirs, ours, home) = (&theirs, &ours, home.path());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let halves = lines.chunks(count.div_ceil(2)).enumerate();
        let threads: Vec<_> = halves
            .map(|(number, lines)| {
                let folder = home.join(number.to_string());
                furnish(&folder);
                scope.spawn(move || {
                    let compare = |line| compare(line, theirs, ours, &folder);
                    lines.iter().filter_map(compare).collect::<Vec<_>>()
                })
            })
            .collect();
        let wrong = threads.into_iter().map(|thread| thread.join().unwrap());
        wrong.flatten().collect()
    });
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
