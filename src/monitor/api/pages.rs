//! The page, embedded in the program.

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::get;

use super::Api;
use crate::http::file;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../pages/", $name)))),*]
    };
}

const PAGE: &[(&str, &str)] = files!["monitor.html"];
const ASSETS: &[(&str, &str)] = files![
    "ages.js",
    "api.js",
    "dom.js",
    "feed.js",
    "fleet.css",
    "fleet.js",
    "format.js",
    "items.js",
    "kinds.js",
    "layout.js",
    "links.js",
    "log.js",
    "moment.js",
    "monitor.css",
    "monitor.js",
    "nodecard.js",
    "place.js",
    "problems.js",
    "refresh.js",
    "room.js",
    "rooms.css",
    "rooms.js",
    "search.js",
    "tile.js",
    "timeline.css",
    "timeline.js",
    "tree.css",
    "tree.js",
    "treenode.js",
];

/// The same for all of Headwater.
const SHARED: &[(&str, &str)] = &[
    ("favicon.svg", include_str!("../../http/pages/favicon.svg")),
    ("theme.css", include_str!("../../http/pages/theme.css")),
];

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(async |asked: HeaderMap| file(PAGE, "monitor.html", &asked)))
        .route("/assets/favicon.svg", get(async |asked: HeaderMap| file(SHARED, "favicon.svg", &asked)))
        .route("/assets/theme.css", get(async |asked: HeaderMap| file(SHARED, "theme.css", &asked)))
        .route(
            "/assets/{file}",
            get(async |Path(name): Path<String>, asked: HeaderMap| file(ASSETS, &name, &asked)),
        )
}
