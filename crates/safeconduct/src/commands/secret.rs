//! `safeconduct secret`: puts secrets where the configuration refers to them, `encrypted:NAME` or `keyring:SERVICE/NAME`.
//! A value comes from a prompt or from standard input, and is never an argument: those are seen by everybody.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use safeconduct_core::secret::Secret;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::Output;
use crate::config;
use crate::exit::Exit;
use crate::present::{Paint, Said};
use crate::secrets::is_name;
use crate::secrets::keyring::{self, Item};
use crate::secrets::sealed::{SealedFile, Value};

/// Larger secrets are mistakes.
const LARGEST: u64 = 64 * 1024;

/// What is done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put a secret there, or replace it. Its value is asked for, or read from standard input.
    #[command(after_help = "\
Examples:
  safeconduct secret set github                        # asks, into the encrypted file
  pass show github | safeconduct secret set github
  safeconduct secret set keyring:safeconduct/github    # into the system's keyring")]
    Set(One),
    /// List the names, never the values.
    #[command(after_help = "\
Examples:
  safeconduct secret list
  safeconduct secret list keyring:safeconduct")]
    List(All),
    /// Remove a secret.
    #[command(after_help = "\
Example:
  safeconduct secret rm github")]
    Rm(One),
}

/// One secret.
#[derive(Debug, Args)]
pub struct One {
    /// As the configuration refers to it: encrypted:NAME (or NAME alone) or keyring:SERVICE/NAME.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    place: Place,
}

/// All of them.
#[derive(Debug, Args)]
pub struct All {
    /// The items of this service in the system's keyring, instead of the encrypted file.
    #[arg(value_name = "keyring:SERVICE")]
    service: Option<String>,
    #[command(flatten)]
    place: Place,
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Where the encrypted file is named.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file, whose section `secrets` names the encrypted file.
    #[arg(short, long, value_name = "FILE", default_value = "safeconduct.yaml")]
    config: PathBuf,
}

/// Does it.
pub fn run(command: &Command, paint: Paint) -> Said {
    let done = match command {
        Command::Set(one) => set(one, paint),
        Command::List(all) => list(all, paint),
        Command::Rm(one) => remove(one, paint),
    };
    done.unwrap_or_else(|failed| failed)
}

/// What a name on the command line means.
enum Named {
    Encrypted(String),
    Keyring(Item),
}

fn set(one: &One, paint: Paint) -> Result<Said, Said> {
    match one.named()? {
        Named::Keyring(item) => {
            item.set(value(&one.name)?).map_err(|error| Said::failure(Exit::Failed, error))?;
            Ok(told(format!("keyring:{item} is set. A running gateway reads it on SIGHUP.\n")))
        }
        Named::Encrypted(name) => {
            // What is wrong with the file is said before a value is asked for.
            let file = one.place.file(paint)?;
            let value = Value(value(&name)?);
            file.change(|all| all.insert(name.clone(), value))
                .map_err(|error| Said::failure(Exit::Failed, error))?;
            let path = file.path.display();
            Ok(told(format!(
                "encrypted:{name} is set in {path}. A running gateway reads it within seconds.\n"
            )))
        }
    }
}

fn list(all: &All, paint: Paint) -> Result<Said, Said> {
    let names: Vec<String> = match &all.service {
        Some(service) => {
            let wrong = || {
                Said::failure(Exit::Usage, "expected `keyring:SERVICE`, or nothing for the encrypted file")
            };
            let service =
                service.strip_prefix("keyring:").filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            let names = keyring::names(service).map_err(|error| Said::failure(Exit::Failed, error))?;
            names.into_iter().map(|name| format!("keyring:{service}/{name}")).collect()
        }
        None => {
            let contents =
                all.place.file(paint)?.read().map_err(|error| Said::failure(Exit::Failed, error))?;
            contents.into_keys().map(|name| format!("encrypted:{name}")).collect()
        }
    };
    if all.output == Output::Json {
        return Ok(Said::json(&json!(names), Exit::Fine));
    }
    let lines = names.iter().map(|name| format!("{}\n", crate::present::plain(name)));
    Ok(Said::data(lines.collect::<String>()))
}

fn remove(one: &One, paint: Paint) -> Result<Said, Said> {
    match one.named()? {
        Named::Keyring(item) => {
            item.remove().map_err(|error| Said::failure(Exit::Failed, error))?;
            Ok(told(format!("keyring:{item} is removed.\n")))
        }
        Named::Encrypted(name) => {
            let file = one.place.file(paint)?;
            let contents = file.read().map_err(|error| Said::failure(Exit::Failed, error))?;
            if !contents.contains_key(&name) {
                let path = file.path.display();
                return Err(Said::failure(Exit::Failed, format!("there is no `{name}` in {path}")));
            }
            file.change(|all| all.remove(&name)).map_err(|error| Said::failure(Exit::Failed, error))?;
            Ok(told(format!("encrypted:{name} is removed.\n")))
        }
    }
}

impl One {
    fn named(&self) -> Result<Named, Said> {
        let wrong = |why| Said::failure(Exit::Usage, why);
        if let Some(item) = self.name.strip_prefix("keyring:") {
            return Item::read(item)
                .map(Named::Keyring)
                .ok_or_else(|| wrong("expected `keyring:SERVICE/NAME`"));
        }
        let name = self.name.strip_prefix("encrypted:").unwrap_or(&self.name);
        if is_name(name) {
            Ok(Named::Encrypted(name.to_owned()))
        } else {
            Err(wrong(
                "a name has letters, digits, `.`, `_` and `-`; in the keyring it is `keyring:SERVICE/NAME`",
            ))
        }
    }
}

impl Place {
    fn file(&self, paint: Paint) -> Result<SealedFile, Said> {
        config::sealed_file(&self.config).map_err(|report| Said {
            data: String::new(),
            people: report.text(paint.is_on()),
            exit: Exit::Usage,
        })
    }
}

/// Asks for it where somebody sits; reads it where something is piped in. A line break at its end is not part of it.
fn value(name: &str) -> Result<Secret, Said> {
    let failed = |error: io::Error| Said::failure(Exit::Failed, format!("no value: {error}"));
    let mut text = if io::stdin().is_terminal() {
        let shown = crate::present::plain(name);
        Zeroizing::new(rpassword::prompt_password(format!("Value of {shown} (not shown): ")).map_err(failed)?)
    } else {
        let mut text = Zeroizing::new(String::new());
        io::stdin().take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
        text
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    let length = text.len() as u64;
    if length == 0 || length > LARGEST {
        let what = if length == 0 { "empty" } else { "larger than 64 KiB" };
        return Err(Said::failure(Exit::Usage, format!("the value is {what}")));
    }
    Ok(Secret::new(text.as_bytes().to_vec()))
}

fn told(people: String) -> Said {
    Said { data: String::new(), people, exit: Exit::Fine }
}
