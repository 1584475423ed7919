//! Connections: how many there are at once, in all and from one network, and how they are taken.
//!
//! A connection costs a file and some memory, whether it says anything or not.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Config;
use crate::limit::network;

/// Connections at once.
const ALL_MAX: usize = 4096;
/// Of them, those of one network. Proxies of ours and this machine have no such bound: many stand behind them.
const NETWORK_MAX: usize = 256;
/// After an error of the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections there are.
#[derive(Debug, Clone)]
pub struct Connections {
    counts: Arc<Mutex<Counts>>,
    proxies: Arc<[IpNet]>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    networks: HashMap<IpAddr, usize>,
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    network: IpAddr,
}

impl Connections {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { counts: Arc::default(), proxies: config.trusted_proxies.clone().into() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from this address. None: there are too many.
    #[must_use]
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let many = address.is_loopback() || self.proxies.iter().any(|net| net.contains(&address));
        let network = network(address);
        let mut counts = self.counts();
        let from = counts.networks.get(&network).copied().unwrap_or_default();
        if counts.all >= ALL_MAX || (from >= NETWORK_MAX && !many) {
            return None;
        }
        counts.all += 1;
        counts.networks.insert(network, from + 1);
        Some(Place { connections: self.clone(), network })
    }

    /// The next connection that there is a place for; others are closed at once.
    pub(crate) async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => match self.take(from.ip()) {
                    Some(place) => return (stream, from, place),
                    None => tracing::debug!(client.address = %from, "too many connections"),
                },
                Err(error) => {
                    tracing::debug!(error = %error, "a connection was not taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.counts();
        counts.all -= 1;
        if let Some(from) = counts.networks.get_mut(&self.network) {
            *from -= 1;
            if *from == 0 {
                counts.networks.remove(&self.network);
            }
        }
    }
}

/// Where connections come in, in the open or over TLS.
pub(crate) trait Accept: Send {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next one.
    fn accept(&mut self) -> impl Future<Output = (Self::Io, SocketAddr, Place)> + Send;
}

/// In the open.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) listener: TcpListener,
    pub(crate) connections: Connections,
}

impl Accept for Plain {
    type Io = TcpStream;
    async fn accept(&mut self) -> (TcpStream, SocketAddr, Place) {
        self.connections.accept(&self.listener).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections() -> Connections {
        let find = |key: &str| (key == "trusted-proxies").then(|| "192.0.2.0/24".to_owned());
        Connections::new(&Config::load(&find, &|_| None).unwrap())
    }

    fn take(connections: &Connections, count: usize, address: &str) -> Vec<Place> {
        (0..count).filter_map(|_| connections.take(address.parse().unwrap())).collect()
    }

    #[test]
    fn one_network_leaves_room_for_others_and_gives_back_what_it_took() {
        let all = connections();
        let mut places = take(&all, 1000, "2001:db8::1");
        assert_eq!(places.len(), NETWORK_MAX);
        assert!(all.take("2001:db8::2".parse().unwrap()).is_none(), "the same network");
        assert!(all.take("198.51.100.1".parse().unwrap()).is_some());
        places.pop();
        assert!(all.take("2001:db8::2".parse().unwrap()).is_some());
        drop(places);
        assert!(all.counts().all == 0 && all.counts().networks.is_empty());
    }

    #[test]
    fn a_proxy_brings_many_and_nobody_brings_too_many() {
        let all = connections();
        let places = take(&all, 3000, "192.0.2.7");
        assert_eq!(places.len(), 3000);
        assert_eq!(take(&all, 5000, "127.0.0.1").len(), ALL_MAX - 3000);
    }
}
