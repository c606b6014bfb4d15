//! One HTTP/1.1 GET per connection, without proxy, certificate checks or keep-alive (upstream `pkg/probe/http`).

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, LOCATION};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::InvalidMessage;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dial::connect;
use super::unverified::Unverified;
use crate::adapters::names::Names;
use crate::core::model::{HttpAnswer, HttpGet};
use crate::ports::node::CheckError;

const MAX_BODY: usize = 10 << 10;
const MAX_REDIRECTS: usize = 10;

/// Sends the request and follows redirects to the same host.
pub(super) async fn get_following(get: &HttpGet, tls: &Unverified, names: &Names) -> Result<HttpAnswer, CheckError> {
    let mut current = get.clone();
    for _ in 0..MAX_REDIRECTS {
        let response = get_once(&current, tls, names).await?;
        let next = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
            .then(|| response.headers().get(LOCATION)?.to_str().ok())
            .flatten()
            .and_then(|location| current.redirected(location));
        match next {
            Some(next) => current = next,
            None => return read(response).await.map_err(|text| failed(&current, &text)),
        }
    }
    Err(failed(&current, "stopped after 10 redirects"))
}

fn failed(get: &HttpGet, text: &str) -> CheckError {
    CheckError::Failed(format!("Get \"{}\": {text}", get.url()))
}

async fn get_once(get: &HttpGet, tls: &Unverified, names: &Names) -> Result<Response<Incoming>, CheckError> {
    let request = build(get).map_err(|error| failed(get, &error.to_string()))?;
    let stream = connect(names, &get.host, get.port, None).await.map_err(|text| failed(get, &text))?;
    if !get.tls {
        return send(request, stream).await.map_err(|error| failed(get, &error.to_string()));
    }
    match tls.connect(&get.host, stream).await {
        Ok(stream) => send(request, stream).await.map_err(|error| failed(get, &error.to_string())),
        Err(error) if speaks_plain(&error) => Err(CheckError::HttpInsteadOfTls(format!("Get \"{}\"", get.url()))),
        Err(error) => Err(failed(get, &error.to_string())),
    }
}

pub(crate) fn build(get: &HttpGet) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let host = get.host_header.clone().unwrap_or_else(|| get.authority());
    let mut request = Request::get(&get.target).header(HOST, host).header(CONNECTION, "close");
    for (name, value) in &get.headers {
        request = request.header(name, value);
    }
    request.body(Empty::new())
}

pub(crate) async fn send<S>(request: Request<Empty<Bytes>>, stream: S) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(64 << 10)
        .handshake(TokioIo::new(stream))
        .await?;
    // Completes when the response body has been read or dropped.
    tokio::spawn(async move { connection.await.ok() });
    sender.send_request(request).await
}

pub(crate) async fn read(response: Response<Incoming>) -> Result<HttpAnswer, String> {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Some(data) = frame.data_ref() {
            bytes.extend(data.iter().take(MAX_BODY.saturating_sub(bytes.len())));
        }
        if bytes.len() == MAX_BODY {
            break;
        }
    }
    Ok(HttpAnswer { status, body: String::from_utf8_lossy(&bytes).into_owned() })
}

/// True if the handshake failed because the first bytes were not a TLS record.
fn speaks_plain(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}
