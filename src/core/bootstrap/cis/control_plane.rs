//! Sections 1 to 3: control plane and etcd.

use super::super::hardening::CIPHER_SUITES;
use super::control::Check::{Flag, Mode, NotRoot, Root};
use super::control::Files::{Admins, Cni, EtcdData, Kubeconfig, Manifest, Pki, PkiCertificates, PkiKeys};
use super::control::{Control, control, stated};
use super::test::Test::{Among, AtLeast, Has, HasNot, Is, IsOrUnset, NotZero, Set, Unset};
use crate::core::model::spec::Component;

const API: Component = Component::ApiServer;
const MANAGER: Component = Component::ControllerManager;
const SCHEDULER: Component = Component::Scheduler;

pub(super) const CONTROLS: &[Control] = &[
    control("1.1.1", "API server manifest: mode at most 600", Mode(Manifest(API), 0o600)),
    control("1.1.2", "API server manifest: owner root", Root(Manifest(API))),
    control("1.1.3", "controller manager manifest: mode at most 600", Mode(Manifest(MANAGER), 0o600)),
    control("1.1.4", "controller manager manifest: owner root", Root(Manifest(MANAGER))),
    control("1.1.5", "scheduler manifest: mode at most 600", Mode(Manifest(SCHEDULER), 0o600)),
    control("1.1.6", "scheduler manifest: owner root", Root(Manifest(SCHEDULER))),
    control("1.1.7", "etcd manifest: mode at most 600", Mode(Manifest(Component::Etcd), 0o600)),
    control("1.1.8", "etcd manifest: owner root", Root(Manifest(Component::Etcd))),
    control("1.1.9", "CNI configuration: mode at most 600", Mode(Cni, 0o600)),
    control("1.1.10", "CNI configuration: owner root", Root(Cni)),
    control("1.1.11", "etcd data: mode at most 700", Mode(EtcdData, 0o700)),
    stated(
        "1.1.12",
        "etcd data: owned by the user of etcd",
        NotRoot(EtcdData),
        "as a static pod, etcd runs as root in its container; with mode = \"systemd\" it has a user of its own",
    ),
    control("1.1.13", "kubeconfigs of administrators: mode at most 600", Mode(Admins, 0o600)),
    control("1.1.14", "kubeconfigs of administrators: owner root", Root(Admins)),
    control("1.1.15", "scheduler.conf: mode at most 600", Mode(Kubeconfig("scheduler.conf"), 0o600)),
    control("1.1.16", "scheduler.conf: owner root", Root(Kubeconfig("scheduler.conf"))),
    control("1.1.17", "controller-manager.conf: mode at most 600", Mode(Kubeconfig("controller-manager.conf"), 0o600)),
    control("1.1.18", "controller-manager.conf: owner root", Root(Kubeconfig("controller-manager.conf"))),
    control("1.1.19", "PKI: owner root", Root(Pki)),
    control("1.1.20", "PKI certificates: mode at most 644", Mode(PkiCertificates, 0o644)),
    control("1.1.21", "PKI keys: mode at most 600", Mode(PkiKeys, 0o600)),
    stated(
        "1.2.1",
        "API server: no anonymous requests",
        Flag(API, "anonymous-auth", Is("false")),
        "probes, load balancers and joining nodes send requests without credentials, for health and cluster-info; RBAC allows them nothing else",
    ),
    control("1.2.2", "API server: no token file", Flag(API, "token-auth-file", Unset)),
    control(
        "1.2.3",
        "API server: external addresses of Services are denied",
        Flag(API, "enable-admission-plugins", Has("DenyServiceExternalIPs")),
    ),
    control("1.2.4", "API server: client certificate for kubelets", Flag(API, "kubelet-client-certificate", Set)),
    control("1.2.5", "API server: CA of kubelets", Flag(API, "kubelet-certificate-authority", Set)),
    control("1.2.6", "API server: authorizes", Flag(API, "authorization-mode", HasNot("AlwaysAllow"))),
    control("1.2.7", "API server: authorizer Node", Flag(API, "authorization-mode", Has("Node"))),
    control("1.2.8", "API server: authorizer RBAC", Flag(API, "authorization-mode", Has("RBAC"))),
    stated(
        "1.2.9",
        "API server: admission EventRateLimit",
        Flag(API, "enable-admission-plugins", Has("EventRateLimit")),
        "its limits are alpha and need a file that would conflict with an admission configuration of your own",
    ),
    control(
        "1.2.10",
        "API server: no admission AlwaysAdmit",
        Flag(API, "enable-admission-plugins", HasNot("AlwaysAdmit")),
    ),
    stated(
        "1.2.11",
        "API server: admission AlwaysPullImages",
        Flag(API, "enable-admission-plugins", Has("AlwaysPullImages")),
        "each pod start would need the registry; the kubelet itself checks whether a pod may use an image that is already present",
    ),
    control(
        "1.2.12",
        "API server: admission ServiceAccount",
        Flag(API, "disable-admission-plugins", HasNot("ServiceAccount")),
    ),
    control(
        "1.2.13",
        "API server: admission NamespaceLifecycle",
        Flag(API, "disable-admission-plugins", HasNot("NamespaceLifecycle")),
    ),
    control(
        "1.2.14",
        "API server: admission NodeRestriction",
        Flag(API, "enable-admission-plugins", Has("NodeRestriction")),
    ),
    control("1.2.15", "API server: profiling is disabled", Flag(API, "profiling", Is("false"))),
    control("1.2.16", "API server: audit log", Flag(API, "audit-log-path", Set)),
    control("1.2.17", "API server: audit log is kept for 30 days", Flag(API, "audit-log-maxage", AtLeast(30))),
    control("1.2.18", "API server: 10 audit log files are kept", Flag(API, "audit-log-maxbackup", AtLeast(10))),
    control("1.2.19", "API server: audit log is rotated at 100 MB", Flag(API, "audit-log-maxsize", AtLeast(100))),
    control("1.2.20", "API server: requests time out", Flag(API, "request-timeout", NotZero)),
    control("1.2.21", "API server: service account lookup", Flag(API, "service-account-lookup", IsOrUnset("true"))),
    control("1.2.22", "API server: service account key", Flag(API, "service-account-key-file", Set)),
    control("1.2.23", "API server: client certificate for etcd", Flag(API, "etcd-certfile", Set)),
    control("1.2.24", "API server: serving certificate", Flag(API, "tls-cert-file", Set)),
    control("1.2.25", "API server: client CA", Flag(API, "client-ca-file", Set)),
    control("1.2.26", "API server: CA of etcd", Flag(API, "etcd-cafile", Set)),
    stated(
        "1.2.27",
        "API server: encryption at rest",
        Flag(API, "encryption-provider-config", Set),
        "you have to provide the key, the same on each control plane: see encryption.config in docs/day-2.md",
    ),
    control("1.2.29", "API server: only strong cipher suites", Flag(API, "tls-cipher-suites", Among(&CIPHER_SUITES))),
    control(
        "1.2.30",
        "API server: service account tokens expire",
        Flag(API, "service-account-extend-token-expiration", Is("false")),
    ),
    control(
        "1.3.1",
        "controller manager: finished pods are deleted",
        Flag(MANAGER, "terminated-pod-gc-threshold", Set),
    ),
    control("1.3.2", "controller manager: profiling is disabled", Flag(MANAGER, "profiling", Is("false"))),
    control(
        "1.3.3",
        "controller manager: a service account for each controller",
        Flag(MANAGER, "use-service-account-credentials", Is("true")),
    ),
    control("1.3.4", "controller manager: service account key", Flag(MANAGER, "service-account-private-key-file", Set)),
    control("1.3.5", "controller manager: root CA", Flag(MANAGER, "root-ca-file", Set)),
    control(
        "1.3.6",
        "controller manager: kubelets renew their server certificates",
        Flag(MANAGER, "feature-gates", HasNot("RotateKubeletServerCertificate=false")),
    ),
    control(
        "1.3.7",
        "controller manager: listens on the loopback address",
        Flag(MANAGER, "bind-address", IsOrUnset("127.0.0.1")),
    ),
    control("1.4.1", "scheduler: profiling is disabled", Flag(SCHEDULER, "profiling", Is("false"))),
    control(
        "1.4.2",
        "scheduler: listens on the loopback address",
        Flag(SCHEDULER, "bind-address", IsOrUnset("127.0.0.1")),
    ),
    control("2.1", "etcd: a certificate", Flag(Component::Etcd, "cert-file", Set)),
    control("2.2", "etcd: client certificates are required", Flag(Component::Etcd, "client-cert-auth", Is("true"))),
    control("2.3", "etcd: no self-signed client certificates", Flag(Component::Etcd, "auto-tls", IsOrUnset("false"))),
    control("2.4", "etcd: peer certificate", Flag(Component::Etcd, "peer-cert-file", Set)),
    control("2.5", "etcd: peer certificates are required", Flag(Component::Etcd, "peer-client-cert-auth", Is("true"))),
    control(
        "2.6",
        "etcd: no self-signed peer certificates",
        Flag(Component::Etcd, "peer-auto-tls", IsOrUnset("false")),
    ),
    control("2.7", "etcd: a separate CA", Flag(Component::Etcd, "trusted-ca-file", Set)),
    control("3.2.1", "audit policy", Flag(API, "audit-policy-file", Set)),
];
