//! TABLE: the files of the pages, which are part of the program. A row names a file of `web/`; its
//! type follows from its ending.

/// A file.
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
}

macro_rules! asset {
    ($name:literal) => {
        Asset {
            name: $name,
            bytes: include_bytes!(concat!("web/", $name)),
        }
    };
}

/// See the module.
pub(super) const ASSETS: &[Asset] = &[
    asset!("api.js"),
    asset!("app.js"),
    asset!("base.css"),
    asset!("bridges.js"),
    asset!("chart.js"),
    asset!("client.css"),
    asset!("client.html"),
    asset!("client.js"),
    asset!("clientdetail.js"),
    asset!("clients.js"),
    asset!("curves.js"),
    asset!("dashboard.css"),
    asset!("desk.css"),
    asset!("desk.js"),
    asset!("details.js"),
    asset!("dom.js"),
    asset!("format.js"),
    asset!("icon.svg"),
    asset!("icons.js"),
    asset!("index.html"),
    asset!("inspect.js"),
    asset!("list.js"),
    asset!("live.js"),
    asset!("log.js"),
    asset!("messages.js"),
    asset!("mqtt.js"),
    asset!("overview.js"),
    asset!("pages.js"),
    asset!("payload.js"),
    asset!("publish.js"),
    asset!("reasons.js"),
    asset!("retained.js"),
    asset!("samples.js"),
    asset!("share.js"),
    asset!("theme.js"),
    asset!("topic.js"),
    asset!("topicdetail.js"),
    asset!("topics.js"),
    asset!("view.js"),
    asset!("wire.js"),
];
