//! The objects that turn a bare API server into a cluster, the same as kubeadm's (bootstrap phases `uploadconfig`,
//! `bootstraptoken`, `addons` in `cmd/kubeadm/app/phases`), so that tools written for its clusters work.
//!
//! Every function returns whole objects for server-side apply; nothing here does I/O.

mod bootstrap_token;
mod cloud;
mod cluster_info;
mod config;
mod coredns;
mod kube_proxy;
mod kubelet_authority;
mod labels;
mod node;
mod rbac;
mod roles;
mod spec;
mod yaml;

use serde_json::Value;

pub use bootstrap_token::{ObservedToken, parse_token_secret, render_token_secret};
pub use cloud::CLOUD_CONTROLLER;
pub use cluster_info::render_cluster_info;
pub use config::{render_cluster_configuration, render_kubelet_configuration};
pub use kubelet_authority::{KUBELET_AUTHORITY, render_kubelet_authority};
pub use labels::plan_labels;
pub use node::{CONTROL_PLANE_LABEL, plan_control_plane_mark, render_control_plane_taint};
pub use rbac::{BOOTSTRAP_GROUP, SERVING_APPROVER, render_revoked_rbac};
pub use spec::{Addon, ObjectsSpec, join_subnets, nth_address};
pub use yaml::{merge, render_yaml};

/// Everything except tokens and `cluster-info`, ordered so that each object comes after what it refers to.
pub fn render_objects(spec: &ObjectsSpec) -> Vec<Value> {
    let mut objects = render_settings(spec);
    objects.extend(render_addons(spec));
    objects
}

/// RBAC, and the settings that nodes read.
pub fn render_settings(spec: &ObjectsSpec) -> Vec<Value> {
    let mut objects = rbac::render_cluster_rbac(spec);
    objects.extend(config::render_config_maps(spec));
    objects
}

/// The add-ons kube-proxy and CoreDNS, unless disabled.
pub fn render_addons(spec: &ObjectsSpec) -> Vec<Value> {
    let mut objects = kube_proxy::render_kube_proxy(spec);
    objects.extend(coredns::render_coredns(spec));
    objects
}

#[cfg(test)]
mod tests;
