//! What the targets share: places to cut at, and a file that is read by its path. In: the fuzzer's
//! bytes. Everything follows from them alone, so that a finding can be run again.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

/// The first bytes of the input as choices, and the rest; `None` if it is shorter than that.
#[must_use]
pub fn choices<const N: usize>(data: &[u8]) -> Option<([u8; N], &[u8])> {
    data.split_first_chunk::<N>().map(|(first, rest)| (*first, rest))
}

/// Places that follow from a seed: a sequence of numbers (Knuth's MMIX generator).
#[derive(Debug, Clone)]
pub struct Places(u64);

impl Places {
    /// One sequence for each seed.
    #[must_use]
    pub fn of(seed: u8) -> Self {
        Self(u64::from(seed) + 1)
    }

    /// A number up to and including `most`.
    pub fn next(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % (most + 1)
    }

    /// `count` places in a text of this length, in rising order.
    pub fn cuts(&mut self, count: usize, length: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..count).map(|_| self.next(length)).collect();
        cuts.sort_unstable();
        cuts
    }
}

/// `bytes` in pieces that end at `cuts`; none is lost, some may be empty.
pub fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let mut from = 0;
    ends.map(|end| &bytes[std::mem::replace(&mut from, end)..end]).collect()
}

/// A file that has no name in any directory, so that a crash leaves none behind.
#[derive(Debug)]
pub struct Nameless(File);

impl Nameless {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempfile().expect("the temporary directory can be written"))
    }

    /// Its path for whoever opens files by path, holding these parts and nothing else.
    pub fn holding(&mut self, parts: &[&[u8]]) -> PathBuf {
        self.0.set_len(0).expect("it is ours");
        self.0.seek(SeekFrom::Start(0)).expect("it is a file");
        for part in parts {
            self.0.write_all(part).expect("there is room");
        }
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

impl Default for Nameless {
    fn default() -> Self {
        Self::new()
    }
}
