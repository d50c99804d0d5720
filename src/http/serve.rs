//! How a listener is served: HTTP/1 and HTTP/2, plain or with TLS.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode, Uri, uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::door::{self, Door, Porter};

/// How long what is being answered may take once the listener stops.
const GRACE: Duration = Duration::from_millis(500);
/// The longest header, in bytes: with it goes what a connection holds in memory before it is understood.
const HEADER: usize = 64 * 1024;
/// Requests of a connection at once, with HTTP/2; no fewer than RFC 9113 section 6.5.2 recommends.
const STREAMS: u32 = 100;
/// How often an HTTP/2 connection is asked for a sign of life, and how long that may take: it has no header to wait for.
const ALIVE: Duration = Duration::from_secs(20);

/// Lets in by `door`, and serves until `stop`, and then for half a second what is being answered.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    tls: Option<RustlsConfig>,
    door: Door,
    stop: CancellationToken,
) {
    // Outside of the routes, which would not find the path otherwise.
    let routes = Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn(trim))
        .layer(middleware::from_fn(door::hear));
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::<SocketAddr>::new();
    let patience = door.patience();
    let (at_door, porter) = (door.clone(), Porter(door));
    let mut server = axum_server::Server::from_listener(listener)
        .handle(handle.clone())
        .first_request_timeout(patience)
        .accept_error_handler(move |_, error| {
            if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) {
                at_door.had_no_file();
            }
        });
    let http = server.http_builder();
    http.http1().header_read_timeout(patience).max_buf_size(HEADER);
    http.http2().max_concurrent_streams(STREAMS).keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE);
    let serving = async {
        match tls {
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls).handshake_timeout(patience).acceptor(porter);
                server.acceptor(acceptor).serve(service).await
            }
            None => server.acceptor(porter).serve(service).await,
        }
    };
    let stopping = async {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(GRACE));
        // Connections that stay open without a request keep nothing from ending.
        tokio::time::sleep(2 * GRACE).await;
    };
    tokio::select! {
        result = serving => if let Err(error) = result {
            tracing::error!(%error, "http listener failed");
        },
        () = stopping => {}
    }
}

/// A slash at the end of a path means nothing here. A page is asked for again without it, so that what it names
/// relative to itself is found.
async fn trim(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() || trimmed.len() == path.len() {
        return next.run(request).await;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let is_page = !["/whip/", "/whep/", "/api/"].iter().any(|api| path.starts_with(api));
    if is_page && [Method::GET, Method::HEAD].contains(request.method()) {
        let up = "../".repeat(path.len() - trimmed.len());
        let name = trimmed.rsplit('/').next().unwrap_or_default();
        // Relative, so that it holds behind a proxy that takes a prefix off.
        return match HeaderValue::try_from(format!("{up}{name}{query}")) {
            Ok(location) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response(),
            Err(_) => StatusCode::BAD_REQUEST.into_response(),
        };
    }
    let trimmed = format!("{trimmed}{query}");
    if let Ok(path_and_query) = trimmed.parse::<uri::PathAndQuery>() {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    next.run(request).await
}
