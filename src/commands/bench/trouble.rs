//! Why a bench ended before its end: a sentence, what helps, and the exit status it leaves.

use std::io::{Error, ErrorKind};

use crate::cli::error::without_number;
use crate::cli::{Caller, Manner, Program};
use crate::client::End;
use crate::commands::bench::load::Outcome;
use crate::commands::bench::load::board::What;
use crate::commands::bench::report::{Target, Trouble};
use crate::commands::{outcome, terminal};
use crate::mqtt::Reason;

/// How bench speaks to the modules it shares with pub and sub.
pub(super) const CALLER: Caller = Caller {
    program: Program::Publish,
    manner: Manner::Mqttx,
};

/// A mistake in the words, or anything else with status 1.
pub(super) fn plain(sentence: impl Into<String>) -> Trouble {
    Trouble {
        sentence: sentence.into(),
        hint: None,
        status: 1,
    }
}

/// A run that did not even begin: what was asked for cannot be made, or there are no threads.
pub(super) fn unstarted(error: &Error) -> Trouble {
    match error.kind() {
        ErrorKind::Other => plain(error.to_string()),
        _ => plain(format!("cannot start threads: {error}")),
    }
}

/// One line on standard error, and a second where help is known.
pub(super) fn tell(trouble: &Trouble) {
    let mut text = format!("mqttx bench: {}\n", without_number(&trouble.sentence));
    if let Some(hint) = &trouble.hint {
        text.push_str(&format!("  try: {hint}\n"));
    }
    terminal::print_err(&text);
}

/// What broke this run off, if anything did.
pub(super) fn trouble(outcome: &Outcome, target: &Target) -> Option<Trouble> {
    let place = format!("{}:{}", target.host, target.port);
    if let Some((missing, due)) = outcome.deaf {
        return Some(Trouble {
            sentence: format!(
                "{place} does not deliver: of {due} first messages {missing} never came"
            ),
            hint: None,
            status: 81,
        });
    }
    let first = outcome.failures.first.first()?;
    let more = match outcome.failures.count {
        1 => String::new(),
        2 => " (and 1 more client)".to_owned(),
        count => format!(" (and {} more clients)", count - 1),
    };
    Some(match &first.what {
        What::Ended(end) => ended(end, &first.client, &place, &more),
        What::Unsubscribed(reason) => Trouble {
            sentence: format!(
                "{place} refused a subscription: {} ({reason}){more}",
                Reason(*reason).name().to_lowercase()
            ),
            hint: None,
            status: (*reason).max(128),
        },
        // What is everybody's trouble has no name.
        What::Unsendable(what) if ["thread", "all"].contains(&&*first.client) => {
            plain(what.clone())
        }
        What::Unsendable(what) => plain(format!("{}: {what}{more}", first.client)),
    })
}

fn ended(end: &End, client: &str, place: &str, more: &str) -> Trouble {
    match outcome::error(CALLER, end, place) {
        Some(error) => Trouble {
            sentence: format!("{}{more}", error.message.trim_end_matches('.')),
            status: error.kind.exit_status(),
            hint: error.hint.or_else(|| version_hint(end)),
        },
        None => plain(format!("{client} left before the end{more}")),
    }
}

/// A broker that knows no MQTT 5 says so in its own words, or in version 3's.
fn version_hint(end: &End) -> Option<String> {
    let old = [Reason::UNSUPPORTED_PROTOCOL_VERSION, Reason(1)];
    match end {
        End::Refused { reason, .. } if old.contains(reason) => Some("-V 311".to_owned()),
        _ => None,
    }
}
