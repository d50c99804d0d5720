//! The pages for people, embedded in the program.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;
use super::problem::Problem;

/// Scripts, styles and pictures come from this node alone; media and signalling may go to others.
const POLICY: &str = "default-src 'self'; media-src 'self' blob: mediastream:; \
    img-src 'self' data:; connect-src 'self' http: https:; frame-ancestors 'none'; base-uri 'none'";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("pages/", $name)))),*]
    };
}

const PAGES: &[(&str, &str)] = files!["index.html", "publish.html", "watch.html"];
const ASSETS: &[(&str, &str)] = files![
    "app.css",
    "contours.svg",
    "encodings.js",
    "favicon.svg",
    "format.js",
    "generated.js",
    "home.js",
    "icons.svg",
    "keep.js",
    "layers.js",
    "node.js",
    "picture-worker.js",
    "picture.js",
    "place.js",
    "player.js",
    "problem.js",
    "publish.js",
    "quality.js",
    "sdp.js",
    "session.js",
    "source.js",
    "sparkline.js",
    "stats.js",
    "theme.css",
    "ui.js",
    "watch.js",
    "whep.js",
    "whip.js",
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(|| page("index.html")))
        .route("/publish", get(|| page("publish.html")))
        .route("/watch", get(|| page("watch.html")))
        .route("/assets/{file}", get(asset))
}

async fn page(name: &'static str) -> Result<Response, Problem> {
    file(PAGES, name)
}

async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    file(ASSETS, &name)
}

/// The file of that name, as a browser takes it.
pub(crate) fn file(files: &[(&str, &'static str)], name: &str) -> Result<Response, Problem> {
    find(files, name).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address"))
}

fn find(files: &[(&str, &'static str)], name: &str) -> Option<Response> {
    let (name, text) = files.iter().find(|(own, _)| *own == name)?;
    let content_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let mut response = (StatusCode::OK, *text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The files change with the program: a browser asks again, so that pages and scripts fit.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}
