//! The real binary as a process of a test: its lines, its ports, its end. Every wait has a bound, and is for something the process says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a line or an end may take: far above what two busy cores need.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start the binary.
pub struct Start {
    command: Command,
}

impl Start {
    /// `elanus run standalone` on free ports, without settings of the machine that the test runs on.
    pub fn standalone() -> Self {
        Self::called(Path::new(env!("CARGO_BIN_EXE_elanus"))).arguments(&["run", "standalone"])
    }

    /// The program at `path`, on free ports.
    pub fn called(path: &Path) -> Self {
        let mut command = Command::new(path);
        command.env("METRICS_PORT", "0").env("PROXY_PORT", "0").env_remove("MILVUSCONF").stdin(Stdio::null());
        Self { command }
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn data(mut self, directory: &Path) -> Self {
        self.command.arg("--data").arg(directory);
        self
    }

    /// A `milvus.yaml` with this text, written to `directory`.
    pub fn config(mut self, directory: &Path, text: &str) -> Self {
        let file = directory.join("milvus.yaml");
        std::fs::write(&file, text).expect("the test's directory can be written");
        self.command.arg("--config").arg(file);
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn in_directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Starts it.
    pub fn spawn(mut self) -> Binary {
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("it is piped")), Box::new(child.stderr.take().expect("it is piped"))];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Binary { child, lines, seen: Vec::new() }
    }

    /// Starts it and waits until it serves.
    pub fn serving(self) -> Binary {
        let mut binary = self.spawn();
        binary.line("message=ready");
        binary
    }
}

/// A process. Killed when dropped.
pub struct Binary {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Binary {
    /// The first line that holds `part`, said already or to come.
    pub fn line(&mut self, part: &str) -> String {
        if let Some(line) = self.seen.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
        panic!("no line with {part:?} within {PATIENCE:?}:\n{}", self.seen.join("\n"));
    }

    /// Where health and metrics are.
    pub fn admin(&mut self) -> String {
        self.address("health and metrics")
    }

    /// Where clients are served.
    pub fn clients(&mut self) -> String {
        self.address("message=ready")
    }

    /// Where REST is served, if it has a port of its own.
    pub fn rest(&mut self) -> String {
        self.address("message=REST")
    }

    fn address(&mut self, part: &str) -> String {
        let line = self.line(part);
        let (_, address) = line.split_once("address=").unwrap_or_else(|| panic!("no address in {line}"));
        address.split_whitespace().next().unwrap_or_default().replace("0.0.0.0", "127.0.0.1")
    }

    /// Status and body of a GET on the port of health and metrics.
    pub fn get(&mut self, path: &str) -> (u16, String) {
        get(&self.admin(), path)
    }

    pub fn signal(&self, name: &str) {
        // The shell's own: a small machine has no program of that name.
        let status = Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.child.id())]).status().expect("there is a shell");
        assert!(status.success(), "kill -s {name}");
    }

    /// Waits for its end; gives the exit code and everything it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        // The pipes close with the process.
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
        }
        assert!(Instant::now() < deadline, "it didn't end within {PATIENCE:?}:\n{}", self.seen.join("\n"));
        let status = self.child.wait().expect("it is a child");
        (status.code(), self.seen.join("\n"))
    }

    /// A graceful stop, which must succeed; gives what it said.
    pub fn stop(self) -> String {
        self.signal("TERM");
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("message=stopped"), "{said}");
        said
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Status and body of a plain GET.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the port listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is no zero");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("the port reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a head begins with a status");
    (status, body.to_owned())
}

/// Every file below a directory with its length, sorted: to see that nothing was touched.
pub fn files(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).expect("it can be listed") {
            let entry = entry.expect("it can be listed");
            let metadata = entry.metadata().expect("it is there");
            if metadata.is_dir() {
                left.push(entry.path());
            } else {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found.sort();
    found
}

/// An address at which nobody listens.
pub fn nobody() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback works")
}
