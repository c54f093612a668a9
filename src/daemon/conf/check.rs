//! What must hold between the lines of a configuration, once all of them are read.

use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::{Bridge, Listener, Settings};

/// The first contradiction is the error.
pub(crate) fn check(settings: &Settings) -> Result<(), Fault> {
    for bridge in &settings.bridges {
        check_bridge(bridge)?;
    }
    settings.listeners.iter().try_for_each(check_listener)
}

fn check_bridge(bridge: &Bridge) -> Result<(), Fault> {
    let options = &bridge.options;
    let missing = |what: &str| {
        Err(Fault::new(format!(
            "Error: Invalid bridge configuration: {what}."
        )))
    };
    if options.address.is_empty() {
        return missing("no remote addresses defined");
    }
    if options.topic.is_empty() {
        return missing("no topics defined");
    }
    match (
        options.bridge_psk.is_some(),
        options.bridge_identity.is_some(),
    ) {
        (true, false) => return missing("missing bridge_identity"),
        (false, true) => return missing("missing bridge_psk"),
        _ => {}
    }
    let certificates = [
        &options.bridge_cafile,
        &options.bridge_capath,
        &options.bridge_certfile,
        &options.bridge_keyfile,
    ];
    if options.bridge_psk.is_some() && certificates.iter().any(|file| file.is_given()) {
        return Err(Fault::new(
            "Error: Cannot use both certificate and psk encryption in a single bridge.",
        ));
    }
    Ok(())
}

fn check_listener(listener: &Listener) -> Result<(), Fault> {
    let options = &listener.options;
    let certfile = options.certfile.is_some();
    let fault = |sentence: &str| Err(Fault::new(sentence));
    if options.enable_proxy_protocol.is_some() {
        if *options.use_subject_as_username {
            return fault(
                "Error: use_subject_as_username cannot be used with `enable_proxy_protocol 2`.",
            );
        }
        if certfile || options.keyfile.is_some() {
            return fault(
                "Error: certfile and keyfile cannot be used with `enable_proxy_protocol 2`.",
            );
        }
    }
    if certfile != options.keyfile.is_some() {
        return fault(
            "Error: Both certfile and keyfile must be provided to enable a TLS listener.",
        );
    }
    if options.cafile.is_some() && !certfile {
        return fault("Error: cafile specified without certfile and keyfile.");
    }
    if options.capath.is_some() && !certfile {
        return fault("Error: capath specified without certfile and keyfile.");
    }
    Ok(())
}
