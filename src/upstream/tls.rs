//! Roots to trust for an `https://` upstream: the public ones, and a file of the operator's.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file can't be read as PEM certificates.
    #[error("{0} holds no certificates that can be read: {1}")]
    File(String, String),
    /// The TLS library refused.
    #[error("TLS can't be set up: {0}")]
    Config(#[from] rustls::Error),
}

/// Builds a client configuration that trusts the public roots and those in `ca_file`.
///
/// # Errors
/// The file can't be read, or holds no certificate.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = ca_file {
        let broken = |why: String| TlsError::File(path.display().to_string(), why);
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|e| broken(e.to_string()))?;
        let mut found = 0;
        for certificate in certificates {
            roots.add(certificate.map_err(|e| broken(e.to_string()))?)?;
            found += 1;
        }
        if found == 0 {
            return Err(broken("it is empty".to_owned()));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
