//! Network checks of probes and lifecycle hooks, with all defaults resolved.

/// An HTTP GET request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// True for HTTPS; any certificate is accepted.
    pub tls: bool,
    /// Name or address to connect to; IPv6 without brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub target: String,
    /// Headers in order, names as the user wrote them, without `Host`.
    pub headers: Vec<(String, String)>,
    /// `Host` header; `None` if it is the address.
    pub host_header: Option<String>,
}

impl HttpGet {
    /// The URL, for messages.
    pub fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.target)
    }

    /// Host and port in URL syntax.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The request for a redirect to `location`; `None` if it leads to another host or is invalid.
    pub fn redirected(&self, location: &str) -> Option<Self> {
        let location = location.split('#').next().unwrap_or_default();
        let (tls, rest) = if let Some(rest) = location.strip_prefix("http://") {
            (false, Some(rest))
        } else if let Some(rest) = location.strip_prefix("https://") {
            (true, Some(rest))
        } else if location.split('/').next().is_some_and(|first| first.contains(':')) {
            return None;
        } else {
            (self.tls, location.strip_prefix("//"))
        };
        let Some(rest) = rest else {
            return Some(Self { target: self.resolve(location), ..self.clone() });
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        (host.eq_ignore_ascii_case(&self.host)).then(|| Self {
            tls,
            port,
            target,
            host_header: None,
            host: self.host.clone(),
            headers: self.headers.clone(),
        })
    }

    fn resolve(&self, reference: &str) -> String {
        let path = self.target.split('?').next().unwrap_or("/");
        match reference.chars().next() {
            Some('/') => reference.to_owned(),
            Some('?') => format!("{path}{reference}"),
            _ => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
        }
    }
}

/// The response to an [`HttpGet`], after redirects on the same host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status code of the response.
    pub status: u16,
    /// First 10 KiB of the body.
    pub body: String,
}

/// Result of one execution of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The container is healthy.
    Success,
    /// It is healthy, with a warning for users.
    Warning(String),
    /// It is unhealthy; the text for the event.
    Failure(String),
}

/// A check with everything it needs, derived from a probe's handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A command to run in the container.
    Exec(Vec<String>),
    /// An HTTP GET request.
    Http(HttpGet),
    /// Opening a TCP connection.
    Tcp {
        /// Name or address to connect to.
        host: String,
        /// Port to connect to.
        port: u16,
    },
    /// A gRPC call of `grpc.health.v1.Health/Check`.
    Grpc {
        /// Name or address to connect to.
        host: String,
        /// Port to connect to.
        port: u16,
        /// Service to ask about; empty for the server as a whole.
        service: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_host() {
        let get = HttpGet {
            tls: false,
            host: "10.0.0.1".into(),
            port: 8080,
            target: "/a/b?c".into(),
            headers: vec![],
            host_header: Some("x".into()),
        };
        for (location, expected) in [
            ("/n", Some("http://10.0.0.1:8080/n")),
            ("n", Some("http://10.0.0.1:8080/a/n")),
            ("?q", Some("http://10.0.0.1:8080/a/b?q")),
            ("http://10.0.0.1/x#y", Some("http://10.0.0.1:80/x")),
            ("https://10.0.0.1:1?z", Some("https://10.0.0.1:1/?z")),
            ("//10.0.0.1:2/", Some("http://10.0.0.1:2/")),
            ("http://0.0.0.0/", None),
            ("ftp://10.0.0.1/", None),
            ("http://10.0.0.1:99999/", None),
        ] {
            assert_eq!(get.redirected(location).map(|g| g.url()).as_deref(), expected, "{location}");
        }
    }
}
