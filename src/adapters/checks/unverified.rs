//! TLS like Go's with `InsecureSkipVerify`: nothing about the server's certificate is verified.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ActiveKeyExchange, SupportedKxGroup, ring};
use rustls::{ClientConfig, DigitallySignedStruct, NamedGroup, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connects to any TLS server. The certificate is not parsed: any key, age, name or format is accepted.
#[derive(Clone)]
pub(super) struct Unverified(TlsConnector);

impl Unverified {
    /// # Errors
    /// The TLS library has no protocol version, which is a build error.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let mut provider = ring::default_provider();
        provider.kx_groups.push(&P521);
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unlooked))
            .with_no_client_auth();
        Ok(Self(Arc::new(config).into()))
    }

    /// Performs the handshake. The requested name (SNI) is sent if possible: not for addresses, and not for names that
    /// are invalid in DNS.
    pub(super) async fn connect<S>(&self, host: &str, stream: S) -> io::Result<Lenient<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let nameless = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
        let name = ServerName::try_from(host.to_owned()).unwrap_or(nameless);
        self.0.connect(name, stream).await.map(Lenient)
    }
}

/// Accepts everything. The signatures of the handshake are not verified either: ring does not support all that servers
/// use (P-521, RSA of 1024 bits, ...), and without a trusted certificate they prove nothing.
#[derive(Debug)]
pub(in crate::adapters) struct Unlooked;

impl ServerCertVerifier for Unlooked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        vec![
            S::RSA_PSS_SHA256,
            S::ECDSA_NISTP256_SHA256,
            S::ED25519,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
            S::ECDSA_NISTP384_SHA384,
            S::ECDSA_NISTP521_SHA512,
            S::ED448,
            // `rsa_pss_pss_sha256` and its two siblings: for keys that are restricted to PSS.
            S::Unknown(0x0809),
            S::Unknown(0x080a),
            S::Unknown(0x080b),
            S::RSA_PKCS1_SHA1,
            S::ECDSA_SHA1_Legacy,
        ]
    }
}

/// The curve P-521: servers present P-521 certificates only to clients that list the curve (RFC 8422, 5.1.1). ring does
/// not support key exchange on it: it is listed last, and only a server without any other curve would choose it.
#[derive(Debug)]
struct P521;

impl SupportedKxGroup for P521 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        Err(rustls::Error::General("the server exchanges keys on P-521 alone, which is not supported".to_owned()))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

/// A stream that accepts any end: many servers close the connection without a notification, which Go accepts too
/// (`readRecordOrCCS` in crypto/tls/conn.go).
pub(super) struct Lenient<S>(TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(cx, buf) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
