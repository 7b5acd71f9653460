//! The schema of the configuration file, and the reference that is written from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{presets, raw};

/// JSON Schema (2020-12) of the configuration file, for editors.
pub fn json() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<raw::File>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "safeconduct.yaml".into());
    }
    schema
}

/// Order of the sections in the reference.
const SECTIONS: &[(&str, &str)] = &[
    ("File", "The file"),
    ("Tls", "`tls`"),
    ("Issuer", "`issuers.NAME`"),
    ("Claims", "`issuers.NAME.claims`"),
    ("Introspection", "`issuers.NAME.introspection`"),
    ("Logout", "`issuers.NAME.backchannel_logout`"),
    ("Client", "`clients.NAME`"),
    ("ManagedIdentity", "`clients.NAME.managed_identity`"),
    ("Server", "`servers.NAME`"),
    ("Step", "`servers.NAME.credential`"),
    ("Exchange", "step `exchange`"),
    ("JwtBearer", "step `jwt_bearer`"),
    ("IdJag", "step `id_jag`"),
    ("GoogleSts", "step `google_sts`"),
    ("Boundary", "step `google_sts`, `access_boundary`"),
    ("GoogleImpersonate", "step `google_impersonate`"),
    ("GoogleIdToken", "step `google_id_token`"),
    ("ClientCredentials", "step `client_credentials`"),
    ("EntraObo", "step `entra_obo`"),
    ("Vault", "step `vault`"),
    ("AwsWebIdentity", "step `aws_web_identity`"),
    ("AwsAssumeRole", "step `aws_assume_role`"),
    ("Static", "step `static`"),
    ("Deliver", "`servers.NAME.deliver`"),
    ("SigV4", "`servers.NAME.deliver.sigv4`"),
    ("EnvDelivery", "`servers.NAME.deliver.env`"),
    ("FileDelivery", "`servers.NAME.deliver.file`"),
    ("GcpDelivery", "`servers.NAME.deliver.gcp_metadata`"),
    ("AwsDelivery", "`servers.NAME.deliver.aws_container`"),
    ("AzureDelivery", "`servers.NAME.deliver.azure_identity`"),
    ("Spoken", "`servers.NAME.transport`"),
    ("Http", "`servers.NAME.transport.http`"),
    ("Permissions", "`servers.NAME.permissions`"),
    ("Allow", "`servers.NAME.permissions.network`"),
    ("Files", "`servers.NAME.permissions.files`"),
    ("Audit", "`audit`"),
    ("Limits", "`limits`"),
    ("Timeouts", "`timeouts`"),
    ("Sessions", "`sessions`"),
    ("Telemetry", "`telemetry`"),
    ("Secrets", "`secrets`"),
    ("Runtime", "`runtime`"),
    ("Build", "`runtime.build`"),
];

const PREFACE: &str = "\
# The configuration file

This page is made from the program itself (`safeconduct schema` prints the same as a JSON schema for editors).
`safeconduct check` tells every problem of a file at once, without the network.

How values are written: durations `250ms`, `30s`, `15m`, `1h`, `1d` · sizes `64KiB`, `4MiB` or bytes · rates `10/s`,
`120/min`, `5000/h` · lists `[a, b]`, or the only element without brackets · secrets by reference, `env:NAME`,
`file:PATH`, `keyring:SERVICE/NAME` or `encrypted:NAME` (`inline:TEXT` is taken with a warning; anything else is refused and never
printed) · relative paths start at the directory of the file. A setting that is not listed here is an error, with the nearest known name.

Put this line on top of a file to have it completed and checked while you type:

```yaml
# yaml-language-server: $schema=./safeconduct.schema.json     (made by: safeconduct schema > safeconduct.schema.json)
```
";

