//! Directives that are understood and that nothing here can do yet: saying so is better than
//! serving without them. Each area keeps the list of its own.

use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::value::word;

/// See the module.
pub(crate) struct Waiting {
    name: &'static str,
    /// Values that ask for nothing.
    harmless: &'static [&'static str],
}

pub(crate) const fn waiting(name: &'static str, harmless: &'static [&'static str]) -> Waiting {
    Waiting { name, harmless }
}

impl Waiting {
    /// The first line that asks for one of `list` is an error.
    pub(crate) fn check(list: &[Self], settings: &Settings) -> Result<(), Fault> {
        for line in &settings.lines {
            let asks = |one: &&Self| {
                let same = one.name == line.name;
                same && !one.harmless.contains(&word(&line.value))
            };
            if let Some(one) = list.iter().find(asks) {
                return Err(Fault {
                    sentence: format!("Error: The '{}' option is not supported yet.", one.name),
                    found_at: vec![line.at.clone()],
                });
            }
        }
        Ok(())
    }
}
