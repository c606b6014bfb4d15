//! Checks against real servers on the loopback.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers each connection with the result of `answer` for the request text; returns the port.
async fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let text = answer(&String::from_utf8_lossy(&buffer[..read]));
            stream.write_all(text.as_bytes()).await.ok();
        }
    });
    port
}

fn get(port: u16, target: &str) -> HttpGet {
    HttpGet {
        tls: false,
        host: "127.0.0.1".into(),
        port,
        target: target.into(),
        headers: vec![("User-Agent".into(), "kube-probe/1.37".into())],
        host_header: None,
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

async fn ask(get: &HttpGet) -> Result<HttpAnswer, CheckError> {
    NetChecks::new("kube-probe/1.37").expect("checks").http(get, Some(Duration::from_secs(5))).await
}

#[tokio::test]
async fn sends_the_headers_and_gives_status_and_body() {
    let port = serve(|request| response("503 Unavailable", "", request)).await;
    let answer = ask(&HttpGet { host_header: Some("a.example".into()), ..get(port, "/x?y") }).await.expect("an answer");
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("GET /x?y HTTP/1.1\r\n"), "{}", answer.body);
    for line in ["Host: a.example", "User-Agent: kube-probe/1.37", "Connection: close"] {
        assert!(answer.body.contains(&format!("{line}\r\n")), "{}", answer.body);
    }
}

#[tokio::test]
async fn follows_redirects_to_the_same_host_only() {
    let port = serve(|request| match request.split(' ').nth(1) {
        Some("/start") => response("302 Found", "Location: /end\r\n", ""),
        Some("/away") => response("302 Found", "Location: http://0.0.0.0/\r\n", "gone"),
        Some("/loop") => response("302 Found", "Location: /loop\r\n", ""),
        _ => response("200 OK", "", "here"),
    })
    .await;
    assert_eq!(ask(&get(port, "/start")).await.expect("an answer").body, "here");
    let away = ask(&get(port, "/away")).await.expect("an answer");
    assert_eq!((away.status, away.body.as_str()), (302, "gone"));
    let error = ask(&get(port, "/loop")).await.expect_err("an endless redirect").to_string();
    assert!(error.ends_with("stopped after 10 redirects"), "{error}");
}

#[tokio::test]
async fn reads_ten_kibibytes_of_an_endless_body() {
    let port = serve(|_| response("200 OK", "", &"x".repeat(1 << 20))).await;
    assert_eq!(ask(&get(port, "/")).await.expect("an answer").body.len(), 10 << 10);
}

#[tokio::test]
async fn tells_http_from_https() {
    let port = serve(|_| "HTTP/1.0 400 Bad Request\r\n\r\n".into()).await;
    let error = ask(&HttpGet { tls: true, ..get(port, "/") }).await.expect_err("no TLS there");
    assert!(matches!(error, CheckError::HttpInsteadOfTls(_)), "{error:?}");
}

/// A TLS server that answers one request and closes the connection, with or without a close notification; returns the
/// port.
async fn serve_tls(answer: String, announces_end: bool) -> u16 {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["elsewhere".to_owned()]).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|b| b.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key))
        .expect("a server configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.expect("a handshake");
        assert!(stream.read(&mut [0; 1024]).await.expect("a request") > 0);
        stream.write_all(answer.as_bytes()).await.expect("an answer");
        stream.flush().await.expect("sent");
        if announces_end {
            stream.shutdown().await.ok();
        }
    });
    port
}

#[tokio::test]
async fn accepts_any_certificate() {
    let port = serve_tls(response("204 No Content", "", ""), true).await;
    assert_eq!(ask(&HttpGet { tls: true, ..get(port, "/") }).await.expect("an answer").status, 204);
}

#[tokio::test]
async fn the_end_of_a_tls_connection_need_not_be_announced() {
    // The body ends with the connection, and nothing says that it is complete.
    let port = serve_tls("HTTP/1.1 200 OK\r\n\r\nhere".to_owned(), false).await;
    let answer = ask(&HttpGet { tls: true, ..get(port, "/") }).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "here"));
}

#[tokio::test]
async fn a_closed_port_is_named_in_upstreams_words() {
    let port = TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a free port").port();
    let checks = NetChecks::new("kube-probe/1.37").expect("checks");
    let text = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    let tcp = checks.tcp("127.0.0.1", port, Duration::from_secs(5)).await;
    assert_eq!(tcp, Err(CheckError::Failed(text.clone())));
    let http = ask(&get(port, "/")).await;
    assert_eq!(http, Err(CheckError::Failed(format!("Get \"http://127.0.0.1:{port}/\": {text}"))));
    let grpc = checks.grpc("127.0.0.1", port, "", Duration::from_secs(5)).await.expect_err("nobody there").to_string();
    assert!(grpc.starts_with("error: failed to connect service at"), "{grpc}");
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let checks = NetChecks::new("kube-probe/1.37").expect("checks");
    let error = checks.http(&get(port, "/"), Some(Duration::from_millis(50))).await.expect_err("silence").to_string();
    assert!(error.contains("context deadline exceeded"), "{error}");
    assert_eq!(checks.tcp("127.0.0.1", port, Duration::from_secs(5)).await, Ok(()));
}

/// A gRPC server whose health service answers with this status; without a health service for `None`.
async fn serve_health(status: Option<u8>) -> u16 {
    use http_body_util::StreamBody;
    use hyper::body::{Bytes, Frame, Incoming};
    use hyper::{Request, Response};
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let answer = move |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let mut trailers = hyper::HeaderMap::new();
        let code = if status.is_some() { "0" } else { "12" };
        trailers.insert("grpc-status", code.parse().expect("a header"));
        // One message: no compression, two bytes long, field 1 as a varint.
        let message = status.map(|s| Ok(Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, s]))));
        let frames = message.into_iter().chain([Ok::<_, std::io::Error>(Frame::trailers(trailers))]);
        let body = StreamBody::new(futures::stream::iter(frames));
        Response::builder().header("content-type", "application/grpc").body(body)
    };
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let io = hyper_util::rt::TokioIo::new(stream);
        let service = hyper::service::service_fn(answer);
        let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        server.serve_connection(io, service).await.ok();
    });
    port
}

#[tokio::test]
async fn the_health_service_has_to_say_serving() {
    let checks = NetChecks::new("kube-probe/1.37").expect("checks");
    let ask = async |status| {
        let port = serve_health(status).await;
        checks.grpc("127.0.0.1", port, "web", Duration::from_secs(5)).await.map_err(|error| error.to_string())
    };
    assert_eq!(ask(Some(1)).await, Ok(()));
    assert_eq!(ask(Some(2)).await, Err("service unhealthy (responded with \"NOT_SERVING\")".into()));
    let missing = ask(None).await.expect_err("no health service");
    assert!(missing.starts_with("error: this server does not implement the grpc health protocol"), "{missing}");
}
