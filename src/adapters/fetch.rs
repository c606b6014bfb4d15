//! Fetches documents over HTTP and HTTPS: static pods by URL.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, LOCATION};
use hyper::http::uri::{Authority, InvalidUri, Scheme, Uri};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::names::Names;
use super::trust::machine_authorities;
use crate::core::model::MAX_MANIFEST_BYTES;
use crate::ports::kubelet::{Fetch, FetchError};

/// Time limit of one document, including redirects.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 10;

type Headers = BTreeMap<String, Vec<String>>;

/// Fetches documents; HTTPS servers are verified by the machine's CA certificates.
pub struct HttpFetch {
    tls: Arc<ClientConfig>,
    names: Names,
}

impl HttpFetch {
    /// With the CAs that the machine trusts now. Without any, only plain HTTP works.
    ///
    /// # Errors
    /// The TLS library has no protocol version, which is a build error.
    pub fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(machine_authorities())
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), names: Names::remembering() })
    }

    async fn follow(&self, url: &str, headers: &Headers) -> Result<Vec<u8>, FetchError> {
        let mut at: Uri = url.parse().map_err(|e: InvalidUri| unusable(url, e.to_string()))?;
        let (first, none) = (at.authority().cloned(), Headers::new());
        for _ in 0..MAX_REDIRECTS {
            // Headers may contain a secret, which must not be sent to other servers.
            let own = at.authority() == first.as_ref();
            let response = self.ask(&at, if own { headers } else { &none }).await?;
            let status = response.status();
            if status.is_redirection()
                && let Some(next) = response.headers().get(LOCATION).and_then(|l| l.to_str().ok())
            {
                at = resolve(&at, next)?;
                continue;
            }
            if status != hyper::StatusCode::OK {
                return Err(FetchError::Status { url: at.to_string(), status: status.to_string() });
            }
            if response.body().size_hint().lower() > MAX_MANIFEST_BYTES as u64 {
                return Err(FetchError::TooLarge { url: at.to_string(), most: MAX_MANIFEST_BYTES });
            }
            let body = Limited::new(response.into_body(), MAX_MANIFEST_BYTES).collect().await;
            return body.map(|body| body.to_bytes().to_vec()).map_err(|source| failed(&at, source));
        }
        Err(FetchError::Redirects { url: url.to_owned(), redirects: MAX_REDIRECTS })
    }

    async fn ask(&self, url: &Uri, headers: &Headers) -> Result<Response<Incoming>, FetchError> {
        let authority: &Authority = url.authority().ok_or_else(|| unusable(url, "no host"))?;
        let secure = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(unusable(url, "neither http nor https")),
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let target = url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(target).header(HOST, authority.as_str()).header(CONNECTION, "close");
        for (name, value) in headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value))) {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|source| failed(url, source.into()))?;
        let stream = self.names.connect(&host, port).await.map_err(|source| failed(url, source.into()))?;
        if !secure {
            return send(request, stream).await.map_err(|source| failed(url, source.into()));
        }
        let name = ServerName::try_from(host).map_err(|source| failed(url, source.into()))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|source| failed(url, source.into()))?;
        send(request, stream).await.map_err(|source| failed(url, source.into()))
    }
}

fn unusable(url: impl ToString, reason: impl Into<String>) -> FetchError {
    FetchError::Url { url: url.to_string(), reason: reason.into() }
}

fn failed(url: &Uri, source: Box<dyn Error + Send + Sync>) -> FetchError {
    FetchError::Request { url: url.to_string(), source }
}

/// The target of a redirect: another server, or another path on the same one.
fn resolve(from: &Uri, location: &str) -> Result<Uri, FetchError> {
    let fault = |error: &dyn Error| unusable(from, format!("redirected to {location:?}: {error}"));
    let next: Uri = location.parse().map_err(|e: InvalidUri| fault(&e))?;
    if next.authority().is_some() {
        return Ok(next);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = next.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|e| fault(&e))
}

async fn send<S>(request: Request<Empty<Bytes>>, stream: S) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Completes when the body has been read or dropped.
    tokio::spawn(async move { connection.await.ok() });
    sender.send_request(request).await
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn get(&self, url: &str, headers: &BTreeMap<String, Vec<String>>) -> Result<Vec<u8>, FetchError> {
        let late = || FetchError::TimedOut { url: url.to_owned(), seconds: TIMEOUT.as_secs() };
        tokio::time::timeout(TIMEOUT, self.follow(url, headers)).await.map_err(|_| late())?
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers each path with the result of `answer` for the request's text.
    async fn serve(answer: fn(&str) -> String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let text = answer(&String::from_utf8_lossy(&request[..length]).to_lowercase());
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}")
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn documents_are_read_with_headers_and_over_redirects() {
        let url = serve(|request| match request {
            _ if request.starts_with("get /moved") => "HTTP/1.1 302 Found\r\nlocation: /here?x=1\r\n\r\n".into(),
            _ if request.starts_with("get /here?x=1") => ok(if request.contains("key: secret") { "yes" } else { "no" }),
            _ if request.starts_with("get /loop") => "HTTP/1.1 302 Found\r\nlocation: /loop\r\n\r\n".into(),
            _ if request.starts_with("get /large") => {
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_MANIFEST_BYTES + 1)
            }
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into(),
        });
        let (url, fetch) = (url.await, HttpFetch::new().unwrap());
        let headers = Headers::from([("key".to_owned(), vec!["secret".to_owned()])]);
        assert_eq!(fetch.get(&format!("{url}/moved"), &headers).await.unwrap(), b"yes");
        assert_eq!(fetch.get(&format!("{url}/here?x=1"), &Headers::new()).await.unwrap(), b"no");
        let error = async |path: &str| fetch.get(&format!("{url}{path}"), &headers).await.unwrap_err().to_string();
        assert!(error("/gone").await.contains("404"));
        assert!(error("/loop").await.contains("stopped after 10 redirects"));
        assert!(error("/large").await.contains("larger than"));
        assert!(
            fetch.get("ftp://127.0.0.1/", &headers).await.unwrap_err().to_string().contains("neither http nor https")
        );
    }

    #[tokio::test]
    async fn a_redirect_to_another_server_does_not_get_the_headers() {
        let other = serve(|request| ok(if request.contains("key: secret") { "leaked" } else { "clean" })).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let text = format!("HTTP/1.1 301 Moved\r\nlocation: {other}/x\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        let headers = Headers::from([("key".to_owned(), vec!["secret".to_owned()])]);
        let body = HttpFetch::new().unwrap().get(&format!("http://{address}/"), &headers).await;
        assert_eq!(body.unwrap(), b"clean");
    }
}
