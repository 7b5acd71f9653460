//! Secrets in one encrypted file: an age file (<https://age-encryption.org/v1>) with a JSON object in it, names and
//! values. `age` and `rage` open it, too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, EncryptError, Encryptor, Identity, IdentityFile, Recipient};
use safeconduct_core::secret::Secret;
use serde::ser::{Serialize, Serializer};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A file that is larger is none of ours.
const LARGEST: u64 = 4 << 20;

/// The file, and what opens it.
pub(crate) struct SealedFile {
    pub(crate) path: PathBuf,
    pub(crate) key: Key,
}

/// What opens it.
pub(crate) enum Key {
    /// Identities as `age-keygen` writes them.
    Identity(Secret),
    /// A passphrase.
    Passphrase(Secret),
}

/// Why it cannot be read or written. The text is for people and holds no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealedError {
    #[error("there is no file {0}")]
    Absent(String),
    #[error("{0}: {1}")]
    Io(String, io::Error),
    #[error("{0} is no age file")]
    NotAge(String),
    #[error("{0} is not opened by this key")]
    WrongKey(String),
    #[error("what is in {0} is no JSON object of names and texts")]
    Content(String),
    #[error("the identity is none that `age-keygen` writes")]
    Identity,
    #[error("the passphrase is no text")]
    Passphrase,
    #[error("{0} was not encrypted")]
    Encrypt(String),
}

/// What is in it, by name.
pub(crate) type Contents = BTreeMap<String, Value>;

/// A value: zeroized when it is dropped.
pub(crate) struct Value(pub(crate) Secret);

impl SealedFile {
    /// What is in it.
    pub(crate) fn read(&self) -> Result<Contents, SealedError> {
        let plain = self.opened()?;
        serde_json::from_slice(&plain).map_err(|_| SealedError::Content(self.name()))
    }

    /// Changes what is in it; one that is not there is empty. Nobody else changes it meanwhile, and whoever reads it
    /// finds it as it was or as it will be.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> Result<T, SealedError> {
        let io = |error| SealedError::Io(self.name(), error);
        let directory =
            self.path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let lock = File::open(directory).map_err(io)?;
        lock.lock().map_err(io)?;
        let mut contents = match self.read() {
            Err(SealedError::Absent(_)) => Contents::new(),
            other => other?,
        };
        let result = change(&mut contents);
        let plain = serde_json::to_vec_pretty(&contents).map_err(|_| SealedError::Content(self.name()))?;
        let sealed = self.sealed(&Zeroizing::new(plain))?;
        let mut next = self.path.clone().into_os_string();
        next.push(".new");
        let next = PathBuf::from(next);
        let _ = std::fs::remove_file(&next);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&next).map_err(io)?;
        file.write_all(&sealed).and_then(|()| file.sync_all()).map_err(io)?;
        std::fs::rename(&next, &self.path).map_err(io)?;
        Ok(result)
    }

    fn opened(&self) -> Result<Zeroizing<Vec<u8>>, SealedError> {
        let file = File::open(&self.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => SealedError::Absent(self.name()),
            _ => SealedError::Io(self.name(), error),
        })?;
        let told = |error: DecryptError| match error {
            DecryptError::NoMatchingKeys
            | DecryptError::KeyDecryptionFailed
            | DecryptError::DecryptionFailed => SealedError::WrongKey(self.name()),
            _ => SealedError::NotAge(self.name()),
        };
        let mut sealed = Vec::new();
        file.take(LARGEST).read_to_end(&mut sealed).map_err(|error| SealedError::Io(self.name(), error))?;
        let decryptor = Decryptor::new(ArmoredReader::new(sealed.as_slice())).map_err(told)?;
        let identities = self.identities()?;
        let keys = identities.iter().map(|identity| &**identity as &dyn Identity);
        let mut reader = decryptor.decrypt(keys).map_err(told)?;
        let mut plain = Zeroizing::new(Vec::new());
        reader.read_to_end(&mut plain).map_err(|_| SealedError::NotAge(self.name()))?;
        Ok(plain)
    }

    fn sealed(&self, plain: &[u8]) -> Result<Vec<u8>, SealedError> {
        let told = |_: EncryptError| SealedError::Encrypt(self.name());
        let io = |error| SealedError::Io(self.name(), error);
        let recipients = self.recipients()?;
        let encryptor =
            Encryptor::with_recipients(recipients.iter().map(|recipient| &**recipient as &dyn Recipient))
                .map_err(told)?;
        let mut sealed = Vec::new();
        let armor = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor).map_err(io)?;
        let mut writer = encryptor.wrap_output(armor).map_err(io)?;
        writer.write_all(plain).map_err(io)?;
        writer.finish().and_then(ArmoredWriter::finish).map_err(io)?;
        Ok(sealed)
    }

    fn identities(&self) -> Result<Vec<Box<dyn Identity + Send + Sync>>, SealedError> {
        match &self.key {
            Key::Identity(text) => identity_file(text)?.into_identities().map_err(|_| SealedError::Identity),
            Key::Passphrase(text) => Ok(vec![Box::new(age::scrypt::Identity::new(passphrase(text)?))]),
        }
    }

    fn recipients(&self) -> Result<Vec<Box<dyn Recipient + Send>>, SealedError> {
        match &self.key {
            Key::Identity(text) => identity_file(text)?.to_recipients().map_err(|_| SealedError::Identity),
            Key::Passphrase(text) => Ok(vec![Box::new(age::scrypt::Recipient::new(passphrase(text)?))]),
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

fn identity_file(text: &Secret) -> Result<IdentityFile<age::NoCallbacks>, SealedError> {
    let file = IdentityFile::from_buffer(text.expose()).map_err(|_| SealedError::Identity)?;
    match file.to_recipients() {
        Ok(recipients) if !recipients.is_empty() => Ok(file),
        _ => Err(SealedError::Identity),
    }
}

fn passphrase(text: &Secret) -> Result<SecretString, SealedError> {
    text.expose_str().map(|text| SecretString::from(text.to_owned())).ok_or(SealedError::Passphrase)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Secret::new(text.into_bytes())))
    }
}

