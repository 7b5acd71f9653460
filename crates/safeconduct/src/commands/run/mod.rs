//! `safeconduct run` and `safeconduct dev`: one server behind the gateway, without a file. The flags become a file,
//! and the file is served like any other.

mod args;
mod file;
mod laptop;

pub use args::RunArgs;

use std::path::PathBuf;

use self::args::Target;
use self::file::Believed;
use self::laptop::Laptop;
use crate::commands::serve::{self, Failure};
use crate::exit::Exit;
use crate::present::{Paint, Said};

/// Runs it until SIGTERM or SIGINT.
pub fn run(args: &RunArgs, paint: Paint) -> Said {
    if args.print_config {
        return print_config(args);
    }
    let laptop = match &args.issuer {
        Some(_) => None,
        None => match Laptop::start(&args.users) {
            Ok(laptop) => Some(laptop),
            Err(error) => return Said::failure(Exit::Failed, error),
        },
    };
    let issuer = args.issuer.clone().or_else(|| laptop.as_ref().map(|laptop| laptop.issuer().to_owned()));
    let believed = Believed { issuer: &issuer.unwrap_or_default(), audience: args.audience.clone() };
    let room = match Room::new(args) {
        Ok(room) => room,
        Err(error) => return Said::failure(Exit::Failed, error),
    };
    let text = match file::text(
        args,
        &believed,
        room.policies.clone(),
        room.path("audit.jsonl"),
        Some(room.path("state")),
        Some(&room.here),
    ) {
        Ok(text) => text,
        Err(why) => return Said::failure(Exit::Usage, why),
    };
    let config = room.directory.join("safeconduct.yaml");
    if let Err(error) = std::fs::write(&config, text) {
        return Said::failure(Exit::Failed, error);
    }
    let resource = format!("http://{}/{}/mcp", args.listen, args.server_name());
    let said = notice(args, &resource, laptop.as_ref(), &room, paint);
    match serve::run_with(&config, paint.is_on(), &said) {
        Ok(()) => Said::data(""),
        Err(Failure::Configuration(report)) => {
            Said { data: String::new(), people: report, exit: Exit::Usage }
        }
        Err(failure) => Said::failure(Exit::Failed, failure),
    }
}

fn print_config(args: &RunArgs) -> Said {
    let issuer = args.issuer.clone().unwrap_or_else(|| "https://idp.example.com".to_owned());
    let believed = Believed { issuer: &issuer, audience: args.audience.clone() };
    let policies = match args.policy.as_slice() {
        [] => vec!["policies/".to_owned()],
        given => given.iter().map(|path| path.display().to_string()).collect(),
    };
    match file::text(args, &believed, policies, "audit.jsonl".to_owned(), None, None) {
        Ok(text) => Said::data(text),
        Err(why) => Said::failure(Exit::Usage, why),
    }
}

/// A directory for the file, the policy and the audit log, gone at the end.
struct Room {
    directory: PathBuf,
    here: PathBuf,
    policies: Vec<String>,
}

impl Room {
    fn new(args: &RunArgs) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let directory = std::env::temp_dir().join(format!("safeconduct-run-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let here = std::env::current_dir()?;
        let mut room = Self { directory, here: here.clone(), policies: Vec::new() };
        if args.policy.is_empty() {
            let policy = format!(
                "// Whoever is logged in may do everything with this server.\n\
                 permit (principal, action, resource in Server::\"{}\");\n",
                args.server_name()
            );
            std::fs::write(room.directory.join("run.cedar"), policy)?;
            room.policies.push(room.path("run.cedar"));
        } else {
            room.policies = args.policy.iter().map(|path| here.join(path).display().to_string()).collect();
        }
        Ok(room)
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What can be done now.
fn notice(args: &RunArgs, resource: &str, laptop: Option<&Laptop>, room: &Room, paint: Paint) -> String {
    let name = args.server_name();
    let mut text = format!("\n{}\n\n  {resource}\n", paint.strong("An MCP client finds it at"));
    if args.policy.is_empty() {
        text.push_str("\nWhoever is logged in may do everything with it; --policy FILE says otherwise.\n");
    }
    if matches!(args.what(), Target::Program) {
        text.push_str("The program runs without a container: it has your files and your network.\n");
    }
    if let Some(laptop) = laptop {
        let token = laptop.token(resource);
        text += &format!(
            "\nClients log in at {}, an identity provider for this machine only.\nOr with a token for {}, good for an hour:\n\n  \
             TOKEN={token}\n\n  npx @modelcontextprotocol/inspector --cli --server-url {resource} --transport http \\\n    \
             --header \"Authorization: Bearer $TOKEN\" --method tools/list\n  \
             claude mcp add --transport http {name} {resource}\n",
            laptop.issuer(),
            laptop.first(),
        );
    }
    text + &format!(
        "\n  tail -f {}      # a line for each call\n\nCtrl-C ends it.\n\n",
        room.path("audit.jsonl")
    )
}
