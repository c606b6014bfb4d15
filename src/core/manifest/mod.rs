//! Manifests: from bytes to a static pod that is ready to run, or to findings with their places.
//!
//! [`parse_manifest`] handles one file; its parts are [`mod@parse`], [`defaults`], [`validate`], [`static_pod`];
//! [`mirror`] derives the object that represents a static pod in the API.

pub mod defaults;
mod finding;
pub mod host_image;
pub mod mirror;
mod names;
mod nulls;
pub mod parse;
pub mod set;
pub mod static_pod;
pub mod switch;
pub mod validate;

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use crate::core::yaml::Places;

pub use finding::{Finding, Location};
pub(in crate::core) use names::{is_dns_subdomain, is_qualified_name};
pub use static_pod::{Origin, manifest_name};

/// Parses one manifest into the static pod that this node runs for it.
///
/// # Errors
/// All findings, with their places in the text where known.
pub fn parse_manifest(path: &Path, bytes: &[u8], node_name: &str) -> Result<Pod, Vec<Finding>> {
    let pod = parse::parse_pod(bytes).map_err(|finding| vec![finding])?;
    static_pod::make_static(pod, &Origin::File(path.to_path_buf()), node_name).map_err(|findings| {
        let places = Places::of(bytes);
        findings.into_iter().map(|finding| finding.located_in(&places)).collect()
    })
}

#[cfg(test)]
mod tests;
