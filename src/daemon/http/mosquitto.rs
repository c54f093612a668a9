//! What mosquitto 2.1 answers on a listener of `protocol http_api`, for programs that know it: three
//! questions, and the files of a folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::daemon::conf::Place;
use crate::daemon::http::Service;
use crate::daemon::http::answer::Fault;
use crate::daemon::http::app::App;
use crate::daemon::http::listeners::{self, Known};
use crate::daemon::http::pages;
use crate::daemon::http::sample::Sample;
use crate::daemon::http::serve::Arrival;
use crate::daemon::sys;
use crate::mqtt::MOSQUITTO_RELEASE;

/// Bytes of a file that is sent.
const FILE_SIZE_MAX: u64 = 16_777_216;

/// Names of before 2.0, which are told below `$SYS` only.
const OLD_NAMES: [&str; 3] = ["clients/active", "clients/inactive", "store/messages/count"];

/// Answers everything there is on such a listener.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    request: Request<Body>,
) -> Response {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "Invalid HTTP Method\n");
    }
    let path = request.uri().path();
    let may = app.logins.may_read(request.headers(), &arrival, path).await;
    if !may.unwrap_or(false) {
        let mut response = plain(StatusCode::UNAUTHORIZED, "Not authorised\n");
        let basic = HeaderValue::from_static("Basic realm=\"Mosquitto API\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, basic);
        return response;
    }
    let Some(question) = path.strip_prefix("/api/") else {
        return file(&arrival, path);
    };
    let answered = match question {
        "v1/version" => Ok(MOSQUITTO_RELEASE.to_owned()),
        "v1/listeners" => listeners(&app).await,
        "v1/systree" => systree(&app).await,
        _ => return not_found(),
    };
    match answered {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            let everybody = HeaderValue::from_static("*");
            let name = header::ACCESS_CONTROL_ALLOW_ORIGIN;
            response.headers_mut().insert(name, everybody);
            response
        }
        Err(fault) => fault.into_response(),
    }
}

async fn listeners(app: &App) -> Result<String, Fault> {
    let known = listeners::known(app).await?;
    let row = |known: &Known| {
        let mut row = Map::new();
        match &known.place {
            Place::Unix(path) => row.insert("path".to_owned(), json!(path.display().to_string())),
            Place::Tcp(address) => row.insert("port".to_owned(), json!(address.port())),
        };
        let protocol = match known.protocol {
            "mqtt" | "mqtts" => "mqtt",
            "ws" | "wss" => "websockets",
            _ => "httpapi",
        };
        row.insert("protocol".to_owned(), json!(protocol));
        row.insert("tls".to_owned(), json!(known.tls));
        row.insert("mtls".to_owned(), json!(known.certificate_wanted));
        let anonymous = known.listener.rules.anonymous;
        let anonymous = anonymous.unwrap_or(app.asked().anonymous);
        row.insert("allow_anonymous".to_owned(), json!(anonymous));
        Value::Object(row)
    };
    let rows: Vec<Value> = known.iter().map(row).collect();
    Ok(json!({ "listeners": rows }).to_string())
}

async fn systree(app: &App) -> Result<String, Fault> {
    let sample = Sample::take(app).await?;
    let mut all = Map::new();
    let figures = sys::figures(&sample.snapshot).into_iter();
    let told = |(topic, _): &(&str, u64)| !OLD_NAMES.contains(topic);
    for (topic, number) in figures.filter(told).chain(sys::heap()) {
        all.insert(format!("$SYS/broker/{topic}"), json!(number));
    }
    let uptime = sample.uptime_s as u64;
    all.insert("$SYS/broker/uptime".to_owned(), json!(uptime));
    Ok(Value::Object(all).to_string())
}

/// A file of the folder, and of nowhere else, whatever the path says and wherever links lead.
fn file(arrival: &Arrival, path: &str) -> Response {
    let Service::Mosquitto(Some(folder)) = &arrival.door.service else {
        return not_found();
    };
    match read(folder, path) {
        Ok((name, bytes)) => {
            let mut response = Response::new(Body::from(bytes));
            let kind = HeaderValue::from_static(kind_of(&name));
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(_) => not_found(),
    }
}

fn read(folder: &Path, path: &str) -> io::Result<(PathBuf, Vec<u8>)> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    let decoded = decoded.map_err(io::Error::other)?;
    let mut below = folder.join(decoded.trim_start_matches('/'));
    if decoded.ends_with('/') {
        below.push("index.html");
    }
    let (folder, found) = (folder.canonicalize()?, below.canonicalize()?);
    let about = found.metadata()?;
    if !found.starts_with(&folder) || !about.is_file() || about.len() > FILE_SIZE_MAX {
        return Err(io::ErrorKind::NotFound.into());
    }
    let bytes = std::fs::read(&found)?;
    Ok((found, bytes))
}

fn kind_of(name: &Path) -> &'static str {
    let ending = name.extension().and_then(|ending| ending.to_str());
    pages::kind_of(ending.unwrap_or_default())
}

fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "Not found.\n")
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}
