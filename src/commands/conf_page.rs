//! The manual of the configuration file, mqttx.conf(5): every directive, from the table that the
//! file is read with.

use crate::daemon::conf::directives::{Directive, Mark, TABLES};

/// Its name among the pages.
pub(crate) const FILE: &str = "mqttx.conf.5";

const HEAD: &str = "\
.TH mqttx.conf 5 \"\" mqttx mqttx
.SH NAME
mqttx.conf \\- the configuration file of mqttx broker
.SH SYNOPSIS
.B mqttx broker \\-c
.I FILE
.br
.B mosquitto \\-c
.I FILE
.SH DESCRIPTION
The file is a mosquitto.conf: a directive a line, its name, a blank and its value, which is the rest
of the line. Blank lines and lines that begin with # are skipped. The text is UTF\\-8.
.PP
.BR listener ,
.BR connection
and
.BR plugin
begin a block: directives of that kind that follow are about it. Directives of a listener that come
before the first one are about the default listener, which is opened only where
.BR port
or
.BR bind_address
is given. Without any listener the broker is in local only mode: port 1883 of this machine, and
anonymous clients may connect. With one, they may not unless the file says so.
.PP
A wrong line is told with its file and number, and ends the broker with status 3.
.B mqttx broker \\-c
.I FILE
.B \\-\\-test\\-config
only looks, and
.B \\-\\-print\\-config
shows what was understood.
.SS Values from elsewhere
.TP
.B ${NAME}
The variable of the environment.
.TP
.B ${NAME:\\-TEXT}
The same, or TEXT where there is none.
.TP
.B ${file:PATH}
The only line of a file. It is not shown by
.BR \\-\\-print\\-config .
.TP
.B $${
The two characters ${.
.SS Signals
.TP
.B SIGHUP
Read the file again. A file with a mistake changes nothing, and the mistake is logged. The user, the
pid file and the number of threads stay as they are.
.TP
.B SIGUSR1
Save what is in memory.
.TP
.B SIGUSR2
Print every subscription, with its client, on standard output.
.TP
.B SIGRTMIN
Open log files anew.
.TP
.BR SIGINT \", \" SIGTERM
End.
";

const FOOT: &str = "\
.SH ENVIRONMENT
.TP
.B MOSQUITTO_PERSISTENCE_LOCATION
Goes before persistence_location.
.TP
.BR PUID \", \" PGID
Numbers of the user and group to become when started as root, in place of user.
.TP
.B UMASK_SET
Rights that files are made without, in octal.
.TP
.BR NOTIFY_SOCKET \", \" WATCHDOG_USEC
Set by systemd, which is told of start, reload, end and, twice in that time, of being alive.
.SH SEE ALSO
.BR mqttx\\-broker (1)
";

/// The page, in roff.
pub(crate) fn page() -> Vec<u8> {
    let mut out = HEAD.to_owned();
    out.push_str(".SH DIRECTIVES\n");
    for (title, rows) in TABLES {
        out.push_str(&format!(".SS {title}\n"));
        for row in *rows {
            put(row, &mut out);
        }
    }
    out.push_str(FOOT);
    out.into_bytes()
}

fn put(row: &Directive, out: &mut String) {
    let (name, form) = (escape(row.name), escape(row.form));
    out.push_str(&format!(".TP\n\\fB{name}\\fR \\fI{form}\\fR\n"));
    out.push_str(&format!("{}\n", escape(&row.help())));
    let default = row.default();
    if !default.is_empty() {
        out.push_str(&format!("Default: {}.\n", escape(&default)));
    }
    if !row.aliases.is_empty() {
        let aliases = row.aliases.join(", ");
        out.push_str(&format!("Also called {}.\n", escape(&aliases)));
    }
    for mark in row.marks {
        match mark {
            Mark::Deprecated(instead) => {
                let text = format!("Deprecated. {instead}");
                out.push_str(&format!("{}\n", escape(text.trim_end())));
            }
            Mark::Gone(_) => out.push_str("Accepted, without effect.\n"),
            Mark::Never(way_out) => {
                let text = format!("Not available: {way_out}.");
                out.push_str(&format!("{}\n", escape(&text)));
            }
            Mark::NeedsListener | Mark::NeedsNamedListener | Mark::Secret | Mark::Wrong(_) => {}
            Mark::Noun(_) | Mark::Note(_) => {}
        }
    }
}

/// What roff would take for its own.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::conf::directives;

    #[test]
    fn every_directive_is_in_the_manual() {
        let page = String::from_utf8(page()).unwrap();
        for row in directives::all() {
            let entry = format!("\n\\fB{}\\fR \\fI", escape(row.name));
            assert_eq!(page.matches(&entry).count(), 1, "{}", row.name);
        }
    }
}
