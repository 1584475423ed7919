//! Work that needs a processor and no input, off the threads that serve: of each kind so much at once and no
//! more, so that nobody who asks for much of it takes the memory and the processors from everybody else.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{ApiError, Result};

/// Somebody for whom there is no room waits so long.
pub(crate) const WAIT: Duration = Duration::from_secs(5);
/// Work that takes longer is not waited for; the engine bounds it far below.
const DEADLINE: Duration = Duration::from_secs(30);

/// Passwords that are hashed and checked: each takes 19 MiB.
pub(crate) static PASSWORDS: Room = Room::new();
/// Prompts that are checked and rendered while one writes.
pub(crate) static PREVIEWS: Room = Room::new();
/// Files that are read for an import or written for an export: what is foreign never keeps drafts from being locked.
pub(crate) static EXCHANGES: Room = Room::new();
/// Drafts that are made a version.
pub(crate) static LOCKS: Room = Room::new();
/// Versions that are held against what agents were built for.
pub(crate) static CONTRACTS: Room = Room::new();
/// Versions whose prompts are read to count their use: nobody but the statuses of agents asks for it.
pub(crate) static USES: Room = Room::new();

/// The room for one kind of work: as many places as there are processors, and at least two.
pub(crate) struct Room(LazyLock<Semaphore>);

/// A place in a room, until it is dropped or its work has ended.
pub(crate) struct Place(SemaphorePermit<'static>);

impl Room {
    const fn new() -> Self {
        Self(LazyLock::new(|| {
            let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            Semaphore::new(processors.max(2))
        }))
    }

    /// A place, where there is one within [`WAIT`]: for who reads what the work needs only once it can be done.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] where there is none in time.
    pub(crate) async fn enter(&'static self) -> Result<Place> {
        self.enter_within(WAIT).await
    }

    /// The same, for who cannot wait so long.
    ///
    /// # Errors
    /// As [`Room::enter`].
    pub(crate) async fn enter_within(&'static self, wait: Duration) -> Result<Place> {
        let Ok(Ok(place)) = tokio::time::timeout(wait, self.0.acquire()).await else {
            return Err(ApiError::Unavailable(
                "there is too much to do at the moment; try again soon".into(),
            ));
        };
        Ok(Place(place))
    }
}

impl Place {
    /// Does the work in this place.
    ///
    /// # Errors
    /// As the work has it; [`ApiError::Unavailable`] where it took too long.
    pub(crate) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.work_within(DEADLINE, work).await
    }

    async fn work_within<T: Send + 'static>(
        self,
        deadline: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Who does not wait any longer does not make room: the work does, when it ends.
        let work = move || {
            let _place = self.0;
            work()
        };
        match tokio::time::timeout(deadline, tokio::task::spawn_blocking(work)).await {
            Ok(Ok(result)) => result,
            Ok(Err(failed)) => Err(ApiError::internal(failed)),
            Err(_) => Err(ApiError::Unavailable(format!(
                "this took longer than {} seconds and is not waited for; try again with less at once",
                deadline.as_secs()
            ))),
        }
    }
}

/// Does the work where there is room for it.
///
/// # Errors
/// [`ApiError::Unavailable`] where there is none in time; as the work has it.
pub(crate) async fn aside<T: Send + 'static>(
    room: &'static Room,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    room.enter().await?.work(work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROOM: Room = Room::new();

    #[tokio::test]
    async fn who_finds_no_room_is_told_to_come_back_and_work_nobody_waits_for_keeps_its_place() {
        let places = ROOM.0.available_permits();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        for _ in 0..places {
            let held = std::sync::Arc::clone(&held);
            let work = tokio::spawn(aside(&ROOM, move || {
                let _ = held.lock().map(|held| held.recv());
                Ok(())
            }));
            // Begun, and then left alone.
            while ROOM.0.available_permits() == places {
                tokio::task::yield_now().await;
            }
            drop(work);
        }
        while ROOM.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let error = aside(&ROOM, || Ok(())).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.retry_after_s()), (503, Some(5)));
        drop(release);
        aside(&ROOM, || Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_no_fault_and_says_so() {
        static ROOM: Room = Room::new();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let place = ROOM.enter().await.unwrap();
        let work = place.work_within(Duration::ZERO, move || {
            let _ = held.recv();
            Ok(())
        });
        let error = work.await.unwrap_err();
        assert_eq!(
            (error.status().as_u16(), error.code(), error.retry_after_s()),
            (503, "unavailable", Some(5))
        );
        assert!(error.to_string().contains("not waited for"), "{error}");
        drop(release);
    }
}
