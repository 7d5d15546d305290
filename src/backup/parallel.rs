//! The same work on many files, on a few threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::Result;

/// Files are read and compressed on this many threads; the memory grows with it.
const THREADS: usize = 2;
/// Does `work` on every item, on a few threads; the results come in no order. The first
/// error ends it.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Ok(Vec::with_capacity(items.len())));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(item);
                    let mut results = results.lock().expect("no worker panics holding it");
                    match (&mut *results, result) {
                        (Ok(done), Ok(result)) => done.push(result),
                        (Ok(_), Err(error)) => {
                            *results = Err(error);
                            next.store(items.len(), Ordering::Relaxed);
                        }
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    results.into_inner().expect("no worker panics holding it")
}
