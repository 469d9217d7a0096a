//! A small identity provider. It issues tokens for client credentials, over TLS.
//!
//! The tokens are not signed. The broker of the tests accepts such tokens, since the check of signatures concerns only
//! providers and brokers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

use super::certificates::Authority;
use super::cluster;

/// The client that may get tokens, and its secret. Both have characters that must be encoded.
pub const CLIENT_ID: &str = "sequencer:prod";
pub const CLIENT_SECRET: &str = "planted-oidc 77&";
/// The name of the client in its tokens.
pub const SUBJECT: &str = "service-account-sequencer";

/// The time after which the provider gives up a request that does not end.
const READ_MAX: Duration = Duration::from_secs(5);

/// A provider, which runs until the process ends.
pub struct Provider {
    port: u16,
    fetched: Arc<AtomicUsize>,
    /// The authority that signed the provider's certificate.
    pub authority: PathBuf,
}

impl Provider {
    /// Starts a provider whose tokens are valid for `life`.
    pub fn start(life: Duration) -> Provider {
        let authority = Authority::new("authority of the identity provider");
        let identity = authority.sign("127.0.0.1", 30);
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        let key = PKey::private_key_from_pem(identity.key.as_bytes()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        let certificate = X509::from_pem(identity.chain.as_bytes()).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = cluster::directory().join(format!("identity-{port}.pem"));
        fs::write(&path, authority.pem()).unwrap();
        let fetched = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&fetched);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that does not trust this authority ends the handshake.
                let _ = answer(&acceptor, stream, life, &counter);
            }
        });
        Provider {
            port,
            fetched,
            authority: path,
        }
    }

    /// The URL of the token endpoint.
    pub fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}/realms/test/token", self.port)
    }

    /// The number of tokens issued.
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }
}

fn answer(
    acceptor: &SslAcceptor,
    stream: TcpStream,
    life: Duration,
    fetched: &AtomicUsize,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_MAX))?;
    let stream = acceptor.accept(stream).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(stream);
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.to_owned(),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let right = STANDARD.encode("sequencer%3Aprod:planted-oidc+77%26");
    let (status, body) = if authorization != format!("Basic {right}") {
        let body = r#"{"error":"invalid_client","error_description":"Invalid client credentials"}"#;
        ("401 Unauthorized", body.to_owned())
    } else if body != b"grant_type=client_credentials&scope=kafka" {
        (
            "400 Bad Request",
            r#"{"error":"invalid_request"}"#.to_owned(),
        )
    } else {
        fetched.fetch_add(1, Ordering::Relaxed);
        let (token, seconds) = (token(life), life.as_secs());
        let body = format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds},"scope":"kafka"}}"#
        );
        ("200 OK", body)
    };
    let length = body.len();
    write!(
        stream.get_mut(),
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.get_mut().flush()
}

fn token(life: Duration) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let claims = format!(
        r#"{{"sub":"{SUBJECT}","iat":{},"exp":{}}}"#,
        now.as_secs(),
        (now + life).as_secs()
    );
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims))
}
