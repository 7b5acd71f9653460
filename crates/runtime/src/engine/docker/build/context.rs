//! What the engine is given to build from: a Containerfile and the installer, and nothing else of this machine.

use serde_json::json;

use crate::engine::EngineError;
use crate::package::{Package, Scheme};

/// As whom packages are installed, and as whom they run: nobody in particular.
const USER: &str = "65532:65532";

/// Installs the package on a base image.
pub(super) fn install(package: &Package, base: &str) -> Result<Vec<u8>, EngineError> {
    let (interpreter, file, script) = match package.name.scheme {
        Scheme::Uvx => ("python3", "install.py", include_str!("install.py")),
        Scheme::Npx => ("node", "install.mjs", include_str!("install.mjs")),
    };
    let told = json!({
        "name": package.name.name,
        "version": package.name.version,
        "entry": package.entry,
        "index": package.build.index,
        "scripts": package.build.scripts,
    });
    // The form that no shell reads.
    let run = json!([interpreter, format!("/app/{file}"), told.to_string()]);
    let text = format!(
        "FROM {base}\n\
         COPY --chown={USER} app /app\n\
         USER {USER}\n\
         ENV HOME=/tmp PATH=/app/venv/bin:/app/node_modules/.bin:$PATH\n\
         WORKDIR /app\n\
         RUN {run}\n\
         HEALTHCHECK NONE\n\
         ENTRYPOINT [\"/app/entry\"]\n\
         CMD []\n"
    );
    archive(&text, Some((&format!("app/{file}"), script)))
}

/// Only adds what the build's options say.
pub(super) fn finish(draft: &str) -> Result<Vec<u8>, EngineError> {
    archive(&format!("FROM {draft}\n"), None)
}

fn archive(containerfile: &str, file: Option<(&str, &str)>) -> Result<Vec<u8>, EngineError> {
    let failed = |error: std::io::Error| EngineError::Refused(format!("no build context: {error}"));
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in [("Dockerfile", containerfile)].into_iter().chain(file) {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).map_err(failed)?;
    }
    archive.into_inner().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::tests::package;
    use super::install;

    #[test]
    fn what_a_build_is_given_is_the_installer_and_what_to_install_and_nothing_is_run_as_root() {
        let mut package = package("npx:@a/b@1.0.0");
        package.entry = Some("it's \"quoted\" $(x)".into());
        let context = install(&package, "sha256:abc").unwrap();
        let mut archive = tar::Archive::new(context.as_slice());
        let files: Vec<(String, String)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Dockerfile", "app/install.mjs"]);
        let text = &files[0].1;
        assert!(text.starts_with("FROM sha256:abc\n"), "{text}");
        let (user, run) = (text.find("USER 65532:65532").unwrap(), text.find("\nRUN [").unwrap());
        assert!(user < run, "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix("RUN ")).unwrap();
        let run: Vec<String> = serde_json::from_str(line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&run[2]).unwrap();
        assert_eq!((run.len(), told["entry"].as_str()), (3, Some("it's \"quoted\" $(x)")));
        assert_eq!(told["scripts"], false);
    }
}
