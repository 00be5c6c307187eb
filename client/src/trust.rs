//! Whose word is taken for who a server is, where the address is `wss://`. One cryptographic provider, chosen here, so that
//! nothing depends on what else the process has installed.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The certificates that a server's own must lead back to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system trusts, or that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    #[default]
    System,
    /// These alone, as PEM: an authority of one's own, or the server's own certificate if it signed itself.
    Pem(Vec<u8>),
}

/// Why there is nothing to check a server by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("the system has no certificates to trust")]
    NoneInSystem,
    #[error("the certificates to trust are not PEM, or none is among them")]
    NotPem,
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TrustError::NoneInSystem);
                }
            }
            Self::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    roots.add(certificate.map_err(|_| TrustError::NotPem)?)?;
                }
                if roots.is_empty() {
                    return Err(TrustError::NotPem);
                }
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
        Ok(Arc::new(config))
    }
}
