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
    /// It is well.
    Success,
    /// It is well, but users should know this.
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
