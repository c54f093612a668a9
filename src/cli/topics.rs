//! TABLE: what `mqttx help TOPIC` tells that belongs to no single command; the pages of section 7 are
//! made of the same rows.

use crate::cli::Program;
use crate::cli::error::EXIT_STATUSES;
use crate::cli::words::aliases::ALIASES;

/// A text to look things up in.
pub struct Topic {
    pub name: &'static str,
    pub about: &'static str,
    /// The name of its man page.
    pub page: &'static str,
    pub parts: fn() -> Vec<Part>,
}

/// A heading with words below it, and a list of terms.
pub struct Part {
    pub heading: &'static str,
    pub text: &'static str,
    pub terms: Vec<(String, String)>,
}

pub const TOPICS: &[Topic] = &[
    Topic {
        name: "exit-codes",
        about: "What the exit status of a command tells",
        page: "mqttx-exit-status",
        parts: exit_codes,
    },
    Topic {
        name: "format",
        about: "How -F lays out a message",
        page: "mqttx-format",
        parts: format,
    },
    Topic {
        name: "env",
        about: "Options from the environment, profiles and files",
        page: "mqttx-environment",
        parts: env,
    },
    Topic {
        name: "words",
        about: "Words of MQTTX CLI that are understood",
        page: "mqttx-words",
        parts: words,
    },
];

fn terms(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(term, told): &(&str, &str)| ((*term).to_owned(), (*told).to_owned());
    rows.iter().map(pair).collect()
}

fn part(heading: &'static str, text: &'static str, rows: &[(&str, &str)]) -> Part {
    Part {
        heading,
        text,
        terms: terms(rows),
    }
}

fn exit_codes() -> Vec<Part> {
    let text = "mosquitto's numbers stay what they are; new ones lie where neither mosquitto, nor MQTT, \
                nor a signal can be mistaken for them. Of several failures the first one counts. Ctrl-C, \
                SIGTERM and a reader that has gone end sub with 0, or with the Reason Code of a filter that \
                was refused while others were granted. 129, 130 and 143 are Reason Codes here: \
                of SIGINT and SIGTERM these programs do not die.";
    vec![part("Exit status", text, EXIT_STATUSES)]
}

/// The letters of -F.
const LETTERS: &[(&str, &str)] = &[
    ("%p", "payload"),
    (
        "%x %X",
        "payload in hexadecimal; %.2:x puts a colon after every second digit",
    ),
    (
        "%f %d",
        "payload of 4 or 8 bytes as a floating point number of this machine",
    ),
    ("%j", "the message as JSON, the payload as text"),
    ("%J", "the message as JSON, the payload as the JSON it is"),
    ("%t", "topic"),
    ("%q", "QoS"),
    ("%r", "1 for a retained message, else 0"),
    ("%l", "length of the payload"),
    ("%m", "Packet Identifier; 0 at QoS 0"),
    ("%A", "Topic Alias"),
    ("%C", "Content Type"),
    ("%D", "Correlation Data"),
    ("%E", "Message Expiry Interval"),
    ("%F", "Payload Format Indicator"),
    ("%P", "User Properties, as key:value"),
    ("%R", "Response Topic"),
    ("%S", "Subscription Identifiers"),
    ("%I", "time of arrival, ISO 8601"),
    (
        "%U",
        "time of arrival, seconds since 1970 with nine decimals",
    ),
    ("%%", "a percent sign"),
];

const ESCAPES: &[(&str, &str)] = &[
    (
        "@Y @m @d @H @M @S …",
        "parts of the time of arrival, as strftime has them",
    ),
    ("@N", "nanoseconds of the time of arrival"),
    ("@@", "an at sign"),
    (
        "\\n \\r \\t \\v \\a \\e \\0 \\\\",
        "control characters, and a backslash",
    ),
];

fn format() -> Vec<Part> {
    let text = "%[-][0][width][.precision]LETTER, where - aligns to the left and 0 pads with zeros. Other \
                text is printed as it is, a newline follows unless -N says otherwise.";
    vec![
        part("Letters of -F", text, LETTERS),
        part("Times and escapes", "", ESCAPES),
    ]
}

