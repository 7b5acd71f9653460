//! Makes an image of a package, once. The build has a network and nothing of ours; the instances that run the image
//! have no network but what they are permitted, as with any other image.

mod context;
mod output;

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use bollard::models::ImageInspect;
use bollard::query_parameters::{BuildImageOptions, RemoveImageOptions};
use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use self::output::{Built, Output};
use super::Docker;
use super::error::told;
use super::image::Image;
use super::made::to_its_end;
use crate::engine::EngineError;
use crate::launch::Pull;
use crate::package::Package;

/// A build that takes longer never ends.
const PATIENCE: Duration = Duration::from_secs(900);
/// How soon, and how often, it is told that a build goes on.
const TELL: Duration = Duration::from_secs(2);
/// On the image: the package with its version, and the image that it was built on.
const PACKAGE: &str = "safeconduct.package";
const BASE: &str = "safeconduct.base";

impl Docker {
    /// The image of a package: the one that is here, or one that is built now.
    pub(super) async fn package(&self, package: &Package) -> Result<Image, EngineError> {
        let (docker, package) = (self.clone(), package.clone());
        // Whoever waited for it may have gone: the next one finds it made.
        to_its_end(async move { docker.built(&package).await }).await
    }

    async fn built(&self, package: &Package) -> Result<Image, EngineError> {
        let tag = tag(package);
        // One build at a time: whoever wants the same package then finds it.
        let _turn = self.0.building.lock().await;
        if package.build.pull != Pull::Always
            && let Some(image) = self.here(&tag).await?
        {
            if package.name.version.is_none() {
                let kept = image.config.labels.as_ref().and_then(|labels| labels.get(PACKAGE));
                tracing::info!(package = %package.name, kept, "runs the version that was the newest when it was built");
            }
            return Ok(image);
        }
        if package.build.pull == Pull::Never {
            return Err(EngineError::Missing(format!(
                "the image of {} is not here, and it is not to be built (`pull: never`)",
                package.name
            )));
        }
        let base = self.image(&package.build.base, true, package.build.pull).await?;
        self.build(package, &base, &tag).await?;
        self.here(&tag)
            .await?
            .ok_or_else(|| EngineError::Missing(format!("the image of {} is gone", package.name)))
    }

    async fn here(&self, tag: &str) -> Result<Option<Image>, EngineError> {
        match self.api().inspect_image(tag).await.map_err(told) {
            Ok(ImageInspect { id: Some(id), config, .. }) => {
                Ok(Some(Image { id, config: config.unwrap_or_default() }))
            }
            Ok(_) | Err(EngineError::Missing(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Installs it, and then writes on the image what was installed: that is known only afterwards.
    async fn build(&self, package: &Package, base: &Image, tag: &str) -> Result<(), EngineError> {
        let begun = Instant::now();
        let draft = format!("{tag}-draft");
        tracing::info!(package = %package.name, base = package.build.base, "building its image, which happens once");
        let built = self.step(package, &draft, context::install(package, &base.id)?, Vec::new()).await;
        let built: Built = built?.built().ok_or_else(|| no_result(package))?;
        let version = built.version.as_str();
        let pinned = crate::package::Name { version: Some(version.to_owned()), ..package.name.clone() };
        let labels =
            vec![(PACKAGE, pinned.to_string()), (BASE, format!("{} {}", package.build.base, base.id))];
        let done = self.step(package, tag, context::finish(&draft)?, labels).await;
        let options = RemoveImageOptions { noprune: true, ..RemoveImageOptions::default() };
        let _ = self.api().remove_image(&draft, Some(options), None).await;
        done?;
        let seconds = begun.elapsed().as_secs();
        tracing::info!(package = %pinned, program = built.entry, image = tag, seconds, "built");
        Ok(())
    }

    async fn step(
        &self,
        package: &Package,
        tag: &str,
        context: Vec<u8>,
        labels: Vec<(&str, String)>,
    ) -> Result<Output, EngineError> {
        let options = BuildImageOptions {
            t: Some(tag.to_owned()),
            nocache: true,
            rm: true,
            forcerm: true,
            networkmode: package.build.network.clone(),
            labels: Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ..BuildImageOptions::default()
        };
        let mut output = Output::default();
        let building = async {
            let mut lines = self.api().build_image(options, None, Some(bollard::body_full(context.into())));
            let mut tell = interval_at(tokio::time::Instant::now() + TELL, TELL * 5);
            tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    line = lines.next() => match line {
                        Some(Ok(info)) => output.take(&info),
                        Some(Err(error)) => return Err(told(error)),
                        None => return Ok(()),
                    },
                    _ = tell.tick() => {
                        tracing::info!(package = %package.name, last = output.last(), "still building its image");
                    }
                }
            }
        };
        let result = timeout(PATIENCE, building).await;
        match result {
            Ok(Ok(())) => Ok(output),
            Ok(Err(EngineError::Absent(why))) => Err(EngineError::Absent(why)),
            Ok(Err(error)) => Err(failed(package, &format!("{error}{}", output.told()))),
            Err(_) => {
                Err(failed(package, &format!("it took more than {} s{}", PATIENCE.as_secs(), output.told())))
            }
        }
    }
}

fn failed(package: &Package, why: &str) -> EngineError {
    EngineError::Missing(format!("cannot build the image of {}: {why}", package.name))
}

fn no_result(package: &Package) -> EngineError {
    failed(package, "the installer has not said what it installed")
}

/// The image's name here: the package, and a hash over all that decides what is in it.
fn tag(package: &Package) -> String {
    let name = &package.name;
    let build = &package.build;
    let all = format!("{name}\0{:?}\0{}\0{}\0{:?}", package.entry, build.base, build.scripts, build.index);
    let hash: String =
        digest(&SHA256, all.as_bytes()).as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let short: String = name.short().chars().map(plain).collect();
    format!("localhost/safeconduct/{}-{}:{hash}", name.scheme.word(), short.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::tag;
    use crate::launch::Pull;
    use crate::package::{Build, Package};

    pub(super) fn package(name: &str) -> Package {
        Package {
            name: name.parse().unwrap(),
            entry: None,
            arguments: Vec::new(),
            build: Build {
                base: "python:3".into(),
                scripts: false,
                index: None,
                network: None,
                pull: Pull::Missing,
            },
        }
    }

    #[test]
    fn an_image_is_named_after_all_that_decides_what_is_in_it() {
        let first = package("uvx:Mcp_Server.time@1.0");
        assert!(tag(&first).starts_with("localhost/safeconduct/uvx-mcp-server-time:"), "{}", tag(&first));
        let mut others = vec![package("uvx:Mcp_Server.time@1.1"), package("uvx:Mcp_Server.time")];
        for change in [
            |it: &mut Package| it.build.base = "python:4".into(),
            |it: &mut Package| it.build.scripts = true,
            |it: &mut Package| it.build.index = Some("https://pypi.example.com/simple".into()),
            |it: &mut Package| it.entry = Some("other".into()),
        ] {
            let mut other = first.clone();
            change(&mut other);
            others.push(other);
        }
        assert!(others.iter().all(|other| tag(other) != tag(&first)));
        // What it is told when it runs, and how the build reaches the index, change nothing of the image.
        let mut same = first.clone();
        same.arguments.push("--verbose".into());
        same.build.network = Some("host".into());
        assert_eq!(tag(&same), tag(&first));
    }
}
