//! The language of mosquitto.conf: what is understood, and as what.

use std::fs;

use mqttx::daemon::conf::bridge_words::{Direction, RestartTimeout};
use mqttx::daemon::conf::directives;
use mqttx::daemon::conf::log_words::{LogDest, LogType};
use mqttx::daemon::conf::parse;
use mqttx::daemon::conf::settings::{Settings, UsedBy};
use mqttx::daemon::conf::value::Protocol;

fn read(text: impl AsRef<[u8]>) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mosquitto.conf");
    fs::write(&path, text).unwrap();
    parse::read(&path).unwrap_or_else(|fault| panic!("{fault}"))
}

#[test]
fn lines_blanks_comments_and_ends_of_lines() {
    let settings = read(
        "# a comment\r\n\r\nmax_keepalive   300   \r\n\n   \nuser  with blanks inside  \n\
         max_queued_messages 5 ignored\npid_file /tmp/a#b\nmax_qos 1",
    );
    assert_eq!(*settings.globals.max_keepalive, 300);
    assert_eq!(settings.globals.user.as_deref(), Some("with blanks inside"));
    assert_eq!(*settings.globals.max_queued_messages, 5);
    let pid_file = settings.globals.pid_file.as_ref().unwrap();
    assert_eq!(pid_file.to_str(), Some("/tmp/a#b"));
    assert_eq!(*settings.listeners[0].options.max_qos, 1);
    let at = settings.globals.max_keepalive.at.as_ref().unwrap();
    assert_eq!(at.line, 3);
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let settings = read("");
    assert_eq!(*settings.globals.max_packet_size, 2_000_000);
    assert_eq!(*settings.globals.max_inflight_messages, 20);
    assert_eq!(*settings.globals.sys_interval, 10);
    assert_eq!(*settings.globals.log_dest, [LogDest::Stderr]);
    assert_eq!(*settings.globals.log_type, LogType::DEFAULT);
    assert!(!settings.globals.max_packet_size.is_given());
    assert!(settings.is_local_only());
    assert!(settings.listeners.is_empty());
}

#[test]
fn options_before_any_listener_are_about_the_default_one() {
    let settings = read("max_connections 5\nmax_qos 1\n");
    assert!(settings.is_local_only());
    assert_eq!(*settings.listeners[0].options.max_connections, 5);
    let settings = read("port 1884\nlistener 1885 ::1\nmax_connections 7\n");
    assert!(!settings.is_local_only());
    let [default, second] = &settings.listeners[..] else {
        panic!("two listeners")
    };
    assert_eq!(*default.options.port, Some(1884));
    assert_eq!(*default.options.max_connections, -1);
    assert_eq!((second.port, second.place.as_deref()), (1885, Some("::1")));
    assert_eq!(*second.options.max_connections, 7);
    assert!(
        settings.remarks[0]
            .text()
            .contains("'port' option is now deprecated")
    );
}

#[test]
fn a_listener_has_what_follows_it() {
    let settings = read(
        "listener 0 /run/mqtt.sock\nlistener 8080 # web\nprotocol websockets\n\
         websockets_origin https://a\nwebsockets_origin https://b\nmount_point site/\n\
         accept_protocol_versions 4, 5\n",
    );
    let [unix, web] = &settings.listeners[..] else {
        panic!("two listeners")
    };
    assert_eq!(unix.place.as_deref(), Some("/run/mqtt.sock"));
    assert_eq!(web.place, None);
    assert_eq!(*web.options.protocol, Protocol::Websockets);
    assert_eq!(*web.options.websockets_origin, ["https://a", "https://b"]);
    assert_eq!(web.options.mount_point.as_deref(), Some("site/"));
    let versions = *web.options.accept_protocol_versions;
    assert!(!versions.v31 && versions.v311 && versions.v5);
}

#[test]
fn security_belongs_to_all_or_with_per_listener_settings_to_one() {
    let all = read("listener 1\npassword_file p\nlistener 2\nallow_anonymous true\n");
    assert_eq!(*all.security.allow_anonymous, Some(true));
    assert!(all.security.password_file.is_some());
    let each = read(
        "per_listener_settings true\nlistener 1\npassword_file p\nlistener 2\n\
         password_file q\nallow_anonymous true\nper_listener_settings false\n",
    );
    let rules = |at: usize| each.security_of(&each.listeners[at]);
    assert_eq!(*rules(0).allow_anonymous, None);
    assert_eq!(*rules(1).allow_anonymous, Some(true));
    assert!(rules(0).password_file.is_some());
}

#[test]
fn log_lists_grow_and_none_empties_them() {
    let settings = read(
        "log_dest stdout\nlog_dest file /a b\nlog_dest topic\nlog_type error\nlog_type debug\n",
    );
    let file = LogDest::File("/a b".into());
    let expected = [LogDest::Stdout, file, LogDest::Topic];
    assert_eq!(*settings.globals.log_dest, expected);
    assert_eq!(*settings.globals.log_type, [LogType::Error, LogType::Debug]);
    let settings = read("log_dest stdout\nlog_dest none\nlog_type all\n");
    assert!(settings.globals.log_dest.is_empty());
    assert_eq!(settings.globals.log_type.len(), 9);
}

