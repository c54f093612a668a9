//! The pages and their files, from the program itself: nothing is read from a disk, so no path can
//! lead anywhere else.

use std::collections::HashMap;
use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::daemon::http::answer::Fault;
use crate::daemon::http::assets::{ASSETS, Asset};

/// What a page may do: nothing that is not its own. The client page alone may talk to any broker.
macro_rules! policy {
    ($connect:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; ",
            "connect-src ",
            $connect,
            "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    };
}
const POLICY: &str = policy!("'self'");
const CLIENT_POLICY: &str = policy!("'self' ws: wss:");

/// TABLE: what every answer says to browsers.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// TABLE: types by the ending of a name.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("json", "application/json"),
];

pub(super) async fn dashboard(headers: HeaderMap) -> Response {
    page("index.html", &headers)
}

pub(super) async fn client(headers: HeaderMap) -> Response {
    let mut response = page("client.html", &headers);
    let policy = HeaderValue::from_static(CLIENT_POLICY);
    let name = header::CONTENT_SECURITY_POLICY;
    response.headers_mut().insert(name, policy);
    response
}

pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    page(&name, &headers)
}

/// Adds to every answer what browsers are to be told.
pub(super) async fn dressed(request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(POLICY));
    response
}

fn page(name: &str, asked: &HeaderMap) -> Response {
    let Some((asset, tag)) = files().get(name) else {
        return Fault::not_found(format!("there is no file {name:?}")).into_response();
    };
    let known = asked.get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    let fresh = known.is_some_and(|known| known.split(", ").any(|one| one == tag));
    let mut response = match fresh {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Response::new(Body::from(asset.bytes)),
    };
    let headers = response.headers_mut();
    let ending = asset.name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let kind = HeaderValue::from_static(kind_of(ending));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The type of a file by its ending.
pub(super) fn kind_of(ending: &str) -> &'static str {
    let kind = TYPES.iter().find(|(own, _)| *own == ending);
    kind.map_or("application/octet-stream", |(_, kind)| *kind)
}

type Files = HashMap<&'static str, (&'static Asset, String)>;

/// The files by their names, each with its tag.
fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let tagged = |asset: &'static Asset| {
            let digest = Sha256::digest(asset.bytes);
            let hex: String = digest
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            (asset.name, (asset, format!("\"{hex}\"")))
        };
        ASSETS.iter().map(tagged).collect()
    })
}
