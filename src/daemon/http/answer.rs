//! Answers: JSON, or a fault with its status, both the same in every place.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What a handler gives.
pub(super) type Answer = Result<Json, Fault>;

/// A JSON body.
pub(super) struct Json(pub(super) Value);

/// Why a request is not answered as it wishes.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    kind: Kind,
    message: String,
}

macro_rules! kinds {
    ($($(#[doc = $what:literal])+ $name:ident: $status:ident, $code:literal;)+) => {
        /// TABLE: the faults, each with its status and the word programs look at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($(#[doc = $what])+ $name,)+ }

        impl Kind {
            fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

kinds! {
    /// Something in the request is not as the document has it.
    BadRequest: BAD_REQUEST, "bad_request";
    /// Nobody is named, or somebody with a wrong password.
    LoginWanted: UNAUTHORIZED, "login_wanted";
    /// The user may not do that.
    Forbidden: FORBIDDEN, "forbidden";
    /// A page of another site asks.
    CrossSite: FORBIDDEN, "cross_site";
    /// The name of another machine, which leads here.
    WrongHost: FORBIDDEN, "wrong_host";
    /// There is no such thing.
    NotFound: NOT_FOUND, "not_found";
    /// There is, and it does not do that.
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method_not_allowed";
    /// The body did not come.
    Timeout: REQUEST_TIMEOUT, "timeout";
    /// The body is too large.
    TooLarge: PAYLOAD_TOO_LARGE, "too_large";
    /// The body is no JSON.
    WrongType: UNSUPPORTED_MEDIA_TYPE, "wrong_type";
    /// The broker says no.
    Refused: UNPROCESSABLE_ENTITY, "refused";
    /// As many of these as there may be.
    TooMany: TOO_MANY_REQUESTS, "too_many";
    /// `/mqtt` without the words of a WebSocket.
    UpgradeWanted: UPGRADE_REQUIRED, "upgrade_wanted";
    /// A worker did not answer.
    Busy: SERVICE_UNAVAILABLE, "busy";
}

impl Fault {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(super) fn busy() -> Self {
        Self::new(Kind::Busy, "the broker is busy or stopping")
    }

    pub(super) fn is_about_login(&self) -> bool {
        self.kind == Kind::LoginWanted
    }

    /// There is too much to do at present.
    pub(super) fn is_about_haste(&self) -> bool {
        self.kind == Kind::Busy
    }

    pub(super) fn is_about_size(&self) -> bool {
        self.kind == Kind::TooLarge
    }

    /// The answer to somebody whose browser is to ask for a name and a password; not when a page
    /// asks itself.
    pub(super) fn with_challenge(self, by_page: bool) -> Response {
        let mut response = self.into_response();
        if !by_page {
            let basic = HeaderValue::from_static("Basic realm=\"mqttx\", charset=\"UTF-8\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.kind.code(), "message": self.message } });
        (self.kind.status(), Json(body)).into_response()
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let mut text = self.0.to_string();
        text.push('\n');
        json_text(text)
    }
}

/// An answer that was written already.
pub(super) fn json_text(text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
