//! Servers that come as a package of an index.

use std::ops::Range;

use safeconduct_runtime::launch::{Program, Pull};
use safeconduct_runtime::package::{Build, Name, NotAPackage, Package, Scheme};

use super::Resolver;
use super::run::place;
use crate::config::decode::{At, Field};
use crate::config::plan::EngineWord;
use crate::config::raw::Server;

impl Resolver<'_> {
    /// What is made of `package` and the settings beside it.
    pub(super) fn package(
        &mut self,
        written: &At<String>,
        server: &Server,
        engine: Option<EngineWord>,
        pull: Pull,
    ) -> Option<Program> {
        let name = match written.value.parse::<Name>() {
            Ok(name) => name,
            Err(problem) => {
                self.no_package(written, problem);
                return None;
            }
        };
        if name.version.is_none() && !server.allow_tags.or(false) {
            self.problems
                .error(written.span.clone(), format!("`{}` names no version", written.value))
                .label("whatever is the newest when it is built")
                .help(format!(
                    "write `{}:{}@VERSION`; with `allow_tags: true` beside it the newest is taken once, and kept",
                    name.scheme.word(),
                    name.name
                ));
            return None;
        }
        if engine == Some(EngineWord::Process)
            && let Some(base) = server.base_image.given()
        {
            self.problems
                .error(base.site.clone(), "`base_image` is for a container, and `engine` is `process`")
                .label("nothing is built");
            return None;
        }
        let build = self.build(name.scheme, server, pull)?;
        let arguments =
            server.command.value().map(|many| many.values().cloned().collect()).unwrap_or_default();
        let entry = server.entry.given();
        if let Some(entry) = entry.filter(|entry| !is_program(&entry.value)) {
            self.problems
                .error(entry.span.clone(), format!("`{}` is no name of a program", entry.value))
                .label("a plain name");
            return None;
        }
        let entry = entry.map(|entry| entry.value.clone());
        Some(Program::Package(Package { name, entry, arguments, build }))
    }

    fn no_package(&mut self, written: &At<String>, problem: NotAPackage) {
        let help = match problem {
            NotAPackage::Version => "a range or a tag can become another package at any time",
            NotAPackage::Scheme | NotAPackage::Name => {
                "such as `uvx:mcp-server-time@2025.7.1` or `npx:@scope/server@1.2.3`"
            }
        };
        self.problems
            .error(written.span.clone(), format!("`{}`: {problem}", written.value))
            .label("not understood")
            .help(help);
    }

    fn build(&mut self, scheme: Scheme, server: &Server, pull: Pull) -> Option<Build> {
        let common = self.file.runtime.value().and_then(|runtime| runtime.build.value());
        let (general, index) = match scheme {
            Scheme::Uvx => (common.map(|it| &it.python_image), common.map(|it| &it.python_index)),
            Scheme::Npx => (common.map(|it| &it.node_image), common.map(|it| &it.npm_registry)),
        };
        let base = server.base_image.given().or(general.and_then(Field::given));
        if let Some(base) = base.filter(|base| base.value.contains(char::is_whitespace)) {
            self.problems.error(base.span.clone(), "this is not the name of an image").label("cannot be one");
            return None;
        }
        Some(Build {
            base: base.map_or_else(|| scheme.usual_base().to_owned(), |at| at.value.clone()),
            scripts: server.install_scripts.or(false),
            index: index.and_then(Field::value).cloned(),
            network: common.and_then(|it| it.network.value()).cloned(),
            pull,
        })
    }

    /// Where packages come from, whether or not there are any.
    pub(super) fn indexes(&mut self) {
        let Some(build) = self.file.runtime.value().and_then(|runtime| runtime.build.value()) else { return };
        for index in [&build.python_index, &build.npm_registry] {
            if let Some(at) = index.given() {
                self.url("what is installed", at, &Field::Absent);
            }
        }
    }

    /// Settings of packages, beside something else.
    pub(super) fn only_for_packages(&mut self, server: &Server) {
        for (setting, place) in package_settings(server) {
            let Some(place) = place else { continue };
            self.problems
                .error(place, format!("`{setting}` is for a package"))
                .label("there is no `package`");
        }
    }
}

fn package_settings(server: &Server) -> [(&'static str, Option<Range<usize>>); 3] {
    [
        ("entry", place(&server.entry)),
        ("base_image", place(&server.base_image)),
        ("install_scripts", place(&server.install_scripts)),
    ]
}

fn is_program(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
