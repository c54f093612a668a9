//! The rules of the house that no compiler knows: which room may use which, what pure rooms leave
//! alone, heads, lengths, names. `ARCHITECTURE.md` gives the reasons.
//!
//! A rule bends only by a row in one of the tables below, with its reason beside it. The checks read
//! lines, not syntax; they rely on rustfmt having put each item where it always puts it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Each room, and the rooms below that it may use. `lib.rs` uses none: it is the map.
const ARROWS: &[(&str, &[&str])] = &[
    ("mqtt", &[]),
    ("broker", &["mqtt"]),
    ("net", &["mqtt"]),
    ("cli", &["mqtt"]),
    ("client", &["net", "mqtt"]),
    ("daemon", &["client", "broker", "net", "mqtt"]),
    (
        "commands",
        &["daemon", "client", "cli", "net", "broker", "mqtt"],
    ),
];

/// Rooms and files that decide and never touch: time arrives as a value, bytes leave as a value.
const PURE: &[&str] = &[
    "src/mqtt/",
    "src/broker/",
    "src/cli/",
    "src/client/engine.rs",
    "src/client/engine/",
    "src/client/backoff.rs",
];

/// What a pure room does not name.
const WORLD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "std::os::fd",
    "std::os::unix::net",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "print!(",
    "println!(",
    "eprint!(",
    "eprintln!(",
    "stdin()",
    "stdout()",
    "stderr()",
    "tokio::",
    "mio::",
    "rustix::",
    "socket2::",
];

/// Of `std::io` and `std::net` a pure room uses what are values: slices, addresses, errors.
const VALUES_OF_IO: &[&str] = &["IoSlice", "Error", "ErrorKind", "Result"];
const VALUES_OF_NET: &[&str] = &[
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
];

/// Lines of a file, its unit tests included.
const FILE_MAX: usize = 600;

/// Lines of a function, from its signature to its closing brace.
const FUNCTION_MAX: usize = 70;

/// Columns of a line; rustfmt breaks code at 100, and leaves comments and strings to us.
const LINE_MAX: usize = 110;

/// Where lines are wider than that.
const WIDE: &[(&str, &str)] = &[(
    "examples/rig/",
    "its tables are written as they are printed",
)];

/// Longer than the wall: the file, and why it is one.
const LONG_FILES: &[(&str, &str)] = &[];

/// Longer than the wall: the file, the function, and why it is one.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[
    ("tests/it/packets.rs", "packet", "a table: one row a packet"),
    (
        "tests/it/packets.rs",
        "models_of",
        "a table: one arm a packet",
    ),
    (
        "tests/it/codec_differential.rs",
        "assert_same",
        "a table: one arm a packet",
    ),
];

/// Names that say nothing about what is inside.
const HOLLOW: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager"];

/// Marks of work that is not done.
const UNFINISHED: &[&str] = &[
    "todo!",
    "unimplemented!",
    "#[ignore",
    "TODO",
    "FIXME",
    "XXX",
];

/// This file names what it looks for.
const THIS: &str = "tests/it/tidy.rs";

struct Source {
    /// From the root of the package, with `/` on every system.
    path: String,
    text: String,
}

