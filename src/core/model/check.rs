//! Network checks that probes and lifecycle hooks make, with every choice already taken.

/// One HTTP GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// HTTPS, with any certificate accepted.
    pub tls: bool,
    /// Name or address to connect to, IPv6 without brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub target: String,
    /// Headers in order, names as the user wrote them; without `Host`.
    pub headers: Vec<(String, String)>,
    /// `Host` header where it differs from the address.
    pub host_header: Option<String>,
}

impl HttpGet {
    /// The URL, for messages.
    pub fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.target)
    }

    /// Host and port as they stand in a URL.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The request that a redirect to `location` asks for; `None` when it leads to another host or nowhere at all.
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

/// How a server answered a [`HttpGet`], after redirects to the same host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// First 10 KiB of the body.
    pub body: String,
}

/// What one run of a check of a container says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// It is healthy.
    Success,
    /// It is healthy, but users should know this.
    Warning(String),
    /// It is not, with the text for the event.
    Failure(String),
}

/// A check with all that it needs, from a probe's handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A command in the container.
    Exec(Vec<String>),
    /// An HTTP GET.
    Http(HttpGet),
    /// A TCP connection.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// Address.
        host: String,
        /// Port.
        port: u16,
        /// Service to ask for; empty for the server as a whole.
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
