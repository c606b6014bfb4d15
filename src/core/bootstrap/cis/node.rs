//! Section 4: the kubelet and its files.

use super::super::hardening::CIPHER_SUITES;
use super::control::Check::{Kubelet, Mode, Root};
use super::control::Files::{ClientCa, Kubeconfig, KubeletConfig, KubeletUnit};
use super::control::{Control, control, stated};
use super::test::Test::{Among, AtLeast, Is, IsOrUnset, NotNegative, NotZero, Set, Unset};

const KUBELET_CONF: super::control::Files = Kubeconfig("kubelet.conf");

pub(super) const CONTROLS: &[Control] = &[
    control("4.1.1", "kubelet unit: mode at most 600", Mode(KubeletUnit, 0o600)),
    control("4.1.2", "kubelet unit: owner root", Root(KubeletUnit)),
    control("4.1.5", "kubelet.conf: mode at most 600", Mode(KUBELET_CONF, 0o600)),
    control("4.1.6", "kubelet.conf: owner root", Root(KUBELET_CONF)),
    control("4.1.7", "client CAs: mode at most 644", Mode(ClientCa, 0o644)),
    control("4.1.8", "client CAs: owner root", Root(ClientCa)),
    control("4.1.9", "kubelet configuration: mode at most 600", Mode(KubeletConfig, 0o600)),
    control("4.1.10", "kubelet configuration: owner root", Root(KubeletConfig)),
    control(
        "4.2.1",
        "kubelet: no anonymous requests",
        Kubelet("anonymous-auth", "/authentication/anonymous/enabled", Is("false")),
    ),
    control("4.2.2", "kubelet: authorizes", Kubelet("authorization-mode", "/authorization/mode", Is("Webhook"))),
    control("4.2.3", "kubelet: client CA", Kubelet("client-ca-file", "/authentication/x509/clientCAFile", Set)),
    control("4.2.4", "kubelet: no read-only port", Kubelet("read-only-port", "/readOnlyPort", IsOrUnset("0"))),
    control(
        "4.2.5",
        "kubelet: idle streams time out",
        Kubelet("streaming-connection-idle-timeout", "/streamingConnectionIdleTimeout", NotZero),
    ),
    control(
        "4.2.6",
        "kubelet: manages iptables utility chains",
        Kubelet("make-iptables-util-chains", "/makeIPTablesUtilChains", IsOrUnset("true")),
    ),
    stated(
        "4.2.7",
        "kubelet: host name is not overridden",
        Kubelet("hostname-override", "/hostnameOverride", Unset),
        "the node name is a setting, and its certificates are issued for that name",
    ),
    control("4.2.8", "kubelet: events are recorded", Kubelet("event-qps", "/eventRecordQPS", NotNegative)),
    stated(
        "4.2.9",
        "kubelet: serving certificate file",
        Kubelet("tls-cert-file", "/tlsCertFile", Set),
        "the cluster signs it and the kubelet renews it (serverTLSBootstrap)",
    ),
    control(
        "4.2.10",
        "kubelet: client certificate rotation",
        Kubelet("rotate-certificates", "/rotateCertificates", Is("true")),
    ),
    control(
        "4.2.11",
        "kubelet: serving certificate rotation",
        Kubelet("rotate-server-certificates", "/serverTLSBootstrap", Is("true")),
    ),
    control(
        "4.2.12",
        "kubelet: only strong cipher suites",
        Kubelet("tls-cipher-suites", "/tlsCipherSuites", Among(&CIPHER_SUITES)),
    ),
    control("4.2.13", "kubelet: limit of processes per pod", Kubelet("pod-max-pids", "/podPidsLimit", AtLeast(1))),
    control("4.2.14", "kubelet: default seccomp profile", Kubelet("seccomp-default", "/seccompDefault", Is("true"))),
];
