//! Who may do what, in a broker as a process: dynamic security by `mqttx ctrl`, files that are read
//! again, plugins by their names, bans.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::broker_process::BrokerProcess;

fn ctrl(broker: &BrokerProcess, password: &str, words: &[&str]) -> Output {
    let port = broker.port.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args([
        "ctrl",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-u",
        "admin",
        "-P",
        password,
    ]);
    command.arg("dynsec").args(words).output().unwrap()
}

#[track_caller]
fn done(broker: &BrokerProcess, password: &str, words: &[&str]) -> String {
    let output = ctrl(broker, password, words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit status of `mqttx pub` with these words.
fn publish(broker: &BrokerProcess, words: &[&str]) -> Option<i32> {
    let port = broker.port.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args([
        "pub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-V",
        "5",
        "-q",
        "1",
        "-m",
        "x",
    ]);
    command.args(words).output().unwrap().status.code()
}

const DENIED: Option<i32> = Some(135);
const WRONG_PASSWORD: Option<i32> = Some(134);

#[test]
fn dynamic_security_is_made_kept_and_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dynsec.json");
    let words = ["--dynsec", file.to_str().unwrap()];
    let broker = BrokerProcess::start(&words);
    let listed = std::fs::read_to_string(folder.path().join("dynsec.json.pw")).unwrap();
    let line = listed.lines().find_map(|line| line.strip_prefix("admin "));
    let password = line.unwrap().to_owned();
    assert_eq!(
        done(&broker, &password, &["listClients"]),
        "admin\ndemoclient\n"
    );
    done(&broker, &password, &["createClient", "bob", "-p", "secret"]);
    let bob = ["-u", "bob", "-P", "secret", "-t"];
    assert_eq!(publish(&broker, &[&bob[..], &["a/b"]].concat()), DENIED);
    done(&broker, &password, &["createRole", "writer"]);
    let acl = [
        "addRoleACL",
        "writer",
        "publishClientSend",
        "a/%u/#",
        "allow",
    ];
    done(&broker, &password, &acl);
    done(&broker, &password, &["addClientRole", "bob", "writer", "5"]);
    assert_eq!(
        publish(&broker, &[&bob[..], &["a/bob/x"]].concat()),
        Some(0)
    );
    assert_eq!(publish(&broker, &[&bob[..], &["a/amy/x"]].concat()), DENIED);
    // Nobody else gives commands, and nobody answers in the broker's name.
    let topic = "$CONTROL/dynamic-security/v1";
    assert_eq!(publish(&broker, &[&bob[..], &[topic]].concat()), DENIED);
    let forged = "$CONTROL/dynamic-security/v1/response";
    let admin = ["-u", "admin", "-P", &password, "-t", forged];
    assert_eq!(publish(&broker, &admin), DENIED);
    done(&broker, &password, &["disableClient", "bob"]);
    assert_eq!(
        publish(&broker, &[&bob[..], &["a/bob/x"]].concat()),
        WRONG_PASSWORD
    );
    let output = ctrl(&broker, &password, &["getClient", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr, b"mqttx ctrl: client not found: getClient\n");
    drop(broker);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let broker = BrokerProcess::start(&words);
    done(&broker, &password, &["enableClient", "bob"]);
    assert_eq!(
        publish(&broker, &[&bob[..], &["a/bob/x"]].concat()),
        Some(0)
    );
    // One whose own role changes has the answer before it is sent away.
    let acl = [
        "addRoleACL",
        "super-admin",
        "publishClientSend",
        "z",
        "allow",
    ];
    done(&broker, &password, &acl);
}

#[test]
fn a_file_by_init_works_here_and_its_password_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d.json");
    let path = file.to_str().unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.arg("ctrl").args(words).output().unwrap()
    };
    assert!(
        run(&["dynsec", "init", path, "admin", "first"])
            .status
            .success()
    );
    assert!(
        !run(&["dynsec", "init", path, "admin", "first"])
            .status
            .success()
    );
    assert!(
        run(&["-f", path, "dynsec", "setClientPassword", "admin", "second"])
            .status
            .success()
    );
    assert!(
        !run(&["-f", path, "dynsec", "setClientPassword", "eve", "x"])
            .status
            .success()
    );
    let broker = BrokerProcess::start(&["--dynsec", path]);
    assert_eq!(
        ctrl(&broker, "first", &["listRoles"]).status.code(),
        WRONG_PASSWORD
    );
    assert_eq!(done(&broker, "second", &["listRoles"]), "admin\n");
}

