//! `mqttx passwd` and `mosquitto_passwd`: what they say, what they leave in the file, and whether
//! mosquitto's tools and ours understand each other's files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mqttx::daemon::auth::password_file::PasswordFile;

use crate::support::peers;
use crate::support::programs::{Left, Links, Program, mosquittos, skipped};

const NAME: &str = "mosquitto_passwd";

/// Runs a program in words where `{dir}` is the folder.
fn run(program: &Path, folder: &Path, line: &str, input: &str) -> Left {
    let folder = folder.to_str().unwrap();
    let words = line.split_whitespace().map(|word| match word {
        "''" => String::new(),
        word => word.replace("{dir}", folder).replace("{tab}", "\t"),
    });
    Program::new(program).args(words).input(input).run()
}

fn fill(folder: &Path) {
    fs::write(folder.join("plain"), "a:b\nc:d\n").unwrap();
    fs::write(folder.join("bad"), "a\n").unwrap();
    fs::write(folder.join("notes"), "a:b\n# why\n\nc:d:e").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
}

/// Words, what is typed, what becomes of a file: status, stdout, stderr. Rules by which ours may
/// differ from 2.0: `told-in-2.1` (stdout names the user), `typed` (the same behind prompts), `nothing-lost`
/// (a bad line stops us before the file is written), `told-here` (a user no broker would find).
const LINES: &[(&str, &str, &str, i32, &str, &str)] = &[
    (
        "same",
        "-c",
        "",
        1,
        "",
        "Error: -c argument given but password file or username missing.\n",
    ),
    (
        "same",
        "-b -c {dir}/x u",
        "",
        1,
        "",
        "Error: -c argument given but password file, username, or password missing.\n",
    ),
    (
        "same",
        "-D {dir}/x",
        "",
        1,
        "",
        "Error: -D argument given but password file or username missing.\n",
    ),
    (
        "same",
        "-U",
        "",
        1,
        "",
        "Error: -U argument given but password file missing.\n",
    ),
    (
        "same",
        "-c -D f u",
        "",
        1,
        "",
        "Error: -c and -D cannot be used together.\n",
    ),
    (
        "same",
        "-U -c f",
        "",
        1,
        "",
        "Error: -c and -U cannot be used together.\n",
    ),
    (
        "same",
        "-D -U f u",
        "",
        1,
        "",
        "Error: -D and -U cannot be used together.\n",
    ),
    (
        "same",
        "-D -b f u",
        "",
        1,
        "",
        "Error: -b and -D cannot be used together.\n",
    ),
    (
        "same",
        "-H md5 f u",
        "",
        1,
        "",
        "Error: Unknown hash type 'md5'\n",
    ),
    (
        "same",
        "-H",
        "",
        1,
        "",
        "Error: -H argument given but not enough other arguments.\n",
    ),
    (
        "same",
        "-I",
        "",
        1,
        "",
        "Error: -I argument given but not enough other arguments.\n",
    ),
    (
        "same",
        "-I x -b f u p",
        "",
        1,
        "",
        "Error: Number of iterations must be > 0.\n",
    ),
    (
        "same",
        "-b -c {dir}/x u:v p",
        "",
        1,
        "",
        "Error: Username must not contain the ':' character.\n",
    ),
    (
        "same",
        "-b -c {dir}/x u{tab} p",
        "",
        1,
        "",
        "Error: Username must not contain control characters.\n",
    ),
    (
        "same",
        "-b no-such u p",
        "",
        1,
        "",
        "Error: Unable to open password file no-such. No such file or directory.\n",
    ),
    (
        "same",
        "-Z f",
        "",
        1,
        "",
        "Error: Unable to open password file -Z. No such file or directory.\n",
    ),
    (
        "same",
        "-D {dir}/plain x",
        "",
        1,
        "",
        "Warning: User x not found in password file.\n",
    ),
    (
        "same",
        "-U {dir}/bad",
        "",
        1,
        "",
        "Error: Corrupt password file at line 1.\n",
    ),
    (
        "same",
        "-b -c /no-such/f u p",
        "",
        1,
        "",
        "Error: Unable to open file /no-such/f for writing. No such file or directory.\n",
    ),
    ("same", "-U {dir}/plain", "", 0, "", ""),
    ("same", "-D {dir}/plain c", "", 0, "", ""),
    (
        "same",
        "-c {dir}/x u",
        "",
        1,
        "Password: ",
        "Error: Empty password.\n",
    ),
    (
        "same",
        "-c {dir}/x u",
        "p\n",
        1,
        "Password: \nReenter password: ",
        "Error: Empty password.\n",
    ),
    (
        "same",
        "-c {dir}/x u",
        "p\nq\n",
        2,
        "Password: \nReenter password: \n",
        "Error: Passwords do not match.\n",
    ),
    (
        "typed",
        "-c {dir}/x u",
        "p\np\n",
        0,
        "Password: \nReenter password: \nAdding password for user u\n",
        "",
    ),
    (
        "told-in-2.1",
        "-b -c {dir}/x u p passed over",
        "",
        0,
        "Adding password for user u\n",
        "",
    ),
    (
        "told-in-2.1",
        "-b {dir}/plain c p",
        "",
        0,
        "Updating password for user c\n",
        "",
    ),
    (
        "told-in-2.1",
        "-b {dir}/empty c p",
        "",
        0,
        "Adding password for user c\n",
        "",
    ),
    (
        "nothing-lost",
        "-b {dir}/bad u p",
        "",
        1,
        "",
        "Error: Corrupt password file at line 1.\n",
    ),
    (
        "told-here",
        "-b -c {dir}/x '' p",
        "",
        1,
        "",
        "Error: Username must not be empty.\n",
    ),
    (
        "told-here",
        "-b -c {dir}/x #u p",
        "",
        1,
        "",
        "Error: Username must not begin with '#', nor begin or end with a blank.\n",
    ),
];