impl Source {
    /// The room a file of `src` belongs to; nothing for `lib.rs`.
    fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        let room = below.split('/').next()?;
        (room != below && room != "bin").then_some(room)
    }

    fn is_pure(&self) -> bool {
        PURE.iter().any(|pure| self.path.starts_with(pure))
    }

    /// Its lines that are not comments, each with its number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line.split(" // ").next().unwrap_or(line)))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Every Rust file of the package.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "fuzz"] {
        collect(root, &root.join(folder), &mut found);
    }
    assert!(found.len() > 50, "only {} files found", found.len());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            // Folders named target, and those with a dot, hold what programs wrote.
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                collect(root, &path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            let below = path.strip_prefix(root).unwrap();
            found.push(Source {
                path: below.to_string_lossy().replace('\\', "/"),
                text: std::fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

/// What broke a rule, one line each.
#[derive(Default)]
struct Faults(String);

impl Faults {
    fn add(&mut self, source: &Source, line: usize, what: impl std::fmt::Display) {
        writeln!(self.0, "{}:{line}: {what}", source.path).unwrap();
    }

    fn check(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

/// The identifiers that follow `prefix` in a line.
fn names_after<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).map(move |(at, _)| {
        let rest = &line[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// The names of a line that is `use prefix{a, b};` or names `prefix::a` anywhere.
fn names_used<'a>(line: &'a str, prefix: &'a str) -> Vec<&'a str> {
    match line.split_once(prefix) {
        Some((_, group)) if group.starts_with('{') => group
            .trim_matches(['{', '}', ';', ' '])
            .split(", ")
            .collect(),
        _ => names_after(line, prefix).collect(),
    }
}

#[test]
fn arrows_point_down() {
    let mut faults = Faults::default();
    for source in sources() {
        let Some(room) = source.room() else {
            continue;
        };
        let Some((_, below)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            faults.add(&source, 1, format!("no room is called {room}"));
            continue;
        };
        for (at, line) in source.code() {
            for used in names_after(line, "crate::") {
                if used != room && !below.contains(&used) {
                    faults.add(&source, at, format!("{room} may not use crate::{used}"));
                }
            }
        }
    }
    faults.check();
}

/// So that one search for `crate::` finds every arrow.
#[test]
fn an_arrow_is_written_out() {
    let mut faults = Faults::default();
    for source in sources() {
        for (at, line) in source.code() {
            let hides = line.contains("crate::{") || line.contains("super::super");
            if hides && source.path != THIS {
                faults.add(&source, at, "a path that hides where it leads");
            }
            let is_own = source.path.starts_with("src/") && line.contains("super::");
            if is_own && line.trim() != "use super::*;" {
                faults.add(&source, at, "super:: is for a file's own unit tests");
            }
            if source.room().is_some() && line.contains("mqttx::") {
                faults.add(&source, at, "inside the crate a path begins with crate::");
            }
        }
    }
    faults.check();
}

#[test]
fn pure_rooms_leave_the_world_alone() {
    let mut faults = Faults::default();
    for source in sources().iter().filter(|source| source.is_pure()) {
        for (at, line) in source.code() {
            for word in WORLD.iter().filter(|word| line.contains(**word)) {
                faults.add(source, at, format!("a pure room names {word}"));
            }
            for name in names_used(line, "std::io::") {
                if !VALUES_OF_IO.contains(&name) {
                    faults.add(source, at, format!("a pure room uses std::io::{name}"));
                }
            }
            for name in names_used(line, "std::net::") {
                if !VALUES_OF_NET.contains(&name) {
                    faults.add(source, at, format!("a pure room uses std::net::{name}"));
                }
            }
            if line.contains("use std::{") {
                faults.add(source, at, "a group of std that hides what it names");
            }
        }
    }
    faults.check();
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut faults = Faults::default();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            faults.add(&source, 1, "the first line begins with //!");
        }
    }
    faults.check();
}

#[test]
fn files_and_lines_end_before_the_wall() {
    let mut faults = Faults::default();
    for source in sources() {
        let lines = source.text.lines().count();
        let listed = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if (lines > FILE_MAX) != listed {
            faults.add(
                &source,
                lines,
                format!("{lines} lines, listed as long: {listed}"),
            );
        }
        if WIDE
            .iter()
            .any(|(folder, _)| source.path.starts_with(folder))
        {
            continue;
        }
        for (at, line) in source.text.lines().enumerate() {
            if line.chars().count() > LINE_MAX {
                faults.add(&source, at + 1, format!("more than {LINE_MAX} columns"));
            }
        }
    }
    faults.check();
}

/// The name of each function of a file, the line it begins on, and how many lines it has.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let opens = |line: &&str| line.ends_with('{') || line.ends_with("{}");
        // A signature without a body ends in a semicolon.
        let body = lines[at..]
            .iter()
            .position(|line| opens(line) || line.ends_with([';', '}']));
        let Some(body) = body.filter(|body| lines[at + body].ends_with('{')) else {
            continue;
        };
        let end = lines[at + body..].iter().position(|line| *line == closing);
        let end = end.unwrap_or_else(|| panic!("{}: {name} never ends", source.path));
        found.push((name, at + 1, body + end + 1));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with("//") {
        return None;
    }
    let (before, after) = line.split_once("fn ")?;
    let is_item = before.split_whitespace().all(|word| {
        matches!(word, "pub" | "const" | "async" | "extern" | "unsafe") || word.starts_with("pub(")
    });
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (is_item && end > 0).then_some(&after[..end])
}

#[test]
fn functions_end_before_the_wall() {
    let mut faults = Faults::default();
    let mut count = 0;
    for source in sources() {
        for (name, at, lines) in functions(&source) {
            count += 1;
            let listed = LONG_FUNCTIONS
                .iter()
                .any(|(path, long, _)| *path == source.path && *long == name);
            if lines > FUNCTION_MAX && !listed {
                faults.add(&source, at, format!("{name} has {lines} lines"));
            }
        }
    }
    assert!(count > 500, "only {count} functions seen");
    faults.check();
}

/// A row that no longer holds is taken out.
#[test]
fn long_functions_are_still_long() {
    let sources = sources();
    for (path, long, _) in LONG_FUNCTIONS {
        let source = sources.iter().find(|source| source.path == *path);
        let source = source.unwrap_or_else(|| panic!("{path} is not there"));
        let is_long = functions(source)
            .iter()
            .any(|(name, _, lines)| name == long && *lines > FUNCTION_MAX);
        assert!(is_long, "{path}: {long} is within the wall again");
    }
}

#[test]
fn names_say_what_is_inside() {
    let mut faults = Faults::default();
    for source in sources() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            if HOLLOW.contains(&part) {
                faults.add(&source, 1, format!("a file named {part}"));
            }
        }
        for (at, line) in source.code() {
            for keyword in ["fn ", "struct ", "enum ", "trait ", "mod "] {
                for name in names_after(line, keyword).filter(|_| source.path != THIS) {
                    let hollow = HOLLOW.iter().any(|word| {
                        let name = name.to_lowercase();
                        name == *word || name.ends_with(word)
                    });
                    if hollow || name.starts_with("get_") {
                        faults.add(&source, at, format!("{name} says nothing"));
                    }
                }
            }
        }
    }
    faults.check();
}

#[test]
fn nothing_is_left_unfinished() {
    let mut faults = Faults::default();
    for source in sources().iter().filter(|source| source.path != THIS) {
        for (at, line) in source.text.lines().enumerate() {
            for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
                faults.add(source, at + 1, format!("holds {mark}"));
            }
        }
    }
    faults.check();
}

/// A suppressed warning says why, and is told when it is no longer needed.
#[test]
fn a_suppressed_warning_has_its_reason() {
    let mut faults = Faults::default();
    for source in sources().iter().filter(|source| source.path != THIS) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let line = line.trim_start();
            if line.starts_with("#[allow(") || line.starts_with("#![allow(") {
                faults.add(source, at + 1, "expect, with a reason, in place of allow");
            }
            if line.starts_with("#[expect(") || line.starts_with("#![expect(") {
                let attribute = lines[at..].iter().take_while(|line| line.trim() != ")]");
                if !attribute.take(6).any(|line| line.contains("reason = ")) {
                    faults.add(source, at + 1, "expect without a reason");
                }
            }
        }
    }
    faults.check();
}

