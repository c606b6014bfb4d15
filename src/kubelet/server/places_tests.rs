//! How long connections keep their slots, with a paused clock and without sockets.

use super::*;

const HOURS: Duration = Duration::from_secs(6 * 3600);

fn places(strangers: usize, admitted: usize) -> Arc<Places> {
    Places::new(Bounds { strangers, identified: 2, admitted, streams: 2 })
}

fn peer(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// Why a connection is closed, and after what time; `None` if it is not.
async fn end(place: &Place) -> Option<(Closed, Duration)> {
    let began = Instant::now();
    tokio::time::timeout(HOURS, place.closed()).await.ok().map(|closed| (closed, began.elapsed()))
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_a_deadline_until_it_is_authorized_and_between_requests() {
    let places = places(10, 10);
    let silent = places.admit(peer(1)).unwrap();
    assert_eq!(end(&silent).await, Some((Closed::TimedOut, FIRST_REQUEST)));
    // A request that is not authorized yet does not stop the timeout: its review may hang.
    let asking = places.admit(peer(1)).unwrap();
    asking.identify();
    let request = asking.open();
    assert_eq!(end(&asking).await, Some((Closed::TimedOut, FIRST_REQUEST)));
    drop(request);
    let known = places.admit(peer(1)).unwrap();
    let (first, second) = (known.open(), known.open());
    first.authorize(true).unwrap();
    assert_eq!(end(&known).await, None, "a stream may take hours");
    drop(first);
    assert_eq!(end(&known).await, None, "so may the other one");
    drop(second);
    assert_eq!(end(&known).await, Some((Closed::TimedOut, IDLE)));
}

#[tokio::test(start_paused = true)]
async fn streams_are_never_cut_for_others_and_idle_connections_are() {
    let places = places(10, 2);
    let busy = places.admit(peer(1)).unwrap();
    let stream = busy.open();
    stream.authorize(true).unwrap();
    let idle = places.admit(peer(1)).unwrap();
    idle.open().authorize(true).unwrap();
    let newcomer = places.admit(peer(2)).unwrap();
    let request = newcomer.open();
    request.authorize(true).unwrap();
    assert_eq!(end(&idle).await.map(|(closed, _)| closed), Some(Closed::Evicted));
    assert_eq!(end(&busy).await, None);
    // All of them are in use now.
    let late = places.admit(peer(3)).unwrap();
    assert_eq!(late.open().authorize(true), Err(Full));
    drop((stream, busy));
    assert_eq!(late.open().authorize(true), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_anonymous_client_stays_among_the_strangers_and_so_does_its_stream() {
    let places = places(2, 10);
    let anonymous = places.admit(peer(1)).unwrap();
    let stream = anonymous.open();
    stream.authorize(false).unwrap();
    assert_eq!(end(&anonymous).await, None);
    let _others = [places.admit(peer(2)).unwrap(), places.admit(peer(3)).unwrap()];
    stream.evicted().await;
    assert_eq!(end(&anonymous).await, Some((Closed::Evicted, Duration::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_certificate_outlives_a_flood_of_its_own_address() {
    let places = places(4, 10);
    let api_server = places.admit(peer(1)).unwrap();
    api_server.identify();
    let flood: Vec<_> = (0..100).map(|_| places.admit(peer(1)).unwrap()).collect();
    assert_eq!(end(&flood[0]).await, Some((Closed::Evicted, Duration::ZERO)));
    let request = api_server.open();
    request.authorize(true).unwrap();
    assert_eq!(end(&api_server).await, None);
}

#[test]
fn streams_are_counted() {
    let places = places(4, 4);
    let place = places.admit(peer(1)).unwrap();
    let (one, two, three) = (place.open(), place.open(), place.open());
    assert_eq!((one.stream(), two.stream(), three.stream()), (Ok(()), Ok(()), Err(Full)));
    drop(one);
    assert_eq!(three.stream(), Ok(()));
}

#[test]
fn connections_and_streams_leave_descriptors_to_everything_else() {
    for descriptors in [64, 1024, 4096, 1 << 20, usize::MAX] {
        let (secure, open) = (Bounds::secure(descriptors), Bounds::open(descriptors));
        let connections = secure.strangers + secure.identified + secure.admitted + 2 * open.strangers;
        assert!(connections + 2 * secure.streams <= descriptors - descriptors / 8, "{descriptors}");
        assert!(secure.admitted > 0 && open.strangers > 0);
    }
}
