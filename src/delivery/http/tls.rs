//! Trusted certificates, client certificates, and the meaning of a failed handshake.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

pub(in crate::delivery) use super::verifier::Noted;
use super::verifier::{ShortKey, Verifier};
use crate::config::{ClientCert, Endpoint, KeyError};
use crate::plain_file;

/// Size of the largest file of certificates: more than those of all existing authorities.
const LARGEST: u64 = 16 << 20;

/// A problem of the TLS configuration on this machine. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file of certificates cannot be used.
    #[error("cannot read `{key}` `{}`", path.display())]
    Certificates {
        /// The configuration key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The client certificate's key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file of the client certificate's key holds no key.
    #[error("cannot read `client_key_file` `{}`: it holds no private key in PEM that is not encrypted", .0.display())]
    NoKey(PathBuf),
    /// The client certificate and its key do not go together.
    #[error("cannot use `client_cert_file` `{}` with its key", path.display())]
    ClientCert {
        /// The certificate's file.
        path: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
    /// The machine has no list of authorities.
    #[error("cannot find any certificate authority on this machine")]
    NoAuthorities,
    /// The TLS library does not work.
    #[error("cannot prepare TLS")]
    Library(#[from] rustls::Error),
}

impl TlsFault {
    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoAuthorities => {
                Some("install the package `ca-certificates`, or name a `ca_file`".to_owned())
            }
            Self::NoKey(path) => Some(format!(
                "openssl pkey -in {0} -out {0}.plain, and name that file",
                path.display()
            )),
            Self::Key(error) => error.hint(),
            _ => None,
        }
    }
}

/// The files that an endpoint's connections depend on, in their present versions.
///
/// So a renewed certificate counts from the next attempt on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(in crate::delivery) struct Trust {
    files: [Option<Version>; 3],
}

/// A version of a file: its path, inode number, size and time of modification.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Version(PathBuf, Option<(u64, u64, i64, i64)>);

impl Version {
    fn of(path: &Path) -> Self {
        let seen = fs::metadata(path).ok();
        let seen = seen.map(|meta| (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()));
        Self(path.to_owned(), seen)
    }
}

impl Trust {
    pub(in crate::delivery) fn of(endpoint: &Endpoint) -> Self {
        let client = endpoint.client_cert.as_ref();
        let files = [
            endpoint.ca_file.as_deref(),
            client.map(|client| client.cert_file.as_path()),
            client.map(|client| client.key_file.path.as_path()),
        ];
        Self {
            files: files.map(|file| file.map(Version::of)),
        }
    }
}

/// Fails if an endpoint's certificates and keys cannot be used, as far as that shows without
/// dialling.
pub fn check_tls(endpoint: &Endpoint) -> Result<(), TlsFault> {
    let is_encrypted = endpoint.url.is_encrypted();
    config(is_encrypted.then_some(endpoint)).map(drop)
}

/// Makes the TLS configuration of connections to this endpoint.
///
/// Without an endpoint, for plain http alone, no certificate is loaded.
pub(in crate::delivery) fn config(endpoint: Option<&Endpoint>) -> Result<ClientConfig, TlsFault> {
    config_noting(endpoint, &Noted::default())
}

/// Makes the TLS configuration of connections to this endpoint, which notes why a certificate is
/// rejected.
pub(in crate::delivery) fn config_noting(
    endpoint: Option<&Endpoint>,
    noted: &Noted,
) -> Result<ClientConfig, TlsFault> {
    let mut roots = RootCertStore::empty();
    if let Some(endpoint) = endpoint {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &endpoint.ca_file {
            roots.add_parsable_certificates(certificates("ca_file", path)?);
        }
        if roots.is_empty() {
            return Err(TlsFault::NoAuthorities);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = if roots.is_empty() {
        config.with_root_certificates(roots)
    } else {
        let verifier = Verifier::new(roots, provider, noted)?;
        config
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    };
    match endpoint.and_then(|endpoint| endpoint.client_cert.as_ref()) {
        Some(own) => with_client_cert(config, own),
        None => Ok(config.with_no_client_auth()),
    }
}

fn with_client_cert(
    config: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    own: &ClientCert,
) -> Result<ClientConfig, TlsFault> {
    let certificates = certificates("client_cert_file", &own.cert_file)?;
    let pem = own.key_file.read_whole()?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| TlsFault::NoKey(own.key_file.path.clone()))?;
    config
        .with_client_auth_cert(certificates, key)
        .map_err(|source| TlsFault::ClientCert {
            path: own.cert_file.clone(),
            source,
        })
}

/// Reads the certificates in a file, of which there must be one at least.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let failed = |source| TlsFault::Certificates {
        key,
        path: path.to_owned(),
        source,
    };
    let text = plain_file::read_named(path, LARGEST);
    let text = text.map_err(|error| failed(pem::Error::Io(error)))?;
    let found = CertificateDer::pem_slice_iter(&text);
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// Returns the meaning of a failed handshake, and advice.
///
/// Returns `None` if the library's own words will do.
pub(in crate::delivery) fn explain(
    error: &rustls::Error,
    host: &str,
) -> Option<(String, Option<String>)> {
    let (cause, hint) = match error {
        rustls::Error::InvalidCertificate(why) => explain_certificate(why, host)?,
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::AccessDenied,
        ) => (
            format!("it does not accept our client certificate, or our having none ({error})"),
            "name one in the endpoint's `client_cert_file` and `client_key_file`".to_owned(),
        ),
        rustls::Error::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
        )
        | rustls::Error::PeerIncompatible(_) => (
            format!("it speaks no TLS that is safe ({error})"),
            "the receiver must offer TLS 1.2 or 1.3 with a cipher of today".to_owned(),
        ),
        rustls::Error::InvalidMessage(_) => (
            "what answers there does not speak TLS".to_owned(),
            "is the port right, or the URL `http://`?".to_owned(),
        ),
        _ => return None,
    };
    Some((cause, Some(hint)))
}

