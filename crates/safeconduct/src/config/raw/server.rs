//! `servers`: the MCP servers behind the gateway.

use super::super::decode::{Named, section};
use super::super::values::{Many, Period, SecretText};
use super::deliver::Deliver;
use super::run::{EngineWord, Permissions, PullWord, Speech};
use super::step::Chain;

section! {
    /// One MCP server.
    Server {
        /// The server's endpoint (streamable HTTP). Without it, `image`, `package` or `command` says what to start.
        url: String;
        /// Names of the `issuers` whose callers are believed here. Default: all.
        issuers: Many<String>;
        /// Scopes that a caller's token must have, by method (`tools/call: [mcp:tools:call]`). When one is missing, the
        /// caller is told the whole set for this method (403 `insufficient_scope`). Default: none.
        scopes: Named<Many<String>>;
        /// How the credential for the server is got: a chain of steps, each step's result being the next one's subject,
        /// or `none`. It must be said: a server without it is an error.
        credential, required: Chain;
        /// Where the credential goes. Default: `{ header: Authorization }`.
        deliver: Deliver;
        /// Whether the server's tools are pinned to what they are when they are first seen: a tool that is defined otherwise
        /// since is left out of lists and not called, until `safeconduct lock approve`. `false` for a server whose
        /// tools are defined anew for each caller. Default: `true`.
        pin: bool;
        /// How long tools that are new are pinned as they are, counted from the server's first list. When that is over and
        /// a whole list was seen, a new tool is quarantined like a changed one. Default: `10m`.
        first_use: Period;
        /// Accepts plain http for a server that is not on this machine. Default: `false`.
        allow_http: bool;
        /// A container image to run, instead of `url`: by digest (`ghcr.io/acme/server@sha256:...`). It runs confined: no
        /// network, no files, no capabilities, but for what `permissions` name.
        image: String;
        /// A package to run, instead of `url`: `uvx:NAME@VERSION` of PyPI or `npx:NAME@VERSION` of npm. An image is made of it,
        /// once, which runs confined like any other; with `engine: process` it is run by this machine's `uvx` or `npx`.
        package: String;
        /// The package's program. Default: the one that is called like the package, or its only one.
        entry: String;
        /// The image that the package is built on, with `python3` and pip, or `node` and npm. Default: that of `runtime.build`.
        base_image: String;
        /// Lets the package's code run while it is installed: npm's scripts, Python packages that come as source only.
        /// Default: `false`.
        install_scripts: bool;
        /// Accepts an image by tag, although whoever owns the name can make it another image at any time, and a package
        /// without a version: then the newest is taken once, and kept. Default: `false`.
        allow_tags: bool;
        /// Whether the image is fetched, or made of the package: `missing`, `always` or `never`. Default: `missing`.
        pull: PullWord;
        /// With `image`, what replaces the image's own command. With `package`, its program's arguments. Alone, a program of this machine: for development, with
        /// `engine: process`.
        command: Many<String>;
        /// What runs it: `docker`, `podman`, or `process` (no container, for development). Default: `runtime.engine`.
        engine: EngineWord;
        /// How the started server is spoken to: `stdio`, or `{ http: PORT }`. Default: `stdio`.
        transport: Speech;
        /// What the started server may do. Default: nothing.
        permissions: Permissions;
        /// Variables of the started server's environment. Nothing else is in it but what the image itself sets.
        environment: Named<String>;
        /// Secrets of the started server, by the name of the variable they stand in. They are in no file, log or image.
        secrets: Named<SecretText>;
        /// Each caller has an instance of their own. Always so when the caller's credential goes to the instance; else
        /// say it for servers that keep something of one call for the next. Default: `false`.
        per_caller: bool;
        /// How long a started server may be idle before it is ended. Default: `10m`.
        idle: Period;
    }
}
