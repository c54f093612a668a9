//! What options must hold against each other, checked once all are known.
//!
//! The order of the checks is mosquitto's, since of several mistakes the first is told.

use crate::cli::Caller;
use crate::cli::Manner;
use crate::cli::Program;
use crate::cli::args::approach::Approach;
use crate::cli::args::connection::Connection;
use crate::cli::args::ctrl::Ctrl;
use crate::cli::args::message::Source;
use crate::cli::args::ping::Ping;
use crate::cli::args::publish::Publish;
use crate::cli::args::reach::Reach;
use crate::cli::args::record::{List, Record, Replay};
use crate::cli::args::request::Request;
use crate::cli::args::subscribe::Subscribe;
use crate::cli::args::tls::Tls;
use crate::cli::args::top::Top;
use crate::cli::args::will::Will;
use crate::cli::error::{Error, Kind};
use crate::cli::property::{self, Fault, Target, What};
use crate::cli::words::Verdict;
use crate::mqtt::Version;
use crate::mqtt::property::PropertyId;

/// Whether to come back, said twice.
fn reach(args: &Reach) -> Result<(), Error> {
    match args.max_reconnects {
        Some(1..) if args.no_reconnect => Err(usage(
            "--no-reconnect and --max-reconnects cannot be used together.",
        )),
        _ => Ok(()),
    }
}

/// One source of payloads, and what each of them needs.
fn making(args: &Publish) -> Result<(), Error> {
    let making = &args.beyond.making;
    let sources = making.sources();
    if sources.len() > 1 {
        let told = format!("{} and {} cannot be used together.", sources[0], sources[1]);
        return Err(usage(&told));
    }
    let Some(source) = sources.first() else {
        return match making.seed {
            None => Ok(()),
            Some(_) => Err(usage("--seed is for --template.")),
        };
    };
    let lines = args.stdin_line && !making.reads_lines();
    if lines || args.message.source().is_some() {
        return Err(usage(&format!(
            "{source} and another source of payloads cannot be used together."
        )));
    }
    if making.topic_from_line.is_some() && args.topic.is_some() {
        return Err(usage(
            "The topic comes from -t or from each line, not from both.",
        ));
    }
    if making.seed.is_some() && making.template.is_none() {
        return Err(usage("--seed is for --template."));
    }
    Ok(())
}

pub(crate) fn publish(caller: Caller, args: &Publish) -> Result<(), Error> {
    reach(&args.beyond.reach)?;
    making(args)?;
    shared(&args.connection, &args.tls, &args.will, Program::Publish)?;
    let is_input = matches!(args.source(), Some(Source::Lines | Source::Stdin));
    input_twice(&args.connection, is_input)?;
    if caller.manner == Manner::Mosquitto {
        return Ok(());
    }
    let lines = args.stdin_line || args.beyond.making.reads_lines();
    for (is_given, name) in [
        (args.repeat.is_some(), "--repeat"),
        (args.repeat_delay.is_some(), "--repeat-delay"),
    ] {
        if lines && is_given {
            let told = format!("{name} is for -m, -f, -n, -s and --template, not for lines.");
            return Err(usage(&told).hint("--rate, which holds for lines, too"));
        }
    }
    match args.is_complete() {
        true => Ok(()),
        false => Err(incomplete_publish()),
    }
}

/// Told by the command, not the parser, under a mosquitto name: usage on stdout goes with it.
pub fn incomplete_publish() -> Error {
    Error::new(Kind::Failed, "Both topic and message must be supplied.")
        .hint("mqttx pub -t some/topic -m 'some payload'")
}

pub(crate) fn ping(args: &Ping) -> Result<(), Error> {
    approach(Program::Ping, &args.approach)
}

pub(crate) fn ctrl(caller: Caller, args: &Ctrl) -> Result<(), Error> {
    if args.verbose && caller.manner == Manner::Mqttx {
        let hint = "--json behind the command, which tells all";
        return Err(usage("-v says nothing to ctrl.").hint(hint));
    }
    approach(Program::Ctrl, &args.approach)
}

pub(crate) fn record(args: &Record) -> Result<(), Error> {
    approach(Program::Record, &args.approach)
}

pub(crate) fn replay(args: &Replay) -> Result<(), Error> {
    if args.r#loop && args.file.is_none() {
        return Err(usage(
            "--loop needs a file (-f): what came by standard input is gone.",
        ));
    }
    approach(Program::Replay, &args.approach)
}

