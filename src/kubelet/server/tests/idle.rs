//! Useless connections, and streams that look like them.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::Fixture;
use crate::kubelet::server::places::{FIRST_REQUEST, IDLE};

/// An hour of the paused clock.
const HOUR: Duration = Duration::from_secs(3600);

async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(HOUR, stream.read_to_end(&mut rest)).await.is_ok()
}

async fn dribble(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    for byte in bytes {
        if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_to_a_request_is_cut_off_at_each_port_and_stage() {
    let fixture = Fixture::start(|_| ()).await;
    // Nothing, the beginning of HTTP/2's preface (for which hyper waits without a timer), half a head.
    for bytes in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"GET /healthz HTTP/1.1\r\nhost: "] {
        let shown = String::from_utf8_lossy(bytes);
        let mut plain = TcpStream::connect(fixture.healthz).await.unwrap();
        plain.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut plain).await, "10248 after {shown:?}");
        let mut raw = TcpStream::connect(fixture.address).await.unwrap();
        raw.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut raw).await, "10250 without TLS after {shown:?}");
        let mut secure = fixture.connect(&[], None).await;
        secure.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut secure).await, "10250 after {shown:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_byte_by_byte_has_one_deadline_for_all_bytes() {
    let fixture = Fixture::start(|_| ()).await;
    let started = tokio::time::Instant::now();
    let mut secure = fixture.connect(&[], None).await;
    let head =
        b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nx-padding: 0123456789012345678901234567890123456789\r\n\r\n";
    let (mut from, mut to) = tokio::io::split(&mut secure);
    tokio::select! {
        () = dribble(&mut to, head) => panic!("every byte was taken, in {:?}", started.elapsed()),
        closed = is_closed(&mut from) => assert!(closed),
    }
    // By the paused clock: it is the connection's own deadline.
    assert!(started.elapsed() <= FIRST_REQUEST + Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn http2_without_an_authorized_request_ends_however_many_pings_are_answered() {
    let fixture = Fixture::start(|_| ()).await;
    let secure = fixture.connect(&["h2"], None).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(secure)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = || Request::get("https://localhost/metrics").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 401);
    assert!(tokio::time::timeout(HOUR, connection).await.is_ok(), "the connection is still open");
}

#[tokio::test(start_paused = true)]
async fn keep_alive_of_a_known_client_ends_when_it_is_idle_and_not_before() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.allow(&["admin get metrics"]);
    let secure = fixture.connect(&["http/1.1"], None).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(secure)).await.unwrap();
    tokio::spawn(connection);
    let short = IDLE - Duration::from_secs(10);
    let mut statuses = Vec::new();
    for pause in [Duration::ZERO, short, short, IDLE + Duration::from_secs(60)] {
        tokio::time::sleep(pause).await;
        let get = Request::get("/metrics").header("authorization", "Bearer token-of-admin").header("host", "localhost");
        let answer = sender.send_request(get.body(Empty::<Bytes>::new()).unwrap()).await;
        statuses.push(answer.as_ref().map_or(0, |answer| answer.status().as_u16()));
        if let Ok(answer) = answer {
            let _ = answer.into_body().collect().await;
        }
    }
    assert_eq!(statuses, [200, 200, 200, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_exec_that_says_nothing_for_hours_stays() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/exec/abc", listener.local_addr().unwrap());
    let fixture = Fixture::start(|_| ()).await;
    fixture.add_pod();
    fixture.allow(&["admin create proxy"]);
    *fixture.runtime.stream_url.lock().unwrap() = url;
    let headers = [("authorization", "Bearer token-of-admin"), ("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
    let sent = fixture.send(Method::POST, "/exec/ns/web/app?command=sh&output=1", &headers, None);
    let (answer, mut runtime) = tokio::join!(sent, async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.unwrap());
        }
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";
        tcp.write_all(switch).await.unwrap();
        tcp
    });
    let mut client = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    tokio::time::sleep(4 * HOUR).await;
    runtime.write_all(b"late").await.unwrap();
    let mut late = [0; 4];
    client.read_exact(&mut late).await.unwrap();
    assert_eq!(&late, b"late");
}
