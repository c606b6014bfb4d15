//! HTTPS checks against openssl's server, with every kind of certificate that servers in pods have.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

/// A server on the loopback that is stopped with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(folder: &Path, options: &str) -> Self {
        let mut child = Command::new("openssl")
            .current_dir(folder)
            .args("s_server -accept 127.0.0.1:0 -www -cert cert.pem -key key.pem".split(' '))
            .args(options.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // `ACCEPT 127.0.0.1:40000`
        let port =
            lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse().ok());
        Self { child, port: port.expect("a port") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn sh(folder: &Path, script: &str) {
    let output = Command::new("sh").current_dir(folder).args(["-ec", script]).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn status(port: u16, host: &str) -> Result<u16, CheckError> {
    let get = HttpGet { tls: true, host: host.into(), port, target: "/".into(), headers: vec![], host_header: None };
    let checks = NetChecks::new("kube-probe/1.37").expect("checks");
    checks.http(&get, Some(Duration::from_secs(30))).await.map(|answer| answer.status)
}

#[tokio::test]
async fn no_certificate_is_too_odd_for_a_check() {
    let self_signed = |key: &str, more: &str| {
        format!("openssl req -x509 -nodes -newkey {key} -keyout key.pem -out cert.pem -subj /CN=x -days 9 {more}")
    };
    let version_1 = "openssl req -new -nodes -newkey rsa:2048 -keyout key.pem -out request.pem -subj /CN=x
                     openssl x509 -req -in request.pem -key key.pem -out cert.pem -days 9";
    let weak = "-cipher ALL:@SECLEVEL=0";
    let kinds = [
        ("X.509 v1", version_1.to_owned(), ""),
        ("RSA of 1024 bits", self_signed("rsa:1024", ""), weak),
        ("RSA of 512 bits", self_signed("rsa:512", ""), weak),
        ("signed by SHA-1", self_signed("rsa:2048", "-sha1"), weak),
        ("signed by MD5", self_signed("rsa:2048", "-md5"), weak),
        ("RSA-PSS", self_signed("rsa-pss", "-pkeyopt rsa_keygen_bits:2048"), ""),
        ("P-256", self_signed("ec", "-pkeyopt ec_paramgen_curve:P-256"), ""),
        ("P-384", self_signed("ec", "-pkeyopt ec_paramgen_curve:P-384"), ""),
        ("P-521", self_signed("ec", "-pkeyopt ec_paramgen_curve:P-521"), ""),
        ("Ed25519", self_signed("ed25519", ""), ""),
        ("Ed448", self_signed("ed448", ""), ""),
        ("unknown critical extension", self_signed("rsa:2048", "-addext 1.2.3.4=critical,ASN1:UTF8String:x"), ""),
        ("for clients", self_signed("rsa:2048", "-addext extendedKeyUsage=critical,clientAuth"), ""),
        ("garbage names", self_signed("rsa:2048", "-addext subjectAltName=DNS:..*.-_,IP:0.0.0.0,URI:x"), ""),
        ("no names", self_signed("rsa:2048", "-subj /"), ""),
        ("expired", version_1.replace("-days 9", "-days -1"), ""),
        (
            "long serial number",
            self_signed("rsa:2048", "-set_serial 0x1234567890123456789012345678901234567890123456"),
            "",
        ),
    ];
    let mut broken = Vec::new();
    for (kind, script, options) in kinds {
        let folder = tempfile::tempdir().expect("a folder");
        // What the installed openssl cannot create is no server's certificate either.
        sh(folder.path(), &script);
        for version in ["-tls1_2", "-tls1_3"] {
            // Keys of 512 bits are too small for the signatures of TLS 1.3; the other two work only with TLS 1.3 here,
            // and never in Go.
            let beyond = [("RSA of 512 bits", "-tls1_3"), ("Ed448", "-tls1_2"), ("RSA-PSS", "-tls1_2")];
            if beyond.contains(&(kind, version)) {
                continue;
            }
            let server = Server::start(folder.path(), &format!("{version} {options}"));
            let answer = status(server.port, "127.0.0.1").await;
            if answer != Ok(200) {
                broken.push(format!("{kind} {version}: {answer:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn names_and_requests_for_client_certificates_stand_in_no_way() {
    let folder = tempfile::tempdir().expect("a folder");
    sh(folder.path(), "openssl req -x509 -nodes -newkey rsa:2048 -keyout key.pem -out cert.pem -subj /CN=x -days 9");
    let server = Server::start(folder.path(), "-verify 1 -servername y -cert2 cert.pem -key2 key.pem");
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(status(server.port, host).await, Ok(200), "{host}");
    }
}
