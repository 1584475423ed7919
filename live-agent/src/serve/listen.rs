//! The sockets of the sidecar.
//!
//! TCP is for loopback, unless somebody says otherwise by name. A Unix socket is made beside its place
//! with its permissions, and then moved there: nobody can open it before.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, chown};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// A path of a socket has at most 108 bytes, some systems take fewer.
const PATH_MAX: usize = 100;
/// How often another name is tried for the folder that a socket is made in.
const TRIES: usize = 32;

/// Why nobody can be heard.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("listen: {0} can be reached from other machines: say --allow-remote, and keep the token")]
    Remote(SocketAddr),
    #[error("listen: an address that other machines can reach needs a token: leave out --no-token")]
    NeedsToken,
    #[error("listen: {address} cannot be listened on")]
    Tcp {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("socket: {path} cannot be made")]
    Unix {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("socket: the folder {0} is missing: make it with `mkdir -p {0}`")]
    NoFolder(PathBuf),
    #[error("socket: {0} is served by another process")]
    InUse(PathBuf),
    #[error("socket: {0} is there and is no socket; move it away")]
    NoSocket(PathBuf),
    #[error("socket: {0} is too long for a socket: {PATH_MAX} bytes at most")]
    TooLong(PathBuf),
    #[error("socket_group: there is no group {0}")]
    NoGroup(String),
}

/// Where a Unix socket is made, and who may open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPlace {
    pub path: PathBuf,
    /// Its permissions, such as `0o600`.
    pub mode: u32,
    /// The group that it belongs to.
    pub group: Option<String>,
}

/// Takes the port. Beyond loopback only where that is `allowed`.
pub(super) async fn tcp(address: SocketAddr, allowed: bool, token: bool) -> Result<TcpListener, ListenError> {
    if !address.ip().to_canonical().is_loopback() {
        if !allowed {
            return Err(ListenError::Remote(address));
        }
        if !token {
            return Err(ListenError::NeedsToken);
        }
    }
    TcpListener::bind(address).await.map_err(|source| ListenError::Tcp { address, source })
}

/// A Unix socket, gone with this.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: UnixListener,
    _file: OwnFile,
}

/// The file of a socket, removed at the end if it is still ours.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    node: u64,
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.node) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket. One that a dead process left is replaced, one of a live process is not.
pub(super) async fn unix(place: &SocketPlace) -> Result<Bound, ListenError> {
    let path = &place.path;
    if path.as_os_str().len() > PATH_MAX {
        return Err(ListenError::TooLong(path.clone()));
    }
    let failed = |source| ListenError::Unix { path: path.clone(), source };
    let group = place.group.as_deref().map(group).transpose()?;
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => return Err(ListenError::NoSocket(path.clone())),
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Err(ListenError::InUse(path.clone())),
            Err(error) => return Err(failed(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Only its owner gets into the folder, so the permissions are right before anybody can see the socket.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        return Err(ListenError::NoFolder(folder.to_owned()));
    }
    let own = own_folder(folder, std::iter::repeat_with(name).take(TRIES)).map_err(failed)?;
    let made = make(place, &own.join("s"), group).map_err(failed);
    let _ = std::fs::remove_dir_all(&own);
    made
}

/// A name that nobody can have made ready: short, since the whole path of a socket is.
fn name() -> String {
    format!(".{:05x}", rand::random::<u32>() & 0xf_ffff)
}

/// A folder that was not there before, and so is nobody else's.
fn own_folder(folder: &Path, names: impl Iterator<Item = String>) -> io::Result<PathBuf> {
    let mut taken = io::Error::other("no name was tried");
    for name in names {
        let own = folder.join(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&own) {
            Ok(()) => return Ok(own),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

fn make(place: &SocketPlace, temporary: &Path, group: Option<Gid>) -> io::Result<Bound> {
    let listener = UnixListener::bind(temporary)?;
    if group.is_some() {
        chown(temporary, None, group)?;
    }
    std::fs::set_permissions(temporary, std::fs::Permissions::from_mode(place.mode))?;
    let node = std::fs::symlink_metadata(temporary)?.ino();
    std::fs::rename(temporary, &place.path)?;
    Ok(Bound { listener, _file: OwnFile { path: place.path.clone(), node } })
}

fn group(name: &str) -> Result<Gid, ListenError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(name).ok().flatten();
    found.map(|group| group.gid).ok_or_else(|| ListenError::NoGroup(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: PathBuf) -> SocketPlace {
        SocketPlace { path, mode: 0o640, group: None }
    }

    #[tokio::test]
    async fn a_socket_of_the_dead_is_replaced_and_one_of_the_living_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live");
        // Left behind, with nobody behind it.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bound = unix(&place(path.clone())).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(matches!(unix(&place(path.clone())).await, Err(ListenError::InUse(_))));
        UnixStream::connect(&path).await.unwrap();
        drop(bound);
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing else is left");
    }

    #[test]
    fn the_folder_that_a_socket_is_made_in_is_never_one_that_was_there() {
        let base = tempfile::tempdir().unwrap();
        // Somebody guessed the name, and can open what is made in there.
        let theirs = base.path().join("guessed");
        std::fs::create_dir(&theirs).unwrap();
        std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o777)).unwrap();
        let names = ["guessed", "other"].map(str::to_owned);
        let own = own_folder(base.path(), names.into_iter()).unwrap();
        assert_eq!(own, base.path().join("other"));
        assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
        // Nor is a link to somewhere else followed.
        std::os::unix::fs::symlink(&theirs, base.path().join("link")).unwrap();
        let taken = own_folder(base.path(), ["guessed", "link"].map(str::to_owned).into_iter()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 0);
        let some: std::collections::BTreeSet<String> = std::iter::repeat_with(name).take(16).collect();
        assert!(some.len() > 8, "no name can be told before: {some:?}");
    }

    #[tokio::test]
    async fn what_is_no_socket_stays_and_another_one_is_not_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(unix(&place(path.clone())).await, Err(ListenError::NoSocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        let path = folder.path().join("live");
        let bound = unix(&place(path.clone())).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists(), "that is another one's");
        drop(other);
        let long = folder.path().join("x".repeat(200));
        assert!(matches!(unix(&place(long)).await, Err(ListenError::TooLong(_))));
        let nowhere = unix(&place(folder.path().join("run/live"))).await.unwrap_err().to_string();
        let run = folder.path().join("run");
        assert!(nowhere.ends_with(&format!("mkdir -p {}`", run.display())), "{nowhere}");
        assert!(!run.exists());
        let strange = SocketPlace { group: Some("no such group".into()), ..place(folder.path().join("g")) };
        assert!(matches!(unix(&strange).await, Err(ListenError::NoGroup(_))));
    }

    #[tokio::test]
    async fn an_address_beyond_loopback_is_taken_only_by_name_and_with_a_token() {
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(tcp(any, false, true).await, Err(ListenError::Remote(_))));
        assert!(matches!(tcp(any, true, false).await, Err(ListenError::NeedsToken)));
        tcp(any, true, true).await.unwrap();
        tcp("127.0.0.1:0".parse().unwrap(), false, false).await.unwrap();
    }
}
