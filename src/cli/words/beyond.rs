//! Rows of what mosquitto's clients never had: long names only, understood under the name `mqttx`.
//!
//! Their clap arguments live in structs of their own (`args/expect.rs` …), and are built only when one
//! of them stands on the line, so that `mqttx pub -t a -m b` starts as fast as without them.

use crate::cli::args::expect;
use crate::cli::args::{making, ping, reach, record, showing};
use crate::cli::words::{CTRL, LIST, P, PING, R, RECORD, REPLAY, Row, S, TOP, Take, flag, row};

pub(crate) static ROWS: &[Row] = &[
    judged("--expect", S, "text", Take::Judge(expect::text)),
    judged("--expect-json", S, "JSON", Take::Judge(expect::json)),
    judged("--expect-regex", S, "pattern", Take::Judge(expect::regex)),
    flag("", "--in-order", S).own(),
    judged(
        "--reject-regex",
        S,
        "pattern",
        Take::Checked(expect::reject),
    ),
    judged("--idle", S, "time", Take::Checked(reach::time)),
    judged("--ready-file", S, "file", Take::Bytes),
    judged("--ready-fd", S, "number", Take::Checked(expect::descriptor)),
    judged(
        "--topic-from-line",
        P,
        "separator",
        Take::Joined("\t", making::separator),
    ),
    flag("", "--jsonl", P | S).own(),
    flag("", "--log", S).own(),
    flag("", "--hexdump", S).own(),
    judged("--select", S, "path", Take::Checked(showing::select)),
    judged("--decode", S, "rule", Take::Checked(showing::decode)),
    judged(
        "--delimiter",
        S,
        "delimiter",
        Take::Checked(showing::delimiter),
    ),
    judged("--out", S | RECORD, "file", Take::Bytes),
    row("-R", "--no-retained", RECORD, Take::Flag).own(),
    judged("--speed", REPLAY, "speed", Take::Checked(record::speed)),
    flag("", "--loop", REPLAY).own(),
    judged("--map", REPLAY, "names", Take::Checked(record::map)),
    flag("", "--tree", LIST).own(),
    flag("", "--once", TOP).own(),
    judged("--out-dir", S, "directory", Take::Bytes),
    judged("--color", S, "choice", Take::Checked(showing::colour)),
    judged("--template", P, "template", Take::Text),
    judged("--seed", P, "number", Take::Checked(making::seed)),
    judged("--rate", P, "rate", Take::Checked(making::rate_fits)),
    judged("--format", P, "format", Take::Checked(making::format_fits)),
    judged(
        "--payload-size",
        P,
        "size",
        Take::Checked(making::size_fits),
    ),
    flag("", "--confirm", P).own(),
    judged("--wait", REACHING, "time", Take::Checked(reach::time)),
    judged(
        "--connect-timeout",
        REACHING,
        "time",
        Take::Checked(reach::time),
    ),
    judged(
        "--max-reconnects",
        P | S | R,
        "count",
        Take::Checked(reach::count),
    ),
    flag("", "--no-reconnect", P | S | R).own(),
    row("-c", "--count", PING, Take::Checked(ping::count))
        .noun("count")
        .own(),
    judged("--interval", PING, "time", Take::Checked(reach::time)),
    flag("", "--json", PING).own(),
];

/// Whoever goes to a broker.
const REACHING: u16 = P | S | R | PING | CTRL | LIST | RECORD | REPLAY | TOP;

const fn judged(long: &'static str, programs: u16, noun: &'static str, take: Take) -> Row {
    row("", long, programs, take).noun(noun).own()
}
