//! mosquitto's clients and ours side by side over hundreds of command lines that never reach a
//! broker: what is refused, in which words, with which status. The lines and the rules by which the two
//! may differ are in `tests/fixtures/command_lines.txt`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::support::programs::{Left, Links, Program, mosquittos, mosquittos_21, skipped};

const LINES: &str = include_str!("../fixtures/command_lines.txt");

const RULES: &[&str] = &[
    "same",
    "option-of-2.1",
    "format-of-2.1",
    "sentence-of-2.1",
    "check-of-2.1",
    "full-stop",
    "slip-of-2.0",
    "standard",
    "told-here",
    "whole-character",
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
            let (line, ours) = match line.split_once(" => ") {
                Some((line, ours)) => (line, Some(ours)),
                None => (line, None),
            };
            let (rule, rest) = line.split_once(' ').unwrap();
            let (programs, words) = rest.trim_start().split_once(' ').unwrap();
            assert!(RULES.contains(&rule), "{line}");
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

fn words(line: &str, program: &str) -> Vec<OsString> {
    let needs = match program {
        "mosquitto_pub" => "-t a -m b",
        "mosquitto_sub" => "-t a",
        _ => "-t a -m b -e c",
    };
    let line = line
        .replace("{needs}", needs)
        .replace("{nobody}", "-h 127.0.0.1 -p 1");
    line.split_whitespace().map(word).collect()
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
    theirs.status == ours.status
        && theirs.stderr == ours.stderr
        && (theirs.stdout == ours.stdout || is_own_text)
}

#[test]
fn command_lines_fail_as_mosquittos_do() {
    let lines = lines();
    let count: usize = lines.iter().map(|line| line.programs.len()).sum();
    let Some(found) = mosquittos("mosquitto_pub") else {
        return skipped(count, "mosquitto's clients are not installed");
    };
    let version = Program::new(found).words("--version").run().out();
    if !version.contains(" 2.0.") {
        return skipped(
            count,
            &format!("the table is for mosquitto 2.0, this is {version}"),
        );
    }
    let links = Links::new();
    let mut wrong = Vec::new();
    for line in &lines {
        for letter in line.programs.chars() {
            let program = match letter {
                'p' => "mosquitto_pub",
                's' => "mosquitto_sub",
                'r' => "mosquitto_rr",
                _ => panic!("no program {letter}"),
            };
            let words = words(line.words, program);
            let theirs = Program::new(mosquittos(program).unwrap())
                .args(&words)
                .run();
            let ours = Program::new(links.path(program)).args(&words).run();
            let fine = match line.ours {
                None => same(&theirs, &ours, program),
                Some(expected) => {
                    let close = format!("\nUse '{program} --help' to see usage.\n");
                    let expected = expected.replace("\\n", "\n").replace("{use}", &close);
                    ours.err() == expected
                        && theirs.status == ours.status
                        && !same(&theirs, &ours, program)
                }
            };
            if !fine {
                let (rule, line) = (line.rule, line.words);
                wrong.push(format!(
                    "{rule}: {program} {line}\nTHEIRS {theirs:?}\nOURS {ours:?}\n"
                ));
            }
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