/// `docs/configuration.md`.
pub fn reference() -> String {
    let schema = json();
    let mut page = PREFACE.to_owned();
    for (name, title) in SECTIONS {
        let section = if *name == "File" { Some(&schema) } else { schema.pointer(&format!("/$defs/{name}")) };
        let Some(section) = section else { continue };
        let _ = write!(page, "\n## {title}\n\n{}\n", text(section, "description"));
        let Some(fields) = section.get("properties").and_then(Value::as_object) else { continue };
        let required: Vec<&str> = section
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        page.push_str("\n| setting | value | meaning |\n|---|---|---|\n");
        for (field, value) in fields {
            let must = if required.contains(&field.as_str()) { " **Required.**" } else { "" };
            let meaning = text(value, "description").replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(page, "| `{field}` | {} | {meaning}{must} |", kind(value));
        }
    }
    services(&mut page);
    page
}

const SERVICES: &str = "
## Presets of token services

What a step with `preset: NAME` is told where the file says nothing; what the file says always counts. The table is
data (`crates/safeconduct/src/config/presets.yaml`): settings of the step as above, `{issuer}` being its `issuer` without
a slash at the end. What a preset cannot know, `safeconduct check` asks for; of what the service is known not to take it
warns.

| preset | service |
|---|---|
";

/// What is known of token services, from the data.
fn services(page: &mut String) {
    page.push_str(SERVICES);
    for (name, preset) in presets::all() {
        let about = format!("[{}]({})", preset.about.replace('|', "\\|"), preset.source);
        let _ = match &preset.instead {
            None => writeln!(page, "| `{name}` | {about} |"),
            Some(instead) => writeln!(page, "| none | {about}: {instead} |"),
        };
    }
    page.push_str("\n| preset, step | is told | must be written | is not taken | `auth` of the client |\n|---|---|---|---|---|\n");
    let listed = |reasons: &BTreeMap<String, String>| {
        let one = |(name, reason): (&String, &String)| format!("`{name}`: {reason}");
        reasons.iter().map(one).collect::<Vec<_>>().join("<br>").replace('|', "\\|")
    };
    for (name, preset) in presets::all() {
        for (step, quirks) in &preset.steps {
            let told: Vec<String> =
                quirks.settings.iter().map(|(name, setting)| format!("`{name}: {setting}`")).collect();
            let auth: Vec<String> = quirks.auth.iter().map(|word| format!("`{word}`")).collect();
            let cells = [told.join("<br>"), listed(&quirks.needs), listed(&quirks.never), auth.join(" ")];
            let _ = writeln!(page, "| `{name}`, `{step}` | {} |", cells.join(" | "));
        }
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

// The kind of a value in words.
fn kind(value: &Value) -> String {
    if let Some(words) = value.get("enum").and_then(Value::as_array) {
        let words: Vec<String> =
            words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(" ");
    }
    if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let title = SECTIONS.iter().find(|(section, _)| *section == name).map_or(name, |(_, title)| title);
        return format!("see {title}");
    }
    if let Some(title) = value.get("title").and_then(Value::as_str) {
        return title.to_owned();
    }
    if let Some(word) = value.get("const") {
        return word.as_str().map_or_else(|| format!("`{word}`"), |word| format!("`{word}`"));
    }
    if let Some(choices) = value.get("anyOf").and_then(Value::as_array) {
        // A list whose only element may stand without brackets.
        if let [list, one] = choices.as_slice()
            && list.get("items") == Some(one)
        {
            return format!("list of {}", kind(one));
        }
        return choices.iter().map(kind).collect::<Vec<_>>().join(", or ");
    }
    if let Some(items) = value.get("items") {
        return format!("a list of steps ({})", kind(items));
    }
    if let Some(named) = value.get("additionalProperties").filter(|named| named.is_object()) {
        return format!("by name: {}", kind(named));
    }
    match value.get("type").and_then(Value::as_str) {
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true` `false`".to_owned(),
        Some(other) => other.to_owned(),
        None => "not in this version".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{SECTIONS, json};

    #[test]
    fn every_section_of_the_file_stands_in_the_reference() {
        let schema = json();
        let sections = schema["$defs"].as_object().unwrap();
        for name in sections.keys() {
            assert!(SECTIONS.iter().any(|(known, _)| known == name), "{name} is not among the sections");
        }
    }
}
