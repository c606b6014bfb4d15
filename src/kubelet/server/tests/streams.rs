//! exec, attach and port-forward with a real upgrade server on loopback.

use hyper::Method;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fixture::{Fixture, read};

const UPGRADE: &[(&str, &str)] = &[
    ("authorization", "Bearer token-of-admin"),
    ("connection", "Upgrade"),
    ("upgrade", "SPDY/3.1"),
    ("x-stream-protocol-version", "v4.channel.k8s.io"),
];

/// Accepts one connection, reads the head of its request, and returns both.
async fn streaming_server() -> (String, tokio::task::JoinHandle<(String, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/exec/abc?x=1", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.unwrap());
        }
        (String::from_utf8(head).unwrap(), tcp)
    });
    (url, task)
}

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
    X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\nhello";

async fn fixture(url: String) -> Fixture {
    let fixture = Fixture::start(|_| ()).await;
    fixture.add_pod();
    fixture.allow(&["admin create proxy", "admin get proxy"]);
    *fixture.runtime.stream_url.lock().unwrap() = url;
    fixture
}

#[tokio::test]
async fn an_upgraded_connection_carries_every_byte_both_ways_and_half_closes() {
    let (url, server) = streaming_server().await;
    let fixture = fixture(url).await;
    let path = "/exec/ns/web/m1/app?command=sh&command=-c&command=echo%20hi&input=1&output=1&error=1&tty=0";
    let sent = fixture.send(Method::POST, path, UPGRADE, None);
    let (answer, server) = tokio::join!(sent, async {
        let (head, mut tcp) = server.await.unwrap();
        tcp.write_all(SWITCH).await.unwrap();
        (head, tcp)
    });
    let (head, mut runtime) = server;
    assert!(head.starts_with("POST /exec/abc?x=1 HTTP/1.1\r\n"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("upgrade: spdy/3.1") && lower.contains("x-stream-protocol-version: v4.channel.k8s.io"));
    assert!(!lower.contains("authorization"), "credentials must not reach the runtime: {head}");
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["x-stream-protocol-version"], "v4.channel.k8s.io");
    assert_eq!(
        fixture.runtime.asked.lock().unwrap()[0],
        "exec c1 [\"sh\", \"-c\", \"echo hi\"] StreamStdio { stdin: true, stdout: true, stderr: true, tty: false }"
    );

    let client = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    let (mut from, mut to) = tokio::io::split(client);
    let mut greeting = [0; 5];
    from.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello", "bytes that came with the head of the answer");

    let big: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    let echo = tokio::spawn(async move {
        let (mut from, mut to) = runtime.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        // The client has closed its side, and must still receive this.
        to.write_all(b"bye").await.unwrap();
        to.shutdown().await.unwrap();
    });
    let expected = [big.as_slice(), b"bye"].concat();
    let sending = async {
        to.write_all(&big).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, count) = tokio::join!(sending, from.read_to_end(&mut received));
    count.unwrap();
    echo.await.unwrap();
    assert!(received == expected, "{} bytes came back of {}", received.len(), expected.len());
}

#[tokio::test]
async fn the_client_side_ends_when_the_runtime_ends() {
    let (url, server) = streaming_server().await;
    let fixture = fixture(url).await;
    let sent = fixture.send(Method::GET, "/portForward/ns/web?port=80", UPGRADE, None);
    let (answer, ()) = tokio::join!(sent, async {
        let (_, mut tcp) = server.await.unwrap();
        tcp.write_all(SWITCH).await.unwrap();
    });
    let mut client = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"hello");
    assert_eq!(fixture.runtime.asked.lock().unwrap()[0], "port-forward s1 []");
}

#[tokio::test]
async fn attach_takes_the_terminal_from_the_pod_and_refusals_are_passed_on() {
    let (url, server) = streaming_server().await;
    let fixture = fixture(url).await;
    let sent = fixture.send(Method::POST, "/attach/ns/web/app?output=1&error=1", UPGRADE, None);
    let (answer, ()) = tokio::join!(sent, async {
        let (_, mut tcp) = server.await.unwrap();
        tcp.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    });
    assert_eq!(read(answer).await, (403, "no".into()));
    assert_eq!(
        fixture.runtime.asked.lock().unwrap()[0],
        "attach c1 StreamStdio { stdin: false, stdout: true, stderr: false, tty: true }"
    );
}

#[tokio::test]
async fn an_unreachable_streaming_server_is_an_error_with_its_address() {
    let fixture = fixture("http://127.0.0.1:1/x".into()).await;
    let answer = fixture.send(Method::POST, "/exec/ns/web/app?command=x&output=1", UPGRADE, None).await;
    let (status, text) = read(answer).await;
    assert_eq!(status, 500);
    assert!(text.contains("127.0.0.1:1"), "{text}");
}
