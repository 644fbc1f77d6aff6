//! Records calls: a proxy in front of the emulator that saves the calls of one caller as IAM sees them.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A permission that a call needs: `s3:PutObject` on an ARN; an empty one when the call names no resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    pub(crate) action: String,
    pub(crate) resource: String,
}

/// The proxy. Its threads end with their connections.
#[derive(Debug)]
pub(crate) struct Recorder {
    port: u16,
    needs: Arc<Mutex<BTreeSet<Need>>>,
}

/// The program's access key for the emulator.
const CALLER: &str = "Credential=test/";

impl Recorder {
    /// Listens in front of an emulator (`http://127.0.0.1:PORT`).
    pub(crate) fn before(emulator: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let needs = Arc::new(Mutex::new(BTreeSet::new()));
        let (upstream, remembered) = (emulator.trim_start_matches("http://").to_owned(), Arc::clone(&needs));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, needs) = (upstream.clone(), Arc::clone(&remembered));
                std::thread::spawn(move || {
                    // The client reports a broken connection.
                    let _ = serve(client, &upstream, &needs);
                });
            }
        });
        Self { port, needs }
    }

    /// Its URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The permissions needed so far.
    pub(crate) fn needs(&self) -> BTreeSet<Need> {
        self.needs.lock().expect("no panic").clone()
    }
}

fn serve(client: TcpStream, upstream: &str, needs: &Mutex<BTreeSet<Need>>) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    let mut requests = BufReader::new(client);
    while let Some(head) = head(&mut requests)? {
        server.write_all(head.text.as_bytes())?;
        let mut form = Vec::new();
        if head.value("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            chunks(&mut requests, &mut server)?;
        } else if let Some(length) = head.value("content-length").and_then(|length| length.parse().ok()) {
            let mut body = (&mut requests).take(length);
            if head.value("x-amz-target").is_some() || head.text.contains("form-urlencoded") {
                body.read_to_end(&mut form)?;
                server.write_all(&form)?;
            } else {
                io::copy(&mut body, &mut server)?;
            }
        }
        if head.text.contains(CALLER) {
            needs.lock().expect("no panic").extend(needs_of(&head, &String::from_utf8_lossy(&form)));
        }
    }
    server.shutdown(std::net::Shutdown::Write)
}

/// Forwards a chunked body.
fn chunks(from: &mut BufReader<TcpStream>, to: &mut TcpStream) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        to.write_all(line.as_bytes())?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size > 0 {
            io::copy(&mut from.take(size + 2), to)?;
            continue;
        }
        // Trailers, and the empty line that ends them.
        while line != "\r\n" {
            line.clear();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            to.write_all(line.as_bytes())?;
        }
        return Ok(());
    }
}

/// The head of a request.
struct Head {
    text: String,
}

fn head(from: &mut BufReader<TcpStream>) -> io::Result<Option<Head>> {
    let mut text = String::new();
    loop {
        let before = text.len();
        if from.read_line(&mut text)? == 0 {
            return Ok(None);
        }
        if &text[before..] == "\r\n" {
            return Ok(Some(Head { text }));
        }
    }
}

impl Head {
    fn value(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Method, path, query.
    fn target(&self) -> (&str, &str, &str) {
        let mut words = self.text.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        (method, path, query)
    }
}

/// The permissions that a request needs.
fn needs_of(head: &Head, body: &str) -> Vec<Need> {
    let scope = head.value("authorization").and_then(|value| value.split(CALLER).nth(1)).unwrap_or_default();
    let mut parts = scope.split('/').skip(1);
    let (region, service) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match service {
        "s3" => of_s3(head),
        "route53" => of_route53(head),
        "dynamodb" => {
            let operation =
                head.value("x-amz-target").and_then(|target| target.split('.').nth(1)).unwrap_or_default();
            let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            let tables: Vec<&str> = match body["RequestItems"].as_object() {
                Some(tables) => tables.keys().map(String::as_str).collect(),
                None => body["TableName"].as_str().into_iter().collect(),
            };
            let need = |table: &&str| Need {
                action: format!("dynamodb:{operation}"),
                resource: format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}"),
            };
            tables.iter().map(need).collect()
        }
        "kinesis" => {
            let operation =
                head.value("x-amz-target").and_then(|target| target.split('.').nth(1)).unwrap_or_default();
            let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            let stream = body["StreamName"].as_str().unwrap_or_default();
            vec![Need {
                action: format!("kinesis:{operation}"),
                resource: format!("arn:aws:kinesis:{region}:{ACCOUNT}:stream/{stream}"),
            }]
        }
        service => {
            let field =
                |name: &str| body.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            let stack = field("StackName").map(|stack| stack.replace("%3A", ":").replace("%2F", "/"));
            let resource = match stack {
                Some(arn) if arn.starts_with("arn:") => arn,
                Some(name) => format!("arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{name}/any"),
                None => String::new(),
            };
            vec![Need { action: format!("{service}:{}", field("Action").unwrap_or_default()), resource }]
        }
    }
}

/// The emulator's account.
pub(crate) const ACCOUNT: &str = "000000000000";

fn of_s3(head: &Head) -> Vec<Need> {
    let (method, path, query) = head.target();
    let place = path.trim_matches('/');
    let need = |action: &str, place: &str| Need {
        action: format!("s3:{action}"),
        resource: format!("arn:aws:s3:::{place}"),
    };
    let is_object = place.contains('/');
    match (method, is_object) {
        ("HEAD", false) => vec![need("ListBucket", place)],
        ("GET", false) if query.contains("versions") => vec![need("ListBucketVersions", place)],
        ("POST", false) if query.contains("delete") => {
            let objects = format!("{place}/any");
            vec![need("DeleteObject", &objects), need("DeleteObjectVersion", &objects)]
        }
        ("HEAD" | "GET", true) => vec![need("GetObject", place)],
        ("PUT", true) => {
            let source =
                head.value("x-amz-copy-source").map(|source| need("GetObject", source.trim_matches('/')));
            source.into_iter().chain([need("PutObject", place)]).collect()
        }
        // Other calls must be added here first.
        (method, _) => vec![need(&format!("{method} {path}?{query}"), place)],
    }
}

fn of_route53(head: &Head) -> Vec<Need> {
    let (method, path, _) = head.target();
    let parts: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
    let (operation, resource) = match (method, &parts[..]) {
        ("GET", ["hostedzonesbyname"]) => ("ListHostedZonesByName", "*".to_owned()),
        ("GET", ["hostedzone", zone, "rrset"]) => {
            ("ListResourceRecordSets", format!("arn:aws:route53:::hostedzone/{zone}"))
        }
        ("POST", ["hostedzone", zone, "rrset"]) => {
            ("ChangeResourceRecordSets", format!("arn:aws:route53:::hostedzone/{zone}"))
        }
        ("GET", ["change", change]) => ("GetChange", format!("arn:aws:route53:::change/{change}")),
        _ => (path, String::new()),
    };
    vec![Need { action: format!("route53:{operation}"), resource }]
}
