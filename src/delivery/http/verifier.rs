//! Verifying certificates with webpki.
//!
//! If webpki reports a bad signature, and a key is too short for it, the short key is reported
//! instead.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

/// An RSA key of less than 2,048 bits, with which nothing can be verified.
#[derive(Debug, thiserror::Error)]
#[error("an RSA key of less than 2,048 bits")]
pub(super) struct ShortKey;

/// The error with which a certificate was rejected last. Clones share it.
///
/// A library that makes connections itself passes on the text of an error alone.
#[derive(Clone, Debug, Default)]
pub(in crate::delivery) struct Noted(Arc<Mutex<Option<Error>>>);

impl Noted {
    fn note(&self, error: &Error) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some(error.clone());
    }

    /// Returns the error, and forgets it.
    #[cfg(feature = "amqp")]
    pub(in crate::delivery) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Verifies the certificates of receivers.
#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    noted: Noted,
}

impl Verifier {
    pub(super) fn new(
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
        noted: &Noted,
    ) -> Result<Arc<Self>, Error> {
        let roots = Arc::new(roots);
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider);
        let webpki = webpki.build();
        let webpki = webpki.map_err(|error| Error::General(error.to_string()))?;
        let noted = noted.clone();
        Ok(Arc::new(Self {
            webpki,
            roots,
            noted,
        }))
    }

    /// Returns the error of a certificate or its signature, and notes it.
    fn rejected(&self, error: Error, is_short: bool) -> Error {
        let error = explained(error, is_short);
        self.noted.note(&error);
        error
    }

    fn has_short_key(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else {
            return false;
        };
        let issuer = certificate.issuer();
        let mut issuers = self.roots.roots.iter();
        is_short(&certificate.subject_public_key_info())
            || issuers
                .any(|root| *root.subject == *issuer && is_short(&root.subject_public_key_info))
    }
}

/// Returns whether a public key (RFC 5280, 4.1) is an RSA key of less than 2,048 bits.
///
/// A key of 2,048 bits takes 290 bytes.
fn is_short(key: &[u8]) -> bool {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    key.len() < 270 && memchr::memmem::find(key, RSA).is_some()
}

/// Replaces a signature's error by that of a short key, if a key is short.
fn explained(error: Error, is_short: bool) -> Error {
    let is_bad = matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        )
    );
    if is_bad && is_short {
        CertificateError::Other(OtherError(Arc::new(ShortKey))).into()
    } else {
        error
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(own, others, name, ocsp, now);
        verified.map_err(|error| {
            let mut all = others.iter().chain([own]);
            self.rejected(error, all.any(|one| self.has_short_key(one)))
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.webpki.verify_tls12_signature(message, own, signed);
        verified.map_err(|error| self.rejected(error, self.has_short_key(own)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.webpki.verify_tls13_signature(message, own, signed);
        verified.map_err(|error| self.rejected(error, self.has_short_key(own)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
