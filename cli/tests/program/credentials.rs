//! Credentials, as every AWS tool reads them: each source in files and environment, against an AWS on this machine that
//! records who signs its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::Digest as _;

const ACCOUNT: &str = "111122223333";
/// An expiry in the far future, as the services write it.
const LATER: &str = "2099-01-01T00:00:00Z";

/// A call that the fake AWS has received: its path or action, the access key that signed it, and the session token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    what: String,
    key: String,
    token: Option<String>,
}

/// STS, SSO's portal, the metadata services and everything else of AWS, as far as signing in needs them.
struct FakeAws {
    endpoint: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl FakeAws {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(&stream, &seen));
            }
        });
        Self { endpoint, calls }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("unpoisoned").clone()
    }
}

fn serve(mut stream: &TcpStream, calls: &Mutex<Vec<Call>>) {
    let Some((line, headers, body)) = request(stream) else { return };
    let header = |name: &str| headers.get(name).cloned();
    let (path, _) = line.split_once(" HTTP").unwrap_or((&line, ""));
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default();
    let what = header("x-amz-target")
        .unwrap_or_else(|| if action.is_empty() { path.to_owned() } else { action.to_owned() });
    let key = header("authorization").unwrap_or_default();
    let key = key.split("Credential=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let token = header("x-amz-security-token");
    calls.lock().expect("unpoisoned").push(Call { what: what.clone(), key: key.to_owned(), token });
    let (status, answer) = answer(&what, path, key, &body);
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", answer.len());
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n";
    let _ = stream.write_all((head + ttl + &answer).as_bytes());
}

fn request(stream: &TcpStream) -> Option<(String, BTreeMap<String, String>, String)> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut headers) = (String::new(), BTreeMap::new());
    reader.read_line(&mut line).ok()?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((line, headers, String::from_utf8(body).ok()?))
}

