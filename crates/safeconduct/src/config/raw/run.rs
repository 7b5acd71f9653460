//! What a server that this program starts is, and what it may do.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::decode::{Decode, expected, section};
use crate::config::node::{Kind, Node};
use crate::config::problem::Problems;
use crate::config::values::{Count, Many, Period, Processors, Size, choice};

section! {
    /// Servers that this program starts.
    Runtime {
        /// What runs them: `docker` or `podman`. Default: whichever answers.
        engine: EngineWord;
        /// The engine's socket, where it is not in its usual place.
        socket: String;
        /// This gateway's own directory. It is one gateway's at a time: a second one does not start. Default: one for this
        /// file and `listen`, below `$XDG_STATE_HOME/safeconduct` or `~/.local/state/safeconduct`.
        state: String;
        /// Most started servers at once. Default: `50`.
        instances: Count;
        /// Most started servers of one caller. Default: `10`.
        per_caller: Count;
        /// How long a server may take to be ready. Default: `60s`.
        start: Period;
        /// How packages become images.
        build: Build;
    }
}

section! {
    /// How packages become images. A build has a network, and neither credentials nor files of this machine; the servers that
    /// run the image have what their `permissions` say.
    Build {
        /// The image that Python packages are built on, by digest or tag. Default: `docker.io/library/python:3.13-slim`.
        python_image: String;
        /// The image that npm packages are built on. Default: `docker.io/library/node:22-slim`.
        node_image: String;
        /// The index of Python packages (`PIP_INDEX_URL`), without user and password: they would stand in the image's
        /// history. Default: PyPI.
        python_index: String;
        /// The registry of npm packages (`npm_config_registry`), likewise. Default: npm's.
        npm_registry: String;
        /// The engine's network that builds have: a name, or `host`. Default: the engine's usual one.
        network: String;
    }
}

section! {
    /// What a started server may do. What is not named here, it may not.
    Permissions {
        /// Where it may connect to: `none`, `{ allow: ["host:port", ...] }`, or `learn`: anywhere public, recorded, with the
        /// list to paste in the log. Default: `none`.
        network: Net;
        /// Files and directories of this machine.
        files: Files;
        /// Memory. Default: `512MiB`.
        memory: Size;
        /// Processors. Default: `1`.
        cpus: Processors;
        /// Processes and threads. Default: `128`.
        pids: Count;
        /// Size of its `/tmp`, which is in memory. Default: `64MiB`.
        tmp: Size;
        /// User and group inside: `UID[:GID]`. Default: the image's, which must not be root.
        user: String;
        /// Accepts an image that runs as root. Default: `false`.
        root: bool;
    }
}

section! {
    /// Files and directories of this machine, each `PATH` or `PATH:PATH_INSIDE`.
    Files {
        /// What it may read.
        read: Many<String>;
        /// What it may change.
        write: Many<String>;
    }
}

section! {
    /// Where a started server may connect to.
    Allow {
        /// `host:port`, `*.example.com:443` (one label), or a network: `10.1.0.0/16:5432`.
        allow, required: Many<String>;
    }
}

choice! {
    /// What runs started servers.
    pub EngineWord {
        /// Docker.
        "docker" => Docker,
        /// Podman.
        "podman" => Podman,
        /// A plain process, for development.
        "process" => Process,
    }
}

choice! {
    /// Whether an image is fetched.
    pub(crate) PullWord {
        /// When it is not here.
        "missing" => Missing,
        /// Each time.
        "always" => Always,
        /// Never.
        "never" => Never,
    }
}

/// `none`, `learn`, or a list.
#[derive(Clone)]
pub(crate) enum Net {
    /// Nowhere.
    None,
    /// Anywhere public, recorded.
    Learn,
    /// These.
    Allow(Allow),
}

/// `stdio`, `{ http: 8000 }`, or `{ http: { port: 8000, path: /mcp } }`.
#[derive(Clone)]
pub(crate) enum Speech {
    /// Standard input and output.
    Stdio,
    /// Streamable HTTP.
    Http(Http),
}

section! {
    /// Streamable HTTP of a started server.
    Http {
        /// The port that it listens on.
        port, required: Count;
        /// Path of its endpoint. Default: `/mcp`.
        path: String;
    }
}

section! {
    /// How a started server is spoken to over the network.
    Spoken {
        /// Port, or port and path.
        http, required: PortOrHttp;
    }
}

/// A port, or a section.
#[derive(Clone)]
pub(crate) struct PortOrHttp(Http);

impl Decode for Net {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Text(word) if word == "none" => Some(Self::None),
            Kind::Text(word) if word == "learn" => Some(Self::Learn),
            Kind::Map(_) => Allow::decode(node, problems).map(Self::Allow),
            _ => {
                expected(node, problems, "`none`, `learn` or `{ allow: [...] }`");
                None
            }
        }
    }
}

impl Decode for Speech {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Text(word) if word == "stdio" => Some(Self::Stdio),
            Kind::Map(_) => {
                let Spoken { http } = Spoken::decode(node, problems)?;
                http.value().map(|http| Self::Http(http.0.clone()))
            }
            _ => {
                expected(node, problems, "`stdio` or `{ http: PORT }`");
                None
            }
        }
    }
}

impl Decode for PortOrHttp {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        use crate::config::decode::{Field, at};
        match &node.kind {
            Kind::Map(_) => Http::decode(node, problems).map(Self),
            _ => at(node, problems).map(|port| Self(Http { port: Field::Given(port), path: Field::Absent })),
        }
    }
}

macro_rules! schema {
    ($type:ty, $name:literal, $generator:ident => $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}
schema!(Net, "network", generator => {
    let allow = generator.subschema_for::<Allow>();
    json_schema!({ "anyOf": [{ "enum": ["none", "learn"] }, allow] })
});
schema!(Speech, "transport", generator => {
    let spoken = generator.subschema_for::<Spoken>();
    json_schema!({ "anyOf": [{ "const": "stdio" }, spoken] })
});
schema!(PortOrHttp, "port", generator => {
    let http = generator.subschema_for::<Http>();
    json_schema!({ "anyOf": [{ "type": "integer" }, http] })
});
