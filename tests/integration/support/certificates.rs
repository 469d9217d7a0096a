//! Certificates for one run: an authority, and the certificates that it signs for a broker.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// Days for which a certificate is valid: long enough for a run, also with clocks that differ.
const VALID_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 86_400;

/// A certificate authority.
pub struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// A broker's certificate and its private key, as PEM.
pub struct Identity {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = key();
        let mut builder = builder(name, &key, -1, VALID_DAYS);
        builder.set_issuer_name(&subject(name)).unwrap();
        let constraints = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(constraints).unwrap();
        let usage = KeyUsage::new().critical().key_cert_sign().build().unwrap();
        builder.append_extension(usage).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Authority {
            key,
            certificate: builder.build(),
        }
    }

    /// The authority's own certificate, for clients that trust it.
    pub fn pem(&self) -> String {
        text(self.certificate.to_pem().unwrap())
    }

    /// Signs an identity for an address, valid until this many days from now.
    pub fn sign(&self, address: &str, until_days: i64) -> Identity {
        let key = key();
        let mut builder = builder(address, &key, until_days.min(0) - 2, until_days);
        builder
            .set_issuer_name(self.certificate.subject_name())
            .unwrap();
        let names = SubjectAlternativeName::new()
            .ip(address)
            .build(&builder.x509v3_context(Some(&self.certificate), None))
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Identity {
            chain: text(builder.build().to_pem().unwrap()),
            key: text(key.private_key_to_pem_pkcs8().unwrap()),
        }
    }
}

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

fn builder(name: &str, key: &PKey<Private>, from_days: i64, until_days: i64) -> X509Builder {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_secs() as i64;
    let at = |days: i64| Asn1Time::from_unix(now + days * DAY_SECONDS).unwrap();
    let mut builder = X509::builder().unwrap();
    // Version 3: the field counts from 0.
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(now as u32).unwrap().to_asn1_integer();
    builder.set_serial_number(&serial.unwrap()).unwrap();
    builder.set_subject_name(&subject(name)).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&at(from_days)).unwrap();
    builder.set_not_after(&at(until_days)).unwrap();
    builder
}

fn subject(name: &str) -> X509Name {
    let mut builder: X509NameBuilder = X509Name::builder().unwrap();
    builder.append_entry_by_text("CN", name).unwrap();
    builder.build()
}

fn text(pem: Vec<u8>) -> String {
    String::from_utf8(pem).unwrap()
}