fn answer(what: &str, path: &str, key: &str, body: &str) -> (u16, String) {
    let error = |code: &str, message: &str| {
        let error =
            format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        (403, format!("<ErrorResponse>{error}</ErrorResponse>"))
    };
    let keys = |id: &str| {
        format!(
            r#"{{"AccessKeyId":"{id}","SecretAccessKey":"s","Token":"t-{id}","Expiration":"{LATER}","Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z"}}"#
        )
    };
    match what {
        "GetCallerIdentity" if key == "AKIAOLD" => {
            error("ExpiredToken", "The security token included in the request is expired")
        }
        "GetCallerIdentity" => {
            let id = format!(
                "<Arn>arn:aws:iam::{ACCOUNT}:user/x</Arn><UserId>x</UserId><Account>{ACCOUNT}</Account>"
            );
            (
                200,
                format!(
                    "<GetCallerIdentityResponse><GetCallerIdentityResult>{id}</GetCallerIdentityResult></GetCallerIdentityResponse>"
                ),
            )
        }
        "AssumeRole" | "AssumeRoleWithWebIdentity" if body.contains("refused") => {
            error("AccessDenied", "User x is not authorized to perform: sts:AssumeRole")
        }
        "AssumeRole" | "AssumeRoleWithWebIdentity" => {
            // The role's name is its access key: role/ASIAONE.
            let id =
                body.split("role%2F").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or("ASIANONE");
            let keys = format!(
                "<AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t-{id}</SessionToken><Expiration>{LATER}</Expiration>"
            );
            (
                200,
                format!(
                    "<{what}Response><{what}Result><Credentials>{keys}</Credentials></{what}Result></{what}Response>"
                ),
            )
        }
        _ if path.contains("/federation/credentials") => {
            let keys = r#""accessKeyId":"ASIASSO","secretAccessKey":"s","sessionToken":"t-ASIASSO","expiration":4070908800000"#;
            (200, format!(r#"{{"roleCredentials":{{{keys}}}}}"#))
        }
        _ if path.contains("/latest/api/token") => (200, "imds-token".to_owned()),
        _ if path.ends_with("/security-credentials/instance-role") => (200, keys("ASIAIMDS")),
        _ if path.ends_with("/security-credentials/") => (200, "instance-role".to_owned()),
        _ if path.ends_with("/container") => (200, keys("ASIACONTAINER")),
        _ => (400, r#"{"__type":"AccessDeniedException","message":"enough"}"#.to_owned()),
    }
}

/// Files of AWS in a folder that is `HOME`.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(config: &str, credentials: &str, account: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = Self { folder };
        let config = config.replace("{here}", &machine.path().display().to_string());
        machine.write(".aws/config", &config);
        machine.write(".aws/credentials", credentials);
        machine.write("token", "a.web.token");
        let regions = include_str!("../../../regions.toml");
        let pinned = format!("[service]\naccount = \"{account}\"\n");
        machine.write("regions.toml", &regions.replacen("[service]\n", &pinned, 1));
        let sha1 = |name: &str| hex::encode(sha1_smol(name));
        for (session, until) in
            [("live", LATER), ("https://legacy.example/start", LATER), ("over", "2020-01-01T00:00:00Z")]
        {
            let token =
                format!(r#"{{"accessToken":"sso-token","expiresAt":"{until}","region":"eu-west-1"}}"#);
            machine.write(&format!(".aws/sso/cache/{}.json", sha1(session)), &token);
        }
        let login = "arn:aws:iam::111122223333:user/live";
        let keys = format!(
            r#"{{"accessKeyId":"ASIALOGIN","secretAccessKey":"s","sessionToken":"t-ASIALOGIN","accountId":"{ACCOUNT}","expiresAt":"{LATER}"}}"#
        );
        let token = format!(
            r#"{{"accessToken":{keys},"tokenType":"urn:aws:params:oauth:token-type:access_token_sigv4","refreshToken":"r","idToken":"i","clientId":"arn:aws:signin:::devtools/same-device","dpopKey":"k"}}"#
        );
        machine.write(&format!(".aws/login/cache/{}.json", hex::encode(sha2::Sha256::digest(login))), &token);
        machine
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }

    /// Runs `ipgeo` with these variables and no others of AWS.
    fn run(&self, endpoint: &str, variables: &[(&str, &str)], args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("IPGEO_"))
        {
            command.env_remove(name);
        }
        command.current_dir(self.path()).env("HOME", self.path()).env("AWS_ENDPOINT_URL", endpoint);
        if !variables.iter().any(|(name, _)| name.contains("METADATA")) {
            command.env("AWS_EC2_METADATA_DISABLED", "true");
        }
        for (name, value) in variables {
            let value = value.replace("{here}", &self.path().display().to_string());
            command.env(name, value.replace("{endpoint}", endpoint));
        }
        command.args(args).output().expect("it runs")
    }
}

/// SHA-1 by this machine's tool: only the names of SSO's cache need it.
fn sha1_smol(text: &str) -> Vec<u8> {
    let command = format!("printf %s '{text}' | sha1sum");
    let output = Command::new("sh").args(["-c", &command]).output().expect("sha1sum");
    let hex_digits = String::from_utf8(output.stdout).expect("UTF-8");
    hex::decode(hex_digits.get(..40).expect("40 digits")).expect("hex")
}

const CONFIG: &str = include_str!("../support/profiles.ini");

const PROCESS: &str = r#"echo run >> "$HOME/runs"
echo '{"Version":1,"AccessKeyId":"ASIAPROCESS","SecretAccessKey":"s","SessionToken":"t-ASIAPROCESS","Expiration":"2099-01-01T00:00:00Z"}'
"#;

const ENVIRONMENT: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
const CONTAINER: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{endpoint}/container");
const INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{endpoint}");

/// Variables, `--profile`, and the key by which AWS is called.
type Case = (Vec<(&'static str, &'static str)>, Option<&'static str>, &'static str);

#[test]
fn every_source_that_aws_tools_read_signs_the_calls_of_both_clients() {
    let profile = |name: &'static str| vec![("AWS_PROFILE", name)];
    let with = |name: &'static str, more: &[(&'static str, &'static str)]| [&profile(name), more].concat();
    let web = vec![
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "{here}/token"),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ASIAWEB"),
    ];
    let table: Vec<Case> = vec![
        (ENVIRONMENT.to_vec(), None, "AKIAENV"),
        ([&ENVIRONMENT[..], &[("AWS_SESSION_TOKEN", "t-env")]].concat(), None, "AKIAENV"),
        (vec![], None, "AKIADEFAULT"),
        (profile("base"), None, "AKIABASE"),
        (vec![], Some("base"), "AKIABASE"),
        (vec![], Some("temporary"), "ASIATEMPORARY"),
        // As in the AWS CLI: keys in the environment override AWS_PROFILE, and --profile overrides both.
        (with("base", &ENVIRONMENT), None, "AKIAENV"),
        (ENVIRONMENT.to_vec(), Some("base"), "AKIABASE"),
        (profile("one"), None, "ASIAONE"),
        (vec![], Some("two"), "ASIATWO"),
        (profile("self"), None, "ASIASELF"),
        (with("from-environment", &ENVIRONMENT), Some("from-environment"), "ASIAFROMENV"),
        (with("from-container", &[CONTAINER]), None, "ASIAFROMTASK"),
        (with("from-instance", &[INSTANCE]), None, "ASIAFROMEC2"),
        (profile("sso"), None, "ASIASSO"),
        (vec![], Some("sso"), "ASIASSO"),
        (profile("legacy"), None, "ASIASSO"),
        (profile("sso-role"), None, "ASIAOFSSO"),
        (profile("console"), None, "ASIALOGIN"),
        (vec![], Some("console"), "ASIALOGIN"),
        (profile("process"), None, "ASIAPROCESS"),
        (profile("identity"), None, "ASIAIDENTITY"),
        (with("empty", &web), None, "ASIAWEB"),
        (with("empty", &[CONTAINER]), None, "ASIACONTAINER"),
        (with("empty", &[INSTANCE]), None, "ASIAIMDS"),
        (vec![INSTANCE], Some("empty"), "ASIAIMDS"),
    ];
    let machine = Machine::new(
        CONFIG,
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s\n",
        ACCOUNT,
    );
    machine.write("process", PROCESS);
    for (variables, profile, key) in table {
        let aws = FakeAws::start();
        let flag = profile.map(|profile| ["--profile", profile]);
        let args =
            [&["usage", "replay", "--from", "1h"][..], flag.as_ref().map_or(&[][..], |flag| &flag[..])];
        let output = machine.run(&aws.endpoint, &variables, &args.concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let calls = aws.calls();
        let signed_by = |what: &str| {
            let call = calls.iter().find(|call| call.what.contains(what));
            call.map_or_else(|| panic!("no {what}: {calls:?}\n{text}"), |call| call.key.clone())
        };
        // The first by an SDK client, the second by the small client.
        assert_eq!(signed_by("GetCallerIdentity"), key, "{variables:?} {profile:?}: {text}");
        assert_eq!(signed_by("Kinesis_"), key, "{variables:?} {profile:?}: {text}");
        let token =
            calls.iter().find(|call| call.what.contains("Kinesis_")).and_then(|call| call.token.clone());
        let has_token =
            key.starts_with("ASIA") || variables.iter().any(|(name, _)| *name == "AWS_SESSION_TOKEN");
        assert_eq!(token.is_some(), has_token, "{variables:?} {profile:?}: {token:?}");
    }
    // Two sessions (tables and stream), each with several clients: one run for each session.
    let runs = std::fs::read_to_string(machine.path().join("runs")).expect("it ran");
    assert!(runs.lines().count() <= 2, "{runs}");
}

/// What is set, flags, and parts of the message.
const ERRORS: &str = r"
 |  | no AWS credentials | help: set AWS_PROFILE, or run `aws login` or `aws sso login`; without AWS, `ipgeo render`, `ipgeo dev` and `ipgeo doctor` work
AWS_PROFILE=typo |  | the AWS profile `typo` does not exist | AWS have: away, base, broken-process, console,
AWS_ACCESS_KEY_ID=A AWS_SECRET_ACCESS_KEY=s | --profile typo | the AWS profile `typo` does not exist | --profile and AWS_PROFILE
AWS_ACCESS_KEY_ID=A AWS_PROFILE=away |  | has AWS_ACCESS_KEY_ID, but not AWS_SECRET_ACCESS_KEY | help: export AWS_SECRET_ACCESS_KEY too
AWS_PROFILE=empty |  | the AWS profile `empty` has no credentials | `aws login --profile empty`
AWS_PROFILE=orphan |  | the AWS profile `nobody` does not exist; it is `source_profile` of `orphan`
AWS_PROFILE=loop |  | `loop` leads back to itself by `source_profile`
AWS_PROFILE=away |  | the SSO session of AWS profile `away` is missing or has expired | help: run `aws sso login --profile away`
AWS_PROFILE=over |  | the SSO session of AWS profile `over` is missing or has expired | help: run `aws sso login --profile over`
AWS_PROFILE=console-out |  | the `aws login` session of AWS profile `console-out` is missing | help: run `aws login --profile console-out`
AWS_PROFILE=broken-process |  | the `credential_process` of AWS profile `broken-process` failed: the vault is locked
AWS_PROFILE=mute-process |  | the `credential_process` of AWS profile `mute-process` failed: it printed no error
AWS_PROFILE=junk-process |  | the `credential_process` of AWS profile `junk-process` failed: could not parse response
AWS_PROFILE=no-identity |  | the web identity of AWS profile `no-identity` gave no credentials | No such file | `web_identity_token_file`
AWS_PROFILE=refused |  | `refused` can't assume arn:aws:iam::111122223333:role/refused: User x is not authorized | trust policy
AWS_PROFILE=mfa |  | `mfa` can't assume arn:aws:iam:: | not prompt for MFA codes | aws configure export-credentials --profile mfa
AWS_PROFILE=old |  | the access key of AWS profile `old` has expired | renew the profile's session token
AWS_CONFIG_FILE={here}/broken |  | cannot read the AWS profiles | help: correct the file
";

#[test]
fn without_credentials_the_error_names_the_profile_and_the_command() {
    let machine = Machine::new(CONFIG, "", ACCOUNT);
    machine.write("broken", "[profile x\nregion");
    let aws = FakeAws::start();
    for case in ERRORS.lines().filter(|line| !line.is_empty()) {
        let mut columns = case.split(" | ").map(str::trim);
        let mut words = || columns.next().unwrap_or_default().split_whitespace();
        let variables: Vec<_> = words().filter_map(|pair| pair.split_once('=')).collect();
        let args: Vec<&str> = ["plan"].into_iter().chain(words()).collect();
        let output = machine.run(&aws.endpoint, &variables, &args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{case}: {text}");
        for part in columns {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("hunter2") && text.lines().count() <= 3, "{text}");
    }
    let before = |call: &Call| call.what.starts_with("AssumeRole") || call.what == "GetCallerIdentity";
    assert!(aws.calls().iter().all(before), "{:?}", aws.calls());
}

#[test]
fn another_account_is_refused_before_anything_else() {
    let machine = Machine::new(CONFIG, "", "999999999999");
    for args in [
        &["plan"][..],
        &["deploy", "--yes"],
        &["destroy"],
        &["keys", "list"],
        &["usage", "report"],
        &["drift"],
    ] {
        let aws = FakeAws::start();
        let output = machine.run(&aws.endpoint, &ENVIRONMENT, args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        let says = "these credentials belong to account 111122223333, but regions.toml has `account = \"999999999999\"`";
        assert!(text.contains(says), "{args:?}: {text}");
        let calls: Vec<String> = aws.calls().into_iter().map(|call| call.what).collect();
        assert_eq!(calls, ["GetCallerIdentity"], "{args:?}");
    }
    let own = Machine::new(CONFIG, "", ACCOUNT);
    let aws = FakeAws::start();
    let role = ["destroy", "--role-arn", "arn:aws:iam::999999999999:role/x"];
    let output = own.run(&aws.endpoint, &ENVIRONMENT, &role);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("is of another account; the credentials belong to 111122223333"), "{text}");
}

#[test]
fn an_unreachable_aws_is_reported_within_seconds() {
    let machine = Machine::new(CONFIG, "", ACCOUNT);
    // Nobody listens; and a server that accepts and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute = format!("http://{}", mute.local_addr().map(|at| at.to_string()).expect("an address"));
    for endpoint in ["http://127.0.0.1:1", &mute] {
        let began = Instant::now();
        let output = machine.run(endpoint, &ENVIRONMENT, &["plan"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
        assert_eq!(output.status.code(), Some(1), "{text}");
        let says = format!("AWS can't be reached: no answer from {endpoint} (home region eu-central-1)");
        assert!(text.contains(&says), "{text}");
        assert!(text.contains("check the network, HTTPS_PROXY and AWS_ENDPOINT_URL"), "{text}");
        assert_eq!(endpoint == mute, text.contains(&format!("waiting for {endpoint}")), "{text}");
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_named() {
    let machine = Machine::new(CONFIG, "", ACCOUNT);
    let output = machine.run("127.0.0.1:4566", &ENVIRONMENT, &["plan"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("error: AWS_ENDPOINT_URL is not a URL: 127.0.0.1:4566\nhelp: "), "{text}");
}

/// The policies are of the pinned account, unless a flag names another one.
#[test]
fn policies_are_of_the_pinned_account() {
    let machine = Machine::new(CONFIG, "", ACCOUNT);
    for (flags, account) in
        [(&[][..], ACCOUNT), (&["--account", "222233334444"], "222233334444"), (&["--account", "*"], "*")]
    {
        let output = machine.run("http://127.0.0.1:1", &[], &[&["iam", "policy"], flags].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let table = format!("arn:aws:dynamodb:*:{account}:table/ipgeo-prod-");
        assert!(output.status.success() && text.contains(&table), "{text}");
        assert_eq!(account == ACCOUNT, text.contains(ACCOUNT), "{text}");
    }
}

/// Both clients, the SDK's and that of services without an SDK crate, go through the proxy of the environment.
#[test]
fn calls_go_through_the_proxy_of_the_environment() {
    let machine = Machine::new(CONFIG, "", ACCOUNT);
    let proxy = FakeAws::start();
    let mut variables = vec![("HTTP_PROXY", proxy.endpoint.as_str())];
    variables.extend(ENVIRONMENT);
    machine.run("http://aws.invalid", &variables, &["doctor", "--online"]);
    let calls: BTreeSet<String> = proxy.calls().into_iter().map(|call| call.what).collect();
    // The SDK sends the call itself, the other client opens a tunnel.
    for call in ["GetCallerIdentity", "CONNECT aws.invalid:80"] {
        assert!(calls.contains(call), "{calls:?}");
    }

    variables.push(("NO_PROXY", "aws.invalid"));
    let output = machine.run("http://aws.invalid", &variables, &["plan"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("AWS can't be reached: no answer from http://aws.invalid"), "{text}");
}
