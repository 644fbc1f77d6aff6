//! Endpoints and credentials, from the environment variables that Lambda sets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_credential_types::Credentials;
use hyper::Uri;
use ipgeo_contract::{RegionName, env};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A faulty environment.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// A missing variable that Lambda sets.
    #[error("environment variable {0} is not set; Lambda sets it by itself")]
    Missing(&'static str),
    /// An invalid endpoint.
    #[error("endpoint `{0}` is not `http://host` or `https://host`, with or without a port")]
    Endpoint(String),
    /// Unreadable certificates.
    #[error("cannot read certificates from {path} ({}): {why}", env::CA_BUNDLE)]
    Bundle {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// TLS setup failed.
    #[error("TLS setup failed: {0}")]
    Tls(String),
}

/// The AWS account as used by one environment: region, credentials (which do not change while it lives) and, if set, overrides
/// of endpoints and root certificates.
#[derive(Clone, Debug)]
pub struct Account {
    pub(super) region: RegionName,
    pub(super) credentials: Credentials,
    dynamodb: Option<String>,
    kinesis: Option<String>,
    sns: Option<String>,
    lambda: Option<String>,
    bundle: Option<PathBuf>,
}

impl Account {
    /// Reads Lambda's environment variables through `var`. Fails if region or credentials are missing.
    pub fn from_env(var: impl Fn(&str) -> Option<String>) -> Result<Self, EndpointError> {
        let need = |name: &'static str| var(name).ok_or(EndpointError::Missing(name));
        let region = RegionName::new(need("AWS_REGION")?);
        let (id, secret) = (need("AWS_ACCESS_KEY_ID")?, need("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, var("AWS_SESSION_TOKEN"), None, "Lambda environment");
        let other = |name| var(name).or_else(|| var(env::ENDPOINT));
        let bundle = var(env::CA_BUNDLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let (dynamodb, sns) = (other(env::ENDPOINT_DYNAMODB), other(env::ENDPOINT_SNS));
        let (kinesis, lambda) = (other(env::ENDPOINT_KINESIS), other(env::ENDPOINT_LAMBDA));
        Ok(Self { region, credentials, dynamodb, kinesis, sns, lambda, bundle })
    }

    /// An account with its own DynamoDB endpoint, such as an emulator's.
    pub fn at(endpoint: &str, region: &str, credentials: Credentials) -> Self {
        let dynamodb = Some(endpoint.to_owned());
        let region = RegionName::new(region);
        Self { region, credentials, dynamodb, kinesis: None, sns: None, lambda: None, bundle: None }
    }

    pub(super) fn dynamodb(&self) -> Result<Endpoint, EndpointError> {
        self.endpoint("dynamodb", &self.region, self.dynamodb.as_deref())
    }

    pub(super) fn sns(&self) -> Result<Endpoint, EndpointError> {
        self.endpoint("sns", &self.region, self.sns.as_deref())
    }

    /// Kinesis in any region.
    pub(super) fn kinesis(&self, region: &RegionName) -> Result<Endpoint, EndpointError> {
        self.endpoint("kinesis", region, self.kinesis.as_deref())
    }

    /// Lambda in any region.
    pub(super) fn lambda(&self, region: &RegionName) -> Result<Endpoint, EndpointError> {
        self.endpoint("lambda", region, self.lambda.as_deref())
    }

    fn endpoint(
        &self,
        service: &str,
        region: &RegionName,
        other: Option<&str>,
    ) -> Result<Endpoint, EndpointError> {
        match other {
            Some(url) => Endpoint::read(url, self.bundle.as_deref()),
            None => {
                let url = format!("https://{service}.{region}.amazonaws.com");
                Endpoint::read(&url, self.bundle.as_deref())
            }
        }
    }
}

/// The endpoint of one service.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The `Host` header: with the port, unless it is the scheme's default.
    pub(super) authority: String,
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    fn read(url: &str, bundle: Option<&Path>) -> Result<Self, EndpointError> {
        let wrong = || EndpointError::Endpoint(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (is_https, own_port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let port = uri.port_u16().unwrap_or(own_port);
        let authority = if port == own_port { host.to_owned() } else { format!("{host}:{port}") };
        // IPv6 addresses have brackets in a URL, and nowhere else.
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if is_https {
            let name = ServerName::try_from(bare.clone()).map_err(|_| wrong())?;
            Some((TlsConnector::from(Arc::new(tls(bundle)?)), name))
        } else {
            None
        };
        let scheme = if is_https { "https" } else { "http" };
        Ok(Self { url: format!("{scheme}://{authority}/"), host: bare, port, authority, tls })
    }
}

fn tls(bundle: Option<&Path>) -> Result<ClientConfig, EndpointError> {
    let failed = |error: tokio_rustls::rustls::Error| EndpointError::Tls(error.to_string());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let mut config = config.with_root_certificates(roots(bundle)?).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Mozilla's root certificates as of the build, unless a bundle replaces them. Reading the machine's would take longer than
/// everything else that an environment does before its first answer.
fn roots(bundle: Option<&Path>) -> Result<RootCertStore, EndpointError> {
    let Some(path) = bundle else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let failed = |why: String| EndpointError::Bundle { path: path.to_owned(), why };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        store.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if store.is_empty() { Err(failed("the file contains no certificates".to_owned())) } else { Ok(store) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_or_refused() {
        let read = |url: &str| Endpoint::read(url, None).ok();
        // (text, host to connect to, port, what requests call it, whether by TLS)
        let table = [
            ("http://127.0.0.1:8000", Some(("127.0.0.1", 8_000, "127.0.0.1:8000", false))),
            ("http://localhost", Some(("localhost", 80, "localhost", false))),
            ("https://a.test", Some(("a.test", 443, "a.test", true))),
            ("https://a.test:443/", Some(("a.test", 443, "a.test", true))),
            ("https://a.test:8443", Some(("a.test", 8_443, "a.test:8443", true))),
            ("http://[::1]:8000", Some(("::1", 8_000, "[::1]:8000", false))),
            ("https://[::1]:8000", Some(("::1", 8_000, "[::1]:8000", true))),
            ("ftp://a.test", None),
            ("a.test", None),
            ("https://", None),
            ("", None),
        ];
        for (url, expected) in table {
            let endpoint = read(url);
            let found = endpoint.as_ref().map(|endpoint| {
                (endpoint.host.as_str(), endpoint.port, endpoint.authority.as_str(), endpoint.tls.is_some())
            });
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn region_credentials_and_endpoints_come_from_the_environment() {
        // (beside what is set, DynamoDB's URL, SNS's)
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
        let set = [
            ("AWS_REGION", "ap-south-1"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let table: [Row<'_>; 3] = [
            (&[], "https://dynamodb.ap-south-1.amazonaws.com/", "https://sns.ap-south-1.amazonaws.com/"),
            (&[(env::ENDPOINT, "http://e:1")], "http://e:1/", "http://e:1/"),
            (
                &[(env::ENDPOINT, "http://e:1"), (env::ENDPOINT_DYNAMODB, "http://d:2")],
                "http://d:2/",
                "http://e:1/",
            ),
        ];
        for (more, dynamodb, sns) in table {
            let var = |name: &str| {
                let found = set.iter().chain(more).find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let account = Account::from_env(var).expect("an account");
            let urls = (account.dynamodb().expect("one").url, account.sns().expect("one").url);
            assert_eq!(urls, (dynamodb.to_owned(), sns.to_owned()));
        }
        for (missing, _) in set {
            let var = |name: &str| (name != missing).then(|| "x".to_owned());
            let error = Account::from_env(var).expect_err("a variable is missing").to_string();
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn a_bundle_without_certificates_is_refused_by_its_name() {
        for path in ["/nowhere/roots.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let error = roots(Some(Path::new(path))).expect_err("no certificates").to_string();
            assert!(error.contains(path) && error.contains("AWS_CA_BUNDLE"), "{error}");
        }
        assert!(roots(None).expect("built in").len() > 50);
    }
}
