//! The balancer over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A server that sends its number to each client, and keeps the connection.
async fn server(number: u8) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(&[number]).await.unwrap();
            open.push(stream);
        }
    });
    (address, task)
}

async fn balancer(own: Option<SocketAddr>, known: watch::Receiver<KnownServers>) -> SocketAddr {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    tokio::spawn(run_balancer(address, own, known, Bounds::of_descriptors(1024), oneshot::channel().0));
    address
}

async fn ask(address: SocketAddr) -> (u8, TcpStream) {
    for _ in 0..100 {
        if let Ok(mut stream) = TcpStream::connect(address).await
            && let Ok(number) = stream.read_u8().await
        {
            return (number, stream);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no answer through the balancer");
}

#[tokio::test]
async fn a_dead_server_costs_nobody_the_api_and_closes_its_connections() {
    let (one, first) = server(1).await;
    let (two, _second) = server(2).await;
    let (sender, known) = watch::channel(KnownServers { current: vec![one, two], fallback: Vec::new() });
    let address = balancer(Some(one), known).await;
    let (number, mut open) = ask(address).await;
    assert_eq!(number, 1, "the own server comes first");
    first.abort();
    let _ = first.await;
    assert_eq!(open.read(&mut [0]).await.unwrap(), 0, "the connection to the dead server is closed");
    assert_eq!(ask(address).await.0, 2);

    // Connections to a server that is removed from the list are closed.
    let (_, mut open) = ask(address).await;
    let (three, _third) = server(3).await;
    sender.send_replace(KnownServers { current: vec![three], fallback: Vec::new() });
    assert_eq!(open.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(ask(address).await.0, 3);
}

#[tokio::test]
async fn the_nodes_settings_are_the_way_in_when_the_list_is_of_no_use() {
    let (one, first) = server(1).await;
    let (two, _second) = server(2).await;
    first.abort();
    let _ = first.await;
    let (_sender, known) = watch::channel(KnownServers { current: vec![one], fallback: vec![two] });
    assert_eq!(ask(balancer(None, known).await).await.0, 2);
}

/// Clients from 127.0.0.2 belong to nobody, all others to root.
fn by_address(client: SocketAddr, _balancer: SocketAddr) -> u32 {
    if client.ip().to_string() == "127.0.0.2" { 65534 } else { 0 }
}

async fn connect_from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn bounded(
    descriptors: usize,
    uid_of: fn(SocketAddr, SocketAddr) -> u32,
) -> (SocketAddr, watch::Sender<KnownServers>) {
    let (one, _) = server(1).await;
    let (sender, known) = watch::channel(KnownServers { current: vec![one], fallback: Vec::new() });
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let (ready, listens) = oneshot::channel();
    tokio::spawn(run_balancer_for(address, None, known, Bounds::of_descriptors(descriptors), uid_of, ready));
    listens.await.unwrap();
    (address, sender)
}

/// Reads to the end; true if nothing but the server's number was received.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
    rest.len() <= 1
}

#[tokio::test]
async fn a_flood_of_one_uid_costs_root_nothing_and_that_uid_its_oldest() {
    let (address, _servers) = bounded(1024, by_address).await;
    let mut kubelet = connect_from("127.0.0.1", address).await;
    kubelet.write_all(b"hello").await.unwrap();
    assert_eq!(kubelet.read_u8().await.unwrap(), 1);
    let mut flood = Vec::new();
    for _ in 0..600 {
        flood.push(connect_from("127.0.0.2", address).await);
    }
    // Root can still connect, and stays connected.
    assert_eq!(connect_from("127.0.0.1", address).await.read_u8().await.unwrap(), 1);
    let share = Bounds::of_descriptors(1024).others.per_source;
    for stream in &mut flood[..600 - share] {
        assert!(is_closed(stream).await);
    }
    assert_eq!(flood[599].read_u8().await.unwrap(), 1, "the newest of the share are served");
    assert!(tokio::time::timeout(Duration::from_millis(100), kubelet.read_u8()).await.is_err(), "still open");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_speaks_is_cut_off_and_one_that_did_may_be_silent_for_hours() {
    let silent_server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = silent_server.local_addr().unwrap();
    let held = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = silent_server.accept().await {
            open.push(stream);
        }
    });
    let (_sender, known) = watch::channel(KnownServers { current: vec![target], fallback: Vec::new() });
    let address = balancer(None, known).await;
    let connected = async || loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let (mut dumb, mut watching) = (connected().await, connected().await);
    watching.write_all(b"hello").await.unwrap();
    assert_eq!(dumb.read(&mut [0]).await.unwrap(), 0, "closed after a while without a byte");
    assert!(tokio::time::timeout(Duration::from_secs(4 * 3600), watching.read(&mut [0])).await.is_err(), "still open");
    held.abort();
}
