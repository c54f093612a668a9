//! From what the settings say of persistence to [`Conf`].

use std::path::Path;
use std::path::PathBuf;

use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::value::SyncWord;
use crate::daemon::conf::{Conf, Durability, Persistence};

/// Puts it into `conf`. The store lies beside the mosquitto.db of the same name, which is taken
/// over once; `autosave_interval` and `autosave_on_changes` ask for less than there is.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    let globals = &settings.globals;
    if !*globals.persistence {
        return Ok(());
    }
    let location = globals
        .persistence_location
        .as_deref()
        .unwrap_or_else(|| Path::new(""));
    let name = globals.persistence_file.as_deref();
    let name = name.unwrap_or("mosquitto.db");
    let import: PathBuf = location.join(name);
    conf.persistence = Some(Persistence {
        folder: location.join(format!("{name}.mqttx")),
        import: Some(import),
        sync: match *globals.persistence_sync {
            SyncWord::Always => Durability::Always,
            SyncWord::Interval => Durability::Interval,
            SyncWord::Off => Durability::Off,
        },
    });
    Ok(())
}
