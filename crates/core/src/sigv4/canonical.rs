//! The request in the one form that both sides derive from it.

use std::borrow::Cow;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use zeroize::Zeroizing;

/// Names of the headers that are signed, in order. A header is signed with all its values or not at all.
pub(super) fn names(headers: &HeaderMap, signed: fn(&HeaderName, &HeaderValue) -> bool) -> Vec<HeaderName> {
    let all = |name: &&HeaderName| headers.get_all(*name).iter().all(|value| signed(name, value));
    let mut names: Vec<HeaderName> = headers.keys().filter(all).cloned().collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names
}

/// `a;b;c`
pub(super) fn joined(names: &[HeaderName]) -> String {
    names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(";")
}

/// SHA-256 over the canonical request, as it stands in the text that is signed.
pub(super) fn digest(request: &Request<Bytes>, names: &[HeaderName]) -> String {
    sha256(&canonical(request, names))
}

/// The canonical request. It holds the session token.
pub(super) fn canonical(request: &Request<Bytes>, names: &[HeaderName]) -> Zeroizing<Vec<u8>> {
    // Room for a long session token: what is moved while growing is not wiped.
    let mut out = Zeroizing::new(Vec::with_capacity(8 * 1024));
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    for line in [request.method().as_str(), &encoded_path(path), &sorted_query(query)] {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    for name in names {
        out.extend_from_slice(name.as_str().as_bytes());
        out.push(b':');
        for (at, value) in request.headers().get_all(name).iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            fold(&mut out, value.as_bytes());
        }
        out.push(b'\n');
    }
    for last in ["\n", &joined(names), "\n", &sha256(request.body())] {
        out.extend_from_slice(last.as_bytes());
    }
    out
}

/// Trimmed, and every run of spaces one space.
fn fold(out: &mut Vec<u8>, value: &[u8]) {
    let words =
        value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// Without empty and dot segments (RFC 3986 §5.2.4), each byte of what is sent encoded once more.
fn encoded_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut out = String::from("/");
    for (at, segment) in kept.iter().enumerate() {
        if at > 0 {
            out.push('/');
        }
        encode(&mut out, segment.as_bytes());
    }
    if path.ends_with('/') && !kept.is_empty() {
        out.push('/');
    }
    out
}

/// By name, then by value, both encoded in the one way.
fn sorted_query(query: &str) -> String {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (mut one, mut other) = (String::new(), String::new());
        encode(&mut one, &decoded(name));
        encode(&mut other, &decoded(value));
        (one, other)
    };
    let mut pairs: Vec<_> = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Percent-encoding undone; what is none stays.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        match (digit(after.first()), digit(after.get(1))) {
            (Some(high), Some(low)) if *first == b'%' => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

/// RFC 3986 §2.3: everything but the unreserved.
fn encode(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    out.extend(
                        char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()),
                    );
                }
            }
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}