/// A file that no module names is never compiled, and its tests never run.
#[test]
fn no_file_is_forgotten() {
    let mut faults = Faults::default();
    let sources = sources();
    let paths: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    for source in &sources {
        let Some((parents, name)) = parents_of(&source.path) else {
            continue;
        };
        let declares = |source: &Source| {
            let after = |line: &str| names_after(line, "mod ").any(|module| module == name);
            source
                .code()
                .any(|(_, line)| line.ends_with(';') && after(line))
        };
        let named = parents
            .iter()
            .filter(|parent| paths.contains(parent.as_str()))
            .any(|parent| {
                sources
                    .iter()
                    .any(|other| other.path == *parent && declares(other))
            });
        if !named {
            faults.add(
                source,
                1,
                format!("no `mod {name};` in {}", parents.join(" or ")),
            );
        }
    }
    faults.check();
}

/// The files that may declare the module a path holds, and the module's name; nothing for a root.
fn parents_of(path: &str) -> Option<(Vec<String>, &str)> {
    let (folder, file) = path.rsplit_once('/')?;
    let stem = file.strip_suffix(".rs")?;
    let depth = path.split('/').count();
    // src/lib.rs, src/bin/mqttx.rs, benches/codec.rs, fuzz/fuzz_targets/frame.rs are crates.
    let is_root = matches!(stem, "lib" | "main")
        || folder == "src/bin"
        || folder == "fuzz/fuzz_targets"
        || (depth == 2 && !path.starts_with("src/"));
    if is_root {
        return None;
    }
    let (folder, name) = match stem {
        "mod" => folder.rsplit_once('/')?,
        _ => (folder, stem),
    };
    let parents = ["lib.rs", "main.rs", "mod.rs"].map(|file| format!("{folder}/{file}"));
    let mut parents = Vec::from(parents);
    parents.push(format!("{folder}.rs"));
    Some((parents, name))
}
