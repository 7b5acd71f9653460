//! The image of an instance: fetched when that is wanted, and known by its content from then on.

use bollard::models::ImageConfig;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::Docker;
use super::error::told;
use super::reference::{Reference, registry};
use super::settings::Step;
use crate::engine::EngineError;
use crate::launch::Pull;

/// An image that is here.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// What it is: `sha256:...`. Whoever moves its tag from now on moves it for others.
    pub(super) id: String,
    pub(super) config: ImageConfig,
}

impl Docker {
    /// Makes sure that the image is here, and says what it is.
    pub(super) async fn image(
        &self,
        reference: &str,
        allow_tag: bool,
        pull: Pull,
    ) -> Result<Image, EngineError> {
        let kind = Reference::read(reference)?;
        if let Reference::Tag { tag, .. } = kind
            && !allow_tag
        {
            return Err(EngineError::Forbidden(format!(
                "`{reference}` names an image by the tag `{tag}`, which can become another image at any time: \
                 name it by digest (`name@sha256:...`), or allow tags for this server"
            )));
        }
        let here = match self.inspect(reference).await {
            Ok(image) => Some(image),
            Err(EngineError::Missing(_)) => None,
            Err(other) => return Err(other),
        };
        match (pull, here) {
            (Pull::Missing | Pull::Never, Some(image)) => Ok(image),
            // What it is by its own content cannot be fetched, and cannot change.
            (Pull::Always, Some(image)) if kind == Reference::Id => Ok(image),
            (_, None) if kind == Reference::Id => {
                Err(EngineError::Missing(format!("the image {reference} is not here")))
            }
            (Pull::Never, None) => Err(EngineError::Missing(format!(
                "the image {reference} is not here, and it is not to be pulled (`pull: never`)"
            ))),
            (Pull::Missing | Pull::Always, _) => {
                self.pull(reference, kind).await?;
                self.inspect(reference).await
            }
        }
    }

    async fn inspect(&self, reference: &str) -> Result<Image, EngineError> {
        let found = self.api().inspect_image(reference).await.map_err(told)?;
        let id = found.id.ok_or_else(|| EngineError::Refused(format!("the image {reference} has no id")))?;
        Ok(Image { id, config: found.config.unwrap_or_default() })
    }

    async fn pull(&self, reference: &str, kind: Reference<'_>) -> Result<(), EngineError> {
        let (name, tag) = match kind {
            Reference::Tag { name, tag } => (name, Some(tag.to_owned())),
            _ => (reference, None),
        };
        let options =
            CreateImageOptions { from_image: Some(name.to_owned()), tag, ..CreateImageOptions::default() };
        let credentials = self.registries().credentials(registry(reference)).await?;
        let mut steps = self.api().create_image(Some(options), None, credentials);
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| match told(error) {
                EngineError::Absent(why) => EngineError::Absent(why),
                other => EngineError::Missing(format!("cannot pull {reference}: {other}")),
            })?;
            let detail = step.progress_detail.unwrap_or_default();
            let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
            self.settings().progress.step(
                reference,
                &Step {
                    layer: step.id.as_deref().unwrap_or_default(),
                    status: step.status.as_deref().unwrap_or_default(),
                    bytes: bytes(detail.current).zip(bytes(detail.total)),
                },
            );
        }
        Ok(())
    }
}
