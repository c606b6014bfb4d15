//! Resolves host names with the system's resolver (nss), which may block for minutes.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::net::TcpStream;

use crate::offload::Lanes;

/// How long to wait for an answer if an earlier one is cached. Connections to API servers have a limit of 5 s in total.
const LIMIT: Duration = Duration::from_secs(2);
/// How long to wait if none is cached: a resolver with defaults gives up on two servers after 20 s. Callers have their
/// own limits.
const LONG_LIMIT: Duration = Duration::from_secs(30);
/// Most names whose answers are cached; a handful is normal.
const MOST_KEPT: usize = 64;

type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Resolves names, at most once at a time for each name. Clones share the state.
#[derive(Clone)]
pub struct Names {
    lanes: Lanes,
    look_up: Arc<LookUp>,
    /// The last successful answers, if they may be reused.
    kept: Option<Arc<Mutex<HashMap<String, Vec<IpAddr>>>>>,
}

impl Names {
    /// For servers of the cluster and the node itself: without an answer, the last successful one is used.
    pub fn remembering() -> Self {
        Self::asking(Lanes::with_limit("name", LIMIT), Arc::new(system), true)
    }

    /// For names chosen by pods, such as those of probes: an answer is used for one connection.
    pub fn forgetful() -> Self {
        Self::asking(Lanes::with_limit("name of a check", LONG_LIMIT), Arc::new(system), false)
    }

    /// With the caller's resolver.
    pub(crate) fn asking(lanes: Lanes, look_up: Arc<LookUp>, remembers: bool) -> Self {
        Self { lanes, look_up, kept: remembers.then(Arc::default) }
    }

    /// Addresses of a host, in the resolver's order; an address resolves to itself.
    ///
    /// # Errors
    /// The resolver's error, or `TimedOut`, if no earlier answer is cached.
    pub async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let (look_up, name, kept) = (Arc::clone(&self.look_up), host.to_owned(), self.kept.clone());
        let look_up = move || -> io::Result<Vec<IpAddr>> {
            let found = look_up(&name)?;
            // Here, so that an answer that is too late for this caller is available to the next one.
            if let Some(kept) = kept {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.contains_key(&name) || kept.len() < MOST_KEPT {
                    kept.insert(name, found.clone());
                }
            }
            Ok(found)
        };
        let error = match (self.lanes.io(host, "look-up", look_up).await, &self.kept) {
            (Err(error), Some(_)) => error,
            (answer, _) => return answer,
        };
        let kept =
            self.kept.as_ref().and_then(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned());
        kept.inspect(|_| tracing::debug!(host, "name server did not answer; using its last answer")).ok_or(error)
    }

    /// Connects to the first address of `host` that accepts.
    ///
    /// # Errors
    /// The error of the last address, or of resolving the name.
    #[expect(clippy::disallowed_methods, reason = "addresses, no names")]
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = self.resolve(host).await?.into_iter().map(|ip| (ip, port).into()).collect();
        TcpStream::connect(&addresses[..]).await
    }
}

/// Resolves through nss: /etc/hosts and DNS, as the node is configured. It has no time limit.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        if !found.contains(&address.ip()) {
            found.push(address.ip());
        }
    }
    Ok(found)
}

impl tower::Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let names = self.clone();
        Box::pin(async move {
            let found = names.resolve(name.as_str()).await?;
            // The connector sets the port.
            Ok(found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    /// A resolver that can be made to hang; counts lookups in progress.
    #[derive(Default)]
    pub(crate) struct Resolver {
        pub silent: AtomicBool,
        pub under_way: AtomicUsize,
        pub asked: AtomicUsize,
    }

    impl Resolver {
        pub(crate) fn names(self: &Arc<Self>, remembers: bool) -> Names {
            let own = Arc::clone(self);
            let look_up = move |_: &str| {
                own.asked.fetch_add(1, Ordering::SeqCst);
                own.under_way.fetch_add(1, Ordering::SeqCst);
                while own.silent.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                own.under_way.fetch_sub(1, Ordering::SeqCst);
                Ok(vec![[127, 0, 0, 1].into()])
            };
            Names::asking(Lanes::with_limit("name", Duration::from_millis(10)), Arc::new(look_up), remembers)
        }
    }

    #[tokio::test]
    async fn the_last_good_answer_counts_while_the_name_server_is_silent() {
        let resolver = Arc::new(Resolver::default());
        let (names, forgetful) = (resolver.names(true), resolver.names(false));
        let want = vec![IpAddr::from([127, 0, 0, 1])];
        assert_eq!(names.resolve("api.test").await.unwrap(), want);
        resolver.silent.store(true, Ordering::SeqCst);
        for _ in 0..50 {
            assert_eq!(names.resolve("api.test").await.unwrap(), want);
            assert_eq!(forgetful.resolve("api.test").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(
            resolver.under_way.load(Ordering::SeqCst),
            2,
            "one question for each name, however often it is asked"
        );
        assert!(names.resolve("other.test").await.is_err(), "nothing is known of it");
        resolver.silent.store(false, Ordering::SeqCst);
    }

    #[tokio::test]
    async fn an_answer_that_comes_too_late_counts_the_next_time() {
        let resolver = Arc::new(Resolver::default());
        let names = resolver.names(true);
        resolver.silent.store(true, Ordering::SeqCst);
        assert!(names.resolve("api.test").await.is_err());
        resolver.silent.store(false, Ordering::SeqCst);
        while resolver.under_way.load(Ordering::SeqCst) > 0 || names.lanes.busy_with(|_| true).is_some() {
            tokio::task::yield_now().await;
        }
        resolver.silent.store(true, Ordering::SeqCst);
        assert!(names.resolve("api.test").await.is_ok(), "the name server is slow, and was asked before");
        resolver.silent.store(false, Ordering::SeqCst);
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let resolver = Arc::new(Resolver::default());
        let names = resolver.names(true);
        assert_eq!(names.resolve("[::1]").await.unwrap(), [IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]);
        assert_eq!(names.resolve("192.0.2.1").await.unwrap(), [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 0);
    }
}
