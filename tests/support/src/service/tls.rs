//! The service's own certificate authority: a certificate for any host, minted when asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority that lives as long as the service.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    minted: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "claude-safe test authority");
        let key = KeyPair::generate().expect("a key can be generated");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are valid");
        Self { issuer, minted: Mutex::default() }
    }

    /// The authority's certificate, for `NODE_EXTRA_CA_CERTS`.
    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// TLS settings with a certificate for `host`.
    pub(super) fn config_for(&self, host: &str) -> Arc<ServerConfig> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(minted.entry(host.to_owned()).or_insert_with(|| Arc::new(self.mint(host))))
    }

    fn mint(&self, host: &str) -> ServerConfig {
        let key = KeyPair::generate().expect("a key can be generated");
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host name");
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let chain: Vec<CertificateDer<'static>> = vec![leaf.into()];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key belongs to the certificate")
    }
}