fn start_from(conf: &Path) -> BrokerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["broker", "-c"]).arg(conf);
    BrokerProcess::start_as(command)
}

/// The plugins of mosquitto's box, by their file names; the files need not be there.
#[test]
fn plugins_are_known_by_their_names_and_files_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(at(name), text).unwrap();
    let passwd = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.arg("passwd").args(words).output().unwrap()
    };
    let users = at("users");
    let users = users.to_str().unwrap();
    passwd(&["-c", "-b", users, "bob", "secret"]);
    passwd(&["-b", users, "amy", "secret"]);
    write("acl", "user bob\ntopic write a/#\n");
    write(
        "m.conf",
        &format!(
            "user root\nlistener any 127.0.0.1\nplugin /usr/lib/mosquitto_password_file.so\n\
             plugin_opt_password_file {users}\nplugin /usr/lib/mosquitto_acl_file.so\n\
             plugin_opt_acl_file {}\n",
            at("acl").display()
        ),
    );
    let broker = start_from(&at("m.conf"));
    let bob = ["-u", "bob", "-P", "secret", "-t"];
    let denied = publish(&broker, &[&bob[..], &["b"]].concat());
    assert_eq!(denied, DENIED);
    assert_eq!(publish(&broker, &[&bob[..], &["a/b"]].concat()), Some(0));
    write("acl", "user bob\ntopic write b\n");
    passwd(&["-D", users, "amy"]);
    broker.hang_up();
    broker.wait_log("Reloading config.");
    let begun = std::time::Instant::now();
    while publish(&broker, &[&bob[..], &["b"]].concat()) != Some(0) {
        assert!(begun.elapsed().as_secs() < 30, "the new rules never hold");
    }
    assert_eq!(publish(&broker, &[&bob[..], &["a/b"]].concat()), DENIED);
    assert_ne!(
        publish(&broker, &["-u", "amy", "-P", "secret", "-t", "b"]),
        Some(0)
    );
}

/// What `--test-config` does not try, since it would leave a file behind.
#[test]
fn a_dynamic_security_file_that_cannot_be_made_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("mosquitto.conf");
    let lines = "user root\nlistener any 127.0.0.1\ndynsec_file /nowhere/dynsec.json\n";
    std::fs::write(&conf, lines).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    let output = command.args(["broker", "-c"]).arg(&conf).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        stderr.contains("cannot write /nowhere/dynsec.json"),
        "{stderr}"
    );
}

#[test]
fn an_address_that_guesses_passwords_is_banned() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command
        .args(["passwd", "-c", "-b"])
        .arg(&users)
        .args(["bob", "secret"]);
    assert!(command.output().unwrap().status.success());
    let broker = BrokerProcess::start(&[
        "--password-file",
        users.to_str().unwrap(),
        "--limit",
        "login_ban_loopback=1",
        "--limit",
        "login_failures_max=3",
    ]);
    for _ in 0..3 {
        let status = publish(&broker, &["-u", "bob", "-P", "guess", "-t", "a"]);
        assert_eq!(status, WRONG_PASSWORD);
    }
    let line = broker.wait_log("banned 127.0.0.1 for 300 s");
    assert!(line.contains("after 3 failed logins"), "{line}");
    broker.wait_log("login failed from 127.0.0.1 for user \"bob\" (3 in a row)");
    assert_ne!(
        publish(&broker, &["-u", "bob", "-P", "secret", "-t", "a"]),
        Some(0)
    );
}
