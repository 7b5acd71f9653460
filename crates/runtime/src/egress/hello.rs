//! The first bytes of a connection: which name a TLS greeting asks for, and whether it is HTTP at all.

use rustls::server::Acceptor;

/// First byte of a TLS record that holds a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
/// A greeting longer than this is none.
const LONGEST: usize = 64 << 10;

/// What the first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// More are needed to tell.
    More,
    /// A greeting of TLS that asks for this name, in lower case.
    Tls(Option<String>),
    /// It began like TLS and is not.
    Broken,
    /// The beginning of a request of HTTP/1.
    Http,
    /// Anything else.
    Other,
}

/// Tells from the bytes that came so far.
pub(crate) fn first(bytes: &[u8]) -> First {
    match bytes {
        [] => First::More,
        [HANDSHAKE, ..] => tls(bytes),
        _ => http(bytes),
    }
}

fn tls(bytes: &[u8]) -> First {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    loop {
        let before = rest.len();
        if before > 0 && acceptor.read_tls(&mut rest).is_err() {
            return First::Broken;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return First::Tls(accepted.client_hello().server_name().map(str::to_owned));
            }
            Ok(None) if rest.len() < before => {}
            Ok(None) if bytes.len() < LONGEST => return First::More,
            Ok(None) | Err(_) => return First::Broken,
        }
    }
}

/// A method and a space, as in `GET `. `PRI * HTTP/2.0` is no request of HTTP/1.
fn http(bytes: &[u8]) -> First {
    /// The longest method that is in use is shorter.
    const LONGEST_METHOD: usize = 24;
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    match bytes.get(method) {
        Some(b' ') if method > 0 && bytes.get(..method) != Some(b"PRI") => First::Http,
        None if method <= LONGEST_METHOD => First::More,
        _ => First::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;

    use super::{First, first};

    fn greeting(name: &str) -> Vec<u8> {
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_greeting_tells_its_name_when_it_is_whole() {
        let bytes = greeting("api.example.com");
        assert_eq!(first(&bytes), First::Tls(Some("api.example.com".into())));
        for end in 1..bytes.len() {
            assert_eq!(first(&bytes[..end]), First::More, "{end}");
        }
    }

    #[test]
    fn a_greeting_in_many_small_records_tells_its_name_too() {
        let bytes = greeting("api.example.com");
        let (head, body) = bytes.split_at(5);
        let mut small = Vec::new();
        for part in body.chunks(7) {
            small.extend_from_slice(&head[..3]);
            small.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
            small.extend_from_slice(part);
        }
        assert_eq!(first(&small), First::Tls(Some("api.example.com".into())));
    }

    #[test]
    fn a_greeting_for_an_address_names_nobody() {
        assert_eq!(first(&greeting("127.0.0.1")), First::Tls(None));
    }

    #[test]
    fn what_only_begins_like_tls_is_broken() {
        assert_eq!(first(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"), First::Broken);
        assert_eq!(first(&[22; 200]), First::Broken);
    }

    #[test]
    fn http_is_told_by_its_method() {
        assert_eq!(first(b"GET / HTTP/1.1\r\n"), First::Http);
        assert_eq!(first(b"M-SEARCH * HTTP/1.1\r\n"), First::Http);
        assert_eq!(first(b"GE"), First::More);
        assert_eq!(first(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), First::Other);
        assert_eq!(first(b"SSH-2.0-OpenSSH_9.2\r\n"), First::Other);
        assert_eq!(first(b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), First::Other);
    }
}
