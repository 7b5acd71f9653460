//! The lock file: what the tools of each server, and the images of those that are started here, are pinned to. Definitions
//! are kept as they were listed, so that a change can be shown in words.
//!
//! JSON with sorted names, one member a line: it is made to be kept beside the configuration, and read as a diff.

mod store;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use safeconduct_core::pins::{Definition, Digest, Note, Pin, Pinned, is_settled};
use safeconduct_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use store::{Stamp, Store, Unusable};
pub use words::{as_listed, changes, headline};

/// Deeper definitions are kept as text, because the file itself must be read again.
const DEEPEST: usize = 64;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: Version,
    /// By their names in the configuration.
    pub servers: BTreeMap<String, Entry>,
}

/// The only version that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
struct Version;

impl TryFrom<u8> for Version {
    type Error = String;

    fn try_from(version: u8) -> Result<Self, String> {
        if version == 1 { Ok(Self) } else { Err(format!("version {version} is not known here, 1 is")) }
    }
}

impl From<Version> for u8 {
    fn from(Version: Version) -> Self {
        1
    }
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it is, or what is started. Another one in the configuration is another server.
    pub at: String,
    /// When it was first seen, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// A whole list of its tools was seen.
    #[serde(default)]
    pub complete: bool,
    /// What its image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Its tools, by name.
    #[serde(default)]
    pub tools: BTreeMap<String, Tool>,
}

/// The image of a started server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// As the configuration names it.
    pub reference: String,
    /// What it is: `sha256:...`.
    pub digest: String,
    /// What it has become since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
}

/// What starting an image came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is what it was.
    Same,
    /// It is the first one of this reference.
    First,
    /// It is not approved, and was seen before.
    Quarantined,
    /// The tag stands for another one than before.
    Changed,
}

impl Admitted {
    /// Whether it may run.
    pub fn fits(self) -> bool {
        matches!(self, Self::Same | Self::First)
    }
}

/// One tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The approved definition; none for a tool that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Listed>,
    /// The definition that was seen last, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Listed>,
    /// The last whole list did not have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlisted: bool,
}

/// A definition and when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// SHA-256 of its canonical form. This counts; the definition is for people.
    #[serde(with = "as_text")]
    pub digest: Digest,
    /// When it was first seen, RFC 3339.
    pub seen: String,
    /// As it was listed.
    pub definition: Value,
}

mod as_text {
    use safeconduct_core::pins::Digest;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        Digest::parse(&text).ok_or_else(|| D::Error::custom("expected sha256: and 64 hexadecimal digits"))
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: Version, servers: BTreeMap::new() }
    }
}

impl Lock {
    /// From the text of a file; an empty one is an empty lock.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        if text.trim().is_empty() { Ok(Self::default()) } else { serde_json::from_str(text) }
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// The entry of this server, if it is still the same one.
    pub fn entry(&self, server: &str, at: &str) -> Option<&Entry> {
        self.servers.get(server).filter(|entry| entry.at == at)
    }

    /// The same, made where there is none. Whoever writes another address into the configuration means another server,
    /// and it is seen for the first time.
    pub fn entry_mut(&mut self, server: &str, at: &str) -> &mut Entry {
        let entry = self.servers.entry(server.to_owned()).or_default();
        if entry.at != at {
            *entry = Entry { at: at.to_owned(), ..Entry::default() };
        }
        entry
    }
}

impl Entry {
    /// Takes down what was seen.
    pub fn note(&mut self, note: &Note, at: Timestamp, first_use: std::time::Duration) {
        let since = self.since.get_or_insert_with(|| at.rfc3339());
        let since = Timestamp::parse_rfc3339(since);
        match note {
            Note::Complete => self.complete = true,
            Note::Unlisted(name) => {
                if let Some(tool) = self.tools.get_mut(&**name) {
                    tool.unlisted = true;
                }
            }
            Note::Tool(definition, _) => {
                let settled = is_settled(since, self.complete, first_use, at);
                self.tools.entry(definition.name.to_string()).or_default().see(definition, settled, at);
            }
        }
    }

    /// Takes down what an image is; whether it may run. What is named by its content cannot become something else.
    pub fn admit(&mut self, reference: &str, moves: bool, id: &str) -> Admitted {
        let Some(image) = self.image.as_mut().filter(|image| image.reference == reference) else {
            let (reference, digest) = (reference.to_owned(), id.to_owned());
            self.image = Some(Image { reference, digest, quarantined: None });
            return Admitted::First;
        };
        if image.digest == id || !moves {
            image.quarantined = None;
            return Admitted::Same;
        }
        if image.quarantined.as_deref() == Some(id) {
            return Admitted::Quarantined;
        }
        image.quarantined = Some(id.to_owned());
        Admitted::Changed
    }

    /// For the path.
    pub fn pinned(&self) -> Pinned {
        Pinned {
            since: self.since.as_deref().and_then(Timestamp::parse_rfc3339),
            complete: self.complete,
            tools: self.tools.iter().map(|(name, tool)| (name.as_str().into(), tool.pin())).collect(),
        }
    }

    /// Names of the tools that are quarantined.
    pub fn quarantined(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter(|(_, tool)| tool.quarantined.is_some()).map(|(name, _)| name.as_str())
    }

    /// Approves what is quarantined: all of it, or one tool. How much that was.
    pub fn approve(&mut self, only: Option<&str>) -> usize {
        let meant = |name: &str| only.is_none_or(|only| only == name);
        let mut count = 0;
        for (_, tool) in self.tools.iter_mut().filter(|(name, _)| meant(name)) {
            if let Some(quarantined) = tool.quarantined.take() {
                tool.pinned = Some(quarantined);
                count += 1;
            }
        }
        if let Some(image) = self.image.as_mut().filter(|_| only.is_none())
            && let Some(digest) = image.quarantined.take()
        {
            image.digest = digest;
            count += 1;
        }
        if only.is_none() {
            // What is not there any more, and was looked at, is no news the next time.
            self.tools.retain(|_, tool| !tool.unlisted);
        }
        count
    }
}

impl Tool {
    fn pin(&self) -> Pin {
        let digest = |listed: &Option<Listed>| listed.as_ref().map(|listed| listed.digest);
        Pin { pinned: digest(&self.pinned), offered: digest(&self.quarantined), unlisted: self.unlisted }
    }

    /// The same rule as in memory: another gateway may have written in between.
    fn see(&mut self, definition: &Definition, settled: bool, at: Timestamp) {
        let mut pin = self.pin();
        pin.see(definition.digest, settled);
        let listed = || Listed::of(definition, at);
        if pin.pinned.is_some() && self.pinned.is_none() {
            self.pinned = Some(listed());
        }
        let known = self.quarantined.take().filter(|known| Some(known.digest) == pin.offered);
        self.quarantined = pin.offered.map(|_| known.unwrap_or_else(listed));
        self.unlisted = pin.unlisted;
    }
}

impl Listed {
    fn of(definition: &Definition, at: Timestamp) -> Self {
        let value = serde_json::from_str(&definition.text).ok().filter(|value| is_shallow(value, DEEPEST));
        Self {
            digest: definition.digest,
            seen: at.rfc3339(),
            definition: value.unwrap_or_else(|| Value::String(definition.text.to_string())),
        }
    }
}

fn is_shallow(value: &Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return false };
    match value {
        Value::Array(elements) => elements.iter().all(|element| is_shallow(element, left)),
        Value::Object(members) => members.values().all(|member| is_shallow(member, left)),
        _ => true,
    }
}
