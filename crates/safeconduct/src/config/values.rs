//! The kinds of values that the file has, each with how it is written.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{At, Decode, at, expected};
use super::node::{Kind, Node};
use super::problem::Problems;
use crate::secrets::is_name;
use crate::secrets::keyring::Item;

impl Decode for String {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Text(text) if text.is_empty() => {
                problems.error(node.span.clone(), "expected text, and it is empty").label("empty");
                None
            }
            Kind::Text(text) | Kind::Number(text) => Some(text.clone()),
            Kind::Flag(_) => {
                problems
                    .error(node.span.clone(), "expected text, found true or false")
                    .label("read as true or false")
                    .help("put it in quotes if the word is meant");
                None
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                expected(node, problems, "text");
                None
            }
        }
    }
}

impl Decode for bool {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Flag(flag) => Some(*flag),
            _ => {
                expected(node, problems, "`true` or `false`");
                None
            }
        }
    }
}

/// A type that is written as text and read from it.
pub(crate) trait Written: Sized {
    /// What is expected, with an example, as a phrase: "a size such as `4MiB`".
    const EXPECTED: &'static str;
    /// Regular expression for the schema; None for free text.
    const PATTERN: Option<&'static str>;
    /// Name in the reference.
    const NAME: &'static str;
    /// Reads it.
    fn read(text: &str) -> Option<Self>;
}

