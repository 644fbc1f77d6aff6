//! The endpoint of each service: AWS's hosts, or those set in the environment or the profile. Follows the SDK's rules, so
//! that our own signed calls and those of SDK clients reach the same endpoints.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::signed::Service;

/// AWS partitions apart from the standard one, as in the SDK: prefix of region names, domain, dual-stack domain.
const PARTITIONS: [(&str, &str, &str); 3] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-iso-", "c2s.ic.gov", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "sc2s.sgov.gov"),
];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Endpoints {
    /// `AWS_ENDPOINT_URL_<SERVICE>` and its profile setting.
    pub(super) own: BTreeMap<Service, String>,
    /// For services without an endpoint of their own.
    pub(super) all: Option<String>,
    /// Buckets are in the path, not in the host name: emulators expect that.
    pub(super) path_style: bool,
    pub(super) fips: bool,
    pub(super) dual_stack: bool,
}

impl Endpoints {
    /// The endpoints set in the environment and the profile. An emulator's endpoint overrides them.
    pub(super) fn new(shared: &SdkConfig, emulated: bool) -> Self {
        let key = |service: Service| {
            let key = ServiceConfigKey::builder().service_id(service.id());
            key.env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()
        };
        let load = |service: Service| shared.service_config()?.load_config(key(service)?);
        let own = Service::ALL.into_iter().filter(|_| !emulated);
        Self {
            own: own.filter_map(|service| Some((service, load(service)?))).collect(),
            all: shared.endpoint_url().map(str::to_owned),
            path_style: emulated,
            fips: shared.use_fips().unwrap_or_default(),
            dual_stack: shared.use_dual_stack().unwrap_or_default(),
        }
    }

    /// Whether at least some services have an endpoint other than AWS's.
    pub(super) fn are_set(&self) -> bool {
        self.all.is_some() || !self.own.is_empty()
    }

    /// The URL of a service or a bucket, without a trailing slash.
    pub(super) fn url(&self, service: Service, region: &str, bucket: Option<&str>) -> String {
        let named = self.own.get(&service).or(self.all.as_ref());
        let base = named.map_or_else(|| format!("https://{}", self.host(service, region)), Clone::clone);
        let base = base.trim_end_matches('/');
        match (bucket, base.split_once("://")) {
            (None, _) => base.to_owned(),
            (Some(bucket), Some((scheme, host))) if !self.path_style && !is_address(host) => {
                format!("{scheme}://{bucket}.{host}")
            }
            (Some(bucket), _) => format!("{base}/{bucket}"),
        }
    }

    fn host(&self, service: Service, region: &str) -> String {
        let partition = PARTITIONS.iter().find(|(start, ..)| region.starts_with(start));
        let (plain, dual) = partition.map_or(("amazonaws.com", "api.aws"), |(_, plain, dual)| (plain, dual));
        let name = service.name();
        if service == Service::S3 {
            let fips = if self.fips { "-fips" } else { "" };
            let dual = if self.dual_stack { ".dualstack" } else { "" };
            return format!("{name}{fips}{dual}.{region}.{plain}");
        }
        // GovCloud's regular hosts are FIPS-validated.
        let fips = if self.fips && !region.starts_with("us-gov-") { "-fips" } else { "" };
        format!("{name}{fips}.{region}.{}", if self.dual_stack { dual } else { plain })
    }
}

/// Whether a host with its port is an IP address, which has no subdomains.
fn is_address(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    host.starts_with('[') || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use aws_types::service_config::LoadServiceConfig;

    use super::*;

    #[test]
    fn endpoints_match_the_sdks() {
        let aws = Endpoints::default();
        let fips = Endpoints { fips: true, ..Endpoints::default() };
        let dual = Endpoints { dual_stack: true, ..Endpoints::default() };
        let at = |all: &str| Endpoints { all: Some(all.to_owned()), ..Endpoints::default() };
        let own = [(Service::S3, "https://s3.example:9000/".to_owned())];
        let both = Endpoints { own: own.into(), ..at("http://127.0.0.1:4566") };
        let emulator = Endpoints { path_style: true, ..at("http://localhost:4566") };
        let table = [
            (&aws, Service::Logs, "eu-west-1", None, "https://logs.eu-west-1.amazonaws.com"),
            (&aws, Service::S3, "us-east-1", Some("b"), "https://b.s3.us-east-1.amazonaws.com"),
            (&aws, Service::S3, "cn-north-1", Some("b"), "https://b.s3.cn-north-1.amazonaws.com.cn"),
            (&aws, Service::Kinesis, "us-gov-west-1", None, "https://kinesis.us-gov-west-1.amazonaws.com"),
            (&fips, Service::S3, "us-gov-west-1", None, "https://s3-fips.us-gov-west-1.amazonaws.com"),
            (&fips, Service::Kinesis, "us-gov-west-1", None, "https://kinesis.us-gov-west-1.amazonaws.com"),
            (&fips, Service::Kinesis, "us-east-1", None, "https://kinesis-fips.us-east-1.amazonaws.com"),
            (&dual, Service::S3, "eu-west-1", Some("b"), "https://b.s3.dualstack.eu-west-1.amazonaws.com"),
            (&dual, Service::Kinesis, "eu-west-1", None, "https://kinesis.eu-west-1.api.aws"),
            (&both, Service::S3, "eu-west-1", Some("b"), "https://b.s3.example:9000"),
            (&both, Service::Kinesis, "eu-west-1", None, "http://127.0.0.1:4566"),
            (&at("http://127.0.0.1:4566"), Service::S3, "eu-west-1", Some("b"), "http://127.0.0.1:4566/b"),
            (&at("http://[::1]:4566"), Service::S3, "eu-west-1", Some("b"), "http://[::1]:4566/b"),
            (&emulator, Service::S3, "eu-west-1", Some("b"), "http://localhost:4566/b"),
        ];
        for (endpoints, service, region, bucket, expected) in table {
            assert_eq!(endpoints.url(service, region, bucket), expected);
        }
    }

    #[derive(Debug)]
    struct Environment;

    impl LoadServiceConfig for Environment {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            assert_eq!((key.env(), key.profile()), ("AWS_ENDPOINT_URL", "endpoint_url"));
            (key.service_id() == "CloudWatch Logs").then(|| "http://logs.test".to_owned())
        }
    }

    #[test]
    fn a_service_may_have_an_endpoint_of_its_own() {
        let shared = SdkConfig::builder().endpoint_url("http://all.test").service_config(Environment).build();
        let endpoints = Endpoints::new(&shared, false);
        assert_eq!(endpoints.url(Service::Logs, "eu-west-1", None), "http://logs.test");
        assert_eq!(endpoints.url(Service::Acm, "eu-west-1", None), "http://all.test");
        let emulator = Endpoints::new(&shared, true);
        assert_eq!(emulator.url(Service::Logs, "eu-west-1", None), "http://all.test", "it has all services");
    }
}
