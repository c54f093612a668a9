//! From the bridges of the settings to [`Conf`].

use crate::daemon::conf::Conf;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::waiting::{Waiting, waiting};

/// Nothing connects them yet.
const WAITING: &[Waiting] = &[waiting("connection", &[])];

/// Puts them into `conf`.
pub(crate) fn apply(settings: &Settings, _: &mut Conf) -> Result<(), Fault> {
    Waiting::check(WAITING, settings)
}
