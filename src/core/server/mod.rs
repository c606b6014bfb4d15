//! The kubelet's server without its sockets: parsing of requests, required permissions, and the choice of logs.

mod endpoint;
mod journal_query;
mod log_request;
mod query;
mod stream_request;

pub use endpoint::{ContainerRef, Endpoint, PodRef, metrics_bucket, subresources, verb};
pub use journal_query::{JournalQuery, parse_journal_query};
pub use log_request::{LogRequest, LogRequestError, choose_log, parse_log_request};
pub use query::Query;
pub use stream_request::{StreamRequestError, parse_ports, parse_stdio};
