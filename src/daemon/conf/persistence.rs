//! From what the settings say of persistence to [`Conf`].

use crate::daemon::conf::Conf;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::waiting::{Waiting, waiting};

/// What has no store yet. Where it lies and when it is saved asks for nothing without one.
const WAITING: &[Waiting] = &[waiting("persistence", &["false", "0"])];

/// Puts it into `conf`.
pub(crate) fn apply(settings: &Settings, _: &mut Conf) -> Result<(), Fault> {
    Waiting::check(WAITING, settings)
}
