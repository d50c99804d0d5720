//! The pages for people, and `/headwater.js` for other people's pages, embedded in the program.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;
use super::problem::Problem;

/// Scripts, styles and pictures come from this node alone; media and signalling may go to others.
const POLICY: &str = "default-src 'self'; media-src 'self' blob: mediastream:; \
    img-src 'self' data:; connect-src 'self' http: https: ws: wss:; base-uri 'none'; frame-ancestors";

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("pages/", $name)))),*]
    };
}

/// mediasoup-client as one module, which the build script puts there; the page of a conference alone loads it.
const CONFERENCE_CLIENT: &[(&str, &str)] =
    &[("mediasoup-client.js", include_str!(concat!(env!("OUT_DIR"), "/mediasoup-client.js")))];

const PAGES: &[(&str, &str)] =
    files!["embed.html", "headwater.js", "index.html", "publish.html", "room.html", "watch.html"];
const ASSETS: &[(&str, &str)] = files![
    "app.css",
    "arrange.js",
    "call.js",
    "cast.js",
    "contours.svg",
    "data-publication.js",
    "data-subscriptions.js",
    "doubt.js",
    "drawer.js",
    "element.js",
    "embed.js",
    "encodings.js",
    "favicon.svg",
    "format.js",
    "generated.js",
    "home.js",
    "icons.svg",
    "inputs.js",
    "keep.js",
    "layers.js",
    "level.js",
    "live.js",
    "lobby.js",
    "node.js",
    "notes.js",
    "people.js",
    "picture-worker.js",
    "picture.js",
    "place.js",
    "player.js",
    "problem.js",
    "publication.js",
    "publications.js",
    "publish.js",
    "publisher.js",
    "quality.js",
    "reception.js",
    "room-chat.js",
    "room-media.js",
    "room-page.js",
    "room-quality.js",
    "room-session.js",
    "room-socket.js",
    "room-traffic.js",
    "room-ways.js",
    "room.css",
    "room.js",
    "sdp.js",
    "session.js",
    "skin.js",
    "source.js",
    "sparkline.js",
    "speakers.js",
    "stats.js",
    "subscriptions.js",
    "theme.css",
    "tile.js",
    "tiles.js",
    "toasts.js",
    "ui.js",
    "watch.js",
    "whep.js",
    "whip.js",
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(async |asked: HeaderMap| file(PAGES, "index.html", &asked)))
        .route("/publish", get(async |asked: HeaderMap| file(PAGES, "publish.html", &asked)))
        .route("/embed", get(async |asked: HeaderMap| file(PAGES, "embed.html", &asked)))
        .route("/room", get(async |asked: HeaderMap| file(PAGES, "room.html", &asked)))
        .route("/watch", get(watch))
        .route("/headwater.js", get(async |asked: HeaderMap| open(PAGES, "headwater.js", &asked)))
        .route(
            "/assets/mediasoup-client.js",
            get(async |asked: HeaderMap| open(CONFERENCE_CLIENT, "mediasoup-client.js", &asked)),
        )
        .route("/assets/{file}", get(asset))
}

/// The watch page, which alone may stand in others' pages, where the configuration says so.
async fn watch(State(app): State<App>, asked: HeaderMap) -> Result<Response, Problem> {
    let mut response = file(PAGES, "watch.html", &asked)?;
    let ancestors = &app.ctx.config.http.frame_ancestors;
    if !ancestors.is_empty() {
        set_policy(&mut response, &ancestors.join(" "));
    }
    Ok(response)
}

async fn asset(Path(name): Path<String>, asked: HeaderMap) -> Result<Response, Problem> {
    open(ASSETS, &name, &asked)
}

/// A file that every page on the web may load: `/headwater.js` is nothing without its modules.
fn open(files: &[(&str, &'static str)], name: &str, asked: &HeaderMap) -> Result<Response, Problem> {
    let mut response = file(files, name, asked)?;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    Ok(response)
}

/// The file of that name, as a browser takes it; only that it has it already, where it does.
pub(crate) fn file(
    files: &[(&str, &'static str)],
    name: &str,
    asked: &HeaderMap,
) -> Result<Response, Problem> {
    let (name, text) = files
        .iter()
        .find(|(own, _)| *own == name)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address"))?;
    let tag = tag(text);
    let mut response = if has(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (StatusCode::OK, *text).into_response()
    };
    let content_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    set_policy(&mut response, "'none'");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The files change with the program: a browser keeps them, but asks each time whether they are those still.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Names the pages that a page may stand in.
fn set_policy(response: &mut Response, ancestors: &str) {
    if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY} {ancestors}")) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// The same for the same text on every node. Weak, as a proxy may compress it (RFC 9110 section 8.8.1).
fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("W/\"{:016x}\"", hasher.finish())
}

/// Whether whoever asks has this already (RFC 9110 section 13.1.2).
fn has(asked: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}
