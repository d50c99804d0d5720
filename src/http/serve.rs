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
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long what is being answered may take once the listener stops.
const GRACE: Duration = Duration::from_millis(500);
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until `stop`, and then for half a second what is being answered.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    tls: Option<RustlsConfig>,
    stop: CancellationToken,
) {
    // Outside of the routes, which would not find the path otherwise.
    let routes = Router::new().fallback_service(routes).layer(middleware::from_fn(trim));
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::<SocketAddr>::new();
    let mut server =
        axum_server::Server::from_listener(listener).handle(handle.clone()).first_request_timeout(PATIENCE);
    server.http_builder().http1().header_read_timeout(PATIENCE);
    let serving = async {
        match tls {
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
                server.acceptor(acceptor).serve(service).await
            }
            None => server.acceptor(NoDelayAcceptor::new()).serve(service).await,
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
