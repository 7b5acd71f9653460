//! What can go wrong before there is an answer.

use std::error::Error;
use std::net::IpAddr;

/// No usable answer. The text is the operator's; it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No connection: name not resolved, refused, TLS not established.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// Host of the URL.
        host: String,
        /// The innermost cause that says something.
        cause: String,
    },
    /// The connection broke before the whole answer was read.
    #[error("the connection to {host} broke: {cause}")]
    Broken {
        /// Host of the URL.
        host: String,
        /// What was seen.
        cause: String,
    },
    /// No whole answer in the time of one attempt.
    #[error("{host} did not answer in time")]
    Timeout {
        /// Host of the URL.
        host: String,
    },
    /// The name resolves to an address that may not be spoken to.
    #[error("{host} is at {address}, which may not be spoken to")]
    AddressRefused {
        /// Host of the URL.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// A redirect: never followed, because credentials would follow it.
    #[error("{host} answered with a redirect ({status}), which is never followed")]
    Redirected {
        /// Host of the URL.
        host: String,
        /// Status code.
        status: u16,
    },
    /// The answer's body is longer than the cap.
    #[error("the answer of {host} is longer than {cap} bytes")]
    TooLarge {
        /// Host of the URL.
        host: String,
        /// The cap in bytes.
        cap: usize,
    },
    /// A compressed body, which was not asked for.
    #[error("the answer of {host} is compressed, which was not asked for")]
    Encoded {
        /// Host of the URL.
        host: String,
    },
    /// The server does not accept the client certificate, or wants one (RFC 8446 §6.2).
    #[error("{host} does not accept this client's certificate: TLS alert {alert}")]
    CertificateRefused {
        /// Host of the URL.
        host: String,
        /// The alert.
        alert: String,
    },
    /// The runtime that sends is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

impl WireError {
    /// True when another attempt may fare better: the connection failed or broke (federation 6.2).
    /// A timeout is not repeated here: the request may have been acted upon.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Broken { .. })
    }

    pub(super) fn from_client(host: &str, error: &hyper_util::client::legacy::Error) -> Self {
        if let Some(refused) = sources(error).find_map(|cause| cause.downcast_ref::<AddressNotAllowed>()) {
            return Self::AddressRefused { host: host.into(), address: refused.0 };
        }
        if let Some(alert) = certificate_alert(error) {
            return Self::CertificateRefused { host: host.into(), alert };
        }
        let (host, cause) = (host.to_owned(), innermost(error));
        if error.is_connect() { Self::Connect { host, cause } } else { Self::Broken { host, cause } }
    }

    pub(super) fn from_body(host: &str, error: &(dyn Error + 'static)) -> Self {
        if let Some(alert) = certificate_alert(error) {
            return Self::CertificateRefused { host: host.into(), alert };
        }
        Self::Broken { host: host.into(), cause: innermost(error) }
    }
}

/// Raised by the resolver, found again in the chain of causes.
#[derive(Debug, thiserror::Error)]
#[error("address {0} may not be spoken to")]
pub(super) struct AddressNotAllowed(pub(super) IpAddr);

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| {
        let cause: &'a (dyn Error + 'static) = *cause;
        // An io::Error hides the error it carries from `source`, which gives the source of that one.
        let carried = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        carried.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}

/// The alert that says what is wrong with this side's certificate. With TLS 1.3 it comes after the handshake, in
/// place of the answer. By its text: on an HTTP/2 connection the error itself is not handed on.
fn certificate_alert(error: &(dyn Error + 'static)) -> Option<String> {
    const ALERTS: [&str; 9] = [
        "AccessDenied",
        "BadCertificate",
        "CertificateExpired",
        "CertificateRequired",
        "CertificateRevoked",
        "CertificateUnknown",
        "DecryptError",
        "UnknownCA",
        "UnsupportedCertificate",
    ];
    sources(error).find_map(|cause| {
        let text = cause.to_string();
        let alert = text.strip_prefix("received fatal alert: ")?;
        ALERTS.contains(&alert).then(|| alert.to_owned())
    })
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let text = sources(error).last().map(ToString::to_string).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
