//! Requests and answers of HTTP/1.1 as they pass by: each connection carries one of them.

use std::fmt::Write as _;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A request, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `POST`.
    pub(crate) method: String,
    /// The path, encoded.
    pub(crate) path: String,
    /// What follows the question mark.
    pub(crate) query: String,
    headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub(crate) body: Vec<u8>,
}

/// Who signed a request, for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Call {
    /// Reads a request; none: the connection ended.
    pub(crate) fn read(stream: &TcpStream) -> io::Result<Option<Self>> {
        let mut from = BufReader::new(stream);
        let Some(head) = lines(&mut from)? else { return Ok(None) };
        let mut words = head[0].split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<(String, String)> = head[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut call = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: Vec::new(),
        };
        if call.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            call.body = chunks(&mut from)?;
        } else if let Some(length) = call.header("content-length").and_then(|length| length.parse().ok()) {
            from.take(length).read_to_end(&mut call.body)?;
        }
        Ok(Some(call))
    }

    /// A call of the harness itself.
    pub(crate) fn by_harness(
        service: &str,
        region: &str,
        method: &str,
        path: &str,
        target: Option<&str>,
        body: String,
    ) -> Self {
        let scope = format!("harness/20260101/{region}/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let json = "application/x-amz-json-1.1";
        let form = "application/x-www-form-urlencoded";
        let kind = if target.is_some() { json } else { form };
        let headers = [("host", "127.0.0.1"), ("authorization", &authorization), ("content-type", kind)];
        let target = target.map(|target| ("x-amz-target", target));
        let headers = headers.into_iter().chain(target);
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, query: String::new(), headers, body: body.into_bytes() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The scope of its signature.
    pub(crate) fn scope(&self) -> Option<Scope> {
        let credential = self.header("authorization")?.split("Credential=").nth(1)?.split(',').next()?;
        let mut parts = credential.split('/');
        let access_key = parts.next()?.to_owned();
        let (region, service) = (parts.nth(1)?.to_owned(), parts.next()?.to_owned());
        Some(Scope { access_key, region, service })
    }

    /// The form in its body.
    pub(crate) fn form(&self) -> Form {
        Form(form_urlencoded::parse(&self.body).into_owned().collect())
    }

    /// Its body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The same with another body.
    pub(crate) fn with_body(&self, body: Vec<u8>) -> Self {
        Self { body, ..self.clone() }
    }

    /// Sends it on and returns what comes back, to the last byte.
    pub(crate) fn send(&self, to: &str) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(to)?;
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let mut head = format!("{} {}{query} HTTP/1.1\r\n", self.method, self.path);
        let own = ["connection", "content-length", "transfer-encoding", "expect", "trailer"];
        for (name, value) in self.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "content-length: {}\r\nconnection: close\r\n\r\n", self.body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        let mut from = BufReader::new(stream);
        let head = lines(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(502);
        let chunked = head.iter().any(|line| line.to_lowercase().starts_with("transfer-encoding: chunked"));
        let mut body = Vec::new();
        if self.method == "HEAD" {
            // It announces a body that does not come.
        } else if chunked {
            body = chunks(&mut from)?;
        } else {
            from.read_to_end(&mut body)?;
        }
        let headers = head[1..].iter().filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        Ok(Answer { status, headers, body, of_head: self.method == "HEAD" })
    }
}

/// A form's fields.
#[derive(Debug, Clone)]
pub(crate) struct Form(pub(crate) Vec<(String, String)>);

impl Form {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The values of all fields that begin so.
    pub(crate) fn all<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name.starts_with(beginning)).map(|(_, value)| value.as_str())
    }

    /// The form as a body again.
    pub(crate) fn encode(&self) -> Vec<u8> {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish().into_bytes()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    of_head: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: String) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, headers, body: body.into_bytes(), of_head: false }
    }

    /// Its body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn with_text(mut self, text: String) -> Self {
        self.body = text.into_bytes();
        self
    }

    pub(crate) fn write(&self, mut to: &TcpStream) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Answer\r\n", self.status);
        let own = ["connection", "transfer-encoding"];
        for (name, value) in &self.headers {
            // The length of what HEAD would have returned stays.
            if !own.contains(&name.as_str()) && (self.of_head || name != "content-length") {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        if !self.of_head {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        to.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
        to.write_all(&self.body)
    }
}

/// The lines up to an empty one; none: there is nothing.
fn lines(from: &mut impl io::BufRead) -> io::Result<Option<Vec<String>>> {
    let mut found = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" if !found.is_empty() => return Ok(Some(found)),
            "" => {}
            line => found.push(line.to_owned()),
        }
    }
}

fn chunks(from: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            // Trailers, and the empty line that ends them.
            while from.read_line(&mut line)? > 2 {}
            return Ok(body);
        }
        from.by_ref().take(size).read_to_end(&mut body)?;
        from.read_line(&mut line)?;
    }
}
