//! Where settings are written: files and environment. Reading them is separate from understanding them ([`super::resolve`]), so
//! that tests and simulations give texts instead.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// The files of a directory, in the order in which later ones override. The last is ours.
const FILE_NAMES: &[&str] = &["milvus.yaml", "_test.yaml", "default.yaml", "user.yaml", "elanus.yaml"];

/// Larger files aren't settings.
const FILE_BYTES_MOST: u64 = 4 << 20;

/// The directory that is looked at when nobody names one.
const DEFAULT_DIRECTORY: &str = "configs";

/// The variable that names the directory.
const DIRECTORY_VARIABLE: &str = "MILVUSCONF";

/// Everything that says something about settings, unread.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sources {
    /// Name and text, in order: later ones override.
    pub(super) files: Vec<(String, String)>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
    /// What [`Self::of_process`] was given: to read the same files again.
    place: Option<Option<PathBuf>>,
}

impl Sources {
    /// The environment, and the files of: `given` (a file or a directory) if there is one, else the directory that `MILVUSCONF` names, else
    /// `./configs`.
    ///
    /// # Errors
    /// `given` isn't there; a file that is there can't be read.
    pub fn of_process(given: Option<&Path>) -> Result<Self, ConfigError> {
        // What isn't UTF-8 can't be a setting.
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { environment: environment.collect(), place: Some(given.map(Path::to_owned)), ..Self::default() }.with_files_read()
    }

    /// The same sources with the files as they are now; unchanged where none came from the file system.
    ///
    /// # Errors
    /// As [`Self::of_process`].
    pub fn with_files_read(mut self) -> Result<Self, ConfigError> {
        let Some(given) = self.place.clone() else { return Ok(self) };
        self.files.clear();
        self.notes.clear();
        let (place, must_exist) = match (given, self.environment.get(DIRECTORY_VARIABLE).filter(|value| !value.is_empty())) {
            (Some(given), _) => (given, true),
            (None, Some(named)) => (PathBuf::from(named), false),
            (None, None) => (PathBuf::from(DEFAULT_DIRECTORY), false),
        };
        let is_named = must_exist || place != Path::new(DEFAULT_DIRECTORY);
        if place.is_file() {
            self.files.push((place.display().to_string(), read(&place)?));
            return Ok(self);
        }
        if !place.is_dir() {
            if must_exist {
                return Err(ConfigError::new(format!("{}: no such file or directory", place.display())));
            }
            if is_named {
                self.notes.push(format!("{DIRECTORY_VARIABLE} names {}, which isn't there: no file is read", place.display()));
            }
            return Ok(self);
        }
        for path in FILE_NAMES.iter().map(|name| place.join(name)).filter(|path| path.exists()) {
            self.files.push((path.display().to_string(), read(&path)?));
        }
        if self.files.is_empty() && is_named {
            self.notes.push(format!("{} holds none of {}: no file is read", place.display(), FILE_NAMES.join(", ")));
        }
        Ok(self)
    }

    /// Adds a file, which overrides those before it.
    #[must_use]
    pub fn with_file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |error: io::Error| ConfigError::new(format!("{}: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MOST {
        return Err(ConfigError::new(format!("{}: {bytes} bytes, at most {FILE_BYTES_MOST} are allowed", path.display())));
    }
    std::fs::read_to_string(path).map_err(failed)
}
