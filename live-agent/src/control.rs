//! The local socket by which the `live` command talks to a running agent.
//!
//! A Unix domain socket in the cache folder that only its owner may open. One line of JSON asks, one
//! line answers; a connection may ask again. The answer of a question that failed is
//! `{"error": …, "message": …}`.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use schemas::Slug;
use schemas::canonical::Digest;
use schemas::status::Mode;
use schemas::template::Values;
use semver::VersionReq;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::live::Handle;
use crate::render::PromptError;

/// A path of a socket has at most 108 bytes, some systems take fewer.
const PATH_MAX: usize = 100;
const SOCKET: &str = "live.sock";
/// The error of an answer where nothing is served yet.
pub const EMPTY: &str = "empty";
/// Longest question, in bytes: values come with it.
const QUESTION_MAX: u64 = 8 * 1024 * 1024;

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Question {
    Status,
    /// Sets the mode where one is given; answers with the mode.
    Mode {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set: Option<Mode>,
    },
    /// Whether the agent is live, ready and fresh, and why not.
    Health,
    /// Reconciles; takes up what waits, but with `check`.
    Sync {
        #[serde(default)]
        check: bool,
    },
    /// Pins a set, or ends that where no versions are given; answers with the pins that hold.
    Pin {
        set: Slug,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        versions: Option<VersionReq>,
    },
    /// What is verified and waits, with its prompts.
    Waiting,
    /// What the stream still has of a set, or of all.
    History {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set: Option<Slug>,
    },
    List,
    /// What has every word, the nearest first.
    Search {
        words: String,
    },
    /// The prompt as its author wrote it.
    Get {
        id: String,
    },
    /// The rendered text, or the messages of a chat.
    Prompt {
        id: String,
        values: Map<String, Value>,
    },
}

/// Why the running agent was not asked, or did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is none; the disk cache can be read instead.
    #[error("no agent is running")]
    NoAgent,
    #[error("talking to the running agent failed")]
    Io(#[source] io::Error),
    #[error("the running agent answered what this program does not read; update both")]
    Unreadable(#[source] serde_json::Error),
    #[error("{message}")]
    Failed { error: String, message: String },
}

/// Why the socket is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("the control socket cannot be made: {0}")]
    Bind(#[source] io::Error),
    #[error("the control socket failed: {0}")]
    Accept(#[source] io::Error),
}

/// Where the agent of a cache folder listens. A path too long for a socket gives one in a folder of its
/// own below that for temporary files.
#[must_use]
pub fn socket(cache_dir: &Path) -> PathBuf {
    let near = cache_dir.join(SOCKET);
    if near.as_os_str().len() <= PATH_MAX {
        return near;
    }
    let name = Digest::of(cache_dir.as_os_str().as_encoded_bytes()).short();
    std::env::temp_dir().join(format!("anvil-live-{name}")).join(SOCKET)
}

/// Refuses a folder that somebody else than the cache's owner could have put the socket into.
fn check_folder(socket: &Path, cache_dir: &Path) -> io::Result<()> {
    let folder = socket.parent().unwrap_or(cache_dir);
    if folder == cache_dir {
        return Ok(());
    }
    let (found, cache) = (std::fs::symlink_metadata(folder)?, std::fs::metadata(cache_dir)?);
    if found.is_dir() && found.uid() == cache.uid() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let why = format!("{} is not the cache owner's alone; remove it, or shorten cache_dir", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Asks the agent that runs with this cache folder.
///
/// # Errors
/// None runs, or it could not do it.
pub async fn ask(cache_dir: &Path, question: &Question) -> Result<Value, ControlError> {
    let path = socket(cache_dir);
    let none = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NoAgent,
        _ => ControlError::Io(error),
    };
    check_folder(&path, cache_dir).map_err(none)?;
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(ControlError::Io(io::Error::other("an agent is asked within a tokio runtime")));
    }
    let stream = UnixStream::connect(path).await.map_err(none)?;
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_vec(question).map_err(ControlError::Unreadable)?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(ControlError::Io)?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await.map_err(ControlError::Io)?;
    let answer: Value = serde_json::from_str(&answer).map_err(ControlError::Unreadable)?;
    match (answer.get("error"), answer.get("message")) {
        (Some(Value::String(error)), Some(Value::String(message))) => {
            Err(ControlError::Failed { error: error.clone(), message: message.clone() })
        }
        _ => Ok(answer),
    }
}

/// Removes the socket when the agent ends.
struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Serves the socket. Only the agent that holds the writer's lock does, so what lies there is old.
pub(crate) async fn serve(cache_dir: &Path, handle: Handle) -> Result<(), ServeError> {
    let path = socket(cache_dir);
    if let Some(folder) = path.parent().filter(|folder| *folder != cache_dir) {
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(ServeError::Bind(error));
            }
            _ => {}
        }
    }
    check_folder(&path, cache_dir).map_err(ServeError::Bind)?;
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(ServeError::Bind)?;
    let _bound = Bound(path.clone());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(ServeError::Bind)?;
    // They end with the agent: nobody who asks may keep it alive.
    let mut conversations = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map_err(ServeError::Accept)?.0,
            Some(_) = conversations.join_next() => continue,
        };
        let handle = handle.clone();
        conversations.spawn(async move {
            if let Err(error) = converse(stream, &handle).await {
                tracing::debug!(error = %error, "control");
            }
        });
    }
}

