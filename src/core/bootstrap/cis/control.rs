//! One control of the benchmark: what it is about, and how it is looked at.

use super::test::Test;

/// Files of a node that controls are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Files {
    /// The manifest of a component.
    Manifest(&'static str),
    /// CNI configurations.
    Cni,
    /// etcd's folder.
    EtcdData,
    /// Kubeconfigs of administrators.
    Admins,
    /// A kubeconfig of `/etc/kubernetes`.
    Kubeconfig(&'static str),
    /// The PKI folder and all that is in it.
    Pki,
    /// Certificates in it.
    PkiCertificates,
    /// Keys in it.
    PkiKeys,
    /// The kubelet's unit.
    KubeletUnit,
    /// The kubelet's configuration.
    KubeletConfig,
    /// The CAs that the kubelet trusts clients of.
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
    Flag(&'static str, &'static str, Test),
    /// A flag of the kubelet, or the field of its configuration at this pointer.
    Kubelet(&'static str, &'static str, Test),
}

/// One control.
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
