//! The encrypted file with secrets.

use std::ops::Range;
use std::path::PathBuf;

use safeconduct_core::secret::Secret;

use super::Resolver;
use crate::config::decode::{At, Field};
use crate::config::plan::SecretOrigin;
use crate::config::values::SecretText;
use crate::secrets::sealed::{Contents, Key, SealedError, SealedFile};

/// Where it is when the file does not say.
const USUAL: &str = "secrets.age";

/// The encrypted file, once it was opened.
pub(super) enum Sealed {
    /// It cannot be; that was noted.
    Closed,
    /// What is in it.
    Open(Contents),
}

impl Resolver<'_> {
    /// The encrypted file and its key, or None after noting why not; `wanted` is what refers to it.
    pub(in crate::config) fn sealed_file(&mut self, wanted: Range<usize>) -> Option<SealedFile> {
        let Some(written) = self.file.secrets.given() else {
            if self.file.secrets.is_absent() {
                self.problems.error(wanted, "there is no section `secrets`, so no encrypted file").help(
                    "age-keygen -o key.txt, then `secrets: { file: secrets.age, identity: file:key.txt }`",
                );
            }
            return None;
        };
        let section = &written.value;
        let (reference, make): (&At<SecretText>, fn(Secret) -> Key) =
            match (&section.identity, &section.passphrase) {
                (Field::Given(identity), Field::Absent) => (identity, Key::Identity),
                (Field::Absent, Field::Given(passphrase)) => (passphrase, Key::Passphrase),
                (Field::Broken, _) | (_, Field::Broken) => return None,
                _ => {
                    self.problems
                        .error(
                            written.site.clone(),
                            "an encrypted file is opened by an `identity` or by a `passphrase`",
                        )
                        .label("needs one of them")
                        .help("age-keygen -o key.txt, then `identity: file:key.txt`");
                    return None;
                }
            };
        if matches!(reference.value, SecretText::Encrypted(_)) {
            self.problems
                .error(reference.span.clone(), "the key of the encrypted file cannot be in it")
                .label("needed to open the file");
            return None;
        }
        let key = self.secret(reference)?;
        let path = self.path(section.file.value().map_or(USUAL, String::as_str));
        Some(SealedFile { path, key: make(Secret::new(key.value.expose().to_vec())) })
    }

    /// A secret of it, or None after noting why it cannot be had.
    pub(super) fn encrypted(&mut self, written: &At<SecretText>, name: &str) -> Option<Vec<u8>> {
        if self.sealed.is_none() {
            let opened = self.open_sealed(written.span.clone());
            self.sealed = Some(opened);
        }
        let Some(Sealed::Open(contents)) = &self.sealed else { return None };
        if let Some(value) = contents.get(name) {
            return Some(value.0.expose().to_vec());
        }
        let near = crate::config::suggest(name, contents.keys().map(String::as_str));
        self.problems
            .error(written.span.clone(), format!("there is no encrypted secret `{name}`"))
            .label("not in the encrypted file")
            .help(near.unwrap_or_else(|| format!("safeconduct secret set {name}")));
        None
    }

    fn open_sealed(&mut self, wanted: Range<usize>) -> Sealed {
        let Some(file) = self.sealed_file(wanted) else { return Sealed::Closed };
        match file.read() {
            Ok(contents) => Sealed::Open(contents),
            Err(error) => {
                let span = self.file.secrets.given().map_or(0..0, |at| at.site.clone());
                let help = match &error {
                    SealedError::Absent(_) => "safeconduct secret set NAME makes it",
                    SealedError::Identity => {
                        "`identity` is what `age-keygen -o key.txt` writes: file:key.txt"
                    }
                    _ => "it is made and changed by `safeconduct secret`, `age` or `rage`",
                };
                self.problems.error(span, error.to_string()).label("cannot be opened").help(help);
                Sealed::Closed
            }
        }
    }

    /// The files that hold it and its key.
    pub(super) fn sealed_paths(&self) -> Vec<PathBuf> {
        let Some(section) = self.file.secrets.value() else { return Vec::new() };
        let key = [&section.identity, &section.passphrase].into_iter().find_map(|key| match key.value() {
            Some(SecretText::File(path)) => Some(self.path(path)),
            _ => None,
        });
        let file = self.path(section.file.value().map_or(USUAL, String::as_str));
        std::iter::once(file).chain(key).collect()
    }

    /// Secrets that come from elsewhere: their place, for what is said about them.
    pub(super) fn kept_elsewhere(&mut self, written: &At<SecretText>) -> Option<(SecretOrigin, Vec<u8>)> {
        match &written.value {
            SecretText::Encrypted(name) => {
                let value = self.encrypted(written, name)?;
                Some((SecretOrigin::Encrypted(name.clone()), value))
            }
            SecretText::Keyring(item) => match item.secret() {
                Ok(secret) => Some((SecretOrigin::Keyring(item.to_string()), secret.expose().to_vec())),
                Err(error) => {
                    let help = match error {
                        crate::secrets::keyring::KeyringError::NoItem(_) => {
                            format!("safeconduct secret set keyring:{item}")
                        }
                        crate::secrets::keyring::KeyringError::Absent(_) => {
                            "it needs a session (DBUS_SESSION_BUS_ADDRESS) with a secret service; on a server take `encrypted:NAME`"
                                .to_owned()
                        }
                    };
                    self.problems
                        .error(written.span.clone(), error.to_string())
                        .label("cannot be had")
                        .help(help);
                    None
                }
            },
            SecretText::Env(_) | SecretText::File(_) | SecretText::Inline(_) => None,
        }
    }
}
