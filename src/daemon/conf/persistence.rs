//! From what the settings say of persistence to [`Conf`].

use std::path::Path;
use std::path::PathBuf;

use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::security::{SQLITE, fault, option, stem};
use crate::daemon::conf::settings::{Plugin, Settings};
use crate::daemon::conf::value::SyncWord;
use crate::daemon::conf::{Conf, Durability, Persistence};

/// Bytes of a page of SQLite's.
const PAGE_SIZE: u32 = 4_096;
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// Puts it into `conf`. The store lies beside the mosquitto.db of the same name, which is taken
/// over once; `autosave_interval` and `autosave_on_changes` ask for less than there is.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    let globals = &settings.globals;
    let mut plugins = settings.plugins.iter();
    if let Some(plugin) = plugins.find(|plugin| stem(plugin).as_deref() == Some(SQLITE)) {
        if *globals.persistence {
            return Err(fault(
                plugin,
                "persistence true asks for another store: leave one of them out",
            ));
        }
        conf.persistence = Some(sqlite(settings, plugin)?);
        return Ok(());
    }
    if !*globals.persistence {
        return Ok(());
    }
    let location = location(settings);
    let name = globals.persistence_file.as_deref();
    let name = name.unwrap_or("mosquitto.db");
    let import: PathBuf = location.join(name);
    conf.persistence = Some(Persistence {
        folder: location.join(format!("{name}.mqttx")),
        sqlite: None,
        import: Some(import),
        sync: sync(settings),
    });
    Ok(())
}

fn location(settings: &Settings) -> &Path {
    let location = settings.globals.persistence_location.as_deref();
    location.unwrap_or_else(|| Path::new(""))
}

fn sync(settings: &Settings) -> Durability {
    match *settings.globals.persistence_sync {
        SyncWord::Always => Durability::Always,
        SyncWord::Interval => Durability::Interval,
        SyncWord::Off => Durability::Off,
    }
}

/// mosquitto's persist-sqlite. Each turn is written at once, so that there is no period of
/// flushing; `persistence_sync` holds where the plugin is not told what to sync.
fn sqlite(settings: &Settings, plugin: &Plugin) -> Result<Persistence, Fault> {
    if !cfg!(feature = "sqlite") {
        return Err(fault(
            plugin,
            "this build is without SQLite. Build mqttx with --features sqlite, or use \
             persistence true, which keeps the same in a store of its own",
        ));
    }
    let word = |name: &str| option(plugin, name).map(|path| path.to_string_lossy().into_owned());
    let sync = match word("sync").as_deref() {
        None => sync(settings),
        Some("extra" | "full") => Durability::Always,
        Some("normal") => Durability::Interval,
        Some("off") => Durability::Off,
        Some(_) => {
            let what = "plugin_opt_sync is to be extra, full, normal or off";
            return Err(fault(plugin, what));
        }
    };
    let period = word("flush_period").unwrap_or_default();
    if !period.is_empty() && period.parse::<u32>().is_err() {
        let what = "plugin_opt_flush_period is to be a number of seconds";
        return Err(fault(plugin, what));
    }
    let page_size = word("page_size").map_or(Some(PAGE_SIZE), |word| word.parse().ok());
    let valid = |size: &u32| size.is_power_of_two() && PAGE_SIZES.contains(size);
    let Some(page_size) = page_size.filter(valid) else {
        let what = "plugin_opt_page_size is to be a power of two from 512 to 65536";
        return Err(fault(plugin, what));
    };
    let file = option(plugin, "db_file");
    Ok(Persistence {
        folder: file.unwrap_or_else(|| location(settings).join("mosquitto.sqlite3")),
        sqlite: Some(page_size),
        import: None,
        sync,
    })
}
