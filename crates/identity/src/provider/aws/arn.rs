//! Names of roles.

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`. An emulator may leave the account out.
pub(super) struct RoleArn<'a> {
    pub(super) partition: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> RoleArn<'a> {
    /// None for what is not the name of a role.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("arn:").filter(|_| (20..=2048).contains(&text.len()))?;
        let (partition, rest) = rest.split_once(":iam::")?;
        let (account, path) = rest.split_once(":role/")?;
        let word = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit())
        };
        let digits = account.bytes().all(|byte| byte.is_ascii_digit());
        let segments = || path.split('/');
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        let fits = !partition.is_empty()
            && word(partition)
            && digits
            && matches!(account.len(), 0 | 12)
            && segments().all(|segment| !segment.is_empty() && segment.bytes().all(named));
        let name = segments().next_back().filter(|name| fits && name.len() <= 64)?;
        Some(Self { partition, account, name })
    }

    /// What a session of it is called: the role's name stands there without its path.
    pub(super) fn session(&self, name: &str) -> String {
        format!("arn:{}:sts::{}:assumed-role/{}/{name}", self.partition, self.account, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::RoleArn;

    #[test]
    fn a_role_is_named_by_partition_account_path_and_name() {
        let role = RoleArn::read("arn:aws-cn:iam::123456789012:role/team/a/Mcp+1").unwrap();
        assert_eq!(role.partition, "aws-cn");
        assert_eq!(role.session("alice"), "arn:aws-cn:sts::123456789012:assumed-role/Mcp+1/alice");
        assert!(RoleArn::read("arn:minio:iam:::role/idmp-x").is_some());
        for none in [
            "",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::12345:role/Mcp-and-more",
            "arn:aws:iam::123456789012:user/alice",
            "arn:aws:iam::123456789012:role//Mcp",
            "arn:aws:iam::123456789012:role/Mcp Role",
            "arn:AWS:iam::123456789012:role/Mcp",
            "arn:aws:sts::123456789012:assumed-role/Mcp/x",
            "arn:aws:iam::123456789012:role/../Admin:role/x",
        ] {
            assert!(RoleArn::read(none).is_none(), "{none}");
        }
        assert!(RoleArn::read(&format!("arn:aws:iam::123456789012:role/{}", "x".repeat(65))).is_none());
    }
}
