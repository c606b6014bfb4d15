//! Detached JSON Web Signatures with HS256, by which a bootstrap token signs `cluster-info`
//! (`k8s.io/cluster-bootstrap/token/jws`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// Signs as the controller manager's bootstrap signer does: `header..signature`.
pub fn sign(content: &str, id: &str, secret: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{id}"}}"#));
    let signature = URL_SAFE_NO_PAD.encode(mac(&header, content, secret).finalize().into_bytes());
    format!("{header}..{signature}")
}

/// True when `jws` is a signature of `content` by this token: its id as key id, its secret as key.
pub fn is_signed(content: &str, jws: &str, id: &str, secret: &str) -> bool {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        kid: String,
    }
    let mut parts = jws.split('.');
    let (Some(header), Some(""), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let decoded = URL_SAFE_NO_PAD.decode(header).ok().and_then(|json| serde_json::from_slice::<Header>(&json).ok());
    let known = decoded.is_some_and(|decoded| decoded.alg == "HS256" && decoded.kid == id);
    // Constant-time comparison.
    let matches = |signature: Vec<u8>| mac(header, content, secret).verify_slice(&signature).is_ok();
    known && URL_SAFE_NO_PAD.decode(signature).is_ok_and(matches)
}

fn mac(header: &str, content: &str, secret: &str) -> Hmac<Sha256> {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{header}.{}", URL_SAFE_NO_PAD.encode(content)).as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "Hello from the other side. I must have called a thousand times.";
    const SECRET: &str = "my voice is my passcode";

    // Upstream's vectors (`jws_test.go`).
    const SIGNED: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8";
    const SIGNED_NOTHING: &str =
        "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..7Ui1ALizW4jXphVUB7xUqC9vLYLL9RZeOFfVLoB7Tgk";

    #[test]
    fn signatures_are_those_of_upstream() {
        assert_eq!(sign(CONTENT, "joshua", SECRET), SIGNED);
        assert_eq!(sign("", "joshua", SECRET), SIGNED_NOTHING);
        assert!(is_signed(CONTENT, SIGNED, "joshua", SECRET));
    }

    #[test]
    fn another_content_id_secret_algorithm_or_form_is_refused() {
        assert!(!is_signed("Hello", SIGNED, "joshua", SECRET));
        assert!(!is_signed(CONTENT, SIGNED, "other", SECRET));
        assert!(!is_signed(CONTENT, SIGNED, "joshua", "wrong"));
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"joshua"}"#);
        assert!(!is_signed(CONTENT, &format!("{none}.."), "joshua", SECRET));
        for malformed in
            ["", "..", ".", &SIGNED.replace("..", "."), &SIGNED.replace("..", ".e30."), &format!("{SIGNED}.")]
        {
            assert!(!is_signed(CONTENT, malformed, "joshua", SECRET), "{malformed}");
        }
    }
}