// For the encrypted file alone: it is the one place where a secret is written down.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose_str().ok_or_else(|| serde::ser::Error::custom("no text"))?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use age::secrecy::ExposeSecret as _;
    use safeconduct_core::secret::Secret;

    use super::{Key, SealedError, SealedFile, Value};

    fn file(name: &str, key: Key) -> SealedFile {
        let directory = std::env::temp_dir().join(format!("safeconduct-sealed-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path: PathBuf = directory.join(name);
        let _ = std::fs::remove_file(&path);
        SealedFile { path, key }
    }

    fn identity() -> Vec<u8> {
        let key = age::x25519::Identity::generate();
        format!("# created: now\n# public key: {}\n{}\n", key.to_public(), key.to_string().expose_secret())
            .into_bytes()
    }

    fn value(text: &str) -> Value {
        Value(Secret::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn what_is_put_in_is_read_again_with_the_same_key_and_with_no_other() {
        let key = identity();
        let sealed = file("identity.age", Key::Identity(Secret::new(key)));
        assert!(matches!(sealed.read(), Err(SealedError::Absent(_))));
        sealed.change(|all| all.insert("github".into(), value("CANARY-\"ünï\""))).unwrap();
        sealed.change(|all| all.insert("other".into(), value("2"))).unwrap();
        let read = sealed.read().unwrap();
        assert_eq!(read["github"].0.expose(), "CANARY-\"ünï\"".as_bytes());
        assert_eq!(read.len(), 2);
        let bytes = std::fs::read_to_string(&sealed.path).unwrap();
        assert!(bytes.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !bytes.contains("CANARY"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&sealed.path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        let other = SealedFile { path: sealed.path.clone(), key: Key::Identity(Secret::new(identity())) };
        assert!(matches!(other.read(), Err(SealedError::WrongKey(_))));
        // Who cannot read it does not write it either: what is in it would be lost.
        assert!(other.change(|all| all.insert("github".into(), value("x"))).is_err());
        assert_eq!(std::fs::read_to_string(&sealed.path).unwrap(), bytes);
        sealed.change(|all| all.remove("github")).unwrap();
        assert!(!sealed.read().unwrap().contains_key("github"));
    }

    #[test]
    fn a_passphrase_opens_what_it_closed_and_another_does_not() {
        let sealed = file("passphrase.age", Key::Passphrase(Secret::new(b"correct horse".to_vec())));
        sealed.change(|all| all.insert("a".into(), value("b"))).unwrap();
        assert_eq!(sealed.read().unwrap()["a"].0.expose(), b"b");
        let other =
            SealedFile { path: sealed.path.clone(), key: Key::Passphrase(Secret::new(b"wrong".to_vec())) };
        assert!(matches!(other.read(), Err(SealedError::WrongKey(_))));
    }

    #[test]
    fn what_is_no_age_file_or_no_identity_is_said_to_be_none() {
        let sealed = file("plain.age", Key::Identity(Secret::new(identity())));
        std::fs::write(&sealed.path, "{\"github\":\"CANARY\"}").unwrap();
        let error = sealed.read().err().unwrap();
        assert!(matches!(error, SealedError::NotAge(_)) && !error.to_string().contains("CANARY"), "{error}");
        for wrong in ["", "# only a comment\n", "AGE-SECRET-KEY-1CANARY\n"] {
            let sealed = file("wrong.age", Key::Identity(Secret::new(wrong.into())));
            let error = sealed.change(|all| all.len()).err().unwrap();
            assert!(
                matches!(error, SealedError::Identity) && !error.to_string().contains("CANARY"),
                "{error}"
            );
        }
    }
}
