//! Log lines, their formats, levels and files.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use base::config::Config;
use base::log::{FileOptions, Format, Log, LogOptions};
use parking_lot::Mutex;

#[derive(Clone, Default)]
struct Copy(Arc<Mutex<Vec<u8>>>);

impl Write for Copy {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn options(level: &str, format: Format) -> LogOptions {
    LogOptions { level: level.to_owned(), format, stdout: false, file: None }
}

/// Everything that `work` logs.
fn logged(options: &LogOptions, work: impl FnOnce(&Log)) -> String {
    let copy = Copy::default();
    let (log, subscriber) = Log::build(options, Clock::simulated(), Some(Box::new(copy.clone()))).unwrap();
    tracing::subscriber::with_default(subscriber, || work(&log));
    log.flush();
    String::from_utf8(copy.0.lock().clone()).unwrap()
}

fn events(_: &Log) {
    let outer = tracing::info_span!("request", request = "r-1", user = tracing::field::Empty);
    let _outer = outer.enter();
    outer.record("user", "root");
    let inner = tracing::info_span!("shard", shard = 3);
    let _inner = inner.enter();
    tracing::info!(target: "node", rows = 5, rate = 0.5, name = "a b", empty = "", ok = true, "served \"all\"\nof it");
    tracing::debug!("not shown");
    let error: &dyn std::error::Error = &std::io::Error::other("disk = gone");
    tracing::warn!(target: "node", error, path = ?Path::new("/a"), "failed");
}

#[tokio::test(start_paused = true)]
async fn text() {
    let text = logged(&options("info", Format::Text), events);
    let expected = "\
time=2026-01-01T00:00:00.000Z level=info target=node message=\"served \\\"all\\\"\\nof it\" rows=5 rate=0.5 name=\"a b\" empty=\"\" \
ok=true shard=3 request=r-1 user=root
time=2026-01-01T00:00:00.000Z level=warn target=node message=failed error=\"disk = gone\" path=\"\\\"/a\\\"\" shard=3 request=r-1 user=root
";
    // tracing puts one more space between fields of a span that were recorded apart.
    assert_eq!(text.replace("  ", " "), expected);
}

#[tokio::test(start_paused = true)]
async fn json() {
    let text = logged(&options("info", Format::Json), events);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let expected = serde_json::json!({
        "time": "2026-01-01T00:00:00.000Z", "level": "info", "target": "node", "message": "served \"all\"\nof it",
        "rows": 5, "rate": 0.5, "name": "a b", "empty": "", "ok": true, "shard": 3, "request": "r-1", "user": "root",
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1]["error"], "disk = gone");
}

#[tokio::test(start_paused = true)]
async fn levels_change_at_run_time() {
    let text = logged(&options("warn", Format::Text), |log| {
        tracing::info!("one");
        log.set_level("DEBUG").unwrap();
        tracing::debug!("two");
        tracing::debug!(target: "h2", "a library");
        assert!(log.set_level("loud").unwrap_err().to_string().contains("\"loud\""));
        tracing::debug!("three");
        log.set_level("off,it=error").unwrap();
        tracing::warn!("four");
        tracing::error!("five");
        log.set_level("fatal").unwrap();
        tracing::warn!("six");
        tracing::error!("seven");
    });
    let seen: Vec<_> = text.lines().map(|line| line.rsplit_once("message=").unwrap().1).collect();
    assert_eq!(seen, ["two", "three", "five", "seven"]);
}

#[test]
fn levels_that_arent() {
    for level in ["loud", "info,=x=", "info debug"] {
        let built = Log::build(&options(level, Format::Text), Clock::real(), None);
        assert!(built.is_err(), "{level}");
    }
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn files_rotate() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs");
    std::fs::create_dir(&path).unwrap();
    // The log of another process, whose name begins alike.
    std::fs::write(path.join("querynode-2.log"), "x").unwrap();
    std::fs::write(path.join("querynode-2-2020-01-01T00-00-00.000Z.log"), "x").unwrap();
    let file =
        FileOptions { directory: path.clone(), name: "querynode".to_owned(), bytes_most: 300, age_most: Duration::ZERO, backups_most: 2 };
    let options = LogOptions { file: Some(file.clone()), ..options("info", Format::Text) };
    let text = logged(&options, |_| (0..30).for_each(|i| tracing::info!(target: "t", i, "a line of about sixty bytes, more or less")));
    let names = files(&path);
    assert_eq!(names.len(), 2 + 1 + 2, "{names:?}");
    assert!(names.contains(&"querynode-2-2020-01-01T00-00-00.000Z.log".to_owned()), "{names:?}");
    let mut kept = String::new();
    for name in names.iter().filter(|name| name.starts_with("querynode-2026")).chain(["querynode.log".to_owned()].iter()) {
        let part = std::fs::read_to_string(path.join(name)).unwrap();
        assert!(part.len() <= 300 && part.ends_with('\n'), "{name}: {} bytes", part.len());
        kept.push_str(&part);
    }
    assert!(text.ends_with(&kept) && kept.lines().count() > 4, "the latest lines are kept, in order");

    logged(&options, |_| tracing::info!(target: "t", "after a restart"));
    let last = std::fs::read_to_string(file.path()).unwrap();
    assert!(last.lines().count() > 1 && last.ends_with("message=\"after a restart\"\n"), "a restart appends: {last}");
}

#[tokio::test(start_paused = true)]
async fn old_files_go() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("log-2020-01-01T00-00-00.000Z.log");
    std::fs::write(&old, "x").unwrap();
    let two_days_before = std::time::UNIX_EPOCH + Duration::from_secs(1_767_225_600 - 2 * 86_400);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(two_days_before).unwrap();
    let file = FileOptions {
        directory: directory.path().to_owned(),
        name: "log".to_owned(),
        bytes_most: 100,
        age_most: Duration::from_secs(86_400),
        backups_most: 0,
    };
    let options = LogOptions { file: Some(file), ..options("info", Format::Text) };
    logged(&options, |_| (0..5).for_each(|i| tracing::info!(target: "t", i, "a line of about sixty bytes, more or less")));
    assert!(!old.exists());
    assert!(files(directory.path()).len() >= 4);
}

#[test]
fn a_file_that_cant_be_made() {
    let directory = tempfile::tempdir().unwrap();
    let blocker = directory.path().join("file");
    std::fs::write(&blocker, "").unwrap();
    let file = FileOptions { directory: blocker, name: "log".to_owned(), bytes_most: 0, age_most: Duration::ZERO, backups_most: 0 };
    let options = LogOptions { file: Some(file), ..options("info", Format::Text) };
    let error = Log::build(&options, Clock::real(), None).err().unwrap().to_string();
    assert!(error.contains("file/log.log"), "{error}");
}

#[test]
fn options_from_settings() {
    let config = Config::from_text(
        "log: {level: debug, format: json, stdout: false, file: {rootPath: /logs, maxSize: 1, maxAge: 2, maxBackups: 3}}",
    );
    let options = LogOptions::from_config(&config.unwrap(), "standalone");
    assert_eq!((options.level.as_str(), options.format, options.stdout), ("debug", Format::Json, false));
    let expected = FileOptions {
        directory: "/logs".into(),
        name: "standalone".to_owned(),
        bytes_most: 1 << 20,
        age_most: Duration::from_secs(2 * 86_400),
        backups_most: 3,
    };
    assert_eq!(options.file, Some(expected));
    assert_eq!(LogOptions::from_config(&Config::default(), "x").file, None);
}
