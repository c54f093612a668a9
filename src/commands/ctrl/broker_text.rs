//! What a broker tells of itself, as text: tables for people, columns parted by tabs for programs,
//! and mosquitto_ctrl's two lists as it prints them. Names come from clients and are shown without
//! what would move a terminal's cursor.

use std::fmt::Write as _;
use std::io;
use std::io::IsTerminal as _;

use serde_json::Value;

/// Characters of a text in a table.
const CELL_MAX: usize = 60;

/// A column: its head, its member of a row, and how that is shown.
type Column = (&'static str, &'static str, Shown);

#[derive(Clone, Copy)]
enum Shown {
    Text,
    Number,
    /// Seconds.
    Age,
    /// Seconds of a Session Expiry Interval.
    Expiry,
    YesNo,
}

use Shown::{Age, Expiry, Number, Text, YesNo};

const CLIENTS: &[Column] = &[
    ("CLIENT", "clientid", Text),
    ("USER", "username", Text),
    ("ADDRESS", "address", Text),
    ("MQTT", "version", Text),
    ("FOR", "connectedFor", Age),
    ("SUBS", "subscriptions", Number),
    ("QUEUED", "queued", Number),
    ("INFLIGHT", "inflight", Number),
    ("RECEIVED", "messagesReceived", Number),
    ("SENT", "messagesSent", Number),
];
const SESSIONS: &[Column] = &[
    ("CLIENT", "clientid", Text),
    ("CONNECTED", "connected", YesNo),
    ("EXPIRY", "sessionExpiry", Expiry),
    ("LEFT", "expiresIn", Age),
    ("SUBS", "subscriptions", Number),
    ("QUEUED", "queued", Number),
    ("INFLIGHT", "inflight", Number),
    ("BYTES", "heldBytes", Number),
];
const SUBSCRIPTIONS: &[Column] = &[
    ("CLIENT", "clientid", Text),
    ("FILTER", "topic", Text),
    ("QOS", "qos", Number),
    ("ID", "subscriptionId", Number),
];
const RETAINED: &[Column] = &[
    ("TOPIC", "topic", Text),
    ("BYTES", "bytes", Number),
    ("QOS", "qos", Number),
    ("AGE", "age", Age),
    ("FROM", "clientid", Text),
];
const LISTENERS: &[Column] = &[
    ("PORT", "port", Number),
    ("ADDRESS", "bind-address", Text),
    ("PATH", "socket-path", Text),
    ("PROTOCOL", "protocol", Text),
    ("TLS", "tls", YesNo),
    ("CONNECTIONS", "connections", Number),
];
const PLUGINS: &[Column] = &[("NAME", "name", Text), ("VERSION", "version", Text)];

/// The rows of one command.
pub(crate) struct Table {
    key: &'static str,
    columns: &'static [Column],
    form: Form,
    is_begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    Tabs,
    Json,
}

impl Table {
    pub(crate) fn of(command: &str, json: bool) -> Self {
        let (key, columns) = match command {
            "listClients" => ("clients", CLIENTS),
            "listSessions" => ("sessions", SESSIONS),
            "listSubscriptions" => ("subscriptions", SUBSCRIPTIONS),
            "listRetained" => ("retained", RETAINED),
            "listListeners" => ("listeners", LISTENERS),
            _ => ("plugins", PLUGINS),
        };
        let form = match io::stdout().is_terminal() {
            _ if json => Form::Json,
            true => Form::Table,
            false => Form::Tabs,
        };
        Self {
            key,
            columns,
            form,
            is_begun: false,
        }
    }

    /// The member of the answer that has the rows.
    pub(crate) fn key(&self) -> &'static str {
        self.key
    }

    pub(crate) fn render(&mut self, rows: &[Value]) -> String {
        match self.form {
            Form::Json => rows.iter().map(|row| format!("{row}\n")).collect(),
            Form::Tabs => {
                let lines = rows.iter().map(|row| {
                    let cells = self.columns.iter().map(|column| cell(row, column, false));
                    cells.collect::<Vec<_>>().join("\t") + "\n"
                });
                lines.collect()
            }
            Form::Table => self.aligned(rows),
        }
    }

    fn aligned(&mut self, rows: &[Value]) -> String {
        let mut lines: Vec<Vec<String>> = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            let heads = self.columns.iter();
            lines.push(heads.map(|(head, ..)| (*head).to_owned()).collect());
        }
        lines.extend(rows.iter().map(|row| {
            let cells = self.columns.iter().map(|column| cell(row, column, true));
            cells.collect()
        }));
        let width = |at: usize| {
            let cells = lines.iter().map(|line| line[at].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        for line in &lines {
            let cells = line.iter().zip(&widths).zip(self.columns);
            let cells = cells.map(|((cell, width), (_, _, shown))| match shown {
                Text | YesNo => format!("{cell:<width$}"),
                Number | Age | Expiry => format!("{cell:>width$}"),
            });
            let text = cells.collect::<Vec<_>>().join("  ");
            let _ = writeln!(out, "{}", text.trim_end());
        }
        out
    }
}

