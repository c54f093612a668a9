//! Words of directives about who may do what.

use crate::broker::access::rules::SubscribeCheck;
use crate::daemon::conf::value::{Kind, Trouble, word};

/// When SUBSCRIBE is refused for the messages behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseSubscribe {
    /// Never.
    Never,
    /// When none of them could be delivered.
    Nothing,
    /// When some of them could not be.
    Partly,
}

impl RefuseSubscribe {
    /// For the rules.
    pub(crate) fn value(self) -> SubscribeCheck {
        match self {
            Self::Never => SubscribeCheck::Never,
            Self::Nothing => SubscribeCheck::Nothing,
            Self::Partly => SubscribeCheck::Partly,
        }
    }
}

impl Kind for RefuseSubscribe {
    type Value = Self;
    const FORM: &'static str = "never | nothing | partly";

    fn read(text: &str) -> Result<Self, Trouble> {
        match word(text) {
            "never" => Ok(Self::Never),
            "nothing" => Ok(Self::Nothing),
            "partly" => Ok(Self::Partly),
            _ => Err(Trouble::Invalid),
        }
    }

    fn show(value: &Self) -> String {
        match value {
            Self::Never => "never",
            Self::Nothing => "nothing",
            Self::Partly => "partly",
        }
        .to_owned()
    }
}
