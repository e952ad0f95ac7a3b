//! Secrets of BMCs. All of them follow from the environment's, so that nothing is kept twice: who has that has these.

use std::path::Path;

use base64ct::{Base64, Encoding};
use maquette_core::blueprint::BmcNode;
use maquette_core::names::EnvName;
use maquette_core::values::{BmcCredentials, Secret};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber, date_time_ymd,
};
use thiserror::Error;
use uuid::Uuid;

use crate::private_file::read_text;
use crate::ssh_keys::RecordKey;

/// The file in a workspace with the account of BMCs, where that is another than usual.
pub const CREDENTIALS: &str = "bmc-credentials";

/// A certificate could not be made.
#[derive(Debug, Error)]
#[error("cannot make the certificate of a BMC")]
pub struct SecretsError(#[from] Error);

/// Secrets of an environment's BMCs.
pub struct BmcSecrets {
    key: RecordKey,
    environment: EnvName,
    credentials: BmcCredentials,
}

/// What an Ed25519 key begins with in PKCS #8 (RFC 8410); the key itself follows.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Letters of passwords: none that is taken for another, and none that a shell or YAML takes apart.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Letters of a password: 80 bits, and no more than IPMI takes.
const LENGTH: usize = 16;

impl BmcSecrets {
    /// The secrets of an environment, from the key of its records and what was chosen of accounts.
    pub fn new(key: &RecordKey, environment: &EnvName, credentials: &BmcCredentials) -> Self {
        let (key, environment) = (key.clone(), environment.clone());
        Self { key, environment, credentials: credentials.clone() }
    }

    /// Those of the environment that a workspace has built, if it has built any.
    pub fn read(workspace: &Path, environment: &EnvName) -> Option<Self> {
        let key = RecordKey::read(workspace)?;
        let chosen = read_text(&workspace.join(CREDENTIALS)).ok();
        let credentials = chosen.and_then(|text| text.trim_end_matches('\n').parse().ok());
        Some(Self::new(&key, environment, &credentials.unwrap_or_default()))
    }

    /// The account's name.
    pub fn user(&self) -> &str {
        match &self.credentials {
            BmcCredentials::Chosen { user, .. } => user,
            BmcCredentials::Node | BmcCredentials::Environment => BmcCredentials::USER,
        }
    }

    /// The password of a node's BMC.
    pub fn password(&self, node: Uuid) -> Secret {
        let bytes = match &self.credentials {
            BmcCredentials::Chosen { password, .. } => return password.clone(),
            BmcCredentials::Node => self.key.derive("bmc password", node.as_bytes()),
            BmcCredentials::Environment => self.key.derive("bmc password of all", &[]),
        };
        let letters = bytes.iter().take(LENGTH).map(|b| char::from(LETTERS[usize::from(b % 32)]));
        Secret::new(letters.collect::<String>())
    }

    /// The certificate of the authority that signs those of all BMCs, as PEM.
    pub fn authority(&self) -> Result<String, SecretsError> {
        let key = self.authority_key()?;
        Ok(pem("CERTIFICATE", self.authority_params().self_signed(&key)?.der()))
    }

    /// The certificate of a node's BMC with that of the authority, and its private key, as PEM.
    pub fn certificate(&self, node: &BmcNode) -> Result<(String, Secret), SecretsError> {
        let key = key_pair(self.key.derive("bmc key", node.uuid.as_bytes()))?;
        let authority = Issuer::new(self.authority_params(), self.authority_key()?);
        let certificate = self.params(node)?.signed_by(&key, &authority)?;
        let chain = pem("CERTIFICATE", certificate.der()) + &self.authority()?;
        Ok((chain, Secret::new(pem("PRIVATE KEY", key.serialized_der()))))
    }

    fn authority_key(&self) -> Result<KeyPair, SecretsError> {
        key_pair(self.key.derive("bmc authority", &[]))
    }

    fn authority_params(&self) -> CertificateParams {
        let name = format!("Maquette environment {}", self.environment);
        let mut params = params(&name, self.key.derive("bmc authority serial", &[]));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn params(&self, node: &BmcNode) -> Result<CertificateParams, SecretsError> {
        // Another address is another certificate, which has a number of its own.
        let what = [node.uuid.as_bytes(), node.bmc.address.to_string().as_bytes()].concat();
        let mut params = params(node.name.as_str(), self.key.derive("bmc serial", &what));
        params.subject_alt_names = vec![
            SanType::IpAddress(node.bmc.address),
            SanType::DnsName(node.name.to_string().try_into()?),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}

/// What all certificates have. Their dates say nothing, so that they are the same whenever they are made.
fn params(name: &str, serial: [u8; 32]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    // A number that is not negative.
    let mut number = serial[..16].to_vec();
    number[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&number));
    params
}

fn key_pair(secret: [u8; 32]) -> Result<KeyPair, SecretsError> {
    let der = [PKCS8.as_slice(), &secret].concat();
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &PKCS_ED25519)?)
}

/// Text as RFC 7468 has it.
fn pem(label: &str, der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}