pub(crate) fn list(args: &List) -> Result<(), Error> {
    approach(Program::List, &args.approach)
}

pub(crate) fn top(args: &Top) -> Result<(), Error> {
    approach(Program::Top, &args.approach)
}

/// One form a message, and one place.
fn showing(args: &Subscribe) -> Result<(), Error> {
    let showing = &args.beyond.showing;
    let mut forms = showing.forms();
    let others = [
        (args.output.output_format.is_some(), "-F"),
        (args.watch, "-w"),
        (args.message_rate, "--message-rate"),
    ];
    let others = others.into_iter().filter(|(is_asked, _)| *is_asked);
    if !forms.is_empty() {
        forms.extend(others.map(|(_, name)| name));
    }
    if let [one, other, ..] = forms[..] {
        return Err(usage(&format!(
            "{one} and {other} cannot be used together."
        )));
    }
    let undelimited = args.output.no_newline || showing.log || showing.hexdump;
    if showing.delimiter.is_some() && undelimited {
        return Err(usage(
            "--delimiter is for messages without -N, --log and --hexdump.",
        ));
    }
    if showing.out.is_some() && showing.out_dir.is_some() {
        return Err(usage("--out and --out-dir cannot be used together."));
    }
    if showing.color.is_some() && !showing.log {
        return Err(usage("--color is for --log."));
    }
    Ok(())
}

/// Options of a Subscription that version 3 has no room for; mosquitto passes over them.
fn subscription_options(caller: Caller, args: &Subscribe) -> Result<(), Error> {
    let version = args.connection.protocol_version.unwrap_or(Version::V311);
    if caller.manner == Manner::Mosquitto || version == Version::V5 {
        return Ok(());
    }
    // -R asks version 5 not to send what it would pass over before.
    let handling = args.retained.retain_handling.is_some() && !args.retained.no_retained;
    for (is_given, name) in [
        (args.no_local, "--no-local"),
        (args.retained.retain_as_published, "--retain-as-published"),
        (handling, "--retain-handling"),
    ] {
        if is_given {
            let told = format!("{name} needs version 5 of the protocol.");
            return Err(usage(&told).hint("-V 5"));
        }
    }
    Ok(())
}

pub(crate) fn subscribe(caller: Caller, args: &Subscribe) -> Result<(), Error> {
    reach(&args.beyond.reach)?;
    shared(&args.connection, &args.tls, &args.will, Program::Subscribe)?;
    if args.topic.is_empty() && args.unsubscribe.is_empty() {
        return Err(usage(
            "You must specify a topic to subscribe to (-t) or unsubscribe from (-U).",
        )
        .hint("mqttx sub -t 'some/topic/#'"));
    }
    showing(args)?;
    subscription_options(caller, args)?;
    if args.beyond.expect.in_order && args.beyond.expect.expect.len() < 2 {
        return Err(usage("--in-order needs two expectations."));
    }
    if args.exit_after_subscribe && !args.beyond.expect.expect.is_empty() {
        return Err(usage("-E ends before anything expected can come."));
    }
    if args.topic.is_empty() && args.beyond.expect.needs_all_granted() {
        return Err(usage("What is awaited needs a topic to subscribe to (-t)."));
    }
    // [MQTT-3.8.3-4]
    if args.no_local && args.topic.iter().any(|topic| topic.starts_with("$share/")) {
        return Err(usage("--no-local cannot stand with a shared subscription."));
    }
    if args.retained.no_retained && args.retained_only {
        return Err(Error::new(
            Kind::Failed,
            "Combining '-R' and '--retained-only' makes no sense.",
        )
        .after_empty_line());
    }
    Ok(())
}

pub(crate) fn request(caller: Caller, args: &Request) -> Result<(), Error> {
    reach(&args.reach)?;
    shared(&args.connection, &args.tls, &args.will, Program::Request)?;
    let is_input = args.message.source() == Some(Source::Stdin);
    input_twice(&args.connection, is_input)?;
    match args.is_complete() || caller.manner == Manner::Mosquitto {
        true => Ok(()),
        false => Err(incomplete_request()),
    }
}

/// Told by the command under a mosquitto name: a file that cannot be read is told before.
pub fn incomplete_request() -> Error {
    usage("All of topic, message, and response topic must be supplied.")
        .hint("mqttx rr -t service -e service/reply -m 'some request'")
}