#[test]
fn it_speaks_as_mosquittos_does() {
    let theirs = mosquittos(NAME);
    if theirs.is_none() {
        skipped(LINES.len(), "mosquitto_passwd is not installed");
    }
    let links = Links::new();
    let mut wrong = Vec::new();
    for (rule, line, input, status, out, err) in LINES {
        let left = |program: &Path| {
            let folder = tempfile::tempdir().unwrap();
            fill(folder.path());
            run(program, folder.path(), line, input)
        };
        let ours = left(&links.path(NAME));
        if (ours.status, &*ours.out(), &*ours.err()) != (*status, *out, *err) {
            wrong.push(format!("{line}\nOURS {ours:?}"));
        }
        if let Some(theirs) = theirs.as_deref().map(left) {
            let is_same = theirs == ours;
            let fits = match *rule {
                "same" => is_same,
                "typed" | "told-in-2.1" => {
                    !is_same && theirs.status == ours.status && theirs.stderr == ours.stderr
                }
                "nothing-lost" | "told-here" => theirs.status == 0 && ours.status == 1,
                _ => panic!("no rule {rule}"),
            };
            if !fits {
                wrong.push(format!("{rule}: {line}\nTHEIRS {theirs:?}\nOURS {ours:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn usage_and_help_are_where_they_belong() {
    let links = Links::new();
    for line in ["", "x", "-b f u", "f u extra", "--help"] {
        let left = run(&links.path(NAME), Path::new("/"), line, "");
        assert_eq!((left.status, &*left.err()), (1, ""), "{line}");
        assert!(left.out().contains("Usage: mosquitto_passwd"), "{line}");
    }
    let help = Program::mqttx().words("passwd --help").run();
    assert_eq!((help.status, &*help.err()), (0, ""));
    assert!(help.out().contains("Usage: mqttx passwd"));
    let left = Program::mqttx().words("passwd -H md5 f u").run();
    assert_eq!((left.status, &*left.out()), (1, ""));
    assert_eq!(
        left.err(),
        "mqttx passwd: unknown hash type 'md5'\n  try: mqttx passwd --help\n"
    );
    let left = Program::mqttx().words("passwd -b /nowhere/f u p").run();
    assert_eq!(
        left.err(),
        "mqttx passwd: unable to open password file /nowhere/f. No such file or directory\n  \
         try: mqttx passwd -c /nowhere/f USER, which makes it\n"
    );
}

#[test]
fn a_file_keeps_its_order_its_comments_and_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    fill(dir);
    let mqttx = Path::new(env!("CARGO_BIN_EXE_mqttx"));
    let notes = dir.join("notes");
    fs::set_permissions(&notes, fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.join("link");
    std::os::unix::fs::symlink(&notes, &link).unwrap();

    let words = "passwd -b -I 3 {dir}/link new n";
    assert_eq!(run(mqttx, dir, words, "").status, 0);
    assert_eq!(
        run(mqttx, dir, "passwd -b -I 3 {dir}/notes a x", "").status,
        0
    );
    let text = fs::read_to_string(&notes).unwrap();
    let begins: Vec<&str> = text
        .lines()
        .map(|l| l.split("$7$3$").next().unwrap())
        .collect();
    assert_eq!(begins, ["a:", "# why", "", "c:d:e", "new:"]);
    assert!(text.ends_with('\n'));

    // What was a hash already is one that still fits; all behind the colon is the password.
    assert_eq!(run(mqttx, dir, "passwd -U {dir}/notes", "").status, 0);
    let text = fs::read_to_string(&notes).unwrap();
    let file = PasswordFile::parse(&text).unwrap();
    for (user, password) in [("a", "x"), ("c", "d:e"), ("new", "n")] {
        assert!(file.verify(user, password.as_bytes()), "{user}");
    }
    assert!(text.contains("\n# why\n\nc:$7$1000$"), "{text}");

    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        fs::metadata(&notes).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(run(mqttx, dir, "passwd -b -c {dir}/made u p", "").status, 0);
    let made = fs::metadata(dir.join("made")).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    // No draft is left behind, and a bad file is left as it was.
    assert_eq!(run(mqttx, dir, "passwd -b {dir}/bad u p", "").status, 1);
    assert_eq!(fs::read(dir.join("bad")).unwrap(), b"a\n");
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["bad", "empty", "link", "made", "notes", "plain"]);
}

#[test]
fn every_hash_is_printed_and_verified() {
    for (kind, begin) in [
        ("sha512", "u:$6$"),
        ("sha512-pbkdf2", "u:$7$1000$"),
        ("argon2id", "u:$argon2id$v=19$m=47104,t=1,p=1$"),
    ] {
        let line = format!("passwd -H {kind} -c - u");
        let made = || Program::mqttx().words(&line).input("pw\npw\n").run();
        let (one, two) = (made(), made());
        assert_eq!(one.status, 0, "{one:?}");
        assert_eq!(one.err(), "Password: \nReenter password: \n");
        assert!(one.out().starts_with(begin), "{one:?}");
        assert_ne!(one.out(), two.out(), "the same salt twice");
        let file = PasswordFile::parse(&one.out()).unwrap();
        assert!(file.verify("u", b"pw"));
        assert!(!file.verify("u", b"pw "));
    }
}

/// mosquitto 2.0 takes salts of 12 bytes only, 2.1 both.
/// A file is not made unreadable for the broker that has read it so far.
#[test]
fn a_name_that_scram_takes_for_anothers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let run = |words: &str, user: &str| {
        let line = format!("passwd {words} -b {} {user} secret", file.display());
        Program::mqttx().words(&line).run()
    };
    assert_eq!(run("-c -H scram-sha-256 -I 4096", "a").status, 0);
    let before = fs::read(&file).unwrap();
    // The wide letter, which clients of SCRAM prepare as the other one.
    let left = run("-H scram-sha-256 -I 4096", "\u{ff41}");
    let expected = "mqttx passwd: user \u{ff41} and one before are the same user to clients that use \
                    SCRAM\n  try: another name, or a --hash other than scram-sha-256\n";
    assert_eq!((left.status, left.err().as_str()), (1, expected));
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(run("", "\u{ff41}").status, 0);
    let text = fs::read_to_string(&file).unwrap();
    PasswordFile::parse(&text).unwrap();
}

#[test]
fn mosquittos_files_are_ours_and_ours_are_mosquittos() {
    let (Some(theirs), Some(publish)) = (mosquittos(NAME), mosquittos("mosquitto_pub")) else {
        return skipped(8, "mosquitto's programs are not installed");
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (kind, user) in [("sha512", "six"), ("sha512-pbkdf2", "seven")] {
        let create = if user == "six" { "-c" } else { "" };
        let line = format!("-H {kind} {create} -b {{dir}}/theirs {user} right");
        assert_eq!(run(&theirs, dir, &line, "").status, 0);
        let line = format!("passwd --short-salt -H {kind} {create} -b {{dir}}/ours {user} right");
        let ours = Path::new(env!("CARGO_BIN_EXE_mqttx"));
        assert_eq!(run(ours, dir, &line, "").status, 0);
    }
    let file = PasswordFile::parse(&fs::read_to_string(dir.join("theirs")).unwrap()).unwrap();
    let conf = format!("password_file {}\n", dir.join("ours").display());
    let broker = peers::mosquitto(dir, |[port]| format!("listener {port} 127.0.0.1\n{conf}"));
    let Some((_broker, [port])) = broker else {
        return skipped(4, "mosquitto is not installed");
    };
    for user in ["six", "seven"] {
        assert!(file.verify(user, b"right"));
        assert!(!file.verify(user, b"wrong"));
        for (password, status) in [("right", 0), ("wrong", 5)] {
            let line = format!("-p {port} -t a -m b -u {user} -P {password}");
            let left = Program::new(&publish).words(&line).run();
            assert_eq!(left.status, status, "{user} {password}: {left:?}");
        }
    }
}