fn explain_certificate(why: &CertificateError, host: &str) -> Option<(String, String)> {
    let other = match why {
        CertificateError::Other(other) => Some(&other.0),
        _ => None,
    };
    let by_webpki = other.and_then(|other| other.downcast_ref());
    let is_an_authoritys_own = by_webpki == Some(&webpki::Error::CaUsedAsEndEntity);
    let is_old = by_webpki == Some(&webpki::Error::UnsupportedCertVersion);
    let is_short = other.is_some_and(|other| other.is::<ShortKey>());
    Some(match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its certificate has expired".to_owned(),
            "renew it on the receiver; is the clock here right?".to_owned(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "its certificate is not valid yet".to_owned(),
            "is the clock here right?".to_owned(),
        ),
        CertificateError::NotValidForName => (
            format!("its certificate is not for `{host}`"),
            format!("give the receiver a certificate for `{host}`"),
        ),
        CertificateError::NotValidForNameContext { presented, .. }
            if presented_names(presented).split(", ").any(|name| name == host) =>
        {
            (
                format!("its certificate has the address {host} as a DNS name"),
                format!(
                    "name it as an address in the certificate, `subjectAltName=IP:{host}`, or use \
                     a name in the URL"
                ),
            )
        }
        CertificateError::NotValidForNameContext { presented, .. } => (
            format!(
                "its certificate is not for `{host}` but for {}",
                presented_names(presented)
            ),
            format!("use that name in the URL, or give the receiver a certificate for `{host}`"),
        ),
        CertificateError::BadSignature => (
            "its certificate is signed by another authority than the trusted one of that name"
                .to_owned(),
            "has the authority a new key? then its new certificate belongs in `ca_file`".to_owned(),
        ),
        CertificateError::UnknownIssuer => (
            "its certificate is signed by nobody who is trusted here".to_owned(),
            "if it is yours, name the certificate that signed it in the endpoint's `ca_file`; a \
             self-signed one is its own"
                .to_owned(),
        ),
        _ if is_old => (
            "its certificate, or one that signed it, is of X.509 version 1, which is of no use"
                .to_owned(),
            "give the receiver one of version 3, with a `subjectAltName`".to_owned(),
        ),
        _ if is_short => (
            "its certificate, or one that signed it, has an RSA key of less than 2,048 bits"
                .to_owned(),
            "make a longer key, and a new certificate with it".to_owned(),
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: id,
            ..
        } if is_of_sha1(id) => (
            "its certificate, or one that signed it, is signed with SHA-1, which is not safe"
                .to_owned(),
            "have it signed anew, with SHA-256".to_owned(),
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            "its certificate, or one that signed it, is signed in a way that is not supported"
                .to_owned(),
            "have it signed anew, with SHA-256".to_owned(),
        ),
        CertificateError::BadEncoding => (
            "its certificate is damaged".to_owned(),
            "`openssl s_client -showcerts` shows what the receiver sends".to_owned(),
        ),
        _ if is_an_authoritys_own => (
            "its certificate is that of an authority (`CA:TRUE`), which cannot be a server's".to_owned(),
            "make it one for a server, `basicConstraints=CA:FALSE`, or let the authority sign another"
                .to_owned(),
        ),
        _ => return None,
    })
}

/// Returns whether an algorithm is RSA or ECDSA with SHA-1 (RFC 3279, 2.2).
fn is_of_sha1(algorithm: &[u8]) -> bool {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
    let has = |id| memchr::memmem::find(algorithm, id).is_some();
    has(RSA) || has(ECDSA)
}

/// Joins the names that a certificate is for, as rustls formats them: `DnsName("a.example")`.
fn presented_names(presented: &[String]) -> String {
    let name = |text: &String| {
        let inside = text
            .split_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        inside.unwrap_or(text).trim_matches('"').to_owned()
    };
    let names: Vec<String> = presented.iter().map(name).collect();
    if names.is_empty() {
        "no name at all".to_owned()
    } else {
        names.join(", ")
    }
}
