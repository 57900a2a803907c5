//! Receivers that speak TLS, with certificates of every kind.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

/// A private certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = rcgen::DnValue::Utf8String(name.to_owned());
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as a `ca_file` has it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate that it signs, with changes.
    pub(crate) fn sign(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate, key }
    }
}

impl Identity {
    /// A certificate that nobody but itself signed.
    pub(crate) fn self_signed(name: &str, is_ca: IsCa) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, key }
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// A receiver that speaks TLS and answers 200.
pub(crate) struct TlsReceiver {
    address: SocketAddr,
    /// What arrived whole, and whether the sender showed a certificate.
    arrived: Arc<Mutex<Vec<(String, bool)>>>,
}

impl TlsReceiver {
    /// `clients` signs the certificates of those who may connect; `None`: anybody may.
    pub(crate) fn start(own: &Identity, clients: Option<&Authority>) -> Self {
        Self::serve(server_config(own, clients))
    }

    /// One whose certificate and key are in `tests/data/tls`.
    pub(crate) fn of_data(certificate: &str) -> Self {
        let path = |name: &str| format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        let chain = vec![CertificateDer::from_pem_file(path(certificate)).unwrap()];
        let key = PrivateKeyDer::from_pem_file(path("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // It is sent as it is, whatever it says.
        let signing = provider.key_provider.load_private_key(key).unwrap();
        let certified = Arc::new(CertifiedKey::new(chain, signing));
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        Self::serve(builder.with_no_client_auth().with_cert_resolver(resolver))
    }

    fn serve(config: ServerConfig) -> Self {
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrived);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), config) = (stream, Arc::clone(&config)) else {
                    return;
                };
                let seen = Arc::clone(&seen);
                thread::spawn(move || {
                    let (request, is_known) = converse(stream, config)?;
                    seen.lock().unwrap().push((request, is_known));
                    io::Result::Ok(())
                });
            }
        });
        Self { address, arrived }
    }

    /// Its URL, under this name of the machine.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/hook", self.address.port())
    }

    pub(crate) fn take(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut self.arrived.lock().unwrap())
    }
}

/// What a server with this certificate accepts. `clients` signs the certificates of those who may
/// connect; `None`: anybody may.
pub(crate) fn server_config(own: &Identity, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![own.certificate.der().clone()];
    builder.with_single_cert(chain, own.key_der()).unwrap()
}

/// Takes one request, and answers it.
fn converse(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<(String, bool)> {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let mut bytes = Vec::new();
    let text = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&bytes);
        if length == 0 || text.ends_with('}') {
            break text.into_owned();
        }
    };
    let is_known = stream.conn.peer_certificates().is_some();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    stream.flush()?;
    Ok((text, is_known))
}