fn env() -> Vec<Part> {
    let text = "A word on the command line counts before a variable, a variable before --profile, and that \
                before the options file. --print-config tells what counts after all. Under mosquitto's \
                names only the options file is read.";
    let rows: &[(&str, &str)] = &[
        (
            "MQTTX_NAME",
            "the long option --name, in capitals and with _ for -: MQTTX_HOST, MQTTX_PORT, MQTTX_USERNAME, \
             MQTTX_PASSWORD, MQTTX_CAFILE …; an option without a value is true or false",
        ),
        ("MQTTX_PROFILE", "the profile to take options from"),
        (
            "MQTTX_TOPIC",
            "of sub, as of every option that may be repeated: one value a line",
        ),
        (
            "~/.config/mqttx/profiles.toml",
            "profiles: a table each, a key for each long option, lists for what may be repeated; \
             --save-profile writes them",
        ),
        (
            "~/.config/mosquitto_pub",
            "options file, likewise of mosquitto_sub and mosquitto_rr: an option a line; -o names another",
        ),
        ("XDG_CONFIG_HOME", "takes the place of ~/.config"),
        ("NO_COLOR", "no colours, if set and not empty"),
    ];
    vec![part("Environment and files", text, rows)]
}

fn words() -> Vec<Part> {
    let of = |program: Program| {
        let alike = ALIASES
            .iter()
            .filter(move |a| a.programs & program.bit() != 0);
        alike
            .map(|a| (a.words.join(", "), a.means.to_string()))
            .collect()
    };
    let text =
        "What mosquitto uses itself keeps mosquitto's meaning: -e -d -f -v -L -c -I -M -S -l.";
    vec![
        Part {
            heading: "pub",
            text,
            terms: of(Program::Publish),
        },
        Part {
            heading: "sub",
            text: "",
            terms: of(Program::Subscribe),
        },
    ]
}

/// The topic as text for a terminal.
pub fn text(topic: &Topic) -> String {
    let mut out = String::new();
    for part in (topic.parts)() {
        out.push_str(&format!("{}:\n", part.heading));
        if !part.text.is_empty() {
            out.push_str(&wrapped("  ", part.text));
            out.push('\n');
        }
        let widest = part.terms.iter().map(|(term, _)| term.chars().count());
        let width = widest.max().unwrap_or(0).min(28);
        for (term, told) in &part.terms {
            out.push_str(&wrapped(&format!("  {term:width$}  "), told));
        }
        out.push('\n');
    }
    out.pop();
    out
}

/// Columns of a line.
const WIDTH: usize = 100;

/// The text behind its beginning, further lines below where it began.
fn wrapped(beginning: &str, text: &str) -> String {
    let indent = beginning.chars().count();
    let mut out = beginning.to_owned();
    let mut column = indent;
    for (at, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > WIDTH {
            out.push_str(&format!("\n{:indent$}", ""));
            column = indent;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

/// The topic as a page of section 7.
pub fn page(topic: &Topic) -> String {
    let name = topic.page;
    let mut out = format!(".TH {name} 7 \"\" mqttx mqttx\n.SH NAME\n{}", line(name));
    out.pop();
    out.push_str(&format!(" \\- {}", line(topic.about)));
    for part in (topic.parts)() {
        out.push_str(&format!(".SH {}\n", part.heading.to_uppercase()));
        out.push_str(&line(part.text));
        for (term, told) in &part.terms {
            out.push_str(&format!(
                ".TP\n\\fB{}\\fR\n{}",
                line(term).trim_end(),
                line(told)
            ));
        }
    }
    out
}

/// Text as roff takes it: no request, no escape, and hyphens that can be copied.
fn line(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}\n"),
        false => format!("{text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::format::Template;

    /// Every letter that -F takes is told, and no other.
    #[test]
    fn letters_told_are_letters_taken() {
        let told: String = LETTERS.iter().map(|(letters, _)| *letters).collect();
        for letter in ('!'..='~').filter(|c| c.is_ascii_alphabetic() || *c == '%') {
            let is_taken = Template::parse(&format!("%{letter}")).is_ok();
            let is_told = told.contains(&format!("%{letter}"));
            assert_eq!(is_taken, is_told, "%{letter}");
        }
        for letter in ('a'..='z').chain(['0', '\\']) {
            let is_taken = Template::parse(&format!("\\{letter}")).is_ok();
            let is_told = ESCAPES[3].0.contains(&format!("\\{letter}"));
            assert_eq!(is_taken, is_told, "\\{letter}");
        }
    }
}
