//! Where AWS's token service is: by region, for each of the clouds that AWS is (its partitions).

/// Partition and domain, by how their regions begin. What begins otherwise is of the first.
const PARTITIONS: [(&str, &str, &str); 8] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("", "aws", "amazonaws.com"),
];

/// The one region that is none: the global endpoint.
pub const GLOBAL: &str = "aws-global";

/// The partition of a region: the second part of every ARN in it.
pub fn partition(region: &str) -> &'static str {
    row(region).1
}

/// URL of the token service.
pub fn endpoint(region: &str, fips: bool) -> String {
    let (_, partition, domain) = row(region);
    match (region, fips) {
        (GLOBAL, _) => format!("https://sts.{domain}/"),
        // GovCloud's own endpoints are FIPS endpoints.
        (_, true) if partition != "aws-us-gov" => format!("https://sts-fips.{region}.{domain}/"),
        _ => format!("https://sts.{region}.{domain}/"),
    }
}

/// The region that a request to a region's token service is signed for.
pub fn signing_region(region: &str) -> &str {
    if region == GLOBAL { "us-east-1" } else { region }
}

fn row(region: &str) -> (&'static str, &'static str, &'static str) {
    let of = |row: &&(&str, &str, &str)| region.starts_with(row.0);
    PARTITIONS.iter().find(of).copied().unwrap_or(("", "aws", "amazonaws.com"))
}

#[cfg(test)]
mod tests {
    use super::{endpoint, partition, signing_region};

    /// As botocore 1.44 has them; `interop/aws.sh` compares all regions that it knows.
    #[test]
    fn every_cloud_of_aws_has_its_own_domain() {
        for (region, url, name) in [
            ("us-east-1", "https://sts.us-east-1.amazonaws.com/", "aws"),
            ("eu-central-1", "https://sts.eu-central-1.amazonaws.com/", "aws"),
            ("cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/", "aws-cn"),
            ("us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com/", "aws-us-gov"),
            ("eusc-de-east-1", "https://sts.eusc-de-east-1.amazonaws.eu/", "aws-eusc"),
            ("us-isob-east-1", "https://sts.us-isob-east-1.sc2s.sgov.gov/", "aws-iso-b"),
            ("aws-global", "https://sts.amazonaws.com/", "aws"),
        ] {
            assert_eq!((endpoint(region, false).as_str(), partition(region)), (url, name));
        }
        assert_eq!(endpoint("us-west-2", true), "https://sts-fips.us-west-2.amazonaws.com/");
        assert_eq!(endpoint("us-gov-east-1", true), "https://sts.us-gov-east-1.amazonaws.com/");
        assert_eq!((signing_region("aws-global"), signing_region("eu-west-1")), ("us-east-1", "eu-west-1"));
    }
}
