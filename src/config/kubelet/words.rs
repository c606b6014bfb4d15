//! Words of the configuration that decide how safe a node is: one that is not known is a fault, never a default.

/// `cliflag.TLSPossibleVersions`.
const TLS_VERSIONS: &[&str] = &["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];
/// What Go knows (`crypto/tls.CipherSuites` and `InsecureCipherSuites`, with upstream's two old names). rustls offers the
/// safe ones of them only, so that naming others makes nothing laxer.
const CIPHER_SUITES: &[&str] = &[
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
/// `memorySwap.swapBehavior`.
const SWAP: &[&str] = &["", "NoSwap", "LimitedSwap"];
/// `imagePullCredentialsVerificationPolicy`.
const VERIFICATION: &[&str] =
    &["", "NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"];

pub(super) fn check_tls(version: &str, suites: &[String], faults: &mut Vec<String>) {
    check("tlsMinVersion", version, TLS_VERSIONS, faults);
    let unknown = suites.iter().filter(|suite| !CIPHER_SUITES.contains(&suite.as_str()));
    faults.extend(unknown.map(|suite| format!("tlsCipherSuites: {suite:?} is no cipher suite of TLS")));
}

pub(super) fn check_swap(behavior: &str, faults: &mut Vec<String>) {
    check("memorySwap.swapBehavior", behavior, SWAP, faults);
}

pub(super) fn check_verification(policy: &str, faults: &mut Vec<String>) {
    check("imagePullCredentialsVerificationPolicy", policy, VERIFICATION, faults);
}

fn check(field: &str, word: &str, known: &[&str], faults: &mut Vec<String>) {
    if !known.contains(&word) {
        let known: Vec<&str> = known.iter().copied().filter(|word| !word.is_empty()).collect();
        faults.push(format!("{field}: want one of {}, got {word:?}", known.join(", ")));
    }
}
