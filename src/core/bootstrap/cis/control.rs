//! One control of the benchmark: what it examines and how it is checked.

use super::test::Test;
use crate::core::model::spec::Component;

/// Groups of files on a node that controls examine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Files {
    /// The manifest of a component.
    Manifest(Component),
    /// The CNI configurations (`paths.cni_conf`).
    Cni,
    /// etcd's data directory, as configured.
    EtcdData,
    /// The kubeconfigs of administrators: `admin.conf` and `super-admin.conf`.
    Admins,
    /// A kubeconfig of `/etc/kubernetes`.
    Kubeconfig(&'static str),
    /// The PKI folder and everything in it.
    Pki,
    /// The certificates in the PKI folder.
    PkiCertificates,
    /// The private keys in the PKI folder.
    PkiKeys,
    /// The unit file of the kubelet.
    KubeletUnit,
    /// The file with the kubelet's KubeletConfiguration.
    KubeletConfig,
    /// The CA file by which the kubelet verifies its clients.
    ClientCa,
}

/// How a control is checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// The files allow no more than this mode.
    Mode(Files, u32),
    /// The files belong to root.
    Root(Files),
    /// The files belong to a user other than root.
    NotRoot(Files),
    /// A flag of a component.
    Flag(Component, &'static str, Test),
    /// A flag of the kubelet, or the field of its configuration at this pointer.
    Kubelet(&'static str, &'static str, Test),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    pub id: &'static str,
    pub title: &'static str,
    pub check: Check,
    /// Why it fails by default; empty for controls that pass.
    pub stated: &'static str,
}

pub(super) const fn control(id: &'static str, title: &'static str, check: Check) -> Control {
    Control { id, title, check, stated: "" }
}

pub(super) const fn stated(id: &'static str, title: &'static str, check: Check, stated: &'static str) -> Control {
    Control { id, title, check, stated }
}
