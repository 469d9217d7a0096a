//! TLS: a real client, and files that cannot be used.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVersion};
use openssl::symm::Cipher;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};

use super::*;
use crate::service::http::tls::Error;
use crate::service::settings::{Flags, Settings};

/// A certificate that is its own issuer, and its key.
struct Identity {
    certificate: X509,
    key: PKey<Private>,
}

fn identity() -> Identity {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "gateway").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    let days = |days| Asn1Time::days_from_now(days).unwrap();
    builder.set_not_before(&days(0)).unwrap();
    builder.set_not_after(&days(2)).unwrap();
    let names = SubjectAlternativeName::new()
        .ip("127.0.0.1")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    Identity { certificate, key }
}

struct Files {
    _directory: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(identity: &Identity) -> Files {
        let directory = tempfile::tempdir().unwrap();
        let files = Files {
            certificate: directory.path().join("tls.crt"),
            key: directory.path().join("tls.key"),
            _directory: directory,
        };
        files.write(identity);
        files
    }

    fn write(&self, identity: &Identity) {
        fs::write(&self.certificate, identity.certificate.to_pem().unwrap()).unwrap();
        let key = identity.key.private_key_to_pem_pkcs8().unwrap();
        fs::write(&self.key, key).unwrap();
    }

    fn load(&self) -> Result<Tls, Error> {
        Tls::load(&self.certificate, &self.key)
    }
}

/// A client that trusts this certificate.
fn connect(
    address: SocketAddr,
    trusted: &X509,
    newest: Option<SslVersion>,
) -> Option<SslStream<TcpStream>> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector
        .cert_store_mut()
        .add_cert(trusted.clone())
        .unwrap();
    connector.set_max_proto_version(newest).unwrap();
    connector.set_alpn_protos(b"\x02h2\x08http/1.1").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    connector.build().connect("127.0.0.1", stream).ok()
}

