//! Log files: `<name>.log` is written; when it is full it becomes `<name>-<time>.log`, and the oldest of those go.
//!
//! Not on [`crate::disk`]: losing the last lines in a crash of the machine is no loss of data, and nothing here is synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::{Civil, Clock};

/// Where files are, and how many of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileOptions {
    /// Made if it isn't there.
    pub directory: PathBuf,
    /// The files' name, without directory and ending.
    pub name: String,
    /// A file of this size is put aside; 0 is no bound.
    pub bytes_most: u64,
    /// Files put aside longer ago are removed; zero is no bound.
    pub age_most: Duration,
    /// The most files put aside; 0 is no bound.
    pub backups_most: usize,
}

impl FileOptions {
    /// The file that is written.
    pub fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }
}

pub(super) struct RotatingFile {
    options: FileOptions,
    clock: Clock,
    file: File,
    bytes: u64,
    /// Time and number in the last name that a full file was given.
    last_aside: (u64, u32),
}

impl RotatingFile {
    pub(super) fn open(options: FileOptions, clock: Clock) -> io::Result<Self> {
        std::fs::create_dir_all(&options.directory)?;
        let file = OpenOptions::new().create(true).append(true).open(options.path())?;
        let bytes = file.metadata()?.len();
        Ok(Self { options, clock, file, bytes, last_aside: (0, 0) })
    }

    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let full = self.options.bytes_most > 0 && self.bytes + line.len() as u64 > self.options.bytes_most;
        if full && self.bytes > 0 {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let now = self.clock.wall_ms();
        let aside = self.aside(now);
        std::fs::rename(self.options.path(), aside)?;
        self.file = OpenOptions::new().create(true).append(true).open(self.options.path())?;
        self.bytes = self.file.metadata()?.len();
        self.prune(now)
    }

    /// A name that isn't taken and sorts behind those given before: by time, then by number.
    fn aside(&mut self, now: u64) -> PathBuf {
        let (before, number) = self.last_aside;
        let mut next = if now > before { (now, 0) } else { (before, number + 1) };
        loop {
            // Colons are no part of names on some systems that logs are copied to.
            let time = Civil::from_ms(next.0).to_string().replace(':', "-");
            let suffix = if next.1 == 0 { String::new() } else { format!("_{:06}", next.1) };
            let path = self.options.directory.join(format!("{}-{time}{suffix}.log", self.options.name));
            if !path.exists() {
                self.last_aside = next;
                return path;
            }
            next.1 += 1;
        }
    }

    fn prune(&self, now: u64) -> io::Result<()> {
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(&self.options.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let stamp = name.to_str().and_then(|name| name.strip_prefix(&self.options.name)?.strip_prefix('-')?.strip_suffix(".log"));
            if stamp.is_some_and(is_stamp) {
                files.push(entry.path());
            }
        }
        files.sort();
        let surplus = match self.options.backups_most {
            0 => 0,
            most => files.len().saturating_sub(most),
        };
        let oldest = now.saturating_sub(u64::try_from(self.options.age_most.as_millis()).unwrap_or(u64::MAX));
        for (i, path) in files.iter().enumerate() {
            let modified = || path.metadata()?.modified();
            let is_old = || {
                let age = modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
                Some(u64::try_from(age.as_millis()).ok()? < oldest)
            };
            if i < surplus || (!self.options.age_most.is_zero() && is_old().unwrap_or(false)) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Whether a name goes on as [`RotatingFile::aside`] makes it: `querynode` has no right to the files of `querynode-2`.
fn is_stamp(text: &str) -> bool {
    const PATTERN: &[u8] = b"0000-00-00T00-00-00.000Z";
    let fits = |(c, pattern): (&u8, &u8)| if *pattern == b'0' { c.is_ascii_digit() } else { c == pattern };
    let (Some(stamp), Some(rest)) = (text.as_bytes().get(..PATTERN.len()), text.get(PATTERN.len()..)) else { return false };
    let is_numbered = rest.strip_prefix('_').is_some_and(|number| number.bytes().all(|c| c.is_ascii_digit()));
    stamp.iter().zip(PATTERN).all(fits) && (rest.is_empty() || is_numbered)
}