fn cell(row: &Value, (_, key, shown): &Column, for_people: bool) -> String {
    let value = match row.get(key) {
        None if for_people => return "-".to_owned(),
        None => return String::new(),
        Some(value) => value,
    };
    let seconds = value.as_u64().unwrap_or(0);
    match shown {
        Text if for_people => cut(text(value)),
        Text => text(value),
        YesNo if value == &Value::Bool(true) => "yes".to_owned(),
        YesNo => "no".to_owned(),
        Age if for_people => age(seconds),
        Expiry if for_people && seconds == u64::from(u32::MAX) => "never".to_owned(),
        Expiry if for_people => age(seconds),
        Number | Age | Expiry => value.to_string(),
    }
}

fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// As much of a text as a column has room for.
fn cut(text: String) -> String {
    match text.char_indices().nth(CELL_MAX) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// The two largest units.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// All about one client, a line each.
pub(crate) fn client(row: &Value) -> String {
    let mut out = String::new();
    for (key, value) in row.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(_) => text(value),
            other => other.to_string(),
        };
        let _ = writeln!(out, "{:<18}{value}", format!("{key}:"));
    }
    out
}

/// Totals, then counters.
pub(crate) fn stats(data: &Value) -> String {
    let mut out = String::new();
    let members = data.as_object().into_iter().flatten();
    let counters = data["counters"].as_object().into_iter().flatten();
    let numbers = members.chain(counters).filter(|(_, value)| value.is_u64());
    for (name, value) in numbers {
        let _ = writeln!(out, "{name:<26}{value}");
    }
    out
}

/// mosquitto_ctrl's lists. `None`: it is no answer to that command.
pub(crate) fn as_mosquitto(command: &str, data: &Value) -> Option<String> {
    let mut out = String::new();
    if command == "listPlugins" {
        for plugin in data.get("plugins")?.as_array()? {
            let _ = writeln!(out, "Plugin:            {}", text(plugin.get("name")?));
            let _ = writeln!(out, "Version:           {}", text(&plugin["version"]));
            let endpoints = plugin.get("control-endpoints").and_then(Value::as_array);
            for (at, endpoint) in endpoints.into_iter().flatten().enumerate() {
                let head = if at == 0 { "Control endpoints:" } else { "" };
                let _ = writeln!(out, "{head:<19}{}", text(endpoint));
            }
            out.push('\n');
        }
        return Some(out);
    }
    for (at, listener) in data.get("listeners")?.as_array()?.iter().enumerate() {
        let _ = writeln!(out, "Listener {}:", at + 1);
        let _ = writeln!(out, "  Port:              {}", listener.get("port")?);
        let _ = writeln!(out, "  Protocol:          {}", text(&listener["protocol"]));
        if let Some(path) = listener.get("socket-path") {
            let _ = writeln!(out, "  Socket path:       {}", text(path));
        }
        if let Some(address) = listener.get("bind-address") {
            let _ = writeln!(out, "  Bind address:      {}", text(address));
        }
        let _ = writeln!(out, "  TLS:               {}\n", listener["tls"]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_rows_and_has_its_head_once() {
        let mut table = Table {
            key: "retained",
            columns: RETAINED,
            form: Form::Table,
            is_begun: false,
        };
        let rows = [
            json!({"topic": "a/long/topic", "bytes": 5, "qos": 1, "age": 90, "clientid": "x"}),
            json!({"topic": "b\u{1b}[2J", "bytes": 12345, "qos": 0, "age": 200_000}),
        ];
        let expected = "\
TOPIC         BYTES  QOS    AGE  FROM
a/long/topic      5    1  1m30s  x
b\\u{1b}[2J    12345    0  2d07h  -
";
        assert_eq!(table.render(&rows), expected);
        assert_eq!(table.render(&rows[..1]), "a/long/topic  5  1  1m30s  x\n");
    }

    #[test]
    fn ages_have_two_units() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 86_400].map(age);
        let expected = ["0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h"];
        assert_eq!(shown, expected);
    }
}
