//! Host and port at which an API server is reached.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// `host:port`; the host is a DNS name or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// DNS name or address, without brackets.
    pub host: String,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

impl Endpoint {
    /// Port of the API server if none is given.
    pub const DEFAULT_PORT: u16 = 6443;

    /// An endpoint at an address.
    pub fn new(host: impl ToString, port: u16) -> Self {
        Self { host: host.to_string(), port }
    }

    /// The endpoint as `https://host:port`.
    pub fn url(&self) -> String {
        format!("https://{self}")
    }

    /// The host as an address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => write!(f, "[{address}]:{}", self.port),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an endpoint: write host, host:port, address:port or [IPv6 address]:port")]
pub struct EndpointError(pub String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.to_owned());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::new(address, Self::DEFAULT_PORT));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| error())?),
            None => (text, Self::DEFAULT_PORT),
        };
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let name_ok = |name: &str| {
            !name.is_empty()
                && name.len() <= 253
                && name.split('.').all(|label| {
                    !label.is_empty()
                        && label.len() <= 63
                        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                })
        };
        // Addresses are normalized, since endpoints are compared.
        match host.parse::<IpAddr>() {
            _ if port == 0 => Err(error()),
            Ok(address) => Ok(Self::new(address, port)),
            Err(_) if name_ok(host) => Ok(Self { host: host.to_owned(), port }),
            Err(_) => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_addresses_and_bracketed_addresses() {
        for (text, shown) in [
            ("api.example.org", "api.example.org:6443"),
            ("10.0.0.1", "10.0.0.1:6443"),
            ("10.0.0.1:8443", "10.0.0.1:8443"),
            ("fd00::1", "[fd00::1]:6443"),
            ("[fd00::1]:7443", "[fd00::1]:7443"),
            ("[FD00:0::1]:7443", "[fd00::1]:7443"),
        ] {
            let endpoint: Result<Endpoint, _> = text.parse();
            assert_eq!(endpoint.as_ref().map(ToString::to_string), Ok(shown.to_owned()), "{text}");
            assert_eq!(endpoint, shown.parse(), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        for text in ["", ":6443", "host:", "host:0", "host:70000", "https://host", "-a", "a..b", "a_b"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
