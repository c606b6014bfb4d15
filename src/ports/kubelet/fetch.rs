//! Reading a URL.

use std::collections::BTreeMap;

use async_trait::async_trait;

/// Reads documents over HTTP.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The body of a GET, at most 10 MiB, within 10 seconds; an error text otherwise.
    async fn get(&self, url: &str, headers: &BTreeMap<String, Vec<String>>) -> Result<Vec<u8>, String>;
}
