//! Policy files: found and read here, compiled by core.

use std::path::{Path, PathBuf};

use safeconduct_core::policy::Source;

use super::{Resolver, plainly};
use crate::config::decode::{At, Field};

/// Policy texts and where they come from.
#[derive(Default)]
pub(super) struct Policies {
    pub(super) sources: Vec<Source>,
    pub(super) paths: Vec<PathBuf>,
}

impl Resolver<'_> {
    pub(super) fn policies(&mut self) -> Policies {
        let mut policies = Policies::default();
        let written = match &self.file.policy {
            Field::Given(written) => written,
            Field::Broken => return policies,
            Field::Absent => {
                self.problems
                    .warning(0..0, "there are no policies, so everything is denied")
                    .help("policy: policies/, with files such as `orders.cedar` in it");
                return policies;
            }
        };
        for path in &written.value.0 {
            self.policy_path(path, &mut policies);
        }
        if policies.sources.is_empty() && !written.value.0.iter().any(|path| !self.path(&path.value).is_dir())
        {
            self.problems
                .warning(written.span.clone(), "there is no policy here, so everything is denied")
                .label("no `*.cedar` file")
                .help(
                    "permit (principal in Group::\"corp/support\", action, resource in Server::\"orders\");",
                );
        }
        policies
    }

    fn policy_path(&mut self, written: &At<String>, policies: &mut Policies) {
        let path = self.path(&written.value);
        policies.paths.push(path.clone());
        let found = if path.is_dir() {
            self.directory(&path, &written.value)
        } else {
            Ok(vec![written.value.clone()])
        };
        let read = found.and_then(|names| {
            for name in names {
                let text = std::fs::read_to_string(self.path(&name))?;
                policies.sources.push(Source { file: name, text });
            }
            Ok(())
        });
        if let Err(error) = read {
            self.problems
                .error(
                    written.span.clone(),
                    format!("cannot read policies from `{}`: {}", written.value, plainly(&error)),
                )
                .label("a file, or a directory of `*.cedar` files")
                .help("relative paths start at the directory of the configuration file");
        }
    }

    // `policies/orders.cedar`: the names that decisions print, in a stable order.
    fn directory(&self, path: &Path, written: &str) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".cedar") && !name.starts_with('.') && entry.path().is_file() {
                names.push(format!("{}/{name}", written.trim_end_matches('/')));
            }
        }
        names.sort();
        Ok(names)
    }
}
