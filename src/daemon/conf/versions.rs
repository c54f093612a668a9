//! The value of `accept_protocol_versions`: which versions of MQTT a listener speaks.

use crate::daemon::conf::value::{Kind, Trouble};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// 3.1
    pub v31: bool,
    /// 3.1.1
    pub v311: bool,
    /// 5.0
    pub v5: bool,
}

impl Versions {
    /// All of them.
    pub const ALL: Self = Self {
        v31: true,
        v311: true,
        v5: true,
    };
}

impl Kind for Versions {
    type Value = Self;
    const FORM: &'static str = "VERSION[, VERSION …]";

    fn read(text: &str) -> Result<Self, Trouble> {
        let mut versions = Self {
            v31: false,
            v311: false,
            v5: false,
        };
        for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
            match word {
                "3" => versions.v31 = true,
                "4" => versions.v311 = true,
                "5" => versions.v5 = true,
                _ => return Err(Trouble::Invalid),
            }
        }
        match versions.v31 || versions.v311 || versions.v5 {
            true => Ok(versions),
            false => Err(Trouble::Said(
                "Error: Empty 'accept_protocol_versions' value in configuration.".to_owned(),
            )),
        }
    }

    fn show(value: &Self) -> String {
        let all = [(value.v31, "3"), (value.v311, "4"), (value.v5, "5")];
        let spoken = all.iter().filter(|(spoken, _)| *spoken);
        spoken.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
    }
}