/// The status of a call over TLS.
async fn call(address: SocketAddr, trusted: &X509) -> Option<String> {
    let trusted = trusted.clone();
    let called = spawn_blocking(move || {
        let mut stream = connect(address, &trusted, None)?;
        assert_eq!(
            stream.ssl().selected_alpn_protocol(),
            Some(&b"http/1.1"[..])
        );
        let request = format!("{NEXT} HTTP/1.1\r\nConnection: close\r\n{LOCAL}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // The end of TLS is the end of the answer.
        stream.read_to_string(&mut answer).unwrap();
        Some(status(&answer).to_owned())
    });
    called.await.unwrap()
}

#[tokio::test]
async fn calls_are_answered_over_tls_and_a_client_without_it_is_not() {
    let identity = identity();
    let files = Files::of(&identity);
    let server = start_with(None, files.load().ok(), 10, 100).await;
    let called = call(server.address, &identity.certificate).await;
    // There is no Kafka.
    assert_eq!(called.as_deref(), Some("503"));
    let plain = server.call(NEXT, LOCAL, "").await;
    assert!(!plain.starts_with("HTTP"), "{plain}");
    let other = self::identity();
    assert_eq!(call(server.address, &other.certificate).await, None);
    let (address, trusted) = (server.address, identity.certificate);
    let old =
        spawn_blocking(move || connect(address, &trusted, Some(SslVersion::TLS1_1)).is_some());
    assert!(!old.await.unwrap());
    server.end().await;
}

#[tokio::test]
async fn a_client_that_is_silent_behind_the_handshake_is_closed_as_one_without_tls() {
    let identity = identity();
    let files = Files::of(&identity);
    let server = start_with(None, files.load().ok(), 10, 100).await;
    let (address, trusted) = (server.address, identity.certificate);
    let closed = spawn_blocking(move || {
        let mut stream = connect(address, &trusted, None).unwrap();
        // The time of an idle connection that has had an answer is longer than the limit of this read.
        let read = stream.read(&mut [0]);
        let raw = TcpStream::connect(address).unwrap();
        raw.set_read_timeout(Some(TIMEOUT)).unwrap();
        (read.is_err() || read.unwrap() == 0, (&raw).read(&mut [0]))
    });
    let (closed, raw) = closed.await.unwrap();
    assert!(closed);
    assert_eq!(raw.unwrap(), 0);
    server.end().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    let (first, second) = (identity(), identity());
    let files = Files::of(&first);
    let tls = files.load().unwrap();
    let following = spawn(tls.clone().follow());
    let server = start_with(None, Some(tls), 10, 100).await;
    assert!(call(server.address, &first.certificate).await.is_some());
    // One file is there before the other: the key is not that of the certificate.
    fs::write(&files.certificate, second.certificate.to_pem().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(call(server.address, &first.certificate).await.is_some());
    files.write(&second);
    let taken = async {
        while call(server.address, &second.certificate).await.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, taken).await.unwrap();
    following.abort();
    server.end().await;
}

#[test]
fn a_file_that_cannot_be_used_says_which_and_why() {
    let identity = identity();
    let reason = |change: &dyn Fn(&Files)| {
        let files = Files::of(&identity);
        change(&files);
        match files.load() {
            Ok(_) => panic!("it can be used"),
            Err(Error::Certificate(reason)) => format!("certificate {reason}"),
            Err(Error::Key(reason)) => format!("key {reason}"),
        }
    };
    let gone = |path: &Path| fs::remove_file(path).unwrap();
    let missing = "cannot be read: No such file or directory (os error 2)";
    assert_eq!(
        reason(&|files| gone(&files.certificate)),
        format!("certificate {missing}")
    );
    assert_eq!(reason(&|files| gone(&files.key)), format!("key {missing}"));
    let no_certificate = "certificate has no certificate in PEM form";
    assert_eq!(
        reason(&|files| fs::write(&files.certificate, "x").unwrap()),
        no_certificate
    );
    let swapped = reason(&|files| fs::rename(&files.key, &files.certificate).unwrap());
    assert!(swapped.starts_with("key cannot be read"), "{swapped}");
    let of_another = reason(&|files| {
        let key = self::identity().key;
        fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    });
    assert!(of_another.starts_with("key is not the private key"));
    let no_key = "key has no private key in PEM form without a passphrase";
    assert_eq!(reason(&|files| fs::write(&files.key, "").unwrap()), no_key);
    let secret = reason(&|files| {
        let cipher = Cipher::aes_256_cbc();
        let key = &identity.key;
        let pem = key.private_key_to_pem_pkcs8_passphrase(cipher, b"x");
        fs::write(&files.key, pem.unwrap()).unwrap();
    });
    assert_eq!(secret, no_key);
}

#[test]
fn tokens_cross_a_network_over_tls_only() {
    let identity = identity();
    let files = Files::of(&identity);
    let callers = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        callers.path(),
        format!(
            "[callers.a]\nsha256 = \"{}\"\nscopes = [\"next:*\"]\n",
            "0".repeat(64)
        ),
    )
    .unwrap();
    let checked = |settings: &[String]| {
        let flags = Flags {
            set: settings.to_vec(),
            ..Flags::default()
        };
        let (settings, _) = Settings::load(&flags, []).map_err(|error| error.to_string())?;
        crate::gateway::serve::check(&settings).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    };
    let set = |key: &str, value: &dyn std::fmt::Display| format!("gateway.{key}={value}");
    let everywhere = set("address", &"0.0.0.0:0");
    let callers = set("callers", &callers.path().display());
    let certificate = set("tls_certificate", &files.certificate.display());
    let key = set("tls_key", &files.key.display());
    let by_proxy = set("tls_by_proxy", &true);
    let here = set("address", &"127.0.0.1:0");
    let none = Ok(());
    assert_eq!(checked(&[here.clone(), callers.clone()]), none);
    let refused = checked(&[everywhere.clone(), callers.clone()]).unwrap_err();
    for word in ["gateway.tls_certificate", "gateway.tls_by_proxy", "0.0.0.0"] {
        assert!(refused.contains(word), "{refused}");
    }
    assert_eq!(
        checked(&[everywhere.clone(), callers.clone(), by_proxy.clone()]),
        none
    );
    let both = [
        everywhere.clone(),
        callers,
        certificate.clone(),
        key.clone(),
    ];
    assert_eq!(checked(&both), none);
    // Without callers nobody elsewhere is answered, with TLS or without it.
    let refused = checked(&[everywhere, certificate.clone(), key.clone(), by_proxy]).unwrap_err();
    assert!(refused.contains("gateway.callers"), "{refused}");
    let refused = checked(&[here.clone(), certificate]).unwrap_err();
    assert!(refused.contains("gateway.tls_key"), "{refused}");
    let refused = checked(&[here.clone(), key.clone()]).unwrap_err();
    assert!(refused.contains("gateway.tls_certificate"), "{refused}");
    let missing = set("tls_certificate", &"/nowhere/tls.crt");
    let refused = checked(&[here, missing, key]).unwrap_err();
    assert!(
        refused.starts_with("gateway.tls_certificate /nowhere/tls.crt: cannot be read"),
        "{refused}"
    );
}