/// Standard input can be read once.
fn input_twice(connection: &Connection, is_message: bool) -> Result<(), Error> {
    let is_password = connection
        .password_file
        .as_ref()
        .is_some_and(|path| path.as_os_str() == "-");
    match is_password && is_message {
        true => Err(usage(
            "Standard input is either the password or the message, not both.",
        )),
        false => Ok(()),
    }
}

fn approach(program: Program, args: &Approach) -> Result<(), Error> {
    shared(&args.connection, &args.tls, &args.will, program)
}

fn shared(connection: &Connection, tls: &Tls, will: &Will, program: Program) -> Result<(), Error> {
    let version = connection
        .protocol_version
        .unwrap_or_else(|| program.version());
    if let Some(sentence) = will.conflict().or_else(|| tls.conflict()) {
        return Err(usage(sentence));
    }
    if !connection.ws && (connection.ws_path.is_some() || !connection.ws_header.is_empty()) {
        return Err(usage("--ws-path and --ws-header say nothing without --ws.").hint("--ws"));
    }
    if connection.srv && (connection.proxy.is_some() || connection.unix.is_some()) {
        return Err(usage("-S cannot stand with --proxy or --unix."));
    }
    let passwords = [
        connection.pw.is_some(),
        connection.password_file.is_some(),
        connection.password_env.is_some(),
        connection.ask_password,
    ];
    if passwords.into_iter().filter(|is_given| *is_given).count() > 1 {
        return Err(usage(
            "The password comes from one place: -P, --password-file, --password-env or --ask-password.",
        ));
    }
    if connection.scram {
        if version != Version::V5 {
            return Err(usage("--scram needs version 5 of the protocol.").hint("-V 5"));
        }
        let typed = passwords.into_iter().any(|is_given| is_given);
        if connection.username.is_none() || !typed {
            let told = "--scram needs a user name and a password to prove.";
            return Err(usage(told).hint("-u NAME --ask-password"));
        }
    }
    let named = connection.id.is_some() && connection.id_prefix.is_none();
    let kept = connection.disable_clean_session;
    match version {
        Version::V5 => {
            let unset = if kept { Some(u32::MAX) } else { None };
            if connection.session_expiry.or(unset) == Some(u32::MAX) && !named {
                return Err(usage(
                    "You must provide a client id if you are using an infinite session expiry interval.",
                )
                .hint("-i some-id"));
            }
        }
        Version::V31 | Version::V311 => {
            if kept && !named {
                return Err(
                    usage("You must provide a client id if you are using the -c option.")
                        .hint("-i some-id"),
                );
            }
        }
    }
    let fault = match says_expiry_twice(connection, version) {
        true => Some(Fault {
            packet: "CONNECT",
            what: What::Twice,
        }),
        false => property::fault(&connection.property),
    };
    match fault.map(|fault| forbidden(&fault)) {
        None => Ok(()),
        Some(error) if connection.quiet => Err(error.silent()),
        Some(error) => Err(error),
    }
}

/// `-x` and `-c` bring the property that `-D` may tell, too.
fn says_expiry_twice(connection: &Connection, version: Version) -> bool {
    let asked = connection.session_expiry.is_some_and(|seconds| seconds > 0);
    let kept = connection.disable_clean_session && connection.session_expiry.is_none();
    let typed = property::collect(&connection.property, Target::Connect);
    let typed = typed.properties().four(PropertyId::SessionExpiryInterval);
    version == Version::V5 && (asked || kept) && typed.is_some()
}

/// What libmosquitto says of a Will it cannot make, whatever the reason.
pub const PROBLEM_SETTING_WILL: &str = "Problem setting will.";

fn forbidden(fault: &Fault) -> Error {
    let packet = fault.packet;
    let (theirs, what) = match fault.what {
        What::Twice => (
            "Duplicate property in property list",
            "a property stands twice",
        ),
        What::Forbidden(what) => (
            "A network protocol error occurred when communicating with the broker",
            what,
        ),
    };
    let error = match packet {
        "CONNECT" => {
            Error::new(Kind::Failed, format!("Unable to connect ({theirs}).")).without_prefix()
        }
        "Will" => Error::new(Kind::Failed, PROBLEM_SETTING_WILL),
        _ => Error::new(
            Kind::Usage,
            format!("Error in {packet} properties: {theirs}"),
        )
        .without_prefix(),
    };
    error.in_short(format!("the properties of {packet} cannot be sent: {what}"))
}

fn usage(sentence: &str) -> Error {
    Error::usage(Verdict::tight(sentence))
}
