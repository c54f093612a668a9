//! mosquitto's clients, of 2.1.2 and of 2.0.11, and ours side by side over hundreds of command lines
//! that never reach a broker: what is refused, in which words, with which status. The lines and the
//! rules by which they may differ are in `tests/fixtures/command_lines.txt`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::support::programs::{Left, Links, Program, mosquittos, mosquittos_21, skipped};

const LINES: &str = include_str!("../fixtures/command_lines.txt");

/// By what rule each release may say something else than mqttx, which follows 2.1: its name, whether
/// 2.0 does, whether 2.1 does.
const RULES: &[(&str, bool, bool)] = &[
    ("same", false, false),
    ("option-of-2.1", true, false),
    ("format-of-2.1", true, false),
    ("sentence-of-2.1", true, false),
    ("check-of-2.1", true, false),
    ("full-stop", true, false),
    ("slip-of-2.0", true, false),
    ("slip-of-2.1", false, true),
    ("standard", true, true),
    ("told-here", true, true),
    ("refused-early", true, true),
];

struct Line<'a> {
    rule: &'a str,
    programs: &'a str,
    words: &'a str,
    ours: Option<&'a str>,
}

fn lines() -> Vec<Line<'static>> {
    LINES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (line, ours) = match line.split_once(" =>") {
                Some((line, ours)) => (line, Some(ours.trim_start())),
                None => (line, None),
            };
            let (rule, rest) = line.split_once(' ').unwrap();
            let (programs, words) = rest.trim_start().split_once(' ').unwrap();
            assert!(RULES.iter().any(|(name, ..)| *name == rule), "{line}");
            assert_eq!(ours.is_none(), rule == "same", "{line}");
            Line {
                rule,
                programs,
                words,
                ours,
            }
        })
        .collect()
}

fn words(line: &str, program: &str, files: &Path) -> Vec<OsString> {
    let needs = match program {
        "mosquitto_pub" => "-t a -m b",
        "mosquitto_sub" => "-t a",
        _ => "-t a -m b -e c",
    };
    let line = line
        .replace("{needs}", needs)
        .replace("{nobody}", "-h 127.0.0.1 -p 1");
    let mut words = Vec::new();
    for text in line.split_whitespace() {
        let file = text.strip_prefix("{file:");
        words.push(match file.and_then(|text| text.strip_suffix('}')) {
            None => word(text),
            Some(text) => {
                let path = files.join(words.len().to_string());
                std::fs::write(&path, word(text).into_vec()).unwrap();
                path.into()
            }
        });
    }
    words
}

fn word(text: &str) -> OsString {
    match text {
        "''" => return OsString::new(),
        "{65536}" => return "x".repeat(65536).into(),
        _ => {}
    }
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        bytes.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap());
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    OsString::from_vec(bytes)
}

/// The two say the same, apart from usage and version texts, which are our own.
fn same(theirs: &Left, ours: &Left, program: &str) -> bool {
    let is_own_text = theirs.out().starts_with(program) && ours.out().starts_with(program);
    let is_told_alike = theirs.stderr == ours.stderr || tells_the_reason(theirs, ours);
    theirs.status == ours.status && is_told_alike && (theirs.stdout == ours.stdout || is_own_text)
}

/// 2.1.2 closes the socket before it asks why there is no connection, and tells of the closed
/// socket; 2.0 told the reason, and so does mqttx.
fn tells_the_reason(theirs: &Left, ours: &Left) -> bool {
    const REASONS: &[&str] = &[
        "Error: Connection refused\n",
        "Error: No such file or directory\n",
        "Error: Cannot assign requested address\n",
    ];
    theirs.err() == "Error: Bad file descriptor\n" && REASONS.contains(&ours.err().as_str())
}

fn program(letter: char) -> &'static str {
    match letter {
        'p' => "mosquitto_pub",
        's' => "mosquitto_sub",
        'r' => "mosquitto_rr",
        _ => panic!("no program {letter}"),
    }
}

/// A release to be held against: where its programs are, and whether a rule lets it differ.
struct Release {
    name: &'static str,
    find: fn(&str) -> Option<PathBuf>,
    may_differ: fn(&(&str, bool, bool)) -> bool,
}

const RELEASES: [Release; 2] = [
    Release {
        name: " 2.0.",
        find: mosquittos,
        may_differ: |(_, old, _)| *old,
    },
    Release {
        name: " 2.1.2 ",
        find: mosquittos_21,
        may_differ: |(_, _, new)| *new,
    },
];

impl Release {
    fn is_there(&self) -> bool {
        let said = |path| Program::new(path).words("--version").run().out();
        (self.find)("mosquitto_pub").is_some_and(|path| said(path).contains(self.name))
    }

    /// What is wrong with one line, if anything.
    fn judge(
        &self,
        line: &Line<'_>,
        program: &str,
        words: &[OsString],
        ours: &Left,
    ) -> Option<String> {
        let theirs = Program::new((self.find)(program)?).args(words).run();
        let rule = RULES.iter().find(|(name, ..)| *name == line.rule)?;
        let differs = !same(&theirs, ours, program);
        let fine = differs == (self.may_differ)(rule) && theirs.status == ours.status;
        let (rule, line) = (line.rule, line.words);
        (!fine).then(|| format!("{rule}: {program} {line}\nTHEIRS {theirs:?}\nOURS {ours:?}\n"))
    }
}

#[test]
fn command_lines_fail_as_mosquittos_do() {
    let lines = lines();
    let count: usize = lines.iter().map(|line| line.programs.len()).sum();
    let mut releases = Vec::new();
    for release in RELEASES {
        match release.is_there() {
            true => releases.push(release),
            false => skipped(count, &format!("there is no mosquitto{}", release.name)),
        }
    }
    let links = Links::new();
    let files = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for line in &lines {
        for program in line.programs.chars().map(program) {
            let words = words(line.words, program, files.path());
            let ours = Program::new(links.path(program)).args(&words).run();
            if let Some(expected) = line.ours {
                let close = format!("\nUse '{program} --help' to see usage.\n");
                let expected = expected.replace("\\n", "\n").replace("{use}", &close);
                if ours.err() != expected {
                    let line = line.words;
                    wrong.push(format!(
                        "{program} {line}\nEXPECTED {expected}\nOURS {ours:?}\n"
                    ));
                }
            }
            let judge = |release: &Release| release.judge(line, program, &words, &ours);
            wrong.extend(releases.iter().filter_map(judge));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_release_is_the_one_we_name_ourselves_after() {
    let links = Links::new();
    let release = |program: &Path| {
        let said = Program::new(program).words("--version").run().out();
        said.split(" running on ").next().unwrap().to_owned()
    };
    for program in ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"] {
        let Some(theirs) = mosquittos_21(program) else {
            return skipped(3, "mosquitto 2.1 is not installed");
        };
        assert_eq!(release(&links.path(program)), release(&theirs));
    }
}
