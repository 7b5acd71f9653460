//! `file`: the credential in an in-memory file of the instance, replaced before it ends.
//!
//! For servers that read a token from a file at every use. The file is the instance's own (a tmpfs of its container), holds
//! nothing but the credential, and is emptied when that has ended or was taken back and no other came: a server then
//! fails on its own side instead of asking with a dead token.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use safeconduct_core::material::Material;
use safeconduct_core::secret::Secret;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::slot::Slot;
use super::{DeliveryError, Environment, copy, plain, variable};
use crate::engine::{EngineError, Instance};

/// A fresh one is asked for when this is left, or a fifth of its life if that is less.
const AHEAD: Duration = Duration::from_secs(300);
/// Longest wait for a fresh one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon after a vain try the next one follows.
const AGAIN: Duration = Duration::from_secs(15);

/// Which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path inside.
    pub path: PathBuf,
    /// A variable that names it (`GITHUB_TOKEN_FILE`); for AWS keys None is `AWS_SHARED_CREDENTIALS_FILE`.
    pub variable: Option<Box<str>>,
    /// What stands in it.
    pub format: Format,
}

/// What stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The token, without a line break.
    Token,
    /// A shared credentials file with the profile `default`, for AWS keys.
    AwsProfile,
}

/// [`File`], kept up to date in one instance.
pub(crate) struct Kept {
    file: File,
    slot: Arc<Slot>,
    /// What was written last; None: it is empty.
    written: Mutex<Option<Arc<Material>>>,
}

impl File {
    pub(crate) fn environment(&self) -> Environment {
        let name = match (&self.variable, self.format) {
            (Some(name), _) => Some(&**name),
            (None, Format::AwsProfile) => Some("AWS_SHARED_CREDENTIALS_FILE"),
            (None, Format::Token) => None,
        };
        name.map(|name| variable(name, plain(&self.path.to_string_lossy()))).into_iter().collect()
    }

    pub(crate) fn content(&self, material: &Material) -> Result<Secret, DeliveryError> {
        match (self.format, material) {
            (Format::Token, Material::Token(token)) => Ok(copy(token)),
            (Format::AwsProfile, Material::Aws(keys)) => Ok(Secret::new(
                [
                    b"[default]\naws_access_key_id = ",
                    keys.access_key_id.as_bytes(),
                    b"\naws_secret_access_key = ",
                    keys.secret_access_key.expose(),
                    b"\naws_session_token = ",
                    keys.session_token.expose(),
                    b"\n",
                ]
                .concat(),
            )),
            _ => Err(DeliveryError::Kind),
        }
    }
}

impl Kept {
    /// `written` stands in it since the instance's start.
    pub(crate) fn new(file: File, slot: Arc<Slot>, written: Arc<Material>) -> Self {
        Self { file, slot, written: Mutex::new(Some(written)) }
    }

    /// Writes what stands in the slot, if it is not what stands in the file. One at a time: the last one to begin is
    /// the one whose content stays.
    pub(crate) async fn sync(&self, instance: &dyn Instance) -> Result<(), EngineError> {
        let mut written = self.written.lock().await;
        let present = self.slot.present().map(|present| present.held.material);
        let same = match (&*written, &present) {
            (Some(written), Some(present)) => written.is_same_as(present),
            (None, None) => true,
            _ => false,
        };
        if same {
            return Ok(());
        }
        let content = match &present {
            Some(material) => self.file.content(material).map_err(EngineError::from)?,
            None => plain(""),
        };
        instance.write(&self.file.path, &content).await?;
        *written = present;
        Ok(())
    }

    /// Replaces the file ahead of the credential's end, for as long as the instance is there.
    pub(crate) async fn rotate(self: Arc<Self>, instance: Weak<dyn Instance>) {
        let mut changes = self.slot.changes();
        loop {
            let wait = match self.slot.present() {
                Some(present) if present.held.expires.is_none() => Duration::MAX,
                Some(present) => present.left.saturating_sub(ahead(present.life)),
                // Only a further call brings another.
                None => Duration::MAX,
            };
            let woken = timeout(wait, changes.changed()).await;
            if matches!(woken, Ok(Err(_))) {
                return;
            }
            if woken.is_err() {
                self.renew().await;
            }
            let Some(instance) = instance.upgrade() else { return };
            if let Err(error) = self.sync(&*instance).await {
                tracing::warn!(%error, file = %self.file.path.display(), "a credential file was not replaced");
            }
        }
    }

    /// Asks for a fresh one; with none granted, pauses so that the end is reached without haste.
    async fn renew(&self) {
        let Some(before) = self.slot.present() else { return };
        let enough = before.left.saturating_add(Duration::from_secs(1));
        let after = self.slot.take(enough, PATIENCE).await;
        if after.is_ok_and(|after| after.held.material.is_same_as(&before.held.material)) {
            tokio::time::sleep(AGAIN.min(before.left)).await;
        }
    }
}

fn ahead(life: Duration) -> Duration {
    AHEAD.min(life / 5)
}
