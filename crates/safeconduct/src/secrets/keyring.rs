//! The system's keyring: the secret service of the desktop (GNOME Keyring, KWallet, KeePassXC), over D-Bus.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use keyring_core::{CredentialStore, Entry, Error};
use safeconduct_core::secret::Secret;
use zbus_secret_service_keyring_store::Store;

/// The keyring may have to ask its owner for a password first.
const PATIENCE: Duration = Duration::from_secs(60);

/// `SERVICE/NAME`: what programs call the service and the user of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) service: String,
    pub(crate) name: String,
}

/// Why the keyring did not do it. The text is for people and holds no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyringError {
    /// There is no such item.
    #[error("the keyring has no {0}")]
    NoItem(Item),
    /// There is none, or it stays locked.
    #[error("the keyring does not answer: {0}")]
    Absent(String),
}

impl Item {
    /// Reads `SERVICE/NAME`; the name is what stands after the last slash.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (service, name) = text.rsplit_once('/')?;
        let plain = |part: &str| !part.is_empty() && !part.chars().any(char::is_control);
        (plain(service) && plain(name)).then(|| Self { service: service.to_owned(), name: name.to_owned() })
    }

    /// Its secret.
    pub(crate) fn secret(&self) -> Result<Secret, KeyringError> {
        let item = self.clone();
        ask(move |store| item.entry(store)?.get_secret().map_err(|error| item.told(error))).map(Secret::new)
    }

    /// Makes or replaces it.
    pub(crate) fn set(&self, secret: Secret) -> Result<(), KeyringError> {
        let item = self.clone();
        ask(move |store| item.entry(store)?.set_secret(secret.expose()).map_err(|error| item.told(error)))
    }

    /// Removes it.
    pub(crate) fn remove(&self) -> Result<(), KeyringError> {
        let item = self.clone();
        ask(move |store| item.entry(store)?.delete_credential().map_err(|error| item.told(error)))
    }

    fn entry(&self, store: &Arc<CredentialStore>) -> Result<Entry, KeyringError> {
        Entry::new_in_store(store, &self.service, &self.name).map_err(|error| self.told(error))
    }

    // In words of our own: some of the library's errors carry what was read.
    fn told(&self, error: Error) -> KeyringError {
        match error {
            Error::NoEntry => KeyringError::NoItem(self.clone()),
            Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) => absent(&*cause),
            Error::Ambiguous(_) => KeyringError::Absent(format!("it has several items {self}")),
            _ => KeyringError::Absent(format!("it has {self} in a form that is not understood")),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}

/// The items of a service, by name.
pub(crate) fn names(service: &str) -> Result<Vec<String>, KeyringError> {
    let wanted = service.to_owned();
    ask(move |store| {
        let asked = HashMap::from([("service", wanted.as_str())]);
        let found = Entry::search_in_store(store, &asked).map_err(|error| match error {
            Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) => absent(&*cause),
            _ => KeyringError::Absent("it cannot be searched".to_owned()),
        })?;
        let name = |entry: Entry| {
            let attributes = entry.get_attributes().ok()?;
            attributes.get("username").or_else(|| attributes.get("account")).cloned()
        };
        let mut names: Vec<String> = found.into_iter().filter_map(name).collect();
        names.sort();
        names.dedup();
        Ok(names)
    })
}

fn absent(cause: &dyn std::error::Error) -> KeyringError {
    KeyringError::Absent(crate::present::plain(&cause.to_string()))
}

/// On a thread of its own: the library waits for answers by means that do not go together with ours.
fn ask<T: Send + 'static>(
    what: impl FnOnce(&Arc<CredentialStore>) -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, KeyringError> {
    let (to, answer) = channel();
    let asking = move || {
        let store = Store::new().map_err(|error| match error {
            Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) => absent(&*cause),
            other => KeyringError::Absent(crate::present::plain(&other.to_string())),
        });
        let result = store.and_then(|store| what(&(store as Arc<CredentialStore>)));
        let _ = to.send(result);
    };
    let spawned = std::thread::Builder::new().name("keyring".to_owned()).spawn(asking);
    spawned.map_err(|error| KeyringError::Absent(error.to_string()))?;
    answer
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(KeyringError::Absent(format!("no answer in {} s", PATIENCE.as_secs()))))
}

#[cfg(test)]
mod tests {
    use super::Item;

    #[test]
    fn an_item_is_a_service_and_a_name() {
        let item = Item::read("safeconduct/github").unwrap();
        assert_eq!((item.service.as_str(), item.name.as_str()), ("safeconduct", "github"));
        assert_eq!(Item::read("https://api.example.com/alice").unwrap().service, "https://api.example.com");
        for wrong in ["", "github", "/github", "safeconduct/", "a/b\n"] {
            assert!(Item::read(wrong).is_none(), "{wrong}");
        }
    }
}
