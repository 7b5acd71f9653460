//! What an issuer gives: a token, free or bound to a key, or a set of AWS keys.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::bound::BoundToken;
use crate::secret::Secret;

/// What a step of a chain is granted, and what the server's credential is made of.
pub enum Material {
    /// A token, an API key, a password: one secret.
    Token(Secret),
    /// A token that goes with a proof.
    Bound(BoundToken),
    /// Temporary AWS keys.
    Aws(AwsKeys),
}

/// Temporary AWS keys (AWS STS API, `Credentials`).
pub struct AwsKeys {
    /// `AccessKeyId`; not secret.
    pub access_key_id: Box<str>,
    /// `SecretAccessKey`
    pub secret_access_key: Secret,
    /// `SessionToken`
    pub session_token: Secret,
}

impl Material {
    /// The token, where whoever holds it may use it; None for AWS keys, and for a token that goes with a proof.
    pub fn token(&self) -> Option<&Secret> {
        match self {
            Self::Token(token) => Some(token),
            Self::Bound(_) | Self::Aws(_) => None,
        }
    }

    /// The token that another token endpoint may be asked with, bound or not; None for AWS keys.
    pub fn subject(&self) -> Option<&Secret> {
        match self {
            Self::Token(token) => Some(token),
            Self::Bound(bound) => Some(bound.token()),
            Self::Aws(_) => None,
        }
    }

    /// The token that goes with a proof.
    pub fn bound(&self) -> Option<&BoundToken> {
        match self {
            Self::Bound(bound) => Some(bound),
            Self::Token(_) | Self::Aws(_) => None,
        }
    }

    /// The AWS keys; None for a token.
    pub fn aws(&self) -> Option<&AwsKeys> {
        match self {
            Self::Aws(keys) => Some(keys),
            Self::Token(_) | Self::Bound(_) => None,
        }
    }

    /// Bytes that it takes, about.
    pub fn size(&self) -> usize {
        match self {
            Self::Token(token) => token.len(),
            Self::Bound(bound) => bound.token().len(),
            Self::Aws(keys) => {
                keys.access_key_id.len() + keys.secret_access_key.len() + keys.session_token.len()
            }
        }
    }

    /// True when both hold the same secret. Takes the same time wherever they differ.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) => same(one, other),
            (Self::Bound(one), Self::Bound(other)) => same(one.token(), other.token()),
            (Self::Aws(one), Self::Aws(other)) => {
                one.access_key_id == other.access_key_id
                    && same(&one.secret_access_key, &other.secret_access_key)
                    && same(&one.session_token, &other.session_token)
            }
            _ => false,
        }
    }
}

fn same(one: &Secret, other: &Secret) -> bool {
    verify_slices_are_equal(one.expose(), other.expose()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn keys(secret_key: &str) -> Material {
        Material::Aws(AwsKeys {
            access_key_id: "ASIA".into(),
            secret_access_key: secret(secret_key),
            session_token: secret("session"),
        })
    }

    #[test]
    fn the_same_secret_is_the_same_and_another_or_another_kind_is_not() {
        assert!(Material::Token(secret("a")).is_same_as(&Material::Token(secret("a"))));
        assert!(!Material::Token(secret("a")).is_same_as(&Material::Token(secret("b"))));
        assert!(keys("k").is_same_as(&keys("k")));
        assert!(!keys("k").is_same_as(&keys("other")));
        assert!(!keys("k").is_same_as(&Material::Token(secret("k"))));
    }
}
