//! Packages of the two indexes that MCP servers are published in: `uvx:NAME@VERSION` (PyPI) and `npx:NAME@VERSION`
//! (npm). In a container engine a package becomes an image, once; what runs then is the image.

use std::fmt;
use std::str::FromStr;

use crate::launch::Pull;

/// Which index, and which installer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A Python package.
    Uvx,
    /// A Node.js package.
    Npx,
}

impl Scheme {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Uvx => "uvx",
            Self::Npx => "npx",
        }
    }

    /// What it is built on unless something else is said. An image by tag: which image that is, is decided when a
    /// package is first built, and stands in the result's label `safeconduct.base`.
    pub const fn usual_base(self) -> &'static str {
        match self {
            Self::Uvx => "docker.io/library/python:3.13-slim",
            Self::Npx => "docker.io/library/node:22-slim",
        }
    }
}

/// Which package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its index.
    pub scheme: Scheme,
    /// As the index has it: `mcp-server-time`, `@scope/server`, `mcp[cli]`.
    pub name: String,
    /// Exactly this one; None for the newest.
    pub version: Option<String>,
}

/// A package to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Which.
    pub name: Name,
    /// The program of it that is run; None: the one called like the package, or the only one.
    pub entry: Option<String>,
    /// The program's arguments.
    pub arguments: Vec<String>,
    /// How it becomes an image.
    pub build: Build,
}

/// How a package becomes an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The image that it is built on: has `python3` with pip, or `node` with npm.
    pub base: String,
    /// Code of packages may run while they are installed: npm's scripts, Python packages that come as source.
    pub scripts: bool,
    /// The index instead of the public one, without credentials: those would stand in the image's history.
    pub index: Option<String>,
    /// The engine's network that the build, and nothing else, has. None: the engine's usual one.
    pub network: Option<String>,
    /// `Always` builds it again each time, `Never` not at all.
    pub pull: Pull,
}

/// Why a text is no package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPackage {
    /// Neither `uvx:` nor `npx:`.
    #[error("a package is written `uvx:NAME@VERSION` or `npx:NAME@VERSION`")]
    Scheme,
    /// The index has no such names.
    #[error("this is not the name of a package")]
    Name,
    /// A range or a tag other than `latest`.
    #[error("the version is not exact: `1.2.3`, no range and no tag")]
    Version,
}

impl Package {
    /// What a person would type to run it on this machine, without a container.
    pub fn command(&self) -> Vec<String> {
        let Name { scheme, name, version } = &self.name;
        let index = self.build.index.as_ref();
        let mut command = vec![scheme.word().to_owned()];
        match scheme {
            Scheme::Uvx => {
                command.extend(index.map(|url| format!("--default-index={url}")));
                command.extend((!self.build.scripts).then(|| "--no-build".to_owned()));
                let exact = version.as_ref().map(|version| format!("{name}=={version}"));
                command.extend(["--from".to_owned(), exact.unwrap_or_else(|| name.clone())]);
                command.push(self.entry.clone().unwrap_or_else(|| self.name.short().to_owned()));
            }
            Scheme::Npx => {
                command.extend(index.map(|url| format!("--registry={url}")));
                command.extend(["--yes".to_owned(), format!("--ignore-scripts={}", !self.build.scripts)]);
                let exact = format!("{name}@{}", version.as_deref().unwrap_or("latest"));
                match &self.entry {
                    Some(entry) => {
                        command.extend([format!("--package={exact}"), "--".to_owned(), entry.clone()])
                    }
                    // Which program a package has, npx finds out itself.
                    None => command.extend(["--".to_owned(), exact]),
                }
            }
        }
        command.extend(self.arguments.iter().cloned());
        command
    }
}

impl Name {
    /// True when the text begins like a package.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("uvx:") || text.starts_with("npx:")
    }

    /// The name without its scope and extras: what its program is usually called.
    pub fn short(&self) -> &str {
        let name = self.name.rsplit('/').next().unwrap_or_default();
        name.split('[').next().unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_deref().unwrap_or("latest");
        write!(f, "{}:{}@{version}", self.scheme.word(), self.name)
    }
}

impl FromStr for Name {
    type Err = NotAPackage;

    fn from_str(text: &str) -> Result<Self, NotAPackage> {
        let (scheme, rest) = text.split_once(':').ok_or(NotAPackage::Scheme)?;
        let scheme = match scheme {
            "uvx" => Scheme::Uvx,
            "npx" => Scheme::Npx,
            _ => return Err(NotAPackage::Scheme),
        };
        // A scope begins with the character that stands before the version.
        let (scope, name) = if rest.starts_with('@') { rest.split_at(1) } else { rest.split_at(0) };
        let (name, version) = match name.split_once("==").filter(|_| scheme == Scheme::Uvx) {
            Some((name, version)) => (name, Some(version)),
            None => name.split_once('@').map_or((name, None), |(name, version)| (name, Some(version))),
        };
        let name = format!("{scope}{name}");
        let known = match scheme {
            Scheme::Uvx => is_python(&name),
            Scheme::Npx => is_npm(&name),
        };
        if !known {
            return Err(NotAPackage::Name);
        }
        let version = version.filter(|version| *version != "latest");
        if version.is_some_and(|version| !is_exact(scheme, version)) {
            return Err(NotAPackage::Version);
        }
        Ok(Self { scheme, name, version: version.map(str::to_owned) })
    }
}

