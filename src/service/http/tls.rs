//! TLS for a port: a certificate and its key from two files, which are read again when they change.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use openssl::pkey::PKey;
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, SslMethod, select_next_proto};
use openssl::x509::X509;
use tracing::{error, info};

/// The interval between two looks at the files. Certificates are renewed days before they end.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// Largest file in bytes: a chain of dozens of certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The protocol that a client may ask for in its first message: HTTP/1.1, after its length.
const ALPN: &[u8] = b"\x08http/1.1";

/// The file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The file of the certificate.
    Certificate(String),
    /// The file of the key.
    Key(String),
}

/// The certificate in force. Clones share it.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Shared>);

struct Shared {
    files: Files,
    acceptor: RwLock<SslAcceptor>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The content of both files.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Reads the files: the certificate with those of its issuers behind it, and its private key, both as PEM.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Tls, Error> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let acceptor = acceptor(&files.read()?)?;
        Ok(Tls(Arc::new(Shared {
            files,
            acceptor: RwLock::new(acceptor),
        })))
    }

    /// A session with the certificate in force. It speaks first when its stream is read.
    pub(super) fn session(&self) -> Result<Ssl, openssl::error::ErrorStack> {
        let acceptor = self.0.acceptor.read();
        let acceptor = acceptor.unwrap_or_else(PoisonError::into_inner);
        let mut session = Ssl::new(acceptor.context())?;
        session.set_accept_state();
        Ok(session)
    }

    /// Reads the files again whenever they have changed. If they cannot be used, the former certificate stays in force.
    pub(crate) async fn follow(self) {
        let mut last = self.0.files.read();
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let now = self.0.files.read();
            if now == last {
                continue;
            }
            match now.as_ref().map_err(Error::clone).and_then(acceptor) {
                Ok(acceptor) => {
                    let known = self.0.acceptor.write();
                    *known.unwrap_or_else(PoisonError::into_inner) = acceptor;
                    info!("new connections get the certificate that is in the file now");
                }
                Err(error) => {
                    let (path, reason) = match error {
                        Error::Certificate(reason) => (&self.0.files.certificate, reason),
                        Error::Key(reason) => (&self.0.files.key, reason),
                    };
                    error!(path = %path.display(), reason, "the former certificate stays in force");
                }
            }
            last = now;
        }
    }
}

impl Files {
    fn read(&self) -> Result<Content, Error> {
        Ok(Content {
            certificate: read(&self.certificate).map_err(Error::Certificate)?,
            key: read(&self.key).map_err(Error::Key)?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut file = file.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("is larger than {FILE_BYTES_MAX} bytes")),
        false => Ok(bytes),
    }
}

fn acceptor(content: &Content) -> Result<SslAcceptor, Error> {
    let refused = |error| Error::Certificate(format!("is refused by OpenSSL: {error}"));
    let chain = X509::stack_from_pem(&content.certificate).unwrap_or_default();
    let mut chain = chain.into_iter();
    let Some(leaf) = chain.next() else {
        return Err(Error::Certificate(
            "has no certificate in PEM form".to_owned(),
        ));
    };
    // Without an answer to this, OpenSSL would ask for a passphrase on the terminal.
    let key = PKey::private_key_from_pem_callback(&content.key, |_| Ok(0)).map_err(|_| {
        Error::Key("has no private key in PEM form without a passphrase".to_owned())
    })?;
    let is_of_leaf = leaf.public_key().is_ok_and(|public| public.public_eq(&key));
    if !is_of_leaf {
        return Err(Error::Key(
            "is not the private key of the first certificate in gateway.tls_certificate".to_owned(),
        ));
    }
    let mut builder =
        SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).map_err(refused)?;
    builder.set_certificate(&leaf).map_err(refused)?;
    for issuer in chain {
        builder.add_extra_chain_cert(issuer).map_err(refused)?;
    }
    builder.set_private_key(&key).map_err(refused)?;
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(ALPN, offered).ok_or(AlpnError::NOACK)
    });
    Ok(builder.build())
}