macro_rules! written {
    ($($type:ty),*) => { $(
        impl Decode for $type {
            fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
                let (Kind::Text(text) | Kind::Number(text)) = &node.kind else {
                    expected(node, problems, <$type>::EXPECTED);
                    return None;
                };
                let value = <$type>::read(text.trim());
                if value.is_none() {
                    problems
                        .error(node.span.clone(), format!("expected {}", <$type>::EXPECTED))
                        .label("cannot be read as that");
                }
                value
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                <$type>::NAME.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!({ "type": ["string", "integer"], "title": <$type>::NAME });
                if let Some(pattern) = <$type>::PATTERN {
                    schema.insert("pattern".to_owned(), pattern.into());
                }
                schema
            }
        }
    )* };
}
written!(Address, Period, Size, Rate, Count, Fraction, Processors);

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl Written for Address {
    const EXPECTED: &'static str = "an address with a port, such as `127.0.0.1:8080` or `[::]:8443`";
    const PATTERN: Option<&'static str> = Some(r"^\S*:[0-9]{1,5}$");
    const NAME: &'static str = "address";

    fn read(text: &str) -> Option<Self> {
        let text = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None if text.starts_with(':') => format!("0.0.0.0{text}"),
            None => text.to_owned(),
        };
        text.parse().ok().map(Self)
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

impl Written for Period {
    const EXPECTED: &'static str = "a duration such as `250ms`, `30s`, `15m` or `1h`";
    const PATTERN: Option<&'static str> = Some(r"^[0-9]+(ms|s|m|h|d)$");
    const NAME: &'static str = "duration";

    fn read(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.checked_mul(millis).map(|millis| Self(Duration::from_millis(millis)))
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Written for Size {
    const EXPECTED: &'static str = "a size such as `64KiB`, `4MiB` or a number of bytes";
    const PATTERN: Option<&'static str> = Some(r"^[0-9]+ ?(B|kB|KB|KiB|MB|MiB|GB|GiB)?$");
    const NAME: &'static str = "size";

    fn read(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "KiB" => 1 << 10,
            "MB" => 1_000_000,
            "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor).map(Self)
    }
}

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: u32,
    pub(crate) per: Duration,
}

impl Written for Rate {
    const EXPECTED: &'static str = "a rate such as `10/s`, `120/min` or `5000/h`";
    const PATTERN: Option<&'static str> = Some(r"^[0-9]+ ?/ ?(s|sec|m|min|h|hour)$");
    const NAME: &'static str = "rate";

    fn read(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let seconds = match per.trim() {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" | "hour" => 3600,
            _ => return None,
        };
        let count = count.trim().parse().ok().filter(|count| *count > 0)?;
        Some(Self { count, per: Duration::from_secs(seconds) })
    }
}

/// A whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl Written for Count {
    const EXPECTED: &'static str = "a whole number";
    const PATTERN: Option<&'static str> = Some(r"^[0-9]+$");
    const NAME: &'static str = "number";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A share between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fraction(pub(crate) f64);

impl Written for Fraction {
    const EXPECTED: &'static str = "a share between 0 and 1, such as `0.1`";
    const PATTERN: Option<&'static str> = None;
    const NAME: &'static str = "share";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(Self)
    }
}

/// Processors, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Processors(pub(crate) u32);

impl Written for Processors {
    const EXPECTED: &'static str = "a number of processors such as `1` or `0.5`";
    const PATTERN: Option<&'static str> = None;
    const NAME: &'static str = "processors";

    fn read(text: &str) -> Option<Self> {
        let number: f64 = text.parse().ok()?;
        (0.01..=1024.0).contains(&number).then_some(Self((number * 1000.0) as u32))
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A list, or its only element without brackets.
#[derive(Clone)]
pub(crate) struct Many<T>(pub(crate) Vec<At<T>>);

impl<T> Many<T> {
    /// The elements without their places.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|at| &at.value)
    }
}

impl<T: Decode> Decode for Many<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            // Every element is read before one can spoil the list, so that each mistake is told.
            Kind::List(items) => {
                let items: Vec<_> = items.iter().map(|item| at(item, problems)).collect();
                items.into_iter().collect::<Option<_>>().map(Self)
            }
            _ => at(node, problems).map(|one| Self(vec![one])),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("list of {}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "array", "items": one.clone() }, one] })
    }
}

/// Declares a choice of words.
macro_rules! choice {
    ($(#[doc = $about:literal])* $vis:vis $name:ident {
        $( $(#[doc = $doc:literal])* $word:literal => $variant:ident, )*
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $( $(#[doc = $doc])* $variant, )* }

        impl $name {
            /// The word that stands in the file.
            #[allow(dead_code, reason = "not every choice is printed")]
            $vis const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }

            /// All words.
            pub(crate) const WORDS: &'static [&'static str] = &[$( $word ),*];
        }

        impl $crate::config::decode::Decode for $name {
            fn decode(
                node: &$crate::config::node::Node,
                problems: &mut $crate::config::problem::Problems,
            ) -> Option<Self> {
                let $crate::config::node::Kind::Text(text) = &node.kind else {
                    $crate::config::decode::expected(node, problems, &format!("one of {}", Self::WORDS.join(", ")));
                    return None;
                };
                match text.as_str() {
                    $( $word => Some(Self::$variant), )*
                    other => {
                        problems
                            .error(node.span.clone(), format!("`{other}` is not one of {}", Self::WORDS.join(", ")))
                            .label("not known here")
                            .maybe_help(
                                $crate::config::near::nearest(other, Self::WORDS.iter().copied())
                                    .map(|near| format!("did you mean `{near}`?")),
                            );
                        None
                    }
                }
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "enum": Self::WORDS })
            }
        }
    };
}
pub(crate) use choice;

/// A secret by reference: `env:NAME`, `file:PATH`, `keyring:SERVICE/NAME`, `encrypted:NAME`, or, said aloud, `inline:TEXT`.
#[derive(Clone)]
pub(crate) enum SecretText {
    /// An environment variable.
    Env(String),
    /// A file; a line break at its end is not part of the secret.
    File(String),
    /// In the system's keyring.
    Keyring(Item),
    /// In the encrypted file that the section `secrets` names.
    Encrypted(String),
    /// In the file itself.
    Inline(String),
}

impl Decode for SecretText {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (Kind::Text(text) | Kind::Number(text)) = &node.kind else {
            problems.keep_secret(node);
            expected(
                node,
                problems,
                "a secret by reference: `env:NAME`, `file:PATH`, `keyring:SERVICE/NAME` or `encrypted:NAME`",
            );
            return None;
        };
        if let Some(name) = text.strip_prefix("env:").filter(|name| !name.is_empty()) {
            return Some(Self::Env(name.to_owned()));
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Some(Self::File(path.to_owned()));
        }
        if let Some(item) = text.strip_prefix("keyring:") {
            let item = Item::read(item);
            if item.is_none() {
                problems
                    .error(node.site.clone(), "no item of a keyring")
                    .label("expected `keyring:SERVICE/NAME`");
            }
            return item.map(Self::Keyring);
        }
        if let Some(name) = text.strip_prefix("encrypted:") {
            if !is_name(name) {
                let help = "letters, digits, `.`, `_` and `-`";
                problems
                    .error(node.site.clone(), "no name of an encrypted secret")
                    .label("expected `encrypted:NAME`")
                    .help(help);
                return None;
            }
            return Some(Self::Encrypted(name.to_owned()));
        }
        problems.keep_secret(node);
        if let Some(secret) = text.strip_prefix("inline:").filter(|secret| !secret.is_empty()) {
            problems
                .warning(node.site.clone(), "this secret stands in the file itself")
                .label("inline secret")
                .help("fit for a laptop only: use `env:NAME` or `file:PATH` elsewhere");
            return Some(Self::Inline(secret.to_owned()));
        }
        problems
            .error(node.site.clone(), "a secret is given by reference, not by value")
            .label("not a reference (its value is not shown)")
            .help("write `env:NAME`, `file:PATH`, `keyring:SERVICE/NAME` or `encrypted:NAME`; for a try on a laptop `inline:` in front of the value");
        None
    }
}

impl JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "secret", "pattern": "^(env|file|keyring|encrypted|inline):." })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Address, Fraction, Period, Rate, Size, Written};

    #[test]
    fn durations_sizes_and_rates_are_read_with_their_units() {
        assert_eq!(Period::read("15m").unwrap().0, Duration::from_secs(900));
        assert_eq!(Period::read("250ms").unwrap().0, Duration::from_millis(250));
        assert_eq!(Size::read("4MiB").unwrap().0, 4 << 20);
        assert_eq!(Size::read("512").unwrap().0, 512);
        assert_eq!(Rate::read("120/min"), Some(Rate { count: 120, per: Duration::from_secs(60) }));
        assert_eq!(Address::read(":8443").unwrap().0.to_string(), "0.0.0.0:8443");
    }

    #[test]
    fn what_has_no_unit_or_a_wrong_one_is_not_guessed_at() {
        for wrong in ["15", "m", "15 minutes", "-1s", "99999999999999999999d"] {
            assert!(Period::read(wrong).is_none(), "{wrong}");
        }
        for wrong in ["4MB/s", "x", "99999999999GiB"] {
            assert!(Size::read(wrong).is_none(), "{wrong}");
        }
        for wrong in ["0/s", "120", "120/week"] {
            assert!(Rate::read(wrong).is_none(), "{wrong}");
        }
        assert!(Fraction::read("1.5").is_none());
    }
}