/// A name with extras, as pip takes it (PEP 508).
fn is_python(name: &str) -> bool {
    let (name, extras) = match name.strip_suffix(']') {
        Some(name) => name.split_once('[').unwrap_or_default(),
        None => (name, "x"),
    };
    let word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    word(name) && extras.split(',').all(word)
}

/// A name with its scope, as npm takes it.
fn is_npm(name: &str) -> bool {
    let word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._~-".contains(&b))
    };
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| word(scope) && word(name)),
        None => word(name),
    }
}

fn is_exact(scheme: Scheme, version: &str) -> bool {
    let plain = version.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+!-".contains(&b));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let begins = match scheme {
        Scheme::Uvx => version.starts_with(|first: char| first.is_ascii_digit()),
        // Of fewer parts it is a range.
        Scheme::Npx => core.split('.').count() == 3 && core.split('.').all(number),
    };
    plain && begins
}

#[cfg(test)]
mod tests {
    use super::{Build, Name, NotAPackage, Package, Scheme};
    use crate::launch::Pull;

    fn read(text: &str) -> Result<Name, NotAPackage> {
        text.parse()
    }

    #[test]
    fn a_package_is_named_with_its_version() {
        let name = read("uvx:mcp-server-time@2025.7.1").unwrap();
        assert_eq!((name.scheme, name.name.as_str()), (Scheme::Uvx, "mcp-server-time"));
        assert_eq!(name.version.as_deref(), Some("2025.7.1"));
        assert_eq!(read("uvx:mcp[cli,rich]==1.2rc1").unwrap().to_string(), "uvx:mcp[cli,rich]@1.2rc1");
        let name = read("npx:@modelcontextprotocol/server-everything@1.0.0-beta.1").unwrap();
        assert_eq!((name.short(), name.version.as_deref()), ("server-everything", Some("1.0.0-beta.1")));
        assert_eq!(read("npx:server").unwrap().version, None);
        assert_eq!(read("npx:@a/b@latest").unwrap().version, None);
    }

    #[test]
    fn what_is_not_exact_is_no_version() {
        for text in [
            "npx:a@1",
            "npx:a@^1.0.0",
            "npx:a@1.0.x",
            "npx:a@next",
            "uvx:a@>=1",
            "uvx:a==1.*",
            "uvx:a@",
            "uvx:a@x",
        ] {
            assert_eq!(read(text), Err(NotAPackage::Version), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_reaches_no_installer() {
        for text in [
            "npx:",
            "npx:-g@1.0.0",
            "npx:../a@1.0.0",
            "npx:@a@1.0.0",
            "npx:a b",
            "npx:git+ssh://x/y",
            "npx:@a/../b",
        ] {
            assert_eq!(read(text), Err(NotAPackage::Name), "{text}");
        }
        for text in ["uvx:", "uvx:-r@1", "uvx:a;b", "uvx:a[", "uvx:./a", "uvx:git+https://x", "uvx:a[x;y]"] {
            assert_eq!(read(text), Err(NotAPackage::Name), "{text}");
        }
        assert_eq!(read("pip:a@1"), Err(NotAPackage::Scheme));
    }

    #[test]
    fn without_a_container_it_is_what_a_person_would_type() {
        let build =
            Build { base: String::new(), scripts: false, index: None, network: None, pull: Pull::Missing };
        let mut package = Package {
            name: read("uvx:mcp-server-git@1.2").unwrap(),
            entry: None,
            arguments: vec!["--repository".into(), "/x".into()],
            build,
        };
        let expected =
            ["uvx", "--no-build", "--from", "mcp-server-git==1.2", "mcp-server-git", "--repository", "/x"];
        assert_eq!(package.command(), expected);
        package.name = read("npx:@a/b@1.0.0").unwrap();
        package.entry = Some("c".into());
        package.build.index = Some("https://npm.example.com/".into());
        package.arguments.clear();
        let expected = [
            "npx",
            "--registry=https://npm.example.com/",
            "--yes",
            "--ignore-scripts=true",
            "--package=@a/b@1.0.0",
            "--",
            "c",
        ];
        assert_eq!(package.command(), expected);
        package.entry = None;
        package.build.index = None;
        package.build.scripts = true;
        package.arguments.push("stdio".into());
        let expected = ["npx", "--yes", "--ignore-scripts=false", "--", "@a/b@1.0.0", "stdio"];
        assert_eq!(package.command(), expected);
    }
}