async fn converse(stream: UnixStream, handle: &Handle) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        if (&mut read).take(QUESTION_MAX).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match serde_json::from_str(&line) {
            Ok(question) => answer(handle, question).await,
            Err(error) => failed("question", error),
        };
        let mut line = answer.to_string();
        line.push('\n');
        write.write_all(line.as_bytes()).await?;
    }
}

async fn answer(handle: &Handle, question: Question) -> Value {
    match question {
        Question::Status => value("status", &handle.local_status()),
        Question::Mode { set } => {
            if let Some(mode) = set
                && let Err(error) = handle.set_mode(mode).await
            {
                return failed("mode", error);
            }
            json!({ "mode": handle.core.state().mode })
        }
        Question::Pin { set, versions } => match handle.pin(set, versions).await {
            Ok(()) => json!({ "pins": handle.core.pins() }),
            Err(error) => failed("pin", error),
        },
        Question::Waiting => waiting(handle),
        Question::History { set } => match handle.history(set.as_ref()).await {
            Ok(entries) => value("history", &entries),
            Err(error) => failed("unreachable", error),
        },
        Question::Sync { check } => match handle.sync(!check).await {
            Ok(report) => value("sync", &report),
            Err(error) => failed("unreachable", error),
        },
        Question::Health => value("health", &handle.core.health()),
        Question::List => value("list", &handle.core.list()),
        Question::Search { words } => value("search", &handle.core.search(&words)),
        Question::Get { id } => match handle.core.template(&id) {
            Ok(template) => value("get", &*template),
            Err(error) => not_given(&error),
        },
        Question::Prompt { id, values } => prompt(handle, &id, values),
    }
}

fn waiting(handle: &Handle) -> Value {
    let all = handle.waiting().into_iter().map(|one| {
        let prompts = handle.prompts_of(&one).unwrap_or_default();
        let mut answer = value("waiting", &one);
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("prompts".into(), value("waiting", &prompts));
        }
        answer
    });
    all.collect()
}

fn prompt(handle: &Handle, id: &str, values: Map<String, Value>) -> Value {
    let values = Values::from_json(values);
    let rendered = handle.core.is_chat(id).and_then(|chat| match chat {
        true => handle.core.render_messages(id, &values, &[]).map(|messages| json!({ "messages": messages })),
        false => handle.core.render(id, &values).map(|text| json!({ "text": text })),
    });
    rendered.unwrap_or_else(|error| not_given(&error))
}

/// Why a prompt is not given. That nothing is served yet is no fault of the caller's.
fn not_given(error: &PromptError) -> Value {
    failed(if matches!(error, PromptError::Empty { .. }) { EMPTY } else { "prompt" }, error)
}

fn value(what: &str, value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| failed(what, error))
}

fn failed(error: &str, message: impl std::fmt::Display) -> Value {
    json!({ "error": error, "message": message.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_for_the_socket_that_others_may_write_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let (cache, folder) = (base.path().join("cache"), base.path().join("anvil-live-x"));
        std::fs::create_dir(&cache).unwrap();
        let socket = folder.join(SOCKET);
        assert_eq!(check_folder(&socket, &cache).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        check_folder(&socket, &cache).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(check_folder(&socket, &cache).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        // A link to a good folder is none.
        let link = base.path().join("link");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert_eq!(
            check_folder(&link.join(SOCKET), &cache).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
    }

    #[test]
    fn a_path_too_long_for_a_socket_gives_a_shorter_one() {
        let long = Path::new("/").join("x".repeat(200));
        assert!(socket(&long).as_os_str().len() <= PATH_MAX);
        assert_eq!(socket(Path::new("/short")), Path::new("/short").join(SOCKET));
    }
}
