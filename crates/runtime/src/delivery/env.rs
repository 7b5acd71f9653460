//! `env`: the credential in the instance's own environment, from its start.
//!
//! A process's environment cannot be changed from outside. A server that works on longer than the credential holds finds it
//! ended; the next call starts another instance (see [`super::Freshness::Stale`]). Where a server can read a file or ask an
//! endpoint, that is better.

use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;

use super::{DeliveryError, Environment, copy, plain, variable};

/// In which variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Env {
    /// A token in one variable.
    Token {
        /// Its name: `GITHUB_TOKEN`.
        variable: Box<str>,
        /// What stands before the token.
        prefix: Box<str>,
    },
    /// AWS keys in the variables that all of Amazon's SDKs read.
    Aws {
        /// Region, for `AWS_REGION` and `AWS_DEFAULT_REGION`.
        region: Option<Box<str>>,
    },
}

impl Env {
    pub(crate) fn environment(&self, material: &Material) -> Result<Environment, DeliveryError> {
        match (self, material) {
            (Self::Token { variable: name, prefix }, Material::Token(token)) => {
                let value = [prefix.as_bytes(), token.expose()].concat();
                Ok(vec![variable(name, Secret::new(value))])
            }
            (Self::Aws { region }, Material::Aws(keys)) => {
                let mut environment = vec![
                    variable("AWS_ACCESS_KEY_ID", plain(&keys.access_key_id)),
                    variable("AWS_SECRET_ACCESS_KEY", copy(&keys.secret_access_key)),
                    variable("AWS_SESSION_TOKEN", copy(&keys.session_token)),
                ];
                if let Some(region) = region {
                    environment.push(variable("AWS_REGION", plain(region)));
                    environment.push(variable("AWS_DEFAULT_REGION", plain(region)));
                }
                Ok(environment)
            }
            _ => Err(DeliveryError::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_core::material::{AwsKeys, Material};
    use safeconduct_core::secret::Secret;

    use super::{DeliveryError, Env};

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn shown(environment: &[(String, Secret)]) -> Vec<(&str, &str)> {
        environment.iter().map(|(name, value)| (&**name, value.expose_str().unwrap())).collect()
    }

    #[test]
    fn a_token_stands_in_the_variable_that_was_named() {
        let env = Env::Token { variable: "GITHUB_TOKEN".into(), prefix: "".into() };
        let environment = env.environment(&Material::Token(secret("t"))).unwrap();
        assert_eq!(shown(&environment), [("GITHUB_TOKEN", "t")]);
        let env = Env::Token { variable: "API_AUTH".into(), prefix: "token ".into() };
        assert_eq!(
            shown(&env.environment(&Material::Token(secret("t"))).unwrap()),
            [("API_AUTH", "token t")]
        );
    }

    #[test]
    fn keys_stand_in_the_variables_that_amazons_sdks_read_and_not_in_another() {
        let keys = Material::Aws(AwsKeys {
            access_key_id: "ASIA".into(),
            secret_access_key: secret("k"),
            session_token: secret("s"),
        });
        let env = Env::Aws { region: Some("eu-west-1".into()) };
        assert_eq!(
            shown(&env.environment(&keys).unwrap()),
            [
                ("AWS_ACCESS_KEY_ID", "ASIA"),
                ("AWS_SECRET_ACCESS_KEY", "k"),
                ("AWS_SESSION_TOKEN", "s"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_DEFAULT_REGION", "eu-west-1"),
            ]
        );
        let env = Env::Token { variable: "GITHUB_TOKEN".into(), prefix: "".into() };
        assert!(matches!(env.environment(&keys), Err(DeliveryError::Kind)));
    }
}
