//! Web servers that are not ours: another site's pages, a foreign WHIP and WHEP server, a proxy.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fleet::http;

/// A web server on a port, and so an origin, of its own.
#[derive(Debug)]
pub(crate) struct Site {
    url: String,
    _server: JoinSet<()>,
}

impl Site {
    pub(crate) async fn serve(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        Self { url, _server: server }
    }

    /// A site of one page.
    pub(crate) async fn page(html: String) -> Self {
        Self::serve(Router::new().route("/", get(async move || Html(html)))).await
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// A server of WHIP and WHEP that is as plain as the standards let it be, in front of a node: it knows no
/// counter-offer, no trickle, no ETag and no Link, says where a session is by a relative Location, and its CORS
/// lets pages send nothing beyond the least.
#[derive(Debug)]
pub(crate) struct Plain {
    site: Site,
    asked: watch::Receiver<Vec<String>>,
}

#[derive(Debug, Clone)]
struct Behind {
    node: String,
    asked: Arc<watch::Sender<Vec<String>>>,
}

impl Plain {
    pub(crate) async fn before(node: String) -> Self {
        let (sender, asked) = watch::channel(Vec::new());
        let behind = Behind { node, asked: Arc::new(sender) };
        let routes = Router::new()
            .route("/{kind}/{room}", post(offer).options(allow).delete(end).patch(refuse))
            .with_state(behind);
        Self { site: Site::serve(routes).await, asked }
    }

    pub(crate) fn url(&self) -> &str {
        self.site.url()
    }

    /// The methods of the requests that it got, pre-flights left out.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

const ANY: (header::HeaderName, &str) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");

async fn allow() -> Response {
    let headers = [
        ANY,
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, PATCH, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn offer(
    State(behind): State<Behind>,
    Path((kind, room)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    behind.asked.send_modify(|asked| asked.push(format!("POST {kind}")));
    assert!(!headers.contains_key("prefer"), "its CORS does not allow it");
    let url = format!("{}/{kind}/{room}", behind.node);
    let request = http().post(url).header(header::CONTENT_TYPE, "application/sdp").body(body);
    let answer = request.send().await.expect("the node answers");
    if answer.status() == StatusCode::CONFLICT {
        // What isn't live is unknown to many servers.
        return (StatusCode::NOT_FOUND, [ANY]).into_response();
    }
    if answer.status() != StatusCode::CREATED {
        return (answer.status(), [ANY]).into_response();
    }
    let location = answer.headers()[header::LOCATION].to_str().expect("text").to_owned();
    // Relative to the endpoint, and no path of the node's.
    let id = format!("{room}?of={}", location.split_once("/main/").expect("an id").1);
    let headers = [
        ANY,
        (header::CONTENT_TYPE, "application/sdp"),
        (header::LOCATION, id.as_str()),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "location"),
    ];
    (StatusCode::CREATED, headers, answer.text().await.expect("a description")).into_response()
}

async fn refuse(State(behind): State<Behind>, Path((kind, _)): Path<(String, String)>) -> Response {
    behind.asked.send_modify(|asked| asked.push(format!("PATCH {kind}")));
    (StatusCode::METHOD_NOT_ALLOWED, [ANY]).into_response()
}

async fn end(State(behind): State<Behind>, Path((kind, room)): Path<(String, String)>, uri: Uri) -> Response {
    let session = uri.query().and_then(|query| query.strip_prefix("of=")).expect("the session").to_owned();
    let url = format!("{}/{kind}/{room}/main/{session}", behind.node);
    let status = http().delete(url).send().await.expect("the node answers").status();
    behind.asked.send_modify(|asked| asked.push(format!("DELETE {kind}")));
    (status, [ANY]).into_response()
}

/// A proxy that shows a node below a path of its own. `edit` may change what the status says.
pub(crate) async fn proxied(node: String, prefix: &'static str, edit: fn(&mut Value)) -> Site {
    let forward = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let node = node.clone();
        async move { forward(&node, prefix, edit, method, &uri, headers, body).await }
    };
    Site::serve(Router::new().fallback(any(forward))).await
}

async fn forward(
    node: &str,
    prefix: &str,
    edit: fn(&mut Value),
    method: Method,
    uri: &Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path_and_query().expect("a path").as_str();
    let url = format!("{node}{}", path.strip_prefix(prefix).expect("below the prefix"));
    let mut request = http().request(method, url).header("x-forwarded-prefix", prefix).body(body);
    for name in [header::CONTENT_TYPE, header::IF_MATCH, header::AUTHORIZATION, header::HOST] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.expect("the node answers");
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    let mut body = answer.bytes().await.expect("a body");
    if path.contains("/api/status/") {
        let mut said = serde_json::from_slice(&body).expect("JSON");
        edit(&mut said);
        body = serde_json::to_vec(&said).expect("JSON").into();
    }
    (status, headers, Body::from(body)).into_response()
}

/// A load balancer before nodes that are reached by one name: POSTs go to the first, and what is then asked of the
/// sessions to the others in turn.
pub(crate) async fn balanced(nodes: Vec<String>) -> Site {
    let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let pass = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let others = nodes.len() - 1;
        let node = match method {
            Method::POST => 0,
            _ => 1 + turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % others,
        };
        let node = nodes[node].clone();
        async move { forward(&node, "", |_| {}, method, &uri, headers, body).await }
    };
    Site::serve(Router::new().fallback(any(pass))).await
}
