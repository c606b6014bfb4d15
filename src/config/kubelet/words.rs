//! Enum values of the configuration that affect security: an unknown one is a fault, never a default.

/// As `cliflag.TLSPossibleVersions` in upstream.
const TLS_VERSIONS: &[&str] = &["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];
/// The suites that Go knows (`crypto/tls.CipherSuites` and `InsecureCipherSuites`, with upstream's two old names).
/// rustls offers only the secure ones, so naming others does not weaken security.
pub(super) const CIPHER_SUITES: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];
/// TLS numbers of the curves that ring supports: P-256, P-384, X25519.
pub(super) const OFFERED_CURVES: &[i64] = &[23, 24, 29];
/// Those that Go supports in addition: P-521, X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024.
pub(super) const GO_CURVES: &[i64] = &[25, 4587, 4588, 4589];

/// True if rustls offers the suite.
pub(super) fn is_offered(suite: &str) -> bool {
    let safe = suite.contains("_GCM_") || suite.ends_with("CHACHA20_POLY1305_SHA256");
    safe && !suite.starts_with("TLS_RSA_")
}

/// Fields with enum values; empty is the default.
pub(super) const WORDS: &[(&str, &[&str])] = &[
    ("tlsMinVersion", TLS_VERSIONS),
    ("authorization.mode", &["Webhook", "AlwaysAllow"]),
    ("cgroupDriver", &["cgroupfs", "systemd"]),
    ("configMapAndSecretChangeDetectionStrategy", &["Get", "Cache", "Watch"]),
    ("hairpinMode", &["none", "hairpin-veth", "promiscuous-bridge"]),
    (
        "imagePullCredentialsVerificationPolicy",
        &["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"],
    ),
    ("logging.format", &["text", "json"]),
    ("memoryReservationPolicy", &["None", "TieredReservation"]),
    ("memorySwap.swapBehavior", &["NoSwap", "LimitedSwap"]),
    ("topologyManagerPolicy", &["none", "best-effort", "restricted", "single-numa-node"]),
    ("topologyManagerScope", &["container", "pod"]),
];