#[test]
fn bridges_and_plugins() {
    let settings = read(
        "connection one\naddress a:1 b\ntopic # both 2 l/ r/\ntopic x\nclientid c\n\
         restart_timeout 5 60 10\nconnection two\naddresses c\ntopic y in\n\
         plugin /usr/lib/x.so\nplugin_opt_file  a b \nplugin_load named y.so\n\
         auth_opt_key v\nlistener 1\nplugin_use named\nlistener 2\nplugin_use named\n",
    );
    let one = &settings.bridges[0].options;
    assert_eq!(one.address.len(), 2);
    assert_eq!(one.topic[0].direction, Direction::Both);
    assert_eq!(one.remote_clientid.as_deref(), Some("c"));
    assert!(matches!(*one.restart_timeout, RestartTimeout::Backoff(..)));
    assert_eq!(settings.bridges[1].name, "two");
    let [plain, named] = &settings.plugins[..] else {
        panic!("two plugins")
    };
    assert_eq!(plain.used_by, UsedBy::All);
    assert_eq!(plain.options, [("file".to_owned(), "a b".to_owned())]);
    assert_eq!(named.used_by, UsedBy::Listeners(vec![0, 1]));
    assert_eq!(named.options, [("key".to_owned(), "v".to_owned())]);
}

#[test]
fn a_folder_is_included_in_order_and_its_files_begin_without_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("b.conf", "max_keepalive 2\n");
    write("a.conf", "max_keepalive 3\nlistener 7\n");
    write("A.conf", "max_keepalive 1\n");
    write("c.conf.dpkg", "nonsense\n");
    write(".conf", "nonsense\n");
    let text = format!(
        "listener 1\ninclude_dir {}\nmax_connections 9\n",
        folder.path().display()
    );
    let settings = read(&text);
    assert_eq!(*settings.globals.max_keepalive, 2);
    assert_eq!(*settings.listeners[0].options.max_connections, 9);
    let loaded: Vec<String> = settings
        .remarks
        .iter()
        .map(|remark| remark.text())
        .collect();
    let ends = ["A.conf'", "a.conf'", "b.conf'"];
    assert!(
        loaded
            .iter()
            .zip(ends)
            .all(|(line, end)| line.ends_with(end)),
        "{loaded:?}"
    );
    write("z.conf", "\nmax_topic_alias 1\n");
    let path = folder.path().join("main");
    fs::write(&path, &text).unwrap();
    let error = parse::read(&path).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].contains("requires a listener"), "{error}");
    assert!(lines[1].ends_with("z.conf:2'."), "{error}");
    assert!(lines[2].ends_with("main:2."), "{error}");
}

#[test]
fn values_from_the_environment_and_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "tiger\n").unwrap();
    let settings = read(format!(
        "connection b\naddress h\ntopic $SYS/#\nremote_password ${{file:{}}}\n\
         local_username ${{MQTTX_IS_NOT_THERE:-me}}\n",
        secret.display()
    ));
    let options = &settings.bridges[0].options;
    assert_eq!(options.remote_password.as_deref(), Some("tiger"));
    assert_eq!(options.local_username.as_deref(), Some("me"));
    assert_eq!(options.topic[0].pattern, "$SYS/#");
    let line = settings
        .lines
        .iter()
        .find(|line| line.name == "remote_password");
    assert!(line.unwrap().secret);
}

#[test]
fn invalid_utf8_lines_of_any_length_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c");
    let fault = |text: &[u8]| {
        fs::write(&path, text).unwrap();
        parse::read(&path)
            .map(|_| ())
            .map_err(|fault| fault.sentence)
    };
    let malformed = Err("Error: Malformed UTF-8 in configuration.".to_owned());
    assert_eq!(fault(b"user \xff\xfe"), malformed);
    assert_eq!(fault(b"# \xff in a comment\n"), Ok(()));
    let long = "x".repeat(65_535);
    assert_eq!(fault(format!("user {long}").as_bytes()), Ok(()));
    let longer = fault(format!("user {long}x").as_bytes());
    assert_eq!(
        longer,
        Err("Error: Value of 'user' is too long.".to_owned())
    );
    let directory = parse::read(folder.path()).unwrap_err().sentence;
    assert!(directory.ends_with("is a directory."), "{directory}");
    let missing = parse::read(&folder.path().join("none"))
        .unwrap_err()
        .sentence;
    assert!(
        missing.starts_with("Error: Unable to open config file '"),
        "{missing}"
    );
}

/// A name may stand in a table and in no `set`, or the other way round: neither may be.
#[test]
fn every_directive_of_the_table_can_be_read() {
    for row in directives::all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        let value = if row.default().is_empty() {
            "1".to_owned()
        } else {
            row.default()
        };
        fs::write(
            &path,
            format!(
                "plugin a.so\nlistener 1\nconnection b\n{} {value}\n",
                row.name
            ),
        )
        .unwrap();
        // Whatever it says about the value, it knows the name.
        let fault = parse::read(&path)
            .map(|_| ())
            .map_err(|fault| fault.sentence);
        let unknown = fault.is_err_and(|sentence| sentence.contains("Unknown configuration"));
        assert!(!unknown, "{}", row.name);
    }
}
