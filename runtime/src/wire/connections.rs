//! A pool of connections to one endpoint.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ipgeo_contract::error_chain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::endpoint::Endpoint;
use super::fault::Fault;

/// Maximum bytes of a response; a page of items has 1 MB, a few times that as JSON.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Maximum idle connections.
const IDLE_MAX: usize = 32;
/// How long an idle connection is assumed to be alive. In wall-clock time, which includes the time that an environment is
/// frozen.
const IDLE_TRUSTED: Duration = Duration::from_secs(50);

type Sender = SendRequest<Full<Bytes>>;

/// Connections to one endpoint.
pub(super) struct Connections {
    endpoint: Endpoint,
    /// Timeout of opening a connection.
    within: Duration,
    idle: Mutex<Vec<(Sender, SystemTime)>>,
    /// Only one connection is opened at a time: a waiting call can reuse it.
    opening: tokio::sync::Mutex<()>,
}

impl Connections {
    pub(super) fn new(endpoint: Endpoint, within: Duration) -> Self {
        Self { endpoint, within, idle: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a connection for the first call.
    pub(super) async fn open_early(&self) -> Result<(), Fault> {
        let _alone = self.opening.lock().await;
        let sender = self.open().await?;
        self.keep(sender);
        Ok(())
    }

    /// Sends a request; returns the complete response.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Fault> {
        let mut sender = self.take().await?;
        let answer = self.exchange(&mut sender, request).await;
        match &answer {
            Ok(_) => self.keep(sender),
            // Other idle connections are likely dead too.
            Err(_) => self.idle().clear(),
        }
        answer
    }

    async fn exchange(
        &self,
        sender: &mut Sender,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Fault> {
        let answer = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        Ok(Response::from_parts(head, body.map_err(|error| self.broken(error.as_ref()))?.to_bytes()))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Sender, SystemTime)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push((sender, SystemTime::now()));
        }
    }

    async fn take(&self) -> Result<Sender, Fault> {
        if let Some(sender) = self.reuse().await {
            return Ok(sender);
        }
        let _alone = self.opening.lock().await;
        match self.reuse().await {
            Some(sender) => Ok(sender),
            None => self.open().await,
        }
    }

    /// The connection that was used last, if it is alive.
    async fn reuse(&self) -> Option<Sender> {
        loop {
            let (mut sender, since) = self.idle().pop()?;
            let is_trusted = since.elapsed().is_ok_and(|age| age < IDLE_TRUSTED);
            if is_trusted && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    async fn open(&self) -> Result<Sender, Fault> {
        let opened = tokio::time::timeout(self.within, self.connect()).await;
        opened.unwrap_or_else(|_| Err(self.late(self.within)))
    }

    async fn connect(&self) -> Result<Sender, Fault> {
        let Endpoint { host, port, tls, .. } = &self.endpoint;
        let unconnected = |why: std::io::Error| Fault::Unconnected {
            to: self.endpoint.authority.clone(),
            why: why.to_string(),
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unconnected)?;
        stream.set_nodelay(true).map_err(unconnected)?;
        match tls {
            None => self.speak(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(unconnected)?;
                self.speak(stream).await
            }
        }
    }

    async fn speak<S>(&self, stream: S) -> Result<Sender, Fault>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let spoken = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = spoken.map_err(|error| self.broken(&error))?;
        // The task ends when the sender is dropped or the peer closes; the sender reports either.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// `hyper`'s errors have the cause in their sources, so the message includes them.
    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Fault {
        Fault::Broken { to: self.endpoint.authority.clone(), why: error_chain(error, ": ") }
    }

    pub(super) fn late(&self, within: Duration) -> Fault {
        Fault::Late { to: self.endpoint.authority.clone(), within }
    }
}
